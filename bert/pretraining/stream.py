"""Instances for pre-training -> updates that are the same for any number of workers.

A source (:mod:`bert.pretraining.sources`) has its instances in chunks.  An update takes one
micro-batch from each of M *sub-streams*, which share the chunks: N workers have M / N sub-streams
each, and read only what these need; one worker that accumulates M micro-batches has all of them,
and makes the same updates.

An *epoch* is a random order of the chunks, the same for all sub-streams.  Sub-stream m takes the
chunks m, m + M, ... (m + 1, m + 1 + M, ... in the next epoch, and so on); where fewer than M are
left, several sub-streams read the same chunk and divide its rows.  After its last chunk, a
sub-stream begins its own next epoch.  Some consecutive
chunks at a time fill its *buffer*, whose instances are cut into micro-batches of similar length.
What does not fill a micro-batch goes into the next buffer, so nothing is lost.

A *position*, from which a stream continues, is a dict that checkpoints keep as JSON: ``updates``
(how many were made) and ``streams``.  The latter has, by its number, where the buffer of each
sub-stream begins: ``epoch``, ``index`` (of the next chunk among the sub-stream's own), ``first``
(the update that takes the first micro-batch) and ``carried`` (the origins of the instances left
over from the buffer before).
"""
import itertools
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..utils.errors import DataError
from .instances import Batch, Buffer
from .processes import Place, Reader

__all__ = ['Stream', 'Update', 'edges', 'evaluation', 'share']

_BUFFER_BATCHES = 32        # micro-batches in a buffer, for most to be of one length
_BUFFER_TOKENS = 1 << 24    # in the buffers of all sub-streams at most, for memory
_EMPTY_EPOCHS = 8           # after this many epochs, and M more, without an instance, give up


class _MicroBatch(NamedTuple):
    buffer: Buffer
    rows: np.ndarray
    epoch: int
    position: Dict[str, Any]    # of the sub-stream after it


class Update:
    """One worker's share of an update.

    Attributes
    ----------
    counts : (M, 4) int64
        Of each micro-batch: instances, tokens, masked tokens, and the epoch that its sub-stream
        has reached, from 0.  Other workers' rows are 0: the sum over workers is the whole table.
    position : dict
        Where the stream stands after this update, for :class:`Stream`; only this worker's
        sub-streams are in it.
    """

    def __init__(self, micro_batches: Dict[int, _MicroBatch], count: int, edges: np.ndarray,
                 number: int):
        self._micro_batches, self._edges = list(micro_batches.values()), edges
        self.counts = np.zeros((count, 4), np.int64)
        for m, (buffer, rows, epoch, _) in micro_batches.items():
            self.counts[m] = (len(rows), buffer.instances.lengths[rows].sum(),
                              buffer.instances.counts[rows].sum(), epoch)
        self.position = {'updates': number + 1, 'streams': {
            str(m): micro_batch.position for m, micro_batch in micro_batches.items()}}

    def batches(self) -> Iterator[Batch]:
        """Yield this worker's micro-batches."""
        for buffer, rows, _, _ in self._micro_batches:
            longest = buffer.instances.lengths[rows].max()
            yield buffer.batch(rows, int(self._edges[np.searchsorted(self._edges, longest)]))


