"""Names of parameters, to Hugging Face's and back, and files that GluonNLP itself has written."""
import os

import gluonnlp as nlp
import mxnet as mx
import numpy as np
import pytest
from helpers import TINY, refused
from networks import Whole, hidden_states

from bert.checkpoint import weights
from bert.checkpoint.names import (
    ARCHITECTURES,
    check_tied,
    from_gluonnlp,
    from_huggingface,
    to_huggingface,
)
from bert.checkpoint.weights import read_weights
from bert.model.config import BertConfig
from bert.model.heads import Classifier
from bert.model.parameters import initialize, load_parameters
from bert.utils.files import read_json

CONFIG = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))

# ours -> Hugging Face's; {} stands for the number of the layer, and each has a bias too
DENSE = {
    'bert.encoder.transformer_cells.{}.attention_cell.proj_query':
        'bert.encoder.layer.{}.attention.self.query',
    'bert.encoder.transformer_cells.{}.attention_cell.proj_key':
        'bert.encoder.layer.{}.attention.self.key',
    'bert.encoder.transformer_cells.{}.attention_cell.proj_value':
        'bert.encoder.layer.{}.attention.self.value',
    'bert.encoder.transformer_cells.{}.proj': 'bert.encoder.layer.{}.attention.output.dense',
    'bert.encoder.transformer_cells.{}.ffn.ffn_1': 'bert.encoder.layer.{}.intermediate.dense',
    'bert.encoder.transformer_cells.{}.ffn.ffn_2': 'bert.encoder.layer.{}.output.dense',
    'bert.pooler': 'bert.pooler.dense',
}
NORMS = {
    'bert.encoder.layer_norm': 'bert.embeddings.LayerNorm',
    'bert.encoder.transformer_cells.{}.layer_norm':
        'bert.encoder.layer.{}.attention.output.LayerNorm',
    'bert.encoder.transformer_cells.{}.ffn.layer_norm': 'bert.encoder.layer.{}.output.LayerNorm',
}
EMBEDDINGS = {
    'bert.word_embed.0.weight': 'bert.embeddings.word_embeddings.weight',
    'bert.token_type_embed.0.weight': 'bert.embeddings.token_type_embeddings.weight',
    'bert.encoder.position_weight': 'bert.embeddings.position_embeddings.weight',
}
DECODER = {
    'bert.decoder.0.weight': 'cls.predictions.transform.dense.weight',
    'bert.decoder.0.bias': 'cls.predictions.transform.dense.bias',
    'bert.decoder.2.gamma': 'cls.predictions.transform.LayerNorm.weight',
    'bert.decoder.2.beta': 'cls.predictions.transform.LayerNorm.bias',
    'bert.decoder.3.bias': 'cls.predictions.bias',
}
NEXT_SENTENCE = {'bert.classifier.weight': 'cls.seq_relationship.weight',
                 'bert.classifier.bias': 'cls.seq_relationship.bias'}


def dense(ours, theirs):
    return {ours + part: theirs + part for part in ('.weight', '.bias')}


def encoder(layers=('0', '11')):
    names = dict(EMBEDDINGS)
    for layer in layers:
        for ours, theirs in DENSE.items():
            names.update(dense(ours.format(layer), theirs.format(layer)))
        for ours, theirs in NORMS.items():
            names.update({ours.format(layer) + '.gamma': theirs.format(layer) + '.weight',
                          ours.format(layer) + '.beta': theirs.format(layer) + '.bias'})
    return names


@pytest.mark.parametrize('more, architecture', [
    ({}, 'BertModel'),
    (DECODER, 'BertForMaskedLM'),
    (NEXT_SENTENCE, 'BertForNextSentencePrediction'),
    (dict(DECODER, **NEXT_SENTENCE), 'BertForPreTraining'),
    (dense('classifier.1', 'classifier'), 'BertForSequenceClassification'),
    (dense('tag_classifier.1', 'classifier'), 'BertForTokenClassification'),
    (dense('choice_classifier.1', 'classifier'), 'BertForMultipleChoice'),
    (dense('span_classifier', 'qa_outputs'), 'BertForQuestionAnswering'),
])
def test_names_both_ways(more, architecture):
    names = dict(encoder(), **more)
    # each array is known by its value: no two may change places
    ours = {name: np.array(i) for i, name in enumerate(names)}
    theirs = {name: np.array(i) for i, name in enumerate(names.values())}
    assert to_huggingface(ours) == (theirs, architecture)
    assert from_huggingface(theirs, [architecture]) == ours


def test_the_heads_of_bundles_have_their_architecture():
    assert ARCHITECTURES == {'classifier.1.': 'BertForSequenceClassification',
                                     'tag_classifier.1.': 'BertForTokenClassification',
                                     'choice_classifier.1.': 'BertForMultipleChoice',
                                     'span_classifier.': 'BertForQuestionAnswering'}


def test_the_tied_decoder_weight_is_left_out():
    arrays = {'bert.word_embed.0.weight': 1, 'bert.decoder.0.weight': 2, 'bert.decoder.3.weight': 1}
    assert to_huggingface(arrays) == (
        {'bert.embeddings.word_embeddings.weight': 1, 'cls.predictions.transform.dense.weight': 2},
        'BertForMaskedLM')


