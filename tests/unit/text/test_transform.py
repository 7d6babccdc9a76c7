"""Sentences and pairs cut to a length, windows over long texts, and words that keep their place."""
import itertools

import pytest

from bert.text import transform
from bert.text.tokenizer import WordPiece
from bert.utils.errors import DataError

LETTERS = [chr(i) for i in range(ord('a'), ord('z') + 1)]
TOK = WordPiece(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + LETTERS
                + ['##' + letter for letter in LETTERS], cased=False)
CLS, SEP, A = TOK.cls_id, TOK.sep_id, 5     # A: the id of 'a'; 'b' is A + 1


def text(length, first=0):
    """A text of ``length`` pieces: 'a b c ...', from the letter number ``first``."""
    return ' '.join(LETTERS[(first + i) % 26] for i in range(length))


def ids(length, first=0):
    return [A + (first + i) % 26 for i in range(length)]


def test_one_text():
    assert transform.pair(TOK, text(3), max_len=5) == ([CLS, A, A + 1, A + 2, SEP], [0] * 5, False)
    assert transform.pair(TOK, text(4), max_len=5) == ([CLS, A, A + 1, A + 2, SEP], [0] * 5, True)
    assert transform.pair(TOK, '') == ([CLS, SEP], [0, 0], False)


def test_two_texts():
    encoded = transform.pair(TOK, text(2), text(1, 9), max_len=6)
    assert encoded.ids == [CLS, A, A + 1, SEP, A + 9, SEP]
    assert encoded.token_types == [0, 0, 0, 0, 1, 1]
    assert not encoded.truncated
    assert transform.pair(TOK, '', text(1)).ids == [CLS, SEP, A, SEP]


def test_a_second_text_without_pieces_is_none():
    assert transform.pair(TOK, text(3), ' \u200b', 5) == transform.pair(TOK, text(3), None, 5)


def cut_one_at_a_time(a, b, room):
    """google-research/bert run_classifier.py, _truncate_seq_pair, on lengths."""
    while a + b > room:
        if a > b:
            a -= 1
        else:
            b -= 1
    return a, b


def test_the_longer_text_is_cut_first():
    for a, b, max_len in itertools.product(range(9), range(1, 9), range(5, 13)):
        kept_a, kept_b = cut_one_at_a_time(a, b, max_len - 3)
        encoded = transform.pair(TOK, text(a), text(b, 13), max_len)
        assert encoded.ids == [CLS] + ids(kept_a) + [SEP] + ids(kept_b, 13) + [SEP]
        assert encoded.token_types == [0] * (kept_a + 2) + [1] * (kept_b + 1)
        assert encoded.truncated is ((kept_a, kept_b) != (a, b))


def test_too_short_a_length():
    with pytest.raises(DataError, match='--max_len 2 has no room .* the text; give 3 or more'):
        transform.pair(TOK, 'a', max_len=2)
    with pytest.raises(DataError, match='--max_len 4 has no room .* each text; give 5 or more'):
        transform.windows(TOK, 'a', 'b', 4, 1)
    assert transform.pair(TOK, text(9), max_len=3).ids == [CLS, A, SEP]
    assert transform.pair(TOK, text(9), text(9), max_len=5).ids == [CLS, A, SEP, A, SEP]


@pytest.mark.parametrize('length, room, stride, expected', [
    (0, 4, 2, [(0, 0)]),
    (4, 4, 2, [(0, 4)]),
    (5, 4, 2, [(0, 4), (1, 5)]),
    (10, 4, 3, [(0, 4), (3, 7), (6, 10)]),
    (11, 4, 3, [(0, 4), (3, 7), (6, 10), (7, 11)]),
    (7, 2, 9, [(0, 2), (2, 4), (4, 6), (5, 7)]),        # a stride over the room leaves no gap
])
def test_spans(length, room, stride, expected):
    assert transform.spans(length, room, stride) == expected


