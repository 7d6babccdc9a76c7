"""What a run says while it goes: a bar or lines, metrics.jsonl, TensorBoard."""
import json
import logging
import os
import sys
import time

from ..utils.errors import DataError

__all__ = ['Progress']


class Progress:
    """Follows a training run on worker 0; silent on the others.

    Parameters
    ----------
    folder : str
        ``metrics.jsonl`` goes there, a JSON object a line with a ``type``: 'train' every
        ``log_interval`` updates, 'dev' or 'test' for scores.
    total : int
        Updates in the whole run.
    done : int
        Updates of the run that were made before; later records in metrics.jsonl are dropped, for
        they will be made again.
    rank : int
    log_interval : int
    unit : str
        What is counted for the speed, 'examples' or 'tokens'.
    tensorboard : bool
    """

    def __init__(self, folder, total, done=0, rank=0, log_interval=10, unit='examples',
                 tensorboard=False):
        self._active, self._interval, self._unit = rank == 0, log_interval, unit
        self._total, self._board, self._bar = total, None, None
        self._since, self._counted, self._loss, self._steps = time.time(), 0, 0.0, 0
        self._started, self._at_start = time.time(), done
        if not self._active:
            return
        self._path = os.path.join(folder, 'metrics.jsonl')
        kept = []
        if done and os.path.exists(self._path):
            with open(self._path, encoding='utf-8') as f:
                kept = [line for line in f if _update(line) <= done]
        with open(self._path, 'w', encoding='utf-8') as f:
            f.writelines(kept)
        if tensorboard:
            from tensorboardX import SummaryWriter
            self._board = SummaryWriter(folder, purge_step=done + 1 if done else None)
        if sys.stderr.isatty():
            from tqdm import tqdm
            self._bar = tqdm(total=total, initial=done, unit='update', dynamic_ncols=True)

    def step(self, step, count, epoch, measure=None):
        """Record an update (a :class:`bert.training.stepper.Step`) over ``count`` examples.

        ``measure``, called on every worker when a line of the log is due, returns {name: value} to
        tell in place of the loss.
        """
        self._counted += count
        self._loss += step.loss
        self._steps += 1
        due = step.update % self._interval == 0 or step.update == self._total
        values = measure() if measure and due else {}
        if not self._active:
            return
        speed = self._counted / max(1e-9, time.time() - self._since)
        if self._bar is not None:
            self._bar.set_postfix_str(f'epoch {epoch}, loss {self._loss / self._steps:.4f}, lr '
                                      f'{step.lr:.2e}, {speed:.1f} {self._unit}/s', refresh=False)
            self._bar.update()
        if step.skipped:
            self.say(f'update {step.update}: the gradient overflowed; skipped, and the loss scale '
                     'halved')
        if due:
            if self._bar is None or measure:
                pace = (time.time() - self._started) / (step.update - self._at_start)
                told = ', '.join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in
                                 (values or {'loss': self._loss / self._steps}).items())
                self.say(f'epoch {epoch}, update {step.update}/{self._total}: {told}, lr '
                         f'{step.lr:.2e}, {speed:.1f} {self._unit}/s, '
                         f'{_duration(pace * (self._total - step.update))} left')
            self.record('train', update=step.update, epoch=epoch, loss=self._loss / self._steps,
                        lr=step.lr, gradient_norm=step.norm,
                        **{self._unit + '_per_second': round(speed, 2)}, **values)
            self._since, self._counted, self._loss, self._steps = time.time(), 0, 0.0, 0

    def record(self, kind, update, **values):
        """Append a line to metrics.jsonl, and to TensorBoard what is a number in it."""
        if not self._active:
            return
        try:
            with open(self._path, 'a', encoding='utf-8') as f:
                f.write(json.dumps(dict(type=kind, update=update, **values)) + '\n')
        except OSError as error:
            raise DataError(f'{self._path}: cannot be written ({error.strerror})') from None
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != 'epoch':
                    self._board.add_scalar(f'{kind}/{name}', value, update)

    def restart_clock(self):
        """Leave out of the speed what was done since the last update (an evaluation, say)."""
        self._since, self._counted = time.time(), 0

    def say(self, text):
        """Print a line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            logging.getLogger(__name__).info(text)

    def close(self):
        """End the bar and TensorBoard's file."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._board is not None:
            self._board.close()


def _update(line):
    """The update that a line of metrics.jsonl speaks of; a line cut short speaks of none."""
    try:
        return json.loads(line)['update']
    except ValueError:
        return float('inf')


def _duration(seconds):
    seconds = int(seconds)
    return f'{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}'
