"""Which examples make up an update, and which a batch."""

import numpy as np

__all__ = ['updates_per_epoch', 'epoch_updates', 'share', 'split', 'evaluation_batches']

_POOL = 50      # updates whose examples are sorted by length together


def updates_per_epoch(examples, update_size):
    """Number of updates in an epoch; the last may be smaller, nothing is dropped."""
    return -(-examples // update_size)


def epoch_updates(lengths, update_size, seed, epoch, alike=True):
    """The examples of every update of an epoch.

    Examples are shuffled and cut into updates.  To save padding, the examples of an update can be
    alike in length: they are then sorted by length within pools of 50 updates, and the updates
    shuffled.  The result depends on the arguments alone, not on what was drawn before.

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


def share(indices, rank, workers, batch_size):
    """One worker's micro-batches of an update: every ``workers``-th example, in pieces.

    Sorted by length as they come, the workers' shares are alike in length, and the pieces of a
    share need little padding.  A share may be empty at the end of an epoch.
    """
    mine = indices[rank::workers]
    return [mine[i:i + batch_size] for i in range(0, len(mine), batch_size)]


def split(indices, devices):
    """(part, device) pairs: a batch in pieces of even size, no more than there are indices."""
    return list(zip(np.array_split(indices, min(len(devices), len(indices))), devices))


def evaluation_batches(lengths, batch_size, tokens=None):
    """Indices of all examples in batches, from long to short.

    A batch has ``batch_size`` examples at most, and ``tokens`` at most with its padding, unless it
    is of one example.
    """
    order = np.argsort(-np.asarray(lengths), kind='stable')
    batches = []
    while len(order):
        size = min(batch_size, max(1, tokens // lengths[order[0]])) if tokens else batch_size
        batches.append(order[:size])
        order = order[size:]
    return batches


