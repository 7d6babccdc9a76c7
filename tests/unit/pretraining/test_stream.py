"""The stream of updates: complete, the same for any number of workers, and for a restart."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import ROOT, SAMPLE

from bert.pretraining import masking
from bert.pretraining.instances import Instances
from bert.pretraining.sources import Synthetic, Text
from bert.pretraining.stream import Stream, edges, evaluation
from bert.text import tokenizer
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
    assert (pool.instances, pool.tokens, pool.masked) == (3, 5 + 12 + 19, 1 + 2 + 3)
    assert all(array.dtype == np.int32 for array in [
        *batch.ids, *batch.segments, batch.masked, batch.labels, batch.next_sentence])


def test_the_lengths_to_pad_to():
    assert edges(128, 4).tolist() == [32, 64, 96, 128]
    assert edges(100, 3).tolist() == [40, 72, 100]
    assert edges(20, 10).tolist() == [8, 16, 20]
    assert edges(5, 1).tolist() == [5]


@pytest.mark.parametrize('by_tokens', [False, True])
@pytest.mark.parametrize('sizes', [(40, 33, 0, 57), (211,), (3,), (1, 1, 1, 1)])
def test_each_instance_comes_once_in_a_pass(by_tokens, sizes, monkeypatch):
    monkeypatch.setattr('bert.pretraining.stream._BUFFER_TOKENS', 600)   # several pools
    source, passes = Numbered(*sizes), 6
    stream = Stream(source, 30 if by_tokens else 2, 3, by_tokens, num_buckets=3)
    seen, each = np.zeros(sum(sizes), int), []
    with stream:
        for update in stream:
            assert update.size == 3
            if update.position['pass'] >= passes:
                break
            each.append(update.instances)
            np.add.at(seen, numbers([update]), 1)
            # nothing is lost: what was not yet seen waits
            if update.position['done'] == update.position['piece'] == 0:
                waiting = len(update.position['carried'])
                assert seen.sum() + waiting == sum(sizes) * update.position['pass']
    assert seen.min() >= passes - 2 and seen.max() <= passes
    if not by_tokens:
        assert set(each) == {6}


def test_nothing_comes_twice_before_all_have_come():
    source = Numbered(50, 50, 20)
    order = numbers(take(Stream(source, 4, 2, num_buckets=2), 15))
    assert sorted(order) == list(range(120))
    again = numbers(take(Stream(source, 4, 2, num_buckets=2), 30))
    assert again[:120] == order and sorted(again[120:]) == list(range(120))
    assert again[120:] != order     # another order in each pass
    other = numbers(take(Stream(source, 4, 2, num_buckets=2, seed=1), 15))
    assert other != order and sorted(other) == sorted(order)


def test_batches_are_of_like_length():
    updates = take(Stream(Numbered(400), 8, 2, num_buckets=3), 40)
    batches = [batch for update in updates for batch in update.batches()]
    spread = [np.ptp([len(row) for row in batch.ids]) for batch in batches]
    assert np.mean([s < 8 for s in spread]) > 0.9
    padding = sum(len(batch.ids) * batch.length for batch in batches) / sum(
        update.tokens for update in updates)
    assert padding < 1.35


def test_a_batch_has_about_so_many_tokens():
    updates = take(Stream(Numbered(2000), 120, 2, True, num_buckets=3), 60)
    tokens = [sum(map(len, batch.ids)) for update in updates for batch in update.batches()]
    assert 100 < np.mean(tokens) < 130 and max(tokens) < 170
    assert len({len(batch.ids) for update in updates for batch in update.batches()}) > 2


@pytest.mark.parametrize('by_tokens', [False, True])
def test_workers_share_each_update(by_tokens):
    def shares(workers, accumulate):
        updates = take(Stream(Numbered(70, 50), 40 if by_tokens else 3, workers * accumulate,
                              by_tokens, 2), 20)
        return [[batch for update in updates for batch in update.batches(rank, workers)]
                for rank in range(workers)]
    alone, = shares(1, 4)
    for workers in (2, 4):
        parts = shares(workers, 4 // workers)
        assert_same(alone, [parts[i % workers][i // workers] for i in range(len(alone))])


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.slow
def test_a_stream_goes_on_where_it_was_left(workers, monkeypatch):
    monkeypatch.setattr('bert.pretraining.stream._BUFFER_TOKENS', 500)
    settings = (Synthetic(16, 3, 100, 5), 100, 3) if workers else (
        Numbered(40, 37, 30), 40, 3, True)
    whole = take(Stream(*settings), 30)
    for at in (0, 1, 2, 9, 17, 28):
        position = json.loads(json.dumps(whole[at].position))
        rest = take(Stream(*settings, position=position, workers=workers), 29 - at)
        for one, other in zip(whole[at + 1:], rest):
            assert_same(list(one.batches()), list(other.batches()))
            assert one.position == other.position
            assert one.epoch == other.epoch
    assert len(json.dumps(whole[-1].position)) < 10000


def test_a_restart_reads_no_more_than_it_needs(monkeypatch):
    monkeypatch.setattr('bert.pretraining.stream._BUFFER_TOKENS', 500)
    source = Numbered(*[40] * 30)
    whole = take(Stream(source, 4, 2), 60)
    source.asked = []
    take(Stream(source, 4, 2, position=whole[40].position), 1)
    assert len(source.asked) < 6


def test_evaluation_takes_each_instance_once_among_all_workers():
    source = Numbered(13, 0, 8, 30)
    alone = list(evaluation(source, 4))
    assert sorted(row[0] for batch in alone for row in batch.ids) == list(range(51))
    shared = [list(evaluation(source, 4, rank, 3)) for rank in range(3)]
    assert_same(alone, [shared[i % 3][i // 3] for i in range(len(alone))])


def test_no_instances_are_an_error():
    with pytest.raises(DataError, match='no instances'):
        take(Stream(Numbered(0, 0), 4, 2), 1)


def test_an_error_of_a_data_worker_is_told(tmp_path):
    (tmp_path / 'bad.txt').write_bytes(b'A sentence.\nAnother.\n\ncaf\xe9\n')
    tok = tokenizer.load(SAMPLE)
    source = Text([str(tmp_path / 'bad.txt')], tok, masking.Masking(tok, 32), 0)
    for workers in (0, 1):
        with pytest.raises(DataError, match='bad.txt line 4: not UTF-8'):
            take(Stream(source, 4, 1, workers=workers), 1)


class Deadly(Numbered):
    """A source that in the second epoch kills the process that reads it."""

    def read(self, epoch, chunk):
        if epoch:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(epoch, chunk)


@pytest.mark.slow
def test_a_data_worker_that_is_killed_ends_the_stream_with_an_error():
    with pytest.raises(DataError, match='was killed.*--resume'):
        take(Stream(Deadly(20), 4, 1, workers=2), 100)


def test_data_workers_end_with_their_parent(tmp_path):
    code = (f'import os, sys; sys.path[:0] = [{ROOT!r}]\n'
            'from bert.pretraining.stream import Stream\n'
            'from bert.pretraining.sources import Synthetic\nif __name__ == "__main__":\n'
            '    stream = Stream(Synthetic(16, 3, 100, 0), 4, 1, workers=1)\n'
            '    next(iter(stream))\n'
            '    print(list(stream._ahead._executor._processes)[0], flush=True)\n'
            '    os.kill(os.getpid(), 9)\n')
    (tmp_path / 'walk.py').write_text(code, encoding='utf-8')
    result = subprocess.run([sys.executable, str(tmp_path / 'walk.py')], stdout=subprocess.PIPE,
                            text=True, timeout=60)     # ends when the worker has closed its output
    assert result.returncode == -signal.SIGKILL
    stat = f'/proc/{result.stdout.strip()}/stat'
    deadline = time.time() + 20
    while os.path.exists(stat) and time.time() < deadline:
        with contextlib.suppress(OSError), open(stat, encoding='ascii') as f:
            if ') Z ' in f.read():      # nobody asks for how it ended
                break
        time.sleep(0.1)
    assert time.time() < deadline


def test_data_workers_do_not_import_mxnet():
    code = ('import sys; import bert.pretraining.sources, bert.pretraining.stream; '
            'sys.exit("mxnet" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT).returncode == 0
