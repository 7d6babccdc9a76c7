"""Pre-training: the loop that run_pretraining.py and run_pretraining_hvd.py share."""
import contextlib
import logging
import socket
from typing import Any, Iterator, Optional, Tuple

import mxnet as mx
import numpy as np

from ..checkpoint import result_folder
from ..model.forward import create_forward
from ..model.inference import prepare
from ..model.parameters import collect
from ..training import plot, progress, runtime
from ..training.distributed import check_same_data, lost_workers
from ..training.settings import OptimizerSettings
from ..training.stepper import Stepper
from ..utils.errors import DataError
from . import model
from .checkpoints import Checkpoints
from .evaluation import FAULTS, Elsewhere, Meter, check, evaluate, losses_of
from .profile import Profile
from .settings import RunSettings
from .sources import Text, content_checksum, open_sources, source_fingerprint
from .stream import Stream, Update

__all__ = ['Trainer', 'evaluate_only', 'train']

_log = logging.getLogger(__name__)


def train(settings: RunSettings, machine: runtime.Runtime) -> None:
    """Pre-train, from the beginning or from a checkpoint; without training data, evaluate.

    Raises :class:`~bert.utils.errors.DataError` for bad data, models, folders and gradients, and
    when another worker is gone; SystemExit after Ctrl-C or SIGTERM.
    """
    comm, training = machine.comm, settings.training
    if settings.log.verbose and comm.rank == 0:
        logging.getLogger('bert').setLevel(logging.DEBUG)
    start = model.load(settings.model)
    source, dev = open_sources(settings.data, start.tokenizer, settings.model.vocabulary,
                               training.seed)
    longest = max(s.max_length for s in (source, dev) if s)
    if longest > start.config.max_position_embeddings:
        raise DataError(f'instances of {longest} tokens, but the model has positions for '
                        f'{start.config.max_position_embeddings}; use shorter ones '
                        '(--max_seq_length)')
    if source is None:
        with lost_workers(comm, lambda: 'start the same command again'):
            evaluate_only(settings, machine, start, dev)
        return
    data, content = source_fingerprint(source, start.tokenizer), content_checksum(source)
    check_same_data(comm, data)
    check_same_data(comm, content)
    if comm.rank == 0 and isinstance(source, Text):
        source.warn_of_lines()
    if dev:
        check_same_data(comm, content_checksum(dev), 'dev data')
        check(dev, comm)
    trainer = Trainer(settings, machine, start, data, content)
    stream = Stream(source, training.batch_size, trainer.micro_batches, training.by_tokens,
                    settings.data.num_buckets, training.seed, settings.data.num_workers,
                    trainer.checkpoints.position, comm.rank, comm.size)

    def announce_stop():
        return f'stopping after this update; if it does not finish: {trainer.checkpoints.advice()}'
    # two workers announce it, since one of them may be gone
    interrupt = runtime.Interrupt(announce_stop if comm.rank < 2 else None)
    lost = lost_workers(comm, trainer.checkpoints.advice)
    with contextlib.closing(trainer), lost, stream, interrupt:
        trainer.run(stream, dev, interrupt)
    comm.close()
    if comm.rank == 0 and settings.log.plot:
        plot.training_curves(settings.checkpoints.folder)
    _log.info('results: %s%s', settings.checkpoints.folder,
              f' on {socket.gethostname()}' if comm.size > 1 else '')


def evaluate_only(settings: RunSettings, machine: runtime.Runtime, start: model.StartModel,
                  dev: Any) -> None:
    """Log the metrics of the weights to start from on the source ``dev``; writes nothing."""
    if not start.arrays:
        _log.warning('the weights are random: add --pretrained to evaluate those of --model')
    mx.random.seed(settings.training.seed)
    check_same_data(machine.comm, content_checksum(dev), 'dev data')
    net = model.build(start, settings.model.dropout, machine.comm.devices, inference=True)
    machine.comm.broadcast(list(collect(net).values()))
    prepare(net, machine.layout, machine.dtype)
    network = create_forward(net, machine.layout, machine.dtype, start.tokenizer.pad_id)
    try:
        metrics = evaluate(network, dev, settings.training.eval_batch_size, machine.comm)
    except Elsewhere:
        machine.comm.sum([0.0])     # until the launcher ends the job, the other has said why
        raise
    _log.info('%s, dev: %s', start.source or 'random weights', _shown(metrics))
    machine.comm.close()


