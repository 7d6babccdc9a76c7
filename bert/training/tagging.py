"""Predicting the tags of words with a :class:`bert.model.heads.Tagger`."""
from typing import List, Sequence

import mxnet as mx
import numpy as np

from ..data.tagging import TaggingFeature
from ..model.forward import unpack
from .distributed import Local
from .evaluation import Forward, score_rows

__all__ = ['predict', 'word_logits']


def word_logits(forward: Forward, features: Sequence[TaggingFeature],
                device: mx.Context) -> mx.nd.NDArray:
    """The logits of the words that the features own, (words, tags).

    The order is that of :func:`bert.data.tagging.targets`.
    """
    ids = [feature.ids for feature in features]
    lengths = np.array([len(row) for row in ids])
    first = np.concatenate([np.add(feature.first, start) for feature, start in
                            zip(features, np.cumsum(lengths) - lengths)])
    return forward(ids, [[0] * len(row) for row in ids], device, first)


def predict(forward: Forward, features: Sequence[TaggingFeature], count: int, labels: Sequence[str],
            comm: Local, batch_size: int) -> List[List[str]]:
    """The tags of the words of ``count`` sentences, on every worker.

    ``features`` come from the sentences.  The work is divided among workers and devices.
    """

    def best_classes(part, device):
        chosen = [features[i] for i in part]
        return unpack(word_logits(forward, chosen, device).argmax(axis=1),
                      [len(feature.first) for feature in chosen])

    tags = [[] for _ in range(count)]
    if not features:
        return tags
    best = score_rows([feature.ids for feature in features], batch_size, comm, best_classes,
                      by_token=True)
    for feature, classes in zip(features, best):
        tags[feature.sentence] += [labels[int(number)] for number in classes[:len(feature.first)]]
    return tags
