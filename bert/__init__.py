"""The shared package of gluon-bert: models, tokenizers, data and the training step.

Importing it only prepares the import of MXNet 1.9, so ``import bert`` must come before
``import mxnet``:

- numpy gets back the aliases (``np.bool``, ...) that MXNet uses and numpy 1.24 removed.
- ``OMP_NUM_THREADS``, unless set, becomes this process's share of the cores that it may use.
  MXNet's own default is half the processors, which assumes two threads per core and leaves half
  of a virtual machine idle.
- ``MXNET_MKLDNN_CACHE_NUM``, unless set, becomes 16.  Otherwise MXNet would keep every primitive
  that it has prepared, with its scratch memory, for every size that an operator has ever had.
- MXNet does without scikit-learn and ``scipy.stats``, which it needs only for its scikit-learn
  interface and for the entropy mode of its quantization; they take half a second and 60 MB.
  Whoever needs these imports both packages before MXNet.  Scores import them when needed.
- Where numpy or MXNet cannot start, because the address space (``ulimit -v``) or the number of
  threads (``ulimit -u``) is limited, the program exits with one line; they would crash or hang.
- glibc keeps memory that was freed, in one arena, unless a ``MALLOC_`` variable or
  ``GLIBC_TUNABLES`` is set.  Otherwise each training step would give tens of megabytes back to the
  kernel and take them again, page by page.
- On GPUs, ``MXNET_GPU_MEM_POOL_TYPE`` and ``MXNET_GPU_PARALLEL_RAND_COPY``, unless set, become
  ``Round`` and 1.
"""
import contextlib
import ctypes
import importlib.abc
import os
import sys
import threading

from .utils.processors import share

__version__ = '0.2.0.dev0'

# MB of address space for a program to start, and for each further OpenBLAS thread; a tiny run
# needed 98 + 40 with numpy alone, and 703 + 235 with MXNet and its threads
_NEEDS = {'numpy': (120, 50), 'mxnet': (750, 240)}


def _refuse(reason):
    sys.exit(f'{os.path.basename(sys.argv[0])}: error: {reason}')


def _check_memory(package):
    """Exit with a one-line message if the address space is too small to import ``package``."""
    try:
        import resource
        processors = len(os.sched_getaffinity(0))
    except (ImportError, AttributeError):       # not on this system
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    base, per_thread = _NEEDS[package]
    threads = os.environ.get('OPENBLAS_NUM_THREADS') or os.environ.get('OMP_NUM_THREADS') or ''
    more = min(int(threads) if threads.isdigit() else processors, processors) - 1
    need = base + per_thread * max(0, more)
    if limit != resource.RLIM_INFINITY and limit >> 20 < need:
        name = 'MXNet' if package == 'mxnet' else package
        _refuse(f'the limit on memory, ulimit -v, is {limit >> 20} MB, but {name} needs {need} MB '
                'to start; raise it, for example by: ulimit -v unlimited')


def _check_threads(count=16):
    """Exit with a one-line message if ``count`` threads, about what MXNet needs, cannot start."""
    end, started = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        _refuse(f'no more than {len(started)} threads could be started, but MXNet needs more; '
                'raise the limit on processes (ulimit -u) or on memory (ulimit -v)')
    finally:
        end.set()
        for thread in started:
            thread.join()


class _Hook(importlib.abc.MetaPathFinder):
    """Runs the checks before numpy or MXNet is loaded, and keeps MXNet from large imports."""

    def find_spec(self, name, path, target=None):
        if name in _NEEDS:
            _check_memory(name)
        if name == 'mxnet':
            _check_threads()
        if name in ('sklearn', 'scipy.stats') and _is_loading('mxnet'):
            raise ModuleNotFoundError(f'MXNet does without {name} here', name=name)


def _is_loading(package):
    spec = getattr(sys.modules.get(package), '__spec__', None)
    return getattr(spec, '_initializing', False)


sys.meta_path.insert(0, _Hook())

import numpy  # noqa: E402

for _name, _type in {'bool': bool, 'int': int, 'float': float, 'complex': complex,
                     'object': object, 'str': str}.items():
    if _name not in numpy.__dict__:     # hasattr would warn on numpy 1.20 to 1.23
        setattr(numpy, _name, _type)


def _keep_freed_memory():
    """Let glibc keep freed memory (mallopt(3)); call it before threads get arenas of their own."""
    if any(name.startswith('MALLOC_') or name == 'GLIBC_TUNABLES' for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError):      # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 1)              # M_ARENA_MAX
        mallopt(-4, 0)              # M_MMAP_MAX: no mapping of its own for a large array
        mallopt(-1, 2 ** 31 - 1)    # M_TRIM_THRESHOLD


_keep_freed_memory()
os.environ.setdefault('OMP_NUM_THREADS', str(share()))
os.environ.setdefault('MXNET_MKLDNN_CACHE_NUM', '16')
# on GPUs: memory is reused for arrays of similar sizes, and one generator draws all of dropout
os.environ.setdefault('MXNET_GPU_MEM_POOL_TYPE', 'Round')
os.environ.setdefault('MXNET_GPU_PARALLEL_RAND_COPY', '1')
