"""WordPiece against stored tokens of the reference, SentencePiece, offsets, copies."""
import json
import multiprocessing
import os
import pickle
import random
from pathlib import Path

import pytest
from helpers import DATA_FOLDER

from bert.text import tokenizer

SPECIALS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
HARD = json.loads((Path(DATA_FOLDER) / 'hard_strings.json').read_text('utf-8'))


def pieces(tok, text):
    """[(token, its stretch of the text)]"""
    ids, starts, ends = tok.ids_and_offsets(text)
    return [(token, text[start:end]) for token, start, end in zip(tok.tokens(ids), starts, ends)]


def expected(row, casing):
    """The reference's tokens, but Transformers' where a word is longer than 100 characters or
    ends in a capital sigma, and of unassigned characters."""
    if casing in row.get('tokenizers', {}):
        return row['tokenizers'][casing]
    if any(len(word) > 100 for word in row['text'].split()):
        return row.get('huggingface', {}).get(casing, row[casing])
    return row[casing]


@pytest.mark.parametrize('casing', ['uncased', 'cased'])
def test_hard_strings(casing):
    tok = tokenizer.WordPiece(HARD['vocabulary'], cased=casing == 'cased')
    found = {row['text']: tok.tokenize(row['text']) for row in HARD['strings']}
    assert found == {row['text']: expected(row, casing) for row in HARD['strings']}
    assert len(found) > 150
    for text in found:
        ids, starts, ends = tok.ids_and_offsets(text)
        assert tok.tokens(ids) == found[text] and ids == tok.ids(text)
        assert starts == sorted(starts) and ends == sorted(ends)
        assert all(0 <= start < end <= len(text) for start, end in zip(starts, ends))
        if tok.cased:       # where characters are dropped, none is changed
            for token, start, end in zip(found[text], starts, ends):
                assert token == '[UNK]' or set(token.replace('##', '')) <= set(text[start:end])


def test_where_huggingface_differs():
    """Only where the docstring says: long words, typed special tokens, composed cased text."""
    for row in HARD['strings']:
        for casing, tokens in row.get('huggingface', {}).items():
            assert tokens != row[casing]
            long_word = any(len(word) > 100 for word in row['text'].split())
            typed = any(special in row['text'] for special in SPECIALS)
            assert long_word or typed or casing == 'cased'


def test_wordpiece_takes_the_longest_piece_first():
    tok = tokenizer.WordPiece(SPECIALS + ['un', 'u', '##aff', '##a', '##able', '##ffable'], False)
    assert tok.tokenize('unaffable') == ['un', '##aff', '##able']
    assert tok.tokenize('unaffably') == ['[UNK]']
    assert tok.ids('unaffable u') == [5, 7, 9, 6]
    assert [tok.pad_id, tok.unk_id, tok.cls_id, tok.sep_id, tok.mask_id] == [0, 1, 2, 3, 4]
    assert len(tok) == 11 and tok.cased is False
    assert tok.is_first_subword('un') and not tok.is_first_subword('##aff')


def test_words_of_101_characters_are_unknown():
    tok = tokenizer.WordPiece(SPECIALS + ['a', '##a'], False)
    assert tok.ids('a' * 100) == [5] + [6] * 99
    assert tok.ids('a' * 101) == [1]
    assert tok.ids_and_offsets('b' * 300 + ' a') == ([1, 5], [0, 301], [300, 302])


def test_a_typed_special_token_is_text_to_a_bare_wordpiece():
    tok = tokenizer.WordPiece(SPECIALS + ['[', ']', 'mask', 'MASK'], False)
    assert tok.tokenize('[MASK]') == ['[', 'mask', ']']
    assert tokenizer.WordPiece(tok.tokens(range(len(tok))), True).ids('[MASK]') == [5, 8, 6]


def test_offsets():
    tok = tokenizer.WordPiece(
        SPECIALS + ['he', '##llo', 'istanbul', '中', '文', '.', '##s', 'a'], cased=False)
    assert pieces(tok, ' He\u0301\u0302llo.') == [
        ('he', 'He\u0301\u0302'), ('##llo', 'llo'), ('.', '.')]
    assert pieces(tok, 'H\u00c9LLO\u0301s') == [
        ('he', 'H\u00c9'), ('##llo', 'LLO\u0301'), ('##s', 's')]
    assert pieces(tok, '\u0130stanbul') == [('istanbul', '\u0130stanbul')]
    assert pieces(tok, 'h\u200be\u00adllo') == [('he', 'h\u200be'), ('##llo', 'llo')]
    assert pieces(tok, 'a中文a') == [('a', 'a'), ('中', '中'), ('文', '文'), ('a', 'a')]
    assert pieces(tok, 'a q\u00fbux, a') == [
        ('a', 'a'), ('[UNK]', 'q\u00fbux'), ('[UNK]', ','), ('a', 'a')]
    assert tok.ids_and_offsets('\u200b \x00\u0301') == ([], [], [])


