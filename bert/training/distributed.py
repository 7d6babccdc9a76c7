"""Sums over devices and workers, behind one small interface.

A worker is a process; it has one or more devices (MXNet contexts).  Training loops only use the
interface of :class:`Local`, so they are the same for one device, several devices and several hosts.
"""
import contextlib
import os
import re
import socket
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence

import mxnet as mx
import numpy as np

from ..utils import processors
from ..utils.errors import DataError
from . import watch

__all__ = ['Local', 'Horovod', 'KVStore', 'create', 'agree', 'gather', 'check_same_data',
           'lost_workers', 'gpu_of_rank']

_NAME = 64              # bytes of a host's name
_VALUES = 1 << 20       # keys from here on are not those of parameters


class Local:
    """A single worker; its devices exchange gradients through an MXNet key-value store.

    In subclasses this process is worker ``rank`` of ``size``; ``hosts`` are the host names of all
    ranks, or empty if they are not known.
    """

    rank, size = 0, 1
    hosts = ()

    def __init__(self, devices: List[mx.Context], store: Any = None):
        self.devices = devices
        if store is None and len(devices) > 1:
            store = mx.kv.create('device')
        self._store, self._keys = store, set()

    def _key(self, key, value):
        """``key``, initialized in the store with ``value`` (worker 0's, if there are several)."""
        if key not in self._keys:
            self._store.init(key, value)
            self._keys.add(key)
        return key

    def sum_gradients(self, parameters: Sequence[mx.gluon.Parameter]) -> None:
        """Replace every gradient, on each device, by the sum over devices (and workers).

        ``parameters`` must be in the same order in every call.
        """
        if self._store is None:
            return
        gradients = [parameter.list_grad() for parameter in parameters]
        for key, each in enumerate(gradients):      # first: it resets what connects the devices
            self._key(key, each[0])
        for key, each in enumerate(gradients):
            self._store.push(key, each, priority=-key)
            self._store.pull(key, each, priority=-key)

    def sum(self, values: Any) -> np.ndarray:
        """The sum over workers of an array (float64 in and out)."""
        return np.asarray(values, np.float64)

    def broadcast(self, parameters: Sequence[mx.gluon.Parameter]) -> None:
        """Give every worker the parameters of worker 0."""

    def names(self, ranks: Iterable[int]) -> str:
        """The workers of these ranks, for messages."""
        names = [f'rank {rank}' + (f' on {self.hosts[rank]}' if self.hosts else '')
                 for rank in ranks]
        return ', '.join(names[:8]) + ', ...' * (len(names) > 8)

    def others(self) -> str:
        """The other workers, for messages."""
        others = [rank for rank in range(len(self.hosts)) if rank != self.rank]
        return self.names(others) or 'the other workers'

    def close(self) -> None:
        """Shut down after all workers finish."""


class Horovod(Local):
    """One worker of many, started by ``mpirun`` or ``horovodrun``.

    Raises DataError if this build of Horovod does not sum.
    """

    def __init__(self, devices: List[mx.Context]):
        # on CPUs, Horovod's polling thread takes time from the model: poll every 50 ms at most
        if devices[0].device_type == 'cpu':
            os.environ.setdefault('HOROVOD_CYCLE_TIME', '50')
        import horovod.mxnet as hvd
        hvd.init()
        self._hvd = hvd
        self.rank, self.size = hvd.rank(), hvd.size()
        if devices[0].device_type == 'gpu':
            devices = [gpu_of_rank(devices, hvd.local_rank(), mx.context.num_gpus())]
        super().__init__(devices[:1])
        # some builds always average
        if self.sum([1.0])[0] != self.size:
            raise DataError(f'Horovod does not sum over its {self.size} workers; rebuild it with '
                            'scripts/install_horovod.sh')
        name = socket.gethostname().encode()[:_NAME].ljust(_NAME, b'\0')
        names = hvd.allgather(mx.nd.array(np.frombuffer(name, np.uint8), dtype=np.uint8),
                              name='hosts').asnumpy().tobytes()
        self.hosts = [names[start:start + _NAME].rstrip(b'\0').decode(errors='replace')
                      for start in range(0, len(names), _NAME)]

    def sum_gradients(self, parameters):
        for key, parameter in enumerate(parameters):
            self._hvd.allreduce_(parameter.list_grad()[0], op=self._hvd.Sum,
                                 name=f'gradient.{key}', priority=-key)

    def sum(self, values):
        total = self._hvd.allreduce(mx.nd.array(np.asarray(values), dtype=np.float64),
                                    op=self._hvd.Sum, name='values')
        return total.asnumpy()

    def broadcast(self, parameters):
        for key, parameter in enumerate(parameters):
            self._hvd.broadcast_(parameter.data(), root_rank=0, name=f'parameter.{key}')
        mx.nd.waitall()


