"""How the house is built: what may import what, what no file may do, where its tests stand."""
import ast
import functools
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
# package -> the packages that it may import, besides itself
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
SOURCES = sorted(str(path.relative_to(ROOT)) for folder in ('bert', 'scripts', 'export')
                 for path in Path(ROOT, folder).rglob('*.py'))
OPTIONAL = {'horovod', 'seqeval', 'sentencepiece', 'onnx', 'onnxruntime', 'tensorboardX',
            'matplotlib', 'pyarrow', 'torch', 'sklearn', 'scipy', 'tensorflow'}


@functools.lru_cache(maxsize=None)
def tree_of(path):
    """The syntax tree of a file of the checkout."""
    return ast.parse(Path(ROOT, path).read_text('utf-8'))


def imports(path, top_level_only=False):
    """The modules that a file imports, under absolute names; ``bert.x`` for ``from . import x``."""
    tree = tree_of(path)
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


def package_of(module):
    """'bert.data.glue' -> 'data'; None outside bert's packages."""
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
    assert here in ARROWS, 'a package without a place in the table'
    assert {package_of(m) for m in imports(path)} - {None, here} <= ARROWS[here]


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
    assert result.stderr.count('\n') == 1 and '[cpu]"' in result.stderr


def own_names(tree):
    """Every name that a file defines: functions, classes, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id


def private_names_of_others(path):
    """The names with one underscore that a file reads on, or imports from, what is not its own."""
    tree = tree_of(path)
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
            and not (isinstance(node.value, ast.Name) and node.value.id in ('self', 'cls'))}
    read |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
             for alias in node.names}
    public = {'_replace', '_asdict', '_fields', '_make', '_exit'}   # of named tuples, and of os
    if path == 'bert/pretraining/processes.py':     # no other way ends an executor in all cases
        public |= {'_result_queue', '_writer'}
    return {name for name in read if name.startswith('_') and not name.startswith('__')
            } - set(own_names(tree)) - public


def test_no_file_uses_private_names_of_others():
    found = {path: private_names_of_others(path) for path in SOURCES}
    assert not {path: names for path, names in found.items() if names}


def test_nothing_is_mocked_outside_tests():
    assert not [path for path in SOURCES if imports(path) & {'unittest.mock', 'mock'}]


def test_the_library_takes_values_and_no_namespace():
    allowed = {'bert/utils/cli.py', 'bert/training/flags.py', 'bert/training/data_flags.py',
               'bert/pretraining/flags.py', 'bert/embedding.py'}
    found = {path for path in MODULES for node in ast.walk(tree_of(path))
             if getattr(node, 'arg', getattr(node, 'id', None)) == 'args'
             and isinstance(node, (ast.arg, ast.Name))}
    assert not found - allowed


@pytest.mark.parametrize('path', [path for path in SOURCES if '/peer/' not in path])
def test_flags_of_files_take_a_home_folder(path):
    for call in ast.walk(ast.parse(Path(ROOT, path).read_text('utf-8'))):
        given = {keyword.arg: keyword.value for keyword in getattr(call, 'keywords', ())}
        name = getattr(given.get('metavar'), 'value', None)
        if name in ('FILE', 'FILE.png', 'DIR', 'FOLDER', 'PATH'):
            assert getattr(given.get('type'), 'attr', None) == 'path', f'{path}:{call.lineno}'


def test_files_are_short():
    assert not [path for path in SOURCES
                if Path(ROOT, path).read_text('utf-8').count('\n') > 300]


def test_unit_tests_mirror_the_package():
    """tests/unit/a/test_x.py tests bert/a/x.py or x.cc, or the sub-package bert/a/x."""
    unit = Path(ROOT, 'tests', 'unit')
    for path in unit.rglob('test_*.py'):
        module = Path(ROOT, 'bert') / path.relative_to(unit).with_name(path.stem[len('test_'):])
        if path.parent != unit:
            assert any(module.with_suffix(suffix).exists() for suffix in ('', '.py', '.cc')), path
