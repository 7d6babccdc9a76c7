"""Runs of the classifier that were stopped or killed go on with --resume to the same result."""
import gc
import os
import shutil
import signal
import subprocess
import sys

import pytest
from classifier_runs import SCRIPT, flags
from helpers import (
    ROOT,
    assert_same,
    command_of,
    launcher,
    records,
    refused,
    wait_for_update,
    weights,
)

from bert.checkpoint import result_folder
from bert.training import finetuning
from bert.utils.files import read_json, write_json
from scripts import finetune_classifier


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_goes_on_bit_equal(program, start, classifier_run, reviews, tmp_path, number,
                                         code):
    process = start(command_of(SCRIPT, *flags(reviews, tmp_path, '--log_interval', '1'))['args'])
    wait_for_update(process.stdout, 3)
    process.send_signal(number)
    said = process.stdout.read()
    assert process.wait() == code
    assert '--resume' in said and 'Traceback' not in said
    result = program(SCRIPT, *flags(reviews, tmp_path, '--resume'), check=0)
    assert 'epoch 2, dev: ' in result.stderr
    for name in ('model.params', 'last.params'):
        assert_same(weights(classifier_run, name), weights(tmp_path, name))


def test_a_killed_run_goes_on_bit_equal(program, start, classifier_run, reviews, tmp_path):
    process = start(command_of(SCRIPT, *flags(reviews, tmp_path, '--log_interval', '1',
                                              '--save_interval', '2'))['args'])
    wait_for_update(process.stdout, 3)
    process.kill()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    assert (tmp_path / 'last.params').exists() and not (tmp_path / 'results.json').exists()
    program(SCRIPT, *flags(reviews, tmp_path, '--resume'), check=0)
    for name in ('model.params', 'last.params'):
        assert_same(weights(classifier_run, name), weights(tmp_path, name))
    updates = [r['update'] for r in records(tmp_path)]
    assert updates == sorted(updates)


@pytest.mark.parametrize('dev', [True, False])
@pytest.mark.slow
def test_a_run_killed_after_an_epoch_makes_no_update_again(reviews, tmp_path, monkeypatch, dev):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    original, positions = result_folder.save_last, []

    def save_last(folder, net, stepper, position):
        positions.append((position['epoch'], position['done']))
        original(folder, net, stepper, position)

    def run(out, *more):
        arguments = flags(reviews, out, *more)
        at = arguments.index('--dev_file')
        finetune_classifier.main(arguments if dev else arguments[:at] + arguments[at + 2:])

    monkeypatch.setattr(result_folder, 'save_last', save_last)
    run(tmp_path / 'whole')
    # 7 updates in an epoch, then perhaps an evaluation
    assert positions == ([(0, 7), (1, 0), (1, 7), (2, 0)] if dev else [(0, 7), (1, 7)])

    def killed(*args):
        raise SystemExit(137)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(*((finetune_classifier, 'predict') if dev else (finetuning.Run, 'end_epoch')),
                      killed)
        run(tmp_path / 'out')
    del positions[:]
    run(tmp_path / 'out', '--resume')
    assert positions == ([(1, 0), (1, 7), (2, 0)] if dev else [(1, 7)])
    for name in ('model.params', 'last.params'):
        assert_same(weights(tmp_path / 'whole', name), weights(tmp_path / 'out', name))
    assert [r['update'] for r in records(tmp_path / 'out', 'dev')] == [7, 14] * dev


def test_resume_wants_the_same_arguments(program, classifier_run, reviews, tmp_path):
    shutil.copytree(str(classifier_run), str(tmp_path / 'out'))
    result = program(SCRIPT, *flags(reviews, tmp_path / 'out', '--resume', '--warmup_ratio', '0.5'),
                     check=1)
    assert 'had --warmup_ratio 0.1, and now --warmup_ratio 0.5; ' in result.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_run_goes_on_with_what_does_not_decide_its_updates(reviews, tmp_path, monkeypatch):
    """Its data elsewhere, a test set, two devices, smaller batches of the same updates."""
    def killed(*args):
        raise SystemExit(137)
    monkeypatch.setenv('BERT_OFFLINE', '1')
    finetune_classifier.main(flags(reviews, tmp_path / 'whole', '--dropout', '0'))
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(finetuning.Run, 'end_epoch', killed)
        finetune_classifier.main(flags(reviews, tmp_path / 'out', '--dropout', '0'))
    shutil.copytree(str(reviews), str(tmp_path / 'moved'))
    again = flags(tmp_path / 'moved', tmp_path / 'out', '--dropout', '0', '--cpus', '2', '--resume',
                  '--test_file', str(reviews / 'dev.tsv'), '--accumulate', '2')
    assert ('made updates of 8 examples, not 16; keep --batch_size x --accumulate x workers the '
            'same') in refused(finetune_classifier.main, again)
    gc.collect()        # the run before holds the lock of the folder until it is gone
    finetune_classifier.main([*again, '--batch_size', '4'])
    assert_same(weights(tmp_path / 'whole'), weights(tmp_path / 'out'), 1e-5)


@pytest.mark.slow
def test_workers_without_a_shared_disk_do_not_resume(reviews, classifier_run, tmp_path):
    command = launcher('mpirun')
    (tmp_path / '1').mkdir()
    shutil.copytree(str(classifier_run), str(tmp_path / '0' / 'out'))
    arguments = tmp_path / '0' / 'out' / 'arguments.json'
    write_json(str(arguments), dict(read_json(str(arguments)), comm='horovod'))
    # each worker in a folder of its own, where only that of worker 0 has the checkpoint
    code = (f'import os, sys; sys.path.insert(0, {ROOT!r}); import bert; '
            f'os.chdir(os.path.join({str(tmp_path)!r}, os.environ["OMPI_COMM_WORLD_RANK"])); '
            'from scripts.finetune_classifier import program; program()')
    result = subprocess.run(
        [*command, sys.executable, '-c', code, *flags(reviews, 'out', '--resume', '--comm',
                                                      'horovod')],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        env=dict(os.environ, BERT_OFFLINE='1'))
    assert result.returncode and 'Traceback' not in result.stdout
    assert '--resume: not all workers have the checkpoint of worker 0 in out' in result.stdout
    assert_same(weights(classifier_run), weights(tmp_path / '0' / 'out'))
