"""The interface of the operators that compute BERT, and the portable implementation.

The encoder (:mod:`bert.model.encoder`) states BERT's maths once; what a batch looks like and which
operators compute it is injected as an :class:`Operators`.  :class:`Portable` takes padded batches
through MXNet's own operators: on any device, in float16 and bfloat16, and in the graphs that are
exported or made int8.  :class:`bert.model.native.Native` takes packed tokens through the operators
of :mod:`bert.model.ops`.  To try another attention or norm, edit a method of these two.
"""
import abc
import math
from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple, Union

__all__ = ['ACTIVATIONS', 'PREPARED', 'Operators', 'Portable', 'Prepared', 'Read', 'Weight']

# hidden_act in config.json -> the name that Operators.activate knows; a new one needs an entry
# here and its formula there
ACTIVATIONS = {'gelu': 'gelu', 'relu': 'relu', 'gelu_new': 'approx_gelu',
               'gelu_pytorch_tanh': 'approx_gelu'}

Array = Any     # an NDArray, or a Symbol while a graph is made


# dtype of inference -> the parts that a matrix becomes, see bert/model/inference.py
PREPARED = {'float32': ('panels',), 'bfloat16': ('rounded',),
            'int8': ('panels', 'scales', 'totals')}


class Prepared(NamedTuple):
    """A matrix as inference multiplies it: the arrays of :data:`PREPARED`."""
    dtype: str
    arrays: Tuple[Array, ...]


Weight = Union[Array, Prepared]
Read = Callable[[Array], Array]     # (T, ...) -> (R, ...): only the tokens that the head reads


class Operators(abc.ABC):
    """The operators, and the tokens, of one forward pass over one batch of B texts.

    In the shapes, T stands for the axes of the tokens: (N,) where they are packed, (length, batch)
    where they are padded.  Every operator but attention acts on the last axis alone, so the
    encoder never looks at T.

    The residual stream is float32; matrix products may have a lower precision, which subclasses
    choose: "low" arrays have the type of the products.

    Attributes
    ----------
    F : module
        ``mxnet.ndarray`` or ``mxnet.symbol``.
    tokens : tuple of arrays
        Ids, token types and positions, which broadcast to T.
    prunes : bool
        Whether the last layer skips the tokens that the head does not read.
    """

    prunes = False
    F: Any
    tokens: Tuple[Array, Array, Array]

    @abc.abstractmethod
    def dense(self, x: Array, weight: Weight, bias: Array, outputs: int) -> Array:
        """x W^T + b: low (..., inputs), (outputs, inputs), (outputs,) -> low (..., outputs).

        ``weight`` may be :class:`Prepared` where batches are packed.
        """

    @abc.abstractmethod
    def lower(self, x: Array) -> Array:
        """float32 -> low, of the same shape."""

    def activate(self, x: Array, activation: str) -> Array:
        """One of the values of :data:`ACTIVATIONS`, element by element: low -> low.

        MXNet's operators compute it on both layouts, unless a subclass has a faster one.
        """
        if activation == 'relu':
            return self.F.Activation(x, act_type='relu')
        if activation == 'approx_gelu':
            inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x ** 3))
            return 0.5 * x * (1 + self.F.tanh(inner))
        raise NotImplementedError(f'{type(self).__name__} has no formula for {activation}')

    def feed_forward(self, x: Array, weights: Sequence[Weight], biases: Sequence[Array],
                     outputs: Sequence[int], activation: str) -> Array:
        """Two dense layers with an activation between, low (..., units) -> low (..., units)."""
        y = self.dense(x, weights[0], biases[0], outputs[0])
        return self.dense(self.activate(y, activation), weights[1], biases[1], outputs[1])

    @abc.abstractmethod
    def add_norm(self, x: Array, residual: Optional[Array], gamma: Array, beta: Array,
                 epsilon: float, dropout: Optional[float]) -> Tuple[Array, Array]:
        """LayerNorm(dropout(x) + residual): x low or float32, residual float32, (..., units) both.
        ``dropout`` is a rate, or None where the model has no dropout.

        Returns the result twice, (..., units): float32, and low.
        """

    @abc.abstractmethod
    def attention(self, x: Array, weights: Sequence[Weight], biases: Sequence[Array], units: int,
                  heads: int, dropout: float, read: Optional[Read] = None) -> Array:
        """Multi-head self-attention within each text: low (T, units) -> low (T, units).

        ``weights``, (units, units) each, and ``biases``, (units,) each, project to queries, keys
        and values.  Dropout is on the attention probabilities; the output projection is not part.
        With ``read``, which is given only if :attr:`prunes`, the result is (R, units), for the
        tokens that it picks.
        """

    @abc.abstractmethod
    def first(self, x: Array) -> Array:
        """The first token of each text: (T, units) -> (B, units)."""

    @abc.abstractmethod
    def by_text(self, x: Array) -> Array:
        """The tokens in the order of the inputs: (T, units) -> (N, units) packed,
        (batch, length, units) padded."""

    @abc.abstractmethod
    def take(self, x: Array, places: Array) -> Array:
        """Some tokens: (T, units), and their numbers (M,) int32 in the order of ``by_text`` ->
        (M, units)."""


