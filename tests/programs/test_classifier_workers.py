"""Training a classifier on several devices and workers, or a part at a time: the same updates."""
import re
import shlex
import shutil
import socket
import subprocess
import sys

import pytest
from classifier_runs import SCRIPT, flags
from helpers import (
    LAUNCHERS,
    ROOT,
    assert_same,
    command_of,
    launcher,
    records,
    stop_a_worker,
    weights,
)

from bert.utils.files import read_json

PLAIN = ['--dropout', '0', '--epochs', '1']


@pytest.fixture(scope='module')
def one_worker(reviews, tmp_path_factory):
    """One worker, batch 16, no dropout: what every way of sharing the work must equal."""
    out = tmp_path_factory.mktemp('one') / 'out'
    subprocess.run(**command_of(SCRIPT, *flags(reviews, out, *PLAIN, '--batch_size', '16')),
                   check=True)
    return out


@pytest.mark.parametrize('more', [['--batch_size', '4', '--accumulate', '4'],
                                  ['--batch_size', '16', '--cpus', '2'],
                                  ['--batch_size', '16', '--pad']])
def test_accumulation_devices_and_padding_give_the_same_updates(program, reviews, one_worker,
                                                                tmp_path, more):
    program(SCRIPT, *flags(reviews, tmp_path, *PLAIN, *more), check=0)
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)


