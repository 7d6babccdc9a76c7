"""Labels as tables hold them: names, numbers, several of a text, unknown ones."""
import pytest
from helpers import warnings
from written_tables import read, write, wrong

from bert.data import labels, tables, tasks
from bert.data.label_reader import LabelReader
from bert.data.tables import Example
from bert.data.tasks import MULTI_LABEL, REGRESSION, Columns


def test_unlabelled_test_file(tmp_path):
    optional = ['label']
    for lines in ['text', 'x'], ['text,label', 'x,']:
        path = write(tmp_path / 'a.csv', *lines)
        assert tables.read_table(path, optional=optional)[0] == Example('x', None, None, '0')
    path = write(tmp_path / 'a.csv', 'text,label', 'x,1')
    assert tables.read_table(path, optional=optional)[0].label == '1'
    path = write(tmp_path / 'a.json', '{"text": "x", "label": null}')
    assert tables.read_table(path, optional=optional)[0].label is None


def test_labels_that_a_test_file_lacks_in_part(tmp_path, caplog):
    def warned(*rows, **options):
        path = write(tmp_path / 'a.csv', 'text,label', *rows)
        caplog.clear()
        tables.read_table(path, optional=['label'], **options)
        return [message.replace(path, 'a.csv') for message in warnings(caplog)]
    line = ('a.csv: 2 of 4 rows have no label, the first is line 3: the set is predicted, but not '
            'scored')
    assert warned('x,1', 'y,', 'z,0', 'u,') == [line]
    assert warned('x,1', 'y,-1', 'z,0', 'u,-1', labels=['0', '1']) == [line]
    assert warned('x,1', 'y,', 'z,0', 'u,', problem_type=REGRESSION) == [line]
    for rows in ['x,', 'y,'], ['x,-1', 'y,-1'], ['x,0', 'y,1']:
        assert warned(*rows) == []
    assert warned('x,', 'y,a', problem_type=MULTI_LABEL) == []      # none of the labels


@pytest.mark.parametrize('score', ['high', '', 'nan', 'inf'])
def test_bad_scores(tmp_path, score):
    path = write(tmp_path / 'a.tsv', 'text\tscore', 'x\t1', 'y\t' + score)
    assert wrong(path, problem_type=REGRESSION) == f':3: column "score": "{score}" is not a number'


def test_one_class_however_json_spells_it(tmp_path):
    path = write(tmp_path / 'a.jsonl', *(f'{{"text": 1.0, "label": {label}}}'
                                         for label in ('1', '1.0', '"1"', 'true', '0', 'false')))
    examples = tables.read_table(path)
    assert [example.label for example in examples] == ['1'] * 4 + ['0'] * 2
    assert examples[0].text_a == '1.0'


def test_labels_are_read_in_the_spelling_that_is_allowed(tmp_path):
    path = write(tmp_path / 'a.csv', 'text,label', 'x,NOT ENTAILMENT', 'y,Entailment')
    examples = tables.read_table(path, labels=('entailment', 'not_entailment'))
    assert [example.label for example in examples] == ['not_entailment', 'entailment']
    path = write(tmp_path / 'b.csv', 'text,label', 'x,1.0', 'y,equivalent')
    task = tasks.get('MRPC')
    examples = tables.read_table(path, labels=task.labels, aliases=task.label_aliases)
    assert [example.label for example in examples] == ['1', '1']


def test_minus_one_in_a_test_file_is_no_label(tmp_path):
    def found(rows, **options):
        path = write(tmp_path / 'a.csv', 'text,label', *rows)
        return [row.label for row in tables.read_table(path, optional=['label'], **options)]
    assert found(['x,-1', 'y,-1.0']) == [None, None]
    assert found(['x,-1', 'y,1'], labels=['0', '1']) == [None, '1']
    assert found(['x,-1', 'y,1'], labels=['-1', '1']) == ['-1', '1']
    assert found(['x,-1', 'y,1']) == ['-1', '1']
    assert found(['x,-1', 'y,-1'], problem_type=REGRESSION) == [None, None]
    assert found(['x,-1', 'y,2'], problem_type=REGRESSION) == [-1., 2.]


