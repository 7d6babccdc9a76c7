"""Progress of training (tqdm bar or log lines, metrics.jsonl, TensorBoard) and of prediction."""
import json
import logging
import os
import sys
import time
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Sequence

from ..utils.errors import DataError
from ..utils.files import atomic_text, parse_json
from .stepper import Step

__all__ = ['Progress', 'follow']

_PAUSE = 30         # seconds between two lines of :func:`follow`


class Progress:
    """Reports the progress of a training run on worker 0; does nothing on other workers.

    Parameters
    ----------
    folder : str
        Where ``metrics.jsonl`` is written: one JSON object per line with a ``type``, 'train' every
        ``log_interval`` updates, 'dev' for scores.
    total : int
        Updates in the whole run.
    done : int
        Updates that an earlier part of the run has made; later records in metrics.jsonl are
        dropped, because those updates will be made again.
    rank : int
    log_interval : int
    unit : str
        The unit of the speed, 'examples' or 'tokens'.
    tensorboard : bool
    """

    def __init__(self, folder: str, total: int, done: int = 0, rank: int = 0,
                 log_interval: int = 10, unit: str = 'examples', tensorboard: bool = False):
        self._active, self._interval, self._unit = rank == 0, log_interval, unit
        self._total, self._board, self._bar = total, None, None
        self._since, self._counted, self._loss, self._steps = time.monotonic(), 0, 0.0, 0
        self._started, self._at_start = time.monotonic(), done
        if not self._active:
            return
        self.move(folder)
        kept = []
        if done and os.path.exists(self._path):
            with open(self._path, encoding='utf-8', errors='replace') as f:
                kept = [line for line in f if _update(line) <= done]
        self._kept = {_key(json.loads(line)) for line in kept}
        with atomic_text(self._path) as f:
            f.writelines(kept)
        if tensorboard:
            from tensorboardX import SummaryWriter
            self._board = SummaryWriter(folder, purge_step=done + 1 if done else None)
        if sys.stderr.isatty():
            from tqdm import tqdm
            self._bar = tqdm(total=total, initial=done, unit='update', dynamic_ncols=True)

    def step(self, step: Step, count: int, epoch: int,
             measure: Optional[Callable[[], Dict[str, float]]] = None) -> None:
        """Record an update over ``count`` examples (or tokens).

        ``measure`` is called on every worker if a log line is due, and returns the {name: value}
        to log instead of the loss.
        """
        self._counted += count
        self._loss += step.loss
        self._steps += 1
        due = step.update % self._interval == 0 or step.update == self._total
        values = measure() if measure and due else {}
        if not self._active:
            return
        speed = self._counted / max(1e-9, time.monotonic() - self._since)
        if self._bar is not None:
            self._bar.set_postfix_str(f'epoch {epoch}, loss {self._loss / self._steps:.4f}, lr '
                                      f'{step.lr:.2e}, {speed:.1f} {self._unit}/s', refresh=False)
            self._bar.update()
        if step.skipped:
            self.log(f'update {step.update}: skipped because the gradient overflowed; the loss '
                     'scale is halved')
        if due:
            if self._bar is None or measure:
                pace = (time.monotonic() - self._started) / (step.update - self._at_start)
                shown = ', '.join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in
                                 (values or {'loss': self._loss / self._steps}).items())
                self.log(f'epoch {epoch}, update {step.update}/{self._total}: {shown}, lr '
                         f'{step.lr:.2e}, {speed:.1f} {self._unit}/s, '
                         f'{_duration(pace * (self._total - step.update))} left')
            self.record('train', update=step.update, epoch=epoch, loss=self._loss / self._steps,
                        lr=step.lr, gradient_norm=step.norm,
                        **{self._unit + '_per_second': round(speed, 2)}, **values)
            self._since, self._counted, self._loss, self._steps = time.monotonic(), 0, 0.0, 0

    def record(self, kind: str, update: int, **values: Any) -> None:
        """Append a line to metrics.jsonl, and its numbers to TensorBoard.

        A record that an earlier part of the run has written is not repeated.  Raises DataError if
        the file cannot be written.
        """
        if not self.lacks(kind, update, **values):
            return
        try:
            with open(self._path, 'a', encoding='utf-8') as f:
                f.write(json.dumps(dict(type=kind, update=update, **values)) + '\n')
        except OSError as error:
            raise DataError(f'{self._path}: cannot be written ({error.strerror})') from None
        if self._board is not None:
            group = values.get('set', kind)
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != 'epoch':
                    self._board.add_scalar(f'{group}/{name}', value, update)

    def lacks(self, kind: str, update: int, **values: Any) -> bool:
        """Whether such a record is for this worker to write: no earlier part of the run has it."""
        return self._active and _key(dict(type=kind, update=update, **values)) not in self._kept

    def move(self, folder: str) -> None:
        """Continue in ``folder``, to which metrics.jsonl has been moved."""
        self._path = os.path.join(folder, 'metrics.jsonl')

    def restart_clock(self) -> None:
        """Exclude the time since the last update, such as an evaluation's, from the speed."""
        self._since, self._counted = time.monotonic(), 0

    def log(self, text: str) -> None:
        """Log a line, above the bar if there is one."""
        _log(text)

    def close(self) -> None:
        """Close the bar and TensorBoard's file."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._board is not None:
            self._board.close()


def follow(batches: Iterable[Any], sizes: Sequence[int], rank: int = 0) -> Iterator[Any]:
    """Yield the ``batches``; worker 0 logs every half a minute how far it is.

    ``sizes`` are the shares of the batches in the work.
    """
    start = logged = time.monotonic()
    done, total = 0, sum(sizes)
    for number, (size, batch) in enumerate(zip(sizes, batches), 1):
        done, now = done + size, time.monotonic()
        if rank == 0 and now >= logged + _PAUSE:
            logged = now
            _log(f'prediction: batch {number}/{len(sizes)}, '
                 f'{_duration((now - start) * (total / done - 1))} left')
        yield batch


def _log(text):
    """Log a line, above the bar if there is one."""
    if sys.stderr.isatty():
        from tqdm import tqdm
        tqdm.write(text, file=sys.stderr)
    else:
        logging.getLogger(__name__).info(text)


def _update(line):
    """The update that a line of metrics.jsonl belongs to; infinity for a damaged line."""
    try:
        update = parse_json(line)['update']
    except (KeyError, TypeError, ValueError):
        update = None
    return update if isinstance(update, (int, float)) else float('inf')


def _key(record):
    """The part of a record by which repetitions are found."""
    return repr((record.get('type'), record['update'], record.get('set')))


def _duration(seconds):
    seconds = int(seconds)
    return f'{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}'
