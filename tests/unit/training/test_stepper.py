"""The schedule, the updates against their formulas, and the training step."""
import mxnet as mx
import numpy as np
import pytest
from helpers import TINY
from mxnet.gluon import nn
from workers import Worker

from bert.checkpoint import result_folder
from bert.checkpoint.source import ModelSource
from bert.data.sampling import split
from bert.model import ops
from bert.model.heads import Classifier
from bert.model.parameters import initialize
from bert.training import distributed
from bert.training.settings import OPTIMIZERS, OptimizerSettings
from bert.training.stepper import Stepper, _depths
from bert.utils.errors import DataError


class Line(nn.HybridBlock):
    """y = w x + b with names as a head of ours has them."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.classifier = nn.Dense(1, in_units=3)

    def hybrid_forward(self, F, x):
        return self.classifier(x)


X = np.random.RandomState(0).randn(8, 3).astype('float32')
Y = np.random.RandomState(1).randn(8, 1).astype('float32')


def make(devices=1, **kwargs):
    mx.random.seed(0)
    net = Line()
    net.initialize(mx.init.Normal(1.0), ctx=[mx.cpu(i) for i in range(devices)])
    comm = distributed.create('local', [mx.cpu(i) for i in range(devices)])
    return net, Stepper(net, comm, lambda update: 0.1, OptimizerSettings(**kwargs))


def backward(net, stepper, rows):
    with mx.autograd.record():
        losses = [((net(mx.nd.array(X[p], ctx=c)) - mx.nd.array(Y[p], ctx=c)) ** 2).sum()
                  for p, c in split(rows, stepper.comm.devices)]
    stepper.backward(losses, len(rows))


def weights(net):
    return np.concatenate([p.data(p.list_ctx()[0]).asnumpy().ravel()
                           for p in net.collect_params().values()])


def gradient(w):
    """Of the mean squared error, by hand; w = (3 weights, bias)."""
    error = X @ w[:3] + w[3] - Y[:, 0]
    return np.append(2 * X.T @ error, 2 * error.sum()) / len(X)


def expected(name, w, steps, clip, epsilon=1e-6, decay=0.01, lr=0.1):
    """The published formulas in float64; MXNet computes 1 - 0.999 in float32, 5e-5 off."""
    w, m, v = w.astype('float64'), np.zeros(4), np.zeros(4)
    decays = np.array([decay] * 3 + [0.0])
    for t in range(1, steps + 1):
        g = gradient(w)
        g = g * min(1, clip / np.linalg.norm(g))
        m, v = .9 * m + .1 * g, .999 * v + .001 * g * g
        if name == 'bertadam':
            w = w - lr * (m / (np.sqrt(v) + epsilon) + decays * w)
        elif name == 'lamb':
            ratio = np.ones(4)
            u = (m / (1 - .9 ** t)) / (np.sqrt(v / (1 - .999 ** t)) + epsilon) + decays * w
            for part in (slice(0, 3), slice(3, 4)):
                norm_w, norm_u = np.linalg.norm(w[part]), np.linalg.norm(u[part])
                ratio[part] = norm_w / norm_u if norm_w and norm_u else 1.0
            w = w - lr * ratio * u
        else:
            step = (m / (1 - .9 ** t)) / (np.sqrt(v / (1 - .999 ** t)) + epsilon)
            w = w - lr * (step + (decays * w if name == 'adamw' else 0))
    return w


@pytest.mark.parametrize('name', OPTIMIZERS)
@pytest.mark.parametrize('clip', [0.5, 1e9])
@pytest.mark.parametrize('fused', [False, True])
def test_updates_follow_the_formulas(name, clip, fused):
    if fused and not ops.load():
        pytest.skip('the operators of bert/model/ops cannot be built here')
    net, stepper = make(optimizer=name, clip=clip, fused=fused)
    before = weights(net)
    for _ in range(5):
        backward(net, stepper, np.arange(8))
        stepper.step()
    assert np.abs(weights(net) - before).max() > 0.05
    np.testing.assert_allclose(weights(net), expected(name, before, 5, clip), atol=1e-4)


@pytest.mark.parametrize('pieces, devices', [([8], 1), ([2, 2, 2, 2], 1), ([3, 5], 1), ([8], 2),
                                             ([4, 4], 2)])
def test_accumulation_and_devices_give_the_update_of_the_whole_batch(pieces, devices):
    net, stepper = make(devices, accumulate=len(pieces) > 1)
    whole = expected('bertadam', weights(net), 3, clip=1.0)
    for _ in range(3):
        start = 0
        for piece in pieces:
            backward(net, stepper, np.arange(start, start + piece))
            start += piece
        step = stepper.step()
    np.testing.assert_allclose(weights(net), whole, atol=1e-4)
    assert step.update == 3 and not step.skipped and not step.stop
    if devices == 2:
        for p in net.collect_params().values():
            assert (p.list_data()[0].asnumpy() == p.list_data()[1].asnumpy()).all()


@pytest.mark.parametrize('accumulate', [False, True])
def test_after_release_there_are_weights_but_no_gradients(accumulate):
    net, stepper = make(accumulate=accumulate)
    backward(net, stepper, np.arange(8))
    stepper.step()
    before = weights(net)
    outputs = net(mx.nd.array(X)).asnumpy()
    stepper.release()
    np.testing.assert_array_equal(weights(net), before)
    np.testing.assert_array_equal(net(mx.nd.array(X)).asnumpy(), outputs)
    for parameter in net.collect_params().values():
        with pytest.raises(RuntimeError, match="grad_req='null'"):
            parameter.grad()


@pytest.mark.parametrize('accumulate', [False, True])
def test_a_device_without_examples_adds_nothing(accumulate):
    runs = [make(devices, clip=1e9, accumulate=accumulate) for devices in (1, 3)]
    for rows in np.arange(8), np.array([0]), np.array([2, 5]):
        norms = []
        for net, stepper in runs:
            backward(net, stepper, rows)
            norms.append(stepper.step().norm)
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    np.testing.assert_allclose(*(weights(net) for net, _ in runs), atol=1e-5)


def test_a_worker_without_examples_adds_nothing_to_the_sum():
    net, stepper = make(clip=1e9)
    backward(net, stepper, np.arange(8))
    stepper.step()
    stepper.comm = Beside(stepper.comm, count=2)
    before = weights(net)
    step = stepper.step()
    assert (step.norm, step.loss) == (0, 0) and not np.array_equal(weights(net), before)
    assert not any(p.grad().asnumpy().any() for p in stepper.parameters)


class Beside:
    """A worker beside another one, which has ``count`` examples whose gradient is zero."""

    def __init__(self, comm, count):
        self.devices, self.rank, self.sum_gradients = comm.devices, comm.rank, comm.sum_gradients
        self._count = count

    def sum(self, values):
        return np.asarray(values, float) + [self._count, 0, 0]


def test_step_reports_mean_loss_and_norm():
    net, stepper = make()
    w = weights(net)
    backward(net, stepper, np.arange(8))
    step = stepper.step(stop=True)
    assert step.loss == pytest.approx(np.mean((X @ w[:3] + w[3] - Y[:, 0]) ** 2), rel=1e-5)
    assert step.norm == pytest.approx(np.linalg.norm(gradient(w)), rel=1e-5)
    assert step.lr == 0.1 and step.stop


def test_loss_scaling_unscales_before_clipping_and_skips_overflows():
    net, plain = make(clip=0.5)
    other, scaled = make(clip=0.5, loss_scale=1024.0)
    for n, s in ((net, plain), (other, scaled)):
        backward(n, s, np.arange(8))
        s.step()
    np.testing.assert_allclose(weights(net), weights(other), rtol=1e-6)
    before = weights(other)
    with mx.autograd.record():
        losses = [(other(mx.nd.array(X)) * 1e38 * 1e3).sum()]
    scaled.backward(losses, 8)
    step = scaled.step()
    assert step.skipped and scaled.loss_scale == 512 and (weights(other) == before).all()


def test_loss_scale_doubles_after_2000_good_updates():
    _, stepper = make(loss_scale=8.0)
    for _ in range(1999):
        stepper._adapt_loss_scale(skipped=False)
    assert stepper.loss_scale == 8
    stepper._adapt_loss_scale(skipped=False)
    assert stepper.loss_scale == 16


def test_a_gradient_that_is_not_finite_is_an_error_without_scaling():
    net, stepper = make()
    before = weights(net)
    with mx.autograd.record():
        losses = [(net(mx.nd.array(X)) * float('nan')).sum()]
    stepper.backward(losses, 8)
    with pytest.raises(DataError, match='update 1 is not finite .*--lr'):
        stepper.step()
    assert (weights(net) == before).all()


def test_a_gradient_that_is_not_finite_at_the_smallest_scale_is_an_error():
    net, stepper = make(loss_scale=2.0)
    for scale in 2.0, 1.0:
        assert stepper.loss_scale == scale
        with mx.autograd.record():
            losses = [(net(mx.nd.array(X)) * float('nan')).sum()]
        stepper.backward(losses, 8)
        if scale > 1:
            assert stepper.step().skipped
    with pytest.raises(DataError, match='update 2 is not finite'):
        stepper.step()


def test_state_goes_on_exactly():
    net, stepper = make(optimizer='adamw')
    for _ in range(2):
        backward(net, stepper, np.arange(8))
        stepper.step()
    arrays, scalars = stepper.state()
    arrays = {name: a.asnumpy() for name, a in arrays.items()}
    middle = {name: p.data().asnumpy() for name, p in net.collect_params().items()}
    backward(net, stepper, np.arange(8))
    stepper.step()
    end, after = weights(net), mx.nd.random.uniform(shape=4).asnumpy()

    other, resumed = make(optimizer='adamw')
    for p, value in zip(other.collect_params().values(), middle.values()):
        p.set_data(mx.nd.array(value))
    resumed.load_state(arrays, scalars)
    backward(other, resumed, np.arange(8))
    assert resumed.step().update == 3
    assert (weights(other) == end).all()
    assert (mx.nd.random.uniform(shape=4).asnumpy() == after).all()     # the same dropout follows


def test_each_worker_draws_a_dropout_of_its_own():
    def drawn(rank):
        net, _ = make()
        Stepper(net, Worker(rank), None)
        return mx.nd.random.uniform(shape=4).asnumpy().tolist()
    first = drawn(0)
    assert drawn(0) == first != drawn(1)


def of_classifier(**settings):
    """A stepper of the tiny model, of 2 layers, with the head of a classifier."""
    config = result_folder.load(ModelSource(TINY, offline=True)).config
    net, devices = Classifier(config, 2), [mx.cpu()]
    initialize(net, config, devices)
    return Stepper(net, distributed.create('local', devices), None, OptimizerSettings(**settings))


def test_biases_and_layer_norms_have_no_weight_decay():
    stepper = of_classifier(weight_decay=0.25)
    found = {0: set(), 0.25: set()}
    for name, decay in zip(stepper._names, stepper._decays):
        found[decay].add(name.split('.')[-1])
    assert found == {0: {'bias', 'beta', 'gamma'}, 0.25: {'weight', 'position_weight'}}


def test_layer_decay_by_depth():
    names = ['bert.word_embed.0.weight', 'bert.encoder.position_weight',
             'bert.encoder.transformer_cells.0.proj.weight',
             'bert.encoder.transformer_cells.11.proj.weight', 'bert.pooler.weight',
             'classifier.1.weight']
    depths, top = _depths(names)
    assert top == 13 and [depths[n] for n in names] == [0, 0, 1, 12, 13, 13]


def test_layer_decay_scales_the_rate():
    stepper = of_classifier(layer_decay=0.5)
    rates = dict(zip(stepper._names, stepper._rates))
    assert [rates[name] for name in (
        'bert.word_embed.0.weight', 'bert.encoder.transformer_cells.0.proj.weight',
        'bert.encoder.transformer_cells.1.ffn.ffn_1.bias', 'bert.pooler.weight',
        'classifier.1.weight')] == [0.125, 0.25, 0.5, 1, 1]
