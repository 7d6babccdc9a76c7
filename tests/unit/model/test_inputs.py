"""Lists of rows as arrays: padded, and packed one after the other."""
import mxnet as mx
import numpy as np

from bert.model.inputs import packed_inputs, pad, round_up

IDS = [[2, 8, 9, 10, 11, 12, 13, 3], [2, 20, 3], [2, 7, 6, 5, 9, 3], [2, 3]]
SEGMENTS = [[0, 0, 0, 1, 1, 1, 1, 1], [0, 1, 1], [0, 0, 0, 0, 1, 1], [0, 0]]


def test_pad():
    rows, lengths = pad([[5, 6, 7], [8]], 1)
    assert rows.tolist() == [[5, 6, 7], [8, 1, 1]] and rows.dtype == np.int32
    assert lengths.tolist() == [3, 1] and lengths.dtype == np.float32
    assert pad([[5]], 0, 4)[0].tolist() == [[5, 0, 0, 0]]


def test_packed_arrays_by_hand():
    ids, segments, positions, starts, lengths = packed_inputs(IDS[1:], SEGMENTS[1:], mx.cpu())
    assert ids.asnumpy().tolist() == [2, 20, 3, 2, 7, 6, 5, 9, 3, 2, 3]
    assert segments.asnumpy().tolist() == [0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0]
    assert positions.asnumpy().tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 0, 1]
    assert starts.asnumpy().tolist() == [0, 3, 9] and lengths.asnumpy().tolist() == [3, 6, 2]
    assert ids.dtype == segments.dtype == positions.dtype == np.int32


def test_packed_arrays_have_few_sizes():
    sizes = [round_up(count) for count in range(1, 4097)]
    assert sizes[:64] == list(range(1, 65)) and sizes[64] == 66 and sizes[-1] == 4096
    assert len(set(sizes)) == 64 + 6 * 32
    assert all(count <= size <= count * 1.04 for count, size in enumerate(sizes, 1))
    *tokens, starts, lengths = packed_inputs([[7] * 60, [8] * 7], [[1] * 60, [0] * 7], mx.cpu())
    assert [array.shape for array in tokens] == [(68,)] * 3
    assert [int(array[67].asscalar()) for array in tokens] == [0, 0, 0]
    assert starts.asnumpy().tolist() == [0, 60] and lengths.asnumpy().tolist() == [60, 7]
