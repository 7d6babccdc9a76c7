"""Instances for pre-training -> the same stream of updates for every worker.

A source (:mod:`bert.pretraining.sources`) has its instances in pieces.  A *pass* reads all of them
once, in random order.  Some consecutive pieces at a time make a *pool*, whose instances are cut
into micro-batches of like length, and these into updates.  What does not fill an update goes into
the next pool, so nothing is lost.  The stream depends on the source, the seed and the number of
micro-batches in an update alone: each of N workers walks all of it and takes every N-th
micro-batch, so N workers do what one worker does that accumulates N times as much.
"""
import collections
import itertools
import multiprocessing
import os
import threading
import time
from concurrent import futures

import numpy as np

from ..utils.errors import DataError
from .sources import Instances, join

__all__ = ['Batch', 'Stream', 'Update', 'evaluation']

Batch = collections.namedtuple('Batch', 'ids segments length masked labels next_sentence')
Batch.__doc__ = """A micro-batch; all arrays are int32.

- ids, segments: lists of arrays, one a row
- length: int, what to pad the rows to where they are padded
- masked: (masked tokens,), their places among the tokens of all rows, one row after the other
- labels: (masked tokens,), what they were
- next_sentence: (rows,)
"""

_POOL_UPDATES = 32          # in a pool, for most to be of one length
_POOL_TOKENS = 1 << 24      # in a pool at most, for memory


class Pool:
    """Instances of several pieces, with where each comes from.

    ``origin`` is (instances, 3) int64: the pass, the piece, and the row in it.
    """

    def __init__(self, instances, origin):
        self.instances, self.origin = instances, origin
        self._starts = np.cumsum(instances.lengths, dtype=np.int64) - instances.lengths
        self._masks = np.cumsum(instances.counts, dtype=np.int64) - instances.counts

    @classmethod
    def joined(cls, pools):
        return cls(join([pool.instances for pool in pools]),
                   np.concatenate([pool.origin for pool in pools]))

    @classmethod
    def of_piece(cls, instances, pass_, piece):
        rows = np.arange(len(instances.lengths))
        return cls(instances, np.stack([np.full_like(rows, pass_), np.full_like(rows, piece),
                                        rows], axis=1))

    def select(self, rows):
        """A pool of some rows alone."""
        old = self.instances
        tokens = _ranges(self._starts[rows], old.lengths[rows])
        masked = _ranges(self._masks[rows], old.counts[rows])
        return Pool(Instances(old.ids[tokens], old.segments[tokens], old.lengths[rows],
                              old.positions[masked], old.labels[masked], old.counts[rows],
                              old.next_sentence[rows]), self.origin[rows])

    def batch(self, rows, length):
        """The :class:`Batch` of some rows, which may be padded to ``length`` tokens."""
        chosen = self.select(rows)
        of, ends = chosen.instances, chosen._starts[1:]
        masked = np.repeat(chosen._starts, of.counts) + of.positions
        return Batch(np.split(of.ids, ends), np.split(of.segments, ends), length,
                     masked.astype(np.int32), of.labels, of.next_sentence)


def _ranges(starts, sizes):
    """All indices from each start on, as many as its size."""
    return np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)


