"""What the fine-tuning scripts share around their loops: resume, log, checkpoints, best weights."""
import logging
import os

from ..checkpoint import result_folder
from ..checkpoint.weights import read_weights
from ..data import sampling
from ..model.parameters import load_parameters
from ..utils import files
from ..utils.errors import DataError
from . import progress, runtime
from .schedules import linear_decay
from .stepper import Stepper

__all__ = ['Run']


class Run:
    """A fine-tuning run over examples of given lengths; use it as a context manager.

    ::

        with Run(recipe, output, runtime, net, lengths, describe) as training:
            for epoch, updates in training.epochs():
                for indices in updates:
                    for micro in training.share(indices):
                        ...                                     # forward, losses
                        training.stepper.backward(losses, len(micro))
                    training.step(len(indices))
                if training.end_epoch({'accuracy': ...}, score):
                    break

    Parameters
    ----------
    recipe : bert.training.settings.Recipe
    output : bert.training.settings.OutputSettings
    runtime : bert.training.runtime.Runtime
    net : HybridBlock
        Initialized on the devices of ``comm``, with the weights to start from.
    lengths : sequence of int
        Tokens of each training example.
    describe : callable
        Takes no argument and writes everything of the bundle but the weights to
        the output folder.
    """

    def __init__(self, recipe, output, runtime, net, lengths, describe, fixed_length=False):
        comm = runtime.comm
        self._recipe, self._output, self._net = recipe, output, net
        self._comm, self._lengths = comm, lengths
        self._size = recipe.batch_size * recipe.accumulate * comm.size
        # texts alike in length save padding, unless it is to a fixed length anyway
        self._pads = runtime.layout == 'padded' and not fixed_length
        self.total = sampling.updates_per_epoch(len(lengths), self._size) * recipe.epochs
        warmup = int(self.total * recipe.warmup_ratio)
        self.stepper = Stepper(
            net, comm, lambda update: linear_decay(update, recipe.lr, warmup, self.total),
            recipe.optimizer, recipe.epsilon, recipe.weight_decay, recipe.clip,
            recipe.layer_decay, recipe.accumulate > 1,
            2.0 ** 15 if runtime.dtype == 'float16' else None, recipe.seed,
            fused=runtime.layout == 'packed')
        self._predicted = None
        self._position = {'epoch': 0, 'done': 0, 'best': None, 'best_epoch': 0}
        folder = output.folder
        if comm.rank == 0:
            files.make_folder(folder, '--output_dir')
        if output.resume:
            found = result_folder.load_last(folder, net, self.stepper, output.arguments)
            if found is None:
                logging.info('%s has no checkpoint to go on from: starting at the beginning',
                             folder)
            self._position = found or self._position
        if comm.rank == 0:
            if not self.stepper.update:
                for name in (result_folder.WEIGHTS, result_folder.LAST):    # another model's
                    if os.path.exists(os.path.join(folder, name)):
                        os.remove(os.path.join(folder, name))
            describe()
        self._follow = progress.Progress(folder, self.total, self.stepper.update, comm.rank,
                                         output.log_interval, tensorboard=output.tensorboard)
        self.say = self._follow.say

    def __enter__(self):
        self._interrupt = runtime.Interrupt().__enter__()
        return self

    def __exit__(self, *error):
        self._interrupt.__exit__(*error)
        self._follow.close()

    def epochs(self):
        """Yield each epoch still to run, from 1, and its updates still to make: index arrays."""
        for epoch in range(self._position['epoch'], self._recipe.epochs):
            if self._stalled(epoch):
                return
            updates = sampling.epoch_updates(self._lengths, self._size, self._recipe.seed, epoch,
                                             alike=self._pads)
            yield epoch + 1, updates[self._position['done']:]

    def share(self, indices):
        """This worker's micro-batches of an update: index arrays."""
        return sampling.share(indices, self._comm.rank, self._comm.size, self._recipe.batch_size)

    def step(self, examples):
        """Make the update, log it, save when it is time; leave the program if asked to stop."""
        position = self._position
        step = self.stepper.step(stop=self._interrupt.requested)
        self._follow.step(step, examples, position['epoch'] + 1)
        position['done'] += 1
        if step.stop:
            self._save_last()
            self._follow.close()
            logging.warning('stopped after update %d of %d; the same command with --resume goes on',
                            step.update, self.total)
            raise SystemExit(self._interrupt.exit_code)
        if self._output.save_interval and step.update % self._output.save_interval == 0:
            self._save_last()

    def end_epoch(self, scores, score, predicted=None):
        """Keep the weights if ``score`` is the best so far; say whether to stop early.

        ``scores`` is a dict {set: {metric: value}} for the log; ``predicted``, of any kind, is what
        they score.
        """
        position = self._position
        position.update(epoch=position['epoch'] + 1, done=0)
        for name, values in scores.items():
            self._follow.record('dev', self.stepper.update, epoch=position['epoch'], set=name,
                                **values)
            self.say(f"epoch {position['epoch']}, {name}: "
                     f"{', '.join(('%s %.4f' % item for item in values.items()))}")
        if position['best'] is None or score > position['best']:
            position.update(best=score, best_epoch=position['epoch'])
            self._predicted = predicted
            if self._comm.rank == 0:
                result_folder.save_weights(self._output.folder, self._net)
        self._save_last()
        self._follow.restart_clock()
        stop = self._stalled(position['epoch'])
        if stop:
            self.say(f'no better score for {self._recipe.early_stop} epochs: stopped early')
        return stop

    def _stalled(self, epochs):
        patience = self._recipe.early_stop
        return bool(patience) and epochs - self._position['best_epoch'] >= patience

    def _save_last(self):
        if self._comm.rank == 0:
            result_folder.save_last(self._output.folder, self._net, self.stepper, self._position)

    def _path(self, name):
        return os.path.join(self._output.folder, name)

    def load_best(self):
        """Put the best epoch's weights into the network.

        Returns what :meth:`end_epoch` was given as predicted with them; None where that was
        before a ``--resume``.
        """
        self._comm.sum([0.0])       # worker 0 has written them once all have come here
        path = self._path(result_folder.WEIGHTS)
        if not os.path.exists(path):
            raise DataError(f'{path} is missing: --output_dir must be on a disk that every worker '
                            'sees')
        load_parameters(self._net, read_weights(path), path)
        return self._predicted
