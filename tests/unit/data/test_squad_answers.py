"""Answers from logits, mapped back to the passage character for character."""
import json
import math
import os

import numpy as np
import pytest
from squad_questions import VOCABULARY, ask

from bert.data import squad_answers, squad_features
from bert.text import tokenizer
from bert.utils.errors import DataError


@pytest.fixture(scope='module')
def tok():
    return tokenizer.WordPiece(VOCABULARY, cased=False)


def predict_span(question, features, window, start, end, **more):
    """The prediction from logits that are 5 at one start and one end, and -5 elsewhere."""
    starts = [np.full(len(f.ids), -5.0) for f in features]
    ends = [np.full(len(f.ids), -5.0) for f in features]
    starts[window][start] = ends[window][end] = 5
    return squad_answers.predict(question, features, starts, ends, **more)


OFFSETS = [
    # passage, answer, its pieces
    ('Was born (1895-1943).', '1895', ['189', '##5']),              # within a whitespace word
    ('San Jos\u00e9, Caf\u00e9', 'San Jos\u00e9', ['san', 'jose']),
    ('Cafe\u0301 a', 'Cafe\u0301', ['cafe']),                       # a combining accent
    ('a\u00a0b  c\td', 'b  c\td', ['b', 'c', 'd']),                 # every kind of space
    ('x San\u00a0Jose\u3000y', 'San\u00a0Jose', ['san', 'jose']),
    ('在北京市a', '北京', ['北', '京']),
    ('a \U0001f642\U0001f642 b', '\U0001f642\U0001f642', ['[UNK]']),
    ('\U0001f642 b c', 'b', ['b']),                                 # beyond 16 bits before it
    ('e was born', 'was born', ['was', 'born']),
    ('a \u200bb\u200b c', 'b', ['b']),                              # zero-width spaces
]


@pytest.mark.parametrize('context, answer, pieces', OFFSETS)
def test_answers_come_back_character_for_character(tok, context, answer, pieces):
    question = ask(context, answer)
    found, = squad_features.features(question, tok)
    span = slice(found.answer_start, found.answer_end + 1)
    assert tok.tokens(found.ids[span].tolist()) == pieces
    assert predict_span(question, [found], 0, found.answer_start, found.answer_end).text == answer


@pytest.mark.parametrize('context, answer, start, span', [
    ('x Japanese y', 'Japan', 2, 'Japanese'),       # no piece ends within: all of it
    ('x a b y', ' a b ', 1, 'a b'),                 # space at the borders of an answer
    ('a b c', '\u00a0', 1, None),                   # it covers no piece
    ('a b c', 'a b', -1, None),                     # of a file to predict only
])
def test_answers_that_are_not_whole_pieces(tok, context, answer, start, span):
    question = ask(context, answer, start)
    found, = squad_features.features(question, tok)
    if span is None:
        assert (found.answer_start, found.answer_end) == (0, 0)
    else:
        assert context[found.starts[found.answer_start]:found.ends[found.answer_end]] == span


#           [CLS] who [SEP] a   b   c  [SEP] padding
START = [[3.0, 9.0, 9.0, 1.0, 2.0, 0.0, 9.0, 9.0]]
END = [[2.0, 9.0, 9.0, 0.0, 1.0, 4.0, 9.0, 9.0]]
NULL = {'text': '', 'start_logit': 3.0, 'end_logit': 2.0}


@pytest.fixture
def abc(tok):
    question = ask('a b c')
    return question, squad_features.features(question, tok)


def listed(prediction):
    return [(entry['text'], entry['start_logit'] + entry['end_logit'])
            for entry in prediction.nbest]


def test_nbest_by_hand(abc):
    prediction = squad_answers.predict(*abc, START, END, n_best_size=4)
    assert listed(prediction) == [('b c', 6), ('a b c', 5), ('c', 4), ('b', 3)]
    assert prediction.id == 'id' and prediction.text == 'b c' and prediction.null_odds == -1
    total = sum(math.exp(score) for score in (6, 5, 4, 3))
    assert [e['probability'] for e in prediction.nbest] == pytest.approx(
        [math.exp(score) / total for score in (6, 5, 4, 3)])
    large = squad_answers.predict(*abc, np.array(START) + 1000, END, n_best_size=4)
    assert [e['probability'] for e in large.nbest] == [e['probability'] for e in prediction.nbest]
    assert set(prediction.nbest[0]) == {'text', 'probability', 'start_logit', 'end_logit'}


