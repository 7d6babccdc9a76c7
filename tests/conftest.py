"""Fixtures of several files: programs run as a user runs them, the tiny model's vocabulary."""
import faulthandler
import io
import subprocess
import sys

import pytest
from helpers import TINY, command_of

from bert.text import tokenizer


def pytest_unconfigure():
    """Let a process of pytest that cannot exit say what it waits for, and fail."""
    faulthandler.dump_traceback_later(120, exit=True, file=sys.__stderr__)


@pytest.fixture
def program():
    """Run a script of the checkout as a process: program('scripts/x.py', '--flag') -> result."""
    def call(script, *arguments, launcher=(), check=None, env=(), **kwargs):
        command = command_of(script, *arguments)
        result = subprocess.run([*launcher, *command['args']], capture_output=True, text=True,
                                env=dict(command['env'], **dict(env)), timeout=600, **kwargs)
        assert check is None or result.returncode == check, result.stdout + result.stderr
        return result
    return call


@pytest.fixture
def give_input(monkeypatch):
    """Let standard input be these bytes, which text functions decode in ``encoding``."""
    def give(content, encoding='utf-8'):
        monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(content), encoding))
    return give


@pytest.fixture(scope='session')
def tok():
    """The tokenizer of the tiny model."""
    return tokenizer.load(TINY)
