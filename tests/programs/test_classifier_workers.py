"""Training a classifier on several devices and workers, or a part at a time: the same updates."""
import subprocess

import pytest
from classifier_runs import SCRIPT, flags
from helpers import LAUNCHERS, assert_same, command_of, launcher, records, weights

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
