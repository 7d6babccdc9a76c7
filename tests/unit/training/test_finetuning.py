"""What a fine-tuning run makes of its recipe, and of a checkpoint."""
import os
import signal
import types

import mxnet as mx
import pytest
from helpers import TINY, refused

from bert.checkpoint import result_folder
from bert.checkpoint.source import ModelSource
from bert.training import distributed, finetuning
from bert.training.runtime import Runtime
from bert.training.settings import OptimizerSettings, OutputSettings, Recipe

RECIPE = Recipe(epochs=2, batch_size=4, lr=1.0, accumulate=2, optimizer='adamw', epsilon=1e-3,
                warmup_ratio=0.4, weight_decay=0.2, clip=0.5, layer_decay=0.9, seed=7)


def make_run(folder, layout='packed', dtype='float32', resume=False):
    """A run of the recipe with 17 examples."""
    loaded = result_folder.load(ModelSource(TINY, offline=True))
    model = finetuning.Model(None, None, loaded.config, loaded.tokenizer, Runtime(
        distributed.create('local', [mx.cpu()]), layout, dtype), None)
    return finetuning.Run(RECIPE, OutputSettings(str(folder), {}, resume), model,
                          ([[1, 2]] * 17, list(range(17))),
                          finetuning.Description('classifier.1.', ('a', 'b'), {}))


@pytest.mark.parametrize('layout, dtype', [('packed', 'float32'), ('padded', 'float16')])
def test_each_setting_of_a_recipe_reaches_the_updates(tmp_path, monkeypatch, layout, dtype):
    made = []

    def stepper(net, comm, schedule, settings):
        made.extend((schedule, settings))
        return types.SimpleNamespace(update=0)

    monkeypatch.setattr(finetuning, 'Stepper', stepper)
    with make_run(tmp_path, layout, dtype) as run:      # of an epoch 3 updates of 8
        assert [sorted(map(len, epoch)) for epoch in run.epochs()] == [[1, 8, 8]] * 2
    schedule, settings = made
    # 6 updates, 2 of them warm-up
    assert [schedule(i) for i in range(1, 7)] == [0.5, 1.0, 0.8, pytest.approx(0.6), 0.4, 0.2]
    assert settings == OptimizerSettings(
        optimizer='adamw', epsilon=1e-3, weight_decay=0.2, clip=0.5, layer_decay=0.9,
        accumulate=True, loss_scale=2.0 ** 15 if dtype == 'float16' else None, seed=7,
        fused=layout == 'packed')


@pytest.mark.parametrize('size', [8, 16, None])
def test_a_run_goes_on_with_updates_of_the_same_size(tmp_path, monkeypatch, size):
    monkeypatch.setattr(finetuning, 'Stepper', lambda *_: types.SimpleNamespace(update=1))
    found = {'epoch': 0, 'done': 1, 'best': None, 'best_epoch': 0}
    if size:                            # older versions did not note it
        found['size'] = size
    monkeypatch.setattr(result_folder, 'load_last', lambda *_: found)
    if size == 16:                      # of two workers
        message = refused(lambda: make_run(tmp_path, resume=True))
        assert 'made updates of 16 examples, not 8; keep --batch_size x --accumulate x' in message
    else:
        with make_run(tmp_path, resume=True) as run:
            assert len(next(run.epochs())) == 2


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_after_the_last_update_ends_the_program(tmp_path, monkeypatch, caplog, number,
                                                         code):
    monkeypatch.setattr(finetuning, 'Stepper', lambda *_: types.SimpleNamespace(update=6))
    with make_run(tmp_path) as run:
        os.kill(os.getpid(), number)
        with pytest.raises(SystemExit) as end:
            run.load_best()
    assert end.value.code == code
    assert caplog.messages[-1] == (
        'stopped after the training; run the same command with --resume to see the results')
