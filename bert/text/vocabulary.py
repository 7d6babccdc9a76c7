"""The files that a tokenizer is made from: found, read and checked."""
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ..utils.errors import DataError, brief
from ..utils.files import decode, read_json

__all__ = ['CONFIG', 'FILES', 'SPECIALS', 'casing', 'check_class', 'find', 'read', 'special_tokens']

CONFIG = 'tokenizer_config.json'
_MAP = 'special_tokens_map.json'
FILES = ('vocab.txt', 'spm.model', 'tokenizer.json', 'added_tokens.json', _MAP)     # beside CONFIG
# classes of Transformers whose text is split as BertTokenizer splits it; and ours
_CLASSES = {'BertTokenizer', 'DistilBertTokenizer', 'ElectraTokenizer', 'MobileBertTokenizer',
            'SqueezeBertTokenizer', 'PreTrainedTokenizer', 'TokenizersBackend', 'SentencePiece'}
SPECIALS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')
_ROLES = {token.strip('[]').lower() + '_token': token for token in SPECIALS}    # pad_token, ...


def find(path: str) -> str:
    """The vocabulary file ``path``, or the one in the folder ``path``."""
    path = Path(path)
    if path.is_file():
        return str(path)
    if not path.is_dir():
        raise DataError(f'{path}: no such file or folder')
    # *.model before *.vocab: sentencepiece's trainer writes both, gluonnlp only the latter
    for pattern in ('vocab.txt', 'spm.model', 'tokenizer.json', '*.model', '*.vocab'):
        found = list(path.glob(pattern))
        if len(found) > 1:
            raise DataError(f'{path}: {len(found)} files {pattern}; name the file to use')
        if found:
            return str(found[0])
    raise DataError(f'{path}: no vocabulary in this folder; it needs vocab.txt, tokenizer.json, '
                    '*.vocab (gluonnlp) or *.model (SentencePiece)')


def read(path: str) -> Tuple[List[str], Any]:
    """The tokens of a vocabulary file, in the order of their ids, and the SentencePiece processor
    (None for WordPiece).  The suffix is that of the format: .model, .json, .vocab, others."""
    processor, needed = None, SPECIALS
    if path.endswith('.model'):
        tokens, processor = _sentencepiece(path)
        needed = ()
    elif path.endswith('.json'):
        tokens = _tokenizer_json(path)
    elif path.endswith('.vocab'):
        tokens = _by_id(path, _json(path).get('token_to_idx'))
    else:
        tokens = _lines(path)
    if not tokens:
        raise DataError(f'{path}: the vocabulary is empty; download it again')
    missing = [token for token in needed if token not in tokens]
    if missing:
        raise DataError(f"{path}: no {' '.join(missing)} among its {len(tokens)} tokens; is it the "
                        "vocabulary of a BERT?")
    return tokens, processor


def check_class(path: str) -> None:
    """Raise DataError where the files beside ``path`` name another tokenizer than BERT's, or other
    tokens than its [PAD], [UNK], [CLS], [SEP] and [MASK]."""
    folder = os.path.dirname(path)
    for name in (CONFIG, 'config.json'):
        source = os.path.join(folder, name)
        config = _json(source) if os.path.exists(source) else {}
        kind = config.get('tokenizer_class')
        if kind is not None and re.sub('Fast$', '', str(kind)) not in _CLASSES:
            raise DataError(f"{source}: its tokenizer_class is {kind}, no WordPiece tokenizer as "
                            "BERT's, and cannot be used here; take a model with a BertTokenizer")
        others = [key for key in ('word_tokenizer_type', 'subword_tokenizer_type')
                  if config.get(key) not in (None, 'basic', 'wordpiece')]
        if others or config.get('do_basic_tokenize') is False:
            key = others[0] if others else 'do_basic_tokenize'
            raise DataError(f'{source}: its {key} is {config[key]}, which is not the way of '
                            "BERT's WordPiece and cannot be used here; take a model with a "
                            'BertTokenizer')
    if not path.endswith('.model'):     # of which the tokens for padding and so on are its own
        special_tokens(path)


def special_tokens(path: str) -> Dict[str, Dict[str, Any]]:
    """The tokens that the files beside ``path`` name as special, in the vocabulary or not:
    {token: its settings, as in added_tokens_decoder}.

    As in Transformers, special_tokens_map.json counts only if tokenizer_config.json has no
    added_tokens_decoder, and its list of other tokens only if that has none.  Raises DataError
    where another token takes the place of one of BERT's.
    """
    folder, roles, others = os.path.dirname(path), {}, []
    for source in (os.path.join(folder, name) for name in (CONFIG, _MAP)):
        config = _json(source) if os.path.exists(source) else {}
        extra = config.get('extra_special_tokens') or []
        tokens = {key: value for key, value in config.items() if key.endswith('_token')}
        if isinstance(extra, dict):
            tokens, extra = {**tokens, **extra}, []
        extra = extra or not others and config.get('additional_special_tokens') or []
        if not isinstance(extra, list):
            raise _not_tokens(source)
        others += [_settings(token, source) for token in extra]
        for role, value in tokens.items():
            own = _ROLES.get(role)
            named = isinstance(value, str) or isinstance(value, dict) and 'content' in value
            if named or own and value is not None:
                roles[role] = _settings(value, source)
                if own and roles[role]['content'] != own:
                    raise DataError(f"{source}: its {role} is {brief(roles[role]['content'])}, "
                                    f"not BERT's {own}, and cannot be used here; take a model "
                                    "with BERT's special tokens")
        if 'added_tokens_decoder' in config:
            break
    return {token['content']: token for token in [*others, *roles.values()]}


