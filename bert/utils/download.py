"""Files over HTTP and the archives they come in: resumed, checked, and never half there.

A body is received into ``FILE.part`` (its ETag into ``FILE.part.etag``) and takes its final name
only when whole and of the right hash.  A later run goes on where an interrupted one stopped; of
several processes that want the same file, one downloads and the others wait for it.
"""
import contextlib
import fcntl
import hashlib
import lzma
import os
import posixpath
import re
import shutil
import stat
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib

from .errors import DataError

__all__ = ['DownloadError', 'checksum', 'download', 'extract', 'is_offline', 'locked', 'refusal',
           'sha1sum', 'why']

_TRIES = 3                  # attempts in a row that bring nothing new
_BACKOFF = 1.0              # seconds before the second of them; doubled for each later one
_CHUNK = 1 << 15            # bytes; a broken connection loses at most this many
_LARGE = 10 << 20           # bytes from which a download is announced where no bar can be drawn


class DownloadError(DataError):
    """A file that could not be had: one line with the address, what happened and the cure.

    ``reason`` is that line without the cure, for callers that have other places to look.
    """

    def __init__(self, url, what, cure):
        self.reason = f'{url}: {what}'
        super().__init__(f'{self.reason}; {cure}')


class _Transient(Exception):
    """A failure that another attempt may not meet."""


def download(url, path, sha1=None, size=None, offline=False, timeout=30.0):
    """Fetch ``url`` into the file ``path``, unless it is there already.

    Parameters
    ----------
    url, path : str
        http(s) address, and the file to write; its folder is made.
    sha1 : str, optional
        Hexadecimal SHA-1 of the whole file.
    size : int, optional
        Bytes of the whole file.
    offline : bool
        Raise rather than use the network.
    timeout : float
        Seconds without a connection or a byte after which an attempt is given up.

    Returns
    -------
    str
        ``path``.

    Raises
    ------
    DownloadError
        After the last attempt, or at once where another one can't help (403, 404).
    """
    if _is_complete(path, sha1, size):
        return path
    if offline:
        raise DownloadError(url, 'not fetched, since this run is offline',
                            f'put the file at {path}, or go online')
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with locked(path):
            if not _is_complete(path, sha1, size):      # another process may have brought it
                if sha1 is None and not _length(path + '.part.etag'):
                    _remove(path + '.part')     # nothing would tell that the file has changed
                _receive(url, path + '.part', size, timeout)
                _check(url, path + '.part', sha1, size)
                os.replace(path + '.part', path)
                _remove(path + '.part.etag')
    except OSError as error:
        raise DownloadError(url, f'{path} can\'t be written ({error.strerror or error})',
                            'free some space or choose another folder') from error
    return path


def is_offline(offline=None):
    """``offline`` if given, else whether BERT_OFFLINE or HF_HUB_OFFLINE asks for it."""
    if offline is not None:
        return offline
    return any(os.environ.get(name, '').upper() in ('1', 'ON', 'YES', 'TRUE')
               for name in ('BERT_OFFLINE', 'HF_HUB_OFFLINE'))


def _is_complete(path, sha1, size):
    """Whether ``path`` is the file that is wanted; without size and hash, any file is."""
    return (os.path.isfile(path) and (size is None or os.path.getsize(path) == size)
            and (sha1 is None or sha1sum(path) == sha1))


def _receive(url, part, size, timeout):
    """Complete the file ``part``, with new attempts for as long as they bring something."""
    best, tries = _length(part), _TRIES
    while True:
        try:
            return _attempt(url, part, size, timeout)
        except _Transient as error:
            tries = _TRIES if _length(part) > best else tries - 1
            best = max(best, _length(part))
            if not tries:
                raise DownloadError(url, error, 'check the network (HTTPS_PROXY?) and run again: '
                                    'it goes on where it stopped') from error
            time.sleep(_BACKOFF * 2 ** (_TRIES - tries - 1))


