"""Rows of token ids -> the arrays that the networks take: padded batches, or packed tokens."""
from typing import Any, Optional, Sequence, Tuple

import numpy as np

__all__ = ['pad', 'padded_inputs', 'packed_inputs', 'round_up']


def pad(rows: Sequence[Sequence[int]], value: int,
        length: Optional[int] = None) -> Tuple[np.ndarray, np.ndarray]:
    """Rows of numbers -> an int32 array (rows, longest) and the lengths, (rows,) float32.

    ``value`` fills up; ``length`` pads to more than the longest row.
    """
    lengths = np.array([len(row) for row in rows], np.float32)
    out = np.full((len(rows), length or int(lengths.max())), value, np.int32)
    for i, row in enumerate(rows):
        out[i, :len(row)] = row
    return out, lengths


def padded_inputs(ids: Sequence[Sequence[int]], token_types: Sequence[Sequence[int]], pad_id: int,
                  device: Any, length: Optional[int] = None) -> Tuple[Any, ...]:
    """Rows of token ids and token types -> the networks' inputs on ``device``.

    Returns NDArrays: ids (rows, longest) int32, token types, the same shape, float32, and lengths
    (rows,) float32.
    """
    import mxnet as mx
    ids, lengths = pad(ids, pad_id, length)
    token_types, _ = pad(token_types, 0, length)
    return (mx.nd.array(ids, ctx=device, dtype='int32'), mx.nd.array(token_types, ctx=device),
            mx.nd.array(lengths, ctx=device))


def round_up(count: int) -> int:
    """The next size of those that packed arrays have: all up to 64, 32 in each octave above.

    For each size of a matrix product that MXNet meets, it prepares code and scratch memory, up to
    20 MB for each training step, and keeps them: sizes must not be too many.
    """
    unit = 1 << max(0, int(count - 1).bit_length() - 6)
    return -(-count // unit) * unit


def packed_inputs(ids: Sequence[Sequence[int]], token_types: Sequence[Sequence[int]],
                  device: Any) -> Tuple[Any, ...]:
    """Rows of token ids and token types -> the inputs of :class:`bert.model.heads.PackedNetwork`.

    Returns NDArrays on ``device``: ids, token types and positions (tokens,) int32, those of all
    rows and then zeros up to a size of :func:`round_up`; starts and lengths (rows,) float32.
    """
    import mxnet as mx
    lengths = np.array([len(row) for row in ids])
    starts = np.cumsum(lengths) - lengths
    count = lengths.sum()
    tokens = np.zeros((3, round_up(count)), np.int32)
    tokens[:, :count] = (np.concatenate(ids), np.concatenate(token_types),
                         np.arange(count) - np.repeat(starts, lengths))
    return tuple([mx.nd.array(array, ctx=device, dtype='int32') for array in tokens]
                 + [mx.nd.array(array, ctx=device) for array in (starts, lengths)])