def test_a_name_without_a_place():
    with pytest.raises(KeyError, match='bert.adapter.weight'):
        to_huggingface({'bert.adapter.weight': 1})
    with pytest.raises(KeyError, match='transformer_cells.0.adapter.weight'):
        to_huggingface({'bert.encoder.transformer_cells.0.adapter.weight': 1})


def test_gamma_and_beta_of_older_files():
    assert from_huggingface({
        'bert.embeddings.LayerNorm.gamma': 1, 'bert.embeddings.LayerNorm.beta': 2,
        'bert.encoder.layer.3.attention.output.LayerNorm.gamma': 3,
        'bert.encoder.layer.3.output.LayerNorm.beta': 4,
        'cls.predictions.transform.LayerNorm.gamma': 5,
    }) == {
        'bert.encoder.layer_norm.gamma': 1, 'bert.encoder.layer_norm.beta': 2,
        'bert.encoder.transformer_cells.3.layer_norm.gamma': 3,
        'bert.encoder.transformer_cells.3.ffn.layer_norm.beta': 4,
        'bert.decoder.2.gamma': 5,
    }


def test_a_bare_bert_model():
    names = encoder()
    bare = {theirs[len('bert.'):]: ours for ours, theirs in names.items()}
    assert from_huggingface(bare, ['BertModel']) == {ours: ours for ours in names}


@pytest.mark.parametrize('architectures', [None, (), ['BertForSequenceClassification'],
                                           ['BertModel']])
def test_a_classifier_is_a_sentence_classifiers_unless_it_is_a_taggers(architectures):
    arrays = {'bert.pooler.dense.weight': 1, 'classifier.weight': 2}
    assert from_huggingface(arrays, architectures) == {'bert.pooler.weight': 1,
                                                               'classifier.1.weight': 2}


@pytest.mark.parametrize('architectures, head', [
    (None, 'tag_classifier'), ((), 'tag_classifier'),
    (['BertForSequenceClassification'], 'classifier')])
def test_a_classifier_without_a_pooler_is_a_taggers(architectures, head):
    for prefix in 'bert.', '':
        assert from_huggingface({prefix + 'embeddings.word_embeddings.weight': 1,
                                 'classifier.weight': 2}, architectures) == {
            'bert.word_embed.0.weight': 1, head + '.1.weight': 2}


def test_what_bert_does_not_have_is_left_out():
    assert from_huggingface({
        'bert.embeddings.position_ids': 1, 'bert.encoder.layer.0.output.adapter.weight': 2,
        'cls.predictions.decoder.weight': 3, 'lstm.weight': 4, 'bert.pooler.dense.bias': 5,
    }) == {'bert.pooler.bias': 5}
    assert from_huggingface({'embeddings.position_ids': 1, 'pooler.dense.bias': 2}) == {
        'bert.pooler.bias': 2}


def test_every_name_that_transformers_wrote():
    arrays = weights._read_safetensors(os.path.join(TINY, 'model.safetensors'))
    ours = from_huggingface(arrays, CONFIG.architectures)
    theirs, architecture = to_huggingface(ours)
    assert architecture == 'BertForPreTraining'
    assert sorted(theirs) == sorted(arrays)
    assert all(theirs[name] is arrays[name] for name in arrays)


def gluon_bert(pooler=True, decoder=False, classifier=False):
    """A tiny BERTModel as GluonNLP makes it, with random parameters."""
    return nlp.model.BERTModel(
        nlp.model.BERTEncoder(num_layers=2, units=32, hidden_size=64, num_heads=4, max_length=40,
                              dropout=0.1),
        vocab_size=120, token_type_vocab_size=2, units=32, embed_size=32, use_pooler=pooler,
        use_decoder=decoder, use_classifier=classifier)


def randomize(net, *inputs):
    """Give every parameter of ``net`` a value that no initializer gives; the outputs for inputs."""
    net.initialize(mx.init.Normal(0.2))
    net(*inputs)        # GluonNLP's shapes are known after the first batch only
    for parameter in net.collect_params().values():
        noise = mx.nd.random.normal(scale=0.1, shape=parameter.shape)
        parameter.set_data(parameter.data() + noise)
    outputs = net(*inputs)
    return [out.asnumpy() for out in (outputs if isinstance(outputs, tuple) else [outputs])]


@pytest.fixture
def batch():
    mx.random.seed(1)
    return (mx.nd.random.randint(0, 120, (3, 9)), mx.nd.array([[0] * 5 + [1] * 4] * 3),
            mx.nd.array([9, 6, 2]))


@pytest.mark.parametrize('pooler, decoder, classifier', [
    (True, True, True), (True, False, True), (True, True, False), (True, False, False),
    (False, True, False), (False, False, False)])