@pytest.mark.parametrize('cased', [True, False])
@pytest.mark.parametrize('strip_accents', [None, True, False])
def test_ascii_is_cleaned_as_other_text(cased, strip_accents):
    """It takes a short way, but not beside an ideograph."""
    tok, draw = tokenizer.WordPiece(SPECIALS, cased, strip_accents), random.Random(0)
    for i in range(300):
        run = ''.join(map(chr, draw.choices(range(i % 2 * 32, 128), k=draw.randrange(20))))
        assert [list(part) for part in tok._clean(run)] == [
            list(part)[:-1] for part in tok._clean(run + '中')]


def test_accents_and_chinese_characters_as_the_checkpoint_says():
    tokens = SPECIALS + ['caf\u00e9', 'cafe', '中', '文', '中文']
    assert tokenizer.WordPiece(tokens, False, strip_accents=False).ids('CAF\u00c9') == [5]
    assert tokenizer.WordPiece(tokens, True, strip_accents=True).tokenize('caf\u00e9') == ['cafe']
    assert tokenizer.WordPiece(tokens, True).tokenize('中文') == ['中', '文']
    assert tokenizer.WordPiece(tokens, True, split_han=False).tokenize('中文') == ['中文']


def test_save_keeps_ids_and_rules(tmp_path):
    tok = tokenizer.WordPiece(['b', '\u2028'] + SPECIALS + ['caf\u00e9', ''], False,
                              strip_accents=False, split_han=False)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'spm.model').write_text('of another run')
    tok.save(str(tmp_path / 'out'))
    assert sorted(os.listdir(tmp_path / 'out')) == ['tokenizer_config.json', 'vocab.txt']
    config = json.loads((tmp_path / 'out' / 'tokenizer_config.json').read_text(encoding='utf-8'))
    assert config == {'do_lower_case': True, 'strip_accents': False,
                      'tokenize_chinese_chars': False, 'tokenizer_class': 'BertTokenizer'}
    again = tokenizer.load(tmp_path / 'out')
    assert again.ids('CAF\u00c9 B 中b') == tok.ids('CAF\u00c9 B 中b') == [7, 0, 3]
    assert again.tokens(range(8)) == tok.tokens(range(8))


def test_copies_for_other_processes():
    tok = tokenizer.WordPiece(SPECIALS + ['a', '##b'], False)
    assert tok.ids('Ab a') == [5, 6, 5]
    assert pickle.loads(pickle.dumps(tok)).ids_and_offsets('Ab a') == tok.ids_and_offsets('Ab a')
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        assert pool.map(tok.ids, ['Ab', 'c']) == [[5, 6], [1]]


STEMS = ['fig', 'test', 'sell', 'shell', 'jump', 'quick', 'cafe', 'walk', 'box']
ENDINGS = ['', 's', 'ing', 'ed', 'er', 'est', 'ly']


def train(folder, **options):
    """A tiny SentencePiece model: the path of its file."""
    sentencepiece = pytest.importorskip('sentencepiece', reason='trains the model of these tests')
    pytest.importorskip('gluonnlp', reason='numbers the special tokens')
    text = folder / 'text.txt'
    text.write_text(''.join(
        f'the {STEMS[i % 9]}{ENDINGS[i % 7]} of a {STEMS[i * i % 9]}{ENDINGS[i % 5]}\n'
        for i in range(300)))
    options = dict({'vocab_size': 50}, **options)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / 'tiny'), minloglevel=2, **options)
    return str(folder / 'tiny.model')


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return train(tmp_path_factory.mktemp('sentencepiece'))


def test_sentencepiece_ids_are_gluonnlps(model):
    import sentencepiece
    from gluonnlp.vocab import BERTVocab
    theirs = BERTVocab.from_sentencepiece(model)
    processor = sentencepiece.SentencePieceProcessor(model_file=model)
    tok = tokenizer.load(model, cased=False)
    assert len(tok) == 53 and tok.tokens(range(53)) == theirs.idx_to_token
    assert sorted([tok.cls_id, tok.sep_id, tok.mask_id]) == [50, 51, 52]
    assert tok.tokens([tok.cls_id, tok.sep_id, tok.mask_id]) == ['[CLS]', '[SEP]', '[MASK]']
    assert tok.unk_id == processor.unk_id() == tok.pad_id      # this model has no padding piece
    words = ['the', 'cafe', 'dog', '.']
    assert tok.ids('The Caf\u00e9 dog.') == sum(processor.encode(words), [])
    assert [tok.is_first_subword(token) for token in ('\u2581the', 'the')] == [True, False]