def test_several_labels_of_a_text(tmp_path):
    path = write(tmp_path / 'a.tsv', 'text\tlabels', 'x\tb, a', 'y\t["a"]', 'z\t')
    examples = tables.read_table(path, problem_type=MULTI_LABEL)
    assert [example.label for example in examples] == [('b', 'a'), ('a',), ()]
    assert tables.find_labels(examples) == ('a', 'b')
    path = write(tmp_path / 'a.jsonl', '{"text": "x", "label": ["a", "b"]}',
                 '{"text": "x", "label": []}')
    examples = tables.read_table(path, problem_type=MULTI_LABEL)
    assert [row.label for row in examples] == [('a', 'b'), ()]
    columns = Columns(label=('toxic', 'rude'))
    path = write(tmp_path / 'a.csv', 'text,toxic,rude', 'x,1,0', 'y,0,1.0', 'z,0,0')
    assert [row.label for row in tables.read_table(path, columns, problem_type=MULTI_LABEL)] == [
        ('toxic',), ('rude',), ()]
    path = write(tmp_path / 'b.csv', 'text,toxic,rude', 'x,1,2')
    assert wrong(path, columns, problem_type=MULTI_LABEL) == (
        ':2: column "toxic", "rude": "2" is not 0 or 1; several label columns hold these')
    # pandas writes True and False; in a test file these are labels, too
    for optional in (), ('label',):
        path = write(tmp_path / 'b.csv', 'text,toxic,rude', 'x,True,False', 'y,false,1')
        assert [row.label for row in tables.read_table(
            path, columns, problem_type=MULTI_LABEL, optional=optional)] == [('toxic',), ('rude',)]
    path = write(tmp_path / 'c.csv', 'text,toxic,rude', 'x,yes,no')
    assert '"yes" is not 0 or 1' in wrong(path, columns, problem_type=MULTI_LABEL,
                                          optional=['label'])
    path = write(tmp_path / 'c.csv', 'text,toxic,rude', 'x,NA,?', 'x,,nan')
    assert [row.label for row in tables.read_table(
        path, columns, problem_type=MULTI_LABEL, optional=['label'])] == [None, None]
    path = write(tmp_path / 'c.csv', 'text,toxic,rude', 'x,-1,-1')
    assert tables.read_table(path, columns, problem_type=MULTI_LABEL,
                             optional=['label'])[0].label is None
    tables.write_predictions(str(tmp_path / 'out.tsv'), ['1', '2'], [[0, 1], []], ('a', 'b'))
    assert read(tmp_path / 'out.tsv') == 'index\tprediction\n1\ta,b\n2\t\n'


def test_lists_of_two_numbers_need_labels(tmp_path):
    rows = '{"text": "x", "labels": [0, 1]}', '{"text": "y", "labels": [1, 0]}'
    path = write(tmp_path / 'a.jsonl', *rows)
    assert wrong(path, problem_type=MULTI_LABEL) == (
        ': column "labels": every label is [0, 1] or [1, 0]; if that is 0 or 1 for each of two '
        'labels, name these with --labels A,B; if each text has both classes 0 and 1, add '
        '--labels 0,1')
    assert wrong(path, problem_type=MULTI_LABEL, optional=['label']).startswith(': column "labels"')

    def found(*more, **options):
        path = write(tmp_path / 'b.jsonl', *rows, *more)
        return [row.label for row in tables.read_table(path, problem_type=MULTI_LABEL, **options)]
    assert found(labels=('b', 'a'), order=('b', 'a')) == [('a',), ('b',)]
    assert found(order=('B', 'A')) == [('A',), ('B',)]
    assert found(labels=('0', '1'), order=('0', '1')) == [('0', '1'), ('1', '0')]
    assert found(labels=('0', '1')) == [('0', '1'), ('1', '0')]
    assert found('{"text": "z", "labels": [0]}')[2] == ('0',)
    path = write(tmp_path / 'c.jsonl', *rows, '{"text": "z", "labels": [1, 1]}')
    assert wrong(path, problem_type=MULTI_LABEL).startswith(
        ':3: column "labels": 2 numbers 0 and 1')
    path = write(tmp_path / 'd.csv', 'text,0,1', 'x,1,1')
    columns = Columns(label=('0', '1'))
    assert tables.read_table(path, columns, problem_type=MULTI_LABEL)[0].label == ('0', '1')


def test_many_labels_are_not_compared_anew_for_each_word(monkeypatch):
    compared, key = [], labels._key
    monkeypatch.setattr(labels, '_key', lambda label: compared.append(label) or key(label))
    reader = LabelReader([f'a {i}' for i in range(500)], tasks.SINGLE_LABEL, None, False, None)
    words = [f'A_{i}' for i in range(500)] * 2
    assert [reader.read(word) for word in words] == [f'a {i}' for i in range(500)] * 2
    assert len(compared) == 1000
