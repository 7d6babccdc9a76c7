"""User-facing errors, and the top-level exception handler of every program."""
import atexit
import contextlib
import errno
import importlib.util
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any, Callable, Optional

from . import processors

__all__ = ['DataError', 'LEAVING', 'brief', 'install', 'require', 'run', 'show']

_PACKAGE = 'gluon-bert'
# an optional module -> the extra that brings it; all others come with the package itself
_EXTRAS = {
    'matplotlib': 'plot', 'onnx': 'onnx', 'onnxruntime': 'onnx',
    'pyarrow': 'hub', 'tensorboardX': 'tensorboard', 'tensorflow': 'tensorflow',
    'tokenizers': 'vocabulary',
}
# messages of MXNet, numpy and the dynamic linker
_NO_MEMORY = re.compile('bad_alloc|[Cc]annot allocate memory|[Uu]nable to allocate|'
                        '[Oo]ut of memory|[Ff]ailed to allocate|'
                        'trying to allocate is larger than')
# messages of MXNet's C++ and of Python
_NO_THREADS = re.compile(r"^(MXNetError: |\[Errno 11\] )?Resource temporarily unavailable|"
                         "can't start new thread")
LEAVING = 30        # seconds that a program may take to exit once its work is done


class DataError(Exception):
    """Bad input or environment: one line that names the file, line, flag or value, and the cure.

    Further arguments are further lines.  Line ends within an argument, which may come from a name
    in a file, become spaces.
    """

    def __str__(self) -> str:
        return '\n'.join(' '.join(str(line).splitlines()) for line in self.args)


def brief(value: Any) -> str:
    """A value from a file, for a message: one line of at most 80 characters."""
    return ' '.join(str(value).split())[:80]


def run(main: Callable[[], Optional[int]]) -> None:
    """Call ``main()`` as a program, and exit: 0, 1 for bad data, 2 for usage (argparse's own), 130
    for Ctrl-C; 0 also where the reader of the output has gone.

    A :class:`DataError`, a missing optional package, an operating-system error and running
    out of memory become one line on standard error; ``BERT_DEBUG=1`` shows the traceback instead.
    After that the process waits for its threads and child processes for at most :data:`LEAVING`
    seconds, and about as long again for C++ destructors, unless it is one worker of several.
    """
    _open_standard_streams()
    code = 1
    try:
        code = main()
        sys.stdout.flush()
    except SystemExit as error:
        code = error.code
    except BrokenPipeError:             # the reader of our output went away: `... | head`
        code = 0
        _discard_output()
    except KeyboardInterrupt:
        code = 130
        _leave_workers(code)
    except Exception as error:
        code = 1
        lack = _lack_of_resources(error)
        line = _explain(error if isinstance(error, DataError) else lack or error)
        if line is None or os.environ.get('BERT_DEBUG'):
            if not processors.is_one_of_several():
                raise
            traceback.print_exc()
        else:
            print(f'{os.path.basename(sys.argv[0])}: error: {line}', file=sys.stderr)
        # before the except clause ends: that frees the KVStore, which waits for other workers
        _leave_workers(code)
        if lack:        # MXNet may wait for threads that it could not start
            _leave(code)
    finally:
        _bound_exit(code if isinstance(code, int) else int(code is not None))
    sys.exit(code)


def show(text: str) -> None:
    """Print a line of a report.

    What follows it, such as files to be written, matters more than its reader: where standard
    output is lost (``... | head``, a closed terminal, a full disk) the program goes on without it.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        _discard_output()
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                print(f'standard output cannot be written ({error.strerror}); going on without it',
                      file=sys.stderr)


def _discard_output():
    """Let standard output go nowhere from now on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bound_exit(code):
    """Kill this process if it has not exited within about LEAVING seconds.

    A worker of several is left alone, since it may have to wait for the others.
    """
    if not processors.is_one_of_several():
        atexit.register(signal.alarm, LEAVING + 5)  # C++ destructors, once no Python thread runs
        with contextlib.suppress(RuntimeError):     # no thread can be started
            threading.Thread(target=_watch_exit, args=(code,), daemon=True).start()


def _watch_exit(code):
    threading.main_thread().join()
    time.sleep(LEAVING)
    os._exit(code)


def _open_standard_streams():
    """Open closed standard streams as /dev/null; let stdout escape what its encoding lacks.

    Otherwise the next file that is opened would get the descriptor of a closed stream, and the
    output of libraries would go into it.
    """
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        mode = 'w' if number else 'r'
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding='utf-8', closefd=False))  # noqa: SIM115
    with contextlib.suppress(AttributeError, ValueError):   # a test's own stream
        sys.stdout.reconfigure(errors='backslashreplace')


def _leave_workers(code):
    """End this worker of several at once: an orderly exit would wait for the others."""
    if processors.is_one_of_several():
        _leave(code)


def _leave(code):
    """End this process at once."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _lack_of_resources(error):
    """The error that a lack of memory or threads caused: ``error`` or one before it; or None."""
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) or \
                _NO_THREADS.search(str(error)):
            return error
        error = error.__cause__ or error.__context__
    return None


def _explain(error):
    """The line for ``error``, or None if it is a bug in this program."""
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return _missing_module((error.name or '').split('.')[0])
    if _NO_THREADS.search(str(error)):
        return ('no thread or process could be started; raise the limits on processes (ulimit -u) '
                'and memory (ulimit -v), or run fewer programs at once')
    if _lack_of_resources(error) is error:
        return ('not enough memory; use a smaller --batch_size (with --accumulate the updates '
                'stay the same), shorter texts or a smaller model')
    if isinstance(error, UnicodeEncodeError):   # bytes of a command line that are not UTF-8
        return f'{brief(error.object)}: not a name in UTF-8; rename the file or folder'
    if isinstance(error, OSError):
        if error.errno == errno.EMFILE:
            return ('too many open files; raise the limit (ulimit -n), or use fewer processes and '
                    'devices')
        if error.filename is not None:
            return f'{os.fsdecode(error.filename)}: {error.strerror}'
        return ' '.join(str(error).split())
    return None


def _missing_module(package):
    if package in ('', 'bert'):
        return None
    where = f' on {socket.gethostname()} for {sys.executable}'
    if package == 'mxnet':
        return (f"MXNet is not installed{where}; install one build of it: {install('cpu')}, or "
                '[cu101], [cu102], [cu110], [cu112], [cu117] for CUDA')
    if package == 'horovod':
        return (f'Horovod is not installed{where}; build it with: bash '
                'scripts/install_horovod.sh')
    return f'{package} is not installed{where}; install it with: {install(_EXTRAS.get(package))}'


def require(package: str) -> None:
    """Raise the error of a missing package, which is needed at the end, before the work begins."""
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(f'No module named {package!r}', name=package)


def install(extra: Optional[str] = None) -> str:
    """The command that installs this package, which is not on an index, with an extra."""
    from importlib import metadata
    try:
        metadata.version(_PACKAGE)
        source = _PACKAGE
    except metadata.PackageNotFoundError:       # this is a checkout
        source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return f'pip install "{source}[{extra}]"' if extra else f'pip install "{source}"'
