"""Jobs on parameter servers: how launch.py shares them out, and what their processes are given."""
import pytest

from scripts import launch


def test_a_host_named_twice_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        launch.parse_args(['-n', '4', '-s', '2', '-H', 'hosta,hostb,hostb', 'true'])
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith(
        'error: -H hosta,hostb,hostb: name each host once, as in -H hosta,hostb; the 4 workers are '
        'shared out evenly (see --help)\n')
