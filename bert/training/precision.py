"""Which precision matrix products take, and which is faster here: that is measured."""
import contextlib
import logging
import os
import re
import time
from typing import NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..model.forward import choose_layout
from ..utils import files
from ..utils.errors import DataError

__all__ = ['Speeds', 'choose', 'measure', 'prepare', 'set_precision', 'speeds']

_BFLOAT16 = np.dtype([('bfloat16', np.uint16)])     # MXNet's name for it
_SIDE, _REPEATS = 1024, 5


class Speeds(NamedTuple):
    """GFLOP/s of matrix products on this CPU; bfloat16 is None where MXNet has none for it."""
    float32: float
    bfloat16: Optional[float]

    @property
    def gains(self) -> bool:
        """Whether bfloat16 is the faster of the two."""
        return bool(self.bfloat16) and self.bfloat16 > self.float32


def measure() -> Speeds:
    """Time products of 1024 x 1024 matrices in both types, the best of five (milliseconds)."""
    x = mx.nd.array(np.random.default_rng(0).standard_normal((_SIDE, _SIDE)))
    float32, bfloat16 = _speed(x), None
    flags = _cpuinfo('flags')       # without AVX-512 MXNet logs an error and raises one
    if flags is None or 'avx512bw' in flags.split():
        # oneDNN may still fail with "could not create a primitive descriptor"
        with contextlib.suppress(mx.MXNetError):
            bfloat16 = _speed(mx.nd.amp_cast(x, dtype=_BFLOAT16))
    return Speeds(float32, bfloat16)


def _speed(x):
    """GFLOP/s of ``x`` times itself."""
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        mx.nd.FullyConnected(x, x, no_bias=True, num_hidden=_SIDE).wait_to_read()
        seconds.append(time.perf_counter() - start)
    return 2 * _SIDE ** 3 / min(seconds) / 1e9


def _cpuinfo(field):
    """What Linux says in a field about this CPU; None where it does not, as on other systems."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            found = re.search(rf'^{field}\s*:\s*(.*)$', f.read(), re.M)
    except OSError:
        return None
    return found and found.group(1)


def speeds() -> Speeds:
    """:func:`measure`, once for each CPU and MXNet: the result is kept in the cache folder."""
    key, path, known = f'{_cpu()}, MXNet {mx.__version__}', None, {}
    try:
        path = os.path.join(files.cache_folder(), 'bfloat16.json')
        with open(path, encoding='utf-8') as f:
            known = files.parse_json(f.read())
        return Speeds(*known[key])
    except (OSError, ValueError, KeyError, TypeError):
        found = measure()
    if path and isinstance(known, dict):
        files.write_json(path, dict(known, **{key: found}))
    return found


def _cpu():
    """The model of this CPU and the number of those that products use."""
    threads = os.environ.get('OMP_NUM_THREADS') or os.cpu_count()
    return f"{_cpuinfo('model name') or 'CPU'} x {threads}"


def choose(dtype: str, device: mx.Context) -> str:
    """``dtype``, or for 'auto' float16 on a GPU and the faster of float32 and bfloat16 on a CPU."""
    if dtype != 'auto':
        return dtype
    if device.device_type != 'cpu':
        return 'float16'
    found = speeds()
    dtype = 'bfloat16' if found.gains else 'float32'
    logging.info('--dtype auto: %s (%s)', dtype, _shown(found))
    return dtype


def prepare(dtype: str, devices: Sequence[mx.Context], layout: str = 'auto', force: bool = False,
            fixed_length: bool = False) -> Tuple[str, str]:
    """The dtype and the layout of batches to use, from flags; sets the precision.

    See :func:`choose`, :func:`bert.model.forward.choose_layout` and :func:`set_precision`.
    """
    dtype = choose(dtype, devices[0])
    layout = choose_layout(layout, dtype, devices, fixed_length)
    set_precision(dtype, devices[0], layout, force)
    return dtype, layout


def _shown(found):
    bfloat16 = 'no bfloat16' if found.bfloat16 is None else f'bfloat16 {found.bfloat16:.0f}'
    return f'{bfloat16}, float32 {found.float32:.0f} GFLOP/s'


def set_precision(dtype: str, device: mx.Context, layout: str = 'padded',
                  force: bool = False) -> None:
    """Run matrix products in ``dtype``; weights, LayerNorm and softmax stay float32.

    For packed batches the network takes care of it; for padded ones MXNet's mixed precision
    changes operators for the whole process, before a network is built.

    Raises
    ------
    DataError
        If the device does not support ``dtype``, or bfloat16 is slower there than float32, which
        ``force`` allows.
    """
    if dtype in ('float32', 'int8'):        # for int8, which needs packed batches, see forward
        return
    if dtype == 'float16' and device.device_type == 'cpu':
        raise DataError('--dtype float16 needs a GPU (--gpu 0); on a CPU use bfloat16 or float32')
    if dtype == 'bfloat16' and device.device_type != 'cpu':
        raise DataError('--dtype bfloat16: MXNet supports it on the CPU only; on a GPU use float16')
    if dtype == 'bfloat16':
        found = speeds()
        if found.bfloat16 is None:
            raise DataError('--dtype bfloat16: MXNet has no bfloat16 products for this CPU, which '
                            'need AVX-512; use float32')
        if not found.gains and not force:
            raise DataError('--dtype bfloat16: slower than float32 on this CPU '
                            f'({_shown(found)}); --force_dtype uses it anyway')
        logging.info('matrix products: %s', _shown(found))
    if layout == 'packed':
        return
    from mxnet.contrib import amp
    float32 = ['_contrib_interleaved_matmul_selfatt_qk',
               '_contrib_interleaved_matmul_selfatt_valatt'] if dtype == 'bfloat16' else []
    amp.init(target_dtype=dtype, fp32_ops=float32 + ['Dropout', 'LayerNorm', 'LeakyReLU'])
