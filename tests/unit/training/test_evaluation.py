"""Scores of every row, by however many workers."""
import mxnet as mx
import numpy as np
from workers import on_both

from bert.training import distributed
from bert.training.evaluation import score_rows
from bert.utils.errors import DataError

ROWS = [[7] * length for length in (3, 1, 2, 5, 4)]


def test_scores_of_all_workers_add_up_to_every_row():
    def score(comm, rows):
        def forward(part, device):
            return mx.nd.array([[i, len(rows[i])] for i in part])
        return score_rows(rows, 2, comm, forward)

    for scores in on_both(score, ROWS, ROWS).values():
        assert scores.dtype == np.float32
        assert scores.tolist() == [[i, len(row)] for i, row in enumerate(ROWS)]
    # of one batch, a worker has none
    assert [scores.tolist() for scores in on_both(score, ROWS[:1], ROWS[:1]).values()] == [
        [[0, 3]], [[0, 3]]]


def test_workers_need_the_same_rows():
    def message(comm, rows):
        try:
            score_rows(rows, 2, comm, lambda part, device: mx.nd.ones((len(part), 1)))
        except DataError as error:
            return str(error)
        return None

    for other in ROWS[::-1], ROWS[:4], [*ROWS[:4], [7, 7, 7, 8]], [[7] * 15]:
        found = on_both(message, ROWS, other)
        assert found[0] == found[1]
        assert found[0].startswith('not all workers have the data to predict')


def test_scores_by_token_are_filled_up():
    rows = [[1, 2], [3, 4, 5, 6], [7]]

    def forward(part, device):
        return mx.nd.ones((len(part), max(len(rows[i]) for i in part)))

    scores = score_rows(rows, 1, distributed.Local([mx.cpu()]), forward, by_token=True)
    assert scores.dtype == np.float32
    assert scores.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]
