"""Running a network over many rows: batches by length, divided among workers and devices."""
import collections
from typing import Callable, Sequence, Union

import mxnet as mx
import numpy as np

from ..data.sampling import evaluation_batches
from ..model.forward import Packed, Padded
from .distributed import Local

__all__ = ['Forward', 'score_rows', 'BATCH_TOKENS']

Forward = Union[Padded, Packed]     # a network, called with rows of token ids and token types

# maximum tokens of a batch in inference; on a CPU its arrays should stay in the processor's cache
BATCH_TOKENS = {'cpu': 1 << 11, 'gpu': 1 << 15}


def score_rows(lengths: Sequence[int], batch_size: int, comm: Local,
               forward: Callable[[np.ndarray, mx.Context], mx.nd.NDArray],
               by_token: bool = False) -> np.ndarray:
    """Run ``forward`` over all rows, divided among workers and devices; every worker gets all.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each row.
    batch_size : int
    comm : bert.training.distributed.Local
    forward : callable
        (indices, device) -> float32 NDArray (len(indices), ...); the other axes are fixed.
    by_token : bool
        The second axis of the result of ``forward`` has one entry per token, or fewer; it is padded
        with zeros to the length of the longest row.

    Returns
    -------
    numpy.ndarray
        (rows, ...) float64.
    """
    parts = evaluation_batches(lengths, batch_size, BATCH_TOKENS[comm.devices[0].device_type])
    mine = parts[comm.rank::comm.size]
    out, pending = None, collections.deque()
    width = max(lengths) if by_token else None
    # MXNet computes in the background: the next batches run while a result is read
    for i, part in enumerate(mine or parts[:1]):
        pending.append((part, forward(part, comm.devices[i % len(comm.devices)])))
        if len(pending) > 2 * len(comm.devices):
            out = _place(out, len(lengths), width, *pending.popleft())
    while pending:
        out = _place(out, len(lengths), width, *pending.popleft())
    return comm.sum(out if mine else np.zeros_like(out))


def _place(out, rows, width, part, values):
    values = values.asnumpy()
    if out is None:
        out = np.zeros((rows, width or values.shape[1]) + values.shape[2:])
    out[part, :values.shape[1]] = values
    return out
