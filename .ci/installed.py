"""Run each command of the installed package with --help, and import all of its modules."""
import importlib
import os
import pkgutil
import subprocess
import sys
from importlib.metadata import distribution

import bert

for entry in distribution('gluon-bert').entry_points:
    command = os.path.join(os.path.dirname(sys.executable), entry.name)
    assert 'usage: ' in subprocess.check_output([command, '--help'], text=True), entry.name
for module in pkgutil.walk_packages(bert.__path__, 'bert.'):
    # the peers' half of benchmark.py is run as a folder, by an interpreter with PyTorch
    if not module.name.startswith('bert.scripts.benchmarking.peer.'):
        importlib.import_module(module.name)
