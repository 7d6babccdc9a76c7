import math
import warnings

import numpy as np
import pytest

from bert.metrics import classification


def test_counts_by_hand():
    # class 1: 2 hits, 1 false alarm, 2 misses
    labels = [1, 1, 1, 1, 0, 0, 0, 0]
    predictions = [1, 1, 0, 0, 1, 0, 0, 0]
    got = classification.compute(['accuracy', 'f1', 'macro_f1', 'matthews'], labels, predictions)
    assert got['accuracy'] == 5 / 8
    assert got['f1'] == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert got['macro_f1'] == pytest.approx((4 / 7 + 6 / 9) / 2)
    assert got['matthews'] == pytest.approx((2 * 3 - 1 * 2) / math.sqrt(3 * 4 * 4 * 5))
    assert all(type(value) is float for value in got.values())


def test_scores_of_classes_are_argmaxed():
    scores = [[.1, .2, .7], [2., -1., 0.], [0., 3., 1.], [5., 1., 4.]]     # 2, 0, 1, 0
    assert classification.compute(['accuracy'], [2, 0, 1, 2], scores) == {'accuracy': .75}


def test_f1_is_that_of_class_1_whatever_the_other_classes():
    assert classification.compute(['f1'], [0, 1, 2, 1], [0, 1, 1, 2])['f1'] == pytest.approx(.5)


def test_metrics_are_of_the_whole_set_not_means_over_batches():
    labels, predictions = [1, 0, 1, 1], [1, 0, 0, 0]
    halves = [classification.compute(['f1'], labels[i:i + 2], predictions[i:i + 2])['f1']
              for i in (0, 2)]
    assert halves == [1., 0.]
    assert classification.compute(['f1'], labels, predictions)['f1'] == pytest.approx(.5)


def test_correlations_by_hand():
    # deviations (-1.5, -.5, .5, 1.5) and (-2, -1, -2, 5): 3 + .5 - 1 + 7.5 = 10
    got = classification.compute(['pearson', 'spearman'], [1., 2., 3., 4.], [1., 2., 1., 8.])
    assert got['pearson'] == pytest.approx(10 / math.sqrt(5 * 34))
    # ranks (1, 2, 3, 4) and (1.5, 3, 1.5, 4): 1.5 - .25 - .5 + 2.25 = 3 of 5 and 4.5
    assert got['spearman'] == pytest.approx(3 / math.sqrt(5 * 4.5))
    got = classification.compute(['pearson', 'spearman'], [1., 2., 3.], [-2., -4., -6.])
    assert got == {'pearson': pytest.approx(-1), 'spearman': pytest.approx(-1)}


@pytest.mark.parametrize('name', sorted(classification.METRICS))
@pytest.mark.parametrize('labels,predictions', [
    ([0, 1, 0, 1], [0, 0, 0, 0]), ([0, 0, 0], [0, 1, 0]), ([0, 0, 0], [0, 0, 0]), ([1], [0])])
def test_degenerate_sets_are_finite_and_silent(name, labels, predictions):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        value = classification.compute([name], labels, predictions)[name]
    assert -1 <= value <= 1
    if name not in ('accuracy', 'macro_f1'):
        assert value == 0


def test_wrong_calls():
    with pytest.raises(ValueError, match='unknown metric bleu; the metrics are: accuracy, f1'):
        classification.compute(['accuracy', 'bleu'], [0], [0])
    for labels, scores in (([0, 1], [0]), ([], []), ([[0], [1]], [0, 1])):
        with pytest.raises(ValueError, match='cannot be compared'):
            classification.compute(['accuracy'], labels, scores)


def test_confusion():
    counts = classification.confusion([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 0], 4)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]]


def test_the_positive_class_can_be_another():
    assert classification.compute(['f1'], [1, 0, 0], [1, 0, 1], positive=0) == {
        'f1': pytest.approx(2 / 3)}


def test_several_labels_by_hand():
    labels = [[1, 0], [1, 1], [0, 0]]
    logits = np.array([[2., -1.], [3., -2.], [1., -5.]])
    scores = classification.compute_multi_label(labels, logits, ('a', 'b'))
    # a: 2 hits, 1 false alarm; b: 1 miss
    assert scores == {'micro_f1': pytest.approx(4 / 6), 'macro_f1': pytest.approx(.4),
                      'lrap': pytest.approx(1.), 'labels': {'a': pytest.approx(.8), 'b': 0.}}
    assert classification.compute_multi_label([[1], [0]], np.array([[1.], [-1.]]))['micro_f1'] == 1
    with pytest.raises(ValueError, match='no metric of'):
        classification.compute_multi_label([[1]], logits)


@pytest.mark.parametrize('classes', [1, 2, 7])
def test_several_labels_are_scored_as_by_scikit_learn(classes):
    from sklearn.metrics import f1_score, label_ranking_average_precision_score
    draw = np.random.RandomState(classes)
    for _ in range(100):
        shape = draw.randint(1, 20), classes
        labels = (draw.rand(*shape) < draw.rand()).astype('uint8')
        logits = draw.randint(-3, 4, shape) / 2 + draw.randint(-1, 2)
        chosen = (logits > 0).astype(int)
        each = [f1_score(labels[:, i], chosen[:, i], zero_division=0) for i in range(classes)]
        scores = classification.compute_multi_label(list(labels), logits, range(classes))
        # releases before 1.4 take a longer way, and round otherwise
        assert scores.pop('labels') == pytest.approx(dict(enumerate(each)), rel=1e-14)
        assert scores == pytest.approx({
            'micro_f1': f1_score(labels.ravel(), chosen.ravel(), zero_division=0),
            'macro_f1': np.mean(each),
            'lrap': label_ranking_average_precision_score(labels, logits)}, rel=1e-14)


def test_what_logits_decide():
    logits = np.array([[0., 2.], [1., -1.]])
    assert classification.decide(logits, None)[0].tolist() == [0., 1.]
    chosen, probabilities = classification.decide(logits, ('a', 'b'))
    assert chosen.tolist() == [1, 0]
    np.testing.assert_allclose(probabilities[1], [.880797, .119203], atol=1e-6)
    chosen, probabilities = classification.decide(logits, ('a', 'b'), multi_label=True)
    assert [ids.tolist() for ids in chosen] == [[1], [0]] and probabilities[0, 0] == 0.5


def test_sigmoid_does_not_overflow(recwarn):
    assert classification.sigmoid([-1e4, 0., 1e4]).tolist() == [0., .5, 1.]
    assert not recwarn.list
