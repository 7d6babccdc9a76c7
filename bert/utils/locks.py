"""Locks between processes, on files.  A lock ends with the process that holds it.

Over NFS a lock holds for all hosts, but only on a file that is open for writing: on a folder Linux
locks for one host alone.  On a disk without locks every process gets them.
"""
import contextlib
import fcntl
import math
import os
import sys
import time
from typing import Iterator, Optional

__all__ = ['Lock', 'lock_at_once', 'locked']

_POLL = 0.05            # seconds between two tries
_SOON = 1               # seconds after which a line on standard error says what is waited for
_held = set()           # locks
# a forked process that outlives this one must not keep its locks
os.register_at_fork(after_in_child=lambda: [_held.pop()._close() for _ in tuple(_held)])


class Lock:
    """A lock, held from the construction until :meth:`release`.

    Parameters
    ----------
    path : str
        The file to lock.  It is made, and removed with the lock; a killed process leaves it.
    patience : float
        Seconds to wait for another process; TimeoutError after that.
    """

    def __init__(self, path: str, patience: float = math.inf):
        self._path, start, told = os.path.abspath(path), time.monotonic(), False
        while True:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            if _flock(self._handle) is False:
                os.close(self._handle)
                waited = time.monotonic() - start
                if waited >= patience:
                    raise TimeoutError(f'another process holds {path}') from None
                if waited > _SOON and not told:
                    print(f'waiting for another process, which holds {path}', file=sys.stderr)
                    told = True
                time.sleep(_POLL)
                continue
            if self._is_current():
                _held.add(self)
                return
            os.close(self._handle)

    def _is_current(self):
        """Whether the file is still there: one that its last holder removed locks out nobody."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self._path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Unlock; once more, or in a forked process, does nothing."""
        if self in _held:
            _held.remove(self)
            with contextlib.suppress(OSError):
                if self._is_current():
                    os.remove(self._path)
            self._close()

    def _close(self):
        os.close(self._handle)


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Keep other processes out of the same block for ``path``, by ``path + '.lock'``."""
    lock = Lock(path + '.lock')
    try:
        yield
    finally:
        lock.release()


def lock_at_once(handle: int) -> bool:
    """Lock a file that is open for writing, without waiting; whether it worked."""
    return bool(_flock(handle))


def _flock(handle: int) -> Optional[bool]:
    """Whether a file could be locked at once; None on a disk without locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):      # the latter on CIFS
        return False
    except OSError:
        return None
    return True
