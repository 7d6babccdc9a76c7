"""SQuAD files, windows, and answers mapped back to the passage character for character."""
import json
import math
import os

import numpy as np
import pytest
from helpers import DATA_FOLDER

from bert.data import squad
from bert.data.squad import Answer, Question
from bert.text import tokenizer
from bert.utils.errors import DataError

VOCABULARY = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'who', *'abcdefghijxyz', 'cafe', 'san',
              'jose', 'was', 'born', '189', '##5', '1943', *'-().,', 'japanese', *'北京在']
CLS, SEP, WHO = 2, 3, 5

with open(os.path.join(DATA_FOLDER, 'squad_reference.json'),
          encoding='utf-8') as _file:
    REFERENCE = json.load(_file)


@pytest.fixture(scope='module')
def tok(tmp_path_factory):
    path = tmp_path_factory.mktemp('vocabulary') / 'vocab.txt'
    path.write_text('\n'.join(VOCABULARY) + '\n', encoding='utf-8')
    return tokenizer.load(str(path), cased=False)


def ask(context, answer=None, start=None, question='who'):
    """A question on ``context``; impossible without an answer."""
    answers = []
    if answer is not None:
        answers = [Answer(answer, context.index(answer) if start is None else start)]
    return Question('id', question, context, answers, not answers)


def squad_file(folder, *qas, context='a b c d b'):
    path = folder / 'squad.json'
    path.write_text(json.dumps({'data': [{'title': 't', 'paragraphs': [
        {'context': context, 'qas': list(qas)}]}]}), encoding='utf-8')
    return str(path)


def qa(id_='1', *answers, **more):
    return dict({'id': id_, 'question': 'who', 'answers': [
        {'text': text, 'answer_start': start} for text, start in answers]}, **more)


# --- reading

def test_read_both_versions(tmp_path):
    path = squad_file(tmp_path, qa('old', ('b', 2), ('b c', 2)),
                      qa('new', ('d', 6), is_impossible=False),
                      qa('none', is_impossible=True, plausible_answers=[{'text': 'a'}]))
    for train in (True, False):
        assert squad.read(path, train) == [
            Question('old', 'who', 'a b c d b', [Answer('b', 2), Answer('b c', 2)], False),
            Question('new', 'who', 'a b c d b', [Answer('d', 6)], False),
            Question('none', 'who', 'a b c d b', [], True)]


def test_read_takes_the_nearest_occurrence(tmp_path, caplog):
    path = squad_file(tmp_path, qa('left', ('b', 3)), qa('right', ('b', 7)),
                      qa('before', ('b', -6)), qa('space', ('x y', 3)), qa('good', ('c', 4)),
                      context='a b c d b x\u00a0 y')
    answers = {q.id: q.answers[0] for q in squad.read(path, train=True)}
    assert answers == {'left': ('b', 2), 'right': ('b', 8), 'before': ('b', 2),
                       'space': ('x\u00a0 y', 10), 'good': ('c', 4)}
    assert [r.getMessage() for r in caplog.records] == [
        path + ': 4 answers are not at their answer_start; taken at the nearest place where they '
        'occur']


def test_read_skips_what_cannot_be_trained_on_but_scores_it(tmp_path, caplog):
    path = squad_file(tmp_path, qa('lost', ('nowhere', 0)), qa('half', ('nowhere', 0), ('c', 4)),
                      qa('good', ('a', 0)))
    assert [(q.id, q.answers) for q in squad.read(path, train=True)] == [
        ('half', [('c', 4)]), ('good', [('a', 0)])]
    assert [r.getMessage() for r in caplog.records] == [
        path + ': 1 questions skipped, their answers do not occur in the passage (the first is '
        'lost)']
    assert [(q.id, q.answers) for q in squad.read(path, train=False)] == [
        ('lost', [('nowhere', -1)]), ('half', [('nowhere', -1), ('c', 4)]), ('good', [('a', 0)])]


