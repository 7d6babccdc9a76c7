"""Scores of every row, by however many workers."""
import mxnet as mx
import numpy as np

from bert.training import distributed
from bert.training.evaluation import score_rows


class Two:
    """Two workers, of which the test plays one after the other."""
    size = 2

    def __init__(self, rank):
        self.rank, self.devices = rank, [mx.cpu(0), mx.cpu(1)]

    def sum(self, values):
        return np.asarray(values, np.float64)


def test_scores_of_all_workers_add_up_to_every_row():
    lengths = [3, 1, 2, 5, 4]

    def forward(part, device):
        return mx.nd.array([[i, lengths[i]] for i in part])

    total = sum(score_rows(lengths, 2, Two(rank), forward) for rank in (0, 1))
    assert total.dtype == np.float32
    assert total.tolist() == [[i, n] for i, n in enumerate(lengths)]
    # a worker without any batch adds nothing
    alone = score_rows([4], 2, Two(1), lambda part, device: mx.nd.ones((1, 2)))
    assert alone.tolist() == [[0, 0]]


def test_scores_by_token_are_filled_up():
    lengths = [2, 4, 1]

    def forward(part, device):
        return mx.nd.ones((len(part), max(lengths[i] for i in part)))

    scores = score_rows(lengths, 1, distributed.Local([mx.cpu()]), forward, by_token=True)
    assert scores.dtype == np.float32
    assert scores.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]
