"""Damaged files of weights are refused before MXNet reads them."""
import random
import struct

import mxnet as mx
import numpy as np
import pytest
from helpers import refused

from bert.checkpoint import integrity

ARRAYS = {'a.weight': np.arange(6, dtype=np.float32).reshape(2, 3), 'b': np.ones(4, np.float16),
          'c': np.array([1, 2], np.int32), 'training.state': np.frombuffer(b'{}', np.uint8)}


@pytest.fixture
def saved(tmp_path):
    """A file as MXNet writes it."""
    path = tmp_path / 'x.params'
    mx.nd.save(str(path), {name: mx.nd.array(a, dtype=a.dtype) for name, a in ARRAYS.items()})
    return path


def test_a_whole_file_passes_and_mxnet_reads_it_with_the_checksum(saved):
    integrity.check_params(str(saved))
    integrity.append_checksum(str(saved))
    integrity.check_params(str(saved))
    again = mx.nd.load(str(saved))
    assert set(again) == set(ARRAYS)
    assert all((again[name].asnumpy() == array).all() for name, array in ARRAYS.items())


def test_every_bit_counts_where_there_is_a_checksum(saved):
    integrity.append_checksum(str(saved))
    whole = saved.read_bytes()
    draw = random.Random(0)
    for bit in draw.sample(range(8 * len(whole)), 200):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        saved.write_bytes(damaged)
        if bit // 8 < len(whole) - len(integrity.TRAILER) - 8 or bit // 8 >= len(whole) - 8:
            assert 'checksum' in refused(integrity.check_params, str(saved))


def test_structure_without_a_checksum(saved):
    whole = saved.read_bytes()
    for length in range(0, len(whole)):
        saved.write_bytes(whole[:length])
        assert 'not a complete MXNet parameter file' in refused(integrity.check_params, str(saved))
    for place in range(0, 48):          # the numbers before the first values
        for value in (b'\xff\xff\xff\xff', b'\x7f', b'\x80'):
            saved.write_bytes(whole[:place] + value + whole[place + len(value):])
            try:
                integrity.check_params(str(saved))
            except integrity.DataError as error:
                assert '\n' not in str(error)
            else:
                mx.nd.load(str(saved))      # what passes, MXNet can take


def test_each_array_has_a_name_or_none_has(tmp_path):
    path = tmp_path / 'x.params'
    mx.nd.save(str(path), [mx.nd.ones(2)] * 2)
    integrity.check_params(str(path))
    whole = path.read_bytes()               # ends in the number of names, which is 0
    for count in 2, 1, 3:
        names = struct.pack('<Qc', 1, b'a') * count
        path.write_bytes(whole[:-8] + struct.pack('<Q', count) + names)
        if count == 2:
            integrity.check_params(str(path))
        else:
            assert refused(integrity.check_params, str(path)) == (
                f'{path}: not a complete MXNet parameter file (it has 2 arrays and {count} names); '
                'get another copy')


def test_values_that_are_not_finite():
    assert set(integrity.check_finite('x', ARRAYS)) == set(ARRAYS)
    for value in (np.nan, np.inf, -np.inf):
        bad = dict(ARRAYS, b=np.array([0, value], np.float32))
        assert 'x: b has values that are not finite' in refused(integrity.check_finite, 'x', bad)
