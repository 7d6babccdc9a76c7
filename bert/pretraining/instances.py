"""Instances for pre-training as flat arrays, and the micro-batches that are cut from them."""
from typing import Mapping, NamedTuple, Sequence

import numpy as np

__all__ = ['Batch', 'Buffer', 'Instances', 'join', 'without_padding']


class Instances(NamedTuple):
    """Instances without padding, one after the other; all arrays are int32.

    - ids, segments: (tokens of all,), token ids and token types
    - lengths: (instances,), number of tokens of each
    - positions, labels: (masked tokens of all,), their columns and their original ids
    - counts: (instances,), number of masked tokens of each
    - next_sentence: (instances,), 1 where the second text is a random one
    """
    ids: np.ndarray
    segments: np.ndarray
    lengths: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    next_sentence: np.ndarray


class Batch(NamedTuple):
    """A micro-batch; all arrays are int32.

    - ids, segments: lists of arrays, one per row, token ids and token types
    - length: int, what to pad the rows to if they are padded
    - masked: (masked tokens,), their places among the tokens of all rows, one row after the other
    - labels: (masked tokens,), their original ids
    - next_sentence: (rows,), 1 where the second text is a random one
    """
    ids: Sequence[np.ndarray]
    segments: Sequence[np.ndarray]
    length: int
    masked: np.ndarray
    labels: np.ndarray
    next_sentence: np.ndarray


def without_padding(arrays: Mapping[str, np.ndarray]) -> Instances:
    """Arrays of :data:`bert.pretraining.masking.FIELDS` -> :class:`Instances`."""
    text = np.arange(arrays['input_ids'].shape[1]) < arrays['valid_lengths'][:, None]
    masked = arrays['masked_lm_weights'] > 0
    return Instances(arrays['input_ids'][text], arrays['segment_ids'][text],
                     arrays['valid_lengths'], arrays['masked_lm_positions'][masked],
                     arrays['masked_lm_ids'][masked], masked.sum(axis=1, dtype=np.int32),
                     arrays['next_sentence_labels'])


def join(several: Sequence[Instances]) -> Instances:
    """One :class:`Instances` of several."""
    if not several:
        return Instances(*[np.zeros(0, np.int32)] * len(Instances._fields))
    return several[0] if len(several) == 1 else Instances(*map(np.concatenate, zip(*several)))


class Buffer:
    """Instances of several chunks, and where each comes from.

    ``origin`` is (instances, 3) int64: the epoch, the chunk, and the row in it.
    """

    def __init__(self, instances: Instances, origin: np.ndarray):
        self.instances, self.origin = instances, origin
        self._starts = np.cumsum(instances.lengths, dtype=np.int64) - instances.lengths
        self._masks = np.cumsum(instances.counts, dtype=np.int64) - instances.counts

    @classmethod
    def joined(cls, buffers: Sequence['Buffer']) -> 'Buffer':
        """One buffer of several."""
        return cls(join([buffer.instances for buffer in buffers]),
                   np.concatenate([buffer.origin for buffer in buffers]))

    @classmethod
    def of_chunk(cls, instances: Instances, epoch: int, chunk: int, part: int = 0,
                 parts: int = 1) -> 'Buffer':
        """The buffer of one chunk, or of its rows ``part``, ``part + parts``, ..."""
        rows = np.arange(len(instances.lengths))
        whole = cls(instances, np.stack([np.full_like(rows, epoch), np.full_like(rows, chunk),
                                         rows], axis=1))
        return whole if parts == 1 else whole.select(rows[part::parts])

    def select(self, rows: np.ndarray) -> 'Buffer':
        """A buffer of only some rows, in the given order."""
        old = self.instances
        tokens = _ranges(self._starts[rows], old.lengths[rows])
        masked = _ranges(self._masks[rows], old.counts[rows])
        return Buffer(Instances(old.ids[tokens], old.segments[tokens], old.lengths[rows],
                                old.positions[masked], old.labels[masked], old.counts[rows],
                                old.next_sentence[rows]), self.origin[rows])

    def batch(self, rows: np.ndarray, length: int) -> Batch:
        """The :class:`Batch` of some rows, which may be padded to ``length`` tokens."""
        chosen = self.select(rows)
        of, ends = chosen.instances, chosen._starts[1:]
        masked = np.repeat(chosen._starts, of.counts) + of.positions
        return Batch(np.split(of.ids, ends), np.split(of.segments, ends), length,
                     masked.astype(np.int32), of.labels, of.next_sentence)


def _ranges(starts, sizes):
    """All indices of the ranges with these starts and sizes, one range after the other."""
    return np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
