"""Jobs on parameter servers: how launch.py shares them out, and what their processes are given."""
import os
import socket
import sys

import pytest

from scripts import launch

SCRIPT = 'scripts/launch.py'
# one write, since two processes share the output
SHOW = [sys.executable, '-c', 'import os, sys; sys.stdout.write("{} {} {}\\n".format(*map('
        'os.environ.get, ("HOST", "DMLC_NODE_HOST", "OMP_NUM_THREADS"))))']
# takes the place of ssh: the other host is this one, with an environment of its own
SSH = '''sh -c 'exec env -i PATH="$PATH" HOST="$1" OMP_NUM_THREADS=1 sh -c "$2"' ssh'''


def test_a_host_named_twice_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        launch.parse_args(['-n', '4', '-s', '2', '-H', 'hosta,hostb,hostb', 'true'])
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith(
        'error: -H hosta,hostb,hostb: name each host once, as in -H hosta,hostb; the 4 workers are '
        'shared out evenly (see --help)\n')


@pytest.mark.parametrize('hosts, message', [
    ('hosta:2,hostb:1', 'names of hosts only; the 3 workers are shared out evenly'),
    ('hosta,', 'each host needs a name'), (' ,hostb', 'each host needs a name')])
def test_lists_of_hosts_of_another_form_are_refused(capsys, hosts, message):
    with pytest.raises(SystemExit) as end:
        launch.parse_args(['-n', '3', '-H', hosts, 'true'])
    assert end.value.code == 2 and message in capsys.readouterr().err
    assert launch.parse_args(['-n', '3', '-H', ' a , u@b', 'true']).hosts == ['a', 'u@b']


def test_the_first_host_is_this_one(capsys):
    here = socket.gethostname()
    for name in 'localhost', '127.0.0.1', here, f'root@{here}', f'{here}.example.org':
        assert launch._is_here(name)
    # a documentation address (RFC 5737), which no host has
    assert launch.main(['-n', '2', '-H', '192.0.2.1,localhost', 'true']) == 1
    assert capsys.readouterr().err == (
        f'launch.py: -H: the first host must be this one, {here}; start the job on 192.0.2.1 '
        'or, if this is it, give its --address\n')


def test_the_user_of_a_host_is_only_for_ssh():
    assert launch._address_towards('somebody@127.0.0.1') == '127.0.0.1'
    assert launch._address_towards('no.such.host.invalid') is None


def test_the_other_hosts_get_the_variables_that_the_programs_read(monkeypatch):
    given = {'BERT_OFFLINE': '1', 'HF_HUB_OFFLINE': '1', 'HF_ENDPOINT': 'http://mirror', 'CXX': 'c',
             'MXNET_HOME': '/shared', 'CUDA_VISIBLE_DEVICES': '0', 'OMP_NUM_THREADS': '2'}
    monkeypatch.setattr(launch, '_given', lambda: {**given, 'HF_TOKEN': 'secret', 'HOME': '/root'})
    args = launch.parse_args(['-n', '2', '-H', 'hosta,hostb', 'true'])
    for job in launch._jobs(args, '127.0.0.1', 1, 2):
        assert {name: value for name, value in job['env'].items()
                if not name.startswith('DMLC_')} == given


@pytest.mark.parametrize('given, there', [(None, 1), ('2,1', 2)])
def test_each_process_knows_its_address_and_its_share_of_the_host(program, monkeypatch, given,
                                                                  there):
    monkeypatch.delenv('HOST', raising=False)
    monkeypatch.delenv('OMP_NUM_THREADS')           # import bert has set it
    shown = program(SCRIPT, '-n', '2', '-H', '127.0.0.1,localhost', '--ssh', SSH, *SHOW, check=0,
                    env={'OMP_NUM_THREADS': given} if given else {}).stdout.splitlines()
    cores = len(os.sched_getaffinity(0))
    assert f'localhost 127.0.0.1 {min(there, cores)}' in shown
    assert any(line.startswith('None 127.0.0.1 ') for line in shown) and len(shown) == 2
