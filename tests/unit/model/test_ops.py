"""The fast path's operators: against MXNet's own, formulas and numeric derivatives."""
import os
import shutil
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from helpers import ROOT
from mxnet.gluon import HybridBlock

from bert.model import ops
from bert.training.settings import OPTIMIZERS

BF16 = np.dtype([('bfloat16', np.uint16)])
OFF, SEED = mx.nd.array([-1]), mx.nd.array([7])
LENGTHS = [1, 15, 0, 16, 17, 130, 600]


@pytest.fixture(scope='module', autouse=True)
def operators():
    if not ops.load():
        pytest.skip('the operators cannot be built here')


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


def test_gelu():
    from scipy.special import ndtr
    x = mx.nd.array(np.linspace(-12, 12, 20011))
    one = mx.nd.ones_like(x)
    exact = x.asnumpy().astype('float64')
    density = np.exp(-exact ** 2 / 2) / np.sqrt(2 * np.pi)
    y, slope = gradients(lambda: mx.nd.bert_gelu(x), [x], one)
    np.testing.assert_allclose(y, exact * ndtr(exact), rtol=1e-5, atol=2e-7)
    np.testing.assert_allclose(slope, ndtr(exact) + exact * density, atol=4e-7)
    cdf = (1 + np.tanh(np.sqrt(2 / np.pi) * (exact + 0.044715 * exact ** 3))) / 2
    y, slope = gradients(lambda: mx.nd.bert_gelu(x, approx=1), [x], one)
    np.testing.assert_allclose(y, exact * cdf, atol=1e-6)
    inner = 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * exact ** 2)
    np.testing.assert_allclose(slope, cdf + exact * cdf * (1 - cdf) * inner, atol=4e-6)


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
    'after': layer_norm_case(nores=1, post=1),
    'attention': attention_case(),
    'gelu': ([normal(7, 5)], lambda x: mx.nd.bert_gelu(x)),
    'tanh': ([normal(7, 5)], lambda x: mx.nd.bert_gelu(x, approx=1)),
}


@pytest.mark.parametrize('case', CASES)
def test_derivatives_with_dropout_on(case):
    """Every gradient against central differences along a random direction."""
    inputs, function = CASES[case]
    head = normal(*function(*inputs).shape, seed=9)
    _, *slopes = gradients(lambda: function(*inputs), inputs, head)
    for i, slope in enumerate(slopes):
        direction, step = normal(*slope.shape, seed=5), 5e-3
        sums = [np.sum(function(*inputs[:i], inputs[i] + sign * step * direction,
                                *inputs[i + 1:]).asnumpy().astype('float64') * head.asnumpy())
                for sign in (1, -1)]
        assert np.sum(slope * direction.asnumpy()) == pytest.approx(
            (sums[0] - sums[1]) / (2 * step), rel=3e-3, abs=3e-3)


def layer_norm_mask(seed, p=0.1, rows=512, units=500):
    """Dropout alone, seen through the normalization: beta 1, gamma 0, dropout after."""
    return mx.nd.bert_layer_norm(normal(rows, units), mx.nd.zeros(units), mx.nd.ones(units),
                                 mx.nd.array([seed]), p=p, nores=1, post=1).asnumpy()


def attention_mask(seed, p=0.1, length=256, heads=4):
    """Dropout alone: equal scores, and the values' matrix is the identity."""
    eye = np.tile(np.eye(length), (1, heads))
    qkv = mx.nd.array(np.concatenate([0 * eye, 0 * eye, eye], 1))
    return mx.nd.bert_attention(qkv, mx.nd.array([0]), mx.nd.array([length]), mx.nd.array([seed]),
                                heads=heads, p=p).asnumpy() * length


@pytest.mark.parametrize('mask', [layer_norm_mask, attention_mask])
def test_dropout_statistics(mask):
    kept = mask(3)
    deviation = np.sqrt(0.1 * 0.9 / kept.size)
    assert abs((kept == 0).mean() - 0.1) < 4 * deviation
    np.testing.assert_allclose(kept[kept > 0], 1 / 0.9, rtol=1e-5)
    np.testing.assert_array_equal(mask(3), kept)
    np.testing.assert_array_equal(mask(-1), np.ones_like(kept))
    np.testing.assert_allclose(mask(3, p=0), np.ones_like(kept), rtol=1e-5)
    centred = (kept > 0) - 0.9
    for other in (mask(4), mask(2 ** 24 - 1), np.roll(kept, 1, 0), np.roll(kept, 1, 1),
                  np.roll(kept, (1, 1), (0, 1)), np.roll(kept, 256, 1)):
        if not (other == kept).all():
            assert abs((centred * ((other > 0) - 0.9)).mean()) < 5 * 0.09 / np.sqrt(kept.size)
    assert abs((kept > 0).mean(0) - 0.9).max() < 5.5 * np.sqrt(0.09 / kept.shape[0])
    assert abs((kept > 0).mean(1) - 0.9).max() < 5.5 * np.sqrt(0.09 / kept.shape[1])


