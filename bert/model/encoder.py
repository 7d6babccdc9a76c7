"""BERT (Devlin et al. 2018): embeddings, layers, pooler and masked-LM decoder.

This is the only definition of its maths.  The arrays are tokens (T, units), whatever the axes T of
the tokens are: :mod:`bert.model.operators` says what a batch looks like, and computes.

Parameters carry the names of GluonNLP's checkpoints (``encoder.transformer_cells.0.proj.weight``),
in GluonNLP's order; :func:`bert.model.parameters.collect` gives them.
"""
from typing import Any, List, Optional, Tuple

from mxnet.gluon import HybridBlock, Parameter, ParameterDict, nn

from ..utils.errors import DataError
from .config import BertConfig
from .operators import ACTIVATIONS, PREPARED, Array, Operators, Prepared, Read

__all__ = ['Bert', 'Encoder', 'Layer', 'Decoder']

_PROJECTIONS = ('proj_query', 'proj_key', 'proj_value')
_FEED_FORWARD = ('ffn.ffn_1', 'ffn.ffn_2')


class _Owner(HybridBlock):
    """A block that owns parameters under the dotted names of checkpoints.

    ``prepared`` is the dtype, if any, for which :mod:`bert.model.inference` has replaced matrices.
    """

    prepared: Optional[str] = None

    def own(self, name: str, shape: Tuple[int, ...], init: Optional[str] = None) -> None:
        """Have a parameter, as an attribute of this name; ``hybrid_forward`` gets it under it."""
        setattr(self, name, self.params.get(name.replace('.', '_'), shape=shape, init=init))

    def disown(self, name: str) -> None:
        """Drop a parameter; Gluon has no call for it."""
        dropped = self._reg_params.pop(name)
        delattr(self, name)
        kept = ParameterDict(self.prefix)
        kept.update({key: each for key, each in self.params.items() if each is not dropped})
        self._params = kept

    def own_dense(self, name: str, outputs: int, inputs: int) -> None:
        self.own(name + '.weight', (outputs, inputs))
        self.own(name + '.bias', (outputs,), 'zeros')

    def own_norm(self, name: str, units: int) -> None:
        self.own(name + '.gamma', (units,), 'ones')
        self.own(name + '.beta', (units,), 'zeros')

    def dense(self, operators, weights, name, x):
        """(..., inputs) -> (..., outputs), with the weights of this name."""
        return operators.dense(x, self.weight(weights, name), weights[name + '.bias'],
                               getattr(self, name + '.bias').shape[0])

    def weight(self, weights, name):
        """The matrix of this name, as it was prepared."""
        if self.prepared is None:
            return weights[name + '.weight']
        return Prepared(self.prepared, tuple(weights[f'{name}.{part}']
                                             for part in PREPARED[self.prepared]))


