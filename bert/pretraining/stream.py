"""Instances for pre-training -> the same stream of updates for every worker.

A source (:mod:`bert.pretraining.sources`) has its instances in chunks.  An *epoch* reads all of
them once, in random order.  Some consecutive chunks at a time fill a *buffer*, whose instances are
cut into micro-batches of similar length, and these into updates.  What does not fill an update
goes into the next buffer, so nothing is lost.  The stream depends on the source, the seed and the
number of micro-batches in an update alone: each of N workers walks all of it and takes every N-th
micro-batch, so N workers do what one worker does that accumulates N times as much.

A *position*, from which a stream continues, is a dict that checkpoints keep as JSON: ``pass`` (the
epoch), ``piece`` (the next chunk, as an index in the order of the epoch), ``done`` (the updates
made of the buffer that begins there) and ``carried`` (the origins of the instances left over from
the buffer before).
"""
import itertools
from typing import Any, Dict, Iterator, List, Optional

import numpy as np

from ..utils.errors import DataError
from .instances import Batch, Buffer
from .processes import ReadAhead

__all__ = ['Stream', 'Update', 'edges', 'evaluation']

_BUFFER_UPDATES = 32        # in a buffer, for most to be of one length
_BUFFER_TOKENS = 1 << 24    # in a buffer at most, for memory


