"""The stream of updates: complete, the same for any number of workers, and for a restart."""
import json
import threading
import types
from concurrent import futures

import numpy as np
import pytest

from bert.pretraining.checkpoints import gather_position
from bert.pretraining.instances import Instances
from bert.pretraining.sources import Synthetic
from bert.pretraining.stream import Stream, edges, evaluation, share
from bert.utils.errors import DataError


class Numbered:
    """A source in which all ids of an instance are its number, and its label of masks too."""

    max_length = 24

    def __init__(self, *sizes):
        self.num_chunks, self.sizes, self.asked = len(sizes), sizes, []

    def read(self, epoch, chunk):
        self.asked.append((epoch, chunk))
        numbers = np.arange(self.sizes[chunk], dtype=np.int32) + sum(self.sizes[:chunk])
        lengths = (numbers * 7 % 20 + 5).astype(np.int32)
        counts = (lengths // 8 + 1).astype(np.int32)
        return Instances(np.repeat(numbers, lengths), np.repeat(numbers % 2, lengths), lengths,
                         np.concatenate([np.arange(c) * 2 for c in counts] + [[]]).astype(np.int32),
                         np.repeat(numbers, counts), counts, numbers % 2)


def take(stream, count):
    """The first updates of a stream."""
    with stream:
        return [update for update, _ in zip(stream, range(count))]


def numbers(updates):
    """The instances of all updates, in order."""
    return [int(row[0]) for update in updates for batch in update.batches() for row in batch.ids]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second):
        assert one._fields == other._fields
        assert one.length == other.length
        assert [len(row) for row in one.ids] == [len(row) for row in other.ids]
        for name in ('ids', 'segments', 'masked', 'labels', 'next_sentence'):
            np.testing.assert_array_equal(*[np.hstack(getattr(batch, name))
                                            for batch in (one, other)], name)


def test_a_batch_by_hand():
    source = Numbered(3)
    pool = next(iter(take(Stream(source, 3, 1, num_buckets=1), 1)))
    batch = next(pool.batches())
    order = [row[0] for row in batch.ids]
    assert sorted(order) == [0, 1, 2] and batch.length == 24
    at = order.index(1)     # 12 tokens, 2 masks
    assert batch.next_sentence[at] == 1
    assert batch.ids[at].tolist() == batch.segments[at].tolist() == [1] * 12
    before = sum(len(row) for row in batch.ids[:at])
    assert batch.masked[batch.labels == 1].tolist() == [before, before + 2]
    assert pool.counts.tolist() == [[3, 5 + 12 + 19, 1 + 2 + 3, 0]]
    assert all(array.dtype == np.int32 for array in [
        *batch.ids, *batch.segments, batch.masked, batch.labels, batch.next_sentence])


def test_the_lengths_to_pad_to():
    assert edges(128, 4).tolist() == [32, 64, 96, 128]
    assert edges(100, 3).tolist() == [40, 72, 100]
    assert edges(20, 10).tolist() == [8, 16, 20]
    assert edges(5, 1).tolist() == [5]


@pytest.mark.parametrize('by_tokens', [False, True])
@pytest.mark.parametrize('micro_batches', [1, 3])
@pytest.mark.parametrize('sizes', [(40, 33, 0, 57), (211,), (3,), (1, 1, 1, 1)])
def test_each_instance_comes_once_in_an_epoch(by_tokens, micro_batches, sizes, monkeypatch):
    monkeypatch.setattr('bert.pretraining.stream._BUFFER_TOKENS', 600)   # several buffers
    epochs, seen = 6, [np.zeros(sum(sizes), int) for _ in range(micro_batches)]
    stream = Stream(Numbered(*sizes), 30 if by_tokens else 2, micro_batches, by_tokens,
                    num_buckets=3)
    with stream:
        for update in stream:
            assert update.counts.shape == (micro_batches, 4) and (update.counts[:, 0] > 0).all()
            if update.counts[:, 3].min() >= epochs:
                break
            if not by_tokens:
                assert update.counts[:, 0].tolist() == [2] * micro_batches
            for one, batch in zip(seen, update.batches()):
                np.add.at(one, [int(row[0]) for row in batch.ids], 1)
            # nothing is lost: what a sub-stream has not used yet waits
            if micro_batches == 1:
                at = update.position['streams']['0']
                if at['first'] == update.position['updates'] and at['index'] == 0:
                    assert seen[0].sum() + len(at['carried']) == sum(sizes) * at['epoch']
    if micro_batches == 1:
        assert seen[0].min() >= epochs - 1 and seen[0].max() <= epochs + 1
    assert sum(seen).min() > 0