def test_sentencepiece_offsets(model):
    text = ' She SELLS caf\u00e9\u0301s, \ufb01gs \U0001f600x'
    for nbest in (0, -1, -1, -1):       # other splits, too
        tok = tokenizer.load(model, cased=False, nbest=nbest, alpha=0.1)
        ids, starts, ends = tok.ids_and_offsets(text)
        covered = {i for start, end in zip(starts, ends) for i in range(start, end)}
        assert covered == {i for i, char in enumerate(text) if char != ' '}
        for token, start, end in zip(tok.tokens(ids), starts, ends):
            assert start < end or token == '\u2581'
            if token == '<unk>':
                assert text[start:end] in (',', '\U0001f600')
            elif '\ufb01' not in text[start:end] and '\u00e9' not in text[start:end]:
                assert token.replace('\u2581', '') == text[start:end].lower()
        assert [text[start] for token, start in zip(tok.tokens(ids), starts)
                if tok.is_first_subword(token)] == ['S', 'S', 'c', ',', '\ufb01', '\U0001f600']


class Pieces:
    """In place of a SentencePiece processor; counts the offsets that are read."""

    class Offsets(list):
        read = 0

        def __getitem__(self, place):
            found = super().__getitem__(place)
            self.read += len(found) if isinstance(place, slice) else 1
            return found

    def __init__(self, pieces, origins):
        self.pieces, self.origins = pieces, self.Offsets(origins)

    def unk_id(self):
        return 0

    def pad_id(self):
        return -1

    def encode(self, word, out_type):
        return self.pieces

    def normalize(self, word, with_offsets):
        return ''.join(self.pieces), self.origins


def test_offsets_of_a_long_word_are_not_read_for_each_of_its_pieces():
    draw = random.Random(0)
    for length in [*range(1, 100), 1000]:
        pieces = [draw.choice(['\u2581', 'a', 'ab', 'abc']) for _ in range(length)]
        word = 'x' * draw.randint(1, 2 * length)
        origins = sorted(draw.choices(range(len(word)), k=len(''.join(pieces)))) + [len(word)]
        expected, position = [], 0
        for piece in pieces:
            start, position = min(origins[position], len(word) - 1), position + len(piece)
            end = start if piece == '\u2581' else next(
                (i for i in origins[position:] if i > origins[position - 1]), len(word))
            expected.append((0, start, end))
        processor = Pieces(pieces, origins)
        tok = tokenizer.SentencePiece(processor, SPECIALS, cased=True)
        assert tok._split(word) == expected
    assert processor.origins.read < 20 * length


@pytest.mark.parametrize('options', [
    {'model_type': 'bpe'}, {'byte_fallback': True, 'vocab_size': 310},
    {'treat_whitespace_as_suffix': True}, {'add_dummy_prefix': False}])
def test_other_sentencepiece_models(tmp_path, options):
    tok = tokenizer.load(train(tmp_path, **options), cased=False)
    text = 'cafes, \U0001f600 x'
    ids, starts, ends = tok.ids_and_offsets(text)
    assert ids == tok.ids(text)
    assert {i for start, end in zip(starts, ends) for i in range(start, end)} == {
        i for i, char in enumerate(text) if char != ' '}
    assert (tok.unk_id in ids) is ('byte_fallback' not in options)


def test_sentencepiece_padding(tmp_path):
    tok = tokenizer.load(train(tmp_path, pad_id=3), cased=False)
    assert tok.pad_id == 3 and tok.tokens([3]) == ['<pad>']


def test_sentencepiece_sampling(model):
    import sentencepiece
    plain = tokenizer.load(model, cased=False)
    tok = tokenizer.load(model, cased=False, nbest=-1, alpha=0.1)
    sentencepiece.set_random_generator_seed(1)
    drawn = {tuple(tok.tokenize('the quick fox')) for _ in range(50)}
    assert len(drawn) > 1
    for tokens in drawn:
        assert ''.join(tokens) == '\u2581the\u2581quick\u2581fox'
    assert {tuple(plain.tokenize('the quick fox')) for _ in range(5)} == {
        tuple(tokenizer.load(model, cased=False, nbest=1).tokenize('the quick fox'))}


def test_sentencepiece_is_saved_and_copied(model, tmp_path):
    tok = tokenizer.load(model, cased=True)
    (tmp_path / 'vocab.txt').write_text('of another run')
    tok.save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ['spm.model', 'tokenizer_config.json']
    with open(model, 'rb') as first, open(tmp_path / 'spm.model', 'rb') as second:
        assert first.read() == second.read()
    again = tokenizer.load(tmp_path)
    assert again.cased and again.cls_id == tok.cls_id
    assert again.ids_and_offsets('the fox') == tok.ids_and_offsets('the fox')
    os.remove(tmp_path / 'spm.model')       # a copy does not need the file
    assert pickle.loads(pickle.dumps(again)).ids_and_offsets(
        'the fox') == tok.ids_and_offsets('the fox')
