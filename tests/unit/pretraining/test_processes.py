"""Worker processes where the system does not let them be."""
import errno
import multiprocessing.synchronize  # noqa: F401, which reads a constant of the lock below
import os

import pytest

from bert.pretraining.processes import Reader, unordered_map
from bert.pretraining.sources import Synthetic
from bert.utils.errors import DataError


def refuse(code):
    def lock(*args):
        raise OSError(code, os.strerror(code))
    return lock


@pytest.mark.parametrize('code', [errno.ENOENT, errno.EROFS, errno.ENOSPC])
def test_no_locks_between_processes(monkeypatch, code):
    monkeypatch.setattr('_multiprocessing.SemLock', refuse(code))
    line = (f'processes cannot share a lock here ({os.strerror(code)}): make /dev/shm writable, '
            'with free space, or add ')
    with pytest.raises(DataError) as error, unordered_map((), 2):
        pass
    assert str(error.value) == line + '--num_workers 1'
    with pytest.raises(DataError) as error:
        Reader(None, 2)
    assert str(error.value) == line + '--num_data_workers 0'
    with unordered_map((3,), 1) as run:
        assert list(run(pow, [2])) == [(0, 9)]
    Reader(Synthetic(1, 1, 1, 1), 0).close()


def test_too_many_open_files_are_reported_as_such(monkeypatch):
    monkeypatch.setattr('_multiprocessing.SemLock', refuse(errno.EMFILE))
    with pytest.raises(OSError, match='Too many open files'):
        Reader(None, 2)
