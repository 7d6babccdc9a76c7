"""The model of a pre-training run: its sizes, vocabulary and weights from what --model names."""
import contextlib
import logging
import os
import re
from typing import Dict, List, NamedTuple, Optional

import mxnet as mx
import numpy as np

from ..checkpoint.catalogue import MODELS
from ..checkpoint.names import check_tied
from ..checkpoint.output import PRETRAINING
from ..checkpoint.resolve import resolve
from ..checkpoint.result_folder import read
from ..model.config import LARGEST, BertConfig
from ..model.heads import PreTraining
from ..model.parameters import freeze, initialize, load_parameters
from ..text import tokenizer, vocabulary
from ..utils.errors import DataError, brief
from .checkpoints import missing
from .settings import ModelSettings
from .vocabulary import load_tokenizer

__all__ = ['StartModel', 'build', 'load']

_log = logging.getLogger(__name__)

_SIZE = re.compile(r'bert_(\d+)_(\d+)_(\d+)(?:_(\d+))?')
_FREE = re.compile(r'(\[unused\d+\])?')      # tokens that the user may have given another meaning
_FEW = 0.1          # share of the tokens that may be others: words of a domain for rare ones


class StartModel(NamedTuple):
    """What a run starts from; without --pretrained there are no weights."""
    config: BertConfig
    tokenizer: tokenizer.Tokenizer
    vocabulary: str                             # where the tokenizer comes from, for messages
    arrays: Optional[Dict[str, np.ndarray]]     # float32, under the names of our networks
    source: Optional[str]                       # where the arrays come from, for messages


def load(settings: ModelSettings) -> StartModel:
    """What ``settings`` name.

    Raises :class:`~bert.utils.errors.DataError` where it cannot be found or read, or does not fit
    together.
    """
    name, wanted = settings.name, settings.vocabulary
    if not settings.pretrained:
        tok, origin = load_tokenizer(wanted, name)
        config = _config(name, wanted.offline).replace(vocab_size=len(tok))
        return StartModel(config, tok, origin, None, None)
    if name not in MODELS and _SIZE.fullmatch(name):
        raise DataError(f'--model {name}: has no weights for --pretrained; name a folder')
    path = os.path.expanduser(name)
    if re.fullmatch(PRETRAINING, os.path.basename(path)) and not os.path.exists(path):
        raise DataError(missing(path, os.path.dirname(path) or 'this folder'))
    found = resolve(name, wanted.dataset if name in MODELS else None,
                    offline=wanted.offline or None, vocab=wanted.own)
    config, tok, arrays = read(found, True if wanted.cased else None, wanted.nbest, wanted.alpha)
    check_tied(arrays, found.weights)
    theirs = _vocabulary_of_weights(found, settings) if wanted.own else None
    if theirs:
        _check_vocabulary(tok, wanted, theirs, found.weights)
    if wanted.dataset not in (None, name) and name not in MODELS:
        _log.warning('--dataset_name %s is not used: the vocabulary is %s', wanted.dataset,
                     wanted.own or f'that of {found.source}')
    config = config.replace(vocab_size=len(arrays['bert.word_embed.0.weight']))
    return StartModel(config, tok, wanted.own or found.source, arrays, found.source)


def _check_vocabulary(tok, wanted, theirs, weights):
    """Raise DataError where many tokens of the user's vocabulary have the ids of others in
    ``theirs``, that of the weights; a few, which may have replaced rare ones, are logged."""
    old = vocabulary.read(vocabulary.find(theirs))[0]
    pairs = [(token, other) for token, other in zip(tok.tokens(range(min(len(tok), len(old)))), old)
             if not _FREE.fullmatch(token) and not _FREE.fullmatch(other)]
    changed = [(token, other) for token, other in pairs if token != other]
    if not changed:
        return
    flag = '--sentencepiece' if wanted.sentencepiece else '--vocab'
    message = (f'{flag} {wanted.own}: {len(changed)} of {len(pairs)} tokens have the ids of others '
               f'in {theirs}, such as {brief(changed[0][0])} that of {brief(changed[0][1])}, with '
               f'which {weights} was trained')
    if len(changed) > _FEW * len(pairs):
        raise DataError(f'{message}; leave out {flag}')
    _log.warning('%s', message)


def _vocabulary_of_weights(found, settings):
    """The vocabulary that belongs to the weights of ``found``, or None."""
    if settings.name in MODELS:
        return resolve(settings.name, settings.vocabulary.dataset,
                       offline=settings.vocabulary.offline or None).vocab
    with contextlib.suppress(DataError):
        return vocabulary.find(os.path.dirname(found.weights))
    return None


def _config(name, offline):
    """The config that --model stands for; without weights it may be any size."""
    if name in MODELS:
        return MODELS[name]
    size = _SIZE.fullmatch(name)
    if not size:
        return resolve(name, offline=offline or None, with_weights=False).config
    # 20 digits are enough to find that a size is too large; Python refuses to convert thousands
    layers, units, heads, hidden = (int((number or '0')[:20]) for number in size.groups())
    sizes = {'num_hidden_layers': layers, 'hidden_size': units, 'num_attention_heads': heads,
             'intermediate_size': hidden or 4 * units}
    if not (layers and units and heads) or units % heads:
        raise DataError(f'--model {brief(name)}: layers, units and heads must be 1 or more, and '
                        'units a multiple of heads')
    if any(value > LARGEST[key] for key, value in sizes.items()):
        raise DataError(f'--model {brief(name)}: too large; at most ' + ', '.join(
            f'{key} {LARGEST[key]}' for key in sizes))
    # the rest as in the published models
    return MODELS['bert_12_768_12'].replace(**sizes)


def build(model: StartModel, dropout: Optional[float], devices: List[mx.Context],
          inference: bool = False) -> PreTraining:
    """The network on ``devices``, with the weights of ``model`` where it has some.

    What is random is drawn from MXNet's generator; ``dropout`` None takes the config's.  For
    ``inference`` it cannot be trained.
    """
    net = PreTraining(model.config, dropout)
    if inference:
        freeze(net)
    initialize(net, model.config, devices)
    if model.arrays:
        fresh = load_parameters(net, model.arrays, model.source, (
            'bert.decoder.', 'bert.classifier.', 'bert.pooler.'))
        if fresh:
            _log.warning('%s lacks %s and %d more parameters: these start from random values',
                         model.source, fresh[0], len(fresh) - 1)
    return net
