"""Build the operator library with the machine's C++ compiler, and keep it in the user's cache.

A library belongs to the machine that built it: its name holds a hash of the sources, the CPU and
MXNet's version, and one of CXX.  One that was built before needs no compiler, and no disk that can
be written.
"""
import contextlib
import errno
import hashlib
import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from ...utils import processors
from ...utils.files import cache_folder
from ...utils.locks import locked

__all__ = ['Unavailable', 'library', 'register']

_log = logging.getLogger(__name__)

HERE = os.path.dirname(os.path.abspath(__file__))
# The last one, and -fno-gnu-unique below, keep our C++ apart from that of other libraries in the
# process: beside Horovod it crashed without them.
FLAGS = ['-O3', '-march=native', '-fno-math-errno', '-fno-trapping-math', '-fopenmp', '-shared',
         '-fPIC', '-std=c++17', '-Wl,-Bsymbolic']
TIMEOUT = 600       # seconds for a build
_ABANDONED = 3 * TIMEOUT    # seconds until a build that makes no file counts as killed
_DIGEST = 32        # bytes of a SHA-256
_UNUSED = 30 * 24 * 3600    # seconds until a library that is not loaded is removed

# messages of compilers, and the cure
_NO_ROOM = re.compile('Resource temporarily unavailable|[Cc]annot allocate memory|'
                      '[Oo]ut of memory|Killed')
_RAISE = ('raise the limits on processes (ulimit -u) and memory (ulimit -v), or run fewer '
          'programs at once')

# MXNet's lib_api.cc rejects the type bfloat16, number 12, though it needs nothing of it.
_REJECTS = '  default:\n    dltensor.dtype.code = 0;\n    dltensor.dtype.bits = 0;\n    throw '
_ACCEPTS = ('  case 12:\n    dltensor.dtype.code = 4;\n    dltensor.dtype.bits = 16;\n    break;\n'
            + _REJECTS)


class Unavailable(Exception):
    """Why the operators are unavailable, and what to do, in one line."""


def library() -> str:
    """The path of the built library, built now if necessary; Unavailable if it cannot be.

    With CXX it is the one of that compiler, else any.
    """
    if os.environ.get('BERT_OPS') == '0':
        raise Unavailable('BERT_OPS=0 asks for them')
    if sys.platform != 'linux' or platform.machine() not in ('x86_64', 'AMD64'):
        raise Unavailable(f'the fast ones need Linux on x86-64, but this is {platform.system()} on '
                          f'{platform.machine()}')
    mxnet = _mxnet_folder()
    sources = {name: _read(os.path.join(HERE, name)) for name in sorted(os.listdir(HERE))
               if name.endswith(('.h', '.cc'))}
    api = {name: _read(os.path.join(mxnet, name))
           for name in ('include/mxnet/lib_api.h', 'src/lib_api.cc')}
    start = f'operators-{_hash(repr([sources, api, FLAGS, _cpu()]), 32)}-'
    name = f"{start}{_hash(os.environ.get('CXX') or '', 8)}.so"
    try:
        folder = cache_folder()
        path = _built(folder, name, start)
        if path is None:
            command = _compiler()
            with locked(os.path.join(folder, 'operators')):     # one builds, the others wait
                path = _built(folder, name, start)
                if path is None:
                    path = os.path.join(folder, name)
                    _build(command, api['src/lib_api.cc'], mxnet, path)
    except OSError as error:
        raise Unavailable(f"{error.filename or 'the cache'}: {error.strerror or error}; set "
                          "XDG_CACHE_HOME to a folder that can be written") from None
    return path


def _hash(text, length):
    return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:length]


def _built(folder, name, start):
    """The path of the whole library ``name`` or, without CXX, of one whose name begins with
    ``start``; or None.  Sweeps the folder."""
    names = [name] if os.environ.get('CXX') else [name] + sorted(
        other for other in os.listdir(folder) if other.startswith(start) and other != name)
    for name in names:
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):      # a disk that cannot be written
            os.utime(path)      # in use: see _sweep
        if _is_whole(path):
            break
    else:
        name, path = names[0], None
    _sweep(folder, name)
    return path


def register(path: str) -> None:
    """Load the library into MXNet."""
    import mxnet as mx
    # A library of clang's brings its own OpenMP, whose idle threads would spin beside MXNet's.
    os.environ.setdefault('KMP_BLOCKTIME', '0')
    try:
        mx.library.load(path, verbose=False)
    except mx.MXNetError as error:
        cure = 'remove it to have it built again'
        if os.statvfs(path).f_flag & os.ST_NOEXEC:
            cure = 'its disk is mounted noexec: set XDG_CACHE_HOME to a folder on another'
        raise Unavailable(f'{path} does not load ({str(error).strip().splitlines()[-1]}); {cure}'
                          ) from None
    except UnicodeEncodeError:
        raise Unavailable(f'{path}: MXNet loads only from names in UTF-8; set XDG_CACHE_HOME to a '
                          'folder that has one') from None


