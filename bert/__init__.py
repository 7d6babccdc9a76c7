"""The shared package of gluon-bert: models, tokenizers, data and the training step.

Importing it only prepares the import of MXNet 1.9, so ``import bert`` must come before
``import mxnet``:

- numpy gets back the aliases (``np.bool``, ...) that MXNet uses and numpy 1.24 removed.
- ``OMP_NUM_THREADS``, unless set, becomes this process's share of the machine's cores.
  MXNet's own default is half the processors, which assumes two threads per core and leaves half
  of a virtual machine idle.
- ``MXNET_MKLDNN_CACHE_NUM``, unless set, becomes 100.  Otherwise MXNet would keep every primitive
  that it has prepared, with its scratch memory, for every size that an operator has ever had.
- glibc keeps memory that was freed, in one arena, unless a ``MALLOC_`` variable or
  ``GLIBC_TUNABLES`` is set.  Otherwise each training step would give tens of megabytes back to the
  kernel and take them again, page by page.
"""
import contextlib
import ctypes
import os

import numpy

__version__ = '0.1.0'

for _name, _type in {'bool': bool, 'int': int, 'float': float, 'complex': complex,
                     'object': object, 'str': str}.items():
    if _name not in numpy.__dict__:     # hasattr would warn on numpy 1.20 to 1.23
        setattr(numpy, _name, _type)


def _cores(processors):
    """How many cores the processors (a set of numbers) are threads of."""
    cores = set()
    for number in processors:
        path = f'/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list'
        try:
            with open(path, encoding='ascii') as f:
                cores.add(f.read())
        except OSError:                 # unknown: count each processor as a core
            cores.add(number)
    return len(cores)


def _threads():
    """The cores this process may use, or its share where mpirun or horovodrun started several."""
    workers = int(os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE')
                  or os.environ.get('HOROVOD_LOCAL_SIZE') or 1)
    share = _cores(range(os.cpu_count() or 1)) // workers
    return max(1, min(_cores(os.sched_getaffinity(0)), share))


def _keep_freed_memory():
    """Set what mallopt(3) documents; it must be done before threads have arenas of their own."""
    if any(name.startswith('MALLOC_') or name == 'GLIBC_TUNABLES' for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError):      # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 1)              # M_ARENA_MAX
        mallopt(-4, 0)              # M_MMAP_MAX: no mapping of its own for a large array
        mallopt(-1, 2 ** 31 - 1)    # M_TRIM_THRESHOLD


_keep_freed_memory()
os.environ.setdefault('OMP_NUM_THREADS', str(_threads()))
os.environ.setdefault('MXNET_MKLDNN_CACHE_NUM', '100')
