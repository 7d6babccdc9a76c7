"""The folders of runs that were stopped, in fine-tuning and in pre-training."""
import json

import damage

from .base import TINY, Nonsense, Reader
from .weights import spoil_params


class Finetuning(Reader):
    """The folder of a stopped run, which continues."""

    arguments = {'lr': 0.1, 'seed': 0, 'task_name': 'sample', 'labels': None}

    def _run(self, folder, resume):
        import mxnet as mx

        from bert.checkpoint import result_folder
        from bert.checkpoint.source import ModelSource
        from bert.model.heads import Classifier
        from bert.model.parameters import initialize
        from bert.training import finetuning
        from bert.training.distributed import create
        from bert.training.runtime import Runtime
        from bert.training.settings import OutputSettings, Recipe
        loaded = result_folder.load(ModelSource(str(TINY)))
        runtime = Runtime(create('local', [mx.cpu()]), 'padded', 'float32')
        net = Classifier(loaded.config, 2, 0.0)
        initialize(net, loaded.config)
        model = finetuning.Model(net, None, loaded.config, loaded.tokenizer, runtime, None)
        return finetuning.Run(
            Recipe(epochs=2, batch_size=4, lr=0.1),
            OutputSettings(folder=str(folder), resume=resume, arguments=self.arguments), model,
            [[[0] * 5] * 12],
            finetuning.Description('classifier.1.', ('no', 'yes'), {'task': 'custom'}))

    def make(self, folder):
        import mxnet as mx
        with self._run(folder, False) as run:
            for epoch in run.epochs():
                for update in epoch:
                    run.update(update, lambda indices, device: mx.nd.zeros(1) * 0 + sum(
                        p.data().sum() for p in run._net.collect_params().values()))
                run.end_epoch({'dev': {'accuracy': 0.5}}, 0.5)
                break

    def read(self, folder):
        with self._run(folder, True) as run:
            for epoch in run.epochs():
                if not all(0 <= i < 12 for update in epoch for i in update):
                    raise Nonsense('examples that are not there')
                break


class Arguments(Finetuning):
    file, damage = 'arguments.json', damage.values


class Metrics(Finetuning):
    file, damage = 'metrics.jsonl', damage.values_in_lines


class Curves(Reader):
    file, damage = 'metrics.jsonl', damage.values_in_lines

    def make(self, folder):
        rows = [{'type': 'train', 'update': i, 'epoch': 1, 'loss': 1.0, 'lr': 0.1} for i in (1, 2)]
        rows.append({'type': 'dev', 'update': 2, 'epoch': 1, 'set': 'dev', 'accuracy': 0.5})
        (folder / self.file).write_text(''.join(json.dumps(row) + '\n' for row in rows))

    def read(self, folder):
        from bert.training import plot
        plot.training_curves(str(folder))


class Last(Finetuning):
    file = 'last.params'

    def spoil(self, draw, folder):
        spoil_params(draw, folder / self.file, ('bytes', 'arrays', 'state', 'state'))


class Step(Reader):
    """The last checkpoint of a pre-training run."""

    file = 'step-0000001.params'

    def _open(self, folder, resume):
        import mxnet as mx

        from bert.model.config import BertConfig
        from bert.model.heads import Classifier
        from bert.model.parameters import initialize
        from bert.pretraining.checkpoints import Checkpoints
        from bert.pretraining.settings import CheckpointSettings
        from bert.training.distributed import create
        from bert.training.stepper import Stepper
        config = BertConfig(4, 1, 1, 4, vocab_size=8, max_position_embeddings=8)
        net = Classifier(config, 2, 0.0)
        initialize(net, config)
        comm = create('local', [mx.cpu()])
        stepper = Stepper(net, comm, lambda update: 0.1)
        settings = CheckpointSettings(str(folder), {'lr': 0.1}, resume=resume)
        return Checkpoints(settings, comm, net, stepper, 1, data=0), stepper

    def _stream(self, position):
        from bert.pretraining.sources import Synthetic
        from bert.pretraining.stream import Stream
        return Stream(Synthetic(8, 2, 8, 0), 100, 1, seed=0, position=position)

    def make(self, folder):
        checkpoints, stepper = self._open(folder, False)
        (folder / 'arguments.json').write_text('{"lr": 0.1}')
        with self._stream(None) as stream:
            checkpoints.position = next(iter(stream)).position
        stepper.update = 1
        checkpoints.save()

    def spoil(self, draw, folder):
        spoil_params(draw, folder / self.file, ('bytes', 'arrays', 'state', 'state'))

    def read(self, folder):
        checkpoints, _ = self._open(folder, True)
        checkpoints.load()
        with self._stream(checkpoints.position) as stream:
            next(iter(stream))
