"""Vectors of words and sentences: against the stored and the plain model, and in files."""
import itertools
import json
import logging
import os

import mxnet as mx
import numpy as np
import pytest
from embeddings import SENTENCES, close
from helpers import TINY
from networks import Whole

from bert import embedding
from bert.checkpoint.weights import read_weights
from bert.data import vectors, windows
from bert.embedding import BertEmbedding
from bert.model.config import BertConfig
from bert.model.parameters import collect, initialize, load_parameters
from bert.utils.errors import DataError
from bert.utils.files import read_json

EXPECTED = dict(np.load(os.path.join(TINY, 'expected.npz')))            # by Transformers
# what is invisible, unknown, very long, of several scripts, or all punctuation
HARD = ['', ' \t ', '\u200b\ufeff', '\U0001f600', 'a\U0001f600b \U0001f468\u200d\U0001f467',
        'good\u200bfilm', 'x' * 201, 'ab' * 50, 'cafe\u0301 na\u00efve', '\u6771\u4eac film',
        '[MASK] [SEP] [PAD]', '...!?!', 'a\x00b\x07', '\u0301', 'the ' * 120, 'e\u0301' * 60,
        '\u2581 good', 'a\u2028b', '## #a']


@pytest.fixture(scope='module')
def plain():
    """ids -> every layer's hidden states of [CLS] ids [SEP], (2, tokens, 32), one row at a time."""
    config = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
    net = Whole(config, pooler=False)
    initialize(net, config)
    load_parameters(net, read_weights(os.path.join(TINY, 'model.safetensors')),
                          'tiny')

    def encode(ids):
        row = mx.nd.array([[2] + ids + [3]], dtype='int32')
        layers = net(row, mx.nd.zeros(row.shape), mx.nd.array([row.shape[1]]))
        return np.stack([layer[0].asnumpy() for layer in layers])
    return encode


def watch(monkeypatch, bert):
    """A list that grows with the (rows, tokens) of each batch."""
    sizes, forward = [], bert._encoder.forward

    def watched(rows, token_types, device):
        sizes.append((len(rows), max(map(len, rows))))
        return forward(rows, token_types, device)
    monkeypatch.setattr(bert._encoder, 'forward', watched)
    return sizes


@pytest.mark.parametrize('layers, expected', [
    ((-1,), [1]), ((2,), [1]), ((1,), [0]), ((-2,), [0]), ((-2, -1), [0, 1]), ((1, 2), [0, 1])])
def test_equals_transformers(monkeypatch, layers, expected):
    bert = BertEmbedding(model=TINY, layers=layers)
    rows = {str(i): EXPECTED['ids'][i, :EXPECTED['lengths'][i]] for i in (0, 2)}     # no pairs
    monkeypatch.setattr(bert._encoder.tokenizer, 'ids', lambda text: rows[text][1:-1].tolist())
    for i, (ids, found) in zip((0, 2), bert.iterate(['0', '2'])):
        assert ids == rows[str(i)][1:-1].tolist()
        assert close(found, EXPECTED['layers'][expected, i, :len(rows[str(i)])].mean(axis=0))


def test_layers_above_the_highest_asked_for_are_not_built():
    names = collect(BertEmbedding(model=TINY, layers=(1,))._net)
    assert any('cells.0.' in name for name in names)
    assert not any('cells.1.' in name for name in names)


@pytest.mark.parametrize('oov_way', ['avg', 'sum', 'last'])
def test_words_by_hand(bert, plain, tok, oov_way):
    text = 'The film was booked, badly \U0001f600 xy!'
    assert tok.tokenize(text) == ['the', 'film', 'was', 'book', '##ed', ',', 'bad', '##ly', '[UNK]',
                                  'x', '##y', '!']
    (tokens, found), = bert([text], oov_way)
    assert tokens == ['the', 'film', 'was', 'booked', ',', 'badly', '[UNK]', 'xy', '!']
    h = plain(tok.ids(text))[-1][1:-1]
    merge = {'avg': lambda a, b: (a + b) / 2, 'sum': lambda a, b: a + b, 'last': lambda a, b: b}
    pair = merge[oov_way]
    expected = [h[0], h[1], h[2], pair(h[3], h[4]), h[5], pair(h[6], h[7]), h[8], pair(h[9], h[10]),
                h[11]]
    assert isinstance(found, list) and close(found, expected)
    assert {(v.dtype, v.shape) for v in found} == {(np.dtype('float32'), (32,))}


