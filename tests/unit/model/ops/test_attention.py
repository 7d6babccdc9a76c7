"""Attention over packed segments, against MXNet's own operators."""
import mxnet as mx
import numpy as np
import pytest
from operator_cases import (
    LENGTHS,
    OFF,
    SEED,
    assert_close,
    gradients,
    normal,
    packed,
    plain_attention,
)

pytestmark = pytest.mark.usefixtures('operators')


@pytest.mark.parametrize('heads, size', [(4, 5), (3, 17), (1, 64), (2, 32)])
def test_attention_is_mxnets(heads, size):
    starts, lengths, rows = packed(LENGTHS)
    qkv, head = normal(rows, 3 * heads * size), normal(rows, heads * size)
    ours = gradients(lambda: mx.nd.bert_attention(qkv, starts, lengths, OFF, heads=heads, p=0.1),
                     [qkv], head)
    assert_close(ours, gradients(lambda: plain_attention(qkv, starts, lengths, heads), [qkv], head))


@pytest.mark.parametrize('heads, size', [(4, 5), (2, 32)])
def test_attention_of_some_rows(heads, size):
    """As of all rows, where the gradients of the others are 0; dropout included."""
    starts, lengths, rows = packed(LENGTHS)
    units = heads * size
    qkv, head = normal(rows, 3 * units), normal(rows, units)
    # several of one segment, out of order, one twice, none of some segments, two of no segment
    chosen = [5, 4, rows - 8, 5, 0, rows - 3, rows - 1] + list(range(rows - 90, rows - 20))
    places = mx.nd.array(chosen)
    q, kv = mx.nd.take(qkv[:, :units], places), qkv[:, units:].copy()
    weight = np.bincount(chosen, minlength=rows)[:, None]
    for seed in OFF, SEED:
        y, dq, dkv = gradients(lambda seed=seed: mx.nd.bert_attention(
            q, kv, starts, lengths, places, seed, heads=heads, p=0.2, queries=1), [q, kv],
            mx.nd.take(head, places))
        every, dqkv = gradients(lambda seed=seed: mx.nd.bert_attention(
            qkv, starts, lengths, seed, heads=heads, p=0.2), [qkv], head * mx.nd.array(weight))
        np.testing.assert_allclose(y, every[chosen], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(dq, (dqkv[:, :units] / np.maximum(weight, 1))[chosen],
                                   atol=1e-5)
        np.testing.assert_allclose(dkv, dqkv[:, units:], atol=1e-5)
    assert not y[4].any() and not dq[4].any() and y[0].any()


def test_large_scores():
    """The softmax neither overflows nor divides by zero."""
    qkv = normal(20, 24) * 100
    starts, lengths = mx.nd.array([0]), mx.nd.array([20])
    ours = gradients(lambda: mx.nd.bert_attention(qkv, starts, lengths, OFF, heads=2), [qkv],
                     normal(20, 8))
    assert_close(ours, gradients(lambda: plain_attention(qkv, starts, lengths, 2), [qkv],
                                 normal(20, 8)), 1e-4)


def test_segments_do_not_see_each_other():
    starts, lengths, rows = packed([20, 30])
    qkv = normal(rows, 48)
    before = mx.nd.bert_attention(qkv, starts, lengths, SEED, heads=2, p=0.1).asnumpy()
    qkv[23:53] = 9
    after = mx.nd.bert_attention(qkv, starts, lengths, SEED, heads=2, p=0.1).asnumpy()
    np.testing.assert_array_equal(before[:23], after[:23])
    assert (before[23:53] != after[23:53]).all()
    assert not after[:3].any() and not after[53:].any()
