"""Writing and reading files: atomic, with errors in one line."""
import bz2
import contextlib
import errno
import gzip
import io
import json
import lzma
import os
import re
import sys
import tempfile
import zlib
from typing import Any, BinaryIO, Iterator, Optional, TextIO, Tuple

from .errors import DataError
from .locks import lock_at_once

__all__ = ['SAMPLE', 'atomic', 'atomic_text', 'make_folder', 'write_json', 'decode', 'parse_json',
           'read_json', 'read_lines', 'open_binary', 'decompressed_name', 'is_compressed',
           'is_packed', 'PACKED', 'expand_home', 'cache_folder']

# the embedded default: a toy model, and a small data set for every task
SAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'sample')


_TEMPORARY = '.unfinished'      # how the names of temporary files end


@contextlib.contextmanager
def atomic(path: str, sweep: bool = False) -> Iterator[str]:
    """The name of a temporary file that replaces ``path``, beside it, if the block ends well.

    On any error, such as a full disk, the temporary file is removed and ``path`` is unchanged.  If
    the process is killed it stays behind; :func:`make_folder` removes it then, and so does the next
    call for this ``path`` with ``sweep``.  If it is a symbolic link, the file it leads to is meant.
    """
    given, path = path, os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise DataError(f'{given}: not a file; name another one')
    folder, start = os.path.dirname(path), f'.{os.path.basename(path)}.'
    try:
        if sweep:
            _sweep(folder, start)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=_TEMPORARY, prefix=start)
    except OSError as error:
        raise DataError(f'{given}: cannot be written ({error.strerror}); choose another folder'
                        ) from None
    try:
        lock_at_once(handle)
        with contextlib.suppress(PermissionError):  # a disk that gives all its files one mode
            os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        with open(temporary, 'rb+') as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f'{given}: cannot be written ({error.strerror or error}); the previous '
                        'file is intact') from None
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            os.remove(temporary)


