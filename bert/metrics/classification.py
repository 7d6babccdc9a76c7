"""The metrics of the sentence tasks, each computed once over a whole set."""
import warnings
from typing import Any, Dict, Sequence

import numpy as np

__all__ = ['METRICS', 'compute', 'confusion', 'softmax']


def _accuracy(labels, predictions):
    return np.mean(labels == predictions)


def _f1(labels, predictions):
    from sklearn.metrics import f1_score
    return f1_score(labels == 1, predictions == 1, zero_division=0)


def _macro_f1(labels, predictions):
    from sklearn.metrics import f1_score
    return f1_score(labels, predictions, average='macro', zero_division=0)


def _matthews(labels, predictions):
    from sklearn.metrics import matthews_corrcoef
    return matthews_corrcoef(labels, predictions)


def _pearson(labels, predictions):
    from scipy.stats import pearsonr
    return pearsonr(labels, predictions)[0]


def _spearman(labels, predictions):
    from scipy.stats import spearmanr
    return spearmanr(labels, predictions)[0]


METRICS = {'accuracy': _accuracy, 'f1': _f1, 'macro_f1': _macro_f1, 'matthews': _matthews,
           'pearson': _pearson, 'spearman': _spearman}


def compute(names: Sequence[str], labels: Any, predictions: Any) -> Dict[str, float]:
    """``{name: value}`` with values in [-1, 1], over the whole set.

    Parameters
    ----------
    names : sequence of str
        Keys of :data:`METRICS`.  ``f1`` is that of class 1, ``macro_f1`` the mean over classes.
    labels : (n,) array
        Class ids, or numbers for ``pearson`` and ``spearman``.
    predictions : (n,) or (n, classes) array
        Class ids or numbers; or logits, of which the highest is the prediction.

    An undefined metric, such as a correlation with a constant, is 0.0.  Raises ``ValueError`` for
    an unknown name, no examples, or lengths that differ.
    """
    given = np.shape(predictions)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"unknown metric {', '.join(unknown)}; the metrics are: "
                         f"{', '.join(METRICS)}")
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if predictions.ndim == 2:
        predictions = predictions.argmax(axis=1)
    if labels.shape != predictions.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(f'{labels.shape} labels cannot be compared with {given} predictions')
    result = {}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')     # for undefined values, see below
            defined = len(labels) > 1 or name not in ('pearson', 'spearman')
            value = float(METRICS[name](labels, predictions)) if defined else 0.
        result[name] = value if np.isfinite(value) else 0.
    return result


def softmax(logits: np.ndarray) -> np.ndarray:
    """(rows, classes) logits -> probabilities."""
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def confusion(labels: Sequence[int], predictions: Sequence[int], classes: int) -> np.ndarray:
    """(classes, classes) int64 counts: row = true class, column = predicted class."""
    counts = np.zeros((classes, classes), dtype='int64')
    np.add.at(counts, (np.asarray(labels), np.asarray(predictions)), 1)
    return counts
