"""The encoder and its heads against what Transformers computed with the same weights."""
import os

import mxnet as mx
import numpy as np
import pytest
from helpers import TINY
from mxnet.gluon import HybridBlock

from bert.checkpoint.weights import read_weights
from bert.model import heads
from bert.model.config import BertConfig
from bert.model.heads import Classifier, Tagger
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


def backbone(change=(), **options):
    """The tiny BERT, with the weights of Transformers'."""
    net = HybridBlock()
    net.bert = heads.backbone(CONFIG.replace(**dict(change)), **options)
    initialize(net, CONFIG)
    assert load_parameters(net, ARRAYS, 'tiny') == []
    return net.bert


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
    net = backbone(use_decoder=True, use_classifier=True)
    net.hybridize(hybrid, static_alloc=True)
    encodings, pooled, next_sentence, masked = net(
        *inputs(), mx.nd.array(EXPECTED['positions'], dtype='int32'))
    assert distance(encodings.asnumpy()[REAL], EXPECTED['encodings'][REAL]) < 1e-5
    assert distance(pooled, EXPECTED['pooled']) < 1e-5
    assert distance(next_sentence, EXPECTED['nsp_scores']) < 1e-5
    assert distance(masked, EXPECTED['mlm_scores']) < 1e-5


def test_padding_changes_nothing():
    net = backbone()
    for row, length in enumerate(LENGTHS):
        encodings, pooled = net(*inputs(slice(row, row + 1), length))
        assert distance(encodings[0], EXPECTED['encodings'][row, :length]) < 1e-5
        assert distance(pooled[0], EXPECTED['pooled'][row]) < 1e-5
    ids, segments, lengths = inputs()
    noise = mx.nd.array(np.where(REAL, EXPECTED['ids'], 77), dtype='int32')
    assert distance(net(noise, segments, lengths)[1], net(ids, segments, lengths)[1].asnumpy()) == 0


@pytest.mark.parametrize('kind, change', VARIANTS)
def test_the_activation_and_the_epsilon_follow_the_config(kind, change):
    net = backbone(change, use_decoder=True)
    _, pooled, masked = net(*inputs(), mx.nd.array(EXPECTED['positions'], dtype='int32'))
    assert distance(pooled, EXPECTED[kind + '_pooled']) < 1e-5
    assert distance(masked, EXPECTED[kind + '_mlm_scores']) < 1e-5
    others = {other for other, _ in VARIANTS} - {kind}
    for other in [''] + [name + '_' for name in others]:
        assert distance(pooled, EXPECTED[other + 'pooled']) > 1e-4
        assert distance(masked, EXPECTED[other + 'mlm_scores']) > 1e-4


def test_all_encodings():
    layers, pooled = backbone(output_all_encodings=True)(*inputs())
    assert len(layers) == 2
    for layer, expected in zip(layers, EXPECTED['layers']):
        assert distance(layer.asnumpy()[REAL], expected[REAL]) < 1e-5
    assert distance(pooled, EXPECTED['pooled']) < 1e-5


def test_without_pooler():
    encodings = backbone(use_pooler=False)(*inputs())
    assert distance(encodings.asnumpy()[REAL], EXPECTED['encodings'][REAL]) < 1e-5


@pytest.mark.parametrize('options', [{}, {'use_pooler': False}, {'use_classifier': True},
                                     {'use_decoder': True, 'use_classifier': True}])
def test_shapes_are_known_before_the_first_batch(options):
    net = heads.backbone(CONFIG, **options)
    assert all(p.shape and min(p.shape) > 0 for p in collect(net).values())


@pytest.mark.parametrize('classes', [1, 3])
def test_classifier(classes):
    net = Classifier(CONFIG, classes)
    initialize(net, CONFIG)
    weight = np.linspace(-1, 1, classes * 32, dtype=np.float32).reshape(classes, 32)
    bias = np.arange(classes, dtype=np.float32)
    arrays = dict(ARRAYS, **{'classifier.1.weight': weight, 'classifier.1.bias': bias})
    assert load_parameters(net, arrays, 'tiny') == []
    net.hybridize(static_alloc=True)
    scores = net(*inputs())
    assert scores.shape == (3, classes)
    assert distance(scores, EXPECTED['pooled'] @ weight.T + bias) < 1e-4


def test_dropout_is_the_configs_or_what_is_asked_for():
    def rates(net):
        found = []
        net.apply(lambda block: found.append(block._rate) if hasattr(block, '_rate') else None)
        return set(found)
    assert rates(Classifier(CONFIG, 2)) == {0.1}
    assert rates(Classifier(CONFIG.replace(hidden_dropout_prob=0.25), 2)) == {0.25}
    assert rates(Classifier(CONFIG, 2, dropout=0.5)) == {0.5}
    net = Classifier(CONFIG, 2, dropout=0)
    assert rates(net) <= {0}
    assert 'classifier.1.weight' in collect(net)      # the same name as with dropout


@pytest.mark.parametrize('change, message', [
    ({'num_attention_heads': 5}, 'hidden_size 32 is not a multiple of num_attention_heads 5'),
    ({'num_attention_heads': 0},
     'num_attention_heads is 0 where a whole number from 1 to 4096 is needed; take the config.json '
     'that belongs to the model'),
    ({'hidden_act': 'mish'}, 'hidden_act "mish" is not known; one of: gelu, gelu_new, '
                             'gelu_pytorch_tanh, relu'),
    ({'position_embedding_type': 'relative_key'},
     'position_embedding_type "relative_key" is not supported, only "absolute"'),
    ({'intermediate_size': None}, "'intermediate_size' is missing; it must describe a BERT model"),
    ({'vocab_size': None}, "'vocab_size' is missing; it must describe a BERT model"),
])
def test_bad_configs(change, message):
    config = dict(CONFIG.to_dict(), **change)
    with pytest.raises(DataError) as caught:
        heads.backbone(BertConfig.from_dict(config))
    assert str(caught.value) == 'config.json: ' + message


def test_defaults_of_a_short_config():
    sizes = ('vocab_size', 'hidden_size', 'num_hidden_layers', 'num_attention_heads',
             'intermediate_size')
    net = heads.backbone(BertConfig.from_dict({key: CONFIG.to_dict()[key] for key in sizes}))
    assert net.encoder.position_weight.shape == (512, 32)
    assert net.token_type_embed[0].weight.shape == (2, 32)


def test_the_tagger_has_no_pooler_and_the_names_of_its_head():
    net = Tagger(CONFIG, 5)
    names = collect(net)
    assert names['tag_classifier.1.weight'].shape == (5, 32)
    assert [n for n in names if not n.startswith('bert.')] == ['tag_classifier.1.weight',
                                                               'tag_classifier.1.bias']
    assert not [n for n in names if 'pooler' in n]