def test_all_spans_are_compared(abc):
    assert len(squad_answers.predict(*abc, START, END).nbest) == 6      # of a b c, and no more
    # the best start is after the best end, so of the best of each no span can be made
    prediction = squad_answers.predict(*abc, [[0, 0, 0, 1, 2, 9, 0]], [[0, 0, 0, 9, 2, 1, 0]], 1)
    assert listed(prediction) == [('a', 10)]


def test_answers_are_not_longer_than_asked(abc):
    assert listed(squad_answers.predict(*abc, START, END, max_answer_length=2)) == [
        ('b c', 6), ('c', 4), ('b', 3), ('a b', 2), ('a', 1)]
    assert listed(squad_answers.predict(*abc, START, END, max_answer_length=1)) == [
        ('c', 4), ('b', 3), ('a', 1)]


def test_half_precision_logits(abc):
    prediction = squad_answers.predict(*abc, np.array(START, 'float16'), np.array(END, 'float16'))
    assert prediction == squad_answers.predict(*abc, START, END)
    json.dumps(prediction.nbest)


def test_same_text_is_listed_once_with_its_best_score(tok):
    question = ask('b b')
    found = squad_features.features(question, tok)
    prediction = squad_answers.predict(question, found, [[0, 0, 0, 1, 5, 0]], [[0, 0, 0, 2, 3, 0]])
    assert listed(prediction) == [('b', 8), ('b b', 4)]


def test_a_span_starts_where_it_has_most_context(tok):
    question = ask('a b c d e f')
    found = squad_features.features(question, tok, max_seq_length=8, doc_stride=2)
    assert [f.max_context[3:7].tolist() for f in found] == [
        [True, True, True, False], [False, True, True, True]]
    flat = [[0] * 8, [0] * 8]
    # d in the first window scores 9 but has more context in the second, where it scores 2
    starts = [[0, 0, 0, 0, 0, 0, 9, 0], [0, 0, 0, 9, 2, 0, 0, 0]]
    prediction = squad_answers.predict(question, found, starts, flat, n_best_size=1,
                                       max_answer_length=1)
    assert listed(prediction) == [('d', 2)]
    # its end may be anywhere in the window
    ends = [[0, 0, 0, 0, 0, 0, 7, 0], [0] * 8]
    assert squad_answers.predict(question, found, flat, ends, 1).text == 'a b c d'


@pytest.mark.parametrize('threshold, text', [
    (-1.001, ''), (-1.0, 'b c'), (-0.999, 'b c'), (5.0, 'b c'), (-9.0, '')])
def test_threshold_decides(abc, threshold, text):
    prediction = squad_answers.predict(*abc, START, END, 3, null_score_diff_threshold=threshold,
                               version_2=True)
    assert prediction.text == text and prediction.null_odds == -1
    assert listed(prediction) == [('b c', 6), ('a b c', 5), ('', 5)]
    assert dict(prediction.nbest[2], probability=None) == dict(NULL, probability=None)


def test_threshold_decides_against_the_first_of_the_list(abc):
    start, end = [[6.0] + START[0][1:]], END
    likely = squad_answers.predict(*abc, start, end, 3, version_2=True)
    assert (likely.text, likely.null_odds, likely.nbest[0]['text']) == ('', 2, '')
    brave = squad_answers.predict(*abc, start, end, 3, null_score_diff_threshold=2, version_2=True)
    assert (brave.text, brave.null_odds, brave.nbest[0]['text']) == ('b c', 2, '')


def test_no_answer_is_always_listed(abc):
    start = [[-9.0] + START[0][1:]]
    assert listed(squad_answers.predict(*abc, start, END, 2, version_2=True)) == [
        ('b c', 6), ('a b c', 5), ('', -7)]
    prediction = squad_answers.predict(*abc, start, END, 2, version_2=True)
    assert sum(e['probability'] for e in prediction.nbest) == pytest.approx(1)


def test_one_best_that_is_no_answer(abc):
    prediction = squad_answers.predict(*abc, [[99.0] + START[0][1:]], END, 1, version_2=True)
    # with the answer that a threshold may withhold
    assert listed(prediction) == [('', 101), ('b c', 6)] and prediction.text == ''
    assert prediction.nbest[0]['probability'] == 1 and prediction.null_odds == 95
    assert squad_answers.without_threshold([prediction])[0].text == 'b c'
    brave = squad_answers.predict(*abc, [[99.0] + START[0][1:]], END, 1,
                                  null_score_diff_threshold=100, version_2=True)
    assert brave.text == 'b c' and squad_answers.as_columns(brave).startswith('b c\t0.0000\t')


