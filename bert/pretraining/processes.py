"""Worker processes: chunks read ahead of training, and calls mapped in any order."""
import collections
import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent import futures
from typing import Any, Callable, Iterable, Iterator, Tuple

from ..utils.errors import DataError
from .instances import Instances

__all__ = ['ReadAhead', 'unordered_map']

Place = Tuple[int, int, int]        # epoch, index in the order of its chunks, chunk


class ReadAhead:
    """Reads the chunks of a source that come next, in ``workers`` processes or, with 0, a thread.

    ``source`` is one of :mod:`bert.pretraining.sources`.
    """

    def __init__(self, source: Any, workers: int):
        self._pending, self._depth = collections.deque(), workers + 1
        if workers:
            # a fork is not safe once MXNet and MPI run threads
            self._executor = futures.ProcessPoolExecutor(
                workers, multiprocessing.get_context('spawn'), _start_detached,
                (os.getpid(), source))
            self._function = _read
        else:
            self._executor = futures.ThreadPoolExecutor(1)
            self._function = source.read

    def read(self, places: Iterable[Place]) -> Iterator[Tuple[Place, Instances]]:
        """Yield each place with the instances of its chunk, in the given order.

        Raises DataError for bad data, and when a process was killed.
        """
        places = iter(places)
        while True:
            try:
                for place in itertools.islice(places, self._depth - len(self._pending)):
                    epoch, _, chunk = place
                    self._pending.append(
                        (place, self._executor.submit(self._function, epoch, chunk)))
                if not self._pending:
                    return
                place, future = self._pending.popleft()
                instances = future.result()
            except futures.BrokenExecutor:
                raise DataError('a process that prepares the data was killed, perhaps for lack of '
                                'memory; continue with --resume and fewer --num_data_workers'
                                ) from None
            yield place, instances

    def close(self) -> None:
        """Stop reading, after the chunks that are being read."""
        for _, future in self._pending:
            future.cancel()
        self._executor.shutdown()


@contextlib.contextmanager
def unordered_map(shared: tuple, workers: int) -> Iterator[Callable]:
    """A function run(function, *columns), like map, for the block.

    Worker processes make the calls function(*shared, *row) in any order, and run yields
    (index, result).  ``workers`` 1 makes them in this process.
    """
    if workers == 1:
        yield lambda function, *columns: (
            (index, function(*shared, *row)) for index, row in enumerate(zip(*columns)))
        return
    # a fork starts sooner, but is not safe once MXNet runs threads
    context = multiprocessing.get_context('spawn' if 'mxnet' in sys.modules else None)
    with futures.ProcessPoolExecutor(workers, context, _start_interruptible,
                                     (os.getpid(), shared)) as executor:
        def run(function, *columns):
            rows, running = enumerate(zip(*columns)), {}
            while True:
                # a few at a time, for an error or Ctrl-C to end the run soon
                for index, row in itertools.islice(rows, 2 * workers - len(running)):
                    running[executor.submit(_call, function, row)] = index
                if not running:
                    return
                for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        try:
            yield run
        except futures.process.BrokenProcessPool:
            raise DataError('a worker process was killed, perhaps for lack of memory; continue '
                            'with --resume and fewer --num_workers') from None


_shared = None      # in a worker process: what all its calls have in common


def _start_detached(parent, shared):
    os.setsid()     # a signal to the whole job is for its main processes, which end this one
    _start(parent, shared)


def _start_interruptible(parent, shared):
    signal.signal(signal.SIGINT, signal.SIG_DFL)    # Ctrl-C: end at once, without a traceback
    _start(parent, shared)


def _start(parent, shared):
    global _shared
    _shared = shared

    def follow_parent():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)
    threading.Thread(target=follow_parent, daemon=True).start()


def _read(epoch, chunk):
    return _shared.read(epoch, chunk)


def _call(function, row):
    return function(*_shared, *row)
