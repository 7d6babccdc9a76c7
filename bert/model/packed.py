"""The fast path on CPUs: BERT over packed tokens, on the operators of :mod:`bert.model.ops`.

The tokens of all texts of a batch stand one after the other, without padding; attention is told
where each text starts and how long it is.  A network here has no parameters of its own: it takes
those of a network of :mod:`bert.model.heads`, so checkpoints and the training
step know one set of them.

In bfloat16 the matrix products of the encoder take bfloat16; weights, the residual stream,
LayerNorm and the heads stay float32.
"""
from gluonnlp.model import GELU
from mxnet.gluon import HybridBlock

__all__ = ['PackedNetwork', 'Encoder', 'Layer']

_LAYER_SEEDS = 3    # that a layer takes: for attention and for the outputs of both sub-layers


class PackedNetwork(HybridBlock):
    """A network of :mod:`bert.model.heads` over packed tokens.

    Parameters
    ----------
    net : HybridBlock
        Its ``reads`` says what its ``head`` is to be given: the encodings of 'first' tokens, of
        all 'tokens', or of 'first and masked' ones.
    bfloat16 : bool

    The inputs, for B texts of N tokens in all:

    - ids, segments, positions: (N,) int32, of each token; positions count from 0 in each text;
      what belongs to no text has no effect on any
    - starts, lengths: (B,) float32, where each text starts among the tokens, and its length
    - seeds: (:attr:`seeds`,) float32, whole numbers from 0 up for dropout, or -1 for none
    - masked: (M,) int32, the places of masked tokens among all, where ``net`` reads these
    """

    def __init__(self, net, bfloat16=False, **kwargs):
        super().__init__(**kwargs)
        self.net = net
        self.decoder = (Decoder(net.bert.decoder, bfloat16) if net.reads == 'first and masked'
                        else None)
        self.encoder = Encoder(net.bert, bfloat16, net.reads == 'first')
        self.seeds = self.encoder.seeds

    def hybrid_forward(self, F, ids, segments, positions, starts, lengths, seeds, masked=None):
        """What ``net`` gives: (B, ...) where it reads first tokens, (N, ...) where it reads all, or
        both (M, ...) and (B, ...) where it reads masked ones."""
        encodings = self.encoder(ids, segments, positions, starts, lengths, seeds)
        if masked is None:
            return self.net.head(encodings)
        return (self.decoder(F.take(encodings, masked)),
                self.net.pair_head(F.take(encodings, F.BlockGrad(starts))))


class Encoder(HybridBlock):
    """The encoder of a :class:`gluonnlp.model.BERTModel`, on its parameters.

    Gives the encodings (N, units) float32, or a list of those of every layer where ``bert`` was
    made to give them; with ``first_only`` those of the first token of each text, (B, units), and
    the last layer is computed for no other.
    """

    def __init__(self, bert, bfloat16, first_only=False, **kwargs):
        super().__init__(**kwargs)
        encoder = bert.encoder
        self._dropout, self._epsilon = encoder._dropout, encoder._layer_norm_eps
        self._bfloat16, self._all = bfloat16, encoder._output_all_encodings
        self.word = bert.word_embed[0].weight
        self.segment = bert.token_type_embed[0].weight
        self.position = encoder.position_weight
        self.gamma, self.beta = encoder.layer_norm.gamma, encoder.layer_norm.beta
        self._layers = []
        cells = list(encoder.transformer_cells)
        for number, cell in enumerate(cells):
            layer = Layer(cell, self._epsilon, bfloat16, first_only and cell is cells[-1])
            self.register_child(layer, f'layer{number}')
            self._layers.append(layer)
        self.seeds = 1 + _LAYER_SEEDS * len(cells)

    def hybrid_forward(self, F, ids, segments, positions, starts, lengths, seeds, word, segment,
                       position, gamma, beta):
        x = sum(F.Embedding(index, table, input_dim=parameter.shape[0],
                            output_dim=parameter.shape[1])
                for index, table, parameter in ((ids, word, self.word),
                                                (segments, segment, self.segment),
                                                (positions, position, self.position)))
        x, low = _norm(F, (x,), gamma, beta, _slice(F, seeds, 0, 1), self._dropout, self._epsilon,
                       self._bfloat16, nores=1)
        out = []
        for number, layer in enumerate(self._layers):
            first = 1 + _LAYER_SEEDS * number
            x, low = layer(x, low, starts, lengths,
                           _slice(F, seeds, first, first + _LAYER_SEEDS))
            out.append(x)
        return out if self._all else x


def _slice(F, x, begin, end):
    return F.slice_axis(x, axis=0, begin=begin, end=end)


def _adding(F, x):
    """``x`` for an operator of :mod:`bert.model.ops`: MXNet lets these overwrite the gradients
    of their inputs, where that of a parameter may have to add up."""
    return F.identity(x)


def _lower(F, x):
    """float32 -> bfloat16."""
    return F.bert_bfloat16(_adding(F, x))