def test_version_1_always_answers(abc):
    prediction = squad_answers.predict(*abc, [[99.0] + START[0][1:]], END, 2)
    assert prediction.text == 'b c' and listed(prediction) == [('b c', 6), ('a b c', 5)]


def test_no_answer_scores_as_in_the_window_that_believes_it_least(tok):
    question = ask('a b c d e f')
    found = squad_features.features(question, tok, max_seq_length=8, doc_stride=2)
    starts, ends = [[4] + [0] * 7, [1] + [0] * 7], [[0] * 8, [1] + [0] * 7]
    prediction = squad_answers.predict(question, found, starts, ends, version_2=True)
    assert prediction.null_odds == 2 and prediction.nbest[0]['start_logit'] == 1


@pytest.mark.parametrize('version_2', [True, False])
def test_passage_without_a_word_is_not_answered(tok, version_2):
    question = ask(' ')
    found = squad_features.features(question, tok)
    prediction = squad_answers.predict(question, found, [[1.0, 0, 0, 0]], [[0.5, 0, 0, 0]],
                               null_score_diff_threshold=1e6, version_2=version_2)
    assert prediction.text == '' and prediction.null_odds > 1e6
    assert prediction.nbest == [{'text': '', 'probability': 1.0, 'start_logit': 1.0,
                                 'end_logit': 0.5}]


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_broken_scores_are_an_error(abc, value):
    with pytest.raises(DataError, match='question id: .* not finite'):
        squad_answers.predict(*abc, [START[0][:4] + [value] + START[0][5:]], END)
    with pytest.raises(DataError, match='question id: .* not finite'):
        squad_answers.predict(*abc, START, [END[0][:4] + [value] + END[0][5:]])


def test_equal_scores_rank_the_first_and_shortest(tok):
    question = ask(' '.join('b' * 10))
    found = squad_features.features(question, tok)
    zeros = [[0.0] * len(found[0].ids)]
    prediction = squad_answers.predict(question, found, zeros, zeros, n_best_size=10)
    assert [text for text, _ in listed(prediction)] == [' '.join('b' * n) for n in range(1, 11)]


def test_list_is_filled_however_often_one_text_comes_first(tok):
    question = ask(' '.join('b' * 10))
    found = squad_features.features(question, tok)
    place = np.arange(len(found[0].ids))
    # b: -0.01 * its place; each further b costs 10
    prediction = squad_answers.predict(question, found, [10.0 * place], [-10.01 * place],
                                       n_best_size=2)
    assert [text for text, _ in listed(prediction)] == ['b', 'b b']
    assert [score for _, score in listed(prediction)] == pytest.approx([-0.03, -10.04])


def test_pieces_without_characters_are_no_answer(abc):
    """SentencePiece has pieces for a space: nothing, or space at the border of an answer."""
    question, (found,) = abc
    # a, nothing, and b with the space before it
    feature = found._replace(starts=np.array([-1, -1, -1, 0, 1, 1, -1]),
                             ends=np.array([-1, -1, -1, 1, 1, 3, -1]))
    prediction = squad_answers.predict(question, [feature], START, END, version_2=True)
    assert listed(prediction) == [('b', 6), ('a b', 5), ('', 5), ('a', 2)]


# --- files

def test_write(abc, tmp_path):
    prediction = squad_answers.predict(*abc, START, END, version_2=True)
    chinese = prediction._replace(id='\u5317', text='\u5317\u00a0\ud83d')
    squad_answers.write(str(tmp_path), iter([prediction, chinese]))
    content = {name: json.loads((tmp_path / name).read_bytes().decode('ascii'))
               for name in sorted(os.listdir(str(tmp_path)))}
    assert content == {
        'predictions.json': {'id': 'b c', '\u5317': '\u5317\u00a0\ud83d'},
        'nbest_predictions.json': {'id': prediction.nbest, '\u5317': prediction.nbest},
        'null_odds.json': {'id': -1.0, '\u5317': -1.0}}


def test_failed_write_leaves_the_old_file(abc, tmp_path):
    prediction = squad_answers.predict(*abc, START, END)
    squad_answers.write(str(tmp_path), [prediction])
    with pytest.raises(TypeError):
        squad_answers.write(str(tmp_path), [prediction._replace(text=object())])
    assert json.loads((tmp_path / 'predictions.json').read_text()) == {'id': 'b c'}
    assert sorted(os.listdir(str(tmp_path))) == ['nbest_predictions.json', 'null_odds.json',
                                                 'predictions.json']
