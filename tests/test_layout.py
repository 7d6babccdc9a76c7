"""What may import what, and that reading a program's --help needs no MXNet."""
import ast
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = sorted(
    [os.path.join('scripts', name) for name in os.listdir(os.path.join(ROOT, 'scripts'))
     if name.endswith('.py') and name != '__init__.py']
    + ['bert/embedding.py'] * os.path.exists(os.path.join(ROOT, 'bert', 'embedding.py'))
    + ['export/export.py'] * os.path.exists(os.path.join(ROOT, 'export', 'export.py')))
MODULES = sorted('bert/' + name for name in os.listdir(os.path.join(ROOT, 'bert'))
                 if name.endswith('.py'))
# no text-and-data module needs the model, nor the model them
TEXT = {'batching', 'catalogue', 'conll', 'corpus', 'download', 'feature_cache', 'glue_data',
        'masking', 'metric', 'pretrained', 'pretraining_batches', 'pretraining_data',
        'pretraining_flags', 'pretraining_sources', 'sentences', 'squad', 'squad_data',
        'squad_metric', 'tasks', 'tokenizer', 'transform', 'vocabulary'}
MODEL = {'model', 'optimizer', 'communicator'}
OPTIONAL = {'horovod', 'seqeval', 'sentencepiece', 'onnx', 'onnxruntime', 'tensorboardX',
            'matplotlib', 'pyarrow', 'torch', 'sklearn', 'scipy'}


def imports(path, top_level_only=False):
    """The modules that a file imports, ``bert.x`` for a relative ``from . import x``."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        tree = ast.parse(f.read())
    out = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            out.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ''
            if node.level:
                module = 'bert.' + module if module else 'bert'
            out.add(module)
            if module == 'bert':
                out.update('bert.' + alias.name for alias in node.names)
    return out


@pytest.mark.parametrize('path', MODULES)
def test_the_package_imports_no_program(path):
    assert not [m for m in imports(path) if m.split('.')[0] in ('scripts', 'export', 'tests')
                or m.startswith(('bert.scripts', 'bert.export'))]


@pytest.mark.parametrize('path', PROGRAMS)
def test_programs_do_not_import_each_other(path):
    names = {os.path.splitext(os.path.basename(p))[0] for p in PROGRAMS} - {'embedding'}
    assert not [m for m in imports(path) if m.split('.')[-1] in names
                or m.split('.')[0] in ('scripts', 'export')]


@pytest.mark.parametrize('path', MODULES)
def test_text_and_model_keep_apart(path):
    name = os.path.splitext(os.path.basename(path))[0]
    found = {m.split('.')[1] for m in imports(path) if m.startswith('bert.')}
    if name in TEXT:
        assert not found & MODEL
    elif name in MODEL:
        assert not found & TEXT


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
