"""Predicting the logits of sentences with a :class:`bert.model.heads.Classifier`."""
from typing import Sequence

import mxnet as mx
import numpy as np

from ..data.features import SentenceFeatures
from .distributed import Local
from .evaluation import Forward, score_rows

__all__ = ['logits', 'predict']


def logits(forward: Forward, features: SentenceFeatures, indices: Sequence[int],
           device: mx.Context) -> mx.nd.NDArray:
    """The logits of the windows ``indices`` of some features, (windows, classes)."""
    return forward([features.ids[i] for i in indices],
                   [features.token_types[i] for i in indices], device)


def predict(forward: Forward, features: SentenceFeatures, comm: Local,
            batch_size: int) -> np.ndarray:
    """The logits of every example, (examples, classes): the mean over its windows.

    The work is divided among workers and devices; every worker gets all results.
    """
    rows = score_rows(features.ids, batch_size, comm,
                      lambda part, device: logits(forward, features, part, device))
    owner = np.asarray(features.owner)
    total = np.zeros((owner[-1] + 1, rows.shape[1]))
    np.add.at(total, owner, rows)
    return total / np.bincount(owner)[:, None]
