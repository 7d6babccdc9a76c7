"""The encoder against GluonNLP's BERTModel, and against what Transformers computed."""
import os

import gluonnlp as nlp
import mxnet as mx
import numpy as np
import pytest
from helpers import TINY
from networks import Whole, under

from bert.checkpoint.weights import read_weights
from bert.model.config import BertConfig
from bert.model.encoder import Bert
from bert.model.operators import ACTIVATIONS
from bert.model.parameters import collect, initialize, load_parameters
from bert.utils.errors import DataError
from bert.utils.files import read_json

CONFIG = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
EXPECTED = dict(np.load(os.path.join(TINY, 'expected.npz')))     # see data/make_tiny_bert.py
ARRAYS = read_weights(os.path.join(TINY, 'model.safetensors'))
LENGTHS = EXPECTED['lengths']
REAL = np.arange(12) < LENGTHS[:, None]         # (batch, length): what is not padding
VARIANTS = [('gelu_new', {'hidden_act': 'gelu_new'}),
            ('gelu_new', {'hidden_act': 'gelu_pytorch_tanh'}),
            ('relu', {'hidden_act': 'relu'}),
            ('eps', {'layer_norm_eps': 1e-5})]



PLACES = mx.nd.array(np.arange(3)[:, None] * 12 + EXPECTED['positions'], dtype='int32').reshape(-1)


def whole(change=(), **options):
    """The tiny BERT, with the weights of Transformers'."""
    net = Whole(CONFIG.replace(**dict(change)), **options)
    initialize(net, CONFIG)
    assert load_parameters(net, ARRAYS, 'tiny') == []
    return net


def inputs(rows=slice(None), length=12):
    """(ids, segments, lengths) of rows of the stored batch, as the networks take them."""
    return (mx.nd.array(EXPECTED['ids'][rows, :length], dtype='int32'),
            mx.nd.array(EXPECTED['segments'][rows, :length], dtype='int32'),
            mx.nd.array(LENGTHS[rows], dtype='float32'))


def distance(a, b):
    a = a.asnumpy() if isinstance(a, mx.nd.NDArray) else a
    assert a.shape == b.shape
    return np.abs(a - b).max()


@pytest.mark.parametrize('hybrid', [False, True])
def test_equals_transformers(hybrid):
    net = whole(decoder=True, classifier=True)
    net.hybridize(hybrid, static_alloc=True)
    _, hidden, pooled, next_sentence, masked = net(*inputs(), PLACES)
    assert distance(hidden.asnumpy()[REAL], EXPECTED['encodings'][REAL]) < 1e-5
    assert distance(pooled, EXPECTED['pooled']) < 1e-5
    assert distance(next_sentence, EXPECTED['nsp_scores']) < 1e-5
    assert distance(masked.reshape(EXPECTED['mlm_scores'].shape), EXPECTED['mlm_scores']) < 1e-5


def test_padding_changes_nothing():
    net = whole()
    for row, length in enumerate(LENGTHS):
        _, hidden, pooled = net(*inputs(slice(row, row + 1), length))
        assert distance(hidden[0], EXPECTED['encodings'][row, :length]) < 1e-5
        assert distance(pooled[0], EXPECTED['pooled'][row]) < 1e-5
    ids, segments, lengths = inputs()
    noise = mx.nd.array(np.where(REAL, EXPECTED['ids'], 77), dtype='int32')
    assert distance(net(noise, segments, lengths)[2], net(ids, segments, lengths)[2].asnumpy()) == 0


@pytest.mark.parametrize('kind, change', VARIANTS)
def test_the_activation_and_the_epsilon_follow_the_config(kind, change):
    net = whole(change, decoder=True)
    *_, pooled, masked = net(*inputs(), PLACES)
    masked = masked.reshape(EXPECTED['mlm_scores'].shape)
    assert distance(pooled, EXPECTED[kind + '_pooled']) < 1e-5
    assert distance(masked, EXPECTED[kind + '_mlm_scores']) < 1e-5
    others = {other for other, _ in VARIANTS} - {kind}
    for other in [''] + [name + '_' for name in others]:
        assert distance(pooled, EXPECTED[other + 'pooled']) > 1e-4
        assert distance(masked, EXPECTED[other + 'mlm_scores']) > 1e-4


def test_all_hidden_states():
    *layers, pooled = whole()(*inputs())
    assert len(layers) == 2
    for layer, expected in zip(layers, EXPECTED['layers']):
        assert distance(layer.asnumpy()[REAL], expected[REAL]) < 1e-5
        assert (layer.asnumpy()[~REAL] == 0).all()
    assert distance(pooled, EXPECTED['pooled']) < 1e-5


def test_without_pooler():
    _, hidden = whole(pooler=False)(*inputs())
    assert distance(hidden.asnumpy()[REAL], EXPECTED['encodings'][REAL]) < 1e-5


# GluonNLP's BERTModel is the reference

