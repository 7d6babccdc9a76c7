"""The precision of matrix products, and a measurement of which is the fastest on this CPU."""
import contextlib
import logging
import os
import time
import zlib
from typing import NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..model import ops
from ..model.forward import choose_layout
from ..utils import files, processors
from ..utils.errors import DataError
from .distributed import Local, gather

__all__ = ['Speeds', 'choose', 'decide', 'measure', 'set_precision', 'speeds', 'use']

_log = logging.getLogger(__name__)

_BFLOAT16 = np.dtype([('bfloat16', np.uint16)])     # MXNet's name for it
_SIDE, _REPEATS = 1024, 5
# each begins with what all machines can do
_DTYPES, _LAYOUTS = ('float32', 'bfloat16', 'float16', 'int8'), ('padded', 'packed')


class Speeds(NamedTuple):
    """GFLOP/s of matrix products on this CPU; None for a type that it does not support."""
    float32: float
    bfloat16: Optional[float]
    int8: Optional[float] = None

    @property
    def gains(self) -> bool:
        """Whether bfloat16 is faster than float32."""
        return bool(self.bfloat16) and self.bfloat16 > self.float32


def measure() -> Speeds:
    """Time products of 1024 x 1024 matrices in all types: the best of five runs each.

    int8 includes the quantization of activations.
    """
    x = mx.nd.array(np.random.default_rng(0).standard_normal((_SIDE, _SIDE)))
    float32, bfloat16, int8 = _speed(_product, x, x), None, None
    flags = processors.describe().get('flags')  # without AVX-512 MXNet logs and raises an error
    if flags is None or 'avx512bw' in flags.split():
        # oneDNN may still fail with "could not create a primitive descriptor"
        with contextlib.suppress(mx.MXNetError):
            low = mx.nd.amp_cast(x, dtype=_BFLOAT16)
            bfloat16 = _speed(_product, low, low)
    if ops.load():
        int8 = _speed(mx.nd.bert_dense_int8, x, *mx.nd.bert_int8(x), mx.nd.zeros(_SIDE))
    return Speeds(float32, bfloat16, int8)


def _product(x, weight):
    return mx.nd.FullyConnected(x, weight, no_bias=True, num_hidden=_SIDE)


def _speed(product, *arrays):
    """GFLOP/s of ``product(*arrays)``, whose matrices are (_SIDE, _SIDE)."""
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        product(*arrays).wait_to_read()
        seconds.append(time.perf_counter() - start)
    return 2 * _SIDE ** 3 / min(seconds) / 1e9


def speeds() -> Speeds:
    """The result of :func:`measure`, kept in the cache folder.

    It is measured once for each CPU, by model and abilities, number of threads, version of MXNet
    and build of our operators.
    """
    ops.load()
    key, path, known = f'{_cpu()}, MXNet {mx.__version__}, {ops.name()}', None, {}
    try:
        path = os.path.join(files.cache_folder(), 'speeds.json')
        with open(path, encoding='utf-8') as f:
            known = files.parse_json(f.read())
        return Speeds(*known[key])
    except (OSError, ValueError, KeyError, TypeError):
        found = measure()
    if path and isinstance(known, dict) and found.int8:     # None if built operators are missing
        with contextlib.suppress(DataError):        # a full disk: the next run measures again
            files.write_json(path, dict(known, **{key: found}))
    return found


def _cpu():
    """The model of this CPU, its abilities and the number of threads, for a key.

    Virtual machines of one model ("AMD EPYC") differ in their abilities.
    """
    threads = os.environ.get('OMP_NUM_THREADS') or os.cpu_count()
    cpu = processors.describe()
    abilities = zlib.crc32(cpu.get('flags', '').encode())
    return f"{cpu.get('model name') or 'CPU'} ({abilities:08x}) x {threads}"


def choose(dtype: str, device: mx.Context) -> str:
    """``dtype``, or for 'auto' float16 on a GPU and the faster of float32 and bfloat16 on a CPU."""
    if dtype != 'auto':
        return dtype
    if device.device_type != 'cpu':
        return 'float16'
    found = speeds()
    dtype = 'bfloat16' if found.gains else 'float32'
    _log.info('--dtype auto: %s (%s)', dtype, _shown(found, 'bfloat16'))
    return dtype