def _attempt(url, part, size, timeout):
    """One request: append to ``part`` what it lacks, or begin it anew."""
    import requests
    from tqdm import tqdm
    have, headers = _length(part), {'Accept-Encoding': 'identity'}
    if have:
        headers['Range'] = f'bytes={have}-'
        if _length(part + '.etag'):     # the server sends the whole of a file that has changed
            with open(part + '.etag', encoding='latin-1') as f:
                headers['If-Range'] = f.read()
    try:
        with requests.get(url, headers=headers, stream=True,
                          timeout=(min(timeout, 10), timeout)) as answer:
            have, total = _accept(answer, url, part, have)
            total = total or size
            name = os.path.basename(part)[:-len('.part')]
            if total and total >= _LARGE and not sys.stderr.isatty():
                print(f'downloading {name} ({total >> 20} MB) from {url}', file=sys.stderr)
            with open(part, 'ab') as f, tqdm(
                    total=total, initial=have, desc=name, unit='B', unit_scale=True,
                    file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
                for chunk in answer.iter_content(_CHUNK):
                    f.write(chunk)
                    bar.update(len(chunk))
    except (requests.ConnectionError, requests.Timeout,
            requests.exceptions.ChunkedEncodingError) as error:
        raise _Transient(why(error)) from error
    except requests.RequestException as error:
        raise DownloadError(url, why(error), 'correct the address') from error
    if total and _length(part) < total:
        raise _Transient(f'the connection closed after {_length(part)} of {total} bytes')


def _accept(answer, url, part, have):
    """Look at status and headers: (bytes of ``part`` that stand, bytes of the whole or None)."""
    status = answer.status_code
    start = re.match(r'bytes (\d+)-\d+/(\d+)', answer.headers.get('Content-Range', ''))
    if status == 206 and start and int(start.group(1)) == have:
        return have, int(start.group(2))
    if status in (206, 416):            # not the range that was asked for: begin anew
        _remove(part)
        _remove(part + '.etag')
        raise _Transient(f'{refusal(status)} to a request to go on from byte {have}')
    if status in (408, 429) or status >= 500:
        raise _Transient(refusal(status))
    if status != 200:
        raise DownloadError(url, refusal(status), 'the host does not serve it: get the file '
                                                  f"elsewhere and put it at {part[:-len('.part')]}")
    with open(part, 'wb'):              # emptied before its ETag changes
        pass
    with open(part + '.etag', 'w', encoding='latin-1') as f:
        f.write(answer.headers.get('ETag', ''))
    length = answer.headers.get('Content-Length', '')
    encoded = answer.headers.get('Content-Encoding', 'identity') != 'identity'
    return 0, int(length) if length.isdigit() and not encoded else None


def _check(url, part, sha1, size):
    """Remove a whole ``part`` that is not the file it should be, and raise."""
    what = None
    if size is not None and _length(part) != size:
        what = f'it has {_length(part)} bytes where {size} were expected'
    elif sha1 is not None and sha1sum(part) != sha1:
        what = f'its SHA-1 is {sha1sum(part)} where {sha1} was expected'
    if what:
        _remove(part)
        _remove(part + '.etag')
        raise DownloadError(url, what, 'what came was removed; try again, or another host')


def _length(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def _remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def why(error):
    """The innermost cause of a network library's error, in a few words."""
    inner = error
    while inner and not isinstance(inner, DataError):       # ours is of an earlier source
        error, inner = inner, inner.__cause__ or inner.__context__
    text = ' '.join((getattr(error, 'strerror', None) or str(error)).split())
    return text or type(error).__name__


def refusal(status):
    """An HTTP status with its name: '404 Not Found'."""
    from http.client import responses
    return (f"{status} {responses.get(status, '')}").strip()


@contextlib.contextmanager
def locked(path):
    """Keep other processes out of the same block for ``path``, by ``path + '.lock'``."""
    lock = path + '.lock'
    while True:
        with open(lock, 'a') as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f'waiting for another process that fetches {path}', file=sys.stderr)
                fcntl.flock(f, fcntl.LOCK_EX)
            if not _is_at(f, lock):     # the holder before us removed it: nobody else sees ours
                continue
            try:
                yield
            finally:
                _remove(lock)
            return


def _is_at(f, path):
    """Whether the open file ``f`` still is the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(f.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def checksum(path, algorithm):
    """Hexadecimal digest of a file, by any algorithm that hashlib knows."""
    digest = hashlib.new(algorithm)
    with open(path, 'rb') as f:
        for block in iter(lambda: f.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def sha1sum(path):
    """Hexadecimal SHA-1 of a file."""
    return checksum(path, 'sha1')


def extract(archive, folder):
    """Unpack a zip or (compressed) tar file into ``folder``, all of it or nothing.

    An archive with a name that leads out of the folder (absolute, ``..``), a link or a device in
    it is refused whole.  Modes and owners in it are ignored.  A folder that exists keeps its
    other files.

    Returns
    -------
    str
        ``folder``.

    Raises
    ------
    DataError
        When the archive is broken, refused, or of another format.
    """
    parent = os.path.dirname(os.path.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix='.extract-') as scratch:
        whole = os.path.join(scratch, 'whole')
        os.mkdir(whole)
        try:
            _unpack(archive, whole)
        except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError,
                RuntimeError, OSError) as error:
            if getattr(error, 'errno', None):   # the system's own: a full disk, say
                raise
            raise DataError(f"{archive}: broken or not a zip or tar archive "
                            f"({' '.join(str(error).split())}); remove it and fetch it "
                            'again') from error
        try:
            os.replace(whole, folder)
        except OSError:                 # it exists and is not empty
            for here, _, names in os.walk(whole):
                there = os.path.join(folder, os.path.relpath(here, whole))
                os.makedirs(there, exist_ok=True)
                for name in names:
                    os.replace(os.path.join(here, name), os.path.join(there, name))
    return folder


def _unpack(archive, folder):
    """Write the members of ``archive`` below ``folder``, once all of them are seen to be safe."""
    if tarfile.is_tarfile(archive):     # asked first: a tar may end like a zip, with one in it
        with tarfile.open(archive) as t:
            _write(archive, folder, t.extractfile,
                   [(m.name, m, m.isdir(), m.isreg() or m.isdir()) for m in t.getmembers()])
            while t.fileobj.read(1 << 20):      # up to the checksum of the compressed stream
                pass
    else:
        with zipfile.ZipFile(archive) as z:
            # the upper half of external_attr is the Unix mode, 0 where another system packed it
            kinds = [stat.S_IFMT(m.external_attr >> 16) for m in z.infolist()]
            plain = [kind in (0, stat.S_IFREG, stat.S_IFDIR) for kind in kinds]
            _write(archive, folder, z.open,
                   [(m.filename, m, m.is_dir(), ok) for m, ok in zip(z.infolist(), plain)])


def _write(archive, folder, open_member, members):
    """``members``: (name, what ``open_member`` takes, is a folder, is no link or device)."""
    for name, _, _, plain in members:
        if not plain or posixpath.isabs(name) or '..' in name.replace('\\', '/').split('/'):
            raise DataError(f'{archive}: refused, since its member {name!r} is a link, a device or '
                            'a path that leads out of the folder')
    for name, member, is_folder, _ in members:
        target = os.path.join(folder, posixpath.normpath(name))
        os.makedirs(target if is_folder else os.path.dirname(target), exist_ok=True)
        if not is_folder:
            with open_member(member) as source, open(target, 'wb') as f:
                shutil.copyfileobj(source, f)