@pytest.mark.parametrize('name', sorted(LAUNCHERS))
def test_two_horovod_workers_give_the_same_updates(program, reviews, one_worker, tmp_path, name):
    program(SCRIPT, *flags(reviews, tmp_path, *PLAIN, '--batch_size', '8', '--comm', 'horovod'),
            launcher=launcher(name), check=0, env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert read_json(str(tmp_path / 'results.json')) == read_json(
        str(one_worker / 'results.json'))


def test_a_worker_without_the_operators_makes_all_use_padded_batches(program, reviews, tmp_path):
    lacks = ['sh', '-c', '[ $OMPI_COMM_WORLD_RANK = 0 ] || export BERT_OPS=0; exec "$@"', '-']
    program(SCRIPT, *flags(reviews, tmp_path / 'one', *PLAIN, '--batch_size', '16', '--path',
                           'padded'), check=0)
    given = flags(reviews, tmp_path / 'two', *PLAIN, '--batch_size', '8', '--comm', 'horovod')
    result = program(SCRIPT, *given, launcher=[*launcher('mpirun'), *lacks], check=0,
                     env={'OMP_NUM_THREADS': '1'})
    host = socket.gethostname()
    assert (f'--path: the workers differ (padded: rank 1 on {host}; packed: rank 0 on {host}), so '
            'all use padded; ') in result.stderr
    assert_same(weights(tmp_path / 'one'), weights(tmp_path / 'two'), 1e-5)
    result = program(SCRIPT, *given, '--path', 'packed', '--overwrite', check=1, env={
        'OMP_NUM_THREADS': '1'}, launcher=[*launcher('mpirun'), *lacks])
    assert '--path packed: the operators of bert/model/ops could not be loaded: BERT_OPS=0' in (
        result.stderr)


def differing(*flags):
    """The command of two workers, before `python`, where the last flags of rank 1 are these."""
    return [*launcher('mpirun'), 'sh', '-c', '[ $OMPI_COMM_WORLD_RANK = 0 ] || '
            f'set -- "$@" {shlex.join(map(str, flags))}; exec "$@"', '-']


def test_workers_need_no_shared_disk_to_train(program, reviews, one_worker, tmp_path):
    """Worker 0 alone writes and reads the result, whatever others have in this place."""
    shutil.copytree(str(one_worker), str(tmp_path / 'other'))
    before = weights(tmp_path / 'other')
    for other in 'other', 'none':
        program(SCRIPT, *flags(reviews, tmp_path / 'out', *PLAIN, '--batch_size', '8', '--comm',
                               'horovod', '--seed', '5', '--test_file', str(reviews / 'dev.tsv'),
                               '--overwrite'), check=0, env={'OMP_NUM_THREADS': '1'},
                launcher=differing('--output_dir', tmp_path / other))
        results = read_json(str(tmp_path / 'out' / 'results.json'))
        assert results['dev'] == results['test']
    assert_same(before, weights(tmp_path / 'other'))


def test_workers_with_other_data_to_predict_or_other_weights(program, reviews, one_worker,
                                                             tmp_path):
    lines = (reviews / 'dev.tsv').read_text(encoding='utf-8').splitlines(keepends=True)
    (tmp_path / 'other.tsv').write_text(''.join([lines[0], *lines[:0:-1]]), encoding='utf-8')
    env = {'OMP_NUM_THREADS': '1'}
    given = flags(reviews, tmp_path / 'out', *PLAIN, '--batch_size', '8', '--comm', 'horovod')
    result = program(SCRIPT, *given, check=1, env=env,
                     launcher=differing('--dev_file', tmp_path / 'other.tsv'))
    assert 'not all workers have the dev data and the vocabulary of worker 0' in result.stderr
    assert 'Traceback' not in result.stderr
    predict = ['--only_inference', '--model_parameters', str(one_worker), '--test_file',
               str(reviews / 'dev.tsv'), '--comm', 'horovod']
    result = program(SCRIPT, *predict, '--output_dir', str(tmp_path / 'two'), check=1, env=env,
                     launcher=differing('--test_file', tmp_path / 'other.tsv'))
    assert 'not all workers have the data to predict' in result.stderr
    # the weights are those of worker 0
    program(SCRIPT, *flags(reviews, tmp_path / 'another', '--epochs', '1'), check=0)
    program(SCRIPT, *predict, '--output_dir', str(tmp_path / 'two'), check=0, env=env,
            launcher=differing('--model_parameters', tmp_path / 'another'))
    program(SCRIPT, *predict[:-2], '--output_dir', str(tmp_path / 'one'), check=0)
    one, two = (read_json(str(tmp_path / name / 'results.json')) for name in ('one', 'two'))
    assert one == two


@pytest.mark.parametrize('name', sorted(LAUNCHERS))
def test_a_signal_to_one_worker_stops_all_in_order(program, start, reviews, tmp_path, name):
    """Worker 0 is slow to save; the run continues as if it had not been stopped."""
    script, out = tmp_path / 'slow.py', tmp_path / 'out'
    script.write_text(
        f'import sys, time\nsys.path.insert(0, {ROOT!r})\nimport bert\n'
        'from bert.checkpoint import result_folder\nsave = result_folder.save_last\n'
        'def slow(*given):\n    time.sleep(3)\n    save(*given)\n'
        'result_folder.save_last = slow\n'
        'from scripts.finetune_classifier import program\nprogram()\n', encoding='utf-8')
    given = ['--batch_size', '8', '--training_steps', '12', '--comm', 'horovod']
    process = start([*launcher(name), sys.executable, str(script)],
                    *flags(reviews, out, *given, '--log_interval', '1'),
                    env={'OMP_NUM_THREADS': '1'})
    said = stop_a_worker(process, 'slow.py', out)
    assert process.wait(60)
    assert re.search(r'stopped after update \d+ of 12; run the same command with --resume', said), (
        said)
    for folder, more in (out, ['--resume']), (tmp_path / 'whole', []):
        program(SCRIPT, *flags(reviews, folder, *given, *more), launcher=launcher(name), check=0,
                env={'OMP_NUM_THREADS': '1'})
    for file in 'model.params', 'last.params':
        assert_same(weights(out, file), weights(tmp_path / 'whole', file))


@pytest.mark.slow
def test_several_seeds_of_two_horovod_workers(program, reviews, one_worker, tmp_path):
    result = program(
        SCRIPT, *flags(reviews, tmp_path, *PLAIN, '--batch_size', '8', '--comm', 'horovod',
                       '--seeds', '1,2'),
        launcher=launcher('mpirun'), check=0, env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path / 'seed-2'), 1e-5)
    summary = read_json(str(tmp_path / 'seeds.json'))
    assert_same(weights(tmp_path), weights(tmp_path / f"seed-{summary['best_seed']}"))
    assert result.stdout.count('dev accuracy: mean') == 1
    assert len(records(tmp_path / 'seed-1', 'dev')) == len(records(tmp_path / 'seed-2', 'dev'))


def test_several_processes_without_horovod_are_refused(program, reviews, tmp_path):
    result = program(SCRIPT, *flags(reviews, tmp_path), env={'OMPI_COMM_WORLD_SIZE': '2'}, check=1)
    assert '--comm horovod' in result.stderr
    result = program(SCRIPT, *flags(reviews, tmp_path), '--kvstore', 'dist_sync', check=2)
    assert 'mpirun -np 2 python ... --comm horovod' in result.stderr