def test_the_historical_default_is_the_average(bert):
    text = ['xyz booked']
    assert close(bert(text)[0][1], bert(text, oov_way='avg')[0][1])
    assert close(bert.embedding(text)[0][1], bert(text, 'avg')[0][1])
    assert not close(bert(text)[0][1], bert(text, 'sum')[0][1])
    with pytest.raises(DataError, match='oov_way "mean" is not one of avg, sum, last'):
        bert(text, 'mean')
    with pytest.raises(TypeError, match='one string'):
        bert('a text')


@pytest.mark.parametrize('oov_way', ['avg', 'sum', 'last'])
def test_as_many_vectors_as_words(bert, tok, oov_way):
    found = bert(HARD, oov_way)
    assert len(found) == len(HARD)
    for text, (tokens, rows) in zip(HARD, found):
        firsts = [t for t in tok.tokenize(text) if tok.is_first_subword(t)]
        assert len(tokens) == len(rows) == len(firsts)
        assert all(np.isfinite(row).all() and row.shape == (32,) for row in rows)
        assert all(tokens)
    words = dict(zip(HARD, [tokens for tokens, _ in found]))
    assert words[''] == words[' \t '] == words['\u200b\ufeff'] == words['\u0301'] == []
    assert words['\U0001f600'] == words['x' * 201] == ['[UNK]']
    assert words['good\u200bfilm'] == ['goodfilm'] and words['ab' * 50] == ['ab' * 50]
    assert words['cafe\u0301 na\u00efve'] == ['cafe', 'naive']
    assert words['\u6771\u4eac film'] == ['[UNK]', '[UNK]', 'film']
    assert words['a\u2028b'] == ['a', 'b'] and words['the ' * 120] == ['the'] * 120
    assert bert([]) == []


def test_order_and_padding_change_nothing(bert, plain, tok):
    texts = [' '.join('good' for _ in range(n)) for n in (3, 30, 1, 0, 12, 30, 7)]
    for text, (_, rows) in zip(texts, bert(texts)):
        assert close(np.reshape(rows, (-1, 32)), plain(tok.ids(text))[-1][1:-1])


def test_long_texts_are_windows_and_a_notice(bert, plain, tok, caplog):
    text = ' '.join('abcdefghij'[i % 10] for i in range(70))
    ids, room = tok.ids(text), 38
    with caplog.at_level(logging.WARNING):
        (_, short), (tokens, rows) = bert(['good', text])
    assert len(tokens) == len(rows) == 70
    assert [r.getMessage() for r in caplog.records] == [
        'text 2 has 70 tokens, 72 with [CLS] and [SEP]; it is split into overlapping windows of '
        '40, as are other texts of this length']
    starts = [0, 19, 32]                # of windows of 38, half of that apart, the last one full
    windows = [plain(ids[start:start + room])[-1] for start in starts]
    # between two windows the change is halfway through what both see: 19 to 38, and 32 to 57
    expected = [windows[0][1 + i] if i < 29 else windows[1][1 + i - 19] if i < 45
                else windows[2][1 + i - 32] for i in range(70)]
    assert close(rows, expected)
    assert close(short[0], plain(tok.ids('good'))[-1][1])
    # of a sentence: each token once, and the mean [CLS] and [SEP] of the windows
    cls, sep = (np.mean([window[i] for window in windows], axis=0) for i in (0, -1))
    everything = np.stack([cls] + expected + [sep])
    for pooling, pooled in (('cls', cls), ('mean', everything.mean(axis=0)),
                            ('max', everything.max(axis=0))):
        assert close(next(bert.sentences([text], pooling)), pooled)


def test_max_seq_length_bounds_the_windows(monkeypatch, plain, tok):
    text = 'the film was good and the book was bad'
    narrow = BertEmbedding(model=TINY, max_seq_length=6)
    sizes = watch(monkeypatch, narrow)
    (tokens, rows), = narrow([text])
    assert [width for _, width in sizes] == [6] and tokens == text.split()
    assert not close(rows, plain(tok.ids(text))[-1][1:-1], 1e-2)
    for wrong in 2, 41:
        with pytest.raises(DataError, match=f'max_seq_length {wrong}: .* 3 to 40 tokens'):
            BertEmbedding(model=TINY, max_seq_length=wrong)


def test_batch_size_bounds_a_batch(monkeypatch):
    sizes = {}
    for batch_size in (1, 4, 256):
        small = BertEmbedding(model=TINY, batch_size=batch_size)
        sizes[batch_size] = watch(monkeypatch, small)
        found = np.stack(list(small.sentences(['good ' * (i % 30) for i in range(200)])))
        if batch_size == 1:
            expected = found
        assert close(found, expected)
    assert {rows for rows, _ in sizes[1]} == {1} and max(sizes[4])[0] == 4
    assert max(sizes[256])[0] > 64
    assert max(rows * width for rows, width in sizes[256]) <= 2048      # on a CPU