def _norm(F, inputs, gamma, beta, seed, dropout, epsilon, bfloat16, **options):
    """LayerNorm of dropout of the first input plus the second one: in float32, and in the type of
    the matrix products."""
    gamma, beta = _adding(F, gamma), _adding(F, beta)
    y = F.bert_layer_norm(*inputs, gamma, beta, seed, p=dropout, eps=epsilon, out16=int(bfloat16),
                          **options)
    return tuple(y) if bfloat16 else (y, y)


def _dense(F, x, weight, bias, outputs, bfloat16):
    if bfloat16:
        weight, bias = _lower(F, weight), _lower(F, bias)
    return F.FullyConnected(x, weight, bias, num_hidden=outputs, flatten=False)


def _activate(F, x, activation):
    if isinstance(activation, GELU):
        return F.bert_gelu(x, approx=int(activation._approximate))
    return activation(x)


class Layer(HybridBlock):
    """A layer of the encoder, on the parameters of GluonNLP's ``BERTEncoderCell``.

    Takes and gives the residual stream twice, (N, units) float32 and, for the matrix products,
    in their type; ``first_only`` gives (B, units), of the first token of each text.
    """

    def __init__(self, cell, epsilon, bfloat16, first_only=False, **kwargs):
        super().__init__(**kwargs)
        attention, ffn = cell.attention_cell, cell.ffn
        self._heads, self._dropout, self._epsilon = attention._num_heads, cell._dropout, epsilon
        self._bfloat16, self._first_only = bfloat16, first_only
        self._units, self._hidden = cell.proj.weight.shape[0], ffn.ffn_1.weight.shape[0]
        self._activation = ffn.activation
        for name in ('query', 'key', 'value'):
            for kind in ('weight', 'bias'):
                setattr(self, name + '_' + kind, getattr(attention, name + '_' + kind))
        for name, dense in (('proj', cell.proj), ('ffn_1', ffn.ffn_1), ('ffn_2', ffn.ffn_2)):
            setattr(self, name + '_weight', dense.weight)
            setattr(self, name + '_bias', dense.bias)
        for name, norm in (('norm_1', cell.layer_norm), ('norm_2', ffn.layer_norm)):
            setattr(self, name + '_gamma', norm.gamma)
            setattr(self, name + '_beta', norm.beta)

    def hybrid_forward(self, F, x, low, starts, lengths, seeds, **weights):
        names = ('query', 'key', 'value')
        low = self._dense(F, low, F.concat(*[weights[name + '_weight'] for name in names], dim=0),
                          F.concat(*[weights[name + '_bias'] for name in names], dim=0),
                          3 * self._units)
        low = F.bert_attention(low, starts, lengths, _slice(F, seeds, 0, 1), heads=self._heads,
                               p=self._dropout)
        if self._first_only:
            low, x = (F.take(y, F.BlockGrad(starts)) for y in (low, x))
        low = self._dense(F, low, weights['proj_weight'], weights['proj_bias'], self._units)
        x, low = self._norm(F, (low, x), _slice(F, seeds, 1, 2), weights, 'norm_1')
        low = self._dense(F, low, weights['ffn_1_weight'], weights['ffn_1_bias'], self._hidden)
        low = _activate(F, low, self._activation)
        low = self._dense(F, low, weights['ffn_2_weight'], weights['ffn_2_bias'], self._units)
        return self._norm(F, (low, x), _slice(F, seeds, 2, 3), weights, 'norm_2')

    def _dense(self, F, x, weight, bias, outputs):
        return _dense(F, x, weight, bias, outputs, self._bfloat16)

    def _norm(self, F, inputs, seed, weights, name):
        return _norm(F, inputs, weights[name + '_gamma'], weights[name + '_beta'], seed,
                     self._dropout, self._epsilon, self._bfloat16)


class Decoder(HybridBlock):
    """Scores of the vocabulary, on the parameters of the ``decoder`` of GluonNLP's BERTModel.

    (M, units) float32 -> (M, vocabulary) in the type of the matrix products.
    """

    def __init__(self, decoder, bfloat16, **kwargs):
        super().__init__(**kwargs)
        transform, self.activation, norm, scores = decoder
        self._bfloat16, self._epsilon = bfloat16, norm._epsilon
        self._vocabulary, self._units = scores.weight.shape
        self.transform_weight, self.transform_bias = transform.weight, transform.bias
        self.gamma, self.beta = norm.gamma, norm.beta
        self.word, self.bias = scores.weight, scores.bias

    def hybrid_forward(self, F, x, transform_weight, transform_bias, gamma, beta, word, bias):
        if self._bfloat16:
            x = _lower(F, x)
        x = _dense(F, x, transform_weight, transform_bias, self._units, self._bfloat16)
        x = _activate(F, x, self.activation)
        no_dropout = F.full((1,), -1)
        _, x = _norm(F, (x,), gamma, beta, no_dropout, 0, self._epsilon, self._bfloat16, nores=1)
        return _dense(F, x, word, bias, self._vocabulary, self._bfloat16)
