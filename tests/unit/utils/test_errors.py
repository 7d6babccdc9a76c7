"""How programs end: one line for what a user can mend, and standard streams that may be closed."""
import os
import subprocess
import sys
import time

import pytest
from helpers import ROOT

from bert.utils import errors
from bert.utils.errors import DataError, _explain, install


def ends(code, redirection='', **env):
    """Run ``main`` of this code as a program, by a shell."""
    code = ('import bert, os, sys\nfrom bert.utils.errors import DataError, run\n'
            f'{code}\nrun(main)\n')
    return subprocess.run(['sh', '-c', f'exec "$0" -c "$1" {redirection}', sys.executable, code],
                          cwd=ROOT, env=dict(os.environ, **env), capture_output=True, timeout=60)


@pytest.mark.parametrize('error, line', [
    (DataError('x.txt:3: wrong', 'what to do: mend it'), 'x.txt:3: wrong\nwhat to do: mend it'),
    (DataError('x.txt: no token a\nb'), 'x.txt: no token a b'),
    (FileNotFoundError(2, 'No such file or directory', 'x'), 'x: No such file or directory'),
    (OSError('libx.so: cannot  open'), 'libx.so: cannot open'),
    (OSError(24, 'Too many open files', 'x'), 'raise the limit (ulimit -n)'),
    (BlockingIOError(11, 'Resource temporarily unavailable'), 'no thread or process'),
    (MemoryError(), 'not enough memory'),
    (RuntimeError('std::bad_alloc'), 'not enough memory'),
    (RuntimeError("can't start new thread"), 'no thread or process'),
    (RuntimeError('MXNetError: Resource temporarily unavailable'), 'no thread or process'),
    (RuntimeError('Size of tensor you are trying to allocate is larger than'), 'not enough memory'),
    (UnicodeEncodeError('utf-8', 'caf\udce9', 3, 4, 'x'), 'caf\udce9: not a name in UTF-8'),
    (ModuleNotFoundError(name='onnx.mapping'), '[onnx]"'),
    (ModuleNotFoundError(name='horovod'), f'Horovod is not installed on {os.uname().nodename}'),
    (ModuleNotFoundError(name='mxnet'), f' for {sys.executable}; install one build of it'),
])
def test_one_line_for_what_a_user_can_mend(error, line):
    assert line in _explain(error)


@pytest.mark.parametrize('error', [ValueError('x'), KeyError('x'),
                                   ModuleNotFoundError(name='bert.x')])
def test_faults_of_our_own_keep_their_traceback(error):
    assert _explain(error) is None


@pytest.mark.parametrize('redirection', ['<&-', '>&-', '2>&-', '<&- >&- 2>&-'])
def test_closed_streams_are_not_taken_by_other_files(redirection, tmp_path):
    path = tmp_path / 'file'
    code = (f'def main():\n    with open({str(path)!r}, "w") as f:\n'
            '        os.system("echo from C; echo from C >&2")\n'
            '        print("out"); print("err", file=sys.stderr); f.write("data")\n'
            '        assert sys.stdin.read() == ""\n')
    result = ends(code, redirection if '<' in redirection else redirection + ' </dev/null')
    assert result.returncode == 0, result.stderr
    assert path.read_text() == 'data'
    assert (b'out' in result.stdout) == ('>&-' not in redirection.replace('2>&-', ''))


def test_text_that_the_output_lacks_is_escaped():
    result = ends('def main():\n    print("caf\\u00e9 \\u4e2d \\udcff")', PYTHONIOENCODING='ascii')
    assert (result.returncode, result.stdout) == (0, b'caf\\xe9 \\u4e2d \\udcff\n')


def test_a_full_disk_behind_standard_output():
    result = ends('def main():\n    print("x" * 9999)', '>/dev/full')
    assert result.returncode == 1 and result.stderr.count(b'\n') == 1
    assert b'No space left' in result.stderr


