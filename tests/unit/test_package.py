"""What setup.py installs: all modules and data, a command for each program, bounded versions."""
import importlib
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import ROOT
from unit.test_layout import PROGRAMS


@pytest.fixture
def package(monkeypatch):
    """The arguments that setup.py gives to setuptools, which is not imported."""
    arguments = {}
    monkeypatch.setitem(sys.modules, 'setuptools', SimpleNamespace(setup=arguments.update))
    monkeypatch.chdir(ROOT)
    runpy.run_path('setup.py')
    return arguments


def folder_of(package, module):
    """Where a module or package that is installed as ``bert.x`` stands in the checkout."""
    for name, folder in package['package_dir'].items():
        if (module + '.').startswith(name + '.'):
            module = folder + module[len(name):]
    return Path(module.replace('.', '/'))


def test_all_files_are_installed(package):
    installed = {path for name in package['packages']
                 for pattern in ('*.py', *package['package_data'].get(name, ()))
                 for path in folder_of(package, name).glob(pattern) if path.is_file()}
    present = {path for top in ('bert', 'export', 'scripts') for path in Path(top).rglob('*')
               if path.is_file() and '__pycache__' not in path.parts}
    assert present - installed == {Path('scripts/install_horovod.sh')}
    for name in package['packages']:
        assert (folder_of(package, name) / '__init__.py').is_file(), name


def test_each_program_is_a_command(package):
    found = set()
    for line in package['entry_points']['console_scripts']:
        command, module, function = re.fullmatch(r'(\S+) = (\S+):(\w+)', line).groups()
        path = folder_of(package, module)
        assert command == 'bert-' + path.name.replace('_', '-')
        assert callable(getattr(importlib.import_module('.'.join(path.parts)), function))
        found.add(f'{path}.py')
    assert found == set(PROGRAMS) - {'scripts/embedding.py'}     # that one is bert/embedding.py


def test_versions_have_an_upper_bound(package):
    """What MXNet 1.9.1 and gluonnlp 0.10.0 were not tried with is not installed."""
    lists = [package['install_requires'], *package['extras_require'].values()]
    assert [one for some in lists for one in some if not re.search('<|==', one.split(';')[0])] == []
