"""The two ways through a network: padded batches on any device, or packed tokens on CPUs.

Both take rows of token ids and give the same numbers: for each row, where the network reads its
first token alone (``net.reads`` is 'first'), for each token of all rows, one row after the other
('tokens'), or for the masked tokens and for each row ('first and masked').  Programs talk to these
and never to the network itself.
"""
import mxnet as mx
import numpy as np

from ..utils.errors import DataError
from . import ops
from .inputs import packed_inputs, padded_inputs, round_up
from .parameters import as_float32

__all__ = ['choose_layout', 'create_forward', 'Padded', 'Packed', 'unpack']


def choose_layout(path, dtype, devices, pad=False):
    """The path that ``--path`` asks for: 'padded' or 'packed'.

    Parameters
    ----------
    path : 'auto', 'padded' or 'packed'
        'auto' is 'packed' where that works: on CPUs, with a compiler or operators built before.
    dtype : str
    devices : list of mxnet.Context
    pad : bool
        Whether batches of a fixed length are asked for.

    Raises
    ------
    DataError
        Where 'packed' is asked for and cannot be had.
    """
    obstacle = None
    if any(device.device_type != 'cpu' for device in devices):
        obstacle = 'packed tokens are for the CPU; leave out --gpu and --gpus'
    elif dtype == 'float16':
        obstacle = 'packed tokens are not for --dtype float16; take float32 or bfloat16'
    elif pad:
        obstacle = 'there is no padding in packed tokens; leave out --pad'
    if path == 'packed' and obstacle:
        raise DataError(f'--path packed: {obstacle}')
    if path == 'padded' or obstacle:
        return 'padded'
    if ops.load():
        return 'packed'
    if path == 'packed':
        raise DataError('--path packed: the operators of bert/model/ops could not be loaded, see '
                        'above')
    return 'padded'


def create_forward(net, path, dtype, pad_id, length=None):
    """A :class:`Padded` or a :class:`Packed` over a network of :mod:`bert.model.heads`."""
    if path == 'packed':
        return Packed(net, dtype == 'bfloat16')
    return Padded(net, pad_id, length)


class Padded:
    """Rows become arrays filled up to the longest with [PAD] (or to ``length``)."""

    def __init__(self, net, pad_id, length=None):
        self._net, self._pad_id, self._length = net, pad_id, length
        self._by_token = net.reads == 'tokens'
        net.hybridize(static_alloc=True)

    def __call__(self, ids, segments, device, masked=None, length=None):
        """What the network gives for rows of ids.

        Parameters
        ----------
        ids, segments : lists of lists or arrays of int
        device : mxnet.Context
        masked : (M,) array of int, optional
            The places of the masked tokens among the tokens of all rows, one row after the other.
        length : int, optional
            To fill rows up to.

        Returns
        -------
        NDArray or two of them
            (rows, ...), (tokens of all rows, ...), or both (M, ...) and (rows, ...); float32, but
            that (M, ...) may be in the type of the matrix products, and have more rows behind.
        """
        inputs = padded_inputs(ids, segments, self._pad_id, device, length or self._length)
        if masked is not None:
            longest, ends = inputs[0].shape[1], np.cumsum([len(row) for row in ids])
            row = np.searchsorted(ends, masked, side='right')
            place = row * longest + masked - np.append(0, ends)[row]
            scores = self._net(*inputs, mx.nd.array(place, ctx=device, dtype='int32'))
            return tuple(map(as_float32, scores))
        scores = self._net(*inputs)
        if isinstance(scores, (list, tuple)):
            scores = mx.nd.stack(*scores, axis=-1)
        scores = as_float32(scores)
        if not self._by_token:
            return scores
        longest = scores.shape[1]
        index = np.concatenate([np.arange(len(row)) + i * longest for i, row in enumerate(ids)])
        return mx.nd.take(scores.reshape((-3, -2)), mx.nd.array(index, ctx=device, dtype='int32'))

    @staticmethod
    def cross_entropy(scores, labels):
        """(M, classes) scores and (M,) float32 classes -> losses (M,), and 1 for each right score.

        A score is right where none is higher than that of the class.  ``scores`` are what the
        network gave for masked tokens, or for rows.
        """
        with mx.autograd.pause():
            right = mx.nd.pick(scores, labels) == scores.max(axis=1)
        return -mx.nd.pick(mx.nd.log_softmax(scores), labels), right


class Packed:
    """Rows stand one after the other, without padding: :mod:`bert.model.packed`."""

    def __init__(self, net, bfloat16=False):
        from .packed import PackedNetwork
        self._net, self._by_token = PackedNetwork(net, bfloat16), net.reads == 'tokens'
        self._net.hybridize()

    def __call__(self, ids, segments, device, masked=None, length=None):
        """As :class:`Padded` does; there is no ``length`` to fill up to."""
        if mx.autograd.is_training():
            seeds = mx.nd.floor(mx.nd.random.uniform(0, 1 << 24, (self._net.seeds,), ctx=device))
        else:
            seeds = mx.nd.full((self._net.seeds,), -1, ctx=device)
        inputs = packed_inputs(ids, segments, device) + (seeds,)
        if masked is not None:
            return self._net(*inputs, mx.nd.array(_filled_up(masked), ctx=device, dtype='int32'))
        scores = self._net(*inputs)
        count = sum(map(len, ids))
        return scores[:count] if self._by_token and len(scores) > count else scores

    @staticmethod
    def cross_entropy(scores, labels):
        """As :meth:`Padded.cross_entropy`; scores may also be bfloat16."""
        count = len(labels)
        if len(scores) > count:
            labels = mx.nd.concat(labels, mx.nd.zeros(len(scores) - count, ctx=labels.context),
                                  dim=0)
        return [each[:count] for each in mx.nd.bert_cross_entropy(scores, labels)]


def _filled_up(places):
    """``places`` and then zeros up to a size of :func:`bert.model.inputs.round_up`."""
    out = np.zeros(round_up(len(places)), np.int32)
    out[:len(places)] = places
    return out


def unpack(scores, lengths, fill=0.0):
    """Scores of tokens -> an array with a row for each text: the inverse of packing.

    (N, ...) and lengths, a list of B int -> (B, longest, ...) NDArray, filled up with ``fill``
    """
    lengths = np.asarray(lengths)
    column = np.arange(lengths.max())
    index = (np.cumsum(lengths) - lengths)[:, None] + np.minimum(column, lengths[:, None] - 1)
    rows = mx.nd.take(scores, mx.nd.array(index, ctx=scores.context, dtype='int32'))
    return mx.nd.SequenceMask(rows, mx.nd.array(lengths, ctx=scores.context), True, value=fill,
                              axis=1)