@pytest.mark.parametrize('redirection, message', [
    ('| true', b''), ('>/dev/full', b'standard output cannot be written (No space left on device); '
                      b'going on without it\n')])
def test_a_report_does_not_need_a_reader(redirection, message, tmp_path):
    code = ('from bert.utils.errors import show\ndef main():\n    import time; time.sleep(0.5)\n'
            '    for _ in range(3): show("x")\n'
            f'    with open({str(tmp_path / "file")!r}, "w") as f: f.write("data")\n'
            '    return 3\n')
    result = ends(code, redirection)
    assert result.stderr == message and (tmp_path / 'file').read_text() == 'data'
    assert result.returncode == (0 if redirection == '| true' else 3)       # that of true


def test_a_worker_of_several_ends_while_the_error_is_handled():
    """Whatever main holds (a KVStore that waits for the others) is not freed before."""
    code = ('class Store:\n    def __del__(self):\n        print("freed", flush=True)\n'
            'def main():\n    store = Store()\n    raise DataError("the disk is full")')
    result = ends(code, DMLC_NUM_WORKER='2')
    assert (result.returncode, result.stdout) == (1, b'')
    assert result.stderr == b'-c: error: the disk is full\n'
    assert ends(code, DMLC_NUM_WORKER='1').stdout == b'freed\n'


def test_an_error_on_the_way_out_does_not_hide_the_lack_of_memory():
    result = ends('def main():\n    try:\n        raise MemoryError\n'
                  '    finally:\n        raise RuntimeError("cannot join thread")')
    assert result.returncode == 1
    assert result.stderr.startswith(b'-c: error: not enough memory') and \
        result.stderr.count(b'\n') == 1


THREAD, PROCESS, CALLBACK = (
    'threading.Thread(target=time.sleep, args=(30,)).start()',
    'multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,)).start()',
    'atexit.register(time.sleep, 30)')


@pytest.mark.slow
@pytest.mark.parametrize('left, ending, code', [
    (THREAD, 'return 0', 0), (PROCESS, 'return 0', 0), (CALLBACK, 'raise SystemExit(143)', 143),
    (THREAD, 'raise DataError("x")', 1), (PROCESS, 'raise KeyError', 1),
    (PROCESS, 'raise KeyboardInterrupt', 130)])
def test_what_is_left_does_not_keep_the_program_from_ending(left, ending, code):
    start = time.monotonic()
    result = ends('import atexit, multiprocessing, threading, time\n'
                  'from bert.utils import errors\nerrors.LEAVING = 1\n'
                  f'def main():\n    {left}\n    print("done")\n    {ending}', '>/dev/null 2>&1')
    assert result.returncode == code and time.monotonic() - start < 25


@pytest.mark.slow
def test_what_hangs_after_the_last_thread_ends_too():
    """As a C++ destructor may, on the way out of the process."""
    result = ends('import ctypes\nfrom bert.utils import errors\nerrors.LEAVING = 1\n'
                  'def main():\n    libc = ctypes.CDLL(None)\n'
                  '    libc.__cxa_atexit(libc.pause, None, None)\n    print("done")')
    assert (result.returncode, result.stdout) == (-14, b'done\n')


def test_lacking_threads_the_process_does_not_wait_for_others():
    result = ends('import threading, time\ndef main():\n'
                  '    threading.Thread(target=time.sleep, args=(600,)).start()\n'
                  '    raise RuntimeError("can\'t start new thread")')
    assert result.returncode == 1 and result.stderr.count(b'\n') == 1


@pytest.mark.parametrize('package, source', [('pytest', 'pytest'), ('no-such-package', ROOT)])
def test_what_installs_an_extra(monkeypatch, package, source):
    monkeypatch.setattr(errors, '_PACKAGE', package)    # one that is installed, and one that is not
    assert install('onnx') == f'pip install "{source}[onnx]"'
    assert install() == f'pip install "{source}"'
