"""BERT with a head for a task.

Every network here holds a :class:`bert.model.encoder.Bert` as its child ``bert``, so that the
parameters of all of them carry the names of GluonNLP's own checkpoints, with ``bert.`` before those
of the encoder.

A :class:`Network` states what it computes once, in :meth:`~Network.logits`, for every batch
layout.  Called as a block, it takes a padded batch through MXNet's own operators:

- ids: (batch, length) int32 or float32, token ids
- token_types: (batch, length), 0 for the first text and 1 for the second
- lengths: (batch,) float32, the number of tokens of each row that are not padding

:class:`PackedNetwork` takes packed tokens through the operators of :mod:`bert.model.ops`.
"""
from typing import Any, Iterable, List, Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from ..utils.errors import DataError
from .config import BertConfig
from .encoder import Bert
from .native import Native, count_seeds
from .operators import Array, Operators, Portable

__all__ = ['Classifier', 'HiddenStates', 'Network', 'PackedNetwork', 'PreTraining',
           'QuestionAnswering', 'Tagger', 'TokenVectors', 'layer_numbers']


class Network(HybridBlock):
    """The base of the networks.

    Parameters
    ----------
    config : BertConfig
    bert : Bert

    Attributes
    ----------
    per_token : bool
        Whether there are logits for each token, (N, ...) packed or (batch, length, ...) padded,
        rather than for each text, (B, ...).
    """

    per_token = False

    def __init__(self, config: BertConfig, bert: Bert, **kwargs: Any):
        super().__init__(**kwargs)
        self.config, self.bert = config, bert

    def logits(self, operators: Operators) -> Array:
        """The outputs for the tokens of ``operators``; the shapes are those of the subclass."""
        raise NotImplementedError

    def hybrid_forward(self, F, ids, token_types, lengths, *places):
        """A padded batch -> the logits."""
        operators = Portable(F, ids, token_types, lengths, self.config.num_attention_heads)
        return self.logits(operators, *places)


