"""Parameter-server jobs started by hand: all end when one process dies, and otherwise together."""
import os
import socket
import subprocess
import sys

import pytest
from helpers import ROOT

from bert.training import watch

MEMBER = '''if True:
    import sys
    from bert.training import watch
    member = watch.Member(('127.0.0.1', int(sys.argv[1])), 'worker')
    member.rename('worker ' + sys.argv[2])
    print('joined', flush=True)
    sys.stdin.readline()
    member.close()
'''
SCHEDULER = '''if True:
    import socket, sys
    from bert.training import watch
    listener = socket.create_server(('127.0.0.1', 0))
    print(listener.getsockname()[1], flush=True)
    watch.Scheduler(listener, 2)
    sys.stdin.readline()
'''


class Job:
    """A scheduler and two workers."""

    def __init__(self):
        self.processes = []
        self.start(SCHEDULER)
        port = self.processes[0].stdout.readline().strip()
        for rank in '01':
            self.start(MEMBER, port, rank)
        for worker in self.processes[1:]:
            assert worker.stdout.readline() == 'joined\n'

    def start(self, program, *words):
        self.processes.append(subprocess.Popen(
            [sys.executable, '-c', program, *words], stdin=subprocess.PIPE, text=True, cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def end(self, process):
        """(exit code, what it wrote to standard error)."""
        _, error = process.communicate(timeout=20)
        return process.returncode, error


@pytest.fixture
def job():
    job = Job()
    yield job
    for process in job.processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize('victim', [0, 2])
def test_everybody_ends_and_names_who_is_gone(job, victim):
    gone = job.processes.pop(victim)
    gone.kill()
    gone.communicate()
    name = (f'worker 1 on {socket.gethostname()} (process {gone.pid})' if victim
            else 'the scheduler on 127.0.0.1')
    for process in job.processes:
        process.wait(20)        # before its standard input is closed, which ends it in order
        assert job.end(process) == (
            1, f'-c: {name} is gone: its process has ended.  Ending this process, too\n')


def test_workers_leave_together_and_the_scheduler_after_them(job):
    scheduler, first, second = job.processes
    stranger = socket.create_connection(('127.0.0.1', int(first.args[-2])))
    stranger.sendall(b'GET / HTTP/1.1\r\n\r\n')
    stranger.close()
    first.stdin.write('\n')
    first.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0.5)
    assert job.end(second) == job.end(first) == (0, '')
    assert job.end(scheduler) == (0, '')


def test_a_scheduler_that_does_not_watch_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(watch, 'PATIENCE', 0.1)
    with socket.create_server(('127.0.0.1', 0)) as listener:    # accepts, but sends nothing
        member = watch.Member(listener.getsockname(), 'worker')
        member.rename('worker 0')
        member.close()
    assert 'worker 0: nothing watches over this job, port' in capsys.readouterr().err


@pytest.mark.parametrize('variables, address', [
    ({}, None), ({'DMLC_PS_ROOT_PORT': '9091'}, None), ({'DMLC_PS_ROOT_PORT': 'x'}, None),
    ({'DMLC_PS_ROOT_PORT': '9091', 'DMLC_PS_ROOT_URI': '10.0.0.1'}, ('10.0.0.1', 19091)),
    ({'DMLC_PS_ROOT_PORT': '60000', 'DMLC_PS_ROOT_URI': '10.0.0.1'}, ('10.0.0.1', 50000)),
    ({'DMLC_PS_ROOT_PORT': '9091', 'DMLC_PS_ROOT_URI': '10.0.0.1', watch.LAUNCHED: '1'}, None)])
def test_where_the_scheduler_watches(monkeypatch, variables, address):
    for name in list(os.environ):
        if name.startswith('DMLC_') or name == watch.LAUNCHED:
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert watch._address() == address
    if address is None:
        assert watch.join('worker') is None
