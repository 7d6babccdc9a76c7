"""What may import what, and that reading a program's --help needs no MXNet."""
import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

PROGRAMS = sorted(
    [os.path.join('scripts', name) for name in os.listdir(os.path.join(ROOT, 'scripts'))
     if name.endswith('.py') and name != '__init__.py']
    + ['bert/embedding.py'] * os.path.exists(os.path.join(ROOT, 'bert', 'embedding.py'))
    + ['export/export.py'] * os.path.exists(os.path.join(ROOT, 'export', 'export.py')))
MODULES = sorted(str(path.relative_to(ROOT)) for path in Path(ROOT, 'bert').rglob('*.py'))
# room -> the rooms that it may import, besides itself
ARROWS = {
    'utils': set(),
    'text': {'utils'},
    'metrics': {'utils'},
    'data': {'text', 'utils'},
    'model': {'utils'},
    'checkpoint': {'model', 'text', 'utils'},
    'training': {'checkpoint', 'data', 'model', 'utils'},
    'pretraining': {'checkpoint', 'model', 'text', 'training', 'utils'},
}
OPTIONAL = {'horovod', 'seqeval', 'sentencepiece', 'onnx', 'onnxruntime', 'tensorboardX',
            'matplotlib', 'pyarrow', 'torch', 'sklearn', 'scipy'}


def imports(path, top_level_only=False):
    """The modules that a file imports, under absolute names; ``bert.x`` for ``from . import x``."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        tree = ast.parse(f.read())
    package = os.path.dirname(path).split(os.sep)
    out = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            out.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            module = '.'.join(base + ([node.module] if node.module else []))
            out.add(module)
            out.update(module + '.' + alias.name for alias in node.names)
    return out


def room(module):
    """'bert.data.glue' -> 'data'; None outside the rooms."""
    parts = module.split('.')
    return parts[1] if parts[0] == 'bert' and len(parts) > 1 and parts[1] in ARROWS else None


@pytest.mark.parametrize('path', MODULES)
def test_the_package_imports_no_program(path):
    assert not [m for m in imports(path) if m.split('.')[0] in ('scripts', 'export', 'tests')
                or m.startswith(('bert.scripts', 'bert.export'))]


@pytest.mark.parametrize('path', PROGRAMS)
def test_programs_do_not_import_each_other(path):
    names = {os.path.splitext(os.path.basename(p))[0] for p in PROGRAMS} - {'embedding'}
    here = os.path.dirname(path)
    assert not [m for m in imports(path) if m.split('.')[-1] in names - {here}
                or m.split('.')[0] in {'scripts', 'export'} - {here}]


@pytest.mark.parametrize('path', [path for path in MODULES if path.count('/') > 1])
def test_imports_between_rooms_go_one_way(path):
    here = path.split(os.sep)[1]
    assert here in ARROWS, 'a room without a place in the table'
    assert {room(m) for m in imports(path)} - {None, here} <= ARROWS[here]


def test_the_table_of_rooms_has_no_circle():
    order = list(ARROWS)
    assert all(order.index(below) < order.index(here) for here in order for below in ARROWS[here])


@pytest.mark.parametrize('path', MODULES + PROGRAMS)
def test_optional_packages_are_imported_where_they_are_used(path):
    assert not {m.split('.')[0] for m in imports(path, top_level_only=True)} & OPTIONAL


@pytest.mark.parametrize('path', PROGRAMS)
def test_help_needs_no_mxnet(path, tmp_path):
    for name in ('mxnet', 'gluonnlp'):
        (tmp_path / (name + '.py')).write_text('raise SystemExit("imported")\n', encoding='utf-8')
    result = subprocess.run([sys.executable, os.path.join(ROOT, path), '--help'], cwd=str(tmp_path),
                            env=dict(os.environ, PYTHONPATH=str(tmp_path)), capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    assert 'usage:' in result.stdout


def test_a_missing_mxnet_is_told_in_one_line(tmp_path):
    (tmp_path / 'mxnet.py').write_text(
        'raise ModuleNotFoundError("No module named \'mxnet\'", name="mxnet")\n', encoding='utf-8')
    result = subprocess.run(
        [sys.executable, os.path.join(ROOT, 'scripts', 'finetune_classifier.py'), '--task_name',
         'sample', '--output_dir', str(tmp_path / 'out')],
        env=dict(os.environ, PYTHONPATH=str(tmp_path)), capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.count('\n') == 1 and 'pip install "gluon-bert[cpu]"' in result.stderr
