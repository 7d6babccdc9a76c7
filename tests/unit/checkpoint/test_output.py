"""Output folders: an earlier result is refused, or replaced once the new one is whole."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest
from helpers import ROOT, refused

from bert.checkpoint import output
from bert.checkpoint.output import FINE_TUNING, PRETRAINING, SHARDS, OutputFolder

MODEL = {'model.params': 'old', 'config.json': '{}', 'arguments.json': '{}', 'vocab.txt': 'a',
         'metrics.jsonl': '', 'results.json': '{}', 'last.params': 'old', 'curves.png': '',
         'confusion-dev.png': '', 'predictions-test.tsv': '', 'predictions.json': '{}'}


def fill(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()
            if path.is_file() and path.name != '.lock'}


def names(folder):
    return sorted(set(os.listdir(str(folder))) - {'.lock'})


@pytest.mark.parametrize('files, what', [
    (MODEL, 'an earlier result (model.params)'),
    ({'model.safetensors': ''}, 'an earlier result (model.safetensors)'),
    ({'config.json': '{}', 'other.bin': ''}, 'an earlier result (config.json)'),
    ({'part-000.npz': '', 'pretraining_data.json': ''}, 'an earlier result (part-000.npz)'),
    ({'model.onnx': ''}, 'an earlier result (model.onnx)'),
    ({'last.params': '', 'config.json': '{}', 'arguments.json': '{}'},
     'an unfinished run (last.params)'),
    ({'step-0000002.params': ''}, 'an unfinished run (step-0000002.params)'),
    ({'unfinished/000000.rows': ''}, 'an unfinished run (unfinished)'),
    ({'.overwrite/last.params': ''}, 'an unfinished run (.overwrite)'),
])
def test_what_is_refused(tmp_path, files, what):
    fill(tmp_path, files)
    start = f'--output_dir {tmp_path}: holds {what}; name another folder, '
    assert refused(output.check, str(tmp_path), '--output_dir', FINE_TUNING) == (
        start + 'continue it with --resume, or replace it with --overwrite')
    assert refused(output.check, str(tmp_path), '--output_dir') == (
        start + 'or replace it with --overwrite')
    output.check(str(tmp_path), '--output_dir', FINE_TUNING, overwrite=True)
    assert set(files) == {str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*')
                          if path.is_file()}


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(output, 'PATIENCE', 0.2)
    folder = str(tmp_path)
    first = OutputFolder(folder, '--output_dir', FINE_TUNING)
    for flags in {}, {'resume': True}, {'overwrite': True}:
        assert 'another run is writing to this folder' in refused(
            lambda flags: OutputFolder(folder, '--output_dir', FINE_TUNING, **flags), flags)
    first.close()
    OutputFolder(folder, '--output_dir', FINE_TUNING).close()
    code = ('from bert.checkpoint.output import OutputFolder; import time\n'
            f'folder = OutputFolder({folder!r}, "x"); print("ready", flush=True); time.sleep(60)')
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True,
                          cwd=ROOT) as other:
        assert other.stdout.readline() == 'ready\n'
        assert 'another run' in refused(OutputFolder, folder, '--output_dir', FINE_TUNING)
        other.kill()
    OutputFolder(folder, '--output_dir', FINE_TUNING)
    assert os.listdir(folder) == []


@pytest.mark.parametrize('start', [
    'pid = os.fork() or time.sleep(60)', 'pid = subprocess.Popen(["sleep", "60"]).pid',
    'executor = futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork"))\n'
    'pid = executor.submit(os.getpid).result()'])
def test_what_a_killed_run_leaves_behind_does_not_keep_the_lock(tmp_path, monkeypatch, start):
    monkeypatch.setattr(output, 'PATIENCE', 1)     # the forked one may be slow to start
    code = ('import multiprocessing, os, subprocess, time\nfrom concurrent import futures\n'
            'from bert.checkpoint.output import OutputFolder\n'
            f'folder = OutputFolder({str(tmp_path)!r}, "x")\n{start}\n'
            'print(pid, flush=True); time.sleep(60)')
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True,
                          cwd=ROOT) as run:
        child = int(run.stdout.readline())
        try:
            assert 'another run' in refused(OutputFolder, str(tmp_path), '-')
            run.kill()
            run.wait()
            os.kill(child, 0)               # it is still there
            OutputFolder(str(tmp_path), '-').close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_what_is_no_result(tmp_path):
    # a run that was stopped before its first checkpoint, predictions, and files of others
    fill(tmp_path, {'config.json': '{}', 'arguments.json': '{}', 'metrics.jsonl': '',
                    'vocab.txt': 'a', 'predictions-dev.tsv': '', 'notes.txt': 'x'})
    assert OutputFolder(str(tmp_path), '--output_dir', FINE_TUNING).path == str(tmp_path)
    assert OutputFolder(str(tmp_path / 'new'), '--output_dir').path == str(tmp_path / 'new')


@pytest.mark.parametrize('state, name', [(FINE_TUNING, 'last.params'), (SHARDS,
                                         'pretraining_data.json'),
                                         (PRETRAINING, 'step-0000004.params')])
def test_a_run_is_resumed_only_from_its_own_kind_of_checkpoint(tmp_path, state, name):
    fill(tmp_path, {'model.params': ''})
    assert 'but no checkpoint to --resume from' in refused(
        output.check, str(tmp_path), '--output_dir', state, True)
    fill(tmp_path, {name: ''})
    assert OutputFolder(str(tmp_path), '--output_dir', state, resume=True).path == str(tmp_path)


def test_the_earlier_result_stays_until_the_new_one_is_whole(tmp_path):
    fill(tmp_path, dict(MODEL, **{'notes.txt': 'mine', 'unfinished/000001.rows': 'old'}))
    folder = OutputFolder(str(tmp_path), '--output_dir', FINE_TUNING, overwrite=True)
    assert folder.path != str(tmp_path)
    new = {'model.params': 'new', 'config.json': '{"new": 1}', 'spm.model': 'b'}
    for name, text in new.items():
        with open(os.path.join(folder.path, name), 'w') as f:
            f.write(text)
    assert content(tmp_path) == dict(MODEL, **{'notes.txt': 'mine'})
    folder.publish()
    assert folder.path == str(tmp_path)
    folder.publish()                # once is enough
    folder.discard()                # too late
    assert content(tmp_path) == dict(new, **{'notes.txt': 'mine'})
    assert names(tmp_path) == sorted([*new, 'notes.txt'])


def test_a_program_that_never_replaces_a_result(tmp_path):
    fill(tmp_path, MODEL)
    message = f'--x {tmp_path}: holds an earlier result (model.params); name another folder'
    assert refused(lambda: output.check(str(tmp_path), '--x', overwrite=None)) == message

    def replace():
        with output.replacement(str(tmp_path), '--x', None):
            raise AssertionError
    assert refused(replace) == message
    assert content(tmp_path) == MODEL and names(tmp_path) == sorted(MODEL)


def test_a_stale_vocabulary_is_removed(tmp_path):
    stale = ['added_tokens.json', 'special_tokens_map.json', 'spm.model', 'tokenizer.json',
             'tokenizer_config.json']
    fill(tmp_path, dict.fromkeys([*MODEL, *stale], 'old'))
    with output.replacement(str(tmp_path), '-', True) as folder:
        fill(pathlib.Path(folder), {'model.params': 'new', 'vocab.txt': 'new'})
    assert content(tmp_path) == {'model.params': 'new', 'vocab.txt': 'new'}


@pytest.mark.parametrize('there, new', [('vocab.txt/mine', 'vocab.txt'),
                                        ('1_Pooling/mine', '1_Pooling/config.json'),
                                        ('1_Pooling', '1_Pooling/config.json')])
def test_what_is_in_the_place_of_a_new_file_is_kept(tmp_path, there, new):
    fill(tmp_path, {there: 'kept', 'model.params': 'old'})

    def replace():
        with output.replacement(str(tmp_path), '-', True) as folder:
            fill(pathlib.Path(folder), {'model.params': 'new', new: 'new'})
    assert refused(replace) == (f"{tmp_path / new.split('/')[0]}: in the place of a new result; "
                                'remove it, or name another folder')
    assert (tmp_path / there).read_text() == 'kept' and content(tmp_path)['model.params'] == 'old'
    assert '.overwrite-complete' not in names(tmp_path)


@pytest.mark.parametrize('name', ['vocab.txt', 'unfinished'])
def test_a_stale_link_to_a_folder_is_removed_and_its_target_stays(tmp_path, name):
    target, out = tmp_path / 'target', tmp_path / 'out'
    fill(target, {'mine': 'kept'})
    fill(out, {'model.params': 'old'})
    (out / name).symlink_to(target, target_is_directory=True)
    folder = OutputFolder(str(out), '--output_dir', FINE_TUNING, overwrite=True)
    fill(out / '.overwrite', {'model.params': 'new'})
    folder.publish()
    assert content(out) == {'model.params': 'new'} and names(out) == ['model.params']
    assert content(target) == {'mine': 'kept'}


def test_what_is_discarded_leaves_the_earlier_result(tmp_path):
    fill(tmp_path, MODEL)
    folder = OutputFolder(str(tmp_path), '--output_dir', overwrite=True)
    fill(tmp_path / '.overwrite', {'model.params': 'new'})
    folder.discard()
    assert content(tmp_path) == MODEL and names(tmp_path) == sorted(MODEL)


def test_a_run_that_overwrites_is_resumed(tmp_path):
    def opened(resume=False, overwrite=False):
        folder = OutputFolder(str(tmp_path), '-', FINE_TUNING, resume, overwrite)
        folder.close()
        return folder.path
    fill(tmp_path, MODEL)
    new = str(tmp_path / '.overwrite')
    assert opened(overwrite=True) == new
    # without a checkpoint of its own: with --overwrite it begins again, without it is the old run
    assert opened(True, True) == new
    assert opened(True) == str(tmp_path)
    assert opened(overwrite=True) == new
    fill(tmp_path / '.overwrite', {'last.params': 'new'})
    for overwrite in True, False:
        assert opened(True, overwrite) == new
    assert refused(OutputFolder, str(tmp_path), '-', FINE_TUNING)
    # and a new one with --overwrite begins at the beginning
    assert opened(overwrite=True) == new
    assert not os.listdir(new)


def test_a_replacement_that_was_killed_is_finished(tmp_path, monkeypatch):
    new = {'model.params': 'new', 'config.json': '{"new": 1}', 'last.params': 'new'}

    def interrupted(*args):
        if not calls:
            raise KeyboardInterrupt
        calls.pop()
        return original(*args)
    for name in 'remove', 'replace':
        for count in 0, 1, 2:
            shutil.rmtree(str(tmp_path))
            fill(tmp_path, MODEL)
            folder = OutputFolder(str(tmp_path), '-', FINE_TUNING, overwrite=True)
            fill(tmp_path / '.overwrite', new)
            # writing the list of stale files calls os.replace once, and tidies up by os.remove
            original, calls = getattr(os, name), [1] * (count + 1)
            with monkeypatch.context() as patch:
                patch.setattr(os, name, interrupted)
                with pytest.raises(KeyboardInterrupt):
                    folder.publish()
            folder.close()
            assert 'earlier result' in refused(output.check, str(tmp_path), '-', FINE_TUNING)
            assert content(tmp_path) == new and names(tmp_path) == sorted(new)


def test_only_files_of_results_are_stale_whatever_the_list_says(tmp_path):
    outside, out = {'x.txt': 'kept', 'results.json': 'kept'}, tmp_path / 'out'
    fill(tmp_path, outside)
    kept = {'notes.txt': 'kept', 'results.json.mine': 'kept'}
    fill(out, dict(kept, **{'results.json': 'old'}))
    # a folder that a name could lead through
    fill(out / 'predictions-a', {'mine': 'kept'})
    stale = json.dumps([*kept, '../x.txt', str(tmp_path / 'x.txt'), '../results.json',
                        'predictions-a/../../x.txt', 'results.json'])
    fill(out / '.overwrite-complete', {'.stale.json': stale, 'model.params': 'new'})
    assert 'holds an earlier result (model.params)' in refused(output.check, str(out), '-')
    assert content(out) == dict(kept, **{'model.params': 'new'})
    assert content(tmp_path) == outside


def test_workers_follow_worker_0(tmp_path):
    class Communicator:
        def __init__(self, rank, total):
            self.rank, self.total = rank, total

        def sum(self, values):
            assert values == [float(self.total and not self.rank)]
            return [self.total]
    fill(tmp_path, MODEL)
    new = str(tmp_path / '.overwrite')
    first = OutputFolder(str(tmp_path), '-', None, overwrite=True, comm=Communicator(0, 1.0))
    second = OutputFolder(str(tmp_path), '-', None, overwrite=True, comm=Communicator(1, 1.0))
    assert first.path == second.path == new
    second.publish()            # which moves nothing
    assert second.path == str(tmp_path) and content(tmp_path) == MODEL
    assert OutputFolder(str(tmp_path), '-', comm=Communicator(1, 0.0)).path == str(tmp_path)


def test_the_folder_of_the_source(tmp_path):
    fill(tmp_path, MODEL)
    output.check_distinct(str(tmp_path / 'x'), 'target', str(tmp_path / 'model.params'), None)
    for source in tmp_path, tmp_path / 'model.params':
        assert 'the folder of the source' in refused(
            output.check_distinct, str(tmp_path), 'target', str(source))


def test_predictions_do_not_replace_those_of_another_model(tmp_path):
    ours, theirs = tmp_path / 'ours', tmp_path / 'theirs'
    for folder in ours, theirs:
        folder.mkdir()
        (folder / 'model.params').touch()
    line = refused(output.check_predictions, str(ours), '--output_dir', str(theirs))
    assert line.startswith(f'--output_dir {ours}: holds another model')
    assert 'holds another model' in refused(output.check_predictions, str(ours), '--x', None)
    for model in ours, ours / 'model.params', os.path.relpath(ours):
        output.check_predictions(str(ours), '--output_dir', str(model))
    (tmp_path / 'results.json').touch()             # of earlier predictions
    output.check_predictions(str(tmp_path), '--output_dir', str(theirs))
    output.check_predictions(str(tmp_path / 'none'), '--output_dir', str(theirs))


def test_a_replacement_is_whole_or_nothing(tmp_path):
    out = tmp_path / 'out'
    for earlier in None, {'model.onnx': 'old', 'labels.txt': 'a', 'notes.txt': 'mine'}:
        if earlier:
            fill(out, earlier)
            assert 'holds an earlier result (model.onnx)' in refused(
                lambda: output.replacement(str(out), '--output_dir').__enter__())
        with pytest.raises(KeyError), output.replacement(str(out), '--output_dir', True) as folder:
            (pathlib.Path(folder) / 'model.onnx').write_text('half')
            raise KeyError
        assert content(out) == earlier if earlier else not out.exists()
    with output.replacement(str(out), '--output_dir', True) as folder:
        (pathlib.Path(folder) / 'model-symbol.json').write_text('new')
    assert content(out) == {'model-symbol.json': 'new', 'notes.txt': 'mine'}
    assert names(out) == ['model-symbol.json', 'notes.txt']
