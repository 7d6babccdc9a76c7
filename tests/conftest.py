"""Fixtures of several files: programs run as a user runs them, the tiny model's vocabulary."""
import faulthandler
import io
import os
import subprocess
import sys

import pytest
from helpers import TINY, command_of

from bert.text import tokenizer

# in the reasons of the skips that BERT_NO_SKIPS=1, as in .ci/run, allows
ALLOWED = 'AVX', 'CUDA', 'torch is not installed', 'not permitted'


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Of a test: its marks and what it calls."""
    return allowed((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Of a file: what is skipped where it is imported."""
    return allowed((yield))


def allowed(report):
    """The report, failed where it is that of a skip which is not allowed."""
    if isinstance(report.longrepr, tuple) and os.environ.get('BERT_NO_SKIPS') == '1':
        path, line, reason = report.longrepr
        if not any(word in reason for word in ALLOWED):
            report.outcome, report.longrepr = 'failed', f'BERT_NO_SKIPS=1: {path}:{line}: {reason}'
    return report


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
