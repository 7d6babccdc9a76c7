"""The folder of a pre-training run: the model as it stands, and the last checkpoints."""
import logging
import os
import re

from ..checkpoint import result_folder
from ..checkpoint.weights import read_params
from ..utils import files
from ..utils.errors import DataError

__all__ = ['Checkpoints']

_STATE = 'step-%07d.params'
# flags that may change when a run goes on
_FREE = {'start_step', 'ckpt_dir', 'ckpt_interval', 'eval_interval', 'keep', 'num_steps', 'gpu',
        'gpus', 'cpus', 'comm', 'kvstore', 'accumulate', 'num_data_workers', 'batch_size_eval',
        'data_eval', 'eval_use_npz', 'profile', 'verbose', 'pretrained'}


class Checkpoints:
    """The folder of a run: the model as it stands, and what is needed to go on."""

    def __init__(self, args, comm, net, stepper, micro_batches):
        self._args, self._comm, self._net, self._stepper = args, comm, net, stepper
        self._micro_batches, self.position, self._saved = micro_batches, None, None
        self._folder = args.ckpt_dir = os.path.expanduser(args.ckpt_dir)
        if comm.rank == 0:
            files.make_folder(self._folder, '--ckpt_dir')

    def _steps(self):
        """The updates of which there are checkpoints, in order."""
        names = os.listdir(self._folder) if os.path.isdir(self._folder) else ()
        found = (re.fullmatch(r'step-(\d{7,})\.params', name) for name in names)
        return sorted(int(match.group(1)) for match in found if match)

    def load(self):
        """Go on where the flags say: the position in the data, or None at the beginning."""
        args, steps, chosen = self._args, self._steps(), 0
        if self._comm.rank == 0:
            if args.start_step:
                chosen = args.start_step
            elif args.resume:
                chosen = self._newest_whole(steps)
            elif steps:
                raise DataError(f'--ckpt_dir {self._folder}: holds checkpoints of an earlier run '
                                f'({_STATE % steps[-1]}); go on '
                                'with --resume, delete them, or name another folder')
        chosen = int(self._comm.sum([chosen])[0])   # worker 0 says
        if not chosen:
            return None
        state = result_folder.load_last(self._folder, self._net, self._stepper, args,
                                        _STATE % chosen, _FREE)
        if state is None:
            raise DataError(f'{os.path.join(self._folder, _STATE % chosen)} is missing; every '
                            'worker must see --ckpt_dir, which holds '
                            f"checkpoints of these updates: {', '.join(map(str, steps)) or 'none'}")
        if state['micro_batches'] != self._micro_batches:
            raise DataError(f"the run in {self._folder} made updates of {state['micro_batches']} "
                            f"micro-batches, not {self._micro_batches}; keep "
                            '--accumulate x workers x devices the same')
        if self._comm.rank == 0:
            for step in steps:      # of a future that will be another
                if step > chosen:
                    os.remove(os.path.join(self._folder, _STATE % step))
        logging.info('going on from update %d', chosen)
        self.position, self._saved = state['stream'], chosen
        return self.position

    def _newest_whole(self, steps):
        for step in reversed(steps):
            try:
                read_params(os.path.join(self._folder, _STATE % step))
                return step
            except DataError as error:
                logging.warning('%s; taking the one before', error)
        logging.info('%s has no checkpoint to go on from: starting at the beginning',
                     self._folder)
        return 0

    def save(self):
        """Write a checkpoint, and remove what is older than the last ones."""
        step = self._stepper.update
        if step == self._saved:
            return
        if self._comm.rank == 0:
            result_folder.save_last(self._folder, self._net, self._stepper, {
                'stream': self.position, 'micro_batches': self._micro_batches}, _STATE % step)
            result_folder.save_weights(self._folder, self._net)
            for old in self._steps()[:-self._args.keep]:
                os.remove(os.path.join(self._folder, _STATE % old))
            logging.info('checkpoint: %s; the same command with --resume goes on from it',
                         os.path.join(self._folder, _STATE % step))
        self._saved = step

    def advice(self):
        """How to go on after the end of this process: a line."""
        if self._saved is None:
            return 'there is no checkpoint yet: start the same command again'
        return (f'the last checkpoint is of update {self._saved}: the same command with --resume '
                'goes on')
