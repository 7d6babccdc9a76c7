"""The BERT encoder and its heads, as padded batches on GluonNLP's operators.

Every network here holds the encoder as its child ``bert`` (a :class:`gluonnlp.model.BERTModel`),
so that the parameters of all of them carry the names of GluonNLP's own checkpoints, with
``bert.`` before those of the encoder.  Inputs of all networks:

- ids: (batch, length) int32 or float32, token ids
- segments: (batch, length), 0 for the first text and 1 for the second
- lengths: (batch,) float32, the number of tokens of each row that are not padding
"""
import gluonnlp as nlp
from mxnet.gluon import HybridBlock, nn

from ..utils.errors import DataError
from .config import ACTIVATIONS

__all__ = ['backbone', 'Classifier', 'PreTraining', 'QuestionAnswering', 'Tagger', 'TokenVectors']


def backbone(config, dropout=None, use_pooler=True, use_decoder=False, use_classifier=False,
             output_all_encodings=False):
    """A BERT encoder of the sizes in ``config``.

    Parameters
    ----------
    config : bert.model.config.BertConfig
    dropout : float, optional
        Dropout on embeddings, attention weights and sub-layer outputs; None takes config's.
    use_pooler, use_decoder, use_classifier : bool
        Whether to have the pooler, the masked-LM decoder and the next-sentence head.
    output_all_encodings : bool
        Return the encodings of every layer rather than the last one's.

    Returns
    -------
    gluonnlp.model.BERTModel
        Uninitialized.  Its outputs: encodings (batch, length, hidden_size), then the pooled
        output (batch, hidden_size), next-sentence scores (batch, 2) and masked-LM scores
        (batch, masked, vocab_size) as asked for.
    """
    if config.vocab_size is None:
        raise DataError("config.json: 'vocab_size' is missing; it must describe a BERT model")
    units, hidden = config.hidden_size, config.intermediate_size
    activation = ACTIVATIONS[config.hidden_act]
    if dropout is None:
        dropout = config.hidden_dropout_prob
    encoder = nlp.model.BERTEncoder(
        num_layers=config.num_hidden_layers, units=units, hidden_size=hidden,
        num_heads=config.num_attention_heads, max_length=config.max_position_embeddings,
        dropout=dropout, activation=activation, layer_norm_eps=config.layer_norm_eps,
        output_all_encodings=output_all_encodings)
    model = nlp.model.BERTModel(
        encoder, vocab_size=config.vocab_size, token_type_vocab_size=config.type_vocab_size,
        units=units, embed_size=units, use_pooler=use_pooler, use_decoder=use_decoder,
        use_classifier=use_classifier)
    # GluonNLP leaves the input sizes to the first forward pass; state them, so that parameters
    # can be set, counted and saved before it
    for cell in encoder.transformer_cells:
        cell.proj.weight.shape = (units, units)
        cell.ffn.ffn_1.weight.shape = (hidden, units)
        cell.ffn.ffn_2.weight.shape = (units, hidden)
    if use_pooler:
        model.pooler.weight.shape = (units, units)
    if use_classifier:
        model.classifier.weight.shape = (2, units)
    if use_decoder:
        model.decoder[0].weight.shape = (units, units)
        # GluonNLP's has the erf GELU, whatever the encoder's activation is
        model.decoder._children['1'] = (nn.Activation(activation) if activation == 'relu'
                                        else nlp.model.GELU(activation == 'approx_gelu'))
    return model


class Classifier(HybridBlock):
    """Sentence (pair) classification, or regression with one output: pooled output -> scores.

    Parameters are named as GluonNLP's ``BERTClassifier`` with dropout names them.
    """

    reads = 'first'

    def __init__(self, config, num_classes, dropout=None, **kwargs):
        super().__init__(**kwargs)
        if dropout is None:
            dropout = config.hidden_dropout_prob
        self.bert = backbone(config, dropout)
        with self.name_scope():
            self.classifier = nn.HybridSequential()
            self.classifier.add(nn.Dropout(dropout),
                                nn.Dense(num_classes, in_units=config.hidden_size))

    def hybrid_forward(self, F, ids, segments, lengths):
        """(batch, length), (batch, length), (batch,) -> scores (batch, num_classes)."""
        _, pooled = self.bert(ids, segments, lengths)
        return self.classifier(pooled)

    def head(self, first):
        """Encodings of the first token of each text (rows, hidden_size) -> scores."""
        return self.classifier(self.bert.pooler(first))


