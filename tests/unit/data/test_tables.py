"""Examples from the official files of tasks and from a user's; predictions to files."""
import errno
import gzip
import logging
import os
import tracemalloc

import numpy as np
import pytest
from written_tables import read, write

from bert.data import tables, tasks
from bert.data.tables import Example
from bert.data.tasks import Columns
from bert.utils import files
from bert.utils.errors import DataError

MNLI = 'index\tpromptID\tpairID\tgenre\tb1\tb2\tp1\tp2\tsentence1\tsentence2'
STSB = 'index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2'

# task, split, the file's lines, its first example
OFFICIAL = [
    ('MRPC', 'train', ['\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String',
                       '1\t7\t8\tHe said "so.\tSo he said.', '0\t9\t10\tc\td'],
     Example('He said "so.', 'So he said.', '1', '0')),
    ('MRPC', 'test', ['index\t#1 ID\t#2 ID\t#1 String\t#2 String', '5\t7\t8\ta\tb'],
     Example('a', 'b', None, '5')),
    ('QQP', 'dev', ['id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate', '3\t7\t8\ta?\t\t0'],
     Example('a?', '', '0', '3')),
    ('QQP', 'test', ['id\tquestion1\tquestion2', '0\ta?\tb?'], Example('a?', 'b?', None, '0')),
    ('QNLI', 'train', ['index\tquestion\tsentence\tlabel', '0\tq?\ts\tentailment'],
     Example('q?', 's', 'entailment', '0')),
    ('RTE', 'dev', ['index\tsentence1\tsentence2\tlabel', '4\ta\tb\tnot_entailment'],
     Example('a', 'b', 'not_entailment', '4')),
    ('STS-B', 'train', [STSB + '\tscore', '0\tg\tf\t2012\t1\tx\ty\ta\tb\t3.250'],
     Example('a', 'b', 3.25, '0')),
    ('STS-B', 'test', [STSB, '2\tg\tf\t2012\t1\tx\ty\ta\tb'], Example('a', 'b', None, '2')),
    ('CoLA', 'train', ['gj04\t1\t\tBill sings.', 'gj04\t0\t*\tSings bill.'],
     Example('Bill sings.', None, '1', '0')),
    ('CoLA', 'test', ['index\tsentence', '6\tBill sang.'], Example('Bill sang.', None, None, '6')),
    ('MNLI', 'train', [MNLI + '\tlabel1\tgold_label', '0\t' * 8 + 'a\tb\tentailment\tneutral'],
     Example('a', 'b', 'neutral', '0')),
    ('MNLI', 'dev_mismatched', [MNLI + '\tl1\tl2\tl3\tl4\tl5\tgold_label',
                                '9\t' + 'x\t' * 7 + 'a\tb' + '\tneutral' * 5 + '\tcontradiction'],
     Example('a', 'b', 'contradiction', '9')),
    ('MNLI', 'test_matched', [MNLI, '9\t' + 'x\t' * 7 + 'a\tb'], Example('a', 'b', None, '9')),
    ('WNLI', 'train', ['index\tsentence1\tsentence2\tlabel', '0\ta\tb\t1'],
     Example('a', 'b', '1', '0')),
    ('SST', 'dev', ['sentence\tlabel', 'good .\t1'], Example('good .', None, '1', '0')),
    ('SST-2', 'test', ['index\tsentence', '0\tgood .'], Example('good .', None, None, '0')),
    ('AX', 'test', ['index\tsentence1\tsentence2', '0\ta\tb'], Example('a', 'b', None, '0')),
    ('XNLI', 'train', ['premise\thypo\tlabel', '甲\t乙\tcontradictory'],
     Example('甲', '乙', 'contradiction', '0')),
    ('XNLI', 'test', ['premise\thypo', '甲\t乙'], Example('甲', '乙', None, '0')),
    ('LCQMC', 'dev', ['text_a\ttext_b\tlabel', '甲\t乙\t1'], Example('甲', '乙', '1', '0')),
    ('ChnSentiCorp', 'test', ['label\ttext_a', '0\t甲'], Example('甲', None, '0', '0')),
    ('sample', 'train', ['sentence\tlabel', 'a\tpositive'], Example('a', None, 'positive', '0')),
    ('sample-pairs', 'dev', ['sentence1\tsentence2\tlabel', 'a\tb\tparaphrase'],
     Example('a', 'b', 'paraphrase', '0')),
    ('sample-regression', 'dev', ['sentence1\tsentence2\tscore', 'a\tb\t4'],
     Example('a', 'b', 4., '0')),
]


@pytest.mark.parametrize('name,split,lines,first', OFFICIAL)
def test_official_layouts(tmp_path, name, split, lines, first):
    write(tmp_path / (split + '.tsv'), *lines)
    examples = tables.read_official(tasks.get(name), split, str(tmp_path))
    assert examples[0] == first
    assert len(examples) == len(lines) - (lines[0][:4] != 'gj04')


def test_every_task_has_a_layout_tested():
    assert {task.name for task in tasks.TASKS} == {tasks.get(row[0]).name for row in OFFICIAL}


