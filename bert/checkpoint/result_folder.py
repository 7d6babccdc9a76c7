"""A result folder: weights, vocabulary, labels, config, arguments and metrics in one place.

- ``model.params``: the best weights so far, head included
- ``config.json``: the model's sizes under Hugging Face's keys, ``id2label``, and under
  ``gluon_bert`` what the program needs to use the model again (task, length, ...)
- the vocabulary and ``tokenizer_config.json``
- ``arguments.json``: the flags of the run; ``metrics.jsonl``: its course
- ``last.params``: the last checkpoint, with the optimizer's state, for ``--resume``
"""
import json
import os
from typing import Dict, NamedTuple

import numpy as np

from ..model.config import BertConfig
from ..model.parameters import collect, load_parameters
from ..text import tokenizer
from ..utils.errors import DataError
from ..utils.files import read_json, write_json
from .names import ARCHITECTURES
from .resolve import resolve
from .source import ModelSource
from .weights import read_params, read_weights, write_params

__all__ = ['LoadedModel', 'load', 'read', 'check_vocabulary', 'describe', 'save_weights', 'save_last',
           'load_last', 'WEIGHTS', 'LAST']

WEIGHTS, LAST = 'model.params', 'last.params'
_SPARE = 512    # rows that an embedding may have beyond the vocabulary, to be a round number


class LoadedModel(NamedTuple):
    """A model in memory."""
    config: BertConfig
    tokenizer: tokenizer.Tokenizer
    arrays: Dict[str, np.ndarray]   # float32, under the names of our networks
    source: str                     # where they come from, for messages


def load(source: ModelSource) -> LoadedModel:
    """The model that ``source`` names, in memory.

    Raises :class:`~bert.utils.errors.DataError` where it cannot be found or read.
    """
    found = resolve(source.name, source.dataset, source.weights, source.offline or None,
                    vocab=source.vocab)
    return LoadedModel(*read(found, source.cased), found.source)


def read(found, cased=None):
    """(config, tokenizer, arrays) of a :class:`~bert.checkpoint.resolve.Checkpoint`."""
    tok = tokenizer.load(found.vocab, found.cased if cased is None else cased)
    arrays = read_weights(found.weights, found.config.architectures)
    config = found.config
    if config.vocab_size is None:
        config = config.replace(vocab_size=len(tok))
    check_vocabulary(len(arrays['bert.word_embed.0.weight']), len(tok), found)
    return config, tok, arrays


def check_vocabulary(embedded, tokens, found):
    """Raise DataError unless weights with ``embedded`` rows go with a vocabulary of ``tokens``."""
    if not 0 <= embedded - tokens < _SPARE:
        raise DataError(f'the vocabulary {found.vocab} has {tokens} tokens but the weights '
                        f'{found.weights} know {embedded}; take the '
                        'vocabulary that belongs to them')


def describe(folder, config, tok, head, labels, settings, arguments):
    """Write everything of a bundle but the weights.

    Parameters
    ----------
    folder : str
    config : bert.model.config.BertConfig
    tok : bert.text.tokenizer.Tokenizer
    head : str or None
        The prefix of the head's parameters, a key of
        :data:`bert.checkpoint.names.ARCHITECTURES`; None for an encoder alone, 'bert.' for one with
        the heads of pre-training.
    labels : sequence of str or None
        None for a regression (one output); empty where the outputs are no classes (spans).
    settings : dict
        Goes under ``gluon_bert`` in config.json.
    arguments : dict
        Goes to arguments.json.
    """
    classes = dict(ARCHITECTURES, **{'bert.': 'BertForPreTraining'})
    regression = labels is None
    config = config.replace(
        architectures=(classes.get(head, 'BertModel'),), settings=settings,
        labels=('score',) if regression else tuple(labels) or None,
        problem_type='regression' if regression else None)
    tok.save(folder)
    write_json(os.path.join(folder, 'config.json'), config.to_dict())
    write_json(os.path.join(folder, 'arguments.json'), arguments)


def _values(net):
    """{name: NDArray}, those of the first device."""
    return {name: p.data(p.list_ctx()[0]) for name, p in collect(net).items()}


def save_weights(folder, net):
    """Write the weights alone: what predicting needs."""
    write_params(os.path.join(folder, WEIGHTS), _values(net))


def save_last(folder, net, stepper, position, name=LAST):
    """Write the checkpoint that ``--resume`` goes on from: one file, so it is whole or not there.

    ``position`` is a dict of what JSON can hold: where in the data the run stands, and its best
    score so far.
    """
    moments, scalars = stepper.state()
    arrays = dict(_values(net), **moments)
    text = json.dumps({'stepper': scalars, 'position': position}).encode('utf-8')
    arrays['training.state'] = np.frombuffer(text, np.uint8)
    write_params(os.path.join(folder, name), arrays)


def load_last(folder, net, stepper, arguments, name=LAST, free=()):
    """Go on from a checkpoint in ``folder``: its position, or None where there is none.

    ``free`` are flags that may be others than in the run so far, besides those that never matter.

    Raises
    ------
    DataError
        When it is damaged, or was made with other arguments than ``arguments``.
    """
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    before = read_json(os.path.join(folder, 'arguments.json'))
    free = {'resume', 'output_dir', 'log_interval', 'save_interval', 'tensorboard', 'plot',
            'offline', 'dev_batch_size', 'test_batch_size', 'predict'}.union(free)
    for flag, value in arguments.items():
        if flag not in free and before.get(flag, value) != value:
            raise DataError(f'--resume: the run in {folder} had --{flag} {before[flag]}, not '
                            f'{value}; give the same arguments, or another --output_dir')
    arrays = read_params(path)
    try:
        state = json.loads(arrays['training.state'].tobytes().decode('utf-8'))
        load_parameters(net, arrays, path)
        stepper.load_state(arrays, state['stepper'])
    except KeyError as missing:
        raise DataError(f'{path}: {missing} is missing, it is no checkpoint of this program; start '
                        'again without --resume') from None
    return state['position']
