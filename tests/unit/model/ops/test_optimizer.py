"""The fused update of every optimizer, and sums of squares, against their formulas."""
import mxnet as mx
import numpy as np
import pytest
from operator_cases import normal

from bert.training.settings import OPTIMIZERS

pytestmark = pytest.mark.usefixtures('operators')


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_update(optimizer):
    shapes, number, scale = [(7,), (50, 700), (5, 5), (3,)], 3, 0.25
    weights, grads, means = ([normal(*s, seed=i) for s in shapes] for i in range(3))
    weights[3][:] = 0
    variances = [normal(*s, seed=3) ** 2 for s in shapes]
    rates = np.array([[.1, .2, .05, .1], [0, .01, .1, 0]], 'float32')
    expected = []
    for i in range(4):
        w, g, m, v = (x[i].asnumpy().astype('float64') for x in (weights, grads, means, variances))
        m = 0.9 * m + 0.1 * scale * g
        v = 0.99 * v + 0.01 * (scale * g) ** 2
        biased = optimizer == 'bertadam'
        step = m / (1 if biased else 1 - 0.9 ** number)
        step /= np.sqrt(v / (1 if biased else 1 - 0.99 ** number)) + 1e-6
        step += rates[1, i] * w
        if optimizer == 'lamb' and i < 3:
            step *= np.linalg.norm(w) / np.linalg.norm(step)
        expected.append((w - rates[0, i] * step, m, v))
    before = [g.asnumpy() for g in grads]
    mx.nd.bert_update(*weights, *grads, *means, *variances, mx.nd.array(rates), n=4, rescale=scale,
                      optimizer=optimizer, number=number, beta1=0.9, beta2=0.99, epsilon=1e-6)
    for got, want in zip(zip(weights, means, variances), expected):
        for a, b in zip(got, want):
            np.testing.assert_allclose(a.asnumpy(), b, rtol=2e-5, atol=2e-6)
    for g, b in zip(grads, before):
        np.testing.assert_array_equal(g.asnumpy(), b)


def test_sum_squares():
    tensors = [normal(3), normal(40, 1000), mx.nd.zeros((2, 2))]
    np.testing.assert_allclose(
        mx.nd.bert_sum_squares(*tensors, n=3).asnumpy(),
        [np.sum(t.asnumpy().astype('float64') ** 2) for t in tensors], rtol=1e-6)
