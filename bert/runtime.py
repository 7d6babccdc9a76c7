"""Start-up of a program: devices, precision, communicator, logging; and an orderly stop."""
import logging
import signal
import sys

import mxnet as mx

from . import communicator
from .errors import DataError

__all__ = ['start', 'devices', 'Interrupt']


def start(args):
    """Set up logging and precision; return the communicator that ``args`` asks for.

    ``args`` has the flags of :func:`bert.options.add_runtime_flags`.
    """
    logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stderr)
    comm = communicator.create(args.comm, devices(args))
    if comm.rank:
        logging.getLogger().setLevel(logging.ERROR)
    set_precision(args.dtype, comm.devices[0])
    return comm


def devices(args):
    """The MXNet contexts that ``--gpu``, ``--gpus`` or ``--cpus`` name."""
    if args.gpu is None and args.gpus is None:
        return [mx.cpu(i) for i in range(args.cpus)]
    flag = '--gpu %s' % args.gpu if args.gpus is None else '--gpus %s' % args.gpus
    try:
        ids = [args.gpu] if args.gpus is None else [int(i) for i in args.gpus.split(',')]
    except ValueError:
        raise DataError('%s: not a list of numbers such as 0,1' % flag) from None
    if not mx.runtime.Features().is_enabled('CUDA'):
        raise DataError('%s: this MXNet %s has no CUDA; leave the flag out to run on the CPU, or '
                        'replace mxnet by the build for your CUDA: pip uninstall mxnet, then '
                        'pip install "gluon-bert[cu112]"' % (flag, mx.__version__))
    if len(set(ids)) < len(ids) or not set(ids) <= set(range(mx.context.num_gpus())):
        raise DataError('%s: this machine has %d GPUs, numbered from 0'
                        % (flag, mx.context.num_gpus()))
    return [mx.gpu(i) for i in ids]


def set_precision(dtype, device):
    """Let matrix products run in ``dtype``; weights, LayerNorm and softmax stay float32.

    MXNet's mixed precision changes operators for the whole process, before a network is built.
    """
    if dtype == 'float32':
        return
    if dtype == 'float16' and device.device_type == 'cpu':
        raise DataError('--dtype float16 needs a GPU (--gpu 0); on a CPU take bfloat16 or float32')
    if dtype == 'bfloat16' and device.device_type != 'cpu':
        raise DataError("--dtype bfloat16 is MXNet's on the CPU only; on a GPU take float16")
    from mxnet.contrib import amp
    float32 = ['_contrib_interleaved_matmul_selfatt_qk',
               '_contrib_interleaved_matmul_selfatt_valatt'] if dtype == 'bfloat16' else []
    amp.init(target_dtype=dtype, fp32_ops=float32 + ['Dropout', 'LayerNorm', 'LeakyReLU'])


class Interrupt:
    """While the block runs, Ctrl-C and SIGTERM set ``signal`` instead of ending the process.

    The loop looks at ``requested``, saves and leaves.  A second Ctrl-C ends it at once.
    """

    def __init__(self):
        self.signal = None

    @property
    def requested(self):
        return self.signal is not None

    def _note(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.signal = number

    def __enter__(self):
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exc):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self):
        """128 + the signal's number, as shells report it."""
        return 128 + (self.signal or signal.SIGINT)
