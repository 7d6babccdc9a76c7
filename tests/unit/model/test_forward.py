"""Padded and packed batches give the same numbers, gradients and training."""
import os

import mxnet as mx
import numpy as np
import pytest
from helpers import TINY, needs_bfloat16
from mxnet.gluon.loss import SoftmaxCrossEntropyLoss

from bert.checkpoint.weights import read_weights
from bert.model import heads, ops
from bert.model.config import BertConfig
from bert.model.forward import Packed, choose_layout, create_forward, unpack
from bert.model.heads import PreTraining, QuestionAnswering, TokenVectors
from bert.model.inference import prepare
from bert.model.operators import ACTIVATIONS
from bert.model.parameters import collect, initialize, load_parameters
from bert.training import distributed
from bert.training.settings import OPTIMIZERS, OptimizerSettings
from bert.training.stepper import Stepper
from bert.utils.errors import DataError
from bert.utils.files import read_json

CONFIG = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
ARRAYS = read_weights(os.path.join(TINY, 'model.safetensors'))
LOSS = SoftmaxCrossEntropyLoss()
IDS = [[2, 8, 9, 10, 11, 12, 13, 3], [2, 20, 3], [2, 7, 6, 5, 9, 3], [2, 3]]
SEGMENTS = [[0, 0, 0, 1, 1, 1, 1, 1], [0, 1, 1], [0, 0, 0, 0, 1, 1], [0, 0]]

needs_operators = pytest.mark.skipif(not ops.load(), reason='the operators cannot be built here')


def network(kind, change=(), dropout=0.0):
    """A network with the tiny BERT's weights and a head that is the same each time."""
    mx.random.seed(3)
    config = CONFIG.replace(**dict(change))
    net = (TokenVectors(config, (1, 2)) if kind == 'vectors' else
           QuestionAnswering(config, dropout) if kind == 'spans' else
           getattr(heads, kind)(config, 3, dropout))
    initialize(net, config.replace(initializer_range=0.3))
    load_parameters(net, ARRAYS, 'tiny', ('classifier.', 'tag_classifier.',
                                                'span_classifier.'))
    return net


def losses(scores):
    """A sum over all scores in which each has a weight of its own."""
    weights = np.random.RandomState(5).randn(*scores.shape)
    return (mx.nd.tanh(scores) * mx.nd.array(weights)).sum()


def gradients(net, path, dtype='float32'):
    forward = create_forward(net, path, dtype, 0)
    with mx.autograd.record():
        scores = forward(IDS, SEGMENTS, mx.cpu())
        loss = losses(scores)
    loss.backward()
    return scores.asnumpy(), loss.asscalar(), {
        name: p.grad().asnumpy() for name, p in collect(net).items() if p.grad_req != 'null'}


@needs_operators
@pytest.mark.parametrize('change', [*({'hidden_act': name} for name in ACTIVATIONS),
                                    {'layer_norm_eps': 1e-5}])
@pytest.mark.parametrize('kind', ['Classifier', 'Tagger', 'spans', 'vectors'])
def test_scores_losses_and_every_gradient_are_the_same(kind, change):
    padded, packed = (gradients(network(kind, change), path) for path in ('padded', 'packed'))
    rows = len(IDS) if kind == 'Classifier' else sum(map(len, IDS))
    assert padded[0].shape == packed[0].shape and len(packed[0]) == rows
    np.testing.assert_allclose(packed[0], padded[0], atol=1e-5)
    assert packed[1] == pytest.approx(padded[1], abs=1e-5)
    assert set(padded[2]) == set(packed[2])
    for name, gradient in padded[2].items():
        np.testing.assert_allclose(packed[2][name], gradient, atol=1e-5 * max(
            1, np.abs(gradient).max()), err_msg=name)


