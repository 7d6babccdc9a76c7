"""Which examples make up an update, and which a batch; the batches of an evaluation, run."""
import collections
import itertools
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

__all__ = ['updates_per_epoch', 'epoch_updates', 'share', 'split', 'evaluation_batches',
           'run_batches']

_POOL = 50      # updates whose examples are sorted by length together


def updates_per_epoch(examples: int, update_size: int) -> int:
    """Number of updates in an epoch; the last may be smaller, no example is dropped."""
    return -(-examples // update_size)


def epoch_updates(lengths: Sequence[int], update_size: int, seed: int, epoch: int,
                  alike: bool = True) -> List[np.ndarray]:
    """The examples of every update of an epoch.

    Examples are shuffled and cut into updates.  To save padding, the examples of an update can be
    alike in length: they are then sorted by length within pools of 50 updates, and the updates
    shuffled.  The result depends only on the arguments, not on earlier random numbers.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each example.
    update_size : int
        Examples in an update, over all workers, devices and accumulated micro-batches.
    seed, epoch : int
    alike : bool

    Returns
    -------
    list of numpy.ndarray
        Indices, sorted by length from long to short.
    """
    rng = np.random.RandomState([seed % 2 ** 32, epoch])
    lengths = np.asarray(lengths)
    order = rng.permutation(len(lengths))
    updates = []
    pool_size = (_POOL if alike else 1) * update_size
    for start in range(0, len(order), pool_size):
        pool = order[start:start + pool_size]
        pool = pool[np.argsort(-lengths[pool], kind='stable')]
        updates += [pool[i:i + update_size] for i in range(0, len(pool), update_size)]
    return [updates[i] for i in rng.permutation(len(updates))]


def share(indices: np.ndarray, rank: int, workers: int, batch_size: int) -> List[np.ndarray]:
    """One worker's micro-batches of an update: every ``workers``-th example.

    The indices are sorted by length, so the workers' shares are alike in length and micro-batches
    need little padding.  A share may be empty at the end of an epoch.
    """
    mine = indices[rank::workers]
    return [mine[i:i + batch_size] for i in range(0, len(mine), batch_size)]


def split(indices: np.ndarray, devices: Sequence[Any]) -> List[Tuple[np.ndarray, Any]]:
    """(part, device) pairs: a batch in parts of even size, no more than there are indices."""
    return list(zip(np.array_split(indices, min(len(devices), len(indices))), devices))


def evaluation_batches(lengths: Sequence[int], batch_size: int,
                       tokens: Optional[int] = None) -> List[np.ndarray]:
    """Indices of all examples in batches, from long to short.

    A batch has at most ``batch_size`` examples and, including padding, at most ``tokens`` tokens,
    unless it is a single example.
    """
    order = np.argsort(-np.asarray(lengths), kind='stable')
    batches = []
    while len(order):
        size = min(batch_size, max(1, tokens // lengths[order[0]])) if tokens else batch_size
        batches.append(order[:size])
        order = order[size:]
    return batches


def run_batches(batches: Iterable[np.ndarray], devices: Sequence[Any],
                forward: Callable[[np.ndarray, Any], Any]) -> Iterator[np.ndarray]:
    """The result of each batch as a numpy array, in order.

    ``forward``: (indices, device) -> NDArray.  Devices take turns.  MXNet computes in the
    background, so the next batches, at most two per device, run while a result is read.
    """
    pending = collections.deque()
    for batch, device in zip(batches, itertools.cycle(devices)):
        pending.append(forward(batch, device))
        if len(pending) > 2 * len(devices):
            yield pending.popleft().asnumpy()
    while pending:
        yield pending.popleft().asnumpy()
