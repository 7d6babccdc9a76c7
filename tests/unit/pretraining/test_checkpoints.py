"""Where a continued run begins, and what it writes."""
import json
import types

import numpy as np
import pytest
from helpers import refused

from bert.checkpoint import result_folder
from bert.pretraining.checkpoints import Checkpoints
from bert.pretraining.settings import CheckpointSettings
from bert.utils.errors import DataError

ALONE = types.SimpleNamespace(rank=0, size=1, sum=lambda values: np.asarray(values, float))


@pytest.mark.parametrize('position, is_old', [
    ({'updates': 2, 'streams': {'0': {'epoch': 0, 'index': 0, 'first': 0, 'carried': []}}}, False),
    ({'pass': 0, 'piece': 0, 'done': 2, 'carried': []}, True)])
def test_a_position_of_an_older_version_is_refused(tmp_path, monkeypatch, position, is_old):
    monkeypatch.setattr(result_folder, 'load_last', lambda *_: {
        'micro_batches': 1, 'stream': position})
    settings = CheckpointSettings(str(tmp_path), {}, start_step=2)
    checkpoints = Checkpoints(settings, ALONE, None, types.SimpleNamespace(update=2), 1, data=0)
    if not is_old:
        checkpoints.load()
        assert checkpoints.position == position
        return
    with pytest.raises(DataError, match='older version.*--pretrained --model') as error:
        checkpoints.load()
    assert '\n' not in str(error.value) and checkpoints.position is None


def test_a_run_that_stopped_before_it_wrote_the_model_writes_it(tmp_path, monkeypatch):
    written = []
    position = {'updates': 2, 'streams': {'0': {'epoch': 0, 'index': 0, 'first': 0, 'carried': []}}}
    monkeypatch.setattr(result_folder, 'load_last', lambda *_: {
        'micro_batches': 1, 'stream': position, 'data': 0})
    monkeypatch.setattr(result_folder, 'save_last', lambda *given: written.append(given[-1]))
    monkeypatch.setattr(result_folder, 'save_weights', lambda *_: written.append('model.params'))
    stepper = types.SimpleNamespace(update=2)
    checkpoints = Checkpoints(CheckpointSettings(str(tmp_path), {}, start_step=2), ALONE, None,
                              stepper, 1, data=0)
    checkpoints.load()
    checkpoints.save()
    checkpoints.save()
    assert written == ['model.params']
    stepper.update = 3
    checkpoints.save()
    assert written[1:] == ['step-0000003.params', 'model.params']


POSITION = {'updates': 2, 'streams': {'0': {'epoch': 0, 'index': 0, 'first': 0, 'carried': []}}}


@pytest.mark.parametrize('state, is_same', [
    ({'data': 3, 'content': 4}, True), ({'data': 3}, True),     # of an earlier version
    ({'data': 3, 'content': 5}, False), ({'data': 5, 'content': 4}, False)])
def test_other_data_are_refused_with_the_cure(tmp_path, monkeypatch, state, is_same):
    monkeypatch.setattr(result_folder, 'load_last', lambda *_: {
        'micro_batches': 1, 'stream': POSITION, **state})
    checkpoints = Checkpoints(CheckpointSettings(str(tmp_path), {}, start_step=2), ALONE, None,
                              types.SimpleNamespace(update=2), 1, data=3, content=4)
    if is_same:
        checkpoints.load()
        assert checkpoints.position == POSITION
        return
    assert refused(checkpoints.load) == (
        f'the run in {tmp_path} began with other training data or another vocabulary; continue it '
        'with the same, or start a new run from its weights (--pretrained --model '
        f'{tmp_path}, with another --ckpt_dir)')


@pytest.mark.parametrize('now, message', [
    ({'data': ['./d1/a.txt'], 'vocab': 'moved', 'raw': True}, None),
    ({'data': None, 'vocab': 'v', 'raw': True}, "had --data ['d1/a.txt'], and now no --data"),
    ({'data': ['d1/a.txt'], 'vocab': 'v', 'raw': False}, 'had --raw, and now no --raw')])
def test_files_may_have_moved(tmp_path, monkeypatch, now, message):
    monkeypatch.setattr(result_folder, 'load_last', lambda *_: {
        'micro_batches': 1, 'stream': POSITION})
    (tmp_path / 'step-0000002.params').write_text('')
    (tmp_path / 'arguments.json').write_text(json.dumps(
        {'data': ['d1/a.txt'], 'vocab': 'v', 'raw': True}))
    checkpoints = Checkpoints(CheckpointSettings(str(tmp_path), now, start_step=2), ALONE, None,
                              types.SimpleNamespace(update=2), 1, data=0)
    if message:
        assert message in refused(checkpoints.load)
    else:
        checkpoints.load()