@needs_operators
def test_pretraining_scores_and_gradients_are_the_same():
    masked = np.array([1, 5, 9, 10, 13])        # the third is the middle token of the second row
    found = {}
    for path in 'padded', 'packed':
        net = PreTraining(CONFIG, 0.0)
        initialize(net, CONFIG)
        load_parameters(net, ARRAYS, 'tiny')
        forward = create_forward(net, path, 'float32', 0)
        with mx.autograd.record():
            words, pairs = forward(IDS, SEGMENTS, mx.cpu(), masked)
            loss = losses(words) + losses(pairs)
        loss.backward()
        assert words.shape == (5, CONFIG.vocab_size) and pairs.shape == (len(IDS), 2)
        found[path] = dict({name: p.grad() for name, p in collect(net).items()},
                           words=words, pairs=pairs)
    for name, value in found['padded'].items():
        value = value.asnumpy()
        np.testing.assert_allclose(found['packed'][name].asnumpy(), value, err_msg=name,
                                   atol=1e-5 * max(1, np.abs(value).max()))


@needs_operators
def test_some_tokens_have_the_scores_and_gradients_that_they_have_among_all():
    places = np.array([1, 5, 9, 10, 13])
    found = {}
    for path in 'padded', 'packed':
        for chosen in None, places:
            net = network('Tagger')
            forward = create_forward(net, path, 'float32', 0)
            with mx.autograd.record():
                scores = forward(IDS, SEGMENTS, mx.cpu(), chosen)
                scores = scores[places] if chosen is None else scores
                loss = losses(scores)
            loss.backward()
            assert scores.shape[0] == 5
            found[path, chosen is None] = dict(
                {name: p.grad() for name, p in collect(net).items()}, scores=scores)
    expected = found.pop(('padded', True))
    for arrays in found.values():
        for name, value in expected.items():
            value = value.asnumpy()
            np.testing.assert_allclose(arrays[name].asnumpy(), value, err_msg=name,
                                       atol=1e-5 * max(1, np.abs(value).max()))


@needs_operators
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_ten_updates_are_the_same(name):
    weights = {}
    start = {key: p.data().asnumpy() for key, p in collect(network('Classifier')).items()}
    for path in 'padded', 'packed':
        net, comm = network('Classifier'), distributed.Local([mx.cpu()])
        forward = create_forward(net, path, 'float32', 0)
        # a large epsilon, so that Adam does not make much of what is zero but for rounding
        stepper = Stepper(net, comm, lambda update: 1e-3, OptimizerSettings(
            name, epsilon=1e-2, fused=path == 'packed'))
        for step in range(10):
            rows = [(step + i) % len(IDS) for i in range(3)]
            with mx.autograd.record():
                scores = forward([IDS[i] for i in rows], [SEGMENTS[i] for i in rows], mx.cpu())
                loss = LOSS(scores, mx.nd.array([i % 3 for i in rows])).sum()
            stepper.backward([loss], len(rows))
            stepper.step()
        weights[path] = {key: p.data().asnumpy() for key, p in collect(net).items()}
    for key, value in weights['padded'].items():
        if key.endswith('proj_key.bias'):       # softmax takes it out: its gradient is rounding
            continue
        np.testing.assert_allclose(weights['packed'][key], value, atol=1e-5, err_msg=key)
        assert (value != start[key]).any()


@needs_operators
@needs_bfloat16
@pytest.mark.parametrize('kind', ['Classifier', 'Tagger'])
def test_bfloat16_is_close_to_float32(kind):
    exact, rounded = (gradients(network(kind), 'packed', dtype)
                      for dtype in ('float32', 'bfloat16'))
    assert rounded[0].dtype == np.float32
    assert 0 < np.abs(rounded[0] - exact[0]).max() < 0.05 * np.abs(exact[0]).max()
    for name, gradient in exact[2].items():
        assert rounded[2][name].dtype == np.float32
        a, b = gradient.ravel().astype(np.float64), rounded[2][name].ravel()
        if np.abs(a).max() > 1e-5:      # a key's bias has no gradient but rounding
            assert a @ b > 0.98 * np.linalg.norm(a) * np.linalg.norm(b), name


