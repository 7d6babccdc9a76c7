"""The layer norm after a residual sum, against MXNet's own; its copy in bfloat16."""
import mxnet as mx
import numpy as np
import pytest
from operator_cases import BF16, OFF, assert_close, gradients, layer_norm_case, normal

pytestmark = pytest.mark.usefixtures('operators')


@pytest.mark.parametrize('units', [1, 20, 48, 4100])
def test_layer_norm_is_mxnets(units):
    x, residual, head = (normal(19, units, seed=i) for i in range(3))
    gamma, beta = normal(units, seed=3), normal(units, seed=4)
    ours = gradients(lambda: mx.nd.bert_layer_norm(x, residual, gamma, beta, OFF, p=0.1, eps=1e-5),
                     [x, residual, gamma, beta], head)
    theirs = gradients(lambda: mx.nd.LayerNorm(x + residual, gamma, beta, eps=1e-5),
                       [x, residual, gamma, beta], head)
    if units > 1:
        assert_close(ours, theirs)
    else:
        np.testing.assert_array_equal(ours[0], np.broadcast_to(beta.asnumpy(), (19, 1)))
    alone = gradients(lambda: mx.nd.bert_layer_norm(x + residual, gamma, beta, OFF, nores=1,
                                                    eps=1e-5), [x, gamma, beta], head)
    assert_close(alone, [ours[i] for i in (0, 1, 3, 4)])


def test_bfloat16_copy():
    """out16=1 gives y twice, and the gradients of both count."""
    inputs, function = layer_norm_case(out16=1)
    y, y16 = function(*inputs)
    assert y.dtype == np.float32 and y16.dtype == BF16
    np.testing.assert_allclose(y16.astype('float32').asnumpy(), y.asnumpy(), rtol=2 ** -8)
    head = normal(9, 20)

    def both():
        y, y16 = function(*inputs)
        return y + y16.astype('float32')
    single = layer_norm_case()[1]
    assert_close(gradients(both, inputs, head)[1:],
                 gradients(lambda: single(*inputs), inputs, 2 * head)[1:], 1e-2)


def test_bfloat16_rounding():
    """To nearest, ties to even, as MXNet's own cast, which cuts off, does not; NaN stays."""
    values = np.array([256 + 1, 256 + 3, 256 + 1.01, 512 + 2, np.nan, 3.39e38], 'float32')
    y = mx.nd.bert_layer_norm(mx.nd.zeros((1, 6)), mx.nd.zeros(6), mx.nd.array(values), OFF,
                              nores=1, out16=1)[1].astype('float32').asnumpy()[0]
    np.testing.assert_array_equal(y, np.float32([256, 260, 258, 512, np.nan, 3.3895314e38]))