def gluonnlp_bert(pooler=True, decoder=True, classifier=True, activation='gelu', dropout=0.0):
    """GluonNLP's model of the same sizes, with every layer's hidden states as outputs."""
    units = CONFIG.hidden_size
    encoder = nlp.model.BERTEncoder(
        num_layers=CONFIG.num_hidden_layers, units=units, hidden_size=CONFIG.intermediate_size,
        num_heads=CONFIG.num_attention_heads, max_length=CONFIG.max_position_embeddings,
        dropout=dropout, activation=ACTIVATIONS[activation], output_all_encodings=True,
        layer_norm_eps=CONFIG.layer_norm_eps)
    return nlp.model.BERTModel(
        encoder, vocab_size=CONFIG.vocab_size, token_type_vocab_size=CONFIG.type_vocab_size,
        units=units, embed_size=units, use_pooler=pooler, use_decoder=decoder,
        use_classifier=classifier)


def weighted_sum(arrays):
    """A number in which each value of the arrays has a weight of its own."""
    rng = np.random.RandomState(5)
    return sum((x * mx.nd.array(rng.randn(*x.shape))).sum() for x in arrays)


@pytest.mark.parametrize('pooler, decoder, classifier', [
    (True, True, True), (True, False, False), (False, True, False)])
def test_the_parameters_have_gluonnlps_names_shapes_and_order(pooler, decoder, classifier):
    ours = collect(under('bert', Bert(CONFIG, None, pooler, decoder, classifier)))
    model = under('bert', gluonnlp_bert(pooler, decoder, classifier, dropout=0.1))
    model.initialize()
    model.bert(*inputs(), *[mx.nd.array(EXPECTED['positions'])] * decoder)
    theirs = model._collect_params_with_prefix()        # GluonNLP's own; the decoder's is tied
    assert list(ours) == [name for name in theirs if name != 'bert.decoder.3.weight']
    assert {name: p.shape for name, p in ours.items()} == {name: theirs[name].shape
                                                           for name in ours}


@pytest.mark.parametrize('activation', ['gelu', 'gelu_new', 'relu'])
def test_outputs_and_gradients_are_those_of_gluonnlp(activation):
    # GluonNLP's decoder has the erf GELU, whatever the encoder's activation is
    decoder = activation == 'gelu'
    ours = whole({'hidden_act': activation}, dropout=0.0, decoder=decoder, classifier=True)
    model = under('bert', gluonnlp_bert(decoder=decoder, activation=activation))
    model.initialize()
    model.bert(*inputs(), *[mx.nd.array(EXPECTED['positions'])] * decoder)
    for name, parameter in model._collect_params_with_prefix().items():
        if name in ARRAYS:
            parameter.set_data(mx.nd.array(ARRAYS[name]))
    with mx.autograd.record():
        got = ours(*inputs(), *[PLACES] * decoder)
        weighted_sum(got).backward()
    with mx.autograd.record():
        layers, *rest = model.bert(*inputs(), *[mx.nd.array(EXPECTED['positions'])] * decoder)
        expected = layers + rest
        if decoder:
            expected[-1] = expected[-1].reshape((-3, 0))
        weighted_sum(expected).backward()
    assert len(got) == len(expected) == 4 + decoder
    for a, b in zip(got, expected):
        assert distance(a, b.asnumpy()) < 1e-5
    theirs = model._collect_params_with_prefix()
    for name, parameter in collect(ours).items():
        expected = theirs[name].grad().asnumpy()
        np.testing.assert_allclose(parameter.grad().asnumpy(), expected, rtol=0, err_msg=name,
                                   atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize('options', [{}, {'pooler': False}, {'classifier': True},
                                     {'decoder': True, 'classifier': True}])
def test_shapes_are_known_before_the_first_batch(options):
    assert all(p.shape and min(p.shape) > 0 for p in collect(Bert(CONFIG, **options)).values())


@pytest.mark.parametrize('change, message', [
    ({'num_attention_heads': 5}, 'hidden_size 32 is not a multiple of num_attention_heads 5'),
    ({'num_attention_heads': 0},
     'num_attention_heads is 0, but must be a whole number from 1 to 4096; use the config.json '
     'that belongs to the model'),
    ({'hidden_act': 'mish'}, 'hidden_act "mish" is not supported; choose one of: gelu, gelu_new, '
                             'gelu_pytorch_tanh, relu'),
    ({'position_embedding_type': 'relative_key'},
     'position_embedding_type "relative_key" is not supported; use a model with "absolute" '
     'positions'),
    ({'is_decoder': True},
     'is_decoder is not supported; use an encoder, in which each token attends to all'),
    ({'add_cross_attention': True},
     'add_cross_attention is not supported; use an encoder, in which each token attends to all'),
    ({'intermediate_size': None}, "'intermediate_size' is missing; it must describe a BERT model"),
    ({'vocab_size': None}, "'vocab_size' is missing; it must describe a BERT model"),
])
def test_bad_configs(change, message):
    config = dict(CONFIG.to_dict(), **change)
    with pytest.raises(DataError) as caught:
        Bert(BertConfig.from_dict(config))
    assert str(caught.value) == 'config.json: ' + message


def test_defaults_of_a_short_config():
    sizes = ('vocab_size', 'hidden_size', 'num_hidden_layers', 'num_attention_heads',
             'intermediate_size')
    net = collect(Bert(BertConfig.from_dict({key: CONFIG.to_dict()[key] for key in sizes})))
    assert net['encoder.position_weight'].shape == (512, 32)
    assert net['token_type_embed.0.weight'].shape == (2, 32)
