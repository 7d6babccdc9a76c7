"""tokenizer.json: a WordPiece tokenizer for Hugging Face's ``tokenizers`` and transformers.js."""
import os
from typing import Any, Dict

from bert.text.added_tokens import AddedToken
from bert.text.tokenizer import MAX_WORD, WordPiece
from bert.text.vocabulary import SPECIALS
from bert.utils import files

__all__ = ['NAME', 'describe', 'write']

NAME = 'tokenizer.json'


def write(folder: str, tokenizer: WordPiece) -> None:
    """Write tokenizer.json beside the tokenizer_config.json in ``folder``."""
    config = files.read_json(os.path.join(folder, 'tokenizer_config.json'))
    files.write_json(os.path.join(folder, NAME), describe(tokenizer, config))


def describe(tokenizer: WordPiece, config: Dict[str, Any]) -> Dict[str, Any]:
    """What tokenizer.json holds; ``config`` is the tokenizer_config.json."""
    ids = {token: i for i, token in enumerate(tokenizer.vocabulary)}
    added = tokenizer.added.tokens or [AddedToken(token, ids[token]) for token in SPECIALS]
    return {
        'version': '1.0', 'truncation': None, 'padding': None,
        'added_tokens': [
            dict(token._asdict(), lstrip=False, rstrip=False)
            for token in sorted(added, key=lambda token: token.id)],
        'normalizer': {'type': 'BertNormalizer', 'clean_text': True,
                       'handle_chinese_chars': config['tokenize_chinese_chars'],
                       'strip_accents': config['strip_accents'],
                       'lowercase': config['do_lower_case']},
        'pre_tokenizer': {'type': 'BertPreTokenizer'},
        'post_processor': {
            'type': 'TemplateProcessing',
            'single': [_special('[CLS]', 0), _text('A', 0), _special('[SEP]', 0)],
            'pair': [_special('[CLS]', 0), _text('A', 0), _special('[SEP]', 0), _text('B', 1),
                     _special('[SEP]', 1)],
            'special_tokens': {token: {'id': token, 'ids': [ids[token]], 'tokens': [token]}
                               for token in ('[CLS]', '[SEP]')}},
        'decoder': {'type': 'WordPiece', 'prefix': '##', 'cleanup': True},
        'model': {'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##',
                  'max_input_chars_per_word': MAX_WORD, 'vocab': ids}}


def _special(token, token_type):
    return {'SpecialToken': {'id': token, 'type_id': token_type}}


def _text(name, token_type):
    return {'Sequence': {'id': name, 'type_id': token_type}}
