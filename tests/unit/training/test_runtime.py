"""An orderly interruption."""
import signal
import time

import pytest

from bert.training.runtime import Interrupt


@pytest.fixture(autouse=True)
def hangup():
    """Under nohup, SIGHUP would be ignored from the start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_a_second_one_ends_the_process(number):
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(number)
        assert interrupt.requested and interrupt.exit_code == 128 + number
        signal.raise_signal(signal.SIGHUP)      # a closed terminal may send it twice
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(number) == before


def test_a_second_signal_after_the_message(capfd):
    printed, limit = '', time.monotonic() + 60
    with pytest.raises(KeyboardInterrupt), Interrupt(lambda: 'stopping'):
        signal.raise_signal(signal.SIGTERM)
        while '\n' not in printed and time.monotonic() < limit:     # a thread prints
            time.sleep(0.01)
            printed += capfd.readouterr().err
        signal.raise_signal(signal.SIGTERM)
    assert printed + capfd.readouterr().err == 'stopping\n'


def test_nohup_is_respected():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGHUP)
        assert not interrupt.requested
