"""The cast to bfloat16."""
import mxnet as mx
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures('operators')


def test_the_cast_to_bfloat16_rounds_to_nearest():
    # 1 + 2^-7 is the number after 1; halfway between two the one with an even last bit is taken
    step = 2.0 ** -7
    x = mx.nd.array([1, 1 + .4 * step, 1 + .5 * step, 1 + .6 * step, 1 + 1.5 * step, -3.1e-38,
                     1e38])
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.amp_cast(mx.nd.bert_bfloat16(x), dtype='float32')
        total = (y * mx.nd.arange(7)).sum()
    total.backward()
    assert y.asnumpy()[:5].tolist() == [1, 1, 1, 1 + step, 1 + 2 * step]
    np.testing.assert_allclose(y.asnumpy()[5:], x.asnumpy()[5:], rtol=2 ** -8)
    assert x.grad.asnumpy().tolist() == list(range(7))
