"""SQuAD scores against a stored hand calculation."""
import json
import os
from fractions import Fraction

import pytest
from helpers import DATA_FOLDER

from bert.data.squad import Answer, Question
from bert.metrics import squad as squad_metrics
from bert.utils.errors import DataError

with open(os.path.join(DATA_FOLDER, 'squad_reference.json'),
          encoding='utf-8') as _file:
    REFERENCE = json.load(_file)
CASES = REFERENCE['questions']
PREDICTIONS = {case['id']: case['prediction'] for case in CASES}
NULL_ODDS = {case['id']: case['null_odds'] for case in CASES}


def question(id_, golds, impossible=None):
    return Question(id_, '?', 'passage', [Answer(gold, 0) for gold in golds],
                    not golds if impossible is None else impossible)


QUESTIONS = [question(case['id'], case['answers']) for case in CASES]


def approx(values):
    return pytest.approx({key: float(Fraction(value)) for key, value in values.items()}, rel=1e-12)


@pytest.mark.parametrize('text, expected', [
    ('The  U.S.A.,\n a\u00a0test', 'usa test'),
    ('An anthem of the Theatre', 'anthem of theatre'),
    ('a-the', 'athe'),                      # punctuation goes before the articles
    ('\u201cÉtude\u201d', '\u201cétude\u201d'),     # only ASCII punctuation goes, accents stay
    ('x\u2014the\u2014y', 'x\u2014 \u2014y'),     # an article leaves a space
    ('the', ''),
])
def test_normalize(text, expected):
    assert squad_metrics.normalize(text) == expected


@pytest.mark.parametrize('case', CASES, ids=[case['why'] for case in CASES])
def test_each_case(case):
    result = squad_metrics.evaluate([question(case['id'], case['answers'])], PREDICTIONS)
    exact, f1 = 100 * Fraction(case['exact']), 100 * Fraction(case['f1'])
    kind = 'HasAns_' if case['answers'] else 'NoAns_'
    assert result == approx({'exact': exact, 'f1': f1, 'total': 1,
                             kind + 'exact': exact, kind + 'f1': f1, kind + 'total': 1})


def test_scores_of_the_set():
    found = squad_metrics.evaluate(QUESTIONS, PREDICTIONS, NULL_ODDS)
    assert found == approx(REFERENCE['expected'])


def test_without_null_odds_there_are_no_thresholds():
    expected = {key: value for key, value in REFERENCE['expected'].items()
                if not key.startswith(('best_', 'pr_'))}
    assert squad_metrics.evaluate(QUESTIONS, PREDICTIONS) == approx(expected)


def test_precision_recall_points():
    curves = squad_metrics.precision_recall(QUESTIONS, PREDICTIONS, NULL_ODDS)
    assert list(curves) == ['exact', 'f1', 'oracle']
    for name, expected in REFERENCE['curves'].items():
        points = {'recalls': curves[name].recalls, 'precisions': curves[name].precisions}
        assert points == {key: pytest.approx([float(Fraction(v)) for v in values])
                          for key, values in expected.items()}
        assert 100 * curves[name].average_precision == pytest.approx(
            float(Fraction(REFERENCE['expected'][f'pr_{name}_ap'])))


def test_equal_odds_rank_in_the_order_of_the_null_odds():
    # the best threshold is looked for between equal odds too, as the official script does
    questions = [question('no', []), question('yes', ['x'])]
    predictions = {'no': 'x', 'yes': 'x'}
    first = squad_metrics.evaluate(questions, predictions, {'yes': 1.5, 'no': 1.5})
    second = squad_metrics.evaluate(questions, predictions, {'no': 1.5, 'yes': 1.5})
    assert (first['best_exact'], first['best_exact_thresh']) == (100, 1.5)
    assert (second['best_exact'], second['best_exact_thresh']) == (50, 0)


def test_best_threshold_where_no_answer_was_given():
    result = squad_metrics.evaluate([question('no', []), question('yes', ['x'])],
                                   {'no': '', 'yes': 'x'}, {'no': -1.0, 'yes': 0.5})
    assert (result['best_exact'], result['best_exact_thresh']) == (100, 0.5)
    assert squad_metrics.summary(result)[-1] == (
        'best f1 100.00 with --null_score_diff_threshold=0.5')


def test_a_summary_names_no_threshold_where_none_is_better_than_no_answer():
    questions = [question('yes', ['x']), question('no', [])]
    result = squad_metrics.evaluate(questions, {'yes': 'y', 'no': 'y'}, {'yes': -2.0, 'no': -1.0})
    assert squad_metrics.summary(result)[-2:] == [
        'best exact 50.00 with no answer to any question',
        'best f1 50.00 with no answer to any question']


@pytest.mark.parametrize('golds, exact', [(['The', 'U.S.'], 0), (['The'], 100)])
def test_gold_without_a_word(golds, exact):
    """It does not count beside others; alone it means no answer."""
    assert squad_metrics.evaluate([question('q', golds)], {'q': ''})['exact'] == exact


def test_only_impossible_questions():
    questions = [question('a', []), question('b', [])]
    null_odds = {'a': 1.0, 'b': -1.0}
    result = squad_metrics.evaluate(questions, {'a': '', 'b': 'x', 'other': 'y'}, null_odds)
    assert result == {'exact': 50, 'f1': 50, 'total': 2,
                      'NoAns_exact': 50, 'NoAns_f1': 50, 'NoAns_total': 2,
                      'best_exact': 100, 'best_exact_thresh': 0,
                      'best_f1': 100, 'best_f1_thresh': 0}
    assert squad_metrics.precision_recall(questions, {'a': '', 'b': 'x'}, null_odds) == {}


@pytest.mark.parametrize('questions, predictions, null_odds, words', [
    (QUESTIONS, {'q1': 'x'}, None, 'question q2: has no prediction'),
    (QUESTIONS, PREDICTIONS, {'q1': 0}, 'question q2: has no null odds'),
    ([question('u', [], False)], {'u': 'x'}, None, 'question u: has no answers to score against'),
])
def test_what_cannot_be_scored(questions, predictions, null_odds, words):
    with pytest.raises(DataError, match=words):
        squad_metrics.evaluate(questions, predictions, null_odds)