def test_original_mrpc_files_with_labels_in_the_test_set(tmp_path):
    write(tmp_path / 'msr_paraphrase_test.txt',
          '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String', '0\t1\t2\ta\tb', '1\t3\t4\tc\td')
    for split in ('dev', 'test'):
        assert tables.read_official(tasks.get('MRPC'), split, str(tmp_path)) == [
            Example('a', 'b', '0', '0'), Example('c', 'd', '1', '1')]


def test_an_official_file_with_other_columns(tmp_path):
    path = write(tmp_path / 'train.tsv', 'text\tlabel', 'a\t1')
    with pytest.raises(DataError) as error:
        tables.read_official(tasks.get('sample'), 'train', str(tmp_path))
    assert str(error.value) == (
        f'{path}: no column "sentence"; it has: text, label; use the official file, or read this '
        'one as your own with --train_file')


def test_broken_lines_of_qqp_are_left_out_and_counted(tmp_path, caplog):
    path = write(tmp_path / 'train.tsv', 'id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate',
                 '0\t1\t2\ta\tb\t1', '1\t3\t4\tc', 'd\t0', '2\t5\t6\te\tf\t0')
    with caplog.at_level(logging.WARNING):
        examples = tables.read_official(tasks.get('QQP'), 'train', str(tmp_path))
    assert [example.text_a for example in examples] == ['a', 'e']
    assert f'{path}: skipped 2 broken line(s), the first is line 3' in caplog.text


def test_quotation_marks_in_tsv_files_are_told(tmp_path, caplog):
    rows = 'text\tlabel', '"he said ""great"" food"\t1', '"so"\t0', '""\t1'
    for name, told in ('a.tsv', 1), ('a.txt.gz', 1), ('a.csv', 0):
        caplog.clear()
        lines = [row.replace('\t', ',') for row in rows] if name == 'a.csv' else rows
        path = write(tmp_path / name, *lines)
        if name.endswith('.gz'):
            (tmp_path / name).write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        found = tables.read_table(path)
        assert found[0].text_a == ('he said "great" food' if name == 'a.csv' else
                                   '"he said ""great"" food"')
        assert [message for message in caplog.messages if 'doubled ones' in message] == [
            f'{path}: 1 texts have quotation marks around them and doubled ones inside, the first '
            'in line 2; they are part of the text, since fields of .tsv files are not quoted: save '
            'the table as .csv if they should not be'] * told


def test_labels_that_may_mean_the_same_are_told(tmp_path, caplog):
    (tmp_path / 'a.tsv').write_text('text\tlabel\nx\t1.0\ny\t0\nz\t1\n')
    tables.read_files({'train': str(tmp_path / 'a.tsv')}, Columns())
    assert caplog.messages[-1] == (f"{tmp_path / 'a.tsv'}: the labels \"1\" and \"1.0\" are "
                                   'different classes; if they mean the same, correct the data')


def test_numbers_that_may_be_a_regression_are_told(tmp_path, caplog):
    paths = {'train': str(tmp_path / 'a.tsv'), 'dev': str(tmp_path / 'b.tsv')}
    (tmp_path / 'a.tsv').write_text('text\tlabel\nx\t4.83\ny\t0\nz\t1\n')
    (tmp_path / 'b.tsv').write_text('text\tlabel\nx\t0.5\n')
    with pytest.raises(DataError, match='unknown label "0.5".* predict numbers with --regr'):
        tables.read_files(paths, Columns())
    assert caplog.messages[-1] == (f"{paths['train']}: numbers such as 4.83 are read as 3 "
                                   'classes; to predict numbers add --regression')
    caplog.clear()
    (tmp_path / 'a.tsv').write_text('text\tlabel\nx\t2.0\ny\t0\nz\t1\n')
    tables.read_files({'train': paths['train']}, Columns())
    assert 'numbers such as' not in caplog.text


def test_many_labels_are_not_all_shown(tmp_path):
    path = tmp_path / 'a.tsv'
    path.write_text('text\tlabel\n' + ''.join(f'x\tclass{i}\n' for i in range(100)) + 'y\tz\n')
    with pytest.raises(DataError) as caught:
        tables.read_table(str(path), labels=[f'class{i}' for i in range(100)])
    assert '..., correct' not in str(caught.value) and '...; correct it' in str(caught.value)
    assert str(caught.value).count('class') == 40


def test_find_labels():
    def found(*labels):
        return tables.find_labels([Example('', None, label, '') for label in labels])
    assert found('b', 'a', 'b') == ('a', 'b')
    assert found('10', '2', '-1') == ('-1', '2', '10')
    assert found('10', '2', 'x', 'nan') == ('10', '2', 'nan', 'x')
    assert found('nan', '2', '1', '10') == ('1', '10', '2', 'nan')
    with pytest.raises(DataError, match='every training example has the label "a"; .*label_column'):
        found('a', 'a')