def test_read_questions_without_labels(tmp_path):
    path = squad_file(tmp_path, {'id': '1', 'question': 'who'})
    assert squad.read(path, train=False) == [Question('1', 'who', 'a b c d b', [], False)]
    with pytest.raises(DataError, match='question 1: "answers" is missing'):
        squad.read(path, train=True)


@pytest.mark.parametrize('qas, words', [
    ([qa('1', ('a', 0)), qa('1', ('b', 2))], 'question 1: this id occurs twice'),
    ([qa('1', ('a', 0), is_impossible=True)], 'question 1: "is_impossible" is true, yet'),
    ([qa('1', ('  ', 0), is_impossible=False)], 'question 1: "is_impossible" is false, yet'),
    ([qa('1', ('a', '0'))], 'question 1: "answer_start" has to be an integer'),
    ([qa('1', ('a', 0), is_impossible='no')], 'question 1: "is_impossible" has to be true or'),
    ([qa('1', ('a', 0), question=None)], 'question 1: "question" has to be a string'),
    ([qa(7, ('a', 0))], r'paragraphs\[0\].qas\[0\]: "id" has to be a string'),
    ([{'question': 'who'}], r'paragraphs\[0\].qas\[0\]: "id" is missing'),
    (['text'], r'paragraphs\[0\].qas\[0\]: "id" is missing'),
    ([], 'has no questions; a SQuAD file is'),
    ([qa('1', ('nowhere', 0))], 'has no questions left'),
])
def test_read_names_what_is_wrong(tmp_path, qas, words):
    path = squad_file(tmp_path, *qas)
    with pytest.raises(DataError, match=words) as error:
        squad.read(path, train=True)
    assert str(error.value).startswith(path + ': ') and '\n' not in str(error.value)


@pytest.mark.parametrize('content, words', [
    (b'{"data": [', 'not JSON'),
    (b'{"version": "1.1"}', '"data" is missing'),
    (b'[]', '"data" is missing'),
    (b'{"data": {}}', '"data" has to be a list'),
    (b'{"data": [{"title": "t"}]}', r'data\[0\]: "paragraphs" is missing'),
    (b'{"data": [{"paragraphs": [{"qas": []}]}]}', r'paragraphs\[0\]: "context" is missing'),
    ('{"data": "caf\u00e9"}'.encode('latin-1'), 'not UTF-8'),
])
def test_read_refuses_other_files(tmp_path, content, words):
    path = tmp_path / 'squad.json'
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        squad.read(path, train=False)
    assert str(error.value).startswith(str(path) + ': ')


# --- features

def test_windows_of_a_long_passage(tok):
    found = squad.features(ask('a b c d e f g h i j', 'e f'), tok, max_seq_length=8, doc_stride=2)
    a = VOCABULARY.index('a')
    assert [f.ids.tolist() for f in found] == [
        [CLS, WHO, SEP, a + n, a + n + 1, a + n + 2, a + n + 3, SEP] for n in (0, 2, 4, 6)]
    assert all(f.segments.tolist() == [0, 0, 0, 1, 1, 1, 1, 1] for f in found)
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
    found = squad.features(ask('a b c d e f', answer), tok, max_seq_length=8, doc_stride=2)
    assert [(f.answer_start, f.answer_end) for f in found] == positions