def test_several_devices():
    texts = ['good ' * (i % 30) for i in range(50)]
    both = BertEmbedding([mx.cpu(0), mx.cpu(1)], model=TINY, batch_size=4)
    one = BertEmbedding(mx.cpu(), model=TINY, batch_size=4)
    assert close(list(both.sentences(texts)), list(one.sentences(texts)), 1e-6)


@pytest.mark.parametrize('pooling', ['cls', 'mean', 'max'])
@pytest.mark.parametrize('normalize', [False, True])
def test_sentences_by_hand(bert, plain, tok, pooling, normalize):
    for text, found in zip(SENTENCES, bert.sentences(SENTENCES, pooling, normalize)):
        h = plain(tok.ids(text))[-1]
        expected = {'cls': h[0], 'mean': h.mean(axis=0), 'max': h.max(axis=0)}[pooling]
        if normalize:
            expected = expected / np.sqrt((expected ** 2).sum())
        assert found.dtype == np.float32 and close(found, expected)
    with pytest.raises(DataError, match='pooling "sum" is not one of cls, mean, max'):
        next(bert.sentences(['a'], 'sum'))


def test_texts_are_taken_and_given_as_a_stream(bert, monkeypatch):
    monkeypatch.setattr(windows, '_CHUNK', 100)
    taken = []

    def source():
        for i in itertools.count():     # without an end
            taken.append(i)
            yield 'good ' * (i % 9)
    for make in bert.words, bert.sentences, bert.iterate:
        del taken[:]
        for given, _ in zip(range(1, 400), make(source())):
            assert given <= len(taken) <= given + 30
    del taken[:]
    for given, (text, _) in zip(range(400), embedding.embed(bert, source(), True, 'max')):
        assert text == 'good ' * (given % 9) and len(taken) <= given + 31


def read_jsonl(path):
    with open(str(path), encoding='utf-8') as f:
        return [json.loads(line) for line in f]


def test_sentences_are_the_same_in_every_format(bert, tmp_path):
    texts = SENTENCES + ['say "yes"\\', '\u6771\u4eac\u2028']
    expected = np.stack(list(bert.sentences(texts)))
    for kind in vectors.FORMATS:
        path = str(tmp_path / ('v' + kind))
        assert vectors.write_sentences(path, zip(texts, bert.sentences(texts)), bert.size) == 7
    npy, npz = np.load(str(tmp_path / 'v.npy')), np.load(str(tmp_path / 'v.npz'))
    assert npy.dtype == npz['vectors'].dtype == np.float32 and npz.files == ['vectors']
    assert (npy == expected).all() and (npz['vectors'] == expected).all()
    assert (np.load(str(tmp_path / 'v.npy'), mmap_mode='r') == expected).all()
    rows = read_jsonl(tmp_path / 'v.jsonl')
    assert [row['text'] for row in rows] == texts
    assert (np.array([row['vector'] for row in rows], np.float32) == expected).all()
    assert sorted(os.listdir(str(tmp_path))) == ['v.jsonl', 'v.npy', 'v.npz']


def test_words_are_the_same_in_every_format(bert, tmp_path):
    items = [(text,) + item for text, item in zip(HARD, bert.words(HARD))]
    for kind in ('.npz', '.jsonl'):
        assert vectors.write_words(str(tmp_path / ('w' + kind)), items, bert.size) == len(HARD)
    npz = np.load(str(tmp_path / 'w.npz'))
    assert npz['vectors'].dtype == np.float32 and npz['offsets'].dtype == np.int64
    assert npz['offsets'][0] == 0 and npz['offsets'][-1] == len(npz['words']) == len(npz['vectors'])
    rows = read_jsonl(tmp_path / 'w.jsonl')
    assert len(npz['offsets']) - 1 == len(rows) == len(items)
    for row, start, end, (text, words, expected) in zip(rows, npz['offsets'], npz['offsets'][1:],
                                                        items):
        assert row['text'] == text and row['tokens'] == words == npz['words'][start:end].tolist()
        assert (npz['vectors'][start:end] == expected).all()
        assert (np.array(row['vectors'], np.float32).reshape(-1, 32) == expected).all()


def test_layers_may_be_an_iterator():
    once, again = (next(BertEmbedding(model=TINY, layers=layers).sentences(['a film'], 'mean'))
                   for layers in (iter([-1, 1]), [-1, 1]))
    assert close([once], [again])


def test_wrong_layers():
    for layer in 0, 3, -3:
        with pytest.raises(DataError, match=f'no layer {layer}; they are 1 to 2'):
            BertEmbedding(model=TINY, layers=(-1, layer))
