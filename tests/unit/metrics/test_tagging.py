"""Scores of entities and of token labels, against hand-made cases and counted spans."""
import random

import pytest

from bert.data import conll
from bert.data.tagging import tag_map
from bert.data.tags import Scheme, scheme_of, spans
from bert.metrics import tagging


def sentence(tags):
    tags = tags.split()
    return conll.Sentence([f'w{i}' for i in range(len(tags))], tags, [['w']] * len(tags),
                          range(1, len(tags) + 1), [], ' ')


def test_entity_scores_count_spans_of_random_tags():
    pytest.importorskip('seqeval', reason='needs seqeval')
    rng = random.Random(7)
    labels = ['O'] + [a + b for a in 'BIES' for b in ('-X', '-Y-Z', '')]
    gold, predicted = ([[rng.choice(labels) for _ in range(n % 12 + 1)] for n in range(600)]
                       for _ in range(2))
    correct = sum(len(set(spans(tags)) & set(spans(other)))
                  for tags, other in zip(gold, predicted))
    said, real = (sum(len(spans(tags)) for tags in side) for side in (predicted, gold))
    overall = tagging.entity_scores(gold, predicted)['overall']
    assert correct > 50
    assert overall['support'] == real
    assert overall['precision'] == pytest.approx(correct / said, abs=1e-12)
    assert overall['recall'] == pytest.approx(correct / real, abs=1e-12)
    assert overall['f1'] == pytest.approx(2 * correct / (said + real), abs=1e-12)


def test_entity_scores_by_hand(recwarn):
    pytest.importorskip('seqeval', reason='needs seqeval')
    gold = [['B-PER', 'I-PER', 'O', 'B-LOC'], ['B-PER', 'O'], ['B-ORG']]
    predicted = [['B-PER', 'I-PER', 'O', 'B-PER'], ['O', 'B-LOC'], ['O']]
    scores = tagging.entity_scores(gold, predicted)
    assert scores == {
        'overall': {'precision': 1 / 3, 'recall': 1 / 4, 'f1': pytest.approx(2 / 7), 'support': 4},
        'types': {'LOC': {'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'support': 1},
                  'ORG': {'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'support': 1},
                  'PER': {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'support': 2}},
        'accuracy': pytest.approx(3 / 7)}
    assert not recwarn.list


def test_entity_scores_without_entities(recwarn):
    pytest.importorskip('seqeval', reason='needs seqeval')
    assert tagging.entity_scores([['O', 'O']], [['O', 'O']]) == {
        'overall': {'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'support': 0}, 'types': {},
        'accuracy': 1.0}
    assert not recwarn.list


@pytest.mark.parametrize(('tags', 'labels', 'predicted'), [
    ('I-PER I-PER B-PER O', 'O B-PER I-PER', 'B-PER I-PER B-PER O'),
    ('B-PER L-PER U-PER O', 'O B-PER I-PER', 'B-PER I-PER B-PER O'),
    ('B-PER L-PER U-PER O', 'O B-PER I-PER L-PER U-PER', 'B-PER L-PER U-PER O'),
    ('per-B per-I O', 'O B-PER I-PER', 'B-PER I-PER O'),
    ('PER PER O', 'O B-PER I-PER', 'B-PER I-PER O'),
    ('B-PER I-PER B-LOC O', 'O PER LOC', 'PER PER LOC O'),
])
def test_score_compares_entities_across_schemes(tags, labels, predicted):
    pytest.importorskip('seqeval', reason='needs seqeval')
    rows, labels = [sentence(tags)], labels.split()
    scores = tagging.score(rows, [predicted.split()],
                           tag_map('some.txt', rows, scheme_of(labels), labels))
    assert (scores['overall']['f1'], scores['accuracy']) == (1, 1)
    assert tagging.main_scores(scores) == {'f1': 1, 'precision': 1, 'recall': 1}


def test_token_labels_have_an_accuracy():
    rows = [sentence('DT NN'), sentence('NN')]
    scores = tagging.score(rows, [['DT', 'DT'], ['NN']],
                           tag_map('some.txt', rows, Scheme('', 'plain')))
    assert scores == {'accuracy': 2 / 3, 'words': 3}
    assert tagging.main_scores(scores) == {'accuracy': 2 / 3}
    assert tagging.table(scores) == 'accuracy 0.6667 of 3 words'
