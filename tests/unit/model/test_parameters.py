"""The parameters of a network: collected, initialized, loaded from arrays of others."""
import os

import mxnet as mx
import numpy as np
import pytest
from helpers import TINY

from bert.checkpoint.weights import read_weights
from bert.model.config import BertConfig
from bert.model.heads import Classifier, PreTraining
from bert.model.parameters import as_float32, collect, freeze, initialize, load_parameters
from bert.utils.errors import DataError
from bert.utils.files import read_json

CONFIG = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
ARRAYS = read_weights(os.path.join(TINY, 'model.safetensors'))


def test_tied_weights_are_collected_once():
    net = PreTraining(CONFIG)
    assert sorted(collect(net)) == sorted(ARRAYS)
    decoder = collect(net.bert.decoder)
    assert decoder['3.weight'] is collect(net)['bert.word_embed.0.weight']


def test_the_names_are_those_that_mxnet_saves():
    net = PreTraining(CONFIG)
    assert list(collect(net)) == [name for name in net._collect_params_with_prefix()
                                  if name != 'bert.decoder.3.weight']


def test_fresh_parameters():
    mx.random.seed(1)
    net = Classifier(CONFIG, 2)
    initialize(net, CONFIG.replace(initializer_range=0.5))
    values = {name: p.data().asnumpy() for name, p in collect(net).items()}
    for name, value in values.items():
        if name.endswith('gamma'):
            assert (value == 1).all()
        elif name.endswith(('bias', 'beta')):
            assert (value == 0).all()
        else:
            assert 0.3 < value.std() < 0.7
    assert abs(values['bert.word_embed.0.weight'].std() - 0.5) < 0.05


def test_a_frozen_network_has_no_gradients():
    net = Classifier(CONFIG, 2)
    freeze(net)
    initialize(net, CONFIG)
    load_parameters(net, ARRAYS, 'tiny', optional=('classifier.',))
    for parameter in collect(net).values():
        assert parameter.data().shape == parameter.shape
        with pytest.raises(RuntimeError, match='grad_req'):
            parameter.grad()


def test_what_is_loaded_next_need_not_be_drawn():
    mx.random.seed(1)
    net = Classifier(CONFIG, 2)
    expected = mx.nd.random.uniform(shape=(4,)).asnumpy()
    mx.random.seed(1)
    initialize(net, CONFIG, random=False)
    assert (mx.nd.random.uniform(shape=(4,)).asnumpy() == expected).all()      # nothing was drawn
    values = {name: p.data().asnumpy() for name, p in collect(net).items()}
    assert all((value == name.endswith('gamma')).all() for name, value in values.items())


def test_optional_parameters_keep_fresh_values():
    net = Classifier(CONFIG, 2)
    initialize(net, CONFIG)
    before = net.bert.pooler.weight.data().asnumpy()
    arrays = {name: array for name, array in ARRAYS.items() if '.pooler.' not in name}
    fresh = load_parameters(net, arrays, 'tiny', optional=('classifier.', 'bert.pooler.'))
    assert sorted(fresh) == ['bert.pooler.bias', 'bert.pooler.weight', 'classifier.1.bias',
                             'classifier.1.weight']
    assert (net.bert.pooler.weight.data().asnumpy() == before).all()
    assert (net.bert.word_embed[0].weight.data().asnumpy()
            == ARRAYS['bert.word_embed.0.weight']).all()
    with pytest.raises(DataError, match=r'2 of 41 .* missing, first bert\.pooler\.weight'):
        load_parameters(net, arrays, 'tiny', optional=('classifier.',))


@pytest.mark.parametrize('change, message', [
    ({'bert.encoder.layer_norm.gamma': None},
     'FILE: 1 of 41 parameters of this model are missing, first bert.encoder.layer_norm.gamma;'
     ' these are the weights of another model or task: name others, or train this model with '
     '--bert_model'),
    ({'classifier.1.bias': np.zeros(3, np.float32)},
     'FILE: classifier.1.bias has the shape (3,) but this model needs (2,); use the config, the '
     'labels or the model name that belong to these weights'),
    ({'bert.encoder.position_weight': np.zeros((512, 32), np.float32)},
     'FILE: bert.encoder.position_weight has the shape (512, 32) but this model needs (40, 32); '
     'use the config, the labels or the model name that belong to these weights'),
])
def test_weights_of_another_model_change_nothing(change, message):
    net = Classifier(CONFIG, 2)
    initialize(net, CONFIG)
    arrays = dict(ARRAYS)
    arrays.update({'classifier.1.weight': np.zeros((2, 32), np.float32),
                   'classifier.1.bias': np.zeros(2, np.float32)})
    arrays.update(change)
    arrays = {name: array for name, array in arrays.items() if array is not None}
    before = {name: p.data().asnumpy() for name, p in collect(net).items()}
    with pytest.raises(DataError) as caught:
        load_parameters(net, arrays, 'FILE')
    assert str(caught.value) == message
    for name, parameter in collect(net).items():
        assert (parameter.data().asnumpy() == before[name]).all()


def test_as_float32():
    half = mx.nd.array([1.5, -2], dtype='float16')
    assert as_float32(half).dtype == np.float32
    assert as_float32(half).asnumpy().tolist() == [1.5, -2]
    whole = mx.nd.array([1])
    assert as_float32(whole) is whole
