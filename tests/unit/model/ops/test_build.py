"""Building the operators: the cache, and every way in which it cannot be done."""
import errno
import logging
import os
import platform
import shutil
import subprocess
import sys
import threading
import time

import pytest
from helpers import ROOT

from bert.model import ops
from bert.model.ops import build

# Answers --version, else writes a line to $LOG and something to the file after -o.
COMPILER = '''#!/bin/sh
if [ "$1" = --version ]; then echo "fake 1.0"; exit; fi
while [ "$1" != -o ]; do shift; done
sleep 0.05; echo "$2" >> "$LOG"; echo built > "$2"
'''


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A fake compiler and an empty cache; returns the compiler's path."""
    path = tmp_path / 'c++'
    path.write_text(COMPILER)
    path.chmod(0o755)
    monkeypatch.delenv('BERT_OPS', raising=False)
    monkeypatch.setenv('CXX', str(path))
    monkeypatch.setenv('LOG', str(tmp_path / 'log'))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return path


def reason():
    with pytest.raises(build.Unavailable) as caught:
        build.library()
    assert '\n' not in str(caught.value)
    return str(caught.value)


def outputs(tmp_path):
    return (tmp_path / 'log').read_text().splitlines()


def test_builds_once_and_privately(compiler, tmp_path):
    path = build.library()
    assert path.startswith(str(tmp_path / 'cache' / 'gluon-bert' / 'operators-'))
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    count = len(outputs(tmp_path))
    assert build.library() == path and len(outputs(tmp_path)) == count
    assert sorted(os.listdir(os.path.dirname(path))) == sorted(
        [os.path.basename(path)])


def test_a_change_of_anything_builds_anew(compiler, tmp_path, monkeypatch):
    paths = {build.library()}
    another = tmp_path / 'another'
    shutil.copy(compiler, another)
    monkeypatch.setenv('CXX', str(another))
    paths.add(build.library())
    monkeypatch.setattr(build, '_cpu', lambda: 'another')
    paths.add(build.library())
    monkeypatch.setattr(build, 'FLAGS', build.FLAGS + ['-O2'])
    paths.add(build.library())
    copy = tmp_path / 'ops'
    shutil.copytree(build.HERE, copy)
    monkeypatch.setattr(build, 'HERE', str(copy))
    assert build.library() in paths
    with open(copy / 'dropout.h', 'a', encoding='utf-8') as f:
        f.write('// changed\n')
    paths.add(build.library())
    assert len(paths) == 5


@pytest.mark.slow
def test_two_processes_at_once(compiler, tmp_path):
    code = 'import bert; from bert.model.ops import build; print(build.library())'
    started = [subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, text=True,
                                stdout=subprocess.PIPE) for _ in range(3)]
    paths = {process.communicate(timeout=120)[0].strip() for process in started}
    assert len(paths) == 1 and os.path.exists(paths.pop())
    names = [os.path.basename(name) for name in outputs(tmp_path)]
    assert len(names) == len(set(names))


def test_no_compiler(compiler, monkeypatch, tmp_path):
    monkeypatch.delenv('CXX')
    monkeypatch.setenv('PATH', str(tmp_path / 'nothing'))
    assert 'no C++ compiler; install g++' in reason()
    monkeypatch.setenv('CXX', 'no-such-compiler -x')
    assert 'the compiler no-such-compiler does not run (No such file' in reason()


@pytest.fixture
def read_only(monkeypatch):
    """Files can be neither made nor touched."""
    opened = os.open

    def open_existing(path, how, *args, **options):
        if how & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, how, *args, **options)

    def refuse(path, *args):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
    monkeypatch.setattr(os, 'open', open_existing)
    for name in 'utime', 'remove', 'unlink', 'rmdir':
        monkeypatch.setattr(os, name, refuse)


def test_a_built_library_needs_no_compiler_and_no_disk_to_write_to(
        compiler, monkeypatch, tmp_path, request):
    path = build.library()
    compiler.unlink()
    assert build.library() == path
    monkeypatch.delenv('CXX')
    monkeypatch.setenv('PATH', str(tmp_path / 'nothing'))
    assert build.library() == path
    os.utime(path, (0, 0))
    request.getfixturevalue('read_only')
    assert build.library() == path
    monkeypatch.setenv('CXX', 'another')
    assert 'the compiler another does not run' in reason()


def test_a_damaged_library_is_not_used_without_a_compiler(compiler, monkeypatch, tmp_path):
    path = build.library()
    with open(path, 'ab') as f:
        f.write(b'X')
    monkeypatch.delenv('CXX')
    monkeypatch.setenv('PATH', str(tmp_path / 'nothing'))
    assert 'no C++ compiler' in reason()


def test_failing_compiler(compiler, tmp_path):
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit\n'
                        'echo "a note"; echo "x.cc:1: error: boom" >&2; exit 1\n')
    assert 'could not build them (x.cc:1: error: boom)' in reason()
    assert os.listdir(tmp_path / 'cache' / 'gluon-bert') == []
    compiler.write_text('#!/bin/sh\necho "error: no licence"; exit 2\n')
    assert 'does not run (error: no licence)' in reason()