class Stream:
    """One worker's share of the updates of a training run, without end; a context manager.

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
        Where to start: that of the update before, of all workers.
    rank, world_size : int
        This worker makes the micro-batches ``rank``, ``rank + world_size``, ... of each update.
    """

    def __init__(self, source: Any, batch_size: int, micro_batches: int, by_tokens: bool = False,
                 num_buckets: int = 10, seed: int = 0, workers: int = 0,
                 position: Optional[Dict[str, Any]] = None, rank: int = 0, world_size: int = 1):
        self._position = position or {'updates': 0, 'streams': {}}
        self._micro_batches, self._owned = micro_batches, range(rank, micro_batches, world_size)
        self._reader = Reader(source, workers, 2 * len(self._owned))
        self._depth = max(1, -(-workers // len(self._owned)))
        self._edges = edges(source.max_length, num_buckets)
        tokens = _BUFFER_BATCHES * batch_size * (1 if by_tokens else source.max_length)
        self._recipe = _Recipe(source, batch_size, by_tokens, micro_batches, self._owned, seed,
                               self._edges, min(tokens, _BUFFER_TOKENS // micro_batches))

    def __enter__(self) -> 'Stream':
        return self

    def __exit__(self, *error: Any) -> None:
        self._reader.close()

    def __iter__(self) -> Iterator[Update]:
        """Yield :class:`Update`; DataError for bad data, and where there are no instances."""
        begun = {'epoch': 0, 'index': 0, 'first': 0, 'carried': []}
        updates, streams = self._position['updates'], self._position['streams']
        # all of them begin to read, then the first one waits
        all_batches = {m: _SubStream(self._recipe, self._reader, self._depth, m,
                                     streams.get(str(m), begun)).micro_batches(updates)
                       for m in self._owned}
        for number in itertools.count(updates):
            yield Update({m: next(batches) for m, batches in all_batches.items()},
                         self._micro_batches, self._edges, number)


class _Recipe(NamedTuple):
    """What all sub-streams have in common."""
    source: Any
    batch_size: int
    by_tokens: bool
    micro_batches: int
    owned: Sequence[int]
    seed: int
    edges: np.ndarray
    buffer_tokens: int


class _SubStream:
    """The micro-batches of sub-stream ``number``, from a position; begins to read at once."""

    def __init__(self, recipe: _Recipe, reader: Reader, depth: int, number: int,
                 position: Dict[str, Any]):
        self._recipe, self._reader, self._number, self._start = recipe, reader, number, position
        self._origin = np.array(position['carried'], np.int64).reshape(-1, 3)
        self._old = [(epoch, chunk, reader.submit(epoch, chunk)) for epoch, chunk in
                     np.unique(self._origin[:, :2], axis=0).tolist()]
        self._chunks = reader.read(self._places(position['epoch'], position['index']), depth)

    def micro_batches(self, done: int) -> Iterator[_MicroBatch]:
        """Yield what the updates from number ``done`` on, counted from 0, take."""
        start, carried, empty = self._start, self._carried(), 0
        while True:
            place, buffer = self._fill(carried)
            empty = 0 if len(buffer.origin) else empty + place.is_last
            if empty > _EMPTY_EPOCHS + self._recipe.micro_batches:
                raise DataError('--data: no instances, or too few for updates of '
                                f'{self._recipe.micro_batches} micro-batches; in text, write each '
                                'sentence on a line of its own, at least two in a document')
            batches, rest = self._cut(buffer, 0 if carried is None else len(carried.origin), start)
            carried = buffer.select(rest) if len(rest) else None
            numbers = range(start['first'], start['first'] + len(batches))
            following = {'epoch': place.epoch + place.is_last,
                         'index': 0 if place.is_last else place.index + 1,
                         'first': numbers.stop, 'carried': buffer.origin[rest].tolist()}
            for number in numbers:
                # all sub-streams take a short one, or all a long one: workers wait less
                draw = np.random.default_rng([self._recipe.seed, number]).random()
                rows = batches.pop(int(draw * len(batches)))
                if number >= done:
                    yield _MicroBatch(buffer, rows, place.epoch, start if batches else following)
            start = following

    def _fill(self, carried):
        """The place of the last chunk that was taken, and the buffer of what was left over and
        what is new."""
        buffers, tokens = [] if carried is None else [carried], 0
        for place, instances in self._chunks:
            buffers.append(Buffer.of_chunk(instances, place.epoch, place.chunk, place.part,
                                           place.parts))
            tokens += len(buffers[-1].instances.ids)
            if place.is_last or tokens >= self._recipe.buffer_tokens:
                break
        return place, Buffer.joined(buffers)

    def _places(self, first, index):
        """The sub-stream's chunks from an epoch and an index in it on."""
        for epoch in itertools.count(first):
            rng = np.random.default_rng([self._recipe.seed, epoch])
            order = rng.permutation(self._recipe.source.num_chunks)
            own, *others = [share(len(order), m + epoch, self._recipe.micro_batches)
                            for m in (self._number, *self._recipe.owned)]
            for i in range(index, len(own)):
                at, part, parts = own[i]
                here = 1 if parts == 1 else sum(other[-1][0] == at for other in others)
                yield Place(epoch, i, int(order[at]), part, parts, here, i + 1 == len(own))
            index = 0

    def _carried(self):
        """The buffer of what was left over where the stream starts, or None."""
        buffers = []
        for epoch, chunk, future in self._old:
            rows = self._origin[(self._origin[:, :2] == (epoch, chunk)).all(axis=1), 2]
            whole = Buffer.of_chunk(self._reader.result(future), epoch, chunk)
            buffers.append(whole.select(rows))
        self._old = []
        if not buffers:
            return None
        buffer = Buffer.joined(buffers)
        places = {tuple(row): i for i, row in enumerate(buffer.origin.tolist())}
        return buffer.select(np.array([places[tuple(row)] for row in self._origin.tolist()]))

    def _cut(self, buffer, carried, start):
        """A buffer's micro-batches, arrays of rows, from short to long; and the rows left over."""
        lengths, size = buffer.instances.lengths, self._recipe.batch_size
        rng = np.random.default_rng(
            [self._recipe.seed, self._number, start['epoch'], start['index']])
        # what has waited longest comes first
        order = np.concatenate([np.arange(carried),
                                carried + rng.permutation(len(lengths) - carried)])
        buckets = np.searchsorted(self._recipe.edges, lengths[order])
        batches, is_left = [], np.ones(len(order), bool)
        for bucket in np.unique(buckets).tolist():      # from short to long
            places = np.flatnonzero(buckets == bucket)
            rows = order[places]
            if self._recipe.by_tokens:
                size = max(1, int(self._recipe.batch_size / lengths[rows].mean()))
            batches += _whole(rows, size)
            is_left[places[:len(rows) // size * size]] = False
        # what is left makes some of several lengths, first what has waited longest; the size is
        # that of the longest, for memory
        rest = order[is_left]
        mixed, rest = np.split(rest, [len(rest) // size * size])
        batches += _whole(mixed[np.argsort(-lengths[mixed], kind='stable')], size)
        return sorted(batches, key=lambda rows: lengths[rows].max()), rest


def _whole(rows, size):
    """As many groups of ``size`` as the rows fill."""
    return [rows[end - size:end] for end in range(size, len(rows) + 1, size)]


def share(num_chunks: int, number: int, count: int) -> List[Tuple[int, int, int]]:
    """What reader ``number`` (modulo ``count``) of ``count`` takes of chunks in some order.

    Each of them takes one of ``count`` chunks at a time; the fewer than ``count`` that are left
    in the end are shared.

    Returns
    -------
    list of (index, part, parts)
        Of chunk ``index`` the reader takes the rows ``part``, ``part + parts``, ...
    """
    number, left = number % count, num_chunks % count
    own = [(i, 0, 1) for i in range(number, num_chunks - left, count)]
    if left:
        first = number % left
        own.append((num_chunks - left + first, number // left, len(range(first, count, left))))
    return own


def edges(max_length: int, num_buckets: int) -> np.ndarray:
    """The lengths to pad to: about ``num_buckets``, multiples of 8, the last ``max_length``."""
    ends = np.ceil(np.arange(1, num_buckets + 1) * max_length / num_buckets / 8).astype(int) * 8
    return np.unique(np.minimum(ends, max_length))


def evaluation(source: Any, batch_size: int, rank: int = 0,
               world_size: int = 1) -> Iterator[Batch]:
    """Yield one worker's share of a whole source, in batches of ``batch_size`` or less.

    Each instance comes once among all workers, in batches that are the same for any number of
    them.
    """
    reader = Reader(source, 0)
    lengths_of = edges(source.max_length, source.max_length)
    places = (Place(0, i, i, part, parts, 1, False)
              for i, part, parts in share(source.num_chunks, rank, world_size))
    try:
        for place, instances in reader.read(places, 1):
            buffer = Buffer.of_chunk(instances, 0, place.chunk)
            order = np.argsort(-instances.lengths, kind='stable')
            starts = range(0, len(order), batch_size)
            for start in starts[place.part::place.parts]:
                rows = order[start:start + batch_size]
                longest = np.searchsorted(lengths_of, instances.lengths[rows[0]])
                yield buffer.batch(rows, int(lengths_of[longest]))
    finally:
        reader.close()
