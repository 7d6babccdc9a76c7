"""What the outputs of a model stand for, beside a task's labels or those of the user's data."""
import pytest
from helpers import refused

from bert.data import outputs, tasks
from bert.data.outputs import Outputs
from bert.data.tables import Example
from bert.utils.errors import DataError


def examples(*labels, pair=False):
    return {'dev': [Example('x', 'y' if pair else None, label, str(i))
                    for i, label in enumerate(labels)]}


def model(*labels, count=None, kind=None, **settings):
    return Outputs(count or len(labels), labels or None, kind, settings, 'the/model')


def test_a_task_is_in_the_order_of_the_models_outputs():
    task, _ = outputs.resolve(tasks.get('RTE'), {}, model('ENTAILMENT', 'NOT_ENTAILMENT'))
    assert task.labels == ('entailment', 'not_entailment')
    task, _ = outputs.resolve(tasks.get('MRPC'), {}, model('equivalent', 'not_equivalent'))
    assert (task.labels, task.positive) == (('1', '0'), 0)      # F1 is still that of 1
    line = refused(outputs.resolve, tasks.get('MRPC'), {}, model('paraphrase', 'not_paraphrase'))
    assert '0, 1' in line and 'paraphrase, not_paraphrase' in line and '--labels 0,1' in line
    task, _ = outputs.resolve(tasks.get('MRPC'), {}, model('paraphrase', 'not_paraphrase'),
                              ('1', '0'))
    assert task.labels == ('1', '0')
    assert outputs.resolve(tasks.get('MNLI'), {}, None)[0] == tasks.get('MNLI')


def test_placeholders_are_the_order_of_the_task_with_a_warning(caplog):
    task, _ = outputs.resolve(tasks.get('RTE'), {}, model(count=2))
    assert task.labels == tasks.get('RTE').labels and 'not_entailment' in caplog.messages[0]


def test_a_regression_task_needs_one_output():
    assert outputs.resolve(tasks.get('STS-B'), {}, model('LABEL', count=1))[0].labels is None
    assert 'has 3 outputs' in refused(outputs.resolve, tasks.get('STS-B'), {}, model(count=3))


def test_labels_of_the_data_mean_those_of_the_model():
    task, rows = outputs.resolve(None, examples('Negative', 'POSITIVE', None),
                                 model('positive', 'negative'))
    assert task.labels == ('positive', 'negative')
    assert [row.label for row in rows['dev']] == ['negative', 'positive', None]
    task, rows = outputs.resolve(None, examples(('toxic',), ('RUDE', 'Toxic'), ()),
                                 model('rude', 'toxic'), problem_type=tasks.MULTI_LABEL)
    assert [row.label for row in rows['dev']] == [('toxic',), ('rude', 'toxic'), ()]
    assert task.multi_label and task.metrics == ('micro_f1', 'macro_f1', 'lrap')


def test_a_model_without_names(caplog):
    task, _ = outputs.resolve(None, examples('10', '9'), model(count=2))
    assert task.labels == ('9', '10') and '9, 10' in caplog.messages[0]
    task, _ = outputs.resolve(None, {}, model(count=2))
    assert task.labels == ('LABEL_0', 'LABEL_1')
    task, _ = outputs.resolve(None, {}, model(count=2), ('no', 'yes'))
    assert task.labels == ('no', 'yes')
    assert 'name them with --labels' in refused(outputs.resolve, None, examples('1'),
                                                model(count=3))
    assert 'has 2 outputs' in refused(outputs.resolve, None, {}, model(count=2), ('a', 'b', 'c'))


def test_one_output_is_a_score():
    assert model('relevant').problem_type == model(count=1).problem_type == tasks.REGRESSION
    assert model('a', 'b').problem_type == tasks.SINGLE_LABEL
    assert model('toxic', kind=tasks.MULTI_LABEL).problem_type == tasks.MULTI_LABEL
    with pytest.raises(DataError) as error:
        assert model('a', 'b', kind=tasks.REGRESSION).problem_type
    assert str(error.value) == (
        'the/model: the problem_type in its config.json is "regression", but it has 2 outputs, '
        'and a regression has one; if these are classes, correct it to '
        '"single_label_classification"')
    task, _ = outputs.resolve(None, {}, model('relevant'), problem_type=tasks.REGRESSION)
    assert task.labels is None
    assert 'one output' in refused(outputs.resolve, None, {}, model('x'), ('a',),
                                   tasks.REGRESSION)


def test_one_text_or_two():
    def pair(rows, trained):
        return outputs.resolve(None, rows, trained)[0].pair
    assert pair({}, model('a', 'b')) is None                    # of others: as they come
    assert pair({}, model('a', 'b', pair=True)) is True
    assert pair(examples('a', pair=True), model('a', 'b', pair=True)) is True
    assert pair(examples('a', pair=True), model('a', 'b')) is True
    assert refused(pair, examples('a', pair=True), model('a', 'b', pair=False)) == (
        'the dev data have two texts per example, not one like those of the trained model; name '
        'the columns with --text_columns')
    train = [Example('x', None, label, '0') for label in 'ab']
    assert pair({'train': train}, model('a', 'b', pair=True)) is False      # a new use of a head
    assert 'dev data have two texts per example, not one like the train data' in refused(
        pair, {'train': train, **examples('a', pair=True)}, None)


@pytest.mark.parametrize('trained', [None, model('b', 'a')])
def test_training_takes_the_models_labels_or_those_that_occur(trained):
    rows = {'train': examples('a', 'b')['dev']}
    assert outputs.resolve(None, rows, trained)[0].labels == (
        ('b', 'a') if trained else ('a', 'b'))
