"""Start-up of a program (devices, precision, workers, logging) and its orderly interruption."""
import contextlib
import logging
import os
import signal
import sys
import threading
from typing import Callable, List, NamedTuple, Optional

import mxnet as mx

from ..utils.errors import DataError, install
from ..utils.signals import stop_signals
from . import distributed, precision
from .settings import DeviceSettings

__all__ = ['Runtime', 'join', 'start', 'devices', 'Interrupt']


class Runtime(NamedTuple):
    """What a program runs on."""
    comm: distributed.Local
    layout: str             # of batches: 'packed' or 'padded'
    dtype: str


def join(settings: DeviceSettings) -> distributed.Local:
    """Set up logging and devices; this process as a worker of the job, of whom only the first logs.

    Raises :class:`~bert.utils.errors.DataError` if this machine does not have the devices.
    """
    logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stderr)
    comm = distributed.create(settings.comm, devices(settings))
    if comm.rank:
        logging.getLogger().setLevel(logging.ERROR)
    return comm


def start(settings: DeviceSettings) -> Runtime:
    """Set up logging, devices, workers and precision.

    Raises :class:`~bert.utils.errors.DataError` if this machine does not support the settings.
    """
    comm = join(settings)
    dtype, layout = precision.use(settings.dtype, comm.devices, settings.layout,
                                  settings.fixed_length, comm)
    return Runtime(comm, layout, dtype)


def devices(settings: DeviceSettings) -> List[mx.Context]:
    """The MXNet contexts that ``--gpu``, ``--gpus`` or ``--cpus`` name."""
    gpu, gpus = settings.gpu, settings.gpus
    if gpu is None and gpus is None:
        return [mx.cpu(i) for i in range(settings.cpus)]
    flag = f'--gpu {gpu}' if gpus is None else f'--gpus {gpus}'
    try:
        ids = [gpu] if gpus is None else [int(i) for i in gpus.split(',')]
    except ValueError:
        raise DataError(f'{flag}: not a list of numbers such as 0,1') from None
    if not mx.runtime.Features().is_enabled('CUDA'):
        raise DataError(f'{flag}: this MXNet {mx.__version__} has no CUDA; omit the flag to run on '
                        'the CPU, or replace mxnet with the build for your CUDA: pip uninstall '
                        f"mxnet, then {install('cu112')}")
    if len(set(ids)) < len(ids) or not set(ids) <= set(range(mx.context.num_gpus())):
        raise DataError(f'{flag}: this machine has {mx.context.num_gpus()} GPUs, numbered from 0; '
                        'name each once, or omit the flag to run on the CPU')
    return [mx.gpu(i) for i in ids]


class Interrupt:
    """While the block runs, Ctrl-C, SIGTERM and SIGHUP set ``signal`` but do not end the process.

    SIGHUP comes from a terminal that is closed; if it is ignored, as with nohup, it stays so.  The
    loop checks ``requested``, saves and exits.  A second Ctrl-C or SIGTERM ends the process at
    once.

    Parameters
    ----------
    message : callable, optional
        Returns a line to print immediately, from a thread: the loop may be waiting for a worker
        that is gone, and never reach its check.
    """

    def __init__(self, message: Optional[Callable[[], str]] = None):
        self.signal, self._message, self._pipe = None, message, None

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived."""
        return self.signal is not None

    def _note(self, number):
        if self.requested:
            raise KeyboardInterrupt
        self.signal = number

    def __enter__(self):
        self._handlers = contextlib.ExitStack()
        self._handlers.enter_context(stop_signals(self._note))
        if self._message is not None:
            reader, self._pipe = os.pipe()
            os.set_blocking(self._pipe, False)
            signal.set_wakeup_fd(self._pipe)
            threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
        return self

    def _watch(self, reader):
        number = os.read(reader, 1)     # empty once the block has ended
        if number:
            print(self._message(), file=sys.stderr, flush=True)
        while os.read(reader, 1):       # keep the pipe open for a second signal
            pass
        os.close(reader)

    def __exit__(self, *exc):
        self._handlers.close()
        if self._pipe is not None:
            signal.set_wakeup_fd(-1)
            os.close(self._pipe)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it."""
        return 128 + (self.signal or signal.SIGINT)
