"""What a fine-tuning run makes of its recipe."""
import types

import mxnet as mx
import pytest
from helpers import TINY

from bert.checkpoint import result_folder
from bert.checkpoint.source import ModelSource
from bert.training import distributed, finetuning
from bert.training.runtime import Runtime
from bert.training.settings import OptimizerSettings, OutputSettings, Recipe

RECIPE = Recipe(epochs=2, batch_size=4, lr=1.0, accumulate=2, optimizer='adamw', epsilon=1e-3,
                warmup_ratio=0.4, weight_decay=0.2, clip=0.5, layer_decay=0.9, seed=7)


@pytest.mark.parametrize('layout, dtype', [('packed', 'float32'), ('padded', 'float16')])
def test_each_setting_of_a_recipe_reaches_the_updates(tmp_path, monkeypatch, layout, dtype):
    made = []

    def stepper(net, comm, schedule, settings):
        made.extend((schedule, settings))
        return types.SimpleNamespace(update=0)

    monkeypatch.setattr(finetuning, 'Stepper', stepper)
    loaded = result_folder.load(ModelSource(TINY, offline=True))
    model = finetuning.Model(None, None, loaded.config, loaded.tokenizer, Runtime(
        distributed.create('local', [mx.cpu()]), layout, dtype), None)
    columns = [[1, 2]] * 17, list(range(17))        # 17 examples: 3 updates of 8 in an epoch
    run = finetuning.Run(RECIPE, OutputSettings(str(tmp_path), {}), model, columns,
                         finetuning.Description('classifier.1.', ('a', 'b'), {}))
    with run:
        assert [sorted(map(len, epoch)) for epoch in run.epochs()] == [[1, 8, 8]] * 2
    schedule, settings = made
    # 6 updates, 2 of them warm-up
    assert [schedule(i) for i in range(1, 7)] == [0.5, 1.0, 0.8, pytest.approx(0.6), 0.4, 0.2]
    assert settings == OptimizerSettings(
        optimizer='adamw', epsilon=1e-3, weight_decay=0.2, clip=0.5, layer_decay=0.9,
        accumulate=True, loss_scale=2.0 ** 15 if dtype == 'float16' else None, seed=7,
        fused=layout == 'packed')
