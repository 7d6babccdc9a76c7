"""Start-up of a program (devices, precision, workers, logging) and its orderly interruption."""
import logging
import os
import signal
import sys
import threading
from typing import Callable, List, NamedTuple, Optional

import mxnet as mx

from ..model.forward import choose_layout
from ..utils.errors import DataError
from . import distributed
from .settings import DeviceSettings

__all__ = ['Runtime', 'start', 'devices', 'set_precision', 'has_bfloat16', 'Interrupt']


class Runtime(NamedTuple):
    """What a program runs on."""
    comm: distributed.Local
    layout: str             # of batches: 'packed' or 'padded'
    dtype: str


def start(settings: DeviceSettings) -> Runtime:
    """Set up logging, devices, workers and precision.

    Raises :class:`~bert.utils.errors.DataError` if this machine does not support the settings.
    """
    logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stderr)
    comm = distributed.create(settings.comm, devices(settings))
    if comm.rank:
        logging.getLogger().setLevel(logging.ERROR)
    layout = choose_layout(settings.layout, settings.dtype, comm.devices, settings.fixed_length)
    set_precision(settings.dtype, comm.devices[0], layout, settings.force_dtype)
    return Runtime(comm, layout, settings.dtype)


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
                        'mxnet, then pip install "gluon-bert[cu112]"')
    if len(set(ids)) < len(ids) or not set(ids) <= set(range(mx.context.num_gpus())):
        raise DataError(f'{flag}: this machine has {mx.context.num_gpus()} GPUs, numbered from 0')
    return [mx.gpu(i) for i in ids]


def set_precision(dtype: str, device: mx.Context, layout: str = 'padded',
                  force: bool = False) -> None:
    """Run matrix products in ``dtype``; weights, LayerNorm and softmax stay float32.

    For packed batches the network takes care of it; for padded ones MXNet's mixed precision
    changes operators for the whole process, before a network is built.

    Raises
    ------
    DataError
        If the device does not support ``dtype``; ``force`` allows bfloat16 on any CPU.
    """
    if dtype == 'float32':
        return
    if dtype == 'float16' and device.device_type == 'cpu':
        raise DataError('--dtype float16 needs a GPU (--gpu 0); on a CPU use bfloat16 or float32')
    if dtype == 'bfloat16' and device.device_type != 'cpu':
        raise DataError("--dtype bfloat16: MXNet supports it on the CPU only; on a GPU use float16")
    if dtype == 'bfloat16' and not force and not has_bfloat16():
        raise DataError('--dtype bfloat16: this CPU does not support it (avx512_bf16 or amx_bf16), '
                        'so float32 is faster; --force_dtype uses it anyway')
    if layout == 'packed':
        return
    from mxnet.contrib import amp
    float32 = ['_contrib_interleaved_matmul_selfatt_qk',
               '_contrib_interleaved_matmul_selfatt_valatt'] if dtype == 'bfloat16' else []
    amp.init(target_dtype=dtype, fp32_ops=float32 + ['Dropout', 'LayerNorm', 'LeakyReLU'])


def has_bfloat16() -> bool:
    """Whether this machine's CPU multiplies bfloat16, according to Linux."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            flags = next((line for line in f if line.startswith('flags')), '').split()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags


class Interrupt:
    """While the block runs, Ctrl-C and SIGTERM set ``signal`` instead of ending the process.

    The loop checks ``requested``, saves and exits.  A second Ctrl-C ends the process at once.

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

    def _note(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.signal = number

    def __enter__(self):
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
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
        os.close(reader)

    def __exit__(self, *exc):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._pipe is not None:
            signal.set_wakeup_fd(-1)
            os.close(self._pipe)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it."""
        return 128 + (self.signal or signal.SIGINT)
