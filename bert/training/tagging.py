"""Predicting the tags of words with a :class:`bert.model.heads.Tagger`."""
from typing import List, Sequence, Union

import mxnet as mx
import numpy as np

from ..data.tagging import Row
from ..model.forward import Packed, Padded, unpack
from .distributed import Local
from .evaluation import score_rows

__all__ = ['predict', 'token_logits', 'word_logits']

Forward = Union[Padded, Packed]


def token_logits(forward: Forward, rows: Sequence[Row], device: mx.Context) -> mx.nd.NDArray:
    """The logits of the tokens of some rows, (tokens, tags)."""
    return forward([row.ids for row in rows], [[0] * len(row.ids) for row in rows], device)


def word_logits(forward: Forward, rows: Sequence[Row], device: mx.Context) -> mx.nd.NDArray:
    """The logits of the words that belong to some rows, (words, tags), in the order of
    :func:`bert.data.tagging.targets`."""
    lengths = np.array([len(row.ids) for row in rows])
    first = np.concatenate([np.add(row.first, start) for row, start in
                            zip(rows, np.cumsum(lengths) - lengths)])
    return mx.nd.take(token_logits(forward, rows, device),
                      mx.nd.array(first, ctx=device, dtype='int32'))


def predict(forward: Forward, rows: Sequence[Row], count: int, labels: Sequence[str], comm: Local,
            batch_size: int) -> List[List[str]]:
    """The tags that a :class:`bert.model.heads.Tagger` gives the words of ``count`` sentences.

    ``forward`` is one of :mod:`bert.model.forward`.  Returns a list of lists of str, as long as the
    sentences that ``rows`` was made from.  The work is shared among workers and devices, and every
    worker gets all.
    """

    def best_of(part, device):
        chosen = [rows[i] for i in part]
        return unpack(token_logits(forward, chosen, device).argmax(axis=1),
                      [len(row.ids) for row in chosen])

    tags = [[] for _ in range(count)]
    if not rows:
        return tags
    best = score_rows([len(row.ids) for row in rows], batch_size, comm, best_of, by_token=True)
    for row, classes in zip(rows, best):
        tags[row.sentence] += [labels[int(classes[position])] for position in row.first]
    return tags
