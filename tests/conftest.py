"""What tests share: where the checkout is, and programs run as a user runs them."""
import os
import subprocess
import sys

import pytest
from helpers import ROOT

import bert  # noqa: F401  (the numpy aliases, before anything imports MXNet)


@pytest.fixture
def program():
    """Run a script of the checkout as a process: program('scripts/x.py', '--flag') -> result."""
    def call(script, *args, launcher=(), check=None, **kwargs):
        env = dict(os.environ, BERT_OFFLINE='1', **kwargs.pop('env', {}))
        result = subprocess.run([*launcher, sys.executable, os.path.join(ROOT, script), *args],
                                capture_output=True, env=env, text=True,
                                timeout=600, **kwargs)
        assert check is None or result.returncode == check, result.stdout + result.stderr
        return result
    return call