def test_submissions(tmp_path):
    path = tmp_path / 'out.tsv'
    tables.write_submission(str(path), tasks.get('RTE'), ['0', '1', '2'], np.array([0, 1, 0]))
    assert read(path) == 'index\tprediction\n0\tnot_entailment\n1\tentailment\n2\tnot_entailment\n'
    tables.write_submission(str(path), tasks.get('STS-B'), ['0', '1', '2'],
                               np.array([-.25, 5.5, 3.14159], dtype='float32'))
    assert read(path) == 'index\tprediction\n0\t0.000\n1\t5.000\n2\t3.142\n'
    tables.write_submission(str(path), tasks.get('sample-regression'), ['0'], [-7.])
    assert read(path) == 'index\tprediction\n0\t-7.000\n'
    assert os.listdir(str(tmp_path)) == ['out.tsv']


def test_predictions_with_probabilities(tmp_path):
    path = tmp_path / 'out.tsv'
    tables.write_predictions(str(path), ['n1', 'n2'], [1, 0], ('no', 'yes'),
                                np.array([[.25, .75], [1, 0]]))
    assert read(path) == ('index\tprediction\tno\tyes\nn1\tyes\t0.250000\t0.750000\n'
                          'n2\tno\t1.000000\t0.000000\n')
    tables.write_predictions(str(path), ['n1'], [1], ('no', 'yes'))
    assert read(path) == 'index\tprediction\nn1\tyes\n'
    tables.write_predictions(str(path), ['n1'], [1.5])
    assert read(path) == 'index\tprediction\nn1\t1.5\n'


def test_probabilities_are_not_held_as_texts(tmp_path):
    probabilities = np.full((1000, 100), 0.01)      # 800 kB; as texts 5.7 MB
    tracemalloc.start()
    try:
        tables.write_predictions(str(tmp_path / 'out.tsv'), ['0'] * 1000, [0] * 1000, ['no'] * 100,
                                 probabilities)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1e6


def test_lengths_that_differ_are_not_cut(tmp_path):
    with pytest.raises(ValueError, match=r'columns of lengths \[2, 1\]'):
        tables.write_submission(str(tmp_path / 'a'), tasks.get('SST'), ['0', '1'], [1])
    with pytest.raises(ValueError, match=r'columns of lengths \[2, 2, 1\]'):
        tables.write_predictions(str(tmp_path / 'a'), '01', [1, 0], 'ab', [[.5, .5]])
    assert not os.listdir(str(tmp_path))


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'out.tsv'
    path.write_text('old', encoding='utf-8')

    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(files.os, 'fsync', full)
    with pytest.raises(DataError, match='out.tsv: cannot be written .No space left on device'):
        tables.write_predictions(str(path), ['0'], [1.])
    assert path.read_text(encoding='utf-8') == 'old'
    assert os.listdir(str(tmp_path)) == ['out.tsv']


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match='cannot be written'):
        tables.write_predictions(str(tmp_path / 'no' / 'out.tsv'), ['0'], [1.])


def test_examples_from_lines():
    assert tables.from_lines([('line 1', 'a b')], pair=False) == [
        Example('a b', None, None, 'line 1')]
    assert tables.from_lines([('line 1', 'a\t')], pair=True) == [Example('a', '', None, 'line 1')]
    with pytest.raises(DataError, match='line 2: the model takes one text, not 2'):
        tables.from_lines([('line 1', 'a'), ('line 2', 'a\tb')], pair=False)
    with pytest.raises(DataError, match='--predict: the model takes two texts, each quoted, not 1'):
        tables.from_lines([('--predict', 'a')], True)
    with pytest.raises(DataError, match='line 1: the model takes two texts, separated by a tab'):
        tables.from_lines([('line 1', 'a')], pair=True)
    assert tables.from_lines([('1', 'a'), ('2', 'a\tb')]) == [
        Example('a', None, None, '1'), Example('a', 'b', None, '2')]
    with pytest.raises(DataError, match='1: the model takes one text, or two, separated by a tab'):
        tables.from_lines([('1', 'a\tb\tc')])


def test_files_of_the_user(tmp_path):
    train = write(tmp_path / 'train.csv', 'text,label', 'x,1', 'y,0')
    test = write(tmp_path / 'test.csv', 'text', 'z')
    paths = {'train': train, 'dev': None, 'test': test}
    examples = tables.read_files(paths, Columns())
    assert [(split, len(rows)) for split, rows in examples.items()] == [('train', 2), ('test', 1)]
    with pytest.raises(DataError, match='unknown label "2"; the labels are: 0, 1'):
        tables.read_files(dict(paths, dev=write(tmp_path / 'dev.csv', 'text,label', 'x,2')),
                          Columns())


def test_splits_of_a_task_that_are_there(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    task = tasks.get('sample')
    write(tmp_path / 'train.tsv', 'sentence\tlabel', 'a\tpositive')
    assert list(tables.read_task(task, ('train', 'test'), str(tmp_path))) == ['train']
    assert caplog.messages == [f'{tmp_path} has no test file of sample: nothing to predict']
    with pytest.raises(DataError, match='has no dev.tsv'):
        tables.read_task(task, ('dev',), str(tmp_path))
