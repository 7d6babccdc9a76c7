"""Logits of windows -> answers in the passage, and the files that hold them.

The null score follows google-research/bert ``run_squad.py``.  A predicted answer is a slice of the
passage, so nothing has to be realigned (the original's "get final text"), and case, accents,
Chinese and every kind of space come out as they went in.
"""
import json
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..utils.errors import DataError
from ..utils.files import atomic_text
from .squad import Question
from .squad_features import SpanFeature

__all__ = ['Prediction', 'as_columns', 'predict', 'texts_and_odds', 'without_threshold', 'write']

# null_odds of a passage without any span to answer with: above every threshold, and valid JSON
_NO_SPAN = 1e9


class Prediction(NamedTuple):
    """The model's answer to one question."""
    id: str
    text: str                   # '' means: the passage does not answer it
    nbest: List[Dict]           # {text, probability, start_logit, end_logit}, best first
    null_odds: float            # score of no answer - score of the best answer
    start: int                  # character of the passage where text starts; -1: no answer


def predict(question: Question, features: Sequence[SpanFeature], start_logits: Sequence[Any],
            end_logits: Sequence[Any], n_best_size: int = 20, max_answer_length: int = 30,
            null_score_diff_threshold: float = 0.0, version_2: bool = False) -> Prediction:
    """Answer one question from the logits of all its windows.

    Parameters
    ----------
    features : list of SpanFeature
        The windows of the question.
    start_logits, end_logits : sequences of arrays
        One row for each feature, (length or more,) floats.
    n_best_size : int
        How many different texts to list.  With ``version_2`` "no answer" and the best text are
        always among them, in addition if they would not make the list.
    max_answer_length : int
        In tokens.
    null_score_diff_threshold : float
        With ``version_2`` the text is '' exactly if ``null_odds`` exceeds it; otherwise it is the
        best span.

    All spans are compared, not only those between the ``n_best_size`` best starts and ends, so
    there is one whenever the passage has a word.
    """
    max_answer_length = min(max_answer_length, max(len(feature.ids) for feature in features))
    rows, origins, null = [], [], None
    for feature, start, end in zip(features, start_logits, end_logits):
        start = np.asarray(start[:len(feature.ids)], 'float64')
        end = np.asarray(end[:len(feature.ids)], 'float64')
        if not (np.isfinite(start).all() and np.isfinite(end).all()):
            raise DataError(f"question {question.id}: the model's logits are not finite; check its "
                            'parameters, or use --dtype float32')
        no_answer = _entry('', start[0], end[0])
        if null is None or _score(no_answer) < _score(null):
            null = no_answer
        first = np.flatnonzero(feature.max_context)
        # no answer ends at the last [SEP] or beyond
        end = np.concatenate([end[:-1], np.full(max_answer_length, -np.inf)])
        rows.append(start[first, None] + end[first[:, None] + np.arange(max_answer_length)])
        origins.extend((feature, start, end, i) for i in first)
    spans, places = {}, {}
    for index in _descending(np.concatenate(rows).ravel(), 2 * n_best_size):
        row, more = divmod(int(index), max_answer_length)
        feature, start, end, i = origins[row]
        text = question.context[feature.starts[i]:feature.ends[i + more]].strip()
        if text and text not in spans:
            places[text] = question.context.index(text, feature.starts[i])
            spans[text] = _entry(text, start[i], end[i + more])
            if len(spans) == n_best_size:
                break
    spans = list(spans.values())
    best = spans[0] if spans else null
    null_odds = _score(null) - _score(best) if spans else _NO_SPAN
    nbest = spans or [null]
    if version_2:
        nbest = sorted(spans + [null], key=_score, reverse=True)
        nbest = [entry for place, entry in enumerate(nbest)
                 if place < n_best_size or entry is null or entry is best]
    _set_probabilities(nbest)
    answerable = not version_2 or null_odds <= null_score_diff_threshold
    text = best['text'] if answerable else ''
    return Prediction(question.id, text, nbest, null_odds, places.get(text, -1))


def _entry(text, start, end):
    return {'text': text, 'probability': 0.0, 'start_logit': float(start), 'end_logit': float(end)}


def _score(entry):
    return entry['start_logit'] + entry['end_logit']


def _set_probabilities(nbest):
    """Softmax over the scores of the list."""
    scores = np.array([_score(entry) for entry in nbest])
    weights = np.exp(scores - scores.max())
    for entry, share in zip(nbest, weights / weights.sum()):
        entry['probability'] = float(share)


def _descending(scores, count):
    """Yield the indices of the finite scores, best first, equals in order.

    Usually only few are needed, so ``count`` are sorted at first, and more on demand.
    """
    rest = np.flatnonzero(scores > -np.inf)
    while len(rest):
        values = scores[rest]
        kth = max(len(rest) - count, 0)
        top = values >= np.partition(values, kth)[kth]
        yield from rest[top][np.argsort(-values[top], kind='stable')]
        rest = rest[~top]
        count *= 4


def without_threshold(predictions: Iterable[Prediction]) -> List[Prediction]:
    """The predictions with the answers that a threshold withheld.

    The official search for the best threshold only sees answers that are given.
    """
    return [p._replace(text=next((entry['text'] for entry in p.nbest if entry['text']), ''))
            for p in predictions]


def texts_and_odds(predictions: Iterable[Prediction]) -> Tuple[Dict[str, str], Dict[str, float]]:
    """The contents of predictions.json and null_odds.json."""
    predictions = list(predictions)
    return {p.id: p.text for p in predictions}, {p.id: p.null_odds for p in predictions}


def as_columns(prediction: Prediction) -> str:
    """The answer, its probability, and where it starts and ends in the passage, with tabs between.

    A tab or line end in the answer would begin another column or line: white space is one space.
    """
    text, start = prediction.text, prediction.start
    probability = next(e['probability'] for e in prediction.nbest if e['text'] == text)
    if not text:
        return f'(no answer)\t{probability:.4f}\t-\t-'
    return f"{' '.join(text.split())}\t{probability:.4f}\t{start}\t{start + len(text)}"


def write(folder: str, predictions: Iterable[Prediction]) -> None:
    """Write predictions.json, nbest_predictions.json and null_odds.json, each atomically."""
    predictions = list(predictions)
    for name, field in (('predictions', 'text'), ('nbest_predictions', 'nbest'),
                        ('null_odds', 'null_odds')):
        with atomic_text(os.path.join(folder, name + '.json')) as file:
            # escaped, because evaluate-v2.0 opens it in the system's encoding
            json.dump({p.id: getattr(p, field) for p in predictions}, file, indent=4)
            file.write('\n')
