"""Which examples make up an update, and which a batch; running batches."""
import numpy as np
import pytest

from bert.data import sampling


@pytest.mark.parametrize('alike', [True, False])
def test_every_example_once_an_epoch_and_the_remainder_kept(alike):
    lengths = np.random.RandomState(0).randint(3, 60, 103)
    updates = sampling.epoch_updates(lengths, 8, seed=1, epoch=0, alike=alike)
    assert sorted(len(u) for u in updates) == [7] + [8] * 12
    assert sorted(np.concatenate(updates)) == list(range(103))
    assert len(updates) == sampling.updates_per_epoch(103, 8)


def test_order_depends_on_seed_and_epoch_alone():
    lengths = np.arange(40)
    first = sampling.epoch_updates(lengths, 4, seed=1, epoch=0)
    np.random.rand(3)
    again = sampling.epoch_updates(lengths, 4, seed=1, epoch=0)
    assert all((a == b).all() for a, b in zip(first, again))
    for seed, epoch in ((2, 0), (1, 1)):
        other = sampling.epoch_updates(lengths, 4, seed, epoch)
        assert any((a != b).any() for a, b in zip(first, other))


def test_updates_are_alike_in_length():
    lengths = np.random.RandomState(0).randint(3, 128, 1600)
    waste = [1 - lengths[u].mean() / lengths[u].max()
             for u in sampling.epoch_updates(lengths, 32, seed=0, epoch=0)]
    assert np.mean(waste) < 0.05
    assert all((np.diff(lengths[u]) <= 0).all()
               for u in sampling.epoch_updates(lengths, 32, seed=0, epoch=0))


def test_updates_are_of_all_lengths_where_padding_does_not_matter():
    lengths = np.random.RandomState(0).randint(3, 128, 1600)
    updates = sampling.epoch_updates(lengths, 32, seed=0, epoch=0, alike=False)
    assert np.std([lengths[u].mean() for u in updates]) < 12    # 36 / sqrt(32) is 6.4
    assert all((np.diff(lengths[u]) <= 0).all() for u in updates)


@pytest.mark.parametrize('count', [1, 5, 31, 32])
def test_shares_of_workers_partition_the_update(count):
    indices = np.arange(count) * 10
    shares = [sampling.share(indices, rank, 4, 3) for rank in range(4)]
    pieces = [piece for share in shares for piece in share]
    assert sorted(np.concatenate(pieces)) == list(indices)
    assert all(1 <= len(piece) <= 3 for piece in pieces)


def test_split_among_devices_leaves_no_empty_part():
    assert [(list(p), d) for p, d in sampling.split(np.array([7, 8, 9]), 'ab')] == [
        ([7, 8], 'a'), ([9], 'b')]
    assert [(list(p), d) for p, d in sampling.split(np.array([7]), 'ab')] == [([7], 'a')]


def test_evaluation_batches_hold_so_many_tokens():
    lengths = [2, 9, 3, 30, 4, 2]
    assert [list(b) for b in sampling.evaluation_batches(lengths, 4)] == [[3, 1, 4, 2], [0, 5]]
    assert [list(b) for b in sampling.evaluation_batches(lengths, 2, tokens=12)] == [
        [3], [1], [4, 2], [0, 5]]       # 30 tokens alone are too many, and are taken all the same
    assert [list(b) for b in sampling.evaluation_batches(lengths, 3, tokens=12)] == [
        [3], [1], [4, 2, 0], [5]]
    assert sampling.evaluation_batches([], 3, tokens=12) == []


def test_batches_run_ahead_of_the_results_in_turns_on_the_devices():
    events = []

    class Result:
        """What MXNet returns: an array to be had later."""

        def __init__(self, batch):
            self.batch = batch

        def asnumpy(self):
            events.append(f'read {self.batch}')
            return self.batch

    def forward(batch, device):
        events.append(f'run {batch} on {device}')
        return Result(batch)

    assert list(sampling.run_batches(range(4), ['a'], forward)) == [0, 1, 2, 3]
    assert events == ['run 0 on a', 'run 1 on a', 'run 2 on a', 'read 0', 'run 3 on a', 'read 1',
                      'read 2', 'read 3']
    del events[:]
    assert list(sampling.run_batches(range(6), 'ab', forward)) == [0, 1, 2, 3, 4, 5]
    assert events[:6] == ['run 0 on a', 'run 1 on b', 'run 2 on a', 'run 3 on b', 'run 4 on a',
                          'read 0']
    assert list(sampling.run_batches([], 'ab', forward)) == []
