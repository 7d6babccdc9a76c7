"""Scores of words, from those of their first sub-words."""
import os

import mxnet as mx
import numpy as np
import pytest
from helpers import TINY

from bert.data import tagging
from bert.model import ops
from bert.model.config import BertConfig
from bert.model.forward import create_forward
from bert.model.heads import Tagger
from bert.model.parameters import initialize
from bert.training import tagging as tagger
from bert.training.tagging import word_logits
from bert.utils.files import read_json


class Numbered:
    """Gives token k of a batch the scores (k, -k)."""

    def __call__(self, ids, segments, device, places):
        assert [len(row) for row in ids] == [len(row) for row in segments]
        assert max(places) < sum(map(len, ids))
        return mx.nd.array(np.stack([places, -places], axis=1))


def test_scores_of_words_are_those_of_their_first_sub_words(tok):
    rows = tagging.features(tok, [['ab', 'the'], ['of', 'a', 'cd', 'to', 'to', 'in', 'g']], 8)
    assert [row.first for row in rows] == [[1, 3], [1, 2, 3, 5], [2, 3, 4]]
    assert [len(row.ids) for row in rows] == [5, 8, 6]
    scores = word_logits(Numbered(), rows, mx.cpu()).asnumpy()
    assert scores[:, 0].tolist() == [1, 3, 5 + 1, 5 + 2, 5 + 3, 5 + 5, 13 + 2, 13 + 3, 13 + 4]
    assert (scores[:, 1] == -scores[:, 0]).all()


@pytest.mark.parametrize('path', ['padded', 'packed'])
def test_neighbours_in_a_batch_do_not_change_scores(tok, path):
    if path == 'packed' and not ops.load():
        pytest.skip('no compiler, or a CPU without the operators')
    config = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
    mx.random.seed(1)
    net = Tagger(config, 3)
    initialize(net, config.replace(initializer_range=0.5))
    forward = create_forward(net, path, 'float32', tok.pad_id)
    rows = tagging.features(tok, [['the', 'film'], ['wonderful', 'of', 'axe', 'by']], 24)
    both = word_logits(forward, rows, mx.cpu()).asnumpy()
    alone = [word_logits(forward, [row], mx.cpu()).asnumpy() for row in rows]
    assert both.shape == (6, 3)
    np.testing.assert_allclose(both, np.concatenate(alone), rtol=1e-5, atol=1e-5)


def test_no_words_no_tags():
    assert tagger.predict(None, [], 2, ('O',), None, 4) == [[], []]
