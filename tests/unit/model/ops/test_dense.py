"""Dense layers in float32 for inference, against numpy."""
import mxnet as mx
import numpy as np
import pytest
from operator_cases import normal

from bert.model import native

# rows, inputs, outputs: parts of tiles, of vectors and of panels, several steps of inputs
SHAPES = [(1, 1, 1), (1, 32, 16), (3, 33, 17), (7, 513, 48), (65, 384, 47), (129, 7, 49),
          (300, 1100, 130), (8, 384, 1024)]

pytestmark = pytest.mark.usefixtures('operators')


def layer(inputs, outputs, seed=0):
    """A weight and a bias, and the two as bert_dense takes them."""
    weight, bias = normal(outputs, inputs, seed=seed), normal(outputs, seed=seed + 1)
    return (weight.asnumpy(), bias.asnumpy()), (mx.nd.bert_panels(weight), bias)


def product(x, weight, bias):
    return x.astype('float64') @ weight.T + bias


def assert_close(found, expected):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-5,
                               atol=1e-5 * max(1, abs(expected).max()))


@pytest.mark.parametrize('rows, inputs, outputs', SHAPES)
def test_dense_is_the_product_and_the_bias(rows, inputs, outputs):
    plain, prepared = layer(inputs, outputs)
    x = normal(rows, inputs, seed=5)
    assert_close(mx.nd.bert_dense(x, *prepared), product(x.asnumpy(), *plain))


def test_leading_axes_are_rows():
    _, prepared = layer(33, 17)
    x = normal(6, 33)
    y = mx.nd.bert_dense(x.reshape((2, 3, 33)), *prepared)
    np.testing.assert_array_equal(y.asnumpy(),
                                  mx.nd.bert_dense(x, *prepared).asnumpy().reshape((2, 3, 17)))


@pytest.mark.parametrize('rows, inputs, outputs', [(1, 32, (32, 32)), (70, 33, (65, 1, 128)),
                                                   (3, 384, (384, 384, 384))])
def test_layers_side_by_side_are_those_layers(rows, inputs, outputs):
    layers = [layer(inputs, each, seed=each)[1] for each in outputs]
    x = normal(rows, inputs, seed=5)
    y = mx.nd.bert_dense(x, *sum(layers, ()), n=len(layers)).asnumpy()
    parts = [mx.nd.bert_dense(x, *each).asnumpy() for each in layers]
    np.testing.assert_array_equal(y, np.concatenate(parts, axis=1))


@pytest.mark.parametrize('activation', native.FUSED)
@pytest.mark.parametrize('rows, units, hidden', [(1, 32, 128), (70, 33, 65), (3, 384, 1536),
                                                 (9, 16, 40000)])
def test_feed_forward_is_its_parts(activation, rows, units, hidden):
    (first, up), (second, down) = layer(units, hidden), layer(hidden, units, seed=2)
    x = normal(rows, units, seed=5)
    y = mx.nd.bert_feed_forward(x, *up, *down, activation=activation)
    inner = mx.nd.array(product(x.asnumpy(), *first))
    inner = (mx.nd.relu(inner) if activation == 'relu' else
             mx.nd.bert_gelu(inner, approx=int(activation != 'gelu'))).asnumpy()
    assert_close(y, product(inner, *second))


def test_what_is_not_finite_stays_in_its_row():
    _, prepared = layer(33, 17)
    x = normal(12, 33)
    clean = mx.nd.bert_dense(x, *prepared).asnumpy()
    x[2, 5] = np.nan
    y = mx.nd.bert_dense(x, *prepared).asnumpy()
    assert np.isnan(y[2]).all()
    others = np.arange(12) != 2
    np.testing.assert_array_equal(y[others], clean[others])


def test_errors_say_what_is_wrong():
    _, (panels, bias) = layer(8, 4)
    x = normal(3, 8)

    def bad(function, *inputs, **attributes):
        with pytest.raises(mx.MXNetError) as caught:
            getattr(mx.nd, function)(*inputs, **attributes).asnumpy()
        return str(caught.value)
    assert 'not (outputs, inputs)' in bad('bert_panels', bias)
    assert 'weight must be float32' in bad('bert_panels', panels.astype('int8'))
    assert 'a weight must be float32' in bad('bert_dense', x, panels.astype('int8'), bias)
    assert 'x has 7 columns and a weight shape (4, 8)' in bad('bert_dense', x[:, :7], panels, bias)
    assert 'a bias has shape (3,), not (4,)' in bad('bert_dense', x, panels, bias[:3])
    assert 'n=0' in bad('bert_dense', x, panels, bias, n=0)
    assert 'swish is not known' in bad('bert_feed_forward', x, panels, bias, *layer(4, 8)[1],
                                       activation='swish')
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.bert_dense(x, panels, bias)
    with pytest.raises(mx.MXNetError, match='for inference'):
        y.backward()
        x.grad.wait_to_read()
