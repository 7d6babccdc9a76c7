"""The files of a vocabulary: read, named where they are bad, and the rules beside them."""
import json

import pytest

from bert.text import tokenizer
from bert.utils.errors import DataError

SPECIALS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']


def write(path, content):
    path.write_bytes(content.encode('utf-8') if isinstance(content, str) else content)
    return str(path)


def lines(*tokens):
    return ''.join(token + '\n' for token in SPECIALS + list(tokens))


def test_vocab_txt_ids_are_the_line_numbers(tmp_path):
    content = '\ufeff' + lines('b', '\u2028', 'a').replace('\n', '\r\n') + '\r\n'
    tok = tokenizer.load(write(tmp_path / 'vocab.txt', content), cased=True)
    assert tok.tokens(range(len(tok))) == SPECIALS + ['b', '\u2028', 'a']


def test_tokenizer_json(tmp_path):
    vocab = {token: i for i, token in enumerate(['a', '##b', 'B'] + SPECIALS[:4])}
    content = {'model': {'type': 'WordPiece', 'continuing_subword_prefix': '##', 'vocab': vocab},
               'normalizer': {'type': 'BertNormalizer', 'lowercase': False, 'strip_accents': None,
                              'handle_chinese_chars': False},
               'added_tokens': [{'id': 7, 'content': '[MASK]'}, {'id': 4, 'content': '[UNK]'}]}
    write(tmp_path / 'tokenizer.json', json.dumps(content))
    tok = tokenizer.load(tmp_path)
    assert (tok.ids('ab B'), tok.mask_id, tok.unk_id, len(tok)) == ([0, 1, 2], 7, 4, 8)
    assert tok.cased and tok.ids('中a') == [4] and tok.ids_and_offsets('中a')[2] == [2]

    content['normalizer']['lowercase'] = True
    write(tmp_path / 'tokenizer.json', json.dumps(content))
    assert not tokenizer.load(tmp_path).cased
    write(tmp_path / 'tokenizer_config.json', '{"do_lower_case": false}')
    assert tokenizer.load(tmp_path).cased               # the config speaks first
    assert not tokenizer.load(tmp_path, cased=False).cased      # and the caller before it


def test_tokenizer_json_that_splits_words_in_another_way(tmp_path):
    vocab = {token: i for i, token in enumerate(SPECIALS)}
    content = {'model': {'continuing_subword_prefix': '##', 'vocab': vocab}}
    for kind in 'BertPreTokenizer', 'Whitespace':
        content['pre_tokenizer'] = {'type': kind}
        path = write(tmp_path / 'tokenizer.json', json.dumps(content))
        if kind == 'BertPreTokenizer':
            assert len(tokenizer.load(path, cased=True)) == 5
        else:
            with pytest.raises(DataError, match="its pre_tokenizer is Whitespace, not BERT's"):
                tokenizer.load(path, cased=True)


def test_of_equal_tokens_the_last_counts(tmp_path):
    tok = tokenizer.load(write(tmp_path / 'vocab.txt', lines('a', 'b', 'a')), cased=True)
    assert tok.ids('a b') == [7, 6] and len(tok) == 8 and tok.tokens([5, 7]) == ['a', 'a']
    tok.save(tmp_path / 'out')
    assert tokenizer.load(tmp_path / 'out').ids('a b') == [7, 6]
    # Transformers' tokenizer.json of the same has no token for the id 5
    vocab = {token: i for i, token in enumerate(SPECIALS)}
    write(tmp_path / 'tokenizer.json', json.dumps({'model': {
        'continuing_subword_prefix': '##', 'vocab': dict(vocab, b=6, a=7)}}))
    tok = tokenizer.load(tmp_path / 'tokenizer.json', cased=True)
    assert tok.ids('a b') == [7, 6] and len(tok) == 8


