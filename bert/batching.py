"""Which examples make up an update, and how rows of token ids become padded arrays."""
import collections

import numpy as np

__all__ = ['updates_per_epoch', 'epoch_updates', 'share', 'split', 'evaluation_batches',
           'pad', 'inputs', 'round_up', 'packed', 'score_rows', 'BATCH_TOKENS']

# tokens in a batch without training, at most: on a CPU its arrays should stay in the cache
BATCH_TOKENS = {'cpu': 1 << 11, 'gpu': 1 << 15}
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


def pad(rows, value, length=None):
    """Rows of numbers -> an int32 array (rows, longest) and the lengths, (rows,) float32.

    ``value`` fills up; ``length`` pads to more than the longest row.
    """
    lengths = np.array([len(row) for row in rows], np.float32)
    out = np.full((len(rows), length or int(lengths.max())), value, np.int32)
    for i, row in enumerate(rows):
        out[i, :len(row)] = row
    return out, lengths


def inputs(ids, segments, pad_id, device, length=None):
    """Rows of token ids and segments -> the networks' inputs on ``device``.

    Returns NDArrays: ids (rows, longest) int32, segments the same float32, lengths (rows,) float32.
    """
    import mxnet as mx
    ids, lengths = pad(ids, pad_id, length)
    segments, _ = pad(segments, 0, length)
    return (mx.nd.array(ids, ctx=device, dtype='int32'), mx.nd.array(segments, ctx=device),
            mx.nd.array(lengths, ctx=device))


def round_up(count):
    """The next size of those that packed arrays have: all up to 64, 32 in each octave above.

    For each size of a matrix product that MXNet meets, it prepares code and scratch memory, up to
    20 MB a training step, and keeps them: sizes must not be too many.
    """
    unit = 1 << max(0, int(count - 1).bit_length() - 6)
    return -(-count // unit) * unit


def packed(ids, segments, device):
    """Rows of token ids and segments -> the inputs of :class:`bert.packed.PackedNetwork`.

    Returns NDArrays on ``device``: ids, segments and positions (tokens,) int32, those of all rows
    and then zeros up to a size of :func:`round_up`; starts and lengths (rows,) float32.
    """
    import mxnet as mx
    lengths = np.array([len(row) for row in ids])
    starts = np.cumsum(lengths) - lengths
    count = lengths.sum()
    tokens = np.zeros((3, round_up(count)), np.int32)
    tokens[:, :count] = (np.concatenate(ids), np.concatenate(segments),
                         np.arange(count) - np.repeat(starts, lengths))
    return tuple([mx.nd.array(array, ctx=device, dtype='int32') for array in tokens]
                 + [mx.nd.array(array, ctx=device) for array in (starts, lengths)])


def score_rows(lengths, batch_size, comm, forward, by_token=False):
    """Run ``forward`` over all rows, shared among workers and devices; every worker gets all.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each row.
    batch_size : int
    comm : bert.communicator.Local
    forward : callable
        (indices, device) -> float32 NDArray (len(indices), ...), of a fixed shape otherwise.
    by_token : bool
        The second axis of what ``forward`` returns is the tokens of the longest of its rows; it is
        filled up with zeros to the longest of all.

    Returns
    -------
    numpy.ndarray
        (rows, ...) float64.
    """
    parts = evaluation_batches(lengths, batch_size, BATCH_TOKENS[comm.devices[0].device_type])
    mine = parts[comm.rank::comm.size]
    out, pending = None, collections.deque()
    width = max(lengths) if by_token else None
    # MXNet computes in the background: the next batches are under way while a result is read
    for i, part in enumerate(mine or parts[:1]):
        pending.append((part, forward(part, comm.devices[i % len(comm.devices)])))
        if len(pending) > 2 * len(comm.devices):
            out = _place(out, len(lengths), width, *pending.popleft())
    while pending:
        out = _place(out, len(lengths), width, *pending.popleft())
    return comm.sum(out if mine else np.zeros_like(out))


def _place(out, rows, width, part, scores):
    scores = scores.asnumpy()
    if out is None:
        out = np.zeros((rows, width or scores.shape[1]) + scores.shape[2:])
    out[part, :scores.shape[1]] = scores
    return out