def gpu_of_rank(named: List[mx.Context], rank: int, visible: int) -> mx.Context:
    """The GPU of worker ``rank`` of a host, of the ``named`` ones: of several the one in its place,
    or where one is named it and those after it.

    ``visible`` is the number of GPUs that the worker sees; a single one is its own.  Raises
    DataError if there is none for it.
    """
    if visible == 1:
        return mx.gpu(0)
    gpus = ([device.device_id for device in named] if len(named) > 1 else
            range(named[0].device_id, visible))
    if rank >= len(gpus) or gpus[rank] >= visible:
        raise DataError(f'{socket.gethostname()}: no GPU for worker {rank} of this host, which has '
                        f'{visible}; start fewer workers there, or name a GPU for each with --gpus')
    return mx.gpu(gpus[rank])


class KVStore(Local):
    """One worker of many that sum their gradients on MXNet's parameter servers.

    scripts/launch.py starts them, or a user by hand; ``kind`` is 'dist_sync' or 'dist_device_sync'.
    """

    def __init__(self, devices: List[mx.Context], kind: str = 'dist_sync'):
        if os.environ.get('DMLC_ROLE') != 'worker':
            raise DataError(f'--kvstore {kind} needs a scheduler and servers: start the program '
                            'with scripts/launch.py -n WORKERS -s SERVERS')
        self._watch = watch.join('worker')
        super().__init__(devices, mx.kv.create(kind))
        self.rank, self.size = self._store.rank, self._store.num_workers
        if self._watch:
            self._watch.rename(f'worker {self.rank}')

    def sum(self, values):
        values = np.asarray(values, np.float64)
        # one key per size: evaluation sums more numbers than the training step
        key = self._key(_VALUES + values.size, mx.nd.zeros(values.size, dtype=np.float64))
        total = mx.nd.array(values.reshape(-1), dtype=np.float64)
        self._store.push(key, total)
        self._store.pull(key, total)
        return total.asnumpy().reshape(values.shape)

    def broadcast(self, parameters):
        for key, parameter in enumerate(parameters):
            self._store.pull(self._key(key, parameter.list_data()[0]), parameter.list_data())
        mx.nd.waitall()

    def close(self):
        mx.nd.waitall()
        if self._watch:
            self._watch.close()
        self._store = None      # waits for the others; at the interpreter's exit this would abort


def agree(comm: Local, values: Sequence[int]) -> bool:
    """Whether ``values``, whole numbers from 0 below 2^48, are those of worker 0 on all workers."""
    # in digits of 16 bits: parameter servers sum in float32
    digits = np.array([[value >> shift & 0xFFFF for shift in (0, 16, 32)] for value in values])
    first = comm.sum(digits * (comm.rank == 0))
    return comm.sum([float(not np.array_equal(first, digits))])[0] == 0


def gather(comm: Local, number: int) -> List[int]:
    """The ``number`` of each worker, a whole one from 0 below 2^16; all call it together."""
    return comm.sum(np.where(np.arange(comm.size) == comm.rank, number, 0)).astype(int).tolist()


def check_same_data(comm: Local, data: int, name: str = 'training data') -> None:
    """Raise DataError unless all workers have the ``data``, a fingerprint, of worker 0."""
    if not agree(comm, [data]):
        raise DataError(f'not all workers have the {name} and the vocabulary of worker 0; copy '
                        'the same files to all hosts')


@contextlib.contextmanager
def lost_workers(comm: Local, advice: Callable[[], str]) -> Iterator[None]:
    """Within it, the error that Horovod raises when another worker is gone becomes a DataError,
    whose last words are ``advice()``."""
    try:
        yield
    except mx.MXNetError as error:
        # its words and those of Gloo, among others (no memory, ...) that are not for here
        found = re.search(r'.*(Horovod has|[Cc]onnection|[Ss]hut ?down).*', str(error))
        if comm.size == 1 or not found:
            raise
        reason = re.split(r'\. ', found.group().strip())[0]
        raise DataError(f'rank {comm.rank}: lost contact with {comm.others()} ({reason}); '
                        f'{advice()}') from error


def create(name: Optional[str], devices: List[mx.Context]) -> Local:
    """This process as a worker of a 'local', 'horovod', 'dist_sync' or 'dist_device_sync' job.

    For None it is on its own.  Raises DataError for a 'local' job of several processes.
    """
    if name == 'horovod':
        return Horovod(devices)
    if name in ('dist_sync', 'dist_device_sync'):
        return KVStore(devices, name)
    workers = 1 if name is None else processors.workers()
    if workers > 1 and os.environ.get('DMLC_ROLE') == 'worker':
        raise DataError(f'launch.py started {workers} workers, and each would train a separate '
                        'model; add --kvstore dist_sync to run_pretraining.py, or start other '
                        'programs with mpirun and --comm horovod')
    if workers > 1:
        variable = processors.size_variable()
        raise DataError(f'{workers} processes were started, as {variable} says, and each would '
                        'work on its own; add --comm horovod, use run_pretraining_hvd.py, or, if '
                        f'it is left over from another job: unset {variable}')
    return Local(devices)
