"""The two batch layouts: padded batches on any device, or packed tokens on CPUs.

Both take rows of token ids through a network of :mod:`bert.model.heads` and return the same logits:
one result per row or, if the network is ``per_token``, one per token of all rows, concatenated, or
one per token at given places.  Programs use these layouts, never the network itself; only
``export/`` runs a network.
"""
from typing import Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ..utils.errors import DataError
from . import ops
from .heads import Network, PackedNetwork
from .inputs import packed_inputs, padded_inputs, round_up
from .parameters import as_float32

__all__ = ['choose_layout', 'create_forward', 'Padded', 'Packed', 'unpack']

_Rows = Sequence[Sequence[int]]
_Logits = Union[mx.nd.NDArray, Tuple[mx.nd.NDArray, ...]]


def choose_layout(path: str, dtype: str, devices: Sequence[mx.Context], pad: bool = False) -> str:
    """The layout that ``--path`` asks for: 'padded' or 'packed'.

    Parameters
    ----------
    path : 'auto', 'padded' or 'packed'
        'auto' is 'packed' if that works: on CPUs, with a compiler or operators built before.
    dtype : str
    devices : list of mxnet.Context
    pad : bool
        Whether all batches must be padded to a fixed length.

    Raises
    ------
    DataError
        If ``path`` is 'packed' or ``dtype`` is 'int8', which needs packed batches, but they are
        not available.
    """
    obstacle, asked = None, '--path packed'
    if dtype == 'int8':
        if path == 'padded':
            raise DataError('--dtype int8: needs packed batches; omit --path padded')
        path, asked = 'packed', '--dtype int8'
    if any(device.device_type != 'cpu' for device in devices):
        obstacle = 'packed batches need the CPU; omit --gpu and --gpus'
    elif dtype == 'float16':
        obstacle = 'packed batches do not support --dtype float16; use float32 or bfloat16'
    elif pad:
        obstacle = 'packed batches have no padding; omit --pad'
    if path == 'packed' and obstacle:
        raise DataError(f'{asked}: {obstacle}')
    if path == 'padded' or obstacle:
        return 'padded'
    if ops.load():
        return 'packed'
    if path == 'packed':
        raise DataError(f'{asked}: the operators of bert/model/ops could not be loaded: '
                        + ops.reason())
    return 'padded'


def create_forward(net: Network, layout: str, dtype: str, pad_id: int,
                   length: Optional[int] = None) -> 'Union[Padded, Packed]':
    """A :class:`Padded` or a :class:`Packed` over a network of :mod:`bert.model.heads`.

    ``layout`` is a result of :func:`choose_layout` with this ``dtype``.  For int8 ``net`` must be
    prepared: see :func:`bert.model.inference.prepare`.
    """
    if layout == 'packed':
        return Packed(net, dtype == 'bfloat16')
    return Padded(net, pad_id, length)