def test_a_gluonnlp_file_of_the_encoder(tmp_path, batch, pooler, decoder, classifier):
    theirs = gluon_bert(pooler, decoder, classifier)
    expected = randomize(theirs, *batch, *[mx.nd.array([[1, 3]] * 3)] * decoder)
    path = str(tmp_path / 'gluon.params')
    nlp.utils.save_parameters(theirs, path)

    ours = Whole(CONFIG, None, pooler, decoder, classifier)
    initialize(ours, CONFIG)
    assert load_parameters(ours, read_weights(path), path) == []
    places = mx.nd.array([1, 3, 10, 12, 19, 21], dtype='int32')     # row * 9 + column
    outputs = ours(*batch, *[places] * decoder)[CONFIG.num_hidden_layers - 1:]
    assert len(outputs) == len(expected) == 1 + pooler + decoder + classifier
    for output, value in zip(outputs, expected):
        np.testing.assert_allclose(output.asnumpy().reshape(value.shape), value, rtol=0,
                                   atol=1e-6)


@pytest.mark.parametrize('dropout', [0.1, 0.0])
def test_a_gluonnlp_file_of_a_classifier(tmp_path, batch, dropout):
    theirs = nlp.model.BERTClassifier(gluon_bert(), 3, dropout)
    expected, = randomize(theirs, *batch)
    path = str(tmp_path / 'gluon.params')
    nlp.utils.save_parameters(theirs, path)

    ours = Classifier(CONFIG, 3)
    initialize(ours, CONFIG)
    assert load_parameters(ours, read_weights(path), path) == []
    np.testing.assert_allclose(ours(*batch).asnumpy(), expected, rtol=0, atol=1e-6)


def test_the_next_sentence_head_is_not_taken_for_a_classifier(tmp_path, batch):
    theirs = gluon_bert(True, True, True)
    pooled = randomize(theirs, *batch, mx.nd.array([[1, 3]] * 3))[1]
    path = str(tmp_path / 'gluon.params')
    nlp.utils.save_parameters(theirs, path)

    ours = Classifier(CONFIG, 2)
    initialize(ours, CONFIG)
    fresh = load_parameters(ours, read_weights(path), path, ('classifier.',))
    assert fresh == ['classifier.1.weight', 'classifier.1.bias']
    np.testing.assert_allclose(hidden_states(ours, *batch)[1].asnumpy(), pooled, rtol=0,
                               atol=1e-6)


def test_a_gluonnlp_file_in_float16(tmp_path, batch):
    net = gluon_bert()
    randomize(net, *batch)
    net.cast('float16')
    path = str(tmp_path / 'half.params')
    nlp.utils.save_parameters(net, path)
    arrays = read_weights(path)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert (arrays['bert.pooler.bias'] == net.pooler.bias.data().asnumpy()).all()


def test_names_of_gluonnlps_scripts():
    assert from_gluonnlp({
        'bert_model.word_embed.0.weight': 1, 'bert_model.encoder.layer_norm.gamma': 2,
        'tag_classifier.1.weight': 3, 'tag_classifier.1.bias': 4,
    }) == {'bert.word_embed.0.weight': 1, 'bert.encoder.layer_norm.gamma': 2,
           'tag_classifier.1.weight': 3, 'tag_classifier.1.bias': 4}
    assert from_gluonnlp({
        'bert.word_embed.0.weight': 1, 'span_classifier.weight': 2, 'span_classifier.bias': 3,
    }) == {'bert.word_embed.0.weight': 1, 'span_classifier.weight': 2, 'span_classifier.bias': 3}


def test_our_own_names_stay():
    names = [name for more in (DECODER, NEXT_SENTENCE, dense('classifier.1', ''),
                               dense('tag_classifier.1', ''), dense('span_classifier', ''))
             for name in dict(encoder(), **more)]
    assert from_gluonnlp({name: name for name in names}) == {name: name for name in names}


@pytest.mark.parametrize('prefix', ['module.', 'model.', 'module.model.', 'auto_model.',
                                    '_orig_mod.', 'bert.'])
def test_prefixes_of_wrappers(prefix):
    theirs = {'bert.embeddings.word_embeddings.weight': 1, 'bert.pooler.dense.bias': 2,
              'classifier.weight': 3}
    ours = from_huggingface(theirs)
    assert len(ours) == 3
    assert from_huggingface({prefix + name: array for name, array in theirs.items()}) == ours
    bare = {prefix + 'embeddings.word_embeddings.weight': 1, prefix + 'pooler.dense.bias': 2,
            'classifier.weight': 3}
    assert from_huggingface(bare) == ours


def test_decoders_of_their_own():
    table = np.ones((3, 2), np.float32)
    theirs = {'bert.embeddings.word_embeddings.weight': table,
              'cls.predictions.decoder.weight': table.copy()}
    assert list(from_huggingface(theirs)) == ['bert.word_embed.0.weight']
    check_tied(from_huggingface(theirs), 'x')
    theirs['cls.predictions.decoder.weight'] = 2 * table
    arrays = from_huggingface(theirs)
    assert (arrays['bert.decoder.3.weight'] == 2 * table).all()
    assert refused(check_tied, arrays, 'x').startswith('x: its masked-LM decoder has a matrix of')