def read_of(num_chunks, count, epoch=0, size=10):
    """Which rows of chunks each of several readers takes."""
    return [[(i, row) for i, part, parts in share(num_chunks, number + epoch, count)
             for row in range(size)[part::parts]] for number in range(count)]


@pytest.mark.parametrize('num_chunks, count', [(7, 1), (8, 4), (11, 4), (3, 8), (1, 5), (5, 5)])
@pytest.mark.parametrize('epoch', [0, 1, 6])
def test_readers_share_all_rows_evenly(num_chunks, count, epoch):
    parts = read_of(num_chunks, count, epoch)
    assert sorted(row for part in parts for row in part) == [
        (i, row) for i in range(num_chunks) for row in range(10)]
    whole = num_chunks // count
    chunks = [{i for i, _ in part} for part in parts]
    assert all(whole <= len(each) <= whole + 1 for each in chunks)


def test_nothing_comes_twice_before_all_have_come():
    for sizes, micro_batches in (((50, 50, 20), 1), ((30, 30, 30, 30), 2), ((120,), 2)):
        source, count = Numbered(*sizes), 30 // micro_batches
        order = numbers(take(Stream(source, 4, micro_batches, num_buckets=2), count))
        assert sorted(order) == list(range(120))
        again = numbers(take(Stream(source, 4, micro_batches, num_buckets=2), 2 * count))
        assert again[:120] == order and sorted(again[120:]) == list(range(120))
        assert again[120:] != order     # another order in each epoch
        other = numbers(take(Stream(source, 4, micro_batches, num_buckets=2, seed=1), count))
        assert other != order and sorted(other) == sorted(order)


def test_batches_are_of_like_length():
    updates = take(Stream(Numbered(400), 8, 2, num_buckets=3), 40)
    batches = [batch for update in updates for batch in update.batches()]
    spread = [np.ptp([len(row) for row in batch.ids]) for batch in batches]
    assert np.mean([s < 8 for s in spread]) > 0.9
    padding = sum(len(batch.ids) * batch.length for batch in batches) / sum(
        update.counts[:, 1].sum() for update in updates)
    assert padding < 1.35


def test_the_micro_batches_of_an_update_are_of_like_length():
    """So that no worker waits long for the others, however their buffers are filled."""
    updates = take(Stream(Numbered(*[300, 260, 340, 280] * 4), 8, 4, num_buckets=5), 200)
    means = np.array([update.counts[:, 1] / update.counts[:, 0] for update in updates])
    assert means.std(axis=1).mean() < 0.5 * means.std()


def test_a_batch_has_about_so_many_tokens():
    updates = take(Stream(Numbered(2000), 120, 2, True, num_buckets=3), 60)
    tokens = [sum(map(len, batch.ids)) for update in updates for batch in update.batches()]
    assert 100 < np.mean(tokens) < 130 and max(tokens) < 170
    assert len({len(batch.ids) for update in updates for batch in update.batches()}) > 2


class Ranks:
    """Workers as threads, which sum as a communicator does."""

    def __init__(self, size):
        self.size, self._values = size, [None] * size
        self._barrier = threading.Barrier(size)

    def call(self, function, *each):
        """[function(communicator, argument) of each worker]."""
        with futures.ThreadPoolExecutor(self.size) as executor:
            return list(executor.map(function, map(self._communicator, range(self.size)), *each))

    def _communicator(self, rank):
        def add(values):
            self._values[rank] = np.asarray(values, np.float64)
            self._barrier.wait()
            total = sum(self._values)
            self._barrier.wait()
            return total
        return types.SimpleNamespace(rank=rank, size=self.size, sum=add)


