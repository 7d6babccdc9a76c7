"""What a user did wrong, told in one line, and the guard around every program's ``main``."""
import os
import sys
import traceback

__all__ = ['DataError', 'run']

# an optional module -> the extra that brings it; all others come with the package itself
_EXTRAS = {
    'matplotlib': 'plot', 'onnx': 'onnx', 'onnxruntime': 'onnx',
    'pyarrow': 'hub', 'tensorboardX': 'tensorboard',
}


class DataError(Exception):
    """Bad input or surroundings: one line that names file, line, flag or value, and the cure."""


def run(main):
    """Call ``main()`` as a program: exit code 0, 1 for bad data, 2 for usage (argparse's own).

    A :class:`DataError`, a missing optional package and an operating-system error become one
    line on standard error.  Set ``BERT_DEBUG=1`` to see the traceback instead.
    """
    try:
        code = main()
    except BrokenPipeError:
        code = 0                        # see below
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        line = _explain(error)
        if line is not None and not os.environ.get('BERT_DEBUG'):
            print(f'{os.path.basename(sys.argv[0])}: error: {line}', file=sys.stderr)
        elif _is_one_of_many():
            traceback.print_exc()
        else:
            raise
        code = 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:             # the reader of our output went away: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code and _is_one_of_many():      # an orderly exit would wait for the other workers
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _is_one_of_many():
    """Whether this is a worker of mpirun, horovodrun or a parameter-server job."""
    return any(int(os.environ.get(name) or 1) > 1 for name in (
        'OMPI_COMM_WORLD_SIZE', 'HOROVOD_SIZE', 'DMLC_NUM_WORKER'))


def _explain(error):
    """The line for ``error``, or None where the fault is this program's own."""
    if not isinstance(error, (DataError, ModuleNotFoundError, OSError)):
        return None
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or '').split('.')[0]
        if package in ('', 'bert'):
            return None
        if package == 'mxnet':
            return ('MXNet is not installed; install one build of it: pip install '
                    '"gluon-bert[cpu]", or [cu101], [cu102], [cu110], [cu112], [cu117] for CUDA')
        if package == 'horovod':
            return 'Horovod is not installed; build it with: bash scripts/install_horovod.sh'
        return '%s is not installed; install it with: pip install "gluon-bert%s"' % (
            package, f'[{_EXTRAS[package]}]' if package in _EXTRAS else '')
    if isinstance(error, OSError) and error.filename is not None:
        return f'{error.filename}: {error.strerror}'
    if isinstance(error, DataError):    # may hold a line for each of several attempts
        return '\n'.join(line.rstrip() for line in str(error).splitlines() if line.strip())
    return ' '.join(str(error).split())