def _settings(token, source):
    """The settings of a special token: an object, or the token alone."""
    settings = token if isinstance(token, dict) else {'content': token}
    if not isinstance(settings.get('content'), str):
        raise _not_tokens(source)
    return {'normalized': False, **settings, 'special': True}


def _not_tokens(source):
    return DataError(f'{source}: its special tokens are not written as Transformers writes them; '
                     'download it again')


def casing(path: str) -> Tuple[Optional[bool], Optional[bool], bool]:
    """(lower or None, strip_accents or None, split_han) according to the files beside ``path``.

    tokenizer_config.json comes first; tokenizer.json is used if it says nothing.
    """
    source = os.path.join(os.path.dirname(path), CONFIG)
    config = _json(source) if os.path.exists(source) else {}
    if config.get('do_lower_case') is None:
        other = os.path.join(os.path.dirname(path), 'tokenizer.json')
        normalizer = os.path.exists(other) and _json(other).get('normalizer')
        if normalizer:
            kind = normalizer.get('type') if isinstance(normalizer, dict) else normalizer
            if kind != 'BertNormalizer' or kind is normalizer:
                raise DataError(f"{other}: its normalizer is {brief(kind)}, not BERT's; "
                                f"set do_lower_case in {source}")
            source, config = other, {'do_lower_case': normalizer.get('lowercase'),
                                     'strip_accents': normalizer.get('strip_accents'),
                                     'tokenize_chinese_chars':
                                         normalizer.get('handle_chinese_chars', True)}
    values = (config.get('do_lower_case'), config.get('strip_accents'),
              config.get('tokenize_chinese_chars', True))
    if not all(value is None or isinstance(value, bool) for value in values):
        raise DataError(f"{source}: the casing ({', '.join(map(brief, values))}) must be "
                        'true, false or null')
    return values


def _lines(path):
    with open(path, 'rb') as file:
        content = decode(file.read(), path)
    # not splitlines(): U+2028 and the like are tokens of some vocabularies
    tokens = [line.rstrip('\r') for line in content.split('\n')]
    while tokens and not tokens[-1]:
        tokens.pop()
    return tokens


def _json(path):
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f'{path}: JSON, but not an object in braces')
    return content


def _tokenizer_json(path):
    content = _json(path)
    try:
        model = content['model']
        kind, prefix = model.get('type', 'WordPiece'), model.get('continuing_subword_prefix')
        ids = dict(model['vocab'])
        ids.update((token['content'], token['id']) for token in content.get('added_tokens', ())
                   if token['content'] in SPECIALS)
        splits = (content.get('pre_tokenizer') or {}).get('type')
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DataError(f"{path}: not a Hugging Face tokenizer.json; use that of a BERT model"
                        ) from None
    if kind != 'WordPiece' or prefix != '##':
        raise DataError(f"{path}: a {brief(kind)} model with the prefix {prefix!r}; BERT's is "
                        "WordPiece with '##'; use the tokenizer files of a BERT model")
    if splits not in (None, 'BertPreTokenizer'):
        raise DataError(f"{path}: its pre_tokenizer is {brief(splits)}, not BERT's, which splits "
                        'at spaces and punctuation marks; use the tokenizer files of a BERT model')
    if ids and all(map(_is_id, ids.values())) and max(ids.values()) < 2 * len(ids):
        # an id without a token is that of a doubled line of vocab.txt, of which the last counts
        by_id = {i: token for token, i in ids.items()}
        return [by_id.get(i, '') for i in range(max(by_id) + 1)]
    return _by_id(path, ids)


def _is_id(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _by_id(path, ids):
    """A table token -> id as a list of tokens."""
    try:
        tokens = sorted(ids, key=ids.get)
        if [ids[token] for token in tokens] == list(range(len(tokens))):
            return tokens
    except (AttributeError, TypeError):
        pass
    raise DataError(f'{path}: has no table of tokens with the ids 0, 1, 2, ...; download it again')


def _sentencepiece(path):
    """The model's pieces, then [CLS], [SEP] and [MASK] with gluonnlp's ids, in any order."""
    try:
        import sentencepiece
    except ModuleNotFoundError:
        raise DataError(f'{path} is a SentencePiece model; to read it: pip install '
                        'sentencepiece') from None
    with open(path, 'rb') as file:
        content = file.read()
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        if not content:             # which sentencepiece accepts
            raise RuntimeError
    except RuntimeError:
        raise DataError(f'{path}: not a complete SentencePiece model; download it again') from None
    from gluonnlp.vocab import BERTVocab
    return BERTVocab.from_sentencepiece(path).idx_to_token, processor