def test_gluonnlp_vocabulary(tmp_path):
    pytest.importorskip('gluonnlp', reason='writes the vocabulary file of the test')
    from gluonnlp.data import count_tokens
    from gluonnlp.vocab import BERTVocab
    theirs = BERTVocab(count_tokens(['the', 'a', '##b', 'zz', 'a']))
    tok = tokenizer.load(write(tmp_path / 'wiki-0123.vocab', theirs.to_json()), cased=False)
    assert tok.tokens(range(len(tok))) == theirs.idx_to_token
    assert tok.cls_id == theirs[theirs.cls_token] and tok.pad_id == theirs[theirs.padding_token]
    assert tok.ids('the zz ab') == theirs[['the', 'zz', 'a', '##b']]


@pytest.mark.parametrize('token, cased', [('b', False), ('##B', True), ('[unused1]', False)])
def test_casing_from_the_vocabulary_is_said(tmp_path, caplog, token, cased):
    assert tokenizer.load(write(tmp_path / 'vocab.txt', lines('a', token))).cased is cased
    assert f"assuming {'cased' if cased else 'uncased'}," in caplog.text
    caplog.clear()
    assert tokenizer.load(tmp_path, cased=not cased).cased is not cased
    assert not caplog.text


@pytest.mark.parametrize('name, content, message', [
    ('vocab.txt', '', 'vocab.txt: the vocabulary is empty'),
    ('vocab.txt', '[PAD]\n[UNK]\n[SEP]\na\n', r'vocab.txt: no \[CLS\] \[MASK\] among its 4 tokens'),
    ('vocab.txt', lines('a').encode() + b'b\xff\n', 'vocab.txt:7: not UTF-8'),
    ('a.vocab', '<unk>\t0\n', 'a.vocab: not JSON'),
    ('a.vocab', '[1]', 'a.vocab: JSON, but not an object'),
    ('a.vocab', '{"idx_to_token": ["a"]}', 'a.vocab: has no table of tokens'),
    ('a.vocab', '{"token_to_idx": {"a": 0, "b": 2}}', 'a.vocab: has no table of tokens'),
    ('tokenizer.json', '{"model": "x"}', "not a Hugging Face tokenizer.json"),
    ('tokenizer.json', '{"model": {"type": "BPE", "vocab": {}}}', 'tokenizer.json: a BPE model'),
    ('config.json', '{}', 'no vocabulary in this folder'),
])
def test_bad_vocabularies(tmp_path, name, content, message):
    write(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        tokenizer.load(tmp_path)


@pytest.mark.parametrize('name, content, message', [
    ('tokenizer_config.json', '{"do_lower_case": "yes"}', r'casing \(yes, None, True\)'),
    ('tokenizer_config.json', '{', 'tokenizer_config.json: not JSON'),
    ('tokenizer.json', '{"normalizer": {"type": "NFKC"}}', 'its normalizer is NFKC'),
])
def test_bad_neighbours_of_a_vocabulary(tmp_path, name, content, message):
    write(tmp_path / 'vocab.txt', lines('a'))
    write(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        tokenizer.load(tmp_path / 'vocab.txt')


def test_missing_and_ambiguous_paths(tmp_path):
    with pytest.raises(DataError, match='nowhere: no such file or folder'):
        tokenizer.load(tmp_path / 'nowhere')
    write(tmp_path / 'a.vocab', '{}')
    write(tmp_path / 'b.vocab', '{}')
    with pytest.raises(DataError, match=r'2 files \*\.vocab; name the file to use'):
        tokenizer.load(tmp_path)


@pytest.mark.parametrize('content', [b'', b'the\n', b'\x0a\xff\xff'])
def test_damaged_sentencepiece_models(tmp_path, content):
    pytest.importorskip('sentencepiece', reason='reads the models')
    write(tmp_path / 'spm.model', content)
    with pytest.raises(DataError, match='spm.model: not a complete SentencePiece model'):
        tokenizer.load(tmp_path)
