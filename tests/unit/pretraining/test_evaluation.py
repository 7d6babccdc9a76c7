"""Evaluation where a worker cannot read its share."""
import types

import mxnet as mx
import numpy as np
import pytest
from helpers import refused

from bert.pretraining.evaluation import Elsewhere, check, evaluate
from bert.utils.errors import DataError


class Source:
    """Two chunks without instances, of which number 1 cannot be read."""

    num_chunks, max_length, paths = 2, 8, ()

    def read(self, epoch, chunk):
        raise DataError('chunk 1: damaged')

    def check(self, chunk):
        return chunk and self.read(0, chunk)


def worker(rank, others):
    """A worker whose sums are with the numbers of the others."""
    return types.SimpleNamespace(rank=rank, size=2, devices=[mx.cpu()], sum=lambda values: (
        np.asarray(values, float) + others))


def test_all_workers_stop_where_one_cannot_read():
    assert refused(evaluate, None, Source(), 1, worker(1, [0, 0, 0])) == 'chunk 1: damaged'
    nothing = types.SimpleNamespace(num_chunks=0, max_length=8, read=None)
    with pytest.raises(Elsewhere, match='another worker cannot read its part of --data_eval'):
        evaluate(None, nothing, 1, worker(0, [5, 2, 1]))
    assert 'have no instances' in refused(evaluate, None, nothing, 1, worker(0, [0, 0, 0]))


def test_the_data_are_checked_by_those_who_read_them():
    assert refused(check, Source(), worker(1, [0, 0])) == 'chunk 1: damaged'
    assert 'have no instances' in refused(check, Source(), worker(0, [0, 0]))
    with pytest.raises(Elsewhere, match='another worker cannot read its part of --data_eval'):
        check(Source(), worker(0, [0, 1]))
    check(Source(), worker(0, [1, 0]))