class Padded:
    """Rows become arrays padded with [PAD] to the longest row, or to ``length``."""

    def __init__(self, net: Network, pad_id: int, length: Optional[int] = None):
        self._net, self._pad_id, self._length = net, pad_id, length
        net.hybridize(static_alloc=True)

    def __call__(self, ids: _Rows, token_types: _Rows, device: mx.Context,
                 places: Optional[np.ndarray] = None, length: Optional[int] = None) -> _Logits:
        """The logits for rows of ids.

        Parameters
        ----------
        ids, token_types : lists of lists or arrays of int
        device : mxnet.Context
        places : (M,) array of int, optional
            The tokens to compute logits for, as indices into the concatenated tokens of all rows;
            for a :class:`~bert.model.heads.Tagger` or a :class:`~bert.model.heads.PreTraining`.
            All calls of a network give them, or none.
        length : int, optional
            Tokens to pad each row to.

        Returns
        -------
        NDArray or two of them
            (rows, ...), (tokens of all rows, ...) or (M, ...), float32.  For a PreTraining network
            a pair: (M, vocab_size) for the masked tokens and (rows, 2) for the next sentence.
            Packed, the former may be bfloat16 and longer than M; :meth:`cross_entropy` drops the
            excess.
        """
        inputs = padded_inputs(ids, token_types, self._pad_id, device, length or self._length)
        longest = inputs[0].shape[1]
        if places is not None:
            ends = np.cumsum([len(row) for row in ids])
            row = np.searchsorted(ends, places, side='right')
            padded = row * longest + places - np.append(0, ends)[row]
            logits = self._net(*inputs, mx.nd.array(padded, ctx=device, dtype='int32'))
            return (tuple(map(as_float32, logits)) if isinstance(logits, (list, tuple))
                    else as_float32(logits))
        logits = self._net(*inputs)
        if isinstance(logits, (list, tuple)):
            logits = mx.nd.stack(*logits, axis=-1)
        logits = as_float32(logits)
        if not self._net.per_token:
            return logits
        index = np.concatenate([np.arange(len(row)) + i * longest for i, row in enumerate(ids)])
        return mx.nd.take(logits.reshape((-3, -2)), mx.nd.array(index, ctx=device, dtype='int32'))

    @staticmethod
    def cross_entropy(logits: mx.nd.NDArray, labels: mx.nd.NDArray) -> Sequence[mx.nd.NDArray]:
        """(M, classes) logits and (M,) float32 classes -> losses (M,) and hits (M,).

        A hit is 1 where no logit is higher than that of the class, or else 0.  ``logits`` are
        those of masked tokens, or of rows.
        """
        with mx.autograd.pause():
            right = mx.nd.pick(logits, labels) == logits.max(axis=1)
        return -mx.nd.pick(mx.nd.log_softmax(logits), labels), right


class Packed:
    """Rows are concatenated, without padding: :mod:`bert.model.native`."""

    def __init__(self, net: Network, bfloat16: bool = False):
        self._net, self._per_token = PackedNetwork(net, bfloat16), net.per_token
        self._net.hybridize()

    def __call__(self, ids: _Rows, token_types: _Rows, device: mx.Context,
                 places: Optional[np.ndarray] = None, length: Optional[int] = None) -> _Logits:
        """As :class:`Padded`; ``length`` has no effect, since nothing is padded."""
        if mx.autograd.is_training():
            seeds = mx.nd.floor(mx.nd.random.uniform(0, 1 << 24, (self._net.seeds,), ctx=device))
        else:
            seeds = mx.nd.full((self._net.seeds,), -1, ctx=device)
        inputs = packed_inputs(ids, token_types, device) + (seeds,)
        if places is not None:
            filled, count = _filled_up(places, len(ids)), len(places)
            logits = self._net(*inputs, mx.nd.array(filled, ctx=device, dtype='int32'))
            if isinstance(logits, (list, tuple)):
                return logits
        else:
            logits, count = self._net(*inputs), sum(map(len, ids))
        return logits[:count] if self._per_token and len(logits) > count else logits

    @staticmethod
    def cross_entropy(logits: mx.nd.NDArray, labels: mx.nd.NDArray) -> Sequence[mx.nd.NDArray]:
        """As :meth:`Padded.cross_entropy`; logits may be bfloat16, and longer than the labels."""
        count = len(labels)
        if len(logits) > count:
            labels = mx.nd.concat(labels, mx.nd.zeros(len(logits) - count, ctx=labels.context),
                                  dim=0)
        return [each[:count] for each in mx.nd.bert_cross_entropy(logits, labels)]


def _filled_up(places, more):
    """``places`` and then zeros, (K,) int32, where K + ``more`` is a size of
    :func:`bert.model.inputs.round_up`: fewer sizes need fewer prepared operators."""
    out = np.zeros(round_up(len(places) + more) - more, np.int32)
    out[:len(places)] = places
    return out


def unpack(logits: mx.nd.NDArray, lengths: Sequence[int], fill: float = 0.0) -> mx.nd.NDArray:
    """Logits of tokens -> an array with one row per text: the inverse of packing.

    (N, ...) and B lengths -> (B, longest, ...), with ``fill`` after each text.
    """
    lengths = np.asarray(lengths)
    column = np.arange(lengths.max())
    index = (np.cumsum(lengths) - lengths)[:, None] + np.minimum(column, lengths[:, None] - 1)
    rows = mx.nd.take(logits, mx.nd.array(index, ctx=logits.context, dtype='int32'))
    return mx.nd.SequenceMask(rows, mx.nd.array(lengths, ctx=logits.context), True, value=fill,
                              axis=1)