@pytest.mark.parametrize('code', [errno.EAGAIN, errno.ENOMEM])
@pytest.mark.parametrize('first', [True, False])
def test_no_process_for_the_compiler(compiler, monkeypatch, code, first):
    run = subprocess.run

    def refuse(command, **options):
        if first or '--version' not in command:
            raise OSError(code, os.strerror(code))
        return run(command, **options)
    monkeypatch.setattr(subprocess, 'run', refuse)
    assert reason() == (
        f'no process could be started for the compiler {compiler} ({os.strerror(code)}); raise '
        'the limits on processes (ulimit -u) and memory (ulimit -v), or run fewer programs at once')


def test_a_compiler_without_room(compiler, monkeypatch):
    message = "g++: fatal error: cannot execute 'cc1plus': vfork: Resource temporarily unavailable"
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit\necho "{message}" >&2; exit 1\n')
    assert f'could not build them ({message}); raise the limits on' in reason()

    def refuse(self):
        raise RuntimeError("can't start new thread")
    monkeypatch.setattr(threading.Thread, 'start', refuse)
    assert "they could not be built (can't start new thread); raise the limits on" in reason()


def test_slow_compiler(compiler, monkeypatch):
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit\nexec sleep 60\n')
    monkeypatch.setattr(build, 'TIMEOUT', 0.2)
    assert 'took over' in reason()


def test_cache_that_cannot_be_used(compiler, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert 'set XDG_CACHE_HOME to a folder that can be written' in reason()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    (tmp_path / 'gluon-bert').mkdir()
    (tmp_path / 'gluon-bert').chmod(0o777)
    assert 'can be written by other users' in reason()
    (tmp_path / 'gluon-bert').chmod(0o700)
    monkeypatch.setattr(os, 'getuid', lambda: 12345)
    assert 'belongs to another user' in reason()


def test_a_build_needs_no_lock_between_processes(compiler, monkeypatch):
    def lock(*args):        # as where /dev/shm cannot be written
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    monkeypatch.setattr('_multiprocessing.SemLock', lock)
    assert os.path.exists(build.library())


def test_wrong_machine_and_wrong_mxnet(compiler, tmp_path, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(platform, 'machine', lambda: 'aarch64')
        assert 'Linux on aarch64' in reason()
    folder = tmp_path / 'mxnet'
    monkeypatch.setattr(build, '_mxnet_folder', lambda: str(folder))
    assert 'lib_api.h: No such file' in reason()
    for name in ('include/mxnet/lib_api.h', 'src/lib_api.cc'):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text('of another version')
    assert "lib_api.cc is not that of 1.9" in reason()


def test_load_notices_once(compiler, caplog, monkeypatch):
    monkeypatch.setattr(ops, '_loaded', None)
    monkeypatch.setenv('BERT_OPS', '0')
    with caplog.at_level(logging.INFO):
        assert ops.load() is False and ops.load() is False
    assert len(caplog.messages) == 1 and 'BERT_OPS=0' in caplog.messages[0]


def test_library_that_does_not_load(compiler, caplog, monkeypatch):
    """The fake compiler's output is no library: a notice, not an error."""
    monkeypatch.setattr(ops, '_loaded', None)
    assert ops.load() is False
    notices = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(notices) == 1 and 'does not load' in notices[0]


def test_a_disk_without_programs(compiler, caplog, monkeypatch):
    monkeypatch.setattr(ops, '_loaded', None)
    status = os.statvfs('/')
    monkeypatch.setattr(os, 'statvfs', lambda path: os.statvfs_result(
        [*status[:8], status.f_flag | os.ST_NOEXEC, *status[9:]]))
    assert ops.load() is False
    assert caplog.messages[-1].endswith('noexec: set XDG_CACHE_HOME to a folder on another')


def test_a_cache_whose_name_is_not_utf_8(compiler, caplog, monkeypatch, tmp_path):
    monkeypatch.setattr(ops, '_loaded', None)
    monkeypatch.setenv('XDG_CACHE_HOME', os.fsdecode(os.fsencode(tmp_path) + b'/\xff'))
    assert ops.load() is False
    assert 'names in UTF-8; set XDG_CACHE_HOME to a folder that has one' in caplog.messages[-1]


def test_what_a_compiler_prints_may_be_in_any_encoding(compiler):
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit\n'
                        "printf 'error: \\377' >&2; exit 1\n")
    assert 'could not build them (error: \ufffd)' in reason()


def test_a_damaged_library_is_built_again(compiler, tmp_path):
    path = build.library()
    with open(path, 'rb') as f:
        whole = f.read()
    for damaged in (b'', whole[:-1], whole[:5] + b'X' + whole[6:]):
        with open(path, 'wb') as f:
            f.write(damaged)
        assert build.library() == path
        with open(path, 'rb') as f:
            assert f.read() == whole


def test_what_nobody_needs_is_removed(compiler, tmp_path):
    folder = tmp_path / 'cache' / 'gluon-bert'
    path = build.library()
    for name in 'build-killed', 'build-live':
        (folder / name).mkdir()
        (folder / name / 'x.o').write_text('')
    os.utime(folder / 'build-killed', (0, time.time() - 3 * build.TIMEOUT - 1))
    for name, days in (('operators-old.so', 31), ('operators-other.so', 29)):
        (folder / name).write_text('')
        os.utime(folder / name, (0, time.time() - days * 24 * 3600))
    os.utime(path, (0, 0))
    assert build.library() == path
    assert sorted(os.listdir(folder)) == sorted(
        [os.path.basename(path), 'build-live', 'operators-other.so'])


def test_a_compiler_that_is_no_command(compiler, monkeypatch):
    monkeypatch.setenv('CXX', '"')
    assert 'CXX=" is not a command (No closing quotation)' in reason()