def _shown(metrics):
    """Metrics for the log."""
    return ', '.join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items())


class Trainer:
    """A network in training, with its optimizer, checkpoints and log.

    Parameters
    ----------
    settings : RunSettings
    machine : bert.training.runtime.Runtime
    start : bert.pretraining.model.StartModel
    data, content : int
        Fingerprints of the training data: their sizes and the vocabulary, and what is in them.

    Attributes
    ----------
    micro_batches : int, those of an update, of all workers together
    checkpoints : Checkpoints; its position is where the data stream is to start
    """

    def __init__(self, settings: RunSettings, machine: runtime.Runtime, start: model.StartModel,
                 data: int, content: int):
        self._settings, self._comm = settings, machine.comm
        comm, training = machine.comm, settings.training
        mx.random.seed(training.seed)
        net = model.build(start, settings.model.dropout, comm.devices)
        self._network = create_forward(net, machine.layout, machine.dtype,
                                       start.tokenizer.pad_id)
        self._stepper = Stepper(net, comm, training.learning_rate, OptimizerSettings(
            training.optimizer, training.epsilon, training.weight_decay, training.clip,
            accumulate=training.accumulate > 1,
            loss_scale=2.0 ** 15 if machine.dtype == 'float16' else None,
            seed=training.seed, fused=machine.layout == 'packed'))
        self.micro_batches = training.accumulate * comm.size * len(comm.devices)
        self.checkpoints = Checkpoints(settings.checkpoints, comm, net, self._stepper,
                                       self.micro_batches, data, content)
        self.checkpoints.load()
        folder = self.checkpoints.folder
        if comm.rank == 0:
            result_folder.describe(folder, start.config, start.tokenizer, 'bert.', (),
                                   {'task': 'pretraining'}, dict(settings.checkpoints.arguments))
        _log.info('%s; vocabulary: %s, %d tokens; %d workers x %d devices, %s',
                  f'weights of {start.source}' if start.arrays else 'random weights',
                  start.vocabulary, len(start.tokenizer), comm.size, len(comm.devices),
                  machine.dtype)
        _log.debug('config: %s', start.config)
        self._begun = done = self._stepper.update
        self._progress = progress.Progress(folder, training.num_steps, done, comm.rank,
                                           settings.log.interval, 'tokens',
                                           settings.log.tensorboard)
        self._profile = Profile(None if comm.rank else settings.log.profile, done,
                                training.num_steps)
        self._meter, self._evaluated = Meter(comm), None

    def run(self, stream: Stream, dev: Optional[Any], interrupt: runtime.Interrupt) -> None:
        """Make the updates that remain, with checkpoints and evaluations on ``dev`` in between."""
        stepper, total = self._stepper, self._settings.training.num_steps
        if dev and self._left_out(stepper.update):
            self._evaluate(dev)
        updates = iter(stream)
        while stepper.update < total:
            update, counts = self._next(updates)
            tokens, epoch = self._backward(update, counts)
            step = stepper.step(stop=interrupt.requested)
            self._progress.step(step, tokens, epoch + 1, self._meter.read)
            self._profile.step(step.update)
            self.checkpoints.position = update.position
            if step.stop:
                self._stop(interrupt.exit_code)
            if step.update % self._settings.checkpoints.interval == 0:
                self._save()
            if dev and step.update % self._settings.log.eval_interval == 0:
                self._evaluate(dev)
        self._profile.close()
        self._save()
        if dev and self._evaluated != stepper.update:
            self._evaluate(dev)

    def _next(self, updates: Iterator[Update]) -> Tuple[Update, np.ndarray]:
        """The next update, and the counts of the micro-batches of all workers."""
        try:
            update, fault = next(updates), None
            counts = update.counts
        except FAULTS as error:
            update, fault, counts = None, error, np.zeros((self.micro_batches, 4))
            counts[self._comm.rank] = -1        # tells the others
        counts = self._comm.sum(counts).astype(int)
        if counts.min() < 0:
            self._give_up(
                fault or Elsewhere('another worker cannot read its part of --data'),
                'if the files can be read again as they are, the same command with --resume '
                'continues; if you change them, start another run from these weights: '
                f'--pretrained --model {self.checkpoints.folder} and another --ckpt_dir')
        return update, counts

    def _backward(self, update: Update, counts: np.ndarray) -> Tuple[int, int]:
        """The gradients of this worker's micro-batches of an update.

        Returns the tokens of all workers, and the epoch that all of the data have reached.
        """
        devices = self._comm.devices
        instances, tokens, masked, _ = counts.sum(axis=0).tolist()
        # the mean over the masked tokens, in a sum that is divided by the number of instances
        factor = instances / max(1, masked)
        batches = list(update.batches())
        for i in range(0, len(batches), len(devices)):
            group, losses = batches[i:i + len(devices)], []
            for batch, device in zip(group, devices):
                with mx.autograd.record():
                    words, pairs, statistics = losses_of(self._network, batch, device)
                    losses.append(words * factor + pairs)
                self._meter.add(statistics)
            self._stepper.backward(losses, sum(len(batch.ids) for batch in group))
        self._meter.count(masked, instances)
        _log.debug('update %d: %d instances, %d tokens, lengths %s', self._stepper.update + 1,
                   instances, tokens, sorted({batch.length for batch in batches}))
        return tokens, int(counts[:, 3].min())

    def _save(self, publish=True):
        self.checkpoints.save(publish)
        self._progress.move(self.checkpoints.folder)

    def _left_out(self, update):
        """Whether an earlier part of the run ended before the evaluation due after ``update``."""
        if not update or update % self._settings.log.eval_interval:
            return False
        lacks = self._progress.lacks('dev', update, set='dev')
        return self._comm.sum([float(lacks)])[0] > 0        # worker 0 knows

    def _evaluate(self, dev):
        """Evaluate and log the metrics."""
        update = self._evaluated = self._stepper.update
        try:
            metrics = evaluate(self._network, dev, self._settings.training.eval_batch_size,
                               self._comm)
        except FAULTS as error:
            self._give_up(error, 'once --data_eval can be read the same command with --resume '
                          'continues')
        self._progress.log(f'update {update}, dev: {_shown(metrics)}')
        self._progress.record('dev', update, set='dev', **metrics)
        self._progress.restart_clock()

    def _give_up(self, fault, advice):
        """Save, since all workers are at the same place, and raise the error of bad data."""
        if self._stepper.update > self._begun:
            self._save(publish=False)
            _log.warning('stopped after update %d of %d; %s', self._stepper.update,
                         self._settings.training.num_steps, advice)
        if isinstance(fault, Elsewhere):
            self._comm.sum([0.0])       # until the launcher ends the job, the other has said why
        raise fault

    def _stop(self, exit_code):
        """Save and leave the program, after all workers have finished the update."""
        self._save(publish=False)
        self._comm.sum([0.0])       # once a worker leaves, its launcher ends the others
        self._comm.close()
        self.close()
        _log.warning('stopped after update %d of %d; the same command with --resume continues',
                     self._stepper.update, self._settings.training.num_steps)
        raise SystemExit(exit_code)

    def close(self) -> None:
        """Close the log, and leave the folder to other runs."""
        self._progress.close()
        self.checkpoints.close()
