"""Networks that tests look into."""
from mxnet.gluon import HybridBlock

from bert.model.encoder import Bert
from bert.model.heads import HiddenStates, Network
from bert.model.parameters import collect, load_parameters


class Whole(Network):
    """All that a BERT can give for a padded batch.

    The hidden states of every layer, (batch, length, units) each, and what there is of: pooled
    (batch, units), next-sentence logits (batch, 2), and masked-LM logits (batch * M, vocabulary) of
    the places, row * length + column, that come as the fourth input.
    """

    def __init__(self, config, dropout=None, pooler=True, decoder=False, classifier=False):
        super().__init__(config, Bert(config, dropout, pooler, decoder, classifier))
        self._parts = pooler, decoder, classifier

    def logits(self, operators, masked=None):
        pooler, decoder, classifier = self._parts
        states = self.bert(*operators.tokens, operators)
        out = [operators.by_text(x) for x in states]
        if pooler:
            out.append(self.bert.pooler(operators.first(states[-1])))
        if classifier:
            out.append(self.bert.classifier(out[-1]))
        if decoder:
            out.append(self.bert.decoder(operators.take(states[-1], masked), operators))
        return out


def under(name, block):
    """A block that has ``block`` as its child of this name."""
    parent = HybridBlock()
    setattr(parent, name, block)
    return parent


def hidden_states(net, *batch):
    """Of a padded batch, by the weights of a network: (batch, length, units); with a pooler also
    its output (batch, units)."""
    arrays = {name: parameter.data().asnumpy() for name, parameter in collect(net).items()}
    plain = HiddenStates(net.config, 0.0, 'bert.pooler.weight' in arrays)
    plain.initialize()
    load_parameters(plain, arrays, 'net')
    return plain(*batch)
