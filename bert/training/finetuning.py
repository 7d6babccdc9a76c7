"""Shared by the fine-tuning programs: building the network, and the training run."""
import contextlib
import logging
import os
from typing import Any, Callable, Iterator, List, Mapping, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np

from ..checkpoint import result_folder
from ..checkpoint.integrity import checksum
from ..checkpoint.output import FINE_TUNING, LAST, OutputFolder
from ..checkpoint.weights import read_weights
from ..data import sampling
from ..data.fingerprint import fingerprint, fingerprint_of_rows
from ..model.config import BertConfig
from ..model.forward import create_forward
from ..model.inference import prepare
from ..model.parameters import collect, freeze, initialize, load_parameters
from ..utils.errors import DataError
from .distributed import agree, check_same_data, lost_workers
from .evaluation import RESTART, Forward
from .progress import Progress
from .runtime import Interrupt, Runtime
from .schedules import linear_decay
from .settings import OptimizerSettings, OutputSettings, Recipe
from .stepper import Stepper

__all__ = ['Model', 'Description', 'Run', 'build']

_log = logging.getLogger(__name__)


class Model(NamedTuple):
    """A network with its weights, and what is needed to run it."""
    net: mx.gluon.HybridBlock
    forward: Forward                # rows of token ids -> logits
    config: BertConfig
    tokenizer: Any                  # bert.text.tokenizer.Tokenizer
    runtime: Runtime
    fixed_length: Optional[int]     # to which all batches are padded


class Description(NamedTuple):
    """What a result folder says about the outputs of its model.

    See :func:`bert.checkpoint.result_folder.describe` for these.
    """
    head: str
    labels: Optional[Sequence[str]]
    settings: Mapping[str, Any]
    problem_type: Optional[str] = None


def build(net: mx.gluon.HybridBlock, loaded: result_folder.LoadedModel, runtime: Runtime,
          seed: int, fresh: Sequence[str] = (), fixed_length: Optional[int] = None,
          inference: bool = False) -> Model:
    """Initialize ``net``, a network of :mod:`bert.model.heads`, with the weights of ``loaded``.

    ``fresh`` are prefixes of parameters that may be missing: they are drawn at random, from
    ``seed``.  ``fixed_length`` pads all batches to that many tokens.  For ``inference`` it can
    be neither trained nor saved, and all workers have the weights of worker 0.
    """
    mx.random.seed(seed)
    if inference:
        freeze(net)
    initialize(net, loaded.config, runtime.comm.devices, random=bool(fresh))
    drawn = load_parameters(net, loaded.arrays, loaded.source, tuple(fresh))
    if 'bert.pooler.weight' in drawn:
        _log.warning('%s has no pooler: a new one is trained', loaded.source)
    if inference:
        runtime.comm.broadcast(list(collect(net).values()))
        prepare(net, runtime.layout, runtime.dtype)
    forward = create_forward(net, runtime.layout, runtime.dtype, loaded.tokenizer.pad_id,
                             fixed_length)
    return Model(net, forward, loaded.config, loaded.tokenizer, runtime, fixed_length)


