"""The two losses of pre-training, their means over batches and workers, and evaluation."""
from typing import Any, Dict, NamedTuple, Tuple, Type

import mxnet as mx
import numpy as np

from ..utils.errors import DataError
from . import stream
from .instances import Batch

__all__ = ['FAULTS', 'Elsewhere', 'Losses', 'Meter', 'check', 'evaluate', 'losses_of']

FAULTS: Tuple[Type[Exception], ...] = (DataError, OSError)      # of files that cannot be read
_EMPTY = ('--data_eval: its files have no instances; write each sentence on a line of its own, at '
          'least two in a document')


_ELSEWHERE = 'another worker cannot read its part of --data_eval'


class Elsewhere(DataError):
    """Another worker, which says why, could not read its data."""


class Losses(NamedTuple):
    """The losses of a batch, NDArrays on one device."""
    words: mx.nd.NDArray        # (1,), the sum over the masked tokens
    pairs: mx.nd.NDArray        # (1,), the sum over the rows
    # (4,): loss and number of correct predictions of words, then of pairs; without a gradient
    statistics: mx.nd.NDArray


def losses_of(network: Any, batch: Batch, device: mx.Context) -> Losses:
    """The losses of a batch.

    ``network`` comes from :func:`bert.model.forward.create_forward`.  Call this under
    ``autograd.record`` to train.
    """
    words, pairs = network(batch.ids, batch.segments, device, batch.masked, batch.length)
    losses, statistics = [], []
    for logits, labels in ((words, batch.labels), (pairs, batch.next_sentence)):
        each, correct = network.cross_entropy(logits, mx.nd.array(labels, ctx=device))
        losses.append(each.sum())
        with mx.autograd.pause():
            statistics += [losses[-1], correct.sum()]
    with mx.autograd.pause():
        return Losses(*losses, mx.nd.concat(*statistics, dim=0))


class Meter:
    """Losses and accuracies over the batches since they were last read, of all workers.

    ``comm`` is a communicator of :mod:`bert.training.distributed`.
    """

    def __init__(self, comm: Any):
        self._comm = comm
        self._reset()

    def _reset(self):
        self._statistics, self._masked, self._instances = [], 0, 0

    def add(self, statistics: mx.nd.NDArray) -> None:
        """Add the :attr:`Losses.statistics` of one of this worker's batches."""
        self._statistics.append(statistics)
        if len(self._statistics) > 64:
            self._statistics = [mx.nd.array(self._sums(), dtype=np.float64)]

    def count(self, masked: int, instances: int) -> None:
        """Add the size of the batches of all workers together."""
        self._masked += masked
        self._instances += instances

    def _sums(self):
        return sum((each.asnumpy().astype(np.float64) for each in self._statistics), np.zeros(4))

    def read(self) -> Dict[str, float]:
        """The mean of each metric; starts again from zero.  All workers call it together."""
        words, correct_words, pairs, correct_pairs = self._comm.sum(self._sums()).tolist()
        masked, instances = max(1, self._masked), max(1, self._instances)
        self._reset()
        return {'MLM_loss': words / masked, 'NSP_loss': pairs / instances,
                'MLM_accuracy': correct_words / masked, 'NSP_accuracy': correct_pairs / instances}


def check(source: Any, comm: Any) -> None:
    """Read a source to evaluate on, each worker its own share, before it is needed.

    All workers call it together.  Raises DataError for damaged files, and where there are no
    instances.
    """
    shares = stream.share(source.num_chunks, comm.rank, comm.size)
    found, fault = [], None
    try:
        found = [source.check(chunk) for chunk, _, _ in shares]
    except FAULTS as error:
        fault = error
    found, faults = comm.sum([sum(found), fault is not None])
    if faults:
        raise fault or Elsewhere(_ELSEWHERE)
    if not found:
        raise DataError(_EMPTY)


def evaluate(network: Any, source: Any, batch_size: int, comm: Any) -> Dict[str, float]:
    """The mean of each metric over all of a source; all workers call it together.

    Raises DataError where the source has no instances, and for files that cannot be read: the
    others raise :class:`Elsewhere`.
    """
    meter, masked, instances, fault = Meter(comm), 0, 0, None
    try:
        for i, batch in enumerate(stream.evaluation(source, batch_size, comm.rank, comm.size)):
            device = comm.devices[i % len(comm.devices)]
            meter.add(losses_of(network, batch, device).statistics)
            masked += len(batch.masked)
            instances += len(batch.ids)
    except FAULTS as error:
        fault = error
    masked, instances, faults = comm.sum([masked, instances, fault is not None]).tolist()
    if faults:
        raise fault or Elsewhere(_ELSEWHERE)
    if not instances:
        raise DataError(_EMPTY)
    meter.count(masked, instances)
    return meter.read()