class Update:
    """The instances of one update.

    Attributes
    ----------
    size : int, the number of micro-batches
    instances, tokens, masked : int, in all of them
    origin : (instances, 3) int64, as :class:`~bert.pretraining.instances.Buffer` has it
    epoch : int, the epoch that has reached this update, from 0
    position : dict, where the stream stands after this update, for :class:`Stream`
    """

    def __init__(self, buffer: Buffer, batches: List[np.ndarray], edges: np.ndarray, epoch: int,
                 position: Dict[str, Any]):
        self._buffer, self._batches, self._edges = buffer, batches, edges
        self.epoch, self.position, self.size = epoch, position, len(batches)
        rows = np.concatenate(batches)
        self.instances = len(rows)
        self.tokens = int(buffer.instances.lengths[rows].sum())
        self.masked = int(buffer.instances.counts[rows].sum())
        self.origin = buffer.origin[rows]

    def batches(self, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
        """Yield one worker's micro-batches."""
        for rows in self._batches[rank::world_size]:
            longest = self._buffer.instances.lengths[rows].max()
            yield self._buffer.batch(rows, int(self._edges[np.searchsorted(self._edges, longest)]))


class Stream:
    """The updates of a training run, without end; a context manager.

    Parameters
    ----------
    source : one of :mod:`bert.pretraining.sources`
    batch_size : int
        Instances in a micro-batch, or about as many tokens.
    micro_batches : int
        In an update: those of all workers, devices and accumulations.
    by_tokens : bool
        Whether ``batch_size`` counts tokens.
    num_buckets : int
        How many lengths to pad to.
    seed : int
    workers : int
        Processes that read ahead; 0: a thread of this one.
    position : dict, optional
        Where to start: that of the update before.
    """

    def __init__(self, source: Any, batch_size: int, micro_batches: int, by_tokens: bool = False,
                 num_buckets: int = 10, seed: int = 0, workers: int = 0,
                 position: Optional[Dict[str, Any]] = None):
        self._source, self._batch_size, self._micro_batches = source, batch_size, micro_batches
        self._by_tokens, self._seed = by_tokens, seed
        self._position = dict(position or {'pass': 0, 'piece': 0, 'done': 0, 'carried': []})
        self._edges = edges(source.max_length, num_buckets)
        tokens = batch_size if by_tokens else batch_size * source.max_length
        self._buffer_tokens = min(_BUFFER_UPDATES * micro_batches * tokens, _BUFFER_TOKENS)
        self._ahead = ReadAhead(source, workers)

    def __enter__(self) -> 'Stream':
        return self

    def __exit__(self, *error: Any) -> None:
        self._ahead.close()

    def __iter__(self) -> Iterator[Update]:
        """Yield :class:`Update`; DataError for bad data, and where there are no instances."""
        start, carried = self._position, self._carried()
        chunks = self._ahead.read(self._order(start['pass'], start['piece']))
        any_found = carried is not None
        while True:
            fresh, tokens = [], 0
            for (epoch, index, chunk), instances in chunks:
                fresh.append(Buffer.of_chunk(instances, epoch, chunk))
                tokens += len(instances.ids)
                is_last = index + 1 == self._source.num_chunks
                if is_last or tokens >= self._buffer_tokens:
                    break
            any_found = any_found or tokens > 0
            if is_last and not any_found:
                raise DataError('no instances in the training data; a document of text needs two '
                                'sentences')
            buffer = Buffer.joined(fresh if carried is None else [carried, *fresh])
            updates, rest = self._cut(buffer, 0 if carried is None else len(carried.origin),
                                      [start['pass'], start['piece']])
            carried = buffer.select(rest) if len(rest) else None
            following = {'pass': epoch + is_last, 'piece': 0 if is_last else index + 1, 'done': 0,
                         'carried': buffer.origin[rest].tolist()}
            for done, batches in enumerate(updates, 1):
                if done > start['done']:
                    yield Update(buffer, batches, self._edges, epoch, following
                                 if done == len(updates) else dict(start, done=done))
            start = following

    def _order(self, epoch, index):
        """The chunks from a place on: (epoch, index in its order, chunk)."""
        for number in itertools.count(epoch):
            rng = np.random.default_rng([self._seed, number])
            order = rng.permutation(self._source.num_chunks)
            for i in range(index, len(order)):
                yield number, i, int(order[i])
            index = 0

    def _carried(self):
        """The buffer of what was left over where the stream starts, or None."""
        origin = np.array(self._position['carried'], np.int64).reshape(-1, 3)
        buffers = []
        for epoch, chunk in np.unique(origin[:, :2], axis=0).tolist():
            rows = origin[(origin[:, :2] == (epoch, chunk)).all(axis=1), 2]
            whole = Buffer.of_chunk(self._source.read(epoch, chunk), epoch, chunk)
            buffers.append(whole.select(rows))
        if not buffers:
            return None
        buffer = Buffer.joined(buffers)
        places = {tuple(row): i for i, row in enumerate(buffer.origin.tolist())}
        return buffer.select(np.array([places[tuple(row)] for row in origin.tolist()]))

    def _cut(self, buffer, carried, where):
        """A buffer's updates, lists of row arrays, one per micro-batch; and the rows left over."""
        lengths = buffer.instances.lengths
        rng = np.random.default_rng([self._seed] + where)
        # what has waited longest comes first
        order = np.concatenate([np.arange(carried),
                                carried + rng.permutation(len(lengths) - carried)])
        buckets = np.searchsorted(self._edges, lengths[order])
        updates, rest, size = [], np.ones(len(order), bool), self._batch_size
        for bucket in np.unique(buckets).tolist():      # from short to long
            places = np.flatnonzero(buckets == bucket)
            rows = order[places]
            if self._by_tokens:
                size = max(1, int(self._batch_size / lengths[rows].mean()))
            end = self._group(rows, size, updates)
            rest[places[:end]] = False
        # what does not fill an update makes some of several lengths, first what has waited longest;
        # the size is that of the longest, for memory
        rest = order[rest]
        whole = size * self._micro_batches
        end = len(rest) // whole * whole
        self._group(rest[:end][np.argsort(-lengths[rest[:end]], kind='stable')], size, updates)
        return [updates[i] for i in rng.permutation(len(updates))], rest[end:]

    def _group(self, rows, size, updates):
        """Append to ``updates`` those that ``rows`` fill; return how many rows they take."""
        whole = size * self._micro_batches
        count = len(rows) // whole
        updates += [np.split(rows[i * whole:(i + 1) * whole], self._micro_batches)
                    for i in range(count)]
        return count * whole


def edges(max_length: int, num_buckets: int) -> np.ndarray:
    """The lengths to pad to: about ``num_buckets``, multiples of 8, the last ``max_length``."""
    ends = np.ceil(np.arange(1, num_buckets + 1) * max_length / num_buckets / 8).astype(int) * 8
    return np.unique(np.minimum(ends, max_length))


def evaluation(source: Any, batch_size: int, rank: int = 0,
               world_size: int = 1) -> Iterator[Batch]:
    """Yield one worker's share of a whole source, in batches of ``batch_size`` or less.

    Each instance comes once, always the same, in the order of the chunks.
    """
    count = itertools.count()
    ahead = ReadAhead(source, 0)
    lengths_of = edges(source.max_length, source.max_length)
    try:
        for (_, _, chunk), instances in ahead.read((0, i, i) for i in range(source.num_chunks)):
            buffer = Buffer.of_chunk(instances, 0, chunk)
            order = np.argsort(-instances.lengths, kind='stable')
            for start in range(0, len(order), batch_size):
                if next(count) % world_size == rank:
                    rows = order[start:start + batch_size]
                    longest = np.searchsorted(lengths_of, instances.lengths[rows[0]])
                    yield buffer.batch(rows, int(lengths_of[longest]))
    finally:
        ahead.close()
