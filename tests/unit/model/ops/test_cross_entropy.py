"""Cross entropy and its gradient, against the formula."""
import mxnet as mx
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures('operators')


@pytest.mark.parametrize('rows, classes', [(1, 1), (3, 2), (5, 17), (7, 2051)])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_cross_entropy_by_the_formula(rows, classes, dtype):
    rng = np.random.RandomState(classes)
    scores = mx.nd.array(rng.randn(rows, classes) * 5 + 40)
    scores = scores if dtype == 'float32' else mx.nd.bert_bfloat16(scores)
    exact = mx.nd.amp_cast(scores, dtype='float32').asnumpy().astype('float64')
    labels, weights = rng.randint(0, classes, rows), rng.randn(rows)
    labels[0] = exact[0].argmax()
    scores.attach_grad()
    with mx.autograd.record():
        losses, right = mx.nd.bert_cross_entropy(scores, mx.nd.array(labels))
        total = (losses * mx.nd.array(weights)).sum()
    total.backward()
    normalizer = np.log(np.exp(exact - 40).sum(axis=1)) + 40
    np.testing.assert_allclose(losses.asnumpy(), normalizer - exact[np.arange(rows), labels],
                               rtol=1e-5, atol=2e-5)
    assert right.asnumpy().tolist() == (exact.argmax(axis=1) == labels).tolist()
    expected = np.exp(exact - normalizer[:, None])
    expected[np.arange(rows), labels] -= 1
    gradient = mx.nd.amp_cast(scores.grad, dtype='float32').asnumpy()
    tolerance = {'float32': 1e-5, 'bfloat16': 2 ** -8}[dtype]
    # losses are float32: of one as small as their last bit little is known
    np.testing.assert_allclose(gradient, expected * weights[:, None], rtol=tolerance, atol=1e-5)


@pytest.mark.parametrize('label', [-1, 3, float('nan')])
def test_cross_entropy_refuses_a_class_that_there_is_not(label):
    with pytest.raises(mx.MXNetError, match='none of 3 classes'):
        mx.nd.bert_cross_entropy(mx.nd.ones((1, 3)), mx.nd.array([label]))[0].wait_to_read()