class Bert(HybridBlock):
    """The encoder with its embeddings, and on request what pre-training adds to it.

    Parameters
    ----------
    config : BertConfig
    dropout : float, optional
        The rate of all dropout; None takes those of config.
    pooler : bool
        Whether to have ``pooler``: (B, units) of first tokens -> (B, units).
    decoder : bool
        Whether to have ``decoder``, a :class:`Decoder`.
    classifier : bool
        Whether to have ``classifier``: pooled (B, units) -> next-sentence logits (B, 2).
    """

    def __init__(self, config: BertConfig, dropout: Optional[float] = None, pooler: bool = True,
                 decoder: bool = False, classifier: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if config.vocab_size is None:
            raise DataError("config.json: 'vocab_size' is missing; it must describe a BERT model")
        units = config.hidden_size
        with self.name_scope():
            self.encoder = Encoder(config.with_dropout(dropout))
            for name, size in (('word_embed', config.vocab_size),
                               ('token_type_embed', config.type_vocab_size)):
                table = nn.HybridSequential(prefix=name + '_')      # named as GluonNLP's: name.0
                with table.name_scope():
                    table.add(nn.Embedding(size, units))
                setattr(self, name, table)
            if pooler:
                self.pooler = nn.Dense(units, in_units=units, flatten=False, activation='tanh',
                                       prefix='pooler_')
            if classifier:
                self.classifier = nn.Dense(2, in_units=units, prefix='cls_')
            if decoder:
                self.decoder = Decoder(config, self.word_embed[0].weight)

    def hybrid_forward(self, F, ids: Array, token_types: Array, positions: Array,
                       operators: Operators, read: Optional[Read] = None) -> List[Array]:
        """``operators.tokens`` and ``operators`` -> the hidden states of every layer.

        They are (T, units) float32 each; with ``read``, the last has only the tokens that it
        picks: (R, units).
        """
        words = self.word_embed(ids) + self.token_type_embed(token_types)       # (T, units)
        return self.encoder(words, positions, operators, read)


class Encoder(_Owner):
    """Adds positions to embedded tokens and applies the layers."""

    def __init__(self, config: BertConfig, **kwargs: Any):
        super().__init__(**kwargs)
        self._epsilon, self._dropout = config.layer_norm_eps, config.hidden_dropout_prob
        self._shape = config.max_position_embeddings, config.hidden_size
        self.own('position_weight', self._shape)
        self.own_norm('layer_norm', config.hidden_size)
        with self.name_scope():
            self.transformer_cells = nn.HybridSequential()
            for number in range(config.num_hidden_layers):
                self.transformer_cells.add(Layer(config, prefix=f'transformer{number}_'))

    def hybrid_forward(self, F, x, positions, operators, read, position_weight, **weights):
        """(T, units) and positions, which broadcast to T -> what :class:`Bert` returns."""
        rows, units = self._shape
        places = F.Embedding(positions, position_weight, input_dim=rows, output_dim=units)
        x, low = operators.add_norm(F.broadcast_add(x, places), None, weights['layer_norm.gamma'],
                                    weights['layer_norm.beta'], self._epsilon, self._dropout)
        states, last = [], len(self.transformer_cells) - 1
        for number, layer in enumerate(self.transformer_cells):
            x, low = layer(x, low, operators, read if operators.prunes and number == last else None)
            states.append(x)
        if read and not operators.prunes:
            states[-1] = read(x)
        return states


class Layer(_Owner):
    """Self-attention and a feed-forward network; dropout, residual sum and LayerNorm after each."""

    def __init__(self, config: BertConfig, **kwargs: Any):
        super().__init__(**kwargs)
        units, hidden = config.hidden_size, config.intermediate_size
        self._units, self._hidden, self._heads = units, hidden, config.num_attention_heads
        self._epsilon, self._dropout = config.layer_norm_eps, config.hidden_dropout_prob
        self._attention_dropout = config.attention_probs_dropout_prob
        self._activation = ACTIVATIONS[config.hidden_act]
        for name in _PROJECTIONS:
            self.own(f'attention_cell.{name}.bias', (units,), 'zeros')
        for name in _PROJECTIONS:
            self.own(f'attention_cell.{name}.weight', (units, units))
        self.own_dense('proj', units, units)
        self.own_dense('ffn.ffn_1', hidden, units)
        self.own_dense('ffn.ffn_2', units, hidden)
        self.own_norm('ffn.layer_norm', units)
        self.own_norm('layer_norm', units)

    def hybrid_forward(self, F, x, low, operators, read, **weights):
        """The residual stream (T, units), float32 and low -> the same after this layer.

        With ``read``, the result is (R, units): only the tokens that it picks.
        """
        y = operators.attention(
            low, [self.weight(weights, f'attention_cell.{name}') for name in _PROJECTIONS],
            [weights[f'attention_cell.{name}.bias'] for name in _PROJECTIONS],
            self._units, self._heads, self._attention_dropout, read)    # (T, units) or (R, units)
        x = read(x) if read else x
        y = self.dense(operators, weights, 'proj', y)
        x, low = self._add_norm(operators, weights, 'layer_norm', y, x)
        y = operators.feed_forward(
            low, [self.weight(weights, name) for name in _FEED_FORWARD],
            [weights[name + '.bias'] for name in _FEED_FORWARD], (self._hidden, self._units),
            self._activation)
        return self._add_norm(operators, weights, 'ffn.layer_norm', y, x)

    def _add_norm(self, operators, weights, name, x, residual):
        return operators.add_norm(x, residual, weights[name + '.gamma'], weights[name + '.beta'],
                                  self._epsilon, self._dropout)


class Decoder(_Owner):
    """Masked-LM logits; the matrix of the last product is the word embedding ``words``."""

    def __init__(self, config: BertConfig, words: Parameter, **kwargs: Any):
        super().__init__(**kwargs)
        units, self._epsilon = config.hidden_size, config.layer_norm_eps
        self._activation = ACTIVATIONS[config.hidden_act]
        self.own_dense('0', units, units)
        self.own_norm('2', units)       # GluonNLP counts the activation as 1
        setattr(self, '3.weight', words)
        self.own('3.bias', (config.vocab_size,), 'zeros')

    def hybrid_forward(self, F, x, operators, **weights):
        """Hidden states (M, units) float32 -> logits (M, vocab_size), low."""
        y = self.dense(operators, weights, '0', operators.lower(x))
        y = operators.activate(y, self._activation)
        _, y = operators.add_norm(y, None, weights['2.gamma'], weights['2.beta'], self._epsilon,
                                  dropout=None)
        return self.dense(operators, weights, '3', y)
