"""Scores of SQuAD predictions by the rules of the official evaluate-v2.0 script, under its names.

Exact match and F1 over words, the best over the gold answers; for a SQuAD 1.1 file they equal those
of its own script.  Words are separated by whitespace, so a Chinese answer is one word.
"""
import collections
import re
import string
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ..utils.errors import DataError

__all__ = ['Curve', 'normalize', 'exact_match', 'f1', 'evaluate', 'summary', 'precision_recall']

_ARTICLES = re.compile(r'\b(a|an|the)\b')
_PUNCTUATION = str.maketrans('', '', string.punctuation)


class Curve(NamedTuple):
    """A precision-recall curve from recall 0; average_precision is the area under its steps."""
    recalls: List[float]
    precisions: List[float]
    average_precision: float


def normalize(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces."""
    return ' '.join(_ARTICLES.sub(' ', text.lower().translate(_PUNCTUATION)).split())


def exact_match(gold: str, predicted: str) -> float:
    """1.0 if both texts are equal after normalization, else 0.0."""
    return float(normalize(gold) == normalize(predicted))


def f1(gold: str, predicted: str) -> float:
    """F1 of the words of two texts; if one has none, 1.0 if neither has, else 0.0."""
    gold, predicted = normalize(gold).split(), normalize(predicted).split()
    if not gold or not predicted:
        return float(gold == predicted)
    common = sum((collections.Counter(gold) & collections.Counter(predicted)).values())
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def evaluate(questions: Sequence[Any], predictions: Mapping[str, str],
             null_odds: Optional[Mapping[str, float]] = None) -> Dict[str, float]:
    """Score ``predictions``: the official names -> percentages, counts and thresholds.

    Parameters
    ----------
    questions : sequence of bert.data.squad.Question
    predictions : dict
        {id: text}, '' for no answer.
    null_odds : dict, optional
        {id: float}, the higher the less likely an answer.  Adds the best thresholds
        (``best_exact``, ``best_exact_thresh``, ``best_f1``, ``best_f1_thresh``) and the average
        precisions (``pr_exact_ap``, ``pr_f1_ap``, ``pr_oracle_ap``).

    Raises
    ------
    DataError
        If a question has no prediction, or neither answers nor the mark that it has none.
    """
    answerable, exact, overlap = _raw(questions, predictions, null_odds)
    result = _means(exact, overlap, list(answerable), '')
    for prefix, kind in (('HasAns_', True), ('NoAns_', False)):
        ids = [i for i in answerable if answerable[i] == kind]
        if ids:
            result.update(_means(exact, overlap, ids, prefix))
    if null_odds is not None:
        ranked = _rank(null_odds, answerable)
        for name, scores in (('exact', exact), ('f1', overlap)):
            best, at = _best_threshold(scores, ranked, answerable, predictions, null_odds)
            result['best_' + name], result[f'best_{name}_thresh'] = best, at
        for name, curve in precision_recall(questions, predictions, null_odds).items():
            result[f'pr_{name}_ap'] = 100 * curve.average_precision
    return result


def summary(scores: Mapping[str, float]) -> List[str]:
    """The result of :func:`evaluate` as lines of text."""
    parts = [('', 'dev')]
    if 'NoAns_total' in scores:
        parts += [(name + '_', name) for name in ('HasAns', 'NoAns') if name + '_total' in scores]
    lines = [f"{name}: exact {scores[prefix + 'exact']:.2f}, f1 {scores[prefix + 'f1']:.2f} "
             f"({scores[prefix + 'total']} questions)"
             for prefix, name in parts]
    unanswered = 100 * scores.get('NoAns_total', 0) / scores['total']
    for name in ('exact', 'f1'):
        if 'best_' + name in scores:
            best = scores['best_' + name]
            how = ('no answer to any question' if best == unanswered else
                   f"--null_score_diff_threshold={scores[f'best_{name}_thresh']!r}")
            lines.append(f'best {name} {best:.2f} with {how}')
    return lines


def precision_recall(questions: Sequence[Any], predictions: Mapping[str, str],
                     null_odds: Mapping[str, float]) -> Dict[str, Curve]:
    """{'exact': Curve, 'f1': Curve, 'oracle': Curve}; empty if no question has an answer.

    A point is the set of questions with ``null_odds`` up to some threshold; 'oracle' is a model
    with these null odds whose answers are all right.
    """
    answerable, exact, overlap = _raw(questions, predictions, null_odds)
    ranked = _rank(null_odds, answerable)
    if not any(answerable.values()):
        return {}
    return {name: _curve(scores, ranked, answerable, null_odds)
            for name, scores in (('exact', exact), ('f1', overlap), ('oracle', answerable))}


def _raw(questions, predictions, null_odds):
    """Three dictionaries by id: whether there is an answer, exact match, F1 (both 0 to 1)."""
    answerable, exact, overlap = {}, {}, {}
    for question in questions:
        for name, values in (('prediction', predictions), ('null odds', null_odds)):
            if values is not None and question.id not in values:
                raise DataError(f'question {question.id}: has no {name}; score the file that was '
                                'predicted')
        if not question.answers and not question.impossible:
            raise DataError(f'question {question.id}: has no answers to score against; use a '
                            'labelled file')
        predicted = predictions[question.id]
        golds = [a.text for a in question.answers if normalize(a.text)] or ['']
        answerable[question.id] = bool(question.answers)
        exact[question.id] = max(exact_match(gold, predicted) for gold in golds)
        overlap[question.id] = max(f1(gold, predicted) for gold in golds)
    return answerable, exact, overlap


def _means(exact, overlap, ids, prefix):
    return {prefix + 'exact': 100 * sum(exact[i] for i in ids) / len(ids),
            prefix + 'f1': 100 * sum(overlap[i] for i in ids) / len(ids),
            prefix + 'total': len(ids)}


def _rank(null_odds, answerable):
    """The ids, the most certain answer first; ties in the order of ``null_odds``, as officially."""
    return sorted((i for i in null_odds if i in answerable), key=null_odds.get)


def _best_threshold(scores, ranked, answerable, predictions, null_odds):
    """(best percentage, the null odds up to which to answer to reach it)."""
    score = best = sum(not has for has in answerable.values())      # without any answer
    threshold = 0.0
    for i in ranked:
        score += scores[i] if answerable[i] else -bool(predictions[i])
        if score > best:
            best, threshold = score, null_odds[i]
    return 100 * best / len(scores), threshold


def _curve(scores, ranked, answerable, null_odds):
    total = sum(answerable.values())
    recalls, precisions = [0.0], [1.0]
    found = area = 0.0
    for count, i in enumerate(ranked, 1):
        found += scores[i] if answerable[i] else 0
        if count < len(ranked) and null_odds[ranked[count]] == null_odds[i]:
            continue                    # no threshold separates equal odds
        area += found / count * (found / total - recalls[-1])
        precisions.append(found / count)
        recalls.append(found / total)
    return Curve(recalls, precisions, area)
