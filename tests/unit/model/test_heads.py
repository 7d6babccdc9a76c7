"""The heads, against what Transformers computed with the same weights."""
import os

import mxnet as mx
import numpy as np
import pytest
from helpers import TINY

from bert.checkpoint.weights import read_weights
from bert.model.config import BertConfig
from bert.model.heads import Classifier, Tagger
from bert.model.parameters import collect, initialize, load_parameters
from bert.utils.files import read_json

CONFIG = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
EXPECTED = dict(np.load(os.path.join(TINY, 'expected.npz')))     # see data/make_tiny_bert.py
ARRAYS = read_weights(os.path.join(TINY, 'model.safetensors'))
LENGTHS = EXPECTED['lengths']


def inputs(rows=slice(None), length=12):
    """(ids, segments, lengths) of rows of the stored batch, as the networks take them."""
    return (mx.nd.array(EXPECTED['ids'][rows, :length], dtype='int32'),
            mx.nd.array(EXPECTED['segments'][rows, :length], dtype='int32'),
            mx.nd.array(LENGTHS[rows], dtype='float32'))


def distance(a, b):
    a = a.asnumpy() if isinstance(a, mx.nd.NDArray) else a
    assert a.shape == b.shape
    return np.abs(a - b).max()


@pytest.mark.parametrize('classes', [1, 3])
def test_classifier(classes):
    net = Classifier(CONFIG, classes)
    initialize(net, CONFIG)
    weight = np.linspace(-1, 1, classes * 32, dtype=np.float32).reshape(classes, 32)
    bias = np.arange(classes, dtype=np.float32)
    arrays = dict(ARRAYS, **{'classifier.1.weight': weight, 'classifier.1.bias': bias})
    assert load_parameters(net, arrays, 'tiny') == []
    net.hybridize(static_alloc=True)
    logits = net(*inputs())
    assert logits.shape == (3, classes)
    assert distance(logits, EXPECTED['pooled'] @ weight.T + bias) < 1e-4


def test_the_tagger_has_no_pooler_and_the_names_of_its_head():
    net = Tagger(CONFIG, 5)
    names = collect(net)
    assert names['tag_classifier.1.weight'].shape == (5, 32)
    assert [n for n in names if not n.startswith('bert.')] == ['tag_classifier.1.weight',
                                                               'tag_classifier.1.bias']
    assert not [n for n in names if 'pooler' in n]