def decide(dtype: str, devices: Sequence[mx.Context], layout: str = 'auto',
           fixed_length: bool = False, comm: Optional[Local] = None) -> Tuple[str, str]:
    """The dtype and the layout of batches to use, from flags.

    See :func:`choose` and :func:`bert.model.forward.choose_layout`.  All workers of ``comm`` call
    it together: if they would differ, all use float32 or padded batches, and worker 0 logs why.
    """
    for flag, value, values in (('--dtype', dtype, ('auto', *_DTYPES)),
                                ('--path', layout, ('auto', *_LAYOUTS))):
        if value not in values:     # a program's parser refuses them before
            raise DataError(f"{flag} {value}: choose one of {', '.join(values)}")
    dtype = _common(comm, '--dtype', choose(dtype, devices[0]), _DTYPES,
                    'choose another one with --dtype')
    layout = _common(comm, '--path', choose_layout(layout, dtype, devices, fixed_length), _LAYOUTS,
                     'with --path packed the workers named first say what they lack')
    return dtype, layout


def use(dtype: str, devices: Sequence[mx.Context], layout: str = 'auto',
        fixed_length: bool = False, comm: Optional[Local] = None) -> Tuple[str, str]:
    """:func:`decide` and, for the whole process, :func:`set_precision`."""
    dtype, layout = decide(dtype, devices, layout, fixed_length, comm)
    set_precision(dtype, devices[0], layout)
    return dtype, layout


def _common(comm, flag, value, values, cure):
    """``value`` if all workers have it; else the first of ``values``, with a warning."""
    found = [values.index(value)] if comm is None else gather(comm, values.index(value))
    if len(set(found)) == 1:
        return value
    shown = '; '.join(f"{values[i]}: {comm.names(r for r, j in enumerate(found) if i == j)}"
                      for i in sorted(set(found)))
    _log.warning('%s: the workers differ (%s), so all use %s; %s', flag, shown, values[0], cure)
    return values[0]


def _shown(found, dtype):
    speed = getattr(found, dtype)
    other = f'no {dtype}' if speed is None else f'{dtype} {speed:.0f}'
    return f'{other}, float32 {found.float32:.0f} GFLOP/s'


def set_precision(dtype: str, device: mx.Context, layout: str = 'padded') -> None:
    """Run matrix products in ``dtype``; weights, sums and LayerNorm stay float32.

    Packed networks convert arrays themselves.  For padded batches MXNet's mixed precision changes
    the operators of the whole process, so call this before a network is built.  The measured speed
    of bfloat16 or int8 is logged, as a warning if float32 is faster.

    Raises :class:`~bert.utils.errors.DataError` if the device does not support ``dtype``.
    """
    if dtype == 'float32':
        return
    if dtype == 'float16' and device.device_type == 'cpu':
        raise DataError('--dtype float16 needs a GPU (--gpu 0); on a CPU use bfloat16 or float32')
    if dtype == 'bfloat16' and device.device_type != 'cpu':
        raise DataError('--dtype bfloat16: MXNet supports it on the CPU only; on a GPU use float16')
    if device.device_type == 'cpu':
        found = speeds()
        if dtype == 'bfloat16' and found.bfloat16 is None:
            raise DataError('--dtype bfloat16: MXNet has no bfloat16 products for this CPU, which '
                            'need AVX-512; use float32')
        if (getattr(found, dtype) or 0) > found.float32:
            _log.info('matrix products: %s', _shown(found, dtype))
        else:
            _log.warning('--dtype %s: float32 is faster on this CPU (%s)', dtype,
                         _shown(found, dtype))
    if layout == 'packed':      # int8 always is
        return
    from mxnet.contrib import amp
    if dtype == 'float16':      # dropout between softmax and product would make that float32, too
        os.environ.setdefault('MXNET_SAFE_ACCUMULATION', '1')   # softmax sums in float32
        float32 = ['_power_scalar']                             # of the tanh GELU: overflows
    else:
        float32 = ['Dropout', '_contrib_interleaved_matmul_selfatt_qk',
                   '_contrib_interleaved_matmul_selfatt_valatt']
    amp.init(target_dtype=dtype, fp32_ops=float32 + ['LayerNorm', 'LeakyReLU'])
