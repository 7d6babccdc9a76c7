"""Logits of examples from those of their windows."""
import mxnet as mx

from bert.data.features import SentenceFeatures
from bert.training import classification
from bert.training.distributed import Local


def forward(ids, token_types, device):
    """The sum of the ids and that of the token types."""
    return mx.nd.array([[sum(row), sum(types)] for row, types in zip(ids, token_types)])


def test_logits_are_the_mean_over_the_windows_of_an_example():
    features = SentenceFeatures(ids=[[1, 2], [3], [5, 5, 5]], token_types=[[0, 1], [0], [0, 1, 1]],
                                labels=[None] * 3, owner=[0, 1, 1])
    assert classification.logits(forward, features, [2, 0], mx.cpu()).asnumpy().tolist() == [
        [15, 2], [3, 1]]
    found = classification.predict(forward, features, Local([mx.cpu()]), 2)
    assert found.tolist() == [[3, 1], [9, 1]]
