"""Ends a parameter-server job that was started without scripts/launch.py when a process dies.

ps-lite waits forever for a process that has died.  So the scheduler listens on a second port, to
which every server and worker keeps a connection: the kernel closes it when a process dies, and
drops it when the other host stops answering.  Then every process logs which one is gone, and ends.
"""
import contextlib
import os
import socket
import sys
import threading
import time
from typing import Callable, List, Optional, Tuple

__all__ = ['LAUNCHED', 'Scheduler', 'Member', 'start', 'join']

LAUNCHED = 'BERT_LAUNCHED'      # a variable that launch.py, which watches itself, sets
SILENCE = 25                    # seconds without an answer after which a host counts as lost
PATIENCE = 5                    # seconds to wait for an answer from the second port
_JOIN, _DONE, _FAILED = 'gluon-bert join ', 'gluon-bert done', 'gluon-bert failed '
_PORTS = 10000                  # between the scheduler's two ports
_member = None                  # this process's


def start() -> None:
    """Watch over this process; call it before importing MXNet, which serves and exits.

    A worker is watched from here on: one that fails before it has a KVStore ends the job, too.
    """
    role, address = os.environ.get('DMLC_ROLE'), _address()
    if role in ('server', 'worker'):
        join(role)
    elif role == 'scheduler' and address:
        try:
            Scheduler(socket.create_server(address), int(os.environ.get('DMLC_NUM_WORKER') or 1))
        except OSError as error:
            _log(f'nothing watches over this job: port {address[1]}: {error.strerror}')


def join(role: str) -> Optional['Member']:
    """Let this process be watched, once; returns None if launch.py watches over it."""
    global _member
    address = _address()
    if address and _member is None:
        _member = Member(address, role)
    return _member


def _address():
    """(host, port) on which the scheduler watches; None without a scheduler or with launch.py."""
    with contextlib.suppress(KeyError, ValueError):
        port = int(os.environ['DMLC_PS_ROOT_PORT'])
        if not os.environ.get(LAUNCHED):
            port += _PORTS if port + _PORTS < 1 << 16 else -_PORTS
            return os.environ['DMLC_PS_ROOT_URI'], port
    return None


def _listen(connection: socket.socket, on_line: Callable[[str], None]) -> str:
    """Call ``on_line`` with each line until the connection ends; returns why it ended.

    The result follows the other side's name in a message.
    """
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5),
                          (socket.TCP_KEEPCNT, 3), (socket.TCP_USER_TIMEOUT, SILENCE * 1000)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        with connection.makefile('r', encoding='utf-8', errors='replace') as lines:
            for line in lines:
                on_line(line.rstrip('\n'))
    except ConnectionError:
        pass
    except OSError:
        return 'does not answer; check the network between the hosts.'
    return 'is gone: its process has ended.'


def _send(connection, text):
    with contextlib.suppress(OSError):      # the listening thread notices a closed connection
        connection.sendall(f'{text}\n'.encode())


def _log(text):
    print(f'{os.path.basename(sys.argv[0])}: {text}', file=sys.stderr, flush=True)


def _end(text):
    """End this process, whose main thread may wait forever."""
    _log(f'{text}  Ending this process, too')
    os._exit(1)


class Scheduler:
    """The scheduler's side: all members connect to it, and it ends the job when one is gone.

    Parameters
    ----------
    listener : socket.socket
        Listening already.
    workers : int
        The job is over once this many workers have left in order.
    """

    def __init__(self, listener: socket.socket, workers: int) -> None:
        self._listener, self._workers = listener, workers
        self._lock = threading.Lock()
        self._members: List[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._follow, args=(connection,), daemon=True).start()

    def _follow(self, connection):
        names = []                      # the last one is the best

        def on_line(line):
            if line == _DONE:
                self._leave()
            elif line.startswith(_JOIN):        # any other line is not from a member
                if not names:
                    with self._lock:
                        self._members.append(connection)
                    _send(connection, _JOIN)
                names.append(line[len(_JOIN):])
        fate = _listen(connection, on_line)
        with self._lock:
            if names and self._workers > 0:
                text = f'{names[-1]} {fate}'
                for member in self._members:
                    _send(member, _FAILED + text)
                _end(text)

    def _leave(self):
        with self._lock:
            self._workers -= 1
            if self._workers == 0:
                for member in self._members:
                    _send(member, _DONE)


class Member:
    """A server's or worker's side; the process ends when another one is gone.

    Parameters
    ----------
    address : (str, int)
        The host and port on which the scheduler watches.
    role : str
        The name of this process in messages.
    """

    def __init__(self, address: Tuple[str, int], role: str) -> None:
        self._address, self._role, self._connection = address, role, None
        self._joined, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def rename(self, role: str) -> None:
        """Change the name of this process in messages; warns if the scheduler does not watch."""
        self._role = role
        if self._joined.wait(PATIENCE):
            self._introduce()
        else:
            host, port = self._address
            _log(f'{role}: nothing watches over this job, port {port} of {host} does not answer; '
                 'start the scheduler with this program, too')

    def close(self) -> None:
        """Leave the job in order: wait until all workers do."""
        if self._joined.is_set():
            _send(self._connection, _DONE)
            self._over.wait()

    def _introduce(self):
        _send(self._connection,
              f'{_JOIN}{self._role} on {socket.gethostname()} (process {os.getpid()})')

    def _run(self):
        while self._connection is None:
            try:
                self._connection = socket.create_connection(self._address, timeout=5)
            except OSError:             # the scheduler may come later
                time.sleep(1)
        self._introduce()
        fate = _listen(self._connection, self._hear)
        if self._joined.is_set() and not self._over.is_set():
            _end(f'the scheduler on {self._address[0]} {fate}')

    def _hear(self, line):
        if line == _JOIN:
            self._joined.set()
        elif line == _DONE:
            self._over.set()
        elif line.startswith(_FAILED):
            _end(line[len(_FAILED):])
