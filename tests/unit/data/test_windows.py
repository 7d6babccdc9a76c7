"""Texts in windows: every token's vector from the right window, batches in bounds."""
import numpy as np
import pytest
from helpers import TINY

from bert.data import windows
from bert.text import tokenizer


class Result:
    """What MXNet returns: an array to be had later."""

    def __init__(self, array):
        self.asnumpy = lambda: array


def forward(ids, token_types, device):
    """For each token a vector: its id, its place in the row, the row's length."""
    assert [len(row) for row in ids] == [len(row) for row in token_types]
    return Result(np.array([[token, i, len(row)] for row in ids for i, token in enumerate(row)],
                           np.float32))


@pytest.fixture(scope='module')
def tok():
    return tokenizer.load(TINY)


@pytest.mark.parametrize('batch_size, batch_tokens', [(256, 2048), (1, 2048), (256, 10)])
def test_vectors_come_from_the_window_that_shows_most(tok, batch_size, batch_tokens):
    encode = windows.WindowEncoder(tok, forward, ['a', 'b'], 3, 10, batch_size, batch_tokens)
    texts = ['a b c d e f g h i j k l', 'good film', '', 'a b c d e f g h']
    found = list(encode(texts))
    assert [ids for ids, _ in found] == [tok.ids(text) for text in texts]
    for ids, vectors in found:
        assert vectors.dtype == np.float32
        assert vectors[:, 0].tolist() == [tok.cls_id, *ids, tok.sep_id]
    # 12 tokens in windows of 8 that start at 0 and 4: the first has those before 6
    assert found[0][1][1:-1, 1].tolist() == [1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7, 8]
    assert found[3][1][:, 1].tolist() == list(range(10))


def test_batches_are_in_bounds_and_devices_take_turns(tok):
    calls = []

    def watched(ids, token_types, device):
        calls.append((device, len(ids), sum(map(len, ids))))
        return forward(ids, token_types, device)
    encode = windows.WindowEncoder(tok, watched, ['a', 'b'], 3, 40, 4, 60)
    assert len(list(encode(['good ' * (i % 20) for i in range(50)]))) == 50
    assert {device for device, _, _ in calls} == {'a', 'b'}
    assert max(rows for _, rows, _ in calls) == 4
    assert max(tokens for _, _, tokens in calls) <= 60


@pytest.mark.parametrize('oov_way, expected', [('avg', [1, 2.5, 4]), ('sum', [1, 5, 4]),
                                               ('last', [1, 3, 4])])
def test_subwords_become_words(tok, oov_way, expected):
    ids = tok.ids('the booked film')
    assert tok.tokens(ids) == ['the', 'book', '##ed', 'film']
    vectors = np.array([[1], [2], [3], [4]], np.float32)
    words, merged = windows.merge_subwords(tok, ids, vectors, oov_way)
    assert words == ['the', 'booked', 'film'] and merged.ravel().tolist() == expected


def test_no_subwords_are_no_words(tok):
    words, merged = windows.merge_subwords(tok, [], np.zeros((0, 3), np.float32), 'avg')
    assert words == [] and merged.shape == (0, 3)


def test_one_string_is_not_a_list(tok):
    with pytest.raises(TypeError, match='one string'):
        next(windows.WindowEncoder(tok, forward, ['a'], 3, 10, 1, 10)('a text'))
