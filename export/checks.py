"""Compares an export with the live model: equal numbers, or for int8 how far they are off."""
import os
import time
from typing import Callable, Dict, List, Sequence

import numpy as np

from bert.utils.errors import DataError

from .network import Batch
from .tasks import ExportTask

__all__ = ['TOLERANCE', 'check', 'differences', 'size', 'speed']

TOLERANCE = 1e-5

Predict = Callable[[Batch], List[np.ndarray]]


def check(predict: Predict, batches: Sequence[Batch], expected: Sequence[List[np.ndarray]],
          relative: bool = False) -> float:
    """The largest difference of ``predict(batch)`` from ``expected``, over all batches.

    If ``relative``, the difference of an output with values over 1 is divided by the largest value.
    Raises DataError if shapes differ, or the difference exceeds :data:`TOLERANCE` or is NaN.
    """
    worst = 0.0
    for batch, outputs in zip(batches, expected):
        got = predict(batch)
        if [array.shape for array in got] != [array.shape for array in outputs]:
            raise DataError('the export returns outputs of shapes '
                            f'{[array.shape for array in got]} but the model returns '
                            f'{[array.shape for array in outputs]}')
        for a, b in zip(got, outputs):
            difference = np.abs(a - b).max() / (max(1.0, np.abs(b).max()) if relative else 1.0)
            worst = np.maximum(worst, difference)       # NaN stays NaN
    if not worst <= TOLERANCE:
        raise DataError(f'the export differs from the model by {worst:.3g}, above the limit '
                        f'of {TOLERANCE:g}; nothing was written; try the other --format')
    return float(worst)


def differences(task: ExportTask, predict: Predict, batches: Sequence[Batch],
                expected: Sequence[List[np.ndarray]],
                multi_label: bool = False) -> Dict[str, Dict[str, float]]:
    """How far ``predict`` is off, {name of output: {measure: value}}.

    Measures: largest, mean (of absolute values); cosine (of all values as one vector); same (the
    share of examples, or tokens, with the same best class, or if ``multi_label`` with the same
    labels; None if there are no classes).  Padding does not count.  Raises DataError if an output
    has values that are not finite.
    """
    pairs = {name: ([], [], []) for name in task.outputs}
    for batch, outputs in zip(batches, expected):
        real = np.arange(batch[0].shape[1]) < batch[2][:, None]
        for name, a, b in zip(pairs, outputs, predict(batch)):
            same = []
            if name in ('start_logits', 'end_logits'):
                same = np.equal(*(np.where(real, x, -np.inf).argmax(axis=1) for x in (a, b)))
            if name in task.by_token:
                a, b = a[real], b[real]
            if multi_label:
                same = ((a > 0) == (b > 0)).all(axis=-1)
            elif name == 'logits' and a.shape[-1] > 1:
                same = a.argmax(axis=-1) == b.argmax(axis=-1)
            for part, values in zip(pairs[name], (a.ravel(), b.ravel(), same)):
                part.append(values)
    out = {}
    for name, parts in pairs.items():
        if not parts[0]:
            continue            # no pooler
        a, b, same = (np.concatenate(part).astype(np.float64) for part in parts)
        if not np.isfinite(b).all():
            raise DataError(f'--quantize int8: {name} of the int8 model are not finite; export '
                            'without --quantize, or name other texts with --text_file')
        out[name] = {'largest': np.abs(a - b).max(), 'mean': np.abs(a - b).mean(),
                     'cosine': a.dot(b) / (np.linalg.norm(a) * np.linalg.norm(b) or 1.0),
                     'same': same.mean() if same.size else None}
    return out


def speed(predicts: Sequence[Predict], batches: Sequence[Batch], rounds: int = 3) -> List[float]:
    """Texts per second of several predictors, the best of ``rounds`` in turn."""
    best = [float('inf')] * len(predicts)
    for turn in range(rounds + 1):      # the first one warms up
        for i, predict in enumerate(predicts):
            start = time.perf_counter()
            for batch in batches:
                predict(batch)
            if turn:
                best[i] = min(best[i], time.perf_counter() - start)
    texts = sum(len(batch[0]) for batch in batches)
    return [texts / seconds for seconds in best]


def size(folder: str, names: Sequence[str]) -> int:
    """Bytes of files in a folder."""
    return sum(os.path.getsize(os.path.join(folder, name)) for name in names)
