"""Which precision runs where."""
import builtins
import io

import mxnet as mx
import pytest

from bert.training import runtime
from bert.utils.errors import DataError

CPUINFO = 'processor\t: 0\nflags\t\t: fpu avx2 avx512f %s\nbugs\t\t: none\n'


@pytest.mark.parametrize('flag, has', [('avx512_bf16', True), ('amx_bf16', True),
                                       ('avx512_vnni', False)])
def test_bfloat16_is_told_by_the_flags_of_the_cpu(monkeypatch, flag, has):
    monkeypatch.setattr(builtins, 'open', lambda *args, **kwargs: io.StringIO(CPUINFO % flag))
    assert runtime.has_bfloat16() is has


def test_bfloat16_is_refused_where_it_is_slower(monkeypatch):
    monkeypatch.setattr(runtime, 'has_bfloat16', lambda: False)
    with pytest.raises(DataError, match='does not support it.* so float32 is faster; --force'):
        runtime.set_precision('bfloat16', mx.cpu(), 'packed')
    runtime.set_precision('bfloat16', mx.cpu(), 'packed', force=True)
    runtime.set_precision('float32', mx.cpu(), 'packed')
    monkeypatch.setattr(runtime, 'has_bfloat16', lambda: True)
    runtime.set_precision('bfloat16', mx.cpu(), 'packed')


@pytest.mark.parametrize('dtype, device, words', [
    ('float16', mx.cpu(), 'needs a GPU'), ('bfloat16', mx.gpu(0), 'on a GPU use float16')])
def test_precision_of_the_other_device(dtype, device, words):
    with pytest.raises(DataError, match=words):
        runtime.set_precision(dtype, device)
