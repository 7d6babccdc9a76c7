"""Locks between processes."""
import errno
import fcntl
import os
import subprocess
import sys

import pytest
from helpers import ROOT

from bert.utils.locks import Lock, lock_at_once, locked


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, '-c', 'import os, sys; from bert.utils.locks import Lock, locked\n' + code,
         *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_locked_keeps_others_out(tmp_path):
    path = str(tmp_path / 'x')
    with locked(path):
        waiting = start('with locked(sys.argv[1]): open(sys.argv[1] + ".second", "w").close()',
                        path)
        assert waiting.stderr.readline() == (
            f'waiting for another process, which holds {path}.lock\n')
        assert os.listdir(tmp_path) == ['x.lock']
    assert waiting.communicate(timeout=60) == ('', '')
    assert os.listdir(tmp_path) == ['x.second']


def test_patience(tmp_path):
    path = str(tmp_path / 'lock')
    lock = Lock(path)
    with pytest.raises(TimeoutError, match=path):
        Lock(path, patience=0.1)
    lock.release()
    Lock(path, patience=0).release()
    other = Lock(path)
    lock.release()              # once more: it is the other's now
    with pytest.raises(TimeoutError):
        Lock(path, patience=0)
    other.release()
    assert os.listdir(tmp_path) == []


def test_a_lock_whose_file_was_removed_leaves_the_file_of_the_next(tmp_path):
    path = str(tmp_path / 'lock')
    first = Lock(path)
    os.remove(path)
    second = Lock(path, patience=0)
    first.release()
    with pytest.raises(TimeoutError):
        Lock(path, patience=0)
    second.release()
    assert os.listdir(tmp_path) == []


def test_a_lock_ends_with_its_process(tmp_path):
    path = str(tmp_path / 'lock')
    process = start('lock = Lock(sys.argv[1]); print("held", flush=True); sys.stdin.read()', path)
    assert process.stdout.readline() == 'held\n'
    process.kill()
    process.communicate()
    assert os.listdir(tmp_path) == ['lock']
    Lock(path, patience=0).release()
    assert os.listdir(tmp_path) == []


def test_one_of_many_at_a_time(tmp_path):
    # each adds one to a number; a lock on a removed file would let two of them in
    (tmp_path / 'number').write_text('0')
    code = ('import time\nfor _ in range(20):\n    with locked(sys.argv[1]):\n'
            '        number = int(open(sys.argv[1]).read())\n        time.sleep(0.001)\n'
            '        with open(sys.argv[1], "w") as f: f.write(str(number + 1))')
    processes = [start(code, tmp_path / 'number') for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [''] * 4
    assert (tmp_path / 'number').read_text() == '80'


@pytest.mark.parametrize('code, held', [(errno.EAGAIN, True), (errno.EACCES, True),
                                        (errno.ENOLCK, False), (errno.EOPNOTSUPP, False)])
def test_a_disk_without_locks_gives_them_to_all_but_not_at_once(tmp_path, monkeypatch, code, held):
    def refuse(handle, operation):
        raise OSError(code, os.strerror(code))
    monkeypatch.setattr(fcntl, 'flock', refuse)
    with open(tmp_path / 'file', 'w') as f:
        assert lock_at_once(f.fileno()) is False
    if held:
        with pytest.raises(TimeoutError):
            Lock(str(tmp_path / 'lock'), patience=0)
    else:
        Lock(str(tmp_path / 'lock'), patience=0).release()
        assert os.listdir(tmp_path) == ['file']


def test_a_forked_process_does_not_release(tmp_path):
    path = str(tmp_path / 'lock')
    process = start('lock = Lock(sys.argv[1])\nif os.fork() == 0: lock.release(); sys.exit()\n'
                    'os.wait(); print(os.path.exists(sys.argv[1]), flush=True)\n'
                    'try: Lock(sys.argv[1], patience=0)\nexcept TimeoutError: print("held")', path)
    assert process.communicate(timeout=60)[0] == 'True\nheld\n'
