"""Labels of a model and of a task that are spelled in different ways, or are in another order."""
import logging
import random

import pytest
from helpers import refused

from bert.data import labels
from bert.data.labels import model_order, translate

RTE = ('entailment', 'not_entailment')


@pytest.mark.parametrize('model, order', [
    (('entailment', 'not_entailment'), RTE),
    (('NOT_ENTAILMENT', 'ENTAILMENT'), RTE[::-1]),
    (('Not Entailment', 'Entailment'), RTE[::-1]),
    (('not-entailment', 'entailment'), RTE[::-1]),
])
def test_spelling_does_not_matter_and_order_is_the_models(model, order):
    assert model_order(RTE, model, 2, 'm') == order


def test_names_that_mean_nothing_to_the_task_are_refused():
    line = refused(model_order, ('0', '1'), ('paraphrase', 'not_paraphrase'), 2, 'the/model')
    assert line == ('the labels of the task are 0, 1; those of the/model are paraphrase, '
                    'not_paraphrase; state the order of its outputs in labels of the task, '
                    '--labels 0,1 if it is this one')
    assert 'use a model with 2 classes' in refused(model_order, RTE, ('a', 'b', 'c'), 3, 'm')
    assert 'use a model with 2 classes' in refused(model_order, RTE, None, 3, 'm')


def test_the_order_can_be_stated(caplog):
    assert model_order(('0', '1'), ('paraphrase', 'not_paraphrase'), 2, 'm', ('1', '0')) == (
        '1', '0')
    assert model_order(RTE, None, 2, 'm', ('Not Entailment', 'entailment')) == RTE[::-1]
    assert not caplog.records
    for stated in (('1', '1'), ('1',), ('1', 'yes')):
        assert 'name each label of the task once' in refused(
            model_order, ('0', '1'), ('a', 'b'), 2, 'm', stated)


def test_placeholders_are_in_the_order_of_the_task_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert model_order(RTE, None, 2, 'm') == RTE
    assert 'entailment, not_entailment' in caplog.messages[0]


def test_translation():
    known = ('B-PER', 'I-PER', 'O', 'a b', 'A-B')
    assert translate(['b-per', 'O', 'x', 'i_per'], known) == {
        'b-per': 'B-PER', 'O': 'O', 'i_per': 'I-PER'}
    assert translate(['a_b', 'a b'], known) == {'a b': 'a b'}   # the first could be either


def test_labels_mean_the_same_one_by_one_as_all_together():
    def alone(label, known, aliases):
        names = dict(aliases, **{name: name for name in known})
        same = [label] if label in names else [
            name for name in names if labels._key(name) == labels._key(label)]
        return names[same[0]] if len(same) == 1 else None

    draw = random.Random(0)

    def drawn(most):
        return [''.join(draw.choices('aAb-_ 1.', k=draw.randint(1, 3)))
                for _ in range(draw.randint(0, most))]

    for _ in range(500):
        known, given = drawn(8), drawn(20)
        aliases = {name: draw.choice(known) for name in drawn(4) if known}
        expected = {label: alone(label, known, aliases) for label in given}
        assert translate(given, known, aliases) == {
            label: name for label, name in expected.items() if name is not None}


def test_numbers_are_compared_as_numbers():
    assert translate(['1.0', '-1', '2'], ['1', '-1', '0']) == {'1.0': '1', '-1': '-1'}


def test_truth_values_are_0_and_1():
    assert labels.translate(['1', '0.0', 'true'], ['False', 'True']) == {
        '1': 'True', '0.0': 'False', 'true': 'True'}
    assert labels.translate(['TRUE', 'no'], ['0', '1']) == {'TRUE': '1'}
    assert labels.alike(['0', '1', '0.0', 'true', 'No', 'yes']) == [('0', '0.0'), ('1', 'true')]
    assert labels.alike(['a', 'b', '1.5']) == []


def test_several_labels():
    assert labels.multiple(['b', 'a', 'b', '']) == ('b', 'a') == labels.multiple('b, a')
    assert labels.multiple('["b", "a"]') == ('b', 'a') and labels.multiple([1, 0]) == ('1', '0')
    for value in [0.0, 1.0, 0.0], [1, 1], '[0, 0, 0]', '0,1,0':     # as Transformers has them
        with pytest.raises(ValueError, match='in the order of these, with --labels A,B'):
            labels.multiple(value)


def test_lists_of_0_and_1_with_the_labels_that_they_are_about():
    assert labels.multiple([0, 1], ('a', 'b')) == ('b',) == labels.multiple('[0, 1]', ('a', 'b'))
    assert labels.multiple([1.0, 0.0], ('a', 'b')) == ('a',)
    assert labels.multiple([0, 0], ('a', 'b')) == () == labels.multiple([], ('a', 'b'))
    assert labels.multiple([False, True, True], ('2', '1', '0')) == ('1', '0')
    assert labels.multiple([1, 0], ('0', '1')) == ('1', '0')
    assert labels.multiple(['b', 'a'], ('a', 'b')) == ('b', 'a')
    with pytest.raises(ValueError, match='2 numbers 0 and 1, .* but the labels are 3: a, b, c$'):
        labels.multiple([1, 0], 'abc')
    with pytest.raises(ValueError, match='3 numbers 0 and 1, .* but the labels are 2: a, b$'):
        labels.multiple([0, 1, 1], ('a', 'b'))
    with pytest.raises(ValueError, match='name the labels'):
        labels.multiple([1, 1], ('0', '1'))


def test_the_order_of_the_command_line():
    assert labels.parse_order('a, b') == ('a', 'b') and labels.parse_order(None) is None
    with pytest.raises(ValueError, match='--labels a,b,a names a class twice'):
        labels.parse_order('a,b,a')
    with pytest.raises(ValueError, match='empty label'):
        labels.parse_order('a,,b')


def test_class_ids():
    assert labels.class_ids('dev', ['b', None], ('a', 'b')) == [1, None]
    rows = labels.class_ids('dev', [('b',), (), None, ('b', 'a')], ('a', 'b'))
    assert [row if row is None else row.tolist() for row in rows] == [[0, 1], [0, 0], None, [1, 1]]
    assert {row.dtype.name for row in rows if row is not None} == {'uint8'}
    assert labels.class_ids('dev', [.5], None) == [.5]
    assert refused(labels.class_ids, 'dev', ['c'], ('a', 'b')).startswith(
        'the dev data have the label "c", which is not among: a, b; ')
