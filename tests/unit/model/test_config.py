"""config.json: rates of dropout, and token types."""
import json
import os

import mxnet as mx
import numpy as np
import pytest
from helpers import TINY

from bert.model import heads, ops
from bert.model.config import BertConfig
from bert.model.forward import create_forward
from bert.model.heads import Classifier, PackedNetwork, PreTraining, Tagger
from bert.model.parameters import collect, initialize
from bert.utils.errors import DataError
from bert.utils.files import read_json

TEXT = read_json(os.path.join(TINY, 'config.json'))
CONFIG = BertConfig.from_dict(TEXT)
KEYS = 'hidden_dropout_prob', 'attention_probs_dropout_prob', 'classifier_dropout'
IDS = [[2, 8, 9, 10, 11, 12, 13, 3], [2, 20, 3]]
PATHS = ['padded', pytest.param('packed', marks=pytest.mark.skipif(
    not ops.load(), reason='the operators cannot be built here'))]


def config(hidden, attention, head=None):
    """The tiny BERT's config with these rates."""
    return BertConfig.from_dict(dict(TEXT, **dict(zip(KEYS, (hidden, attention, head)))))


def rates(net, path):
    """The rates in the graph of a network, from its inputs to its output."""
    inputs = ['ids', 'token_types', 'lengths']
    if path == 'packed':
        net = PackedNetwork(net)
        inputs = ['ids', 'token_types', 'positions', 'starts', 'lengths', 'seeds']
    graph = json.loads(net(*map(mx.sym.var, inputs)).tojson())
    found = [node['attrs'] for node in graph['nodes'] if 'p' in node.get('attrs', ())]
    assert all(each['cudnn_off'] == 'True' for each in found    # cuDNN's ignores the seed
               if not {'heads', 'eps'} & set(each))
    return [float(each['p']) for each in found]


@pytest.mark.parametrize('path', PATHS)
def test_each_rate_is_the_configs_or_what_is_asked_for(path):
    def encoder(hidden, attention):
        return [hidden] + [attention, hidden, hidden] * CONFIG.num_hidden_layers
    for head in Classifier, Tagger:
        assert rates(head(CONFIG, 2), path) == encoder(0.1, 0.1) + [0.1]
        assert rates(head(config(0.25, 0.3, 0.4), 2), path) == encoder(0.25, 0.3) + [0.4]
        assert rates(head(config(0.25, 0.3), 2), path) == encoder(0.25, 0.3) + [0.25]
        assert rates(head(config(0.25, 0.3, 0.4), 2, 0.5), path) == encoder(0.5, 0.5) + [0.5]
    assert rates(heads.QuestionAnswering(config(0.25, 0.3, 0.4)), path) == encoder(0.25, 0.3)
    assert not any(rates(heads.TokenVectors(config(0.25, 0.3, 0.4), [1, 2]), path))


@pytest.mark.parametrize('given', [(0, 0, 0), (0, 0, 0.4), (0.25, 0.3, 0)])
def test_without_dropout_the_names_are_the_same(given):
    for head in Classifier, Tagger, PreTraining:
        arguments = () if head is PreTraining else (2,)
        assert list(collect(head(config(*given), *arguments))) == list(
            collect(head(CONFIG, *arguments)))
    assert rates(Classifier(config(*given), 2, dropout=0), 'padded') == []


@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize('count', [1, 2, 16])
def test_a_token_type_beyond_those_of_the_model_is_its_last(path, count):
    net = Classifier(CONFIG.replace(type_vocab_size=count), 3, dropout=0)
    initialize(net, CONFIG.replace(initializer_range=0.3))
    forward, gradient = create_forward(net, path, 'float32', 0), collect(net)[
        'bert.token_type_embed.0.weight'].grad

    def step(second):
        with mx.autograd.record():
            y = forward(IDS, [[0] * 3 + [second] * (len(row) - 3) for row in IDS], mx.cpu())
        y.backward()
        return y.asnumpy(), gradient().asnumpy()

    pair, last, single = step(1), step(min(1, count - 1)), step(0)
    for ours, same in zip(pair, last):
        np.testing.assert_array_equal(ours, same)
    assert (pair[0] == single[0]).all() == (count == 1)
    assert np.abs(pair[1]).sum(axis=1).nonzero()[0].tolist() == list(range(min(2, count)))


