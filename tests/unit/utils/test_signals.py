"""Signals that ask a program to stop."""
import os
import signal
import threading

from bert.utils.signals import stop_signals


def test_signals_are_noted_and_handlers_restored():
    before, noted = signal.getsignal(signal.SIGTERM), []
    with stop_signals(noted.append):
        os.kill(os.getpid(), signal.SIGTERM)
    assert noted == [signal.SIGTERM] and signal.getsignal(signal.SIGTERM) is before


def test_a_thread_runs_without_them():
    done = []

    def work():
        with stop_signals(done.append):
            done.append('done')
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ['done']