def _sweep(folder, start='.'):
    """Remove the temporary files that processes left in ``folder`` when they were killed."""
    for name in os.listdir(folder):
        if name.startswith(start) and name.endswith(_TEMPORARY):
            with contextlib.suppress(OSError), open(os.path.join(folder, name), 'rb+') as f:
                if lock_at_once(f.fileno()):       # no process is writing it
                    os.remove(f.name)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_folder(path: str, flag: str) -> str:
    """Make the folder that ``flag`` names, and check that it can be written.

    Files that killed processes left there unfinished are removed.
    """
    try:
        os.makedirs(path, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
        _sweep(path)
    except FileExistsError:
        raise DataError(f'{flag} {path}: a file or a broken link, not a folder; name another one'
                        ) from None
    except OSError as error:
        raise DataError(f'{flag} {path}: cannot be written ({error.strerror})') from None
    return path


@contextlib.contextmanager
def atomic_text(path: str) -> Iterator[TextIO]:
    """A text file, in UTF-8, that replaces ``path`` as :func:`atomic` says.

    Bytes that are not UTF-8, which Python has as lone surrogates, are escaped.
    """
    with atomic(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='\n',
                                         errors='backslashreplace') as f:
        yield f


def write_json(path: str, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically."""
    with atomic_text(path) as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write('\n')


_COMPRESSED = {'.gz': gzip.open, '.bz2': bz2.open, '.xz': lzma.open}
# how gzip, zip, zstd, bzip2 and xz begin
_MAGIC = re.compile(rb'\x1f\x8b|PK\x03\x04|\x28\xb5\x2f\xfd|BZh[1-9]1AY&SY|\xfd7zXZ\0')
PACKED = 'compressed: only .gz, .bz2 and .xz are read, by their names; decompress it'


def decompressed_name(path: str) -> str:
    """``path`` without .gz, .bz2 or .xz at its end."""
    stem, suffix = os.path.splitext(path)
    return stem if suffix.lower() in _COMPRESSED else path


def is_compressed(path: str) -> bool:
    """Whether the name ends in .gz, .bz2 or .xz."""
    return decompressed_name(path) != path


def open_binary(path: str) -> BinaryIO:
    """Open a file to read its bytes.  A .gz, .bz2 or .xz file is decompressed: it cannot seek, and
    raises DataError where it is damaged."""
    if not is_compressed(path):
        return open(path, 'rb')
    opened = _COMPRESSED[os.path.splitext(path)[1].lower()](path, 'rb')
    return io.BufferedReader(_Decompressed(path, opened), 1 << 16)


class _Decompressed(io.RawIOBase):
    """The content of an archive, with errors in one line."""

    def __init__(self, path, opened):
        self._path, self._file = path, opened

    def readable(self):
        return True

    def readinto(self, buffer):
        try:
            data = self._file.read(len(buffer))
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            if getattr(error, 'errno', None):       # of the disk, not of gzip or bz2
                raise
            raise DataError(f'{self._path}: a damaged archive ({error}); take another copy of it'
                            ) from None
        buffer[:len(data)] = data
        return len(data)

    def close(self):
        self._file.close()
        super().close()


def is_packed(data: bytes) -> bool:
    """Whether a file that begins with ``data`` is compressed, or an archive."""
    return bool(_MAGIC.match(data))


def decode(data: bytes, path: str, line: int = 1) -> str:
    """The text that UTF-8 from line ``line`` of a file is, without a byte order mark at its start.

    Raises DataError, which names the file and the line.
    """
    try:
        return data.decode('utf-8-sig' if line == 1 else 'utf-8')
    except UnicodeDecodeError as error:
        if line == 1 and is_packed(data):
            raise DataError(f'{path}: {PACKED}') from None
        data, start = error.object, error.start     # without the mark
        line += data.count(b'\n', 0, start)
        raise DataError(f'{path}:{line}: not UTF-8 (byte 0x{data[start]:02x}); convert it: iconv '
                        '-f ENCODING -t UTF-8') from None


def parse_json(text: str) -> Any:
    """The value that JSON text is; ValueError if it is none, or is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError('it is nested too deeply') from None


def read_json(path: str, kind: Optional[type] = None) -> Any:
    """The value in a JSON file (.gz, .bz2, .xz too), with or without a byte order mark.

    ``kind``, dict or list, is what it must be.  Raises DataError, which names the file and where
    it is wrong.
    """
    try:
        with open_binary(path) as f:
            value = parse_json(decode(f.read(), path))
    except ValueError as error:
        raise DataError(f'{path}: not JSON ({error}); correct it, or get another copy') from None
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from None
    if kind is not None and not isinstance(value, kind):
        wanted = {dict: 'an object, {...}', list: 'a list, [...]'}[kind]
        raise DataError(f'{path}: not {wanted}; is it damaged?')
    return value


def expand_home(path: str) -> str:
    """``path`` with the home folder in place of ``~`` or ``~name`` at its start.

    Raises FileNotFoundError where there is none: neither HOME nor an entry in /etc/passwd.
    """
    found = os.path.expanduser(path)
    if found.startswith('~'):
        raise FileNotFoundError(errno.ENOENT, 'there is no home folder', found)
    return found


def cache_folder() -> str:
    """The user's folder for what can be made again, created if need be; only they may write there.

    Raises OSError where that is not possible.
    """
    base = expand_home(os.environ.get('XDG_CACHE_HOME') or '~/.cache')
    folder = os.path.join(os.path.abspath(base), 'gluon-bert')
    os.makedirs(base, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    status = os.stat(folder)
    if status.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, f'belongs to another user, number {status.st_uid}; '
                              'remove it', folder)
    if status.st_mode & 0o022:
        raise PermissionError(errno.EPERM, 'can be written by other users; chmod 700 it', folder)
    return folder


def read_lines(path: Optional[str]) -> Iterator[Tuple[int, str]]:
    """(number, text) of each line of UTF-8 text (.gz, .bz2, .xz too), split at line feeds only,
    with its line end; None is standard input.  Raises DataError, which names the file and the
    line."""
    source = contextlib.nullcontext(sys.stdin.buffer) if path is None else open_binary(path)
    path = path or 'standard input'
    with source as f:
        for number, line in enumerate(f, 1):
            text = decode(line, path, number)
            if '\0' in text:
                raise DataError(f'{path}:{number}: a NUL character; save it as plain UTF-8 '
                                'text')
            yield number, text
