"""What ``import bert`` does to the process."""
import os
import resource
import subprocess
import sys
import threading

import pytest
from helpers import ROOT

import bert


def child(code, **env):
    ours = ('OMP_NUM_THREADS', 'MXNET_MKLDNN_CACHE_NUM')    # import bert in this process set them
    env = {**{k: v for k, v in os.environ.items() if k not in ours}, **env}
    return subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=env, check=True,
                          capture_output=True, text=True).stdout.strip()


def test_mxnet_imports_after_it():
    assert child('import bert, mxnet; print(mxnet.__version__)') == '1.9.1'


def test_it_imports_no_mxnet_and_gives_the_aliases():
    code = 'import bert, sys, numpy; print("mxnet" in sys.modules, numpy.bool is bool)'
    assert child(code) == 'False True'


@pytest.mark.parametrize('package, name', [('sklearn.base', 'BaseEstimator'),
                                           ('scipy.stats', 'entropy')])
def test_mxnet_does_without_large_packages_unless_they_are_there(package, name):
    code = f'import bert, mxnet, sys; print({package!r} in sys.modules)'
    assert child(code) == 'False'
    code += f'\nfrom {package} import {name}; print({name}.__name__)'
    assert child(code) == f'False\n{name}'


def test_mxnet_takes_large_packages_that_were_imported_before():
    code = ('import bert, scipy.stats, sklearn, mxnet; q = mxnet.contrib.quantization\n'
            'print(q.stats is scipy.stats, mxnet.model.BASE_ESTIMATOR.__name__)')
    assert child(code) == 'True BaseEstimator'


def test_what_mxnet_keeps_is_bounded():
    code = 'import bert, os; print(os.environ["MXNET_MKLDNN_CACHE_NUM"])'
    assert child(code) == '16' and child(code, MXNET_MKLDNN_CACHE_NUM='-1') == '-1'


def test_the_number_of_threads_is_set_unless_it_is_given():
    code = ('import bert, os; from bert.utils.processors import share\n'
            'print(os.environ["OMP_NUM_THREADS"], share())')
    threads, cores = child(code).split()
    assert threads == cores and child(code, OMP_NUM_THREADS='77').split()[0] == '77'


def test_freed_memory_is_kept():
    """Large memory that replaces what was freed has its pages.

    These are bytes: numpy asks for huge pages, of which the kernel may have some.
    """
    code = ('import bert, resource\n'
            'def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n'
            'size = 1 << 26; b"x" * size\n'
            'before = faults(); b"x" * size; print(faults() - before)')
    assert int(child(code)) < 100 < int(child(code, MALLOC_ARENA_MAX='4'))


@pytest.mark.parametrize('limit, package', [(60, 'numpy'), (120, 'MXNet'), (740, 'MXNet')])
def test_a_limit_below_what_a_program_needs_to_start(limit, package):
    """Without the check numpy has a traceback of fifty lines, and MXNet crashes or hangs."""
    result = subprocess.run(
        ['sh', '-c', f'ulimit -v {limit << 10}; exec "$0" -c "import bert, mxnet"', sys.executable],
        cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS='1'), capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == ''
    assert result.stderr.count('\n') == 1
    assert f'ulimit -v, is {limit} MB, but {package} needs ' in result.stderr


@pytest.mark.parametrize('threads, processors, need', [
    ('1', 4, 750), ('2', 4, 990), ('9', 4, 1470), ('', 4, 1470), ('x', 2, 990), ('0', 1, 750)])
def test_each_thread_needs_memory_to_start(monkeypatch, threads, processors, need):
    monkeypatch.delenv('OPENBLAS_NUM_THREADS', raising=False)
    monkeypatch.setenv('OMP_NUM_THREADS', threads)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: range(processors))
    limit = [need << 20]
    monkeypatch.setattr(resource, 'getrlimit', lambda which: (limit[0], -1))
    bert._check_memory('mxnet')
    limit[0] = -1
    bert._check_memory('mxnet')
    limit[0] = need - 1 << 20
    with pytest.raises(SystemExit, match=f'MXNet needs {need} MB'):
        bert._check_memory('mxnet')


def test_a_limit_on_threads_below_what_mxnet_starts(monkeypatch):
    before, start = threading.active_count(), threading.Thread.start

    def limited(thread):
        if threading.active_count() > before + 4:
            raise RuntimeError("can't start new thread")
        start(thread)
    monkeypatch.setattr(threading.Thread, 'start', limited)
    with pytest.raises(SystemExit, match='no more than 5 threads could be started'):
        bert._check_threads()
    bert._check_threads(3)
    assert threading.active_count() == before