@pytest.mark.parametrize('case', REFERENCE['windows'])
def test_windows_of_the_stored_reference(tok, case):
    question = ask(' '.join('x' * case['pieces']))
    found = squad.features(question, tok, case['room'] + 4, case['stride'])
    # piece n of the passage starts at character 2 n
    assert [[f.starts[3] // 2, f.starts[-2] // 2 + 1] for f in found] == case['windows']
    best = [k for k, count in case['max_context'] for _ in range(count)]
    expected = [[k == best[n] for n in range(*window)] for k, window in enumerate(case['windows'])]
    assert [f.max_context[3:-1].tolist() for f in found] == expected


def test_windows_of_the_papers_code(tok):
    """Its own example: 'bought' has 4 and 0 pieces of context in span B, 1 and 3 in span C."""
    text = 'the man went to the store and bought a gallon of milk'
    found = squad.features(ask(text), tok, max_seq_length=9, doc_stride=3)
    seen = [[text[s:e] for s, e, best in zip(f.starts, f.ends, f.max_context) if best]
            for f in found]
    assert seen == [['the', 'man', 'went', 'to'], ['the', 'store', 'and'],
                    ['bought', 'a', 'gallon'], ['of', 'milk']]


def test_question_is_cut(tok):
    found, = squad.features(ask('b', question='a b c d'), tok, max_query_length=2)
    assert tok.tokens(found.ids.tolist()) == ['[CLS]', 'a', 'b', '[SEP]', 'b', '[SEP]']
    assert found.segments.tolist() == [0, 0, 0, 0, 1, 1]


def test_short_question_leaves_room_to_the_passage(tok):
    assert len(squad.features(ask('a b c'), tok, max_seq_length=7, max_query_length=4)) == 1
    with pytest.raises(DataError, match='--max_seq_length 4 must exceed'):
        squad.features(ask('a'), tok, max_seq_length=4)
    with pytest.raises(DataError, match='--doc_stride 0 must be positive'):
        squad.features(ask('a'), tok, doc_stride=0)


@pytest.mark.parametrize('context', ['', ' \n', '\u200b'])
def test_passage_without_a_word_has_one_window(tok, context):
    found, = squad.features(ask(context), tok)
    assert found.ids.tolist() == [CLS, WHO, SEP, SEP] and found.segments.tolist() == [0, 0, 0, 1]
    assert found.starts.tolist() == [-1] * 4 and not found.max_context.any()


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
    found, = squad.features(question, tok)
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
    found, = squad.features(question, tok)
    if span is None:
        assert (found.answer_start, found.answer_end) == (0, 0)
    else:
        assert context[found.starts[found.answer_start]:found.ends[found.answer_end]] == span


# --- predictions

def predict_span(question, features, window, start, end, **more):
    """The prediction from logits that are 5 at one start and one end, and -5 elsewhere."""
    starts = [np.full(len(f.ids), -5.0) for f in features]
    ends = [np.full(len(f.ids), -5.0) for f in features]
    starts[window][start] = ends[window][end] = 5
    return squad.predict(question, features, starts, ends, **more)


#           [CLS] who [SEP] a   b   c  [SEP] padding
START = [[3.0, 9.0, 9.0, 1.0, 2.0, 0.0, 9.0, 9.0]]
END = [[2.0, 9.0, 9.0, 0.0, 1.0, 4.0, 9.0, 9.0]]
NULL = {'text': '', 'start_logit': 3.0, 'end_logit': 2.0}


@pytest.fixture
def abc(tok):
    question = ask('a b c')
    return question, squad.features(question, tok)


def listed(prediction):
    return [(entry['text'], entry['start_logit'] + entry['end_logit'])
            for entry in prediction.nbest]


def test_nbest_by_hand(abc):
    prediction = squad.predict(*abc, START, END, n_best_size=4)
    assert listed(prediction) == [('b c', 6), ('a b c', 5), ('c', 4), ('b', 3)]
    assert prediction.id == 'id' and prediction.text == 'b c' and prediction.null_odds == -1
    total = sum(math.exp(score) for score in (6, 5, 4, 3))
    assert [e['probability'] for e in prediction.nbest] == pytest.approx(
        [math.exp(score) / total for score in (6, 5, 4, 3)])
    large = squad.predict(*abc, np.array(START) + 1000, END, n_best_size=4)
    assert [e['probability'] for e in large.nbest] == [e['probability'] for e in prediction.nbest]
    assert set(prediction.nbest[0]) == {'text', 'probability', 'start_logit', 'end_logit'}


def test_all_spans_are_compared(abc):
    assert len(squad.predict(*abc, START, END).nbest) == 6      # of a b c, and no more
    # the best start is after the best end, so of the best of each no span can be made
    prediction = squad.predict(*abc, [[0, 0, 0, 1, 2, 9, 0]], [[0, 0, 0, 9, 2, 1, 0]], 1)
    assert listed(prediction) == [('a', 10)]


def test_answers_are_not_longer_than_asked(abc):
    assert listed(squad.predict(*abc, START, END, max_answer_length=2)) == [
        ('b c', 6), ('c', 4), ('b', 3), ('a b', 2), ('a', 1)]
    assert listed(squad.predict(*abc, START, END, max_answer_length=1)) == [
        ('c', 4), ('b', 3), ('a', 1)]


def test_half_precision_logits(abc):
    prediction = squad.predict(*abc, np.array(START, 'float16'), np.array(END, 'float16'))
    assert prediction == squad.predict(*abc, START, END)
    json.dumps(prediction.nbest)


def test_same_text_is_listed_once_with_its_best_score(tok):
    question = ask('b b')
    found = squad.features(question, tok)
    prediction = squad.predict(question, found, [[0, 0, 0, 1, 5, 0]], [[0, 0, 0, 2, 3, 0]])
    assert listed(prediction) == [('b', 8), ('b b', 4)]


def test_a_span_starts_where_it_has_most_context(tok):
    question = ask('a b c d e f')
    found = squad.features(question, tok, max_seq_length=8, doc_stride=2)
    assert [f.max_context[3:7].tolist() for f in found] == [
        [True, True, True, False], [False, True, True, True]]
    flat = [[0] * 8, [0] * 8]
    # d in the first window scores 9 but has more context in the second, where it scores 2
    starts = [[0, 0, 0, 0, 0, 0, 9, 0], [0, 0, 0, 9, 2, 0, 0, 0]]
    prediction = squad.predict(question, found, starts, flat, n_best_size=1, max_answer_length=1)
    assert listed(prediction) == [('d', 2)]
    # its end may be anywhere in the window
    ends = [[0, 0, 0, 0, 0, 0, 7, 0], [0] * 8]
    assert squad.predict(question, found, flat, ends, 1).text == 'a b c d'


@pytest.mark.parametrize('threshold, text', [
    (-1.001, ''), (-1.0, 'b c'), (-0.999, 'b c'), (5.0, 'b c'), (-9.0, '')])
def test_threshold_decides(abc, threshold, text):
    prediction = squad.predict(*abc, START, END, 3, null_score_diff_threshold=threshold,
                               version_2=True)
    assert prediction.text == text and prediction.null_odds == -1
    assert listed(prediction) == [('b c', 6), ('a b c', 5), ('', 5)]
    assert dict(prediction.nbest[2], probability=None) == dict(NULL, probability=None)


def test_threshold_decides_against_the_first_of_the_list(abc):
    start, end = [[6.0] + START[0][1:]], END
    likely = squad.predict(*abc, start, end, 3, version_2=True)
    assert (likely.text, likely.null_odds, likely.nbest[0]['text']) == ('', 2, '')
    brave = squad.predict(*abc, start, end, 3, null_score_diff_threshold=2, version_2=True)
    assert (brave.text, brave.null_odds, brave.nbest[0]['text']) == ('b c', 2, '')


def test_no_answer_is_always_listed(abc):
    start = [[-9.0] + START[0][1:]]
    assert listed(squad.predict(*abc, start, END, 2, version_2=True)) == [
        ('b c', 6), ('a b c', 5), ('', -7)]
    assert sum(e['probability'] for e in squad.predict(*abc, start, END, 2, version_2=True).nbest
               ) == pytest.approx(1)


def test_one_best_that_is_no_answer(abc):
    prediction = squad.predict(*abc, [[99.0] + START[0][1:]], END, 1, version_2=True)
    assert listed(prediction) == [('', 101)] and prediction.text == ''
    assert prediction.nbest[0]['probability'] == 1 and prediction.null_odds == 95


def test_version_1_always_answers(abc):
    prediction = squad.predict(*abc, [[99.0] + START[0][1:]], END, 2)
    assert prediction.text == 'b c' and listed(prediction) == [('b c', 6), ('a b c', 5)]


def test_no_answer_scores_as_in_the_window_that_believes_it_least(tok):
    question = ask('a b c d e f')
    found = squad.features(question, tok, max_seq_length=8, doc_stride=2)
    starts, ends = [[4] + [0] * 7, [1] + [0] * 7], [[0] * 8, [1] + [0] * 7]
    prediction = squad.predict(question, found, starts, ends, version_2=True)
    assert prediction.null_odds == 2 and prediction.nbest[0]['start_logit'] == 1


@pytest.mark.parametrize('version_2', [True, False])
def test_passage_without_a_word_is_not_answered(tok, version_2):
    question = ask(' ')
    found = squad.features(question, tok)
    prediction = squad.predict(question, found, [[1.0, 0, 0, 0]], [[0.5, 0, 0, 0]],
                               null_score_diff_threshold=1e6, version_2=version_2)
    assert prediction.text == '' and prediction.null_odds > 1e6
    assert prediction.nbest == [{'text': '', 'probability': 1.0, 'start_logit': 1.0,
                                 'end_logit': 0.5}]


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_broken_scores_are_an_error(abc, value):
    with pytest.raises(DataError, match='question id: .* not finite'):
        squad.predict(*abc, [START[0][:4] + [value] + START[0][5:]], END)
    with pytest.raises(DataError, match='question id: .* not finite'):
        squad.predict(*abc, START, [END[0][:4] + [value] + END[0][5:]])


def test_equal_scores_rank_the_first_and_shortest(tok):
    question = ask(' '.join('b' * 10))
    found = squad.features(question, tok)
    zeros = [[0.0] * len(found[0].ids)]
    prediction = squad.predict(question, found, zeros, zeros, n_best_size=10)
    assert [text for text, _ in listed(prediction)] == [' '.join('b' * n) for n in range(1, 11)]


def test_list_is_filled_however_often_one_text_comes_first(tok):
    question = ask(' '.join('b' * 10))
    found = squad.features(question, tok)
    place = np.arange(len(found[0].ids))
    # b: -0.01 * its place; each further b costs 10
    prediction = squad.predict(question, found, [10.0 * place], [-10.01 * place], n_best_size=2)
    assert [text for text, _ in listed(prediction)] == ['b', 'b b']
    assert [score for _, score in listed(prediction)] == pytest.approx([-0.03, -10.04])


def test_pieces_without_characters_are_no_answer(abc):
    """SentencePiece has pieces for a space: nothing, or space at the border of an answer."""
    question, (found,) = abc
    # a, nothing, and b with the space before it
    feature = found._replace(starts=np.array([-1, -1, -1, 0, 1, 1, -1]),
                             ends=np.array([-1, -1, -1, 1, 1, 3, -1]))
    prediction = squad.predict(question, [feature], START, END, version_2=True)
    assert listed(prediction) == [('b', 6), ('a b', 5), ('', 5), ('a', 2)]


# --- files

def test_write(abc, tmp_path):
    prediction = squad.predict(*abc, START, END, version_2=True)
    chinese = prediction._replace(id='\u5317', text='\u5317\u00a0\ud83d')
    squad.write(str(tmp_path), iter([prediction, chinese]))
    content = {name: json.loads((tmp_path / name).read_bytes().decode('ascii'))
               for name in sorted(os.listdir(str(tmp_path)))}
    assert content == {
        'predictions.json': {'id': 'b c', '\u5317': '\u5317\u00a0\ud83d'},
        'nbest_predictions.json': {'id': prediction.nbest, '\u5317': prediction.nbest},
        'null_odds.json': {'id': -1.0, '\u5317': -1.0}}


def test_failed_write_leaves_the_old_file(abc, tmp_path):
    prediction = squad.predict(*abc, START, END)
    squad.write(str(tmp_path), [prediction])
    with pytest.raises(TypeError):
        squad.write(str(tmp_path), [prediction._replace(text=object())])
    assert json.loads((tmp_path / 'predictions.json').read_text()) == {'id': 'b c'}
    assert sorted(os.listdir(str(tmp_path))) == ['nbest_predictions.json', 'null_odds.json',
                                                 'predictions.json']