class Run:
    """A fine-tuning run; use it as a context manager::

        with Run(recipe, output, model, columns, description) as training:
            for epoch in training.epochs():
                for update in epoch:                    # indices of the examples of one update
                    training.update(update, loss)
                if training.end_epoch({'dev': {'accuracy': accuracy}}, accuracy):
                    break

    Parameters
    ----------
    recipe : bert.training.settings.Recipe
    output : bert.training.settings.OutputSettings
    model : Model
    columns : sequence of sequences
        What is learned: a column with the token ids of each training example, then those with all
        else that the loss depends on; each entry is a number, or a list or array of numbers.
    description : Description
    counts : sequence of int, optional
        How many losses each example adds to the mean that an update minimizes; by default one.
    dev : sequence, optional
        The rows that are scored after each epoch, as :func:`fingerprint_of_rows` takes them.
    """

    def __init__(self, recipe: Recipe, output: OutputSettings, model: Model,
                 columns: Sequence[Sequence[Any]], description: Description,
                 counts: Optional[Sequence[int]] = None, dev: Sequence[Any] = ()):
        comm, layout, dtype = model.runtime
        self._recipe, self._output, self._net, self._comm = recipe, output, model.net, comm
        self._lengths = lengths = [len(ids) for ids in columns[0]]
        self._counts = np.ones(len(lengths), int) if counts is None else np.asarray(counts)
        self._size = recipe.batch_size * recipe.accumulate * comm.size
        # similar lengths in a batch save padding, unless it is to a fixed length anyway
        self._similar = layout == 'padded' and model.fixed_length is None
        self._each = sampling.updates_per_epoch(len(lengths), self._size)
        self._total = recipe.steps or self._each * recipe.epochs
        self._epochs = -(-self._total // self._each)
        warmup = int(self._total * recipe.warmup_ratio)
        self._stepper = Stepper(
            model.net, comm, lambda update: linear_decay(update, recipe.lr, warmup, self._total),
            OptimizerSettings(
                optimizer=recipe.optimizer, epsilon=recipe.epsilon,
                weight_decay=recipe.weight_decay, clip=recipe.clip,
                layer_decay=recipe.layer_decay, accumulate=recipe.accumulate > 1,
                loss_scale=2.0 ** 15 if dtype == 'float16' else None, seed=recipe.seed,
                fused=layout == 'packed'))
        self._best_predictions = None
        data, scored = fingerprint(*columns), fingerprint_of_rows(dev)
        check_same_data(comm, data)
        check_same_data(comm, scored, 'dev data')
        self._position = {'epoch': 0, 'done': 0, 'best': None, 'best_epoch': 0, 'data': data,
                          'dev': scored, 'size': self._size}
        self._folder = OutputFolder(output.folder, '--output_dir', FINE_TUNING, output.resume,
                                    output.overwrite, comm)
        if output.resume:
            self._resume()
        if comm.rank == 0:
            result_folder.describe(self._folder.path, model.config, model.tokenizer,
                                   arguments=output.arguments, **description._asdict())
        self._progress = Progress(self._folder.path, self._total, self._stepper.update, comm.rank,
                                  output.log_interval, tensorboard=output.tensorboard)
        if self._position['best'] is not None:      # it may have been killed before this
            self._publish()

    def __enter__(self) -> 'Run':
        with contextlib.ExitStack() as stack:
            stack.enter_context(lost_workers(self._comm, lambda: RESTART))
            stack.enter_context(contextlib.closing(self._progress))
            self._interrupt = stack.enter_context(Interrupt())
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._exit.__exit__(*error)
        finally:
            self._folder.close()

    def _resume(self):
        folder, output = self._folder.path, self._output
        if os.path.exists(self._path(LAST)):
            result_folder.check_arguments(folder, output.arguments, output.free, output.paths)
        found = result_folder.load_last(folder, self._net, self._stepper)
        if not agree(self._comm, (self._stepper.update, checksum(self._path(LAST)))):
            raise DataError(f'--resume: not all workers have the checkpoint of worker 0 in '
                            f'{folder}; --output_dir must be on a disk that all workers share')
        if found is None:
            _log.info('%s has no checkpoint to resume from: starting at the beginning', folder)
        elif not _is_position(found):
            raise DataError(f'{self._path(LAST)}: its position in the data is damaged; start '
                            'a new run in another folder')
        else:
            result_folder.check_data(folder, found, self._position['data'], self._position['dev'])
            if found.get('size', self._size) != self._size:
                raise DataError(f"the run in {folder} made updates of {found['size']} examples, "
                                f'not {self._size}; keep --batch_size x --accumulate x workers '
                                'the same')
            self._position.update(found)

    def epochs(self) -> Iterator[List[np.ndarray]]:
        """Yield the updates of each remaining epoch; an update is the indices of its examples."""
        for epoch in range(self._position['epoch'], self._epochs):
            if self._stalled(epoch):
                return
            updates = sampling.epoch_updates(self._lengths, self._size, self._recipe.seed, epoch,
                                             alike=self._similar)
            yield updates[self._position['done']:][:self._total - self._stepper.update]

    def update(self, indices: np.ndarray,
               loss: Callable[[np.ndarray, mx.Context], mx.nd.NDArray]) -> None:
        """Make one update, log it, save if it is time; exit if the program was interrupted.

        The examples are divided among workers, micro-batches and devices.  ``loss(indices,
        device)`` returns the *sum* of the losses of some of them, (1,), computed on ``device``.
        """
        comm = self._comm
        for micro_batch in sampling.share(indices, comm.rank, comm.size, self._recipe.batch_size):
            with mx.autograd.record():
                losses = [loss(part, device)
                          for part, device in sampling.split(micro_batch, comm.devices)]
            self._stepper.backward(losses, int(self._counts[micro_batch].sum()))
        step = self._stepper.step(stop=self._interrupt.requested)
        self._progress.step(step, len(indices), self._position['epoch'] + 1)
        self._position['done'] += 1
        if step.stop:
            self._save_last()
            self._exit_interrupted(f'after update {step.update} of {self._total}', 'continue')
        interval = self._output.save_interval
        if (self._position['done'] == self._each or step.update == self._total
                or interval and step.update % interval == 0):
            self._save_last()       # after an epoch, too: its evaluation may be long

    def _exit_interrupted(self, when, purpose):
        self._progress.close()
        _log.warning('stopped %s; run the same command with --resume to %s', when, purpose)
        self._comm.sum([0.0])       # once a worker leaves, its launcher ends the others
        raise SystemExit(self._interrupt.exit_code)

    def end_epoch(self, scores: Mapping[str, Mapping[str, float]], score: Optional[float] = None,
                  predictions: Any = None) -> bool:
        """Log the scores, keep the weights if they are the best so far; whether to stop early.

        Parameters
        ----------
        scores : dict
            {set: {metric: value}}, for the log.
        score : float, optional
            What chooses the best epoch; without it the last one is the best.
        predictions : optional
            The predictions, of any kind, behind the scores; for :meth:`load_best`.
        """
        position = self._position
        position.update(epoch=position['epoch'] + 1, done=0)
        for name, values in scores.items():
            self._progress.record('dev', self._stepper.update, epoch=position['epoch'], set=name,
                                  **values)
            shown = ', '.join(f'{metric} {value:.4f}' for metric, value in values.items())
            self._progress.log(f"epoch {position['epoch']}, {name}: {shown}")
        if score is None:
            score = position['epoch']
        if position['best'] is None or score > position['best']:
            position.update(best=score, best_epoch=position['epoch'])
            self._best_predictions = predictions
            if self._comm.rank == 0:
                result_folder.save_weights(self._folder.path, self._net)
        if scores:                  # else no evaluation has passed since the last update
            self._save_last()
        self._publish()
        self._progress.restart_clock()
        stop = self._stalled(position['epoch'])
        if stop:
            self._progress.log(f'no better score for {self._recipe.early_stop} epochs: stopped '
                               'early')
        return stop

    def _stalled(self, epochs):
        patience = self._recipe.early_stop
        return bool(patience) and epochs - self._position['best_epoch'] >= patience

    def _save_last(self):
        if self._comm.rank == 0:
            result_folder.save_last(self._folder.path, self._net, self._stepper, self._position)

    def _publish(self):
        """Replace an earlier result, now that there is a model."""
        self._folder.publish()
        self._progress.move(self._folder.path)

    def _path(self, name):
        return os.path.join(self._folder.path, name)

    def load_best(self) -> Any:
        """End the training and load the best epoch's weights into the network.

        Returns the predictions of that epoch, or None if it was before a ``--resume``.  Exits if
        the program was interrupted after the last update.
        """
        if self._comm.sum([float(self._interrupt.requested)])[0]:
            self._exit_interrupted('after the training', 'see the results')
        self._stepper.release()
        if self._comm.rank == 0:
            path = self._path(result_folder.WEIGHTS)
            load_parameters(self._net, read_weights(path), path)
        self._comm.broadcast(self._stepper.parameters)
        return self._best_predictions


def _is_position(value):
    """Whether a value from a checkpoint can be a position of :class:`Run`."""
    return (all(isinstance(value.get(name), int) and 0 <= value[name] < 1 << 31
                for name in ('epoch', 'done', 'best_epoch'))
            and isinstance(value.get('best', ''), (int, float, type(None))))
