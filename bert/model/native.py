"""Packed tokens through the operators of :mod:`bert.model.ops`: the fast path on CPUs.

The tokens of all texts of a batch are concatenated, without padding; attention gets the start and
the length of each text.

In bfloat16 the matrix products of the encoder take bfloat16; weights, the residual stream,
LayerNorm and the heads stay float32.  MXNet's products are the fastest in training and in bfloat16;
matrices that :mod:`bert.model.inference` has prepared for float32 or int8 have operators of ours.
"""
from typing import Any

from .operators import Array, Operators, Prepared

__all__ = ['Native', 'count_seeds']

_DENSE = {'float32': 'bert_dense', 'int8': 'bert_dense_int8'}
_FEED_FORWARD = {'float32': 'bert_feed_forward', 'int8': 'bert_feed_forward_int8'}
FUSED = ('gelu', 'approx_gelu', 'relu')     # activations of the latter


def _has_operator(weight):
    """Whether operators of :mod:`bert.model.ops` multiply with a weight."""
    return isinstance(weight, Prepared) and weight.dtype in _DENSE


def count_seeds(num_layers: int) -> int:
    """The number of seeds that :class:`Native` takes for one pass with dropout: one for the
    embeddings, and three per layer (attention, and the outputs of both sub-layers)."""
    return 1 + 3 * num_layers


class Native(Operators):
    """The operators of :mod:`bert.model.ops` over packed tokens, T = (N,).

    Parameters
    ----------
    F : module
    ids, token_types, positions : (N,) int32
        Of each token; positions count from 0 in each text.  Tokens that belong to no text have no
        effect.
    starts, lengths : (B,) float32
        Where each text starts among the tokens, and its length.
    seeds : (count_seeds(layers),) float32
        Whole numbers from 0 for dropout, or -1 for none.  Each dropout takes the next one.
    bfloat16 : bool
    accumulates : bool
        Whether parameters have grad_req 'add'.
    """

    prunes = True

    def __init__(self, F: Any, ids: Array, token_types: Array, positions: Array, starts: Array,
                 lengths: Array, seeds: Array, bfloat16: bool = False,
                 accumulates: bool = False):
        self.F, self.tokens = F, (ids, token_types, positions)
        self._starts, self._lengths, self._seeds = starts, lengths, seeds
        self._bfloat16, self._accumulates, self._used = bfloat16, accumulates, 0

    def _seed(self, dropout):
        if dropout is None:
            return self.F.full((1,), -1)
        self._used += 1
        return self.F.slice_axis(self._seeds, axis=0, begin=self._used - 1, end=self._used)

    def _accumulating(self, x):
        """``x``, which may be a parameter, as the input of an operator of :mod:`bert.model.ops`.

        MXNet lets such operators overwrite the gradients of their inputs, even with grad_req
        'add'; the identity between them adds.  It costs a copy that lives until the backward pass.
        """
        return self.F.identity(x) if self._accumulates else x

    def dense(self, x, weight, bias, outputs):
        if _has_operator(weight):
            return getattr(self.F, _DENSE[weight.dtype])(x, *weight.arrays, bias)
        return self._product(x, self._matrix(weight), self.lower(bias), outputs)

    def _matrix(self, weight):
        """A weight as the right factor of MXNet's products."""
        return weight.arrays[0] if isinstance(weight, Prepared) else self.lower(weight)

    def _product(self, x, weight, bias, outputs):
        return self.F.FullyConnected(x, weight, bias, num_hidden=outputs, flatten=False)

    def lower(self, x):
        return self.F.bert_bfloat16(self._accumulating(x)) if self._bfloat16 else x

    def activate(self, x, activation):
        if activation in ('gelu', 'approx_gelu'):
            return self.F.bert_gelu(x, approx=int(activation == 'approx_gelu'))
        return super().activate(x, activation)

    def feed_forward(self, x, weights, biases, outputs, activation):
        if _has_operator(weights[0]) and activation in FUSED:
            up, down = weights
            return getattr(self.F, _FEED_FORWARD[up.dtype])(
                x, *up.arrays, biases[0], *down.arrays, biases[1], activation=activation)
        return super().feed_forward(x, weights, biases, outputs, activation)

    def add_norm(self, x, residual, gamma, beta, epsilon, dropout):
        inputs = (x,) if residual is None else (x, residual)
        y = self.F.bert_layer_norm(
            *inputs, self._accumulating(gamma), self._accumulating(beta), self._seed(dropout),
            p=dropout or 0, eps=epsilon, out16=int(self._bfloat16), nores=int(residual is None))
        return tuple(y) if self._bfloat16 else (y, y)

    def attention(self, x, weights, biases, units, heads, dropout, read=None):
        # softmax(q k^T / sqrt(size)) v for each head of each text -> (N, units), or (R, units)
        settings, texts = {'heads': heads, 'p': dropout}, (self._starts, self._lengths)
        if read is None:
            qkv = self._concatenated(x, weights, biases, units)     # all q, all k, all v
            return self.F.bert_attention(qkv, *texts, self._seed(dropout), **settings)
        q = self.dense(read(x), weights[0], biases[0], units)
        kv = self._concatenated(x, weights[1:], biases[1:], units)
        places = self.F.BlockGrad(read(self.F.contrib.arange_like(self.tokens[0], axis=0)))
        return self.F.bert_attention(q, kv, *texts, places, self._seed(dropout), queries=1,
                                     **settings)

    def _concatenated(self, x, weights, biases, units):
        """Several dense layers as one: (N, units) -> (N, len(weights) * units)."""
        if _has_operator(weights[0]):
            layers = [part for weight, bias in zip(weights, biases)
                      for part in (*weight.arrays, bias)]
            return getattr(self.F, _DENSE[weights[0].dtype])(x, *layers, n=len(weights))
        weight = self.F.concat(*map(self._matrix, weights), dim=0)
        bias = self.F.concat(*map(self.lower, biases), dim=0)
        return self._product(x, weight, bias, len(weights) * units)

    def first(self, x):
        return self.F.take(x, self.F.BlockGrad(self._starts))

    def by_text(self, x):
        return x

    def take(self, x, places):
        return self.F.take(x, places)
