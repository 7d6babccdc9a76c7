import logging

import pytest

from bert.data import tasks
from bert.metrics import classification
from bert.utils.errors import DataError


def test_the_table_is_sound():
    names = [name for task in tasks.TASKS for name in (task.name,) + task.aliases]
    assert len({name.lower().replace('-', '') for name in names}) == len(names)
    for task in tasks.TASKS:
        assert set(task.metrics) <= set(classification.METRICS), task.name
        for split in task.splits:
            assert len(task.columns_of(split).texts) == (2 if task.pair else 1), task.name
        assert (task.labels is None) == (task.metrics == ('pearson', 'spearman'))


@pytest.mark.parametrize('spelling,name', [
    ('mrpc', 'MRPC'), ('sst', 'SST'), ('SST-2', 'SST'), ('sst_2', 'SST'), ('SST2', 'SST'),
    ('stsb', 'STS-B'), ('sts_b', 'STS-B'), ('cola', 'CoLA'), ('chnsenticorp', 'ChnSentiCorp'),
    ('ax', 'AX'), ('Sample_Pairs', 'sample-pairs'), ('sample-classification', 'sample')])
def test_names_in_any_spelling(spelling, name):
    assert tasks.get(spelling).name == name


def test_unknown_name_tells_the_closest_and_all():
    with pytest.raises(DataError) as error:
        tasks.get('MRCP')
    assert str(error.value).startswith('unknown task "MRCP", did you mean MRPC?; the tasks are: '
                                       'MRPC, QQP, QNLI, RTE, STS-B, CoLA, MNLI, WNLI, SST, AX, ')
    with pytest.raises(DataError, match='unknown task "zzz"; the tasks are.*--train_file'):
        tasks.get('zzz')


def test_label_order_is_that_of_gluonnlp():
    for name in ('MNLI', 'AX', 'XNLI'):
        assert tasks.get(name).labels == ('neutral', 'entailment', 'contradiction')
    for name in ('RTE', 'QNLI'):
        assert tasks.get(name).labels == ('not_entailment', 'entailment')
    for name in ('MRPC', 'QQP', 'CoLA', 'SST', 'WNLI', 'LCQMC', 'ChnSentiCorp'):
        assert tasks.get(name).labels == ('0', '1')
    assert tasks.get('STS-B').labels is None


def test_the_first_metric_is_the_official_one():
    first = {task.name: task.metrics for task in tasks.TASKS}
    assert first['MRPC'] == first['QQP'] == ('accuracy', 'f1')
    assert first['STS-B'] == ('pearson', 'spearman')
    assert first['CoLA'] == ('matthews',)
    assert first['MNLI'] == first['SST'] == ('accuracy',)


def test_submission_names_are_those_of_glue():
    names = [task.submission(split) for task in tasks.TASKS[:10] for split in task.test]
    assert names == ['MRPC.tsv', 'QQP.tsv', 'QNLI.tsv', 'RTE.tsv', 'STS-B.tsv', 'CoLA.tsv',
                     'MNLI-m.tsv', 'MNLI-mm.tsv', 'WNLI.tsv', 'SST-2.tsv', 'AX.tsv']


def test_splits():
    assert tasks.get('MNLI').splits == ('train', 'dev_matched', 'dev_mismatched', 'test_matched',
                                        'test_mismatched')
    assert tasks.get('AX').splits == ('test',)


def test_custom():
    assert tasks.custom(True).metrics == ('pearson', 'spearman')
    assert tasks.custom(False, ['no', 'yes']).metrics == ('accuracy', 'f1')
    task = tasks.custom(False, ['a', 'b', 'c'])
    assert (task.labels, task.metrics, task.pair) == (('a', 'b', 'c'), ('accuracy', 'macro_f1'),
                                                      False)


def test_official_file(tmp_path, caplog):
    caplog.set_level(logging.INFO, 'bert.data.tasks')
    task = tasks.get('MRPC')
    with pytest.raises(DataError) as error:
        tasks.official(task, 'dev', str(tmp_path))
    assert str(error.value) == (
        f'{tmp_path} has no dev.tsv or msr_paraphrase_test.txt, the dev file of MRPC; put it there '
        'or name another folder with --data_dir')

    (tmp_path / 'msr_paraphrase_test.txt').touch()
    assert tasks.official(task, 'dev', str(tmp_path)) == (
        str(tmp_path / 'msr_paraphrase_test.txt'), task.columns)
    assert 'has no dev.tsv; the dev set is msr_paraphrase_test.txt' in caplog.text

    (tmp_path / 'dev.tsv').touch()
    assert tasks.official(task, 'dev', str(tmp_path))[0] == str(tmp_path / 'dev.tsv')