@needs_operators
@pytest.mark.parametrize('dtype', ['float32', pytest.param('bfloat16', marks=needs_bfloat16)])
def test_gradients_add_up_from_when_they_are_asked_to(dtype):
    net = network('Classifier')
    forward = create_forward(net, 'packed', dtype, 0)

    def add():
        with mx.autograd.record():
            loss = losses(forward(IDS, SEGMENTS, mx.cpu()))
        loss.backward()
        return {name: p.grad().asnumpy().copy() for name, p in collect(net).items()}

    add()                           # a graph is made, in which gradients replace earlier ones
    once = add()
    net.collect_params().setattr('grad_req', 'add')
    for times in 1, 2, 3:
        for name, gradient in add().items():
            np.testing.assert_allclose(gradient, times * once[name], rtol=1e-5, atol=1e-6,
                                       err_msg=name)


@needs_operators
@pytest.mark.parametrize('kind', ['Classifier', 'Tagger', 'spans', 'vectors'])
def test_int8_is_close_to_float32(kind):
    exact = create_forward(network(kind), 'packed', 'float32', 0)(IDS, SEGMENTS, mx.cpu()).asnumpy()
    net = network(kind)
    prepare(net, 'packed', 'int8')
    forward = create_forward(net, 'packed', 'int8', 0)
    y = forward(IDS, SEGMENTS, mx.cpu()).asnumpy()
    assert y.dtype == np.float32 and (y != exact).any()
    assert (y * exact).sum() > 0.99 * np.linalg.norm(y) * np.linalg.norm(exact)
    types = {name: p.data().dtype for name, p in collect(net).items()}
    int8 = {name for name, dtype in types.items() if dtype == np.int8}
    assert len(int8) == 2 * 6 and int8 == {name for name, p in collect(net).items()
                                           if 'transformer_cells' in name and len(p.shape) == 2}
    assert all(types[name] == np.float32 for name in set(types) - int8
               if not name.endswith('.totals'))


@needs_operators
@pytest.mark.parametrize('change', [{'hidden_act': name} for name in ACTIVATIONS])
@pytest.mark.parametrize('dtype', ['float32', pytest.param('bfloat16', marks=needs_bfloat16)])
@pytest.mark.parametrize('kind', ['Classifier', 'Tagger', 'spans', 'vectors'])
def test_inference_gives_what_a_network_in_training_gives(kind, dtype, change):
    plain, prepared = network(kind, change), network(kind, change)
    prepare(prepared, 'packed', dtype)
    plain, prepared = (create_forward(net, 'packed', dtype, 0)(IDS, SEGMENTS, mx.cpu()).asnumpy()
                       for net in (plain, prepared))
    np.testing.assert_allclose(prepared, plain, atol=1e-5 if dtype == 'float32' else 0)


@needs_operators
def test_a_network_is_prepared_once():
    net = network('Classifier')
    prepare(net, 'packed', 'float32')
    for dtype in 'float32', 'int8':
        with pytest.raises(ValueError, match='the matrices are prepared for float32'):
            prepare(net, 'packed', dtype)


def test_padded_inference_leaves_the_matrices_alone():
    net = network('Classifier')
    before = {name: p.data().asnumpy() for name, p in collect(net).items()}
    prepare(net, 'padded', 'float32')
    for name, parameter in collect(net).items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name], err_msg=name)


@needs_operators
@pytest.mark.slow
def test_dropout_is_drawn_in_training_alone_and_follows_the_seed():
    forward = create_forward(network('Tagger', dropout=0.2), 'packed', 'float32', 0)

    def scores(seed):
        mx.random.seed(seed)
        with mx.autograd.record():
            return forward(IDS, SEGMENTS, mx.cpu()).asnumpy()

    assert (scores(1) == scores(1)).all()
    assert (scores(1) != scores(2)).all()
    plain = forward(IDS, SEGMENTS, mx.cpu()).asnumpy()
    assert (plain == forward(IDS, SEGMENTS, mx.cpu()).asnumpy()).all()
    # many draws scatter around what there is without dropout, about as the padded path's do
    other = create_forward(network('Tagger', dropout=0.2), 'padded', 'float32', 0)
    spread = []
    for path in forward, other:
        with mx.autograd.record():
            draws = np.stack([path(IDS, SEGMENTS, mx.cpu()).asnumpy() for _ in range(300)])
        spread.append(draws.std(axis=0).mean())
    assert spread[0] == pytest.approx(spread[1], rel=0.05)