@pytest.mark.parametrize('path', PATHS)
@pytest.mark.parametrize('head', [Classifier, Tagger])
@pytest.mark.parametrize('given, random', [
    ((0, 0), False), ((0, 0, 0), False), ((0, 0.5, 0), True), ((0, 0, 0.5), True),
    ((0.5, 0, 0), True), ((0, 0.5), True), ((0.5, 0.5, 0.5), True)])
def test_a_rate_alone_makes_training_random(path, head, given, random):
    mx.random.seed(1)
    net = head(config(*given), 3)
    initialize(net, CONFIG.replace(initializer_range=0.3))
    forward = create_forward(net, path, 'float32', 0)

    def logits():
        with mx.autograd.record():
            y = forward(IDS, [[0] * len(row) for row in IDS], mx.cpu())
        y.backward()
        assert np.isfinite(y.asnumpy()).all()
        return y.asnumpy()

    assert (logits() != logits()).any() == random
    if not random:
        np.testing.assert_array_equal(
            logits(), forward(IDS, [[0] * len(row) for row in IDS], mx.cpu()).asnumpy())


def test_the_type_of_the_weights_is_not_kept():
    text = dict(TEXT, dtype='float16', torch_dtype='float16', transformers_version='5.1')
    assert BertConfig.from_dict(text).other.keys() & {'dtype', 'torch_dtype'} == set()
    assert BertConfig.from_dict(text).to_dict()['transformers_version'] == '5.1'


def test_placeholders_are_names_where_a_run_took_them_from_its_data():
    text = dict(TEXT, id2label={'0': 'LABEL_0', '1': 'LABEL_1'})
    assert BertConfig.from_dict(text).labels is None
    assert BertConfig.from_dict(dict(text, gluon_bert={'export': {}})).labels is None
    named = BertConfig.from_dict(dict(text, gluon_bert={'task': 'custom'}))
    assert named.labels == ('LABEL_0', 'LABEL_1')
    assert BertConfig.from_dict(dict(TEXT, gluon_bert={'task': 'ner'})).labels is None
    # pre-trained here, then fine-tuned by Transformers, which keeps keys that it does not know
    assert BertConfig.from_dict(dict(text, gluon_bert={'task': 'pretraining'})).labels is None


def test_the_config_keeps_its_rates():
    for given in (0.2, 0.3, 0.4), (0, 0, 0), (0.0, 0.5, None):
        written = config(*given).to_dict()
        assert tuple(written[key] for key in KEYS) == given
        assert BertConfig.from_dict(written) == config(*given)


def test_a_config_without_rates_has_those_of_transformers():
    for text in ({key: value for key, value in TEXT.items() if key not in KEYS},
                 dict(TEXT, **dict.fromkeys(KEYS))):
        found = BertConfig.from_dict(text)
        assert [getattr(found, key) for key in KEYS] == [0.1, 0.1, None]
    found = BertConfig.from_dict({key: value for key, value in dict(
        TEXT, hidden_dropout_prob=0.3).items() if key != 'attention_probs_dropout_prob'})
    assert found.attention_probs_dropout_prob == 0.1


@pytest.mark.parametrize('key', KEYS)
@pytest.mark.parametrize('value', [1, -0.1, 1.5, float('nan'), True, '0.1', [0.1]])
def test_bad_rates(key, value):
    with pytest.raises(DataError) as caught:
        BertConfig.from_dict(dict(TEXT, **{key: value}), 'x/config.json')
    assert str(caught.value) == (
        f'x/config.json: {key} is {value!r}, but must be a number from 0 to below 1; use the '
        'config.json that belongs to the model')
