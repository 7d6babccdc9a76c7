"""The metrics of the sentence tasks, each computed once over a whole set."""
import warnings
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

__all__ = ['METRICS', 'compute', 'compute_multi_label', 'confusion', 'decide', 'sigmoid',
           'softmax']


def _accuracy(labels, predictions):
    return np.mean(labels == predictions)


def _f1(labels, predictions):
    from sklearn.metrics import f1_score
    return f1_score(labels, predictions, zero_division=0)


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


def compute(names: Sequence[str], labels: Any, predictions: Any,
            positive: int = 1) -> Dict[str, float]:
    """``{name: value}`` with values in [-1, 1], over the whole set.

    Parameters
    ----------
    names : sequence of str
        Keys of :data:`METRICS`.  ``f1`` is that of class ``positive``, ``macro_f1`` the mean over
        classes.
    labels : (n,) array
        Class ids, or numbers for ``pearson`` and ``spearman``.
    predictions : (n,) or (n, classes) array
        Class ids or numbers; or logits, of which the highest is the prediction.
    positive : int
        The class whose F1 is wanted.

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
            sides = (labels, predictions) if name != 'f1' else (
                labels == positive, predictions == positive)
            value = float(METRICS[name](*sides)) if defined else 0.
        result[name] = value if np.isfinite(value) else 0.
    return result


def compute_multi_label(labels: Any, logits: np.ndarray,
                        names: Sequence[str] = ()) -> Dict[str, Any]:
    """Scores of texts that have any number of labels; they are those of scikit-learn.

    Parameters
    ----------
    labels : (n, classes) array of 0 and 1
    logits : (n, classes) array
        A label is predicted if its logit is above 0: the sigmoid above 0.5.
    names : sequence of str
        The classes; with them there is the F1 of each.

    Returns
    -------
    dict
        'micro_f1', 'macro_f1', 'lrap' (label ranking average precision), and if ``names`` are
        given 'labels': {name: F1}.
    """
    from sklearn.metrics import label_ranking_average_precision_score
    labels, logits = np.asarray(labels).astype(bool), np.asarray(logits)
    if labels.shape != logits.shape or labels.ndim != 2 or not len(labels):
        raise ValueError(f'no metric of {labels.shape} labels and {logits.shape} predictions')
    chosen = logits > 0
    # F1 is 2 hits / (true ones + predicted ones), and 0 if there are none
    hits, ones = (labels & chosen).sum(axis=0), labels.sum(axis=0) + chosen.sum(axis=0)
    each = (2 * hits / np.maximum(ones, 1)).tolist()
    result = {'micro_f1': float(2 * hits.sum() / max(ones.sum(), 1)),
              'macro_f1': float(np.mean(each)),
              'lrap': float(label_ranking_average_precision_score(labels, logits))}
    return dict(result, labels=dict(zip(names, each))) if names else result


def decide(logits: np.ndarray, labels: Optional[Sequence[str]],
           multi_label: bool = False) -> Tuple[Sequence[Any], Optional[np.ndarray]]:
    """(predictions, probabilities) of (n, classes) logits.

    The predictions are (n,) class ids, or n arrays of them if a text may have several.  Where
    ``labels`` is None, they are the (n,) scores of a regression, without probabilities.
    """
    if labels is None:
        return logits[:, 0], None
    if multi_label:
        return [row.nonzero()[0] for row in logits > 0], sigmoid(logits)
    return logits.argmax(axis=1), softmax(logits)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits -> the probability of each label by itself; in the shape of ``logits``."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """(rows, classes) logits -> probabilities."""
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def confusion(labels: Sequence[int], predictions: Sequence[int], classes: int) -> np.ndarray:
    """(classes, classes) int64 counts: row = true class, column = predicted class."""
    counts = np.zeros((classes, classes), dtype='int64')
    np.add.at(counts, (np.asarray(labels), np.asarray(predictions)), 1)
    return counts
