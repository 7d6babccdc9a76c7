"""Running a network over many rows: batches by length, divided among workers and devices."""
from typing import Callable, Sequence, Union

import mxnet as mx
import numpy as np

from ..data.fingerprint import fingerprint
from ..data.sampling import evaluation_batches, run_batches
from ..model.forward import Packed, Padded
from ..utils import memory
from .distributed import Local, check_same_data, lost_workers
from .progress import follow

__all__ = ['Forward', 'score_rows', 'BATCH_TOKENS', 'RESTART']

Forward = Union[Padded, Packed]     # a network, called with rows of token ids and token types

# maximum tokens of a batch in inference; on a CPU its arrays should stay in the processor's cache
BATCH_TOKENS = {'cpu': 1 << 11, 'gpu': 1 << 15}
RESTART = 'start the same command again, with --resume if it has saved a checkpoint'


def score_rows(rows: Sequence[Sequence[int]], batch_size: int, comm: Local,
               forward: Callable[[np.ndarray, mx.Context], mx.nd.NDArray],
               by_token: bool = False) -> np.ndarray:
    """Run ``forward`` over all rows, divided among workers and devices; every worker gets all.

    The progress is logged if it takes long.

    Parameters
    ----------
    rows : sequence of sequences of int
        The token ids of each row, the same on all workers.
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
        (rows, ...), of the type of what ``forward`` returns.

    Raises
    ------
    DataError
        If workers have different rows, or one is gone.
    """
    lengths = list(map(len, rows))
    with lost_workers(comm, lambda: RESTART):
        if comm.size > 1:
            check_same_data(comm, fingerprint(rows, lengths), 'data to predict')
        return _score(lengths, batch_size, comm, forward, by_token)


def _score(lengths, batch_size, comm, forward, by_token):
    mx.nd.waitall()         # what training freed is more than these batches need
    memory.give_back()
    parts = evaluation_batches(lengths, batch_size, BATCH_TOKENS[comm.devices[0].device_type])
    mine = parts[comm.rank::comm.size]
    out, parts = None, mine or parts[:1]
    tokens = [sum(lengths[i] for i in part) for part in parts]
    results = run_batches(parts, comm.devices, forward)
    for part, values in zip(parts, follow(results, tokens, comm.rank)):
        if out is None:
            width = max(lengths) if by_token else values.shape[1]
            out = np.zeros((len(lengths), width) + values.shape[2:], values.dtype)
        out[part, :values.shape[1]] = values
    if comm.size == 1:
        return out
    # each row is one worker's, so the sum has no other digits
    return comm.sum(out if mine else np.zeros_like(out)).astype(out.dtype)
