"""The log of a run is continued, not repeated; a long prediction has one."""
import errno
import json
import logging
import os
import sys
import types

import pytest

from bert.training import progress
from bert.training.progress import Progress
from bert.training.stepper import Step
from bert.utils import files
from bert.utils.errors import DataError


def read(folder):
    lines = (folder / 'metrics.jsonl').read_text(encoding='utf-8').splitlines()
    return [tuple(json.loads(line).values()) for line in lines]


def test_what_an_earlier_part_has_recorded_is_not_recorded_again(tmp_path):
    first = Progress(str(tmp_path), 9)
    for update in 2, 4, 6:
        first.record('train', update, loss=update)
    first.record('dev', 4, set='dev', f1=0.5)
    first.record('dev', 6, set='dev', f1=0.6)
    before = read(tmp_path)
    second = Progress(str(tmp_path), 9, done=4)
    assert read(tmp_path) == [before[0], before[1], before[3]]
    second.record('dev', 4, set='dev', f1=0.7)
    second.record('dev', 4, set='test', f1=0.8)
    second.record('train', 6, loss=6)
    assert read(tmp_path) == [before[0], before[1], before[3], ('dev', 4, 'test', 0.8), before[2]]


def test_the_log_moves_with_its_folder(tmp_path):
    (tmp_path / 'old').mkdir()
    progress = Progress(str(tmp_path / 'old'), 9)
    progress.record('train', 1, loss=1)
    (tmp_path / 'old').rename(tmp_path / 'new')
    progress.move(str(tmp_path / 'new'))
    progress.record('train', 2, loss=2)
    assert len(read(tmp_path / 'new')) == 2


def test_later_and_damaged_lines_are_dropped(tmp_path):
    kept = [json.dumps({'type': 'train', 'update': update}) + '\n' for update in (1, 2)]
    damaged = ['{"type": "train", "upd', '3\n', '[]\n', '{"update": "2"}\n', '{"update": NaN}\n',
               '{"update": null}\n', '{"type": "train"}\n', '[' * 100000 + '\n']
    later = json.dumps({'type': 'train', 'update': 3}) + '\n'
    path = tmp_path / 'metrics.jsonl'
    path.write_bytes(''.join([*kept, later, *damaged]).encode() + b'\xff\n')
    Progress(str(tmp_path), total=9, done=2).close()
    assert path.read_text(encoding='utf-8') == ''.join(kept)


def test_a_full_disk_leaves_the_history(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')
    first = Progress(str(tmp_path), 9)
    first.record('train', 1, loss=1)
    monkeypatch.setattr(files.os, 'fsync', full)
    with pytest.raises(DataError, match='metrics.jsonl: cannot be written'):
        Progress(str(tmp_path), 9, done=1)
    assert read(tmp_path) == [('train', 1, 1)] and os.listdir(str(tmp_path)) == ['metrics.jsonl']


def test_what_is_lacking_is_known_to_worker_0(tmp_path):
    first = Progress(str(tmp_path), 9)
    first.record('dev', 4, set='dev', f1=0.5)
    second, other = (Progress(str(tmp_path), 9, done=6, rank=rank) for rank in (0, 1))
    assert [second.lacks('dev', update, set='dev') for update in (4, 6)] == [False, True]
    assert second.lacks('dev', 4, set='test') and not other.lacks('dev', 6, set='dev')


def test_the_time_left_is_that_of_the_updates_left(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    now = 100
    monkeypatch.setattr(progress, 'time', types.SimpleNamespace(monotonic=lambda: now))
    run = Progress(str(tmp_path), 10, done=4, log_interval=6)
    for update in 5, 6:         # 10 seconds each; there are 4 more
        now += 10
        run.step(Step(update, 0.1, 0.5, 1.0, skipped=False, stop=False), 8, epoch=1)
    assert caplog.messages == [
        'epoch 1, update 6/10: loss 0.5000, lr 1.00e-01, 0.8 examples/s, 0:00:40 left']


def test_tensorboard_has_the_numbers_of_each_set(tmp_path, monkeypatch):
    scalars = []
    monkeypatch.setitem(sys.modules, 'tensorboardX', types.SimpleNamespace(
        SummaryWriter=lambda folder, purge_step: types.SimpleNamespace(
            add_scalar=lambda *scalar: scalars.append(scalar))))
    run = Progress(str(tmp_path), 9, tensorboard=True)
    run.record('train', 2, epoch=0, loss=0.5, lr=1e-3)
    run.record('dev', 4, set='dev_matched', epoch=1, accuracy=0.5)
    run.record('dev', 4, set='dev_mismatched', epoch=1, accuracy=0.25)
    assert scalars == [('train/loss', 0.5, 2), ('train/lr', 1e-3, 2),
                       ('dev_matched/accuracy', 0.5, 4), ('dev_mismatched/accuracy', 0.25, 4)]


@pytest.mark.parametrize('rank, seconds, expected', [
    (0, (0, 5, 10, 20, 29), []),
    (0, (0, 10, 40, 72, 90), ['batch 2/4, 0:00:50 left', 'batch 3/4, 0:00:36 left']),
    (1, (0, 10, 40, 72, 90), [])])
def test_only_long_predictions_log_how_far_they_are(monkeypatch, caplog, rank, seconds, expected):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, 'time', types.SimpleNamespace(monotonic=iter(seconds).__next__))
    assert list(progress.follow('abcd', [3, 1, 2, 3], rank)) == list('abcd')
    assert caplog.messages == ['prediction: ' + line for line in expected]