class PackedNetwork(HybridBlock):
    """A :class:`Network` over packed tokens; the two share their parameters.

    The inputs are the arrays that :class:`bert.model.native.Native` takes, with :attr:`seeds`
    seeds, then those that ``net.logits`` takes besides the operators.
    """

    def __init__(self, net: Network, bfloat16: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.net, self._bfloat16, self._accumulates = net, bfloat16, False
        self._parameters = list(net.collect_params().values())
        self.seeds = count_seeds(net.config.num_hidden_layers)

    def __call__(self, *inputs):
        """As :meth:`hybrid_forward`."""
        accumulates = any(parameter.grad_req == 'add' for parameter in self._parameters)
        if accumulates != self._accumulates:
            self._accumulates = accumulates
            self.hybridize(self._active)        # the graph made before, if any, does not fit
        return super().__call__(*inputs)

    def hybrid_forward(self, F, ids, token_types, positions, starts, lengths, seeds, *places):
        """Packed tokens -> the logits."""
        operators = Native(F, ids, token_types, positions, starts, lengths, seeds, self._bfloat16,
                           self._accumulates)
        return self.net.logits(operators, *places)


class Classifier(Network):
    """Sentence (pair) classification, or regression with one output.

    Parameters are named as GluonNLP's ``BERTClassifier`` with dropout names them.
    """

    def __init__(self, config: BertConfig, num_classes: int, dropout: Optional[float] = None,
                 **kwargs: Any):
        super().__init__(config, Bert(config, dropout), **kwargs)
        with self.name_scope():
            self.classifier = _dropout_and_dense(config, num_classes, dropout)

    def logits(self, operators: Operators) -> Array:
        """-> logits (B, num_classes)."""
        first = self.bert(*operators.tokens, operators, operators.first)[-1]    # (B, units)
        return self.classifier(self.bert.pooler(first))


class Tagger(Network):
    """Tag logits for every token; those of a word's first sub-word are its tag.

    It has no pooler, and is otherwise named as GluonNLP's ``BERTTagger`` (``tag_classifier``).
    """

    per_token = True

    def __init__(self, config: BertConfig, num_tags: int, dropout: Optional[float] = None,
                 **kwargs: Any):
        super().__init__(config, Bert(config, dropout, pooler=False), **kwargs)
        with self.name_scope():
            self.tag_classifier = _dropout_and_dense(config, num_tags, dropout)

    def logits(self, operators: Operators, places: Optional[Array] = None) -> Array:
        """-> logits (N, num_tags) or (batch, length, num_tags).

        With ``places``, (M,) int32 as ``masked`` of :class:`PreTraining`, only for the tokens at
        these places: (M, num_tags).
        """
        if places is None:
            hidden = self.bert(*operators.tokens, operators)[-1]        # (T, units)
            return self.tag_classifier(operators.by_text(hidden))
        hidden = self.bert(*operators.tokens, operators,
                           lambda x: operators.take(x, places))[-1]     # (M, units)
        return self.tag_classifier(hidden)


class QuestionAnswering(Network):
    """Answers as spans of the text: logits for each token to be the first or last of the answer.

    Parameters are named as those of ``BertForQA`` in GluonNLP's scripts.
    """

    per_token = True

    def __init__(self, config: BertConfig, dropout: Optional[float] = None, **kwargs: Any):
        super().__init__(config, Bert(config, dropout, pooler=False), **kwargs)
        with self.name_scope():
            self.span_classifier = nn.Dense(2, flatten=False, in_units=config.hidden_size)

    def logits(self, operators: Operators) -> Array:
        """-> start and end logits (N, 2) or (batch, length, 2)."""
        hidden = self.bert(*operators.tokens, operators)[-1]            # (T, units)
        return self.span_classifier(operators.by_text(hidden))

    def hybrid_forward(self, F, ids, token_types, lengths):
        """A padded batch -> start and end logits, (batch, length) each."""
        logits = super().hybrid_forward(F, ids, token_types, lengths)
        return F.split(logits, num_outputs=2, axis=2, squeeze_axis=True)


class PreTraining(Network):
    """Masked-language-model and next-sentence logits.

    The decoder's matrix is the word embedding.  It has one more input than the others:

    - masked: (M,) int32, the places of the masked tokens of all texts, row * length + column in a
      padded batch; logits over the vocabulary are computed for these only
    """

    def __init__(self, config: BertConfig, dropout: Optional[float] = None, **kwargs: Any):
        super().__init__(config, Bert(config, dropout, decoder=True, classifier=True), **kwargs)

    def logits(self, operators: Operators, masked: Array) -> Sequence[Array]:
        """-> logits (M, vocab_size) of the masked tokens, low, and (B, 2) of the next sentence."""
        F = operators.F

        def read(x):
            return F.concat(operators.take(x, masked), operators.first(x), dim=0)

        hidden = self.bert(*operators.tokens, operators, read)[-1]      # (M + B, units)
        # a symbol does not know M: the first M are cut out by an array of that length, and the last
        # B in the same way from the reversed order
        words = F.slice_like(hidden, masked, axes=(0,))                 # (M, units)
        reversed_ = F.reverse(hidden, axis=0)
        first = F.reverse(F.slice_like(reversed_, operators.first(operators.tokens[0]), axes=(0,)),
                          axis=0)                                       # (B, units)
        return self.bert.decoder(words, operators), self.bert.classifier(self.bert.pooler(first))


class TokenVectors(Network):
    """A vector for every token: the mean of its hidden states in some layers, without dropout.

    ``layers`` are numbered from 1, the lowest; layers above the highest of them are not built.
    """

    per_token = True

    def __init__(self, config: BertConfig, layers: Sequence[int], **kwargs: Any):
        config = config.replace(num_hidden_layers=max(layers))
        super().__init__(config, Bert(config, 0.0, pooler=False), **kwargs)
        self._layers = layers

    def logits(self, operators: Operators) -> Array:
        """-> vectors (N, units) or (batch, length, units)."""
        states = self.bert(*operators.tokens, operators)                # (T, units) each
        chosen = [states[layer - 1] for layer in self._layers]
        if len(chosen) > 1:
            chosen = [operators.F.add_n(*chosen) / len(chosen)]
        return operators.by_text(chosen[0])


def layer_numbers(layers: Iterable[int], depth: int) -> List[int]:
    """``layers`` of so many, counted from 1, the lowest, up, or from -1, the highest, down ->
    their numbers from 1.  Raises DataError if there is none, or one does not exist."""
    numbers = list(layers) if isinstance(layers, Iterable) else [layers]
    for layer in numbers:
        if layer not in range(-depth, depth + 1) or not layer:
            raise DataError(f'--layers: there is no layer {layer}; they are 1 to {depth}, or -1 to '
                            f'-{depth} from the top')
    if not numbers:
        raise DataError('--layers: name one or more')
    return [int(layer) % (depth + 1) for layer in numbers]


class HiddenStates(Network):
    """BERT without a head, as it is exported: hidden states, and the pooled output.

    ``pooler`` says whether there is a pooled output.
    """

    per_token = True

    def __init__(self, config: BertConfig, dropout: Optional[float] = None, pooler: bool = True,
                 **kwargs: Any):
        super().__init__(config, Bert(config, dropout, pooler), **kwargs)
        self._pooler = pooler

    def logits(self, operators: Operators) -> Any:
        """-> hidden states (N, units) or (batch, length, units); with a pooler also (B, units)."""
        hidden = self.bert(*operators.tokens, operators)[-1]            # (T, units)
        if not self._pooler:
            return operators.by_text(hidden)
        return operators.by_text(hidden), self.bert.pooler(operators.first(hidden))


def _dropout_and_dense(config, outputs, dropout):
    """(..., units) -> (..., outputs); the parameters are those of its second block, ``1``."""
    config = config.with_dropout(dropout)
    rate = config.classifier_dropout
    net = nn.HybridSequential()
    net.add(_Dropout(config.hidden_dropout_prob if rate is None else rate),
            nn.Dense(outputs, flatten=False, in_units=config.hidden_size))
    return net


class _Dropout(nn.Dropout):
    """Dropout that follows MXNet's seed on GPUs, too, which cuDNN's does not."""

    def hybrid_forward(self, F, x):
        return F.Dropout(x, p=self._rate, cudnn_off=True) if self._rate else F.identity(x)
