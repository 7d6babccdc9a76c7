"""Which precision runs where, and what a measurement decides."""
import json

import mxnet as mx
import pytest
from helpers import multiplies_bfloat16

from bert.training import precision
from bert.utils.errors import DataError


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Take these speeds for measured ones, and an empty cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))

    def set_speeds(float32, bfloat16):
        monkeypatch.setattr(precision, 'measure', lambda: precision.Speeds(float32, bfloat16))
    return set_speeds


def test_bfloat16_is_decided_by_a_measurement(measured):
    measured(321.4, 165.2)
    with pytest.raises(DataError, match=r'slower than float32 on this CPU \(bfloat16 165, float32 '
                                        r'321 GFLOP/s\); --force_dtype'):
        precision.set_precision('bfloat16', mx.cpu(), 'packed')
    precision.set_precision('bfloat16', mx.cpu(), 'packed', force=True)
    assert precision.choose('auto', mx.cpu()) == 'float32'


def test_bfloat16_that_is_faster(measured, caplog):
    measured(212, 427)
    caplog.set_level('INFO')
    precision.set_precision('bfloat16', mx.cpu(), 'packed')
    assert precision.choose('auto', mx.cpu()) == 'bfloat16'
    assert 'bfloat16 427, float32 212 GFLOP/s' in caplog.text
    assert precision.choose('auto', mx.gpu(0)) == 'float16'
    assert precision.choose('float32', mx.cpu()) == 'float32'


@pytest.mark.parametrize('force', [False, True])
def test_a_cpu_without_bfloat16_products(measured, force):
    measured(20, None)
    with pytest.raises(DataError, match='has no bfloat16 products for this CPU'):
        precision.set_precision('bfloat16', mx.cpu(), 'packed', force)
    assert precision.choose('auto', mx.cpu()) == 'float32'


def test_the_measurement_is_made_once(measured, tmp_path):
    measured(20, 10)
    assert precision.speeds() == (20, 10)
    measured(1, 2)
    assert precision.speeds() == (20, 10)
    path = tmp_path / 'gluon-bert' / 'bfloat16.json'
    (key, value), = json.loads(path.read_text(encoding='utf-8')).items()
    assert value == [20, 10] and key.endswith(f'MXNet {mx.__version__}')
    path.write_text('[]', encoding='utf-8')     # damaged
    assert precision.speeds() == (1, 2)


def test_what_is_measured():
    found = precision.measure()
    assert found.float32 > 0.1
    assert (found.bfloat16 is not None) == multiplies_bfloat16()


@pytest.mark.parametrize('dtype, device, words', [
    ('float16', mx.cpu(), 'needs a GPU'), ('bfloat16', mx.gpu(0), 'on a GPU use float16')])
def test_precision_of_the_other_device(dtype, device, words):
    with pytest.raises(DataError, match=words):
        precision.set_precision(dtype, device)