def _compiler():
    """The command of the compiler, with its flags."""
    if os.environ.get('CXX'):
        try:
            command = shlex.split(os.environ['CXX'])
        except ValueError as error:
            raise Unavailable(f'CXX={os.environ["CXX"]} is not a command ({error}); set CXX to a '
                              'C++ compiler such as g++') from None
    else:
        command = [c for c in ('g++', 'clang++') if shutil.which(c)][:1]
    if not command:
        raise Unavailable('there is no C++ compiler; install g++ (apt-get install g++) or set CXX')
    try:
        done = _call(command + ['--version'], 60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the compiler {command[0]} does not run "
                          f"({getattr(error, 'strerror', error)}); install g++ or set "
                          "CXX") from None
    if done.returncode:
        raise Unavailable(f'the compiler {command[0]} does not run '
                          f'({_first_error(done.stdout + done.stderr)}); install g++ or set CXX')
    return command + FLAGS + ([] if 'clang' in done.stdout else ['-fno-gnu-unique'])


def _mxnet_folder():
    """MXNet's own, without importing it: it holds the headers."""
    import mxnet as mx
    return os.path.dirname(os.path.abspath(mx.__file__))


def _read(path):
    try:
        with open(path, encoding='utf-8') as f:
            return f.read()
    except OSError as error:
        raise Unavailable(f'{path}: {error.strerror}; reinstall MXNet 1.9.1 and '
                          'this package') from None


def _cpu():
    """The CPU's model and abilities, which -march=native compiles for."""
    return sorted(field for field in processors.describe().items() if field[0].startswith(
        ('model', 'vendor_id', 'cpu family', 'flags'))) or platform.processor()


def _build(command, api, mxnet, path):
    """Compile into a temporary folder, then put the library in its place."""
    if api.count(_REJECTS) != 1:
        raise Unavailable("this MXNet's lib_api.cc is not that of 1.9; install mxnet 1.9.1")
    _log.info('building the fast operators with %s; this is done once', command[0])
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path), prefix='build-') as folder:
        patched, built = os.path.join(folder, 'lib_api.cc'), os.path.join(folder, 'operators.so')
        with open(patched, 'w', encoding='utf-8') as f:
            f.write(api.replace(_REJECTS, _ACCEPTS))
        sources = [patched] + [os.path.join(HERE, name) for name in sorted(os.listdir(HERE))
                               if name.endswith('.cc')]
        objects = [os.path.join(folder, os.path.basename(name) + '.o') for name in sources]
        compiles = [command + ['-w', '-I', os.path.join(mxnet, 'include'), '-c', name, '-o', made]
                    for name, made in zip(sources, objects)]
        try:
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                list(pool.map(_run, compiles))
        except RuntimeError as error:       # no thread could be started
            raise Unavailable(f'they could not be built ({error}); {_RAISE}') from None
        _run(command + objects + ['-o', built])
        _seal(built)
        os.replace(built, path)


def _seal(path):
    """Append the SHA-256 of a library, which its loader ignores, and sync it to the disk."""
    with open(path, 'rb+') as f:
        f.write(hashlib.sha256(f.read()).digest())
        f.flush()
        os.fsync(f.fileno())


def _is_whole(path):
    """Whether there is a library that ends in the SHA-256 of what comes before."""
    try:
        with open(path, 'rb') as f:
            content = f.read()
    except FileNotFoundError:
        return False
    return hashlib.sha256(content[:-_DIGEST]).digest() == content[-_DIGEST:]


def _sweep(folder, current):
    """Remove what killed builds left, and libraries that were not loaded for a month.

    Other processes may be building, and sweeping, at the same time.
    """
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):
            age = time.time() - entry.stat().st_mtime
            if entry.name.startswith('build-') and age > _ABANDONED:
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name.startswith('operators-') and entry.name != current and age > _UNUSED:
                os.remove(entry.path)


def _call(command, seconds):
    try:
        return subprocess.run(command, capture_output=True, encoding='utf-8', errors='replace',
                              timeout=seconds)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOMEM):
            raise Unavailable(f'no process could be started for the compiler {command[0]} '
                              f'({error.strerror}); {_RAISE}') from None
        raise


def _run(command):
    try:
        done = _call(command, TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Unavailable(f'{command[0]} took over {TIMEOUT} s to build them') from None
    if done.returncode:
        reason = _first_error(done.stderr)
        cure = _RAISE if _NO_ROOM.search(reason) else 'install another g++ or set CXX'
        raise Unavailable(f'{command[0]} could not build them ({reason}); {cure}')


def _first_error(output):
    """The line of a compiler's output that states what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if 'error' in line), lines[0] if lines else 'no message')
