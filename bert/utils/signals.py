"""The signals that ask a program to stop in order, and the one that ends it with its parent."""
import contextlib
import ctypes
import os
import signal
import threading
from typing import Callable, Iterator, Optional

__all__ = ['end_with_parent', 'stop_signals']

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stop_signals(note: Callable[[int], None]) -> Iterator[None]:
    """While the block runs, ``note(number)`` takes Ctrl-C, SIGTERM and SIGHUP, if this is the main
    thread; others get no signals.

    SIGHUP, of a terminal that is closed, stays ignored if it is, as by nohup; after another signal
    it is dropped, because it may come twice.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived = []

    def handle(number, frame):
        if number != signal.SIGHUP or not arrived:
            arrived.append(number)
            note(number)

    before = {number: signal.signal(number, handle) for number in _STOP
              if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent(parent: Optional[int] = None) -> None:
    """For a new process: let the kernel end it when its parent dies (Linux' prctl).

    ``parent`` is the parent's number; if that has died already, the process ends at once.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if parent and os.getppid() != parent:
        os._exit(1)
