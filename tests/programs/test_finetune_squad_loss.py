"""The scores and the loss of question answering, by hand."""
import math

import mxnet as mx
import numpy as np
import pytest
from networks import hidden_states

from bert.data import squad_features
from bert.model.config import BertConfig
from bert.model.forward import create_forward
from bert.model.heads import QuestionAnswering
from bert.model.parameters import initialize
from bert.training import spans
from scripts import finetune_squad


@pytest.fixture(scope='module')
def tiny():
    config = {'vocab_size': 30, 'hidden_size': 8, 'num_hidden_layers': 1, 'num_attention_heads': 2,
              'intermediate_size': 16, 'max_position_embeddings': 20}
    mx.random.seed(1)
    config = BertConfig.from_dict(config)
    net = QuestionAnswering(config, dropout=0.0)
    initialize(net, config.replace(initializer_range=0.5))
    return net


@pytest.fixture(scope='module')
def forward(tiny):
    return create_forward(tiny, 'padded', 'float32', 0)


def row(ids, first, last):
    return squad_features.SpanFeature('id', np.array(ids, 'int32'),
                                      np.array([0, 0] + [1] * (len(ids) - 2)),
                                      None, None, None, first, last)


ROWS = [row([5, 6, 7, 8, 9, 10], 2, 4), row([11, 12, 13], 0, 0)]


def test_scores_are_a_dense_layer_over_the_encodings(tiny, forward):
    scores = spans.logits(forward, ROWS[:1], mx.cpu()).asnumpy()
    encodings = hidden_states(tiny, mx.nd.array([ROWS[0].ids]),
                              mx.nd.array([ROWS[0].token_types]), mx.nd.array([6]))
    weight, bias = (p.data().asnumpy() for p in (tiny.span_classifier.weight,
                                                 tiny.span_classifier.bias))
    assert scores.shape == (1, 6, 2)
    np.testing.assert_allclose(scores[0], encodings.asnumpy()[0] @ weight.T + bias, atol=1e-5)


def test_loss_by_hand_and_without_padding(forward):
    expected = 0
    for one in ROWS:
        scores = spans.logits(forward, [one], mx.cpu()).asnumpy()[0]
        for column, place in (0, one.answer_start), (1, one.answer_end):
            column = scores[:, column].astype('float64')
            expected += (math.log(np.exp(column).sum()) - column[place]) / 2
    # together the second row is padded to twice its length
    assert spans.logits(forward, ROWS, mx.cpu()).asnumpy()[1, 3:].max() == -1e9
    assert finetune_squad.span_loss(forward, ROWS, mx.cpu()).asscalar() == pytest.approx(
        expected, abs=1e-4)