@needs_operators
@pytest.mark.parametrize('dtype', ['float32', 'int8'])
def test_several_devices(dtype):
    net = network('Classifier')
    net.collect_params().reset_ctx([mx.cpu(0), mx.cpu(1)])
    if dtype == 'int8':
        prepare(net, 'packed', dtype)
    forward = create_forward(net, 'packed', dtype, 0)
    first, second = (forward(IDS, SEGMENTS, mx.cpu(i)).asnumpy() for i in range(2))
    assert (first == second).all()


@needs_operators
@pytest.mark.parametrize('kind', ['Classifier', 'Tagger'])
def test_what_fills_up_has_no_effect(kind, monkeypatch):
    monkeypatch.setattr('bert.model.inputs.round_up', lambda count: count)
    exact = gradients(network(kind), 'packed')
    monkeypatch.setattr('bert.model.inputs.round_up', lambda count: count + 5)
    filled = gradients(network(kind), 'packed')
    assert exact[0].shape == filled[0].shape
    # other sizes of a product add up in another order, so beside the largest value of an array
    for name, array in dict(exact[2], scores=exact[0]).items():
        other = dict(filled[2], scores=filled[0])[name]
        np.testing.assert_allclose(other, array, rtol=1e-5, err_msg=name,
                                   atol=1e-6 * max(1, np.abs(array).max()))


@needs_operators
def test_cross_entropy_of_filled_up_scores():
    scores, labels = mx.nd.array([[1, 2, 3], [3, 2, 1], [5, 5, 5]]), mx.nd.array([2, 2])
    scores.attach_grad()
    with mx.autograd.record():
        losses, right = Packed.cross_entropy(scores, labels)
    losses.backward()
    log_total = np.log(np.exp([1, 2, 3]).sum())
    np.testing.assert_allclose(losses.asnumpy(), [log_total - 3, log_total - 1], rtol=1e-6)
    assert right.asnumpy().tolist() == [1, 0]
    assert (scores.grad[2].asnumpy() == 0).all() and (scores.grad[1].asnumpy() != 0).all()


def test_unpack_by_hand():
    scores = mx.nd.array([[1, 10], [2, 20], [3, 30], [4, 40]])
    rows = unpack(scores, [1, 3], fill=-5).asnumpy()
    assert rows.tolist() == [[[1, 10], [-5, -5], [-5, -5]], [[2, 20], [3, 30], [4, 40]]]
    assert unpack(mx.nd.array([1, 2, 3]), [2, 1]).asnumpy().tolist() == [[1, 2], [3, 0]]


def test_the_path_is_chosen_by_what_there_is(monkeypatch):
    cpu, gpu = [mx.cpu()], [mx.gpu(0)]
    monkeypatch.setattr(ops, 'load', lambda: True)
    assert choose_layout('auto', 'float32', cpu) == 'packed'
    assert choose_layout('auto', 'bfloat16', cpu) == 'packed'
    assert choose_layout('padded', 'float32', cpu) == 'padded'
    assert choose_layout('auto', 'float32', cpu, pad=True) == 'padded'
    assert choose_layout('auto', 'float32', gpu) == 'padded'
    assert choose_layout('auto', 'int8', cpu) == 'packed'
    for arguments, words in ((('packed', 'float32', gpu), 'omit --gpu'),
                             (('packed', 'float16', cpu), '--dtype float16'),
                             (('packed', 'float32', cpu, True), 'omit --pad'),
                             (('auto', 'int8', gpu), '--dtype int8: .* omit --gpu'),
                             (('auto', 'int8', cpu, True), '--dtype int8: .* omit --pad'),
                             (('padded', 'int8', cpu), '--dtype int8: .* omit --path padded')):
        with pytest.raises(DataError, match=words):
            choose_layout(*arguments)
    monkeypatch.setattr(ops, 'load', lambda: False)
    assert choose_layout('auto', 'float32', cpu) == 'padded'
    with pytest.raises(DataError, match='could not be loaded'):
        choose_layout('packed', 'float32', cpu)
    with pytest.raises(DataError, match='--dtype int8: .* could not be loaded'):
        choose_layout('auto', 'int8', cpu)