def test_dropout_rate_is_exact():
    zeros = np.mean([(layer_norm_mask(seed, p=1e-3) == 0).mean() for seed in range(8)])
    assert zeros == pytest.approx(1e-3, abs=4 * np.sqrt(1e-3 / (8 * 512 * 500)))


def test_segments_do_not_see_each_other():
    starts, lengths, rows = packed([20, 30])
    qkv = normal(rows, 48)
    before = mx.nd.bert_attention(qkv, starts, lengths, SEED, heads=2, p=0.1).asnumpy()
    qkv[23:53] = 9
    after = mx.nd.bert_attention(qkv, starts, lengths, SEED, heads=2, p=0.1).asnumpy()
    np.testing.assert_array_equal(before[:23], after[:23])
    assert (before[23:53] != after[23:53]).all()
    assert not after[:3].any() and not after[53:].any()


def test_bfloat16():
    """bfloat16 in and out gives what float32 gives for the same inputs, rounded."""
    def compare(function, inputs, head, low=1):
        inputs = [x.astype(BF16) if i < low else x for i, x in enumerate(inputs)]
        exact = [x.astype('float32') for x in inputs]
        y = function(*inputs)
        half = head.astype(y.dtype)
        assert_close(gradients(lambda: function(*inputs), inputs, half),
                     gradients(lambda: function(*exact), exact, half.astype('float32')), 8e-3)
        assert inputs[0].grad.dtype == BF16
    for name, (inputs, function) in CASES.items():
        compare(function, inputs, normal(*function(*inputs).shape, seed=9),
                low=2 if name == 'some rows' else 1)


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


class Block(HybridBlock):
    """A layer's shape: the residual stream feeds two operators, and starts are used twice."""

    def __init__(self, fast):
        super().__init__()
        self.fast = fast
        with self.name_scope():
            self.gamma = self.params.get('gamma', shape=(24,), init='ones')
            self.beta = self.params.get('beta', shape=(24,), init='zeros')
            self.qkv = self.params.get('qkv', shape=(72, 24), init=mx.init.Normal(0.3))

    def hybrid_forward(self, F, x, starts, lengths, off, gamma, beta, qkv):
        gamma, beta = F.identity(gamma), F.identity(beta)
        for _ in range(2):
            projections = F.FullyConnected(x, qkv, no_bias=True, num_hidden=72)
            if self.fast:
                a = F.bert_attention(projections, starts, lengths, off, heads=3)
                x = F.bert_layer_norm(F.bert_gelu(a), x, gamma, beta, off, eps=1e-5)
            else:
                a = plain_attention(projections, starts, lengths, 3)
                x = F.LayerNorm(F.LeakyReLU(a, act_type='gelu') + x, gamma, beta, eps=1e-5)
        return x


@pytest.mark.parametrize('grad_req', ['write', 'add'])
def test_in_a_graph(grad_req):
    """Hybridized, with memory planned ahead, over several shapes, gradients added up or not."""
    results = []
    for fast in (False, True):
        mx.random.seed(0)
        net = Block(fast)
        net.initialize()
        if fast:
            net.hybridize(static_alloc=True, static_shape=True)
        for p in net.collect_params().values():
            p.grad_req = grad_req
        outputs = []
        for sizes in ([5, 9], [20], [5, 9]):
            starts, lengths, rows = packed(sizes)
            x = normal(rows, 24)
            x.attach_grad(grad_req)
            with mx.autograd.record():
                y = net(x + 0, starts, lengths, OFF)
            y.backward(normal(rows, 24, seed=1))
            outputs += [y.asnumpy(), x.grad.asnumpy()]
        results.append(outputs + [p.grad().asnumpy() for p in net.collect_params().values()])
    assert_close(*results)


def bad(function, *inputs, **attributes):
    with pytest.raises(mx.MXNetError) as caught:
        getattr(mx.nd, function)(*inputs, **attributes).asnumpy()
    return str(caught.value)


