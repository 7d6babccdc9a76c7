"""Jobs on parameter servers: how launch.py shares them out, and what their processes are given."""
import sys

import pytest

from scripts import launch

SCRIPT = 'scripts/launch.py'
SHOW = [sys.executable, '-c', 'import os; print(os.environ["DMLC_NODE_HOST"])']
# takes the place of ssh: the other host is this one, with an environment of its own
SSH = '''sh -c 'exec env -i PATH="$PATH" HOST="$1" OMP_NUM_THREADS=1 sh -c "$2"' ssh'''


def test_a_host_named_twice_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        launch.parse_args(['-n', '4', '-s', '2', '-H', 'hosta,hostb,hostb', 'true'])
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith(
        'error: -H hosta,hostb,hostb: name each host once, as in -H hosta,hostb; the 4 workers are '
        'shared out evenly (see --help)\n')


def test_each_process_knows_its_address(program):
    shown = program(SCRIPT, '-n', '2', '-H', '127.0.0.1,localhost', '--ssh', SSH, *SHOW, check=0)
    assert shown.stdout.splitlines() == ['127.0.0.1'] * 2
