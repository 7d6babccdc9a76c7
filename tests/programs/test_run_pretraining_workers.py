"""Pre-training on several devices and workers: the same updates; a killed worker ends the job."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import (
    LAUNCHERS,
    ROOT,
    assert_same,
    command_of,
    launcher,
    records,
    stop_a_worker,
    wait_for_update,
    weights,
    workers_of,
)
from pretraining_runs import ALONE, SMALL, STEPS, flags

HOROVOD = 'scripts/run_pretraining_hvd.py'
SHARED = ['--dropout', '0', '--batch_size', '4', '--use_avg_len', '--num_buckets', '2', *STEPS]


@pytest.fixture(scope='module')
def one_worker(shards, tmp_path_factory):
    """One worker with two batches an update, no dropout: what all ways of sharing must equal."""
    out = tmp_path_factory.mktemp('one') / 'out'
    subprocess.run(**command_of(ALONE, *flags(shards, out, *SHARED, '--batch_size', '128',
                                              '--accumulate', '2')), check=True)
    return out


SHARED += ['--batch_size', '128']


@pytest.mark.parametrize('more', [
    ['--cpus', '2'], ['--cpus', '2', '--num_data_workers', '2', '--kvstore', 'local']])
def test_devices_give_the_same_updates(program, shards, one_worker, tmp_path, more):
    program(ALONE, *flags(shards, tmp_path, *SHARED, *more), check=0)
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    for one, two in zip(records(one_worker, 'train'), records(tmp_path, 'train')):
        for name in ('loss', 'MLM_loss', 'NSP_loss', 'MLM_accuracy', 'NSP_accuracy'):
            assert one[name] == pytest.approx(two[name], abs=1e-4)


@pytest.mark.parametrize('name', sorted(LAUNCHERS))
def test_two_horovod_workers_give_the_same_updates(program, shards, one_worker, tmp_path, name):
    result = program(HOROVOD, *flags(shards, tmp_path, *SHARED, '--data_eval', shards,
                                     '--num_data_workers', '1'),
                     launcher=launcher(name), check=0, env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert [r['update'] for r in records(tmp_path, 'train')] == list(range(1, 7))     # worker 0's
    assert records(tmp_path, 'train')[-1]['MLM_accuracy'] == pytest.approx(
        records(one_worker, 'train')[-1]['MLM_accuracy'], abs=1e-4)
    assert len(records(tmp_path, 'dev')) == 3
    assert (result.stdout + result.stderr).count('update 6/6') == 1


SERVED = [sys.executable, os.path.join(ROOT, 'scripts', 'launch.py'), '-n', '2', '-s', '1']


def test_two_kvstore_workers_give_the_same_updates(program, shards, one_worker, tmp_path):
    result = program(ALONE, *flags(shards, tmp_path, *SHARED, '--kvstore', 'dist_sync',
                                   '--data_eval', shards), launcher=SERVED, check=0)
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert result.stderr.count('update 6/6') == 1 and len(records(tmp_path, 'dev')) == 3
    assert program(ALONE, *flags(shards, tmp_path / 'x', '--kvstore', 'dist_sync'),
                   check=1).stderr.count('scripts/launch.py') == 1


def test_the_profile_is_that_of_worker_0(program, shards, tmp_path):
    for rank in '01':
        (tmp_path / rank).mkdir()
    beside = ['sh', '-c', 'cd $OMPI_COMM_WORLD_RANK; exec "$@"', '-']
    program(HOROVOD, *flags(shards, tmp_path / 'out', '--num_steps', '2', '--profile', 'p.json'),
            launcher=[*launcher('mpirun'), *beside], check=0, cwd=str(tmp_path),
            env={'OMP_NUM_THREADS': '1'})
    assert [path.parent.name for path in tmp_path.glob('*/p.json')] == ['0']


@pytest.mark.parametrize('name', [*sorted(LAUNCHERS), 'launch.py'])
def test_a_job_with_a_killed_worker_ends_and_goes_on_bit_equal(program, start, shards, tmp_path,
                                                               name):
    script = ALONE if name == 'launch.py' else HOROVOD
    command = SERVED if name == 'launch.py' else launcher(name)
    # with dropout; the learning rate is the same for any number of steps
    arguments = [*SMALL, '--data', shards, '--ckpt_interval', '2', '--log_interval', '1',
                 '--warmup_ratio', '0', '--schedule', 'poly', '--power', '1e-30']
    if name == 'launch.py':
        arguments += ['--kvstore', 'dist_sync']
    process = start([*command, sys.executable, os.path.join(ROOT, script)], *arguments,
                    '--ckpt_dir', str(tmp_path), '--num_steps', '100000',
                    env={'OMP_NUM_THREADS': '1'})
    try:
        before = wait_for_update(process.stdout, 3)
        victim = workers_of(script, tmp_path)[-1]
        begin = time.time()
        os.kill(victim, signal.SIGKILL)
        said = process.stdout.read()
        assert process.wait(60) != 0 and time.time() - begin < 60
    finally:
        process.kill()
    which = {'mpirun': r'process rank \d with PID',
             'horovodrun': r'rank \d: lost contact with rank \d on',
             'launch.py': rf'worker \d \(process {victim}\) was killed by signal 9'}[name]
    assert re.search(which, said), said
    assert 'step-0000002.params; the same command with --resume continues' in before
    assert 'the same command with --resume continues' in said
    deadline = time.time() + 20
    while workers_of(script, tmp_path) and time.time() < deadline:
        time.sleep(0.2)
    assert not workers_of(script, tmp_path)
    found = max(int(n[5:12]) for n in os.listdir(str(tmp_path)) if n.startswith('step-'))
    assert found % 2 == 0
    steps = ['--num_steps', str(found + 3)]
    result = program(script, *arguments, *steps, '--ckpt_dir', str(tmp_path), '--resume',
                     launcher=command, check=0, env={'OMP_NUM_THREADS': '1'})
    assert f'continuing from update {found}' in result.stdout + result.stderr
    program(script, *arguments, *steps, '--ckpt_dir', str(tmp_path / 'whole'), launcher=command,
            check=0, env={'OMP_NUM_THREADS': '1'})
    state = f'step-{found + 3:07}.params'
    assert_same(weights(tmp_path, state), weights(tmp_path / 'whole', state))


@pytest.mark.parametrize('name', [*sorted(LAUNCHERS), 'launch.py'])
def test_a_signal_to_one_worker_stops_all_in_order(start, shards, tmp_path, name):
    script, command, more = HOROVOD, SERVED, ['--num_steps', '100000', '--log_interval', '1']
    if name == 'launch.py':
        script, more = ALONE, [*more, '--kvstore', 'dist_sync']
    else:
        command = launcher(name)
    process = start([*command, sys.executable, os.path.join(ROOT, script)],
                    *flags(shards, tmp_path, *more), env={'OMP_NUM_THREADS': '1'})
    said = stop_a_worker(process, script, tmp_path)
    process.wait(60)
    stopped = re.search(r'stopped after update (\d+) of 100000; the same command', said)
    assert stopped, said
    assert (tmp_path / f'step-{int(stopped.group(1)):07}.params').exists()


@pytest.mark.parametrize('name', [*sorted(LAUNCHERS), 'launch.py'])
def test_bad_data_that_one_worker_finds_late_lose_no_update(start, shards, tmp_path, name):
    script, command, more = HOROVOD, SERVED, []
    if name == 'launch.py':
        script, more = ALONE, ['--kvstore', 'dist_sync']
    else:
        command = launcher(name)
    folder = tmp_path / 'shards'
    shutil.copytree(os.path.dirname(shards), folder)
    shutil.copy(folder / 'part-000.npz', folder / 'part-003.npz')
    # of the last in the order of the first epoch, which worker 1 reads, the middle
    order = np.random.default_rng([0, 0]).permutation(4)
    with open(folder / f'part-{order[3]:03}.npz', 'r+b') as f:
        f.seek(1000)
        f.write(bytes(1000))
    process = start([*command, sys.executable, os.path.join(ROOT, script)],
                    *flags(str(folder / '*.npz'), tmp_path / 'out', *more, '--num_steps', '1000'),
                    env={'OMP_NUM_THREADS': '1'})
    said = process.communicate(timeout=120)[0]
    assert process.returncode and 'not a whole shard' in said
    done = re.search(r'stopped after update (\d+) of 1000; if the files can be read', said)
    assert done, said
    assert (tmp_path / 'out' / f'step-{int(done.group(1)):07}.params').exists()


@pytest.mark.slow
def test_one_workers_error_ends_the_job(start, shards, tmp_path):
    """A shard that only worker 1 finds broken."""
    command = launcher('mpirun')
    bad = tmp_path / 'bad.npz'
    bad.write_bytes(b'PK not')
    code = (f'import os, sys; sys.path.insert(0, {ROOT!r})\n'
            'rank = os.environ["OMPI_COMM_WORLD_RANK"]\n'
            f'path = {str(bad)!r} if rank == "1" else {shards!r}\n'
            'sys.argv[sys.argv.index("--data") + 1] = path\n'
            'from scripts.run_pretraining_hvd import program; program()')
    process = start([*command, sys.executable, '-c', code], *flags(
        'x', tmp_path / 'out', '--num_steps', '100000'))
    try:
        assert any('bad.npz: not a whole shard' in line for line in process.stdout)
        process.communicate(timeout=60)     # a minute from the error on
    finally:
        process.kill()
    assert process.returncode
