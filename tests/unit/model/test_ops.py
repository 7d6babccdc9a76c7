"""What holds for all operators in C++: derivatives, dropout, bfloat16, graphs, errors, threads."""
import locale
import os
import shutil
import struct
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from helpers import ROOT
from mxnet.gluon import HybridBlock
from operator_cases import (
    BF16,
    CASES,
    OFF,
    assert_close,
    gradients,
    normal,
    packed,
    plain_attention,
)

pytestmark = pytest.mark.usefixtures('operators')


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
    """Dropout alone: the gradient of x by that of the residual, which has no dropout."""
    x, residual, others = mx.nd.zeros((rows, units)), normal(rows, units), (
        mx.nd.ones(units), mx.nd.zeros(units), mx.nd.array([seed]))
    _, dx, dresidual = gradients(
        lambda: mx.nd.bert_layer_norm(x, residual, *others, p=p, eps=1e-12), (x, residual),
        normal(rows, units, seed=1))
    assert dresidual.all()
    return dx / dresidual


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
        assert (other != kept).any()
        assert abs((centred * ((other > 0) - 0.9)).mean()) < 5 * 0.09 / np.sqrt(kept.size)
    assert abs((kept > 0).mean(0) - 0.9).max() < 5.5 * np.sqrt(0.09 / kept.shape[0])
    assert abs((kept > 0).mean(1) - 0.9).max() < 5.5 * np.sqrt(0.09 / kept.shape[1])


def test_dropout_rate_is_exact():
    zeros = np.mean([(layer_norm_mask(seed, p=1e-3) == 0).mean() for seed in range(8)])
    assert zeros == pytest.approx(1e-3, abs=4 * np.sqrt(1e-3 / (8 * 512 * 500)))


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


@pytest.fixture
def decimal_comma(tmp_path, monkeypatch):
    """A locale of glibc, made here, in which 0.1 is written 0,1."""
    (tmp_path / 'comma').mkdir()
    offsets = 32, 34, 34, 36, 40, 44        # of what follows, after a magic number and their count
    (tmp_path / 'comma' / 'LC_NUMERIC').write_bytes(
        struct.pack('<8I', 0x20031114, len(offsets), *offsets)
        + b',\0\0\0' + struct.pack('<2I', ord(','), 0) + b'UTF-8\0')
    monkeypatch.setenv('LOCPATH', str(tmp_path))
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, 'comma')
    except locale.Error:
        pytest.skip('this C library has locales of another format')
    yield
    locale.setlocale(locale.LC_NUMERIC, before)


def test_numbers_have_a_point_in_every_locale(decimal_comma):
    assert locale.localeconv()['decimal_point'] == ','
    x, c = normal(4, 6), normal(6)
    found = mx.nd.bert_layer_norm(x, c, c, OFF, eps=0.5, nores=1).asnumpy()
    assert_close([found], [mx.nd.LayerNorm(x, c, c, eps=0.5).asnumpy()])
    assert 'p=0,1: not a number' in bad('bert_layer_norm', x, c, c, OFF, p='0,1', nores=1)


DIGEST = '''
import hashlib, operator_cases as t, mxnet as mx
from bert.model import ops
assert ops.load()
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
up, down = (mx.nd.bert_panels(t.normal(*shape)) for shape in ((70, 33), (33, 70)))
state += [mx.nd.bert_dense(t.normal(61, 33), up, t.normal(70))]
state += [mx.nd.bert_feed_forward(t.normal(61, 33), up, t.normal(70), down, t.normal(33))]
for array in state + [mx.nd.bert_sum_squares(*state[:4], n=4)]:
    total.update(array.asnumpy().tobytes())
print(total.hexdigest())
'''


def run(code, **env):
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([os.path.join(ROOT, 'tests'), ROOT]), **env)
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
