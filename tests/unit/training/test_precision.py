"""Which precision runs where, and what a measurement decides."""
import json
import os
import subprocess
import sys

import mxnet as mx
import pytest
from helpers import ROOT, TINY, multiplies_bfloat16, warnings
from workers import on_both

from bert.model import ops
from bert.training import precision
from bert.utils import files, processors
from bert.utils.errors import DataError


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Take these speeds for measured ones, and an empty cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))

    def set_speeds(*speeds):
        monkeypatch.setattr(precision, 'measure', lambda: precision.Speeds(*speeds))
    return set_speeds


@pytest.mark.parametrize('dtype', ['bfloat16', 'int8'])
def test_what_is_slower_is_used_with_a_warning(measured, caplog, dtype):
    measured(321.4, 165.2, 165.2)
    precision.set_precision(dtype, mx.cpu(), 'packed')
    record, = caplog.records
    assert record.levelname == 'WARNING'
    assert record.getMessage() == (f'--dtype {dtype}: float32 is faster on this CPU ({dtype} 165, '
                                   'float32 321 GFLOP/s)')
    assert precision.choose('auto', mx.cpu()) == 'float32'


def test_the_speed_of_int8_is_logged(measured, caplog):
    measured(321.4, None, 600)
    caplog.set_level('INFO')
    precision.set_precision('int8', mx.cpu(), 'packed')
    record, = caplog.records
    assert record.levelname == 'INFO'
    assert record.getMessage() == 'matrix products: int8 600, float32 321 GFLOP/s'


def test_bfloat16_that_is_faster(measured, caplog):
    measured(212, 427)
    caplog.set_level('INFO')
    precision.set_precision('bfloat16', mx.cpu(), 'packed')
    assert precision.choose('auto', mx.cpu()) == 'bfloat16'
    assert 'bfloat16 427, float32 212 GFLOP/s' in caplog.text
    assert precision.choose('auto', mx.gpu(0)) == 'float16'
    assert precision.choose('float32', mx.cpu()) == 'float32'


def test_a_cpu_without_bfloat16_products(measured):
    measured(20, None)
    with pytest.raises(DataError, match='has no bfloat16 products for this CPU'):
        precision.set_precision('bfloat16', mx.cpu(), 'packed')
    assert precision.choose('auto', mx.cpu()) == 'float32'


def test_the_measurement_is_made_once(measured, tmp_path):
    measured(20, 10, 30)
    assert precision.speeds() == (20, 10, 30)
    measured(1, 2, 3)
    assert precision.speeds() == (20, 10, 30)
    path = tmp_path / 'gluon-bert' / 'speeds.json'
    (key, value), = json.loads(path.read_text(encoding='utf-8')).items()
    assert value == [20, 10, 30] and key.endswith(f'MXNet {mx.__version__}, {ops.name()}')
    path.write_text('[]', encoding='utf-8')     # damaged
    assert precision.speeds() == (1, 2, 3)


def test_the_measurement_of_a_cpu_with_other_abilities(measured, monkeypatch):
    """Virtual machines of one name may share a home folder."""
    for flags, speeds in ('fpu avx2', (20, None)), ('fpu avx2 avx512bw', (20, 30)):
        monkeypatch.setattr(processors, 'describe', lambda flags=flags: {
            'model name': 'AMD EPYC', 'flags': flags})
        measured(*speeds)
        assert precision.speeds()[:2] == speeds


def test_a_measurement_that_cannot_be_kept_is_made_again(measured):
    os.mkdir(os.path.join(files.cache_folder(), 'speeds.json'))     # in the way of the file
    for speeds in (20, 10, 30), (1, 2, 3):
        measured(*speeds)
        assert precision.speeds() == speeds


def test_what_is_measured():
    found = precision.measure()
    assert found.float32 > 0.1
    assert (found.bfloat16 is not None) == multiplies_bfloat16()
    assert (found.int8 is not None) == ops.load()


@pytest.mark.parametrize('dtype, device, words', [
    ('float16', mx.cpu(), 'needs a GPU'), ('bfloat16', mx.gpu(0), 'on a GPU use float16')])
def test_precision_of_the_other_device(dtype, device, words):
    with pytest.raises(DataError, match=words):
        precision.set_precision(dtype, device)


def test_float16_has_products_in_half_precision_and_sums_in_full():
    program = (
        'import bert, sys\nimport mxnet as mx\n'
        'from bert.checkpoint import result_folder, source\n'
        'from bert.model.heads import Classifier\n'
        'from bert.training import precision\n'
        'precision.set_precision("float16", mx.gpu(0))\n'      # what MXNet computes is its own
        'model = result_folder.load(source.ModelSource(sys.argv[1], offline=True))\n'
        'net = Classifier(model.config, 2, dropout=0.1)\n'
        'nodes = net(*map(mx.sym.var, ("ids", "types", "lengths"))).get_internals()\n'
        'types = nodes.infer_type(ids="int32", types="int32", lengths="float32")[1]\n'
        'for name, kind in zip(nodes.list_outputs(), types): print(name, kind.__name__)\n')
    said = subprocess.run([sys.executable, '-c', program, TINY], cwd=ROOT, check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found = {kind: {float_ for name, float_ in map(str.split, said.splitlines()) if kind in name}
             for kind in ('fullyconnected', 'selfatt', 'softmax', 'plus', 'layernorm', 'gelu')}
    half, full = {'float16'}, {'float32'}
    assert found == {'fullyconnected': half, 'selfatt': half, 'softmax': half, 'plus': full,
                     'layernorm': full, 'gelu': full}


@pytest.mark.parametrize('dtypes, layouts, decided, lines', [
    (('bfloat16', 'bfloat16'), ('packed', 'packed'), ('bfloat16', 'packed'), []),
    (('bfloat16', 'float32'), ('packed', 'packed'), ('float32', 'packed'), [
        '--dtype: the workers differ (float32: rank 1; bfloat16: rank 0), so all use float32; '
        'choose another one with --dtype']),
    (('float16', 'bfloat16'), ('padded', 'packed'), ('float32', 'padded'), [
        '--dtype: the workers differ (bfloat16: rank 1; float16: rank 0), so all use float32; '
        'choose another one with --dtype',
        '--path: the workers differ (padded: rank 0; packed: rank 1), so all use padded; with '
        '--path packed the workers named first say what they lack'])])
def test_workers_that_differ_use_what_all_of_them_can(monkeypatch, caplog, dtypes, layouts, decided,
                                                      lines):
    monkeypatch.setattr(precision, 'choose', lambda dtype, device: dtypes[device.device_id])
    monkeypatch.setattr(precision, 'choose_layout', lambda layout, dtype, devices, pad: (
        layouts[devices[0].device_id]))
    found = on_both(lambda worker, number: precision.decide('auto', [mx.cpu(number)], comm=worker),
                    0, 1)
    assert found == {0: decided, 1: decided}
    assert sorted(set(warnings(caplog))) == lines
