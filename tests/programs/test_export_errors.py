"""The export program with flags, models, folders and texts that do not fit."""
import json
import os
import shutil
import subprocess
import sys

import pytest
from exporting import error, flags
from helpers import ROOT, TINY

from bert.utils.files import read_json, write_json
from export import export


@pytest.mark.parametrize('arguments, message', [
    ([], '--task is missing'), (['--task', 'translation'], 'invalid choice'),
    (['--task', 'ner', '--seq_length', '4'], 'leaves no room'),
    (['--task', 'ner', '--dropout', '2'], 'from 0 to below 1'),
    (['--task', 'ner', '--quantize', 'int4'], 'invalid choice')])
def test_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as info:
        export.main(arguments)
    assert info.value.code == 2
    assert message in capsys.readouterr().err


def test_weights_of_another_task(models, tmp_path):
    assert 'a head for classification' in error(flags(models, tmp_path / 'a', '--task', 'ner'))
    assert 'a head for classification' in error(flags(models, tmp_path / 'a', '--task',
                                                      'regression'))
    assert 'a head for regression' in error(flags(models, tmp_path / 'a', '--task',
                                                  'classification', task='regression'))
    headless = ['--model_parameters', TINY, '--output_dir', str(tmp_path / 'a'), '--seq_length',
                '16']
    assert 'no head' in error(headless + ['--task', 'classification'])
    assert '--task embedding' in error(headless)
    assert os.listdir(str(tmp_path)) == []


def test_several_outputs_are_no_regression(models, tmp_path):
    folder, out = tmp_path / 'model', tmp_path / 'out'
    shutil.copytree(models['classification'], str(folder))
    config = read_json(str(folder / 'config.json'))
    write_json(str(folder / 'config.json'), dict(config, problem_type='regression'))
    arguments = ['--model_parameters', str(folder), '--output_dir', str(out), '--seq_length', '16']
    for more in [], ['--task', 'regression'], ['--task', 'classification']:
        found = error(arguments + more)
        assert str(folder) in found and 'is "regression", but it has 3 outputs' in found
    assert not out.exists()
    export.main([*arguments, '--task', 'embedding'])    # that has no head


def test_labels_that_do_not_fit(models, tmp_path):
    folder = tmp_path / 'model'
    folder.mkdir()
    for name in os.listdir(models['ner']):
        (folder / name).write_bytes(
            open(os.path.join(models['ner'], name), 'rb').read())     # noqa: SIM115
    config = read_json(str(folder / 'config.json'))
    config['id2label'] = {'0': 'O', '1': 'B-PER'}
    (folder / 'config.json').write_text(json.dumps(config), encoding='utf-8')
    assert 'names 2 labels but the weights have 4' in error(
        ['--model_parameters', str(folder), '--output_dir', str(tmp_path / 'out'),
         '--seq_length', '16'])


def test_lengths_over_the_positions(models, tmp_path):
    assert 'positions for 40 tokens' in error(flags(models, tmp_path / 'a', '--seq_length', '41'))


def test_a_folder_with_a_model_is_not_overwritten(models):
    before = sorted(os.listdir(models['ner']))
    assert 'name another folder' in error(flags(models, models['ner'], task='ner'))
    assert sorted(os.listdir(models['ner'])) == before


@pytest.mark.parametrize('content, message', [(b'', 'no text'), (b'\n \n', 'no text'),
                                              (b'caf\xe9\n', 'not UTF-8')])
def test_texts_that_are_none(models, tmp_path, content, message):
    path = tmp_path / 'texts.txt'
    path.write_bytes(content)
    found = error(flags(models, tmp_path / 'out', '--text_file', str(path)))
    assert message in found and str(path) in found


def test_errors_of_the_program(program, models, tmp_path):
    """One line and exit code 1, no file left; here the extra onnx is missing."""
    (tmp_path / 'onnx.py').write_text(
        'raise ModuleNotFoundError("No module named \'onnx\'", name="onnx")\n', encoding='utf-8')
    out = tmp_path / 'out'
    result = program('export/export.py', *flags(models, out), '--format', 'onnx', check=1,
                     env={'PYTHONPATH': str(tmp_path)})
    assert result.stderr.count('\n') == 1 and '[onnx]"' in result.stderr
    result = program('export/export.py', *flags(models, out), '--text_file',
                     str(tmp_path / 'absent.txt'), check=1)
    assert result.stderr.strip().endswith('absent.txt: No such file or directory')
    assert not out.exists()


@pytest.mark.slow
def test_a_full_disk(models, tmp_path):
    """The shell's bound on the size of a file stands for it."""
    command = 'ulimit -f 40; exec "$0" "$@"'
    result = subprocess.run(
        ['bash', '-c', command, sys.executable, os.path.join(ROOT, 'export', 'export.py'),
         *flags(models, tmp_path / 'out')], stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert 'cannot be written' in result.stderr and 'Traceback' not in result.stderr
    assert not (tmp_path / 'out').exists()
