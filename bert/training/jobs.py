"""One host's part of a job on several hosts: it runs processes and watches over the other hosts.

Used by scripts/launch.py.  Each host is connected to the one that started the job, and they send
each other a heartbeat every two seconds; a host that sees a failure reports it to the others.
"""
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ..utils.processors import available
from ..utils.signals import end_with_parent
from .watch import LAUNCHED

__all__ = ['Host', 'Part', 'log', 'threads', 'wait']

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# the command of servers and the scheduler: `import mxnet` serves until the job ends
SERVE = [sys.executable, '-c', f'import sys; sys.path.insert(0, {ROOT!r}); import bert, mxnet']
GRACE = 5           # seconds for processes to end after SIGTERM
STOP_GRACE = 30     # seconds for the other workers to stop after the first one has stopped
SILENCE = 20        # seconds without a message from a host after which it counts as lost
ENDED = 'ending all other processes'


class Host:
    """The connection to another host of the job."""

    def __init__(self, connection: socket.socket, name: str = '') -> None:
        self.name, self.heard, self.done = name, time.monotonic(), False
        self.messages: queue.Queue[Tuple[str, str]] = queue.Queue()
        self._connection = connection
        connection.settimeout(None)
        for target in self._read, self._beat:
            threading.Thread(target=target, daemon=True).start()

    def send(self, kind: str, text: str = '') -> bool:
        """Send a message; False where the connection is closed."""
        try:
            self._connection.sendall((json.dumps([kind, text]) + '\n').encode())
        except OSError:
            return False
        return True

    def received(self) -> Iterator[Tuple[str, str]]:
        """The messages since the last call; ('closed', '') is the last one."""
        while not self.messages.empty():
            yield self.messages.get()

    def _beat(self):
        while self.send('here'):
            time.sleep(2)

    def _read(self):
        try:
            with self._connection.makefile('r', encoding='utf-8') as lines:
                for line in lines:
                    self.heard = time.monotonic()
                    kind, text = json.loads(line)
                    if kind != 'here':
                        self.messages.put((kind, text))
        except (OSError, ValueError):
            pass
        self.messages.put(('closed', ''))


class Part:
    """One host's processes of a job; they run until the job ends everywhere.

    Parameters
    ----------
    job : dict
        host (its name, '' where the job has no other), roles ('scheduler', 'server 0', 'worker
        3', ...), env (variables for all of them) and command (of a worker, a list).
    hosts : list of Host
        The other hosts; where ``joined``, the one that started the job.
    signals : list of int
        Signals that this process receives are appended to it; the first asks the workers to save
        and stop, the second ends them.
    """

    def __init__(self, job: Dict[str, Any], hosts: List[Host], signals: List[int],
                 joined: bool = False) -> None:
        self._job, self._hosts, self._signals, self._joined = job, hosts, signals, joined
        self._processes: Dict[str, subprocess.Popen] = {}
        self._asked = self._first_stopped = None
        self._reported = self._told = False

    def run(self) -> int:
        """Start the processes and watch over them; returns the exit code of the job."""
        try:
            self._start()
            while True:
                ended = self._listen() or self._pass_on_signals() or self._look()
                if ended is not None:
                    text, code = ended
                    if text:
                        log(text)
                    self._send_all('failed' if code else 'end', text)
                    return code
                time.sleep(0.1)
        finally:
            self._end()

    def _start(self):
        env = dict(os.environ, **self._job['env'])
        count = sum(role.startswith('worker') for role in self._job['roles'])
        share = max(1, available() // max(1, count))
        env['OMP_NUM_THREADS'] = str(min(threads(env, share), share))
        where = f" on {self._job['host']}" if self._job['host'] else ''
        for role in self._job['roles']:
            kind = role.split()[0]
            # in a session of its own: only this process gets Ctrl-C, and passes it to workers
            self._processes[role + where] = subprocess.Popen(
                self._job['command'] if kind == 'worker' else SERVE,
                env=dict(env, DMLC_ROLE=kind, **{LAUNCHED: '1'}), start_new_session=True,
                preexec_fn=end_with_parent)

    def _workers(self):
        return {name: p for name, p in self._processes.items() if name.startswith('worker')}

    def _send_all(self, kind, text=''):
        for host in self._hosts:
            host.send(kind, text)

    def _listen(self) -> Optional[Tuple[str, int]]:
        """Handle the other hosts' messages; returns (line, exit code) if they end the job here."""
        for host in self._hosts:
            for kind, text in host.received():
                if kind == 'failed':
                    return text, 1
                if kind == 'end':
                    return '', self._code()
                if kind == 'stop' and not self._signals:
                    self._signals.append(int(text))
                if kind == 'done':
                    host.done = True
                if kind == 'closed' and not host.done:
                    return f'{host.name} is gone, its launcher has ended; {ENDED}', 1
            if time.monotonic() - host.heard > SILENCE:
                return (f'no message from {host.name} for {SILENCE} s: check the network between '
                        f'the hosts; {ENDED}', 1)
        return None

    def _pass_on_signals(self):
        if len(self._signals) > 1:
            return '', 128 + self._signals[1]
        if self._signals and self._asked is None:
            self._asked = self._signals[0]
            self._send_all('stop', str(self._asked))
            for process in self._workers().values():
                if process.poll() is None:
                    process.send_signal(self._asked)
        return None

    def _look(self):
        """Check the processes; returns (line, exit code) if the job ends."""
        workers = self._workers()
        for name, process in self._processes.items():
            code = process.poll()
            if code and not (self._asked and name in workers):  # workers that stop as asked
                how = 'was killed by signal' if code < 0 else 'ended with exit code'
                return (f'{name} (process {process.pid}) {how} {abs(code)}; {ENDED}',
                        _positive(code))
        running = [name for name, process in workers.items() if process.poll() is None]
        if self._asked and len(running) < len(workers):
            self._first_stopped = self._first_stopped or time.monotonic()
            waited = time.monotonic() - self._first_stopped
            if running and waited > GRACE and not self._told:
                self._told = True
                log(f"waiting for {', '.join(running)} to stop, at most {STOP_GRACE} s")
            if running and waited > STOP_GRACE:
                return (f"{', '.join(running)} did not stop within {STOP_GRACE} s of the others; "
                        'ended now', 128 + self._asked)
        if running:
            return None
        if self._joined and not self._reported:
            self._reported = self._hosts[0].send('done')
        if not self._joined and all(host.done for host in self._hosts):
            self._send_all('end')
            return '', self._code()
        return None

    def _code(self):
        """The exit code of the first worker here that failed, or 0."""
        return next((_positive(p.returncode) for p in self._workers().values() if p.returncode),
                    0)

    def _end(self):
        """End the processes that still run: servers do not end by themselves after the workers."""
        running = [process for process in self._processes.values() if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        limit = time.monotonic() + GRACE
        for process in running:
            wait(process, max(0, limit - time.monotonic()))


def _positive(code):
    """An exit code as shells report it: 128 + N for signal N."""
    return 128 - code if code < 0 else code


def threads(env: Mapping[str, str], default: int) -> int:
    """The threads that OMP_NUM_THREADS allows: of a list, which is for nested loops, the first."""
    first = env.get('OMP_NUM_THREADS', '').split(',')[0].strip()
    return (int(first) if first.isdecimal() else 0) or default      # what OpenMP ignores


def wait(process: subprocess.Popen, seconds: float) -> None:
    """Wait for a process to end, and kill it if it does not."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def log(text: str) -> None:
    """Print a line about the job."""
    print(f'launch.py: {text}', file=sys.stderr, flush=True)