class Tagger(HybridBlock):
    """A tag for every token, read at the first sub-word of a word: encodings -> scores.

    It has no pooler, and is otherwise named as GluonNLP's ``BERTTagger`` (``tag_classifier``).
    """

    reads = 'tokens'

    def __init__(self, config, num_tags, dropout=None, **kwargs):
        super().__init__(**kwargs)
        if dropout is None:
            dropout = config.hidden_dropout_prob
        self.bert = backbone(config, dropout, use_pooler=False)
        with self.name_scope():
            self.tag_classifier = nn.HybridSequential()
            self.tag_classifier.add(nn.Dropout(dropout),
                                    nn.Dense(num_tags, flatten=False,
                                             in_units=config.hidden_size))

    def hybrid_forward(self, F, ids, segments, lengths):
        """(batch, length), (batch, length), (batch,) -> scores (batch, length, num_tags)."""
        return self.head(self.bert(ids, segments, lengths))

    def head(self, encodings):
        """(..., hidden_size) -> scores (..., num_tags)."""
        return self.tag_classifier(encodings)


class QuestionAnswering(HybridBlock):
    """Answers as spans of the text: encodings -> scores of each token as their first and last one.

    Parameters are named as those of ``BertForQA`` in GluonNLP's scripts.
    """

    reads = 'tokens'

    def __init__(self, config, dropout=None, **kwargs):
        super().__init__(**kwargs)
        self.bert = backbone(config, dropout, use_pooler=False)
        with self.name_scope():
            self.span_classifier = nn.Dense(2, flatten=False, in_units=config.hidden_size)

    def hybrid_forward(self, F, ids, segments, lengths):
        """(batch, length), (batch, length), (batch,) -> start, end scores (batch, length) each."""
        scores = self.head(self.bert(ids, segments, lengths))
        return F.split(scores, num_outputs=2, axis=2, squeeze_axis=True)

    def head(self, encodings):
        """(..., hidden_size) -> start and end scores (..., 2)."""
        return self.span_classifier(encodings)


class PreTraining(HybridBlock):
    """Masked words and next sentences: encodings -> scores of the vocabulary, and of the pair.

    The decoder's matrix is the word embedding.  One more input than the others have:

    - masked: (M,) int32, the places row * length + column of the masked tokens of all rows; only
      for these are the scores of the vocabulary computed
    """

    reads = 'first and masked'

    def __init__(self, config, dropout=None, **kwargs):
        super().__init__(**kwargs)
        self._units = config.hidden_size
        self.bert = backbone(config, dropout, use_decoder=True, use_classifier=True)

    def hybrid_forward(self, F, ids, segments, lengths, masked):
        """-> scores (M, vocab_size) of the masked tokens, and (batch, 2) of the next sentence."""
        encodings, _ = self.bert._encode_sequence(ids, segments, lengths)
        first = F.slice_axis(encodings, axis=1, begin=0, end=1).reshape((-1, self._units))
        return (self.bert.decoder(F.take(encodings.reshape((-1, self._units)), masked)),
                self.pair_head(first))

    def pair_head(self, first):
        """Encodings of the first token of each text (rows, hidden_size) -> scores (rows, 2)."""
        return self.bert.classifier(self.bert.pooler(first))


class TokenVectors(HybridBlock):
    """A vector for every token: the mean of its encodings in some layers, without dropout.

    ``layers`` are numbers from 1, the lowest, up; those above the highest are not built.
    """

    reads = 'tokens'

    def __init__(self, config, layers, **kwargs):
        super().__init__(**kwargs)
        self._layers = layers
        self.bert = backbone(config.replace(num_hidden_layers=max(layers)), 0.0, use_pooler=False,
                             output_all_encodings=True)

    def hybrid_forward(self, F, ids, segments, lengths):
        """(batch, length), (batch, length), (batch,) -> vectors (batch, length, hidden_size)."""
        return self.head(self.bert(ids, segments, lengths))

    def head(self, encodings):
        """A list of the encodings (..., hidden_size) of every layer -> the mean of those chosen."""
        return sum(encodings[layer - 1] for layer in self._layers) / len(self._layers)


