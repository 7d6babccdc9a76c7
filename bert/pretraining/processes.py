"""Worker processes: chunks read ahead of training, and calls mapped in any order."""
import collections
import contextlib
import errno
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import weakref
from concurrent import futures
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, NamedTuple, Tuple

from ..utils.errors import DataError
from ..utils.signals import end_with_parent

if TYPE_CHECKING:       # a data process looks for its parent before it imports much
    from .instances import Instances

__all__ = ['Place', 'Reader', 'unordered_map']


class Place(NamedTuple):
    """A chunk in the order in which a reader takes them.

    A chunk may be shared by ``parts`` readers, ``here`` of which are in this process; this one
    keeps its rows ``part``, ``part + parts``, ...
    """
    epoch: int
    index: int          # among the reader's chunks of the epoch
    chunk: int
    part: int
    parts: int
    here: int
    is_last: bool       # of the epoch


class Reader:
    """Reads chunks of a source in ``workers`` processes or, with 0, in a thread.

    ``source`` is one of :mod:`bert.pretraining.sources`.  A chunk that several want is read once;
    at most ``keep`` of them are kept for those who have not come for them yet.
    """

    def __init__(self, source: Any, workers: int, keep: int = 0):
        self._futures = weakref.WeakValueDictionary()   # those that somebody waits for
        self._kept, self._keep = {}, keep               # (future, callers still to come)
        self._others, self._processes = set(multiprocessing.active_children()), set()
        if workers:
            # for the resource tracker: a process that is killed leaves semaphores, which is no leak
            sys.warnoptions.append('ignore:resource_tracker')
            # a fork is not safe once MXNet and MPI run threads
            self._executor = _pool('--num_data_workers 0', workers, 'spawn', _start_detached,
                                   source)
            self._function = _read
        else:
            self._executor = futures.ThreadPoolExecutor(1)
            self._function = source.read

    def submit(self, epoch: int, chunk: int, here: int = 1) -> 'futures.Future[Instances]':
        """Begin to read a chunk that ``here`` callers will ask for; :meth:`result` returns its
        instances."""
        key = epoch, chunk
        future = self._futures.get(key)
        if future is None:
            with _lost_process():
                future = self._executor.submit(self._function, epoch, chunk)
            self._processes |= set(multiprocessing.active_children()) - self._others
            self._futures[key] = future
        if here > 1:
            left = self._kept.pop(key, (future, here))[1] - 1
            if left:
                self._kept[key] = future, left
            if len(self._kept) > self._keep:    # the oldest: its readers began behind it
                del self._kept[next(iter(self._kept))]
        return future

    def result(self, future: 'futures.Future[Instances]') -> 'Instances':
        """What was read.  Raises DataError for bad data, and when a process was killed."""
        with _lost_process():
            while not futures.wait([future], 5).done:
                # one that was killed within a result: the executor waits for the rest of it
                if any(not process.is_alive() for process in self._processes):
                    self.close()
                    raise futures.BrokenExecutor
            return future.result()

    def read(self, places: Iterable[Place], depth: int) -> Iterator[Tuple[Place, 'Instances']]:
        """Begin to read now; yield each place with the instances of its whole chunk, in order.

        ``depth`` chunks are read ahead.  Raises DataError as :meth:`result` does.
        """
        places, pending = iter(places), collections.deque()

        def begin():
            for place in itertools.islice(places, depth - len(pending)):
                pending.append((place, self.submit(place.epoch, place.chunk, place.here)))

        def results():
            while pending:
                place, future = pending.popleft()
                begin()
                instances = [self.result(future)]
                del future
                yield place, instances.pop()    # nothing here holds the chunk from now on
        begin()
        return results()

    def close(self) -> None:
        """Stop reading at once.

        Reader processes are killed.  A reader thread cannot be: it finishes its chunk, for which
        only the exit of the program waits, with a limit (:data:`bert.utils.errors.LEAVING`).
        """
        if isinstance(self._executor, futures.ThreadPoolExecutor):
            for future in list(self._futures.values()):
                future.cancel()
            self._executor.shutdown(wait=False)
        else:
            for process in self._processes:
                process.kill()      # they write nothing; on a busy machine a chunk may take long
            results = self._executor._result_queue
            if results is not None:     # not closed before
                # the executor's thread may be within a result of a killed process, and waits for
                # the rest of it while anybody, and that is this process, could still write it
                results._writer.close()
            self._executor.shutdown()


def _pool(without, workers, method, start, shared):
    """Worker processes that begin with ``start(parent, pickled shared)``; the flag ``without``
    makes none, and is the cure where processes cannot share locks."""
    try:
        return futures.ProcessPoolExecutor(workers, multiprocessing.get_context(method), start,
                                           (os.getpid(), pickle.dumps(shared)))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        raise DataError(f'processes cannot share a lock here ({error.strerror}): make /dev/shm '
                        f'writable, with free space, or add {without}') from None


@contextlib.contextmanager
def _lost_process():
    try:
        yield
    except futures.BrokenExecutor:
        raise DataError('a process that prepares the data was killed, perhaps for lack of memory; '
                        'continue with --resume and fewer --num_data_workers') from None


@contextlib.contextmanager
def unordered_map(shared: tuple, workers: int) -> Iterator[Callable]:
    """A function ``run(function, *columns)``, like map, for the block.

    Worker processes make the calls ``function(*shared, *row)`` in any order, and run yields
    (index, result).  ``workers`` 1 makes them in this process.
    """
    if workers == 1:
        yield lambda function, *columns: (
            (index, function(*shared, *row)) for index, row in enumerate(zip(*columns)))
        return
    # a fork starts sooner, but is not safe once MXNet runs threads
    method = 'spawn' if 'mxnet' in sys.modules else None
    with _pool('--num_workers 1', workers, method, _start_interruptible, shared) as executor:
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
    for number in signal.SIGINT, signal.SIGTERM:    # end at once, without a traceback
        signal.signal(number, signal.SIG_DFL)
    _start(parent, shared)


def _start(parent, shared):
    """Begin a worker process; ``shared`` is pickled, since to load it imports much."""
    global _shared
    end_with_parent(parent)
    try:
        _shared = pickle.loads(shared)
    except (MemoryError, ImportError, OSError):     # lack of memory, which the parent reports
        os._exit(1)


def _read(epoch, chunk):
    return _shared.read(epoch, chunk)


def _call(function, row):
    return function(*_shared, *row)