def test_errors_say_what_is_wrong():
    x, c = normal(4, 6), normal(6)
    assert 'residual has shape (4, 5), not (4, 6)' in bad('bert_layer_norm', x, normal(4, 5), c, c,
                                                          OFF)
    assert 'gamma has shape (5,)' in bad('bert_layer_norm', x, x, normal(5), c, OFF)
    assert 'seed has shape (2,)' in bad('bert_layer_norm', x, x, c, c, normal(2))
    assert 'p=1.0' in bad('bert_layer_norm', x, x, c, c, OFF, p=1)
    assert 'p=x: not a number' in bad('bert_layer_norm', x, x, c, c, OFF, p='x')
    assert 'x must be float32 or bfloat16' in bad('bert_gelu', x.astype('float64'))
    one = mx.nd.array([1])

    def attention(starts, lengths, heads=2, qkv=x):
        return bad('bert_attention', qkv, mx.nd.array(starts), mx.nd.array(lengths), OFF,
                   heads=heads)
    assert 'multiple of heads=4' in attention([0], [4], heads=4)
    assert 'heads=' in bad('bert_attention', x, one, one, OFF)
    assert 'lengths has shape (2,), not (1,)' in attention([0], [1, 1])
    for start, length in ((0, 5), (-1, 2), (4, 1), (0.5, 1), (0, float('nan')), (2e9, 2e9)):
        assert 'segment 0' in attention([start], [length])
    assert 'row 1 is in two segments' in attention([0, 1], [2, 1])

    def some(places, kv=x[:, :4], q=x[:, :2]):
        return bad('bert_attention', q[:len(places)], kv, one - 1, one, mx.nd.array(places), OFF,
                   heads=2, queries=1)
    for place in (-1, len(x), 0.5, float('nan')):
        assert 'place 1 (' in some([0, place])
    assert f'kv has shape ({len(x)}, 3), not (rows, 4)' in some([0], x[:, :3])
    rates = mx.nd.zeros((2, 1))
    assert 'a gradient has shape (5,), not (6,)' in bad('bert_update', c, normal(5), c, c, rates,
                                                        n=1, number=1)
    assert 'sgd is not' in bad('bert_update', c, c, c, c, rates, n=1, number=1, optimizer='sgd')
    assert 'number of the update' in bad('bert_update', c, c, c, c, rates, n=1)
    assert 'number of tensors' in bad('bert_sum_squares', c)


DIGEST = '''
import hashlib, test_ops as t, mxnet as mx
assert t.ops.load()
total = hashlib.sha256()
starts, lengths, rows = t.packed(t.LENGTHS)
for inputs, function in list(t.CASES.values()) + [
        ([t.normal(rows, 96)], lambda x: mx.nd.bert_attention(x, starts, lengths, t.SEED, heads=4,
                                                              p=.1)),
        ([t.normal(700, 40), t.normal(40), t.normal(40)],
         lambda *x: mx.nd.bert_layer_norm(*x, t.SEED, nores=1, p=.1))]:
    head = t.normal(*function(*inputs).shape)
    for array in t.gradients(lambda: function(*inputs), inputs, head):
        total.update(array.tobytes())
state = [t.normal(300, 300, seed=i) for i in range(4)]
for optimizer in ('adamw', 'lamb'):
    mx.nd.bert_update(*state[:3], state[3] ** 2, mx.nd.array([[.1], [.1]]), n=1, number=2,
                      optimizer=optimizer)
up, down = (mx.nd.bert_int8(t.normal(*shape)) for shape in ((70, 33), (33, 70)))
state += [mx.nd.bert_dense_int8(t.normal(61, 33), *up, t.normal(70))]
state += [mx.nd.bert_feed_forward_int8(t.normal(61, 33), *up, t.normal(70), *down, t.normal(33))]
for array in state + [mx.nd.bert_sum_squares(*state[:4], n=4)]:
    total.update(array.asnumpy().tobytes())
print(total.hexdigest())
'''


def run(code, **env):
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([
        os.path.join(ROOT, 'tests', 'unit', 'model'), os.path.join(ROOT, 'tests'), ROOT]), **env)
    done = subprocess.run([sys.executable, '-c', 'import conftest\n' + code], env=env, timeout=600,
                          capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_results_do_not_depend_on_threads():
    assert run(DIGEST, OMP_NUM_THREADS='1') == run(DIGEST, OMP_NUM_THREADS='3')


@pytest.mark.slow
def test_sanitizers(tmp_path):
    """The same again, on a library that checks each access and each operation."""
    libraries = [subprocess.run(['g++', f'-print-file-name=lib{name}.so'], text=True,
                                capture_output=True, check=True).stdout.strip()
                 for name in ('asan', 'ubsan') if shutil.which('g++')]
    if not libraries or not all(os.path.isabs(library) for library in libraries):
        pytest.skip('needs g++ with libasan and libubsan')
    checks = ("from bert.model.ops import build\nbuild.FLAGS += ['-O0', "
              "'-fsanitize=address,undefined', "
              "'-fno-sanitize-recover=all']\n")
    printed = run(checks + DIGEST, XDG_CACHE_HOME=str(tmp_path), LD_PRELOAD=' '.join(libraries),
                  CXX='g++', ASAN_OPTIONS='detect_leaks=0')
    assert len(printed.split()[-1]) == 64


# cross entropy and the cast

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
