"""What tests of the operators in C++ have in common: inputs, gradients, a case of each operator."""
import mxnet as mx
import numpy as np

BF16 = np.dtype([('bfloat16', np.uint16)])
OFF, SEED = mx.nd.array([-1]), mx.nd.array([7])
LENGTHS = [1, 15, 0, 16, 17, 130, 600]


def normal(*shape, seed=0):
    return mx.nd.array(np.random.RandomState(sum(shape) + seed).randn(*shape))


def gradients(function, inputs, head):
    """(output, gradients of sum(output * head)) as numpy arrays."""
    for x in inputs:
        x.attach_grad()
    with mx.autograd.record():
        y = function()
    y.backward(head)
    return [y.astype('float32').asnumpy()] + [x.grad.astype('float32').asnumpy() for x in inputs]


def assert_close(ours, theirs, tolerance=1e-5):
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=tolerance * abs(b).max())


def packed(lengths, first=3, last=2):
    """starts and lengths of segments with unused rows before and after, and all rows' number."""
    starts = np.cumsum([first] + lengths[:-1])
    return mx.nd.array(starts), mx.nd.array(lengths, dtype='int32'), first + sum(lengths) + last


def plain_attention(qkv, starts, lengths, heads):
    """One segment after the other with MXNet's operators."""
    rows, units = qkv.shape[0], qkv.shape[1] // 3
    parts, end = [], 0
    for start, length in zip(starts.asnumpy().astype(int), lengths.asnumpy().astype(int)):
        if not length:
            continue
        x = qkv[start:start + length].reshape((length, 3, heads, -1)).transpose((1, 2, 0, 3))
        scores = mx.nd.batch_dot(x[0], x[1], transpose_b=True) / (units // heads) ** 0.5
        values = mx.nd.batch_dot(mx.nd.softmax(scores), x[2])
        parts += [mx.nd.zeros((start - end, units))] if start > end else []
        parts.append(values.transpose((1, 0, 2)).reshape((length, units)))
        end = start + length
    parts += [mx.nd.zeros((rows - end, units))] if rows > end else []
    return mx.nd.concat(*parts, dim=0)


def layer_norm_case(**settings):
    inputs = [normal(9, 20), normal(9, 20, seed=1), normal(20), normal(20, seed=1)]
    if settings.get('nores'):
        del inputs[1]
    return inputs, lambda *x: mx.nd.bert_layer_norm(*x, SEED, p=0.3, eps=1e-12, **settings)


def attention_case():
    starts, lengths, rows = packed([3, 17, 70])
    return [normal(rows, 60)], lambda qkv: mx.nd.bert_attention(qkv, starts, lengths, SEED, heads=4,
                                                                p=0.3)


def some_rows_case():
    starts, lengths, rows = packed([3, 17, 70])
    places = mx.nd.array([4, 3, 30, 0])
    return [normal(4, 20), normal(rows, 40)], lambda q, kv: mx.nd.bert_attention(
        q, kv, starts, lengths, places, SEED, heads=4, p=0.3, queries=1)


CASES = {
    'some rows': some_rows_case(),
    'residual': layer_norm_case(),
    'alone': layer_norm_case(nores=1),
    'attention': attention_case(),
    'gelu': ([normal(7, 5)], lambda x: mx.nd.bert_gelu(x)),
    'tanh': ([normal(7, 5)], lambda x: mx.nd.bert_gelu(x, approx=1)),
}
