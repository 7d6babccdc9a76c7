"""Writing and reading files: atomic, with errors in one line."""
import contextlib
import errno
import json
import os
import tempfile

from .errors import DataError

__all__ = ['SAMPLE', 'atomic', 'make_folder', 'write_json', 'read_json', 'read_lines',
           'cache_folder']

# the embedded default: a toy model, and a small data set for every task
SAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'sample')


@contextlib.contextmanager
def atomic(path):
    """The name of a temporary file beside ``path`` that replaces it if the block ends well.

    On any error (a full disk, say) the temporary file goes and what stood at ``path`` stays.
    """
    path = os.path.abspath(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path),
                                             prefix='.' + os.path.basename(path) + '.')
    except OSError as error:
        raise DataError(f'{path}: cannot be written ({error.strerror}); choose another '
                        'folder') from None
    os.close(handle)
    try:
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        with open(temporary, 'rb+') as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f'{path}: cannot be written ({error.strerror or error}); what stood there '
                        'before is intact') from None
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_folder(path, flag):
    """Make the folder that ``flag`` names, and see that it can be written."""
    try:
        os.makedirs(path, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise DataError(f'{flag} {path}: cannot be written ({error.strerror})') from None
    return path


def write_json(path, value):
    """Write ``value`` as readable JSON, atomically."""
    with atomic(path) as temporary, open(temporary, 'w', encoding='utf-8') as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write('\n')


def read_json(path):
    """The value in a JSON file; DataError names the file and the place of a fault."""
    try:
        with open(path, encoding='utf-8') as f:
            return json.load(f)
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: not UTF-8 text (byte {error.start})') from None
    except ValueError as error:
        raise DataError(f'{path}: not JSON ({error})') from None
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from None


def cache_folder():
    """The user's folder for what can be made again, made if need be; nobody else may write there.

    OSError where there can be none.
    """
    base = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    folder = os.path.join(os.path.abspath(base), 'gluon-bert')
    os.makedirs(base, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    status = os.stat(folder)
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(errno.EPERM, 'can be written by other users; chmod 700 it', folder)
    return folder


def read_lines(path):
    """(number, text) of each line of UTF-8 text, split at line feeds only, with its line end."""
    with open(path, 'rb') as f:
        for number, line in enumerate(f, 1):
            try:
                text = line.decode('utf-8-sig' if number == 1 else 'utf-8')
            except UnicodeDecodeError as error:
                raise DataError(f'{path}:{number}: byte 0x{error.object[error.start]:02x} is not '
                                'UTF-8; save the file as UTF-8') from None
            if '\0' in text:
                raise DataError(f'{path}:{number}: a NUL character; save the file as plain UTF-8 '
                                'text')
            yield number, text
