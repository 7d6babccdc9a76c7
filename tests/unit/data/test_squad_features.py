"""Windows over the passages of questions."""
import json
import os
import random

import numpy as np
import pytest
from helpers import DATA_FOLDER, warnings
from squad_questions import VOCABULARY, ask

from bert.data import squad_features
from bert.text import tokenizer
from bert.utils.errors import DataError

CLS, SEP, WHO = 2, 3, 5

with open(os.path.join(DATA_FOLDER, 'squad_reference.json'),
          encoding='utf-8') as _file:
    REFERENCE = json.load(_file)


@pytest.fixture(scope='module')
def tok():
    return tokenizer.WordPiece(VOCABULARY, cased=False)


def test_a_warning_only_where_windows_do_not_overlap(tok, caplog):
    def windows(stride):
        return [squad_features.features(ask(text), tok, max_seq_length=8, doc_stride=stride)
                for text in ('a b c d e f g h i j', 'a b c d')]      # room 4: three windows, one
    assert not squad_features.warn_of_gaps(windows(3), 3)
    assert not squad_features.warn_of_gaps(windows(99)[1:], 99)
    assert not warnings(caplog)
    for stride in 4, 99:
        caplog.clear()
        assert squad_features.warn_of_gaps(windows(stride), stride)
        assert warnings(caplog) == [
            f'--doc_stride {stride}: the windows of 1 question(s) do not overlap, answers across '
            'their borders are lost; use 2 or less']


def test_windows_of_a_long_passage(tok):
    found = squad_features.features(ask('a b c d e f g h i j', 'e f'), tok, max_seq_length=8,
                                    doc_stride=2)
    a = VOCABULARY.index('a')
    assert [f.ids.tolist() for f in found] == [
        [CLS, WHO, SEP, a + n, a + n + 1, a + n + 2, a + n + 3, SEP] for n in (0, 2, 4, 6)]
    assert all(f.token_types.tolist() == [0, 0, 0, 1, 1, 1, 1, 1] for f in found)
    assert [f.starts.tolist() for f in found] == [
        [-1, -1, -1, n, n + 2, n + 4, n + 6, -1] for n in (0, 4, 8, 12)]
    assert [f.ends.tolist() for f in found] == [
        [-1, -1, -1, n + 1, n + 3, n + 5, n + 7, -1] for n in (0, 4, 8, 12)]
    # b has 1 left and 2 right of it in the first window; c 2 and 1 there, 0 and 3 in the second
    assert [f.max_context.astype(int).tolist() for f in found] == [
        [0, 0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 0]]
    # e f: cut off in the first window, at the end of the second, the start of the third
    assert [(f.answer_start, f.answer_end) for f in found] == [(0, 0), (5, 6), (3, 4), (0, 0)]
    assert found[0].ids.dtype == found[0].starts.dtype == 'int32'


@pytest.mark.parametrize('answer, positions', [
    ('a', [(3, 3), (0, 0)]), ('d', [(6, 6), (4, 4)]), ('c d', [(5, 6), (3, 4)]),
    ('d e', [(0, 0), (4, 5)]), ('b c', [(4, 5), (0, 0)]), ('f', [(0, 0), (6, 6)]),
    ('b c d e', [(0, 0), (0, 0)]), (None, [(0, 0), (0, 0)])])
def test_answers_at_the_borders_of_windows(tok, answer, positions):
    found = squad_features.features(ask('a b c d e f', answer), tok, max_seq_length=8, doc_stride=2)
    assert [(f.answer_start, f.answer_end) for f in found] == positions


@pytest.mark.parametrize('case', REFERENCE['windows'])
def test_windows_of_the_stored_reference(tok, case):
    question = ask(' '.join('x' * case['pieces']))
    found = squad_features.features(question, tok, case['room'] + 4, case['stride'])
    # piece n of the passage starts at character 2 n
    assert [[f.starts[3] // 2, f.starts[-2] // 2 + 1] for f in found] == case['windows']
    best = [k for k, count in case['max_context'] for _ in range(count)]
    expected = [[k == best[n] for n in range(*window)] for k, window in enumerate(case['windows'])]
    assert [f.max_context[3:-1].tolist() for f in found] == expected


def test_the_window_with_the_most_context_is_that_of_all_compared_at_once():
    def at_once(windows, count):
        position = np.arange(count)
        begin, end = np.array(windows).T[:, :, None]
        score = np.minimum(position - begin, end - 1 - position) + 0.01 * (end - begin)
        score[(position < begin) | (position >= end)] = -1
        return score.argmax(axis=0) == np.arange(len(windows))[:, None]

    draw = random.Random(0)
    for _ in range(500):
        count = draw.randint(0, 300)
        windows = squad_features._windows(count, draw.randint(1, 120), draw.randint(1, 150))
        rows = zip(windows, at_once(windows, count))
        assert [best.tolist() for best in squad_features._max_context(windows, count)] == [
            row[begin:end].tolist() for (begin, end), row in rows]


def test_windows_of_the_papers_code(tok):
    """Its own example: 'bought' has 4 and 0 pieces of context in span B, 1 and 3 in span C."""
    text = 'the man went to the store and bought a gallon of milk'
    found = squad_features.features(ask(text), tok, max_seq_length=9, doc_stride=3)
    seen = [[text[s:e] for s, e, best in zip(f.starts, f.ends, f.max_context) if best]
            for f in found]
    assert seen == [['the', 'man', 'went', 'to'], ['the', 'store', 'and'],
                    ['bought', 'a', 'gallon'], ['of', 'milk']]


def test_question_is_cut(tok):
    found, = squad_features.features(ask('b', question='a b c d'), tok, max_query_length=2)
    assert tok.tokens(found.ids.tolist()) == ['[CLS]', 'a', 'b', '[SEP]', 'b', '[SEP]']
    assert found.token_types.tolist() == [0, 0, 0, 0, 1, 1]


def test_short_question_leaves_room_to_the_passage(tok):
    found, = squad_features.features(ask('a b c'), tok, max_seq_length=7, max_query_length=4)
    assert len(found.ids) == 7
    with pytest.raises(DataError, match='--max_seq_length 4 must exceed'):
        squad_features.features(ask('a'), tok, max_seq_length=4)
    with pytest.raises(DataError, match='--doc_stride 0 must be positive'):
        squad_features.features(ask('a'), tok, doc_stride=0)


@pytest.mark.parametrize('context', ['', ' \n', '\u200b'])
def test_passage_without_a_word_has_one_window(tok, context):
    found, = squad_features.features(ask(context), tok)
    assert found.ids.tolist() == [CLS, WHO, SEP, SEP] and found.token_types.tolist() == [0, 0, 0, 1]
    assert found.starts.tolist() == [-1] * 4 and not found.max_context.any()
