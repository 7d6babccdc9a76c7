"""Jobs over two hosts: the same updates as one process, and an end on every host after a fault."""
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import ROOT, TEXT, assert_same, launcher, wait_for_update, weights
from two_hosts import HOSTS, TwoHosts

pytestmark = pytest.mark.slow
DATA = ['--model', 'bert_1_32_2_64', '--dataset_name', 'sample', '--raw', '--data', TEXT,
        '--max_seq_length', '32', '--dropout', '0', '--num_data_workers', '0', '--batch_size', '4',
        '--lr', '1e-3', '--log_interval', '1']
ONE, HOROVOD = (os.path.join(ROOT, 'scripts', name) for name in (
    'run_pretraining.py', 'run_pretraining_hvd.py'))
# $1 is the other host, $2 and $3 are the roles on this host and on the other one
BY_HAND = f"""other=$1 here=$2 there=$3; shift 3
export DMLC_PS_ROOT_URI={HOSTS['hosta']} DMLC_PS_ROOT_PORT=9091 DMLC_NUM_WORKER=2 DMLC_NUM_SERVER=2
for role in $there; do
    ssh -o ServerAliveInterval=5 "$other" env $(env | grep -E '^(DMLC|OMP|BERT)_|^PATH=') \\
        DMLC_ROLE=$role DMLC_NODE_HOST={HOSTS['hostb']} "$@" & jobs="$jobs $!"
done
for role in $here; do
    DMLC_ROLE=$role DMLC_NODE_HOST={HOSTS['hosta']} "$@" & jobs="$jobs $!"
done
failed=0; for job in $jobs; do wait $job || failed=1; done; exit $failed
"""


@pytest.fixture(scope='module')
def hosts(tmp_path_factory):
    with TwoHosts(tmp_path_factory.mktemp('hosts')) as two:
        yield two


def command(name):
    """The program and its launcher for a worker on each host, as docs/distributed.rst has it, but
    without the time to save that mpirun gives workers at each end."""
    both = ','.join(HOSTS)
    if name == 'launch.py':
        return [sys.executable, os.path.join(ROOT, 'scripts', name), '-n', '2', '-s', '2', '-H',
                both, sys.executable, ONE, '--kvstore', 'dist_sync']
    if name == 'by hand':
        return ['sh', '-c', BY_HAND, 'sh', both.split(',')[1], 'scheduler server worker',
                'server worker', sys.executable, ONE, '--kvstore', 'dist_sync']
    program = launcher(name)[0]
    if name == 'horovodrun':
        words = ['--gloo', '-np', '2', '-H', ','.join(f'{host}:1' for host in HOSTS),
                 '--network-interfaces', 'lan']
    else:
        words = ['--allow-run-as-root', '-np', '2', '-H', ','.join(f'{host}:1' for host in HOSTS),
                 '-mca', 'pml', 'ob1', '-mca', 'btl', '^openib', '-bind-to', 'none', '-x', 'PATH',
                 '-mca', 'oob_tcp_keepalive_time', '10', '-mca', 'oob_tcp_keepalive_intvl', '5',
                 '-mca', 'oob_tcp_keepalive_probes', '3', '-x', 'OMP_NUM_THREADS']
    return [program, *words, sys.executable, HOROVOD]


def start(hosts, words, *more):
    return subprocess.Popen(
        hosts.command('hosta', *words, *DATA, *more), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors='replace',
        env=dict(os.environ, BERT_OFFLINE='1', OMP_NUM_THREADS='1'))


def running(folder, role=None):
    """Process ids of what has ``folder`` on its command line, on both hosts, or of a kvstore role:
    the scheduler, or what hostb has of the others."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline') as f, open(f'/proc/{pid}/environ') as e:
                line, env = f.read(), e.read()
        except OSError:
            continue
        if int(pid) != os.getpid() and str(folder) in (env if role else line) and (
                role is None or f'DMLC_ROLE={role}' in env and 'launch.py' not in line
                and (role == 'scheduler' or f"DMLC_NODE_HOST={HOSTS['hostb']}" in env)):
            found.append(int(pid))
    return found


@pytest.fixture(scope='module')
def one_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp('one')
    subprocess.run([sys.executable, ONE, *DATA, '--num_steps', '4', '--accumulate', '2',
                    '--ckpt_dir', str(folder)], check=True, capture_output=True,
                   env=dict(os.environ, BERT_OFFLINE='1', OMP_NUM_THREADS='1'))
    return weights(folder)


@pytest.mark.parametrize('name', ['mpirun', 'horovodrun', 'launch.py', 'by hand'])
def test_two_hosts_make_the_updates_of_one_process(hosts, one_process, tmp_path, name):
    process = start(hosts, command(name), '--num_steps', '4', '--ckpt_dir', str(tmp_path))
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert_same(weights(tmp_path), one_process, 1e-6)


@pytest.mark.parametrize('name, fault, message', [
    ('launch.py', 'worker', 'worker 1 on hostb (process {}) was killed by signal 9'),
    ('launch.py', 'server', 'server 1 on hostb (process {}) was killed by signal 9'),
    ('launch.py', 'scheduler', 'scheduler on hosta (process {}) was killed by signal 9'),
    ('launch.py', 'link', 'no message from hostb for 20 s'),
    ('by hand', 'worker', 'on hostb (process {}) is gone'),
    ('by hand', 'server', 'server on hostb (process {}) is gone'),
    ('by hand', 'scheduler', 'the scheduler on 10.231.77.1 is gone'),
    ('by hand', 'link', 'on hostb (process'),
    ('mpirun', 'link', 'lost communication with a remote daemon'),
])
def test_a_fault_ends_the_job_on_every_host(tmp_path_factory, name, fault, message):
    folder = tmp_path_factory.mktemp('hosts')
    with TwoHosts(folder) as hosts:
        process = start(hosts, command(name), '--num_steps', '1000000', '--ckpt_dir',
                        str(folder / 'out'))
        try:
            wait_for_update(process.stdout, 3)
            victim = None
            if fault == 'link':
                hosts.cut()
            else:
                victim = min(running(folder, fault))    # not what it may have started
                os.kill(victim, signal.SIGKILL)
            begin = time.time()
            output = process.stdout.read()
            assert process.wait(60) != 0
            while running(folder / 'out') and time.time() < begin + 60:
                time.sleep(0.2)
            assert not running(folder / 'out') and time.time() - begin < 60
        finally:
            process.kill()
    assert message.format(victim) in output, output
