"""A few kills and some damaged inputs; the programs here can also run for hours."""
import os

import pytest
from helpers import LAUNCHERS, launcher
from torture import fuzz, kills

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('name', ['classifier', 'ner', 'pretraining', 'mpirun', 'launch.py',
                                  'data'])
def test_killed_runs_continue_to_the_same_bits(name):
    if name in LAUNCHERS:
        launcher(name)          # or a skip
    counts = kills.torture([name], 1, seed=0)[name]
    assert counts['kills'] == 1
    assert not any(counts[key] for key in kills.FAULTS), kills.table({name: counts})


def test_damaged_inputs_end_in_one_line(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(fuzz.__file__))
    from readers import READERS
    faults = []
    counts = fuzz.fuzz(500, seed=0, seconds=300, log=faults.append)
    assert set(counts) == set(READERS)      # in turn; a round takes a minute on a busy machine
    assert not faults, ''.join(faults)
