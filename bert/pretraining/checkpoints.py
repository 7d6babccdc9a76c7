"""The folder of a pre-training run: the current model, and the last checkpoints."""
import json
import logging
import os
import re
from typing import Any, Dict, List

import numpy as np

from ..checkpoint import result_folder
from ..checkpoint.integrity import checksum
from ..checkpoint.output import PRETRAINING, OutputFolder, step_file
from ..checkpoint.weights import read_params
from ..training.distributed import agree
from ..utils.errors import DataError
from .settings import CheckpointSettings

__all__ = ['Checkpoints', 'gather_position', 'missing', 'steps_in']

_log = logging.getLogger(__name__)

# flags that may change when a run continues
_FREE = {'start_step', 'ckpt_dir', 'ckpt_interval', 'eval_interval', 'keep', 'num_steps', 'gpu',
         'gpus', 'cpus', 'comm', 'kvstore', 'accumulate', 'num_data_workers', 'batch_size_eval',
         'data_eval', 'eval_use_npz', 'profile', 'verbose', 'pretrained', 'comm_backend',
         'total_batch_size', 'total_batch_size_eval', 'phase1_num_steps', 'resume', 'overwrite',
         'offline', 'log_interval', 'tensorboard', 'plot', 'force_dtype'}
# flags of files, which are known by their content
_PATHS = {'data', 'vocab', 'sentencepiece'}


class Checkpoints:
    """The folder of a run: the current model, and all that is needed to continue.

    Parameters
    ----------
    settings : CheckpointSettings
    comm : a communicator of :mod:`bert.training.distributed`
    net : HybridBlock
    stepper : bert.training.stepper.Stepper
    micro_batches : int
        In an update, of all workers together.
    data, content : int
        Fingerprints of the training data: their sizes and the vocabulary, and what is in them.

    Attributes
    ----------
    folder : str
        Where the checkpoints are now.
    position : dict
        Where the data stream stands, or None at its beginning: after :meth:`load` with the
        sub-streams of all workers; :meth:`save` needs those of this one.
    """

    def __init__(self, settings: CheckpointSettings, comm: Any, net: Any, stepper: Any,
                 micro_batches: int, data: int, content: int = 0):
        self._settings, self._comm, self._net, self._stepper = settings, comm, net, stepper
        self._micro_batches, self._data, self._content = micro_batches, data, content
        self._output = OutputFolder(settings.folder, '--ckpt_dir', PRETRAINING,
                                    settings.resume or settings.start_step > 0,
                                    settings.overwrite, comm)
        self.position = None
        self._saved, self._current = None, None     # updates: of the checkpoint, of the model

    @property
    def folder(self) -> str:
        return self._output.path

    def _path(self, step):
        return os.path.join(self.folder, step_file(step))

    def load(self) -> None:
        """Load the checkpoint that the settings ask for, if any, and set ``position``.

        Raises DataError if it is missing or belongs to another run, or if workers have different
        ones.
        """
        steps = steps_in(self.folder)
        step = self._choose(steps) if self._comm.rank == 0 else 0
        step = int(self._comm.sum([step])[0])       # worker 0 decides
        if not step:
            return
        if os.path.exists(self._path(step)):
            result_folder.check_arguments(
                self.folder, self._settings.arguments, _FREE, _PATHS, f'--start_step {step}'
                if self._settings.start_step else '--resume', 'another --ckpt_dir')
        state = result_folder.load_last(self.folder, self._net, self._stepper, step_file(step))
        same = agree(self._comm, (self._stepper.update, checksum(self._path(step))))
        if state is None:
            raise DataError(missing(self._path(step), 'every worker must see --ckpt_dir, which'))
        if not same:
            raise DataError(f'{self._path(step)}: not the same file on all workers; every worker '
                            'must see the --ckpt_dir of worker 0')
        if not isinstance(state.get('stream'), dict) or 'micro_batches' not in state:
            raise DataError(f'{self._path(step)}: its position in the data is damaged; continue '
                            'from an earlier checkpoint with --start_step')
        if state['micro_batches'] != self._micro_batches:
            raise DataError(f"the run in {self.folder} made updates of {state['micro_batches']} "
                            f'micro-batches, not {self._micro_batches}; keep --accumulate x '
                            'workers x devices the same')
        if 'streams' not in state['stream']:
            raise DataError(f'{self._path(step)}: its position in the data is of an older version, '
                            'which cannot be continued; start a new run from its weights '
                            f'(--pretrained --model {self.folder}, with another --ckpt_dir)')
        if not _is_position(state['stream']):
            raise DataError(f'{self._path(step)}: its position in the data is damaged; continue '
                            'from an earlier checkpoint with --start_step')
        self._check_data(state)
        if self._comm.rank == 0:
            for later in (s for s in steps if s > step):     # this run will make its own
                os.remove(self._path(later))
        _log.info('continuing from update %d', step)
        self.position, self._saved = state['stream'], step

    def _check_data(self, state):
        """Raise DataError unless the run began with these data; 'content' is missing in the
        checkpoints of older versions."""
        if (state.get('data', self._data) != self._data
                or state.get('content', self._content) != self._content):
            raise DataError(f'the run in {self.folder} began with other training data or another '
                            'vocabulary; continue it with the same, or start a new run from its '
                            f'weights (--pretrained --model {self.folder}, with another '
                            '--ckpt_dir)')

    def _choose(self, steps):
        """The update to continue from, 0 for a new run."""
        if self._settings.start_step:
            return self._settings.start_step
        if self._settings.resume:
            return self._newest_complete(steps)
        return 0

    def _newest_complete(self, steps):
        for step in reversed(steps):
            try:
                read_params(self._path(step))
                return step
            except DataError as error:
                _log.warning('%s; using the previous checkpoint', error)
        if steps:
            raise DataError(f'--resume: no checkpoint in {self.folder} is complete; name another '
                            '--ckpt_dir, or replace the run with --overwrite')
        _log.info('%s has no checkpoint to continue from: starting at the beginning', self.folder)
        return 0

    def save(self, publish: bool = True) -> None:
        """Write a checkpoint and the current model, and remove checkpoints beyond those to keep.

        All workers call it together; worker 0 writes.  It replaces an earlier run's result, unless
        ``publish`` is False.
        """
        step = self._stepper.update
        if step != self._current:       # a stopped run may have left its checkpoint alone
            position = gather_position(self.position, self._comm) if step != self._saved else None
            if self._comm.rank == 0:
                self._write(step, position)
            self._comm.sum([0.0])       # the others know that it is there once all arrive here
            self._saved = self._current = step
        if publish:
            self._output.publish()

    def _write(self, step, position):
        """Write the current model, after the checkpoint where a ``position`` is given."""
        if position is not None:
            result_folder.save_last(self.folder, self._net, self._stepper, {
                'stream': position, 'micro_batches': self._micro_batches, 'data': self._data,
                'content': self._content}, step_file(step))
        result_folder.save_weights(self.folder, self._net)
        for old in steps_in(self.folder)[:-self._settings.keep]:
            os.remove(self._path(old))
        _log.info('checkpoint: %s; the same command with --resume continues from it',
                  self._path(step))

    def close(self) -> None:
        """Leave the folder to other runs."""
        self._output.close()

    def advice(self) -> str:
        """How to continue after the end of this process: a line."""
        if self._saved is None:
            return 'there is no checkpoint yet: start the same command again'
        return (f'the last checkpoint is of update {self._saved}: the same command with --resume '
                'continues')


