"""SQuAD files -> questions."""
import json

import pytest

from bert.data import squad
from bert.data.squad import Answer, Question
from bert.utils.errors import DataError


def squad_file(folder, *qas, context='a b c d b'):
    path = folder / 'squad.json'
    path.write_text(json.dumps({'data': [{'title': 't', 'paragraphs': [
        {'context': context, 'qas': list(qas)}]}]}), encoding='utf-8')
    return str(path)


def qa(id_='1', *answers, **more):
    return dict({'id': id_, 'question': 'who', 'answers': [
        {'text': text, 'answer_start': start} for text, start in answers]}, **more)


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
        path + ': 4 answers are not at their answer_start; using the nearest place where they '
        'occur']


def test_read_skips_what_cannot_be_trained_on_but_scores_it(tmp_path, caplog):
    path = squad_file(tmp_path, qa('lost', ('nowhere', 0)), qa('half', ('nowhere', 0), ('c', 4)),
                      qa('good', ('a', 0)))
    assert [(q.id, q.answers) for q in squad.read(path, train=True)] == [
        ('half', [('c', 4)]), ('good', [('a', 0)])]
    assert [r.getMessage() for r in caplog.records] == [
        path + ': skipped 1 questions whose answers do not occur in the passage (the first is lost)'
    ]
    assert [(q.id, q.answers) for q in squad.read(path, train=False)] == [
        ('lost', [('nowhere', -1)]), ('half', [('nowhere', -1), ('c', 4)]), ('good', [('a', 0)])]


def test_read_questions_without_labels(tmp_path):
    path = squad_file(tmp_path, {'id': '1', 'question': 'who'})
    assert squad.read(path, train=False) == [Question('1', 'who', 'a b c d b', [], False)]
    with pytest.raises(DataError, match='question 1: "answers" is missing'):
        squad.read(path, train=True)
    # the labels were removed
    path = squad_file(tmp_path, qa('1', is_impossible=False))
    assert squad.read(path, train=False) == [Question('1', 'who', 'a b c d b', [], False)]
    with pytest.raises(DataError, match='question 1: "is_impossible" is false, but it has no'):
        squad.read(path, train=True)


@pytest.mark.parametrize('qas, words', [
    ([qa('1', ('a', 0)), qa('1', ('b', 2))], 'question 1: this id occurs twice'),
    ([qa('1', ('a', 0), is_impossible=True)], 'question 1: "is_impossible" is true, but'),
    ([qa('1', ('  ', 0), is_impossible=False)], 'question 1: "is_impossible" is false, but'),
    ([qa('1', ('a', '0'))], 'question 1: "answer_start" must be an integer'),
    ([qa('1', ('a', 0), is_impossible='no')], 'question 1: "is_impossible" must be true or'),
    ([qa('1', ('a', 0), question=None)], 'question 1: "question" must be a string'),
    ([qa(7.5, ('a', 0))], r'paragraphs\[0\].qas\[0\]: "id" must be a string'),
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
    (b'{"data": {}}', '"data" must be a list'),
    (b'{"data": [{"title": "t"}]}', r'data\[0\]: "paragraphs" is missing'),
    (b'{"data": [{"paragraphs": [{"qas": []}]}]}', r'paragraphs\[0\]: "context" is missing'),
    ('{"data": "caf\u00e9"}'.encode('latin-1'), 'not UTF-8'),
])
def test_read_refuses_other_files(tmp_path, content, words):
    path = tmp_path / 'squad.json'
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        squad.read(path, train=False)
    assert str(error.value).startswith(f'{path}:')


def test_questions_from_lines():
    assert squad.from_lines([('line 1', 'who\ta b\tc')]) == [
        Question('line 1', 'who', 'a b\tc', [], False)]
    with pytest.raises(DataError, match='line 2: only one text; give a question and a passage'):
        squad.from_lines([('line 1', 'who\ta'), ('line 2', 'who')])


def test_whole_numbers_are_ids_too(tmp_path):
    path = squad_file(tmp_path, qa(7, ('a', 0)), qa('8', ('a', 0)))
    assert [question.id for question in squad.read(path, train=True)] == ['7', '8']


ROWS = [{'id': 'x', 'title': 't', 'context': 'a b c', 'question': 'q',
         'answers': {'text': ['b'], 'answer_start': [2]}},
        {'id': 'y', 'context': 'a b c', 'question': 'r',
         'answers': {'text': [], 'answer_start': []}}]


@pytest.mark.parametrize('name, text', [
    ('a.json', json.dumps(ROWS)), ('a.json', json.dumps({'data': ROWS})),
    ('a.jsonl', '\n'.join(map(json.dumps, ROWS))),
    ('a.json', '\n'.join(map(json.dumps, ROWS)) + '\n\n')])
def test_rows_of_hugging_face_datasets(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    first, second = squad.read(str(tmp_path / name), train=True)
    assert first == squad.Question('x', 'q', 'a b c', [squad.Answer('b', 2)], False)
    assert second.id == 'y' and second.impossible


def test_json_lines_of_one_line_and_with_a_fault(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(ROWS[0]) + '\n')
    assert [question.id for question in squad.read(str(path), train=True)] == ['x']
    path.write_text(json.dumps(ROWS[0]) + '\n{"id": \n')
    with pytest.raises(DataError) as error:
        squad.read(str(path), train=True)
    assert str(error.value).startswith(f'{path}:2: not JSON (')
    path.write_text('{\n"data": []}}\n')
    with pytest.raises(DataError) as error:
        squad.read(str(path), train=True)
    assert str(error.value).startswith(f'{path}: not JSON (Extra data: line 2 column')


def test_rows_with_an_answer_without_a_place(tmp_path):
    (tmp_path / 'a.json').write_text(json.dumps([dict(ROWS[1], answers={
        'text': ['b'], 'answer_start': []})]))
    with pytest.raises(DataError, match=r'data\[0\]: 1 texts of answers, but 0 answer_start'):
        squad.read(str(tmp_path / 'a.json'), train=True)


def test_questions_without_an_answer_need_version_2(tmp_path, caplog):
    path = squad_file(tmp_path, qa('1', ('a', 0), is_impossible=False), qa('2', is_impossible=True))
    questions = squad.read(path, False)
    for train in True, False:
        squad.check_version(path, questions, True, train)
        squad.check_version(path, questions[:1], False, train)
    assert not caplog.records
    with pytest.raises(DataError, match='1 questions have no answer; add --version_2'):
        squad.check_version(path, questions, False, True)
    squad.check_version(path, questions, False, False)
    assert caplog.messages == [
        f'{path}: 1 questions have no answer, but get one without --version_2']