def gathered(positions):
    """What :func:`gather_position` gives to workers that have these positions."""
    found = Ranks(len(positions)).call(lambda comm, each: gather_position(each, comm), positions)
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.mark.parametrize('by_tokens', [False, True])
@pytest.mark.parametrize('sizes', [(70, 50), (30, 41, 35, 20, 52, 44, 31, 28, 33), (9,)])
@pytest.mark.slow
def test_workers_share_each_update(by_tokens, sizes):
    def shares(workers, positions=None):
        out = []
        for rank in range(workers):
            out.append(take(Stream(Numbered(*sizes), 40 if by_tokens else 3, 4, by_tokens, 2,
                                   position=positions, rank=rank, world_size=workers), 40))
        return out
    alone, = shares(1)
    for workers in (2, 4):
        parts = shares(workers)
        for i, whole in enumerate(alone):
            each = [list(part[i].batches()) for part in parts]
            assert_same(list(whole.batches()), [each[m % workers][m // workers] for m in range(4)])
            np.testing.assert_array_equal(whole.counts, sum(part[i].counts for part in parts))
            position = gathered([part[i].position for part in parts])
            assert position == whole.position
        # other workers continue from there
        more, = shares(1, gathered([part[19].position for part in parts]))
        for one, other in zip(alone[20:], more):
            assert_same(list(one.batches()), list(other.batches()))


@pytest.mark.parametrize('size', [1, 2, 4])
def test_workers_read_only_their_share(size):
    """Of chunks as many as there are sub-streams or more; and shared chunks once per worker."""
    for chunks, most in ((32, 32 // size), (33, 32 // size + 1), (2, min(2, 4 // size))):
        for rank in range(size):
            source = Numbered(*[8 * 32 // chunks] * chunks)
            stream = Stream(source, 4, 4, num_buckets=1, rank=rank, world_size=size)
            with stream:
                for update in stream:
                    if update.counts[rank::size, 3].min() > 0:
                        break
            asked = [chunk for epoch, chunk in source.asked if epoch == 0]
            assert len(asked) == len(set(asked)) <= most


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('sizes', [(40, 37, 30), (50,), (20, 31, 18, 22, 40, 25, 19)])
@pytest.mark.slow
def test_a_stream_continues_where_it_was_left(workers, sizes, monkeypatch):
    monkeypatch.setattr('bert.pretraining.stream._BUFFER_TOKENS', 500)
    settings = (Synthetic(16, 3, 100, 5), 100, 3) if workers else (Numbered(*sizes), 40, 3, True)
    whole = take(Stream(*settings), 30)
    for at in (9, 28) if workers else range(29):
        position = json.loads(json.dumps(whole[at].position))
        rest = take(Stream(*settings, position=position, workers=workers), 29 - at)
        for one, other in zip(whole[at + 1:], rest):
            assert_same(list(one.batches()), list(other.batches()))
            assert one.position == other.position
            assert one.counts.tolist() == other.counts.tolist()
    assert len(json.dumps(whole[-1].position)) < 10000


def test_a_restart_reads_no_more_than_it_needs(monkeypatch):
    monkeypatch.setattr('bert.pretraining.stream._BUFFER_TOKENS', 500)
    source = Numbered(*[40] * 30)
    whole = take(Stream(source, 4, 2), 60)
    source.asked = []
    take(Stream(source, 4, 2, position=whole[40].position), 1)
    assert len(source.asked) < 9    # of each sub-stream: left over, in the buffer, the next


@pytest.mark.parametrize('sizes', [(13, 0, 8, 30), (40,), (9, 9, 9)])
def test_evaluation_takes_each_instance_once_among_all_workers(sizes):
    def keys(batches):
        return sorted((tuple(int(row[0]) for row in batch.ids), batch.length) for batch in batches)
    alone = list(evaluation(Numbered(*sizes), 4))
    assert sorted(row[0] for batch in alone for row in batch.ids) == list(range(sum(sizes)))
    sources = [Numbered(*sizes) for _ in range(3)]
    shared = [list(evaluation(source, 4, rank, 3)) for rank, source in enumerate(sources)]
    assert keys(alone) == keys(sum(shared, []))
    assert all(len(source.asked) <= -(-len(sizes) // 3) for source in sources)


def test_no_instances_are_an_error():
    for micro_batches in (1, 2, 5):
        with pytest.raises(DataError, match='no instances'):
            take(Stream(Numbered(0, 0), 4, micro_batches), 1)


def test_fewer_instances_than_micro_batches():
    updates = take(Stream(Numbered(1, 1), 2, 5), 20)
    assert {update.counts[:, 0].sum() for update in updates} == {10}
