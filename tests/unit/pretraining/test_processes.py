"""Worker processes that cannot start, fail, are killed, or have lost their parent."""
import contextlib
import errno
import multiprocessing.connection
import multiprocessing.synchronize  # noqa: F401, which reads a constant of the lock below
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from concurrent import futures

import pytest
from helpers import ROOT, SAMPLE

from bert.pretraining import masking
from bert.pretraining.processes import Reader, unordered_map
from bert.pretraining.sources import Synthetic, Text
from bert.pretraining.stream import Stream
from bert.text import tokenizer
from bert.utils.errors import DataError


def take(stream, count):
    """Take the first updates of a stream."""
    with stream:
        for _ in zip(range(count), stream):
            pass


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


def test_an_error_of_a_data_worker_is_told(tmp_path):
    (tmp_path / 'bad.txt').write_bytes(b'A sentence.\nAnother.\n\ncaf\xe9\n')
    tok = tokenizer.load(SAMPLE)
    source = Text([str(tmp_path / 'bad.txt')], tok, masking.Masking(tok, 32), 0)
    for workers in (0, 1):
        with pytest.raises(DataError, match='bad.txt:4: not UTF-8'):
            take(Stream(source, 4, 1, workers=workers), 1)


class Deadly(Synthetic):
    """A source that in the second epoch kills the process that reads it."""

    num_chunks = 1

    def read(self, epoch, chunk):
        if epoch:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(epoch, chunk)


@pytest.mark.slow
def test_a_data_worker_that_is_killed_ends_the_stream_with_an_error():
    with pytest.raises(DataError, match='was killed.*--resume'):
        take(Stream(Deadly(4, 1, 100, 0), 512, 1, workers=2), 100)


class Torn(Synthetic):
    """A source whose first chunk is sent by half; then the process waits, or is killed."""

    num_chunks = 2

    def __init__(self, is_killed):
        super().__init__(4, 1, 100, 0)
        self.is_killed = is_killed

    def read(self, epoch, chunk):
        if chunk == 0:
            def send_half(connection, data):
                os.write(connection.fileno(), struct.pack('!i', len(data)) + data[:len(data) // 2])
                if self.is_killed:
                    os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()
            multiprocessing.connection.Connection._send_bytes = send_half
        return super().read(epoch, chunk)


@pytest.mark.slow
def test_a_data_worker_that_is_killed_within_a_result_ends_the_stream_with_an_error():
    threads = threading.active_count()
    with pytest.raises(DataError, match='was killed.*--resume'):
        take(Stream(Torn(is_killed=True), 512, 1, workers=2), 100)
    assert_ended(threads)


def test_a_result_that_is_sent_by_half_does_not_hold_up_the_exit():
    threads = threading.active_count()
    reader = Reader(Torn(is_killed=False), 1)
    future = reader.submit(0, 0)
    assert not futures.wait([future], 3).done
    reader.close()
    assert_ended(threads)


def assert_ended(threads):
    """Wait until there are no more than so many threads in this process."""
    deadline = time.time() + 20
    while threading.active_count() > threads:
        assert time.time() < deadline
        time.sleep(0.05)


def test_data_workers_end_with_their_parent(tmp_path):
    code = (f'import os, sys; sys.path[:0] = [{ROOT!r}]\n'
            'from bert.pretraining.stream import Stream\n'
            'from bert.pretraining.sources import Synthetic\nif __name__ == "__main__":\n'
            '    stream = Stream(Synthetic(16, 3, 100, 0), 4, 1, workers=1)\n'
            '    next(iter(stream))\n'
            '    print(list(stream._reader._executor._processes)[0], flush=True)\n'
            '    os.kill(os.getpid(), 9)\n')
    (tmp_path / 'walk.py').write_text(code, encoding='utf-8')
    result = subprocess.run([sys.executable, str(tmp_path / 'walk.py')], stdout=subprocess.PIPE,
                            text=True, timeout=60)     # ends when the worker has closed its output
    assert result.returncode == -signal.SIGKILL
    stat = f'/proc/{result.stdout.strip()}/stat'
    deadline = time.time() + 20
    while os.path.exists(stat) and time.time() < deadline:
        with contextlib.suppress(OSError), open(stat, encoding='ascii') as f:
            if ') Z ' in f.read():      # nobody asks for how it ended
                break
        time.sleep(0.1)
    assert time.time() < deadline


def test_a_data_worker_without_its_parent_ends_before_it_imports_much():
    code = ('from bert.pretraining import processes; import sys; '
            '"bert.text" in sys.modules and sys.exit(2); processes._start(1, b"never loaded")')
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT).returncode == 1


def test_data_workers_do_not_import_mxnet():
    code = ('import sys; import bert.pretraining.sources, bert.pretraining.stream; '
            'sys.exit("mxnet" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT).returncode == 0