class Update:
    """The instances of one update.

    Attributes
    ----------
    size : int, the number of micro-batches
    instances, tokens, masked : int, in all of them
    epoch : int, the pass that has come to this, from 0
    position : dict, where the stream stands after this update, for :class:`Stream`
    """

    def __init__(self, pool, batches, edges, epoch, position):
        self._pool, self._batches, self._edges = pool, batches, edges
        self.epoch, self.position, self.size = epoch, position, len(batches)
        rows = np.concatenate(batches)
        self.instances = len(rows)
        self.tokens = int(pool.instances.lengths[rows].sum())
        self.masked = int(pool.instances.counts[rows].sum())
        self.origin = pool.origin[rows]

    def batches(self, rank=0, workers=1):
        """Yield one worker's micro-batches: :class:`Batch`."""
        for rows in self._batches[rank::workers]:
            longest = self._pool.instances.lengths[rows].max()
            yield self._pool.batch(rows, int(self._edges[np.searchsorted(self._edges, longest)]))


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

    def __init__(self, source, batch_size, micro_batches, by_tokens=False, num_buckets=10, seed=0,
                 workers=0, position=None):
        self._source, self._batch_size, self._micro = source, batch_size, micro_batches
        self._by_tokens, self._seed = by_tokens, seed
        self._position = dict(position or {'pass': 0, 'piece': 0, 'done': 0, 'carried': []})
        self._edges = edges(source.max_length, num_buckets)
        tokens = batch_size if by_tokens else batch_size * source.max_length
        self._pool_tokens = min(_POOL_UPDATES * micro_batches * tokens, _POOL_TOKENS)
        self._ahead = _Ahead(source, workers)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._ahead.close()

    def __iter__(self):
        carried = self._carried()
        start = self._position
        pieces = self._ahead.read(self._order(start['pass'], start['piece']))
        found = carried is not None     # so many instances has a pass
        while True:
            pools, tokens = [] if carried is None else [carried], 0
            for (pass_, index, piece), instances in pieces:
                pools.append(Pool.of_piece(instances, pass_, piece))
                tokens += len(instances.ids)
                last = index + 1 == self._source.pieces
                if last or tokens >= self._pool_tokens:
                    break
            found = found or tokens > 0
            if last and not found:
                raise DataError('no instances in the training data; a document of text needs two '
                                'sentences')
            pool = Pool.joined(pools)
            updates, rest = self._cut(pool, 0 if carried is None else len(carried.origin),
                                      [start['pass'], start['piece']])
            carried = pool.select(rest) if len(rest) else None
            following = {'pass': pass_ + last, 'piece': 0 if last else index + 1, 'done': 0,
                         'carried': pool.origin[rest].tolist()}
            for done, batches in enumerate(updates, 1):
                if done > start['done']:
                    yield Update(pool, batches, self._edges, pass_, following
                                 if done == len(updates) else dict(start, done=done))
            start = following

    def _order(self, pass_, index):
        """The pieces from a place on: (pass, index in its order, piece)."""
        for number in itertools.count(pass_):
            order = np.random.default_rng([self._seed, number]).permutation(self._source.pieces)
            for i in range(index, len(order)):
                yield number, i, int(order[i])
            index = 0

    def _carried(self):
        """The pool of what was left over where the stream starts, or None."""
        origin = np.array(self._position['carried'], np.int64).reshape(-1, 3)
        pools = []
        for pass_, piece in np.unique(origin[:, :2], axis=0).tolist():
            rows = origin[(origin[:, :2] == (pass_, piece)).all(axis=1), 2]
            pools.append(Pool.of_piece(self._source.read(pass_, piece), pass_, piece).select(rows))
        if not pools:
            return None
        pool = Pool.joined(pools)
        places = {tuple(row): i for i, row in enumerate(pool.origin.tolist())}
        return pool.select(np.array([places[tuple(row)] for row in origin.tolist()]))

    def _cut(self, pool, carried, where):
        """A pool's updates, lists of row arrays, one a micro-batch; and the rows left over."""
        lengths = pool.instances.lengths
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
        end = len(rest) // (size * self._micro) * size * self._micro
        self._group(rest[:end][np.argsort(-lengths[rest[:end]], kind='stable')], size, updates)
        return [updates[i] for i in rng.permutation(len(updates))], rest[end:]

    def _group(self, rows, size, updates):
        """Append to ``updates`` those that ``rows`` fill; how many rows they take."""
        whole = size * self._micro
        count = len(rows) // whole
        updates += [np.split(rows[i * whole:(i + 1) * whole], self._micro) for i in range(count)]
        return count * whole


def edges(max_length, num_buckets):
    """The lengths to pad to: about ``num_buckets``, multiples of 8, the last ``max_length``."""
    ends = np.ceil(np.arange(1, num_buckets + 1) * max_length / num_buckets / 8).astype(int) * 8
    return np.unique(np.minimum(ends, max_length))


def evaluation(source, batch_size, rank=0, workers=1):
    """Yield one worker's share of a whole source: a :class:`Batch` of ``batch_size`` or less.

    Each instance comes once, always the same, in order of the pieces.
    """
    count = itertools.count()
    ahead = _Ahead(source, 0)
    lengths_of = edges(source.max_length, source.max_length)
    try:
        for (_, _, piece), instances in ahead.read((0, i, i) for i in range(source.pieces)):
            pool = Pool.of_piece(instances, 0, piece)
            order = np.argsort(-instances.lengths, kind='stable')
            for start in range(0, len(order), batch_size):
                if next(count) % workers == rank:
                    rows = order[start:start + batch_size]
                    longest = np.searchsorted(lengths_of, instances.lengths[rows[0]])
                    yield pool.batch(rows, int(lengths_of[longest]))
    finally:
        ahead.close()


class _Ahead:
    """Reads the pieces that come next, in other processes or in a thread."""

    def __init__(self, source, workers):
        self._source, self._pending = source, collections.deque()
        if workers:
            # a fork is not safe once MXNet and MPI run threads
            self._executor = futures.ProcessPoolExecutor(
                workers, multiprocessing.get_context('spawn'), _start_worker,
                (os.getpid(), source))
            self._submit = lambda *key: self._executor.submit(_read, *key)
        else:
            self._executor = futures.ThreadPoolExecutor(1)
            self._submit = lambda *key: self._executor.submit(source.read, *key)
        self._depth = workers + 1

    def read(self, order):
        """Yield ((pass, index, piece), instances) in the given order of the former."""
        order = iter(order)
        while True:
            try:
                for key in itertools.islice(order, self._depth - len(self._pending)):
                    self._pending.append((key, self._submit(key[0], key[2])))
                if not self._pending:
                    return
                key, future = self._pending.popleft()
                instances = future.result()
            except futures.BrokenExecutor:
                raise DataError('a process that makes the data ready was killed, perhaps for want '
                                'of memory; go on with --resume and fewer --num_data_workers'
                                ) from None
            yield key, instances

    def close(self):
        """Stop reading, once what is being read has come."""
        for _, future in self._pending:
            future.cancel()
        self._executor.shutdown()


_source = None


def _start_worker(parent, source):
    global _source
    _source = source
    os.setsid()     # a signal to the whole job is for its main processes, which end this one

    def follow_parent():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)
    threading.Thread(target=follow_parent, daemon=True).start()


def _read(pass_, piece):
    return _source.read(pass_, piece)