class Portable(Operators):
    """MXNet's own operators over a padded batch.

    Parameters
    ----------
    F : module
    ids, token_types : (batch, length)
    lengths : (batch,) float32
        The number of tokens of each text that are not padding.
    heads : int
        Attention heads.
    """

    def __init__(self, F: Any, ids: Array, token_types: Array, lengths: Array, heads: int):
        self.F, self._lengths, self._norms, self._activations = F, lengths, 0, 0
        ids = F.transpose(ids)                                              # (length, batch)
        steps = F.cast(F.contrib.arange_like(ids, axis=0), dtype='float32')     # (length,)
        self.tokens = ids, F.transpose(token_types), F.expand_dims(steps, axis=1)
        keys = F.broadcast_add(F.reshape(lengths, shape=(-1, 1)),
                               F.reshape(F.zeros_like(steps), shape=(1, -1)))
        keys = F.expand_dims(F.cast(keys, dtype='int32'), axis=1)           # (batch, 1, length)
        keys = F.broadcast_axis(keys, axis=1, size=heads)                   # (batch, heads, length)
        self._keys = F.reshape(keys, shape=(-1, 0), reverse=True)           # (batch*heads, length)

    def dense(self, x, weight, bias, outputs):
        return self.F.FullyConnected(x, weight, bias, num_hidden=outputs, flatten=False)

    def lower(self, x):
        return x        # MXNet's mixed precision casts at the products

    # GluonNLP's BertLayerCollector, which finds the ranges for int8, knows LayerNorm and GELU by
    # the ends of these names

    def activate(self, x, activation):
        if activation == 'gelu':
            self._activations += 1
            return self.F.LeakyReLU(x, act_type='gelu',
                                    name=f'activation{self._activations}_gelu0_leakyrelu0')
        return super().activate(x, activation)

    def add_norm(self, x, residual, gamma, beta, epsilon, dropout):
        self._norms += 1
        if dropout:
            x = self.F.Dropout(x, p=dropout, cudnn_off=True)    # cuDNN's ignores --seed
        if residual is not None:
            x = x + residual
        x = self.F.LayerNorm(x, gamma, beta, axis=-1, eps=epsilon,
                             name=f'norm{self._norms}_layernorm0_layernorm0')
        return x, x

    def attention(self, x, weights, biases, units, heads, dropout, read=None):
        F = self.F
        # MXNet's operators take queries, keys and values interleaved, those of a head adjacent
        weight = F.concat(*[F.reshape(each, shape=(heads, -1, 0), reverse=True)
                            for each in weights], dim=-2)       # (heads, 3 * size, units)
        weight = F.reshape(weight, shape=(-1, 0), reverse=True)             # (3 * units, units)
        bias = F.stack(*[F.reshape(each, shape=(heads, -1), reverse=True)
                         for each in biases], axis=1)           # (heads, 3, size)
        bias = F.reshape(bias, shape=(-1,))                                 # (3 * units,)
        x = self.dense(x, weight, bias, 3 * units)              # (length, batch, 3 * units)
        scores = F.contrib.interleaved_matmul_selfatt_qk(x, heads=heads)
        # (batch * heads, length, length): queries by keys
        weights = F.softmax(scores, length=self._keys, use_length=True, axis=-1)
        if dropout:
            weights = F.Dropout(weights, p=dropout, cudnn_off=True)
        # (length, batch, units)
        return F.contrib.interleaved_matmul_selfatt_valatt(x, weights, heads=heads)

    def first(self, x):
        return self.F.squeeze(self.F.slice_axis(x, axis=0, begin=0, end=1), axis=0)

    def by_text(self, x):
        """Padding becomes zeros."""
        F = self.F
        x = F.SequenceMask(x, sequence_length=self._lengths, use_sequence_length=True, axis=0)
        return F.transpose(x, axes=(1, 0, 2))       # (length, batch, units) -> (batch, length, ..)

    def take(self, x, places):
        rows = self.F.reshape(self.by_text(x), shape=(-3, 0))       # (batch * length, units)
        return self.F.take(rows, places)