def test_windows_over_one_text():
    assert transform.windows(TOK, text(3), max_len=5, stride=2) == [
        transform.pair(TOK, text(3), max_len=5)]
    found = transform.windows(TOK, text(8), max_len=6, stride=3)
    assert [encoded.ids for encoded in found] == [
        [CLS] + ids(4) + [SEP], [CLS] + ids(4, 3) + [SEP], [CLS] + ids(4, 4) + [SEP]]
    assert not any(encoded.truncated for encoded in found)


def test_windows_over_the_second_text():
    found = transform.windows(TOK, text(3), text(6, 13), max_len=10, stride=2)     # room 7
    assert [encoded.ids for encoded in found] == [
        [CLS] + ids(3) + [SEP] + ids(4, start) + [SEP] for start in (13, 15)]
    assert found[0].token_types == [0] * 5 + [1] * 5
    assert not found[0].truncated


def test_windows_over_the_first_text():
    found = transform.windows(TOK, text(6), text(2, 13), max_len=10, stride=9 - 2)
    assert [encoded.ids for encoded in found] == [
        [CLS] + ids(5, start) + [SEP] + ids(2, 13) + [SEP] for start in (0, 1)]


def test_windows_where_both_texts_are_long():
    found = transform.windows(TOK, text(5), text(6, 13), max_len=10, stride=3)  # half a room: 3
    assert [encoded.ids for encoded in found] == [
        [CLS] + ids(3) + [SEP] + ids(4, start) + [SEP] for start in (13, 15)]
    assert all(encoded.truncated for encoded in found)
    found = transform.windows(TOK, text(6), text(5, 13), max_len=10, stride=3)
    assert [encoded.ids for encoded in found] == [
        [CLS] + ids(4, start) + [SEP] + ids(3, 13) + [SEP] for start in (0, 2)]


def test_windows_lose_nothing_of_the_windowed_text():
    for a, b, max_len, stride in itertools.product(range(0, 12, 2), range(12), (5, 6, 9), (1, 2)):
        found = transform.windows(TOK, text(a), text(b, 13), max_len, stride)
        seen = {i for encoded in found for i in encoded.ids}
        assert all(len(encoded.ids) <= max_len for encoded in found)
        assert len(found) == 1 or {len(encoded.ids) for encoded in found} == {max_len}
        complete = [set(ids(length, first)) <= seen for length, first in ((a, 0), (b, 13))]
        assert complete[b >= a] if found[0].truncated else all(complete)


def test_strides_that_lose_text():
    with pytest.raises(DataError, match='--stride 5 .* --max_len 6 give 1 to 4'):
        transform.windows(TOK, text(9), max_len=6, stride=5)
    with pytest.raises(DataError, match='--stride 0 would leave gaps .* or never advance'):
        transform.windows(TOK, text(9), max_len=6, stride=0)


def test_every_word_has_a_piece():
    assert transform.words(TOK, ['ab', '\u200b', 'c', '\U0001f600', '']) == [
        [A, A + 27], [TOK.unk_id], [A + 2], [TOK.unk_id], [TOK.unk_id]]


def test_owned_spans():
    assert transform.owned_spans(0, 4) == [(0, 0, 0, 0)]
    assert transform.owned_spans(4, 4) == [(0, 4, 0, 4)]
    assert transform.owned_spans(10, 4) == [
        (0, 4, 0, 3), (2, 6, 3, 5), (4, 8, 5, 7), (6, 10, 7, 10)]
    assert transform.owned_spans(2, 1) == [(0, 1, 0, 1), (1, 2, 1, 2)]


def test_the_owner_of_an_item_shows_most_around_it():
    def context(item, span):
        return min(item - span[0], span[1] - 1 - item) if span[0] <= item < span[1] else -1
    for length, room in itertools.product(range(1, 40), range(1, 12)):
        found = transform.owned_spans(length, room)
        owned = [(item, span) for span in found for item in range(*span[2:])]
        assert [item for item, _ in owned] == list(range(length))
        assert all(context(item, span) == max(context(item, other) for other in found)
                   for item, span in owned)
