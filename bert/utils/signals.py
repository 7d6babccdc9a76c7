"""The signals that ask a program to stop in order."""
import contextlib
import signal
from typing import Callable, Iterator

__all__ = ['stop_signals']

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stop_signals(note: Callable[[int], None]) -> Iterator[None]:
    """While the block runs, ``note(number)`` takes Ctrl-C, SIGTERM and SIGHUP.

    SIGHUP, of a terminal that is closed, stays ignored if it is, as by nohup; after another signal
    it is dropped, because it may come twice.
    """
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
