"""Sums over devices and workers, behind one small interface.

A worker is a process; it has one or more devices (MXNet contexts).  The loops of the scripts talk
to a communicator only, so they are the same for one device, several devices and several hosts.
"""
import os

import mxnet as mx
import numpy as np

from ..utils.errors import DataError

__all__ = ['Local', 'Horovod', 'KVStore', 'create']

_VALUES = 1 << 20       # the first of the keys that are no parameters'


class Local:
    """One worker; its devices exchange gradients through an MXNet key-value store."""

    rank, size = 0, 1

    def __init__(self, devices):
        self.devices = devices
        self._store = mx.kv.create('device') if len(devices) > 1 else None
        self._known = set()

    def sum_gradients(self, parameters):
        """Replace every gradient, on each device, by the sum over devices (and workers).

        ``parameters`` is a list of gluon Parameters, in the same order in every call.
        """
        if self._store is None:
            return
        for key, parameter in enumerate(parameters):
            gradients = parameter.list_grad()
            if key not in self._known:
                self._store.init(key, gradients[0])
                self._known.add(key)
            self._store.push(key, gradients, priority=-key)
            self._store.pull(key, gradients, priority=-key)

    def sum(self, values):
        """The sum over workers of a numpy array (float64 in and out)."""
        return np.asarray(values, np.float64)

    def broadcast(self, parameters):
        """Give every worker the parameters of worker 0."""

    def close(self):
        """Take leave of the other workers, in good order; wait for them."""


class Horovod(Local):
    """One worker of many, started by ``mpirun`` or ``horovodrun``."""

    def __init__(self, devices):
        # on CPU, Horovod's polling thread takes time from the model's: poll each 50 ms at most
        if devices[0].device_type == 'cpu':
            os.environ.setdefault('HOROVOD_CYCLE_TIME', '50')
        import horovod.mxnet as hvd
        hvd.init()
        self._hvd = hvd
        self.rank, self.size = hvd.rank(), hvd.size()
        if devices[0].device_type == 'gpu':
            devices = [mx.gpu(hvd.local_rank())]
        super().__init__(devices[:1])
        # some builds average whatever is asked for
        if self.sum([1.0])[0] != self.size:
            raise DataError(f'Horovod does not sum over its {self.size} workers; rebuild it with '
                            'scripts/install_horovod.sh')

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


class KVStore(Local):
    """One worker of many that sum their gradients on parameter servers of MXNet.

    They are started by scripts/launch.py; ``kind`` is 'dist_sync' or 'dist_device_sync'.
    """

    def __init__(self, devices, kind='dist_sync'):
        if os.environ.get('DMLC_ROLE') != 'worker':
            raise DataError(f'--kvstore {kind} needs a scheduler and servers: start the program '
                            'with scripts/launch.py -n WORKERS -s SERVERS')
        self.devices, self._store, self._known = devices, mx.kv.create(kind), set()
        self.rank, self.size = self._store.rank, self._store.num_workers

    def _known_as(self, key, value):
        """``key``, for which all servers have a place now; it holds worker 0's ``value``."""
        if key not in self._known:
            self._store.init(key, value)
            self._known.add(key)
        return key

    def sum(self, values):
        values = np.asarray(values, np.float64)
        # a key for each size: evaluation sums other numbers than the training step
        key = self._known_as(_VALUES + values.size, mx.nd.zeros(values.size, dtype=np.float64))
        total = mx.nd.array(values.reshape(-1), dtype=np.float64)
        self._store.push(key, total)
        self._store.pull(key, total)
        return total.asnumpy().reshape(values.shape)

    def broadcast(self, parameters):
        for key, parameter in enumerate(parameters):
            self._store.pull(self._known_as(key, parameter.list_data()[0]), parameter.list_data())
        mx.nd.waitall()

    def close(self):
        mx.nd.waitall()
        self._store = None      # its end waits for the others; at the interpreter's it aborts


def create(name, devices):
    """The communicator of this name: 'local', 'horovod', 'dist_sync' or 'dist_device_sync'."""
    if name == 'horovod':
        return Horovod(devices)
    if name.startswith('dist'):
        return KVStore(devices, name)
    workers = int(os.environ.get('OMPI_COMM_WORLD_SIZE') or os.environ.get('HOROVOD_SIZE') or 1)
    if workers > 1:
        raise DataError(f'{workers} processes were started, and each would train a model of its '
                        'own; add --comm horovod, or take run_pretraining_hvd.py')
    return Local(devices)