def steps_in(folder: str) -> List[int]:
    """The updates that have checkpoints in a folder, in order."""
    names = os.listdir(folder) if os.path.isdir(folder) else ()
    found = (re.fullmatch(PRETRAINING, name) for name in names)
    return sorted(int(match.group(1)) for match in found if match)


def missing(path: str, folder: str) -> str:
    """The message that there is no checkpoint ``path``; ``folder`` is the subject of what is."""
    steps = ', '.join(map(str, steps_in(os.path.dirname(path) or '.'))) or 'none'
    return f'{path} is missing; {folder} holds checkpoints of these updates: {steps}'


def _is_position(value):
    """Whether a dict from a checkpoint can be a position of :class:`~.stream.Stream`."""
    try:
        starts = list(value['streams'].values())
        carried = [row for start in starts for row in start['carried']]
        numbers = [value['updates'], *(number for row in carried for number in row), *(
            start[key] for start in starts for key in ('epoch', 'index', 'first'))]
        return all(len(row) == 3 for row in carried) and all(
            isinstance(number, int) and 0 <= number < 1 << 31 for number in numbers)
    except (AttributeError, KeyError, TypeError):
        return False


def gather_position(position: Dict[str, Any], comm: Any) -> Dict[str, Any]:
    """A position with the sub-streams of all workers, of positions with those of each.

    The positions are those of :class:`bert.pretraining.stream.Update`; all workers call this
    together.
    """
    text = np.frombuffer(json.dumps(position['streams']).encode('ascii'), np.uint8)
    sizes = np.zeros(comm.size)
    sizes[comm.rank] = len(text)
    ends = np.cumsum(comm.sum(sizes)).astype(int)
    # a key-value store keeps memory for each size: have few of them
    texts = np.zeros(1 << int(ends[-1]).bit_length())
    texts[ends[comm.rank] - len(text):ends[comm.rank]] = text
    texts = np.split(comm.sum(texts).astype(np.uint8), ends)[:comm.size]
    streams = {}
    for each in texts:
        streams.update(json.loads(each.tobytes().decode('ascii')))
    return dict(position, streams=streams)
