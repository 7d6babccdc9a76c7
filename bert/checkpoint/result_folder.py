"""A result folder: weights, vocabulary, labels, config, arguments and metrics in one place.

- ``model.params``: the best weights so far, including the head
- ``config.json``: the model's sizes under Hugging Face's keys, ``id2label``, and under
  ``gluon_bert`` what a program needs to use the model again (task, length, ...)
- the vocabulary and ``tokenizer_config.json``
- ``arguments.json``: the flags of the run; ``metrics.jsonl``: its losses and scores
- ``last.params``: the last checkpoint, with the optimizer's state, for ``--resume``
"""
import json
import logging
import os
from typing import Any, Collection, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mxnet.gluon import HybridBlock

from ..model.config import BertConfig
from ..model.parameters import collect, load_parameters
from ..text import tokenizer, vocabulary
from ..utils import cli
from ..utils.errors import DataError, brief
from ..utils.files import parse_json, read_json, write_json
from .catalogue import DEFAULT, MODELS
from .integrity import check_finite
from .names import ARCHITECTURES
from .output import LAST
from .resolve import Checkpoint, resolve
from .source import ModelSource
from .weights import read_params, read_weights, write_params

__all__ = ['LoadedModel', 'load', 'without_weights', 'read', 'describe', 'save_weights',
           'save_last', 'check_arguments', 'load_last', 'check_data', 'WEIGHTS']

WEIGHTS = 'model.params'


class LoadedModel(NamedTuple):
    """A model in memory."""
    config: BertConfig
    tokenizer: tokenizer.Tokenizer
    arrays: Dict[str, np.ndarray]   # float32, under the names of our networks
    source: str                     # where it comes from, for messages
    folder: str = ''                # of the file of weights

    def without_head(self) -> 'LoadedModel':
        """The encoder, with its pooler: for a new head, of other labels."""
        return self._replace(arrays={name: array for name, array in self.arrays.items()
                                     if name.startswith('bert.')})


def load(source: ModelSource, fresh: bool = False) -> LoadedModel:
    """The model that ``source`` names, in memory.

    No published weights fit a ``vocab`` of the user's; with ``fresh`` such a model has no arrays,
    and a warning is logged.

    Raises :class:`~bert.utils.errors.DataError` if it cannot be found or read.
    """
    if fresh and source.vocab and not source.weights and source.name in (None, 'sample', *MODELS):
        logging.getLogger(__name__).warning(
            'no published weights fit the vocabulary %s, so they are random; name a model that '
            'was pre-trained with it', source.vocab)
        return without_weights(source)
    found = resolve(source.name, source.dataset, source.weights, source.offline or None,
                    vocab=source.vocab)
    return LoadedModel(*read(found, source.cased), found.source, os.path.dirname(found.weights))


def without_weights(source: ModelSource) -> LoadedModel:
    """A model of the size that ``source`` names, for its ``vocab``; there are no arrays.

    Raises :class:`~bert.utils.errors.DataError` if it cannot be found or read.
    """
    if source.vocab and (source.name or DEFAULT) in MODELS:
        config, cased, path = MODELS[source.name or DEFAULT], source.cased, source.vocab
        if cased is None:       # where no file beside the vocabulary says
            lower = vocabulary.casing(vocabulary.find(path))[0]
            cased = (source.dataset or '').endswith('_cased') if lower is None else not lower
        origin = path
    else:
        found = resolve(source.name, source.dataset, offline=source.offline or None,
                        vocab=source.vocab, with_weights=False)
        config, path, origin = found.config, found.vocab, found.source
        cased = found.cased if source.cased is None else source.cased
    tok = tokenizer.load(path, cased)
    if source.vocab or config.vocab_size is None:
        config = config.replace(vocab_size=len(tok))
    return LoadedModel(config, tok, {}, origin)


def read(found: Checkpoint, cased: Optional[bool] = None, nbest: int = 0, alpha: float = 1.0
         ) -> Tuple[BertConfig, tokenizer.Tokenizer, Dict[str, np.ndarray]]:
    """The config, tokenizer and arrays of a :class:`~bert.checkpoint.resolve.Checkpoint`.

    ``nbest`` and ``alpha`` are those of :func:`bert.text.tokenizer.load`.  Raises
    :class:`~bert.utils.errors.DataError` if one cannot be read, the vocabulary is not whole, or
    they do not fit together.
    """
    tok = tokenizer.load(found.vocab, found.cased if cased is None else cased, nbest, alpha)
    arrays = read_weights(found.weights, found.config.architectures)
    config = found.config
    rows = len(arrays['bert.word_embed.0.weight'])
    if config.vocab_size is None:
        config = config.replace(vocab_size=rows)
    _check_complete(found, config, len(tok))
    _check_rows(rows, len(tok), found)
    return config, tok, arrays


def _check_rows(embedded, tokens, found):
    """Raise DataError unless ``embedded`` rows of weights hold a vocabulary of ``tokens``.

    Rows beyond it, with which some models round the size up, are logged.
    """
    if embedded > tokens:
        logging.getLogger(__name__).info(
            '%s: %d rows of the word embedding are beyond the %d tokens of the vocabulary, and '
            'unused', found.weights, embedded - tokens, tokens)
    if embedded < tokens:
        raise DataError(f'the vocabulary {found.vocab} has {tokens} tokens but the weights '
                        f'{found.weights} have {embedded}; use the vocabulary that belongs to '
                        'them')


def _check_complete(found, config, tokens):
    """Raise DataError if the vocabulary has lost tokens at its end; log that it may have."""
    recorded, cut = 0, False
    if os.path.isdir(found.vocab):      # else the user has named another
        recorded = config.settings.get('vocabulary_size', 0)
    if tokens < config.vocab_size and os.path.exists(found.vocab):
        path = vocabulary.find(found.vocab)
        if path.endswith('.txt'):
            with open(path, 'rb') as f:
                f.seek(-1, os.SEEK_END)
                cut = f.read() != b'\n'     # the last token may be a part of one
    if not isinstance(recorded, int) or tokens - cut < recorded:
        raise DataError(f'the vocabulary {found.vocab} has {tokens - cut} whole tokens but '
                        f'config.json has {brief(recorded)}: it is damaged or of another model; '
                        'get another copy')
    if cut:
        logging.getLogger(__name__).warning(
            'the vocabulary %s has %d tokens, fewer than the %d of config.json, and no line end '
            'after the last: if it was cut, get another copy', path, tokens, config.vocab_size)


def describe(folder: str, config: BertConfig, tok: tokenizer.Tokenizer, head: Optional[str],
             labels: Optional[Sequence[str]], settings: Mapping[str, Any],
             arguments: Mapping[str, Any], problem_type: Optional[str] = None) -> None:
    """Write everything in a result folder except the weights.

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
        None for a regression (one output); empty if the outputs are not classes (spans).
    settings : dict
        Written to config.json under ``gluon_bert``, with the size of the vocabulary.
    arguments : dict
        Written to arguments.json.
    problem_type : str, optional
        What a classifier with ``labels`` predicts, under Transformers' name; that of a regression
        follows from them.
    """
    classes = dict(ARCHITECTURES, **{'bert.': 'BertForPreTraining'})
    regression = labels is None
    config = config.replace(
        architectures=(classes.get(head, 'BertModel'),),
        settings=dict(settings, vocabulary_size=len(tok)),
        labels=('score',) if regression else tuple(labels) or None,
        problem_type='regression' if regression else problem_type)
    # first: a config.json without it counts as a model that we did not write
    write_json(os.path.join(folder, 'arguments.json'), arguments)
    tok.save(folder, config.max_position_embeddings)
    write_json(os.path.join(folder, 'config.json'), config.to_dict())


def _values(net):
    """{name: NDArray} on the first device."""
    return {name: p.data(p.list_ctx()[0]) for name, p in collect(net).items()}


def save_weights(folder: str, net: HybridBlock) -> None:
    """Write only the weights, which is what predictions need."""
    write_params(os.path.join(folder, WEIGHTS), _values(net))


def save_last(folder: str, net: HybridBlock, stepper: Any, position: Mapping[str, Any],
              name: str = LAST) -> None:
    """Write the checkpoint for ``--resume``: a single file, so it is complete or absent.

    ``stepper`` is a :class:`bert.training.stepper.Stepper`; ``position`` a dict for JSON: where
    in the data the run is, and its best score so far.
    """
    moments, scalars = stepper.state()
    arrays = dict(_values(net), **moments)
    text = json.dumps({'stepper': scalars, 'position': position}).encode('utf-8')
    arrays['training.state'] = np.frombuffer(text, np.uint8)
    write_params(os.path.join(folder, name), arrays)


def check_arguments(folder: str, arguments: Mapping[str, Any], free: Collection[str],
                    paths: Collection[str] = (), flag: str = '--resume',
                    other: str = 'another --output_dir') -> None:
    """Raise DataError unless the run in ``folder`` can continue with these ``arguments``.

    Parameters
    ----------
    folder : str
    arguments : dict
        {flag: value} of now; arguments.json has those of the run so far.
    free : collection of str
        Flags that may change.
    paths : collection of str
        Flags of files, which may be in another place now, but neither new nor gone.
    flag, other : str
        For the message: the flag that asks for it, and where another run can begin.
    """
    before = read_json(os.path.join(folder, 'arguments.json'), dict)
    for name, value in arguments.items():
        old, value = cli.recorded(before.get(name, value)), cli.recorded(value)
        if old != value and name not in free and not (name in paths and old and value):
            raise DataError(f'{flag}: the run in {folder} had {_given(name, old)}, and '
                            f'now {_given(name, value)}; use the same flags, or {other}')


def _given(name, value):
    """A flag with its value, for a message."""
    if value is None or value is False:
        return f'no --{name}'
    return f'--{name}' if value is True else f'--{name} {brief(value)}'


def load_last(folder: str, net: HybridBlock, stepper: Any,
              name: str = LAST) -> Optional[Dict[str, Any]]:
    """Load a checkpoint of ``folder`` and return its position, or None if there is no checkpoint.

    Raises :class:`~bert.utils.errors.DataError` if the checkpoint is damaged.
    """
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    arrays = check_finite(path, read_params(path))
    try:
        state = parse_json(arrays['training.state'].tobytes().decode('utf-8'))
        load_parameters(net, arrays, path)
        stepper.load_state(arrays, state['stepper'])
        position = dict(state['position'])
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f'{path}: the state of the training in it is damaged ({error}); start '
                        'a new run in another folder') from None
    except KeyError as missing:
        raise DataError(f'{path}: {missing} is missing, so this is not a checkpoint of this '
                        'program; start a new run in another folder') from None
    return position


def check_data(folder: str, position: Mapping[str, Any], data: int, dev: int = 0) -> None:
    """Raise DataError unless the run in ``folder`` began with these data.

    ``data`` is the fingerprint of the training data, and ``dev`` that of the dev data if these
    choose the best epoch; ``position`` is that of the checkpoint, with the fingerprints as 'data'
    and 'dev' (missing in those of older versions).
    """
    if position.get('data', data) != data:
        raise DataError(f'the run in {folder} began with other training data or another '
                        'vocabulary; continue it with the same, or start a new run in another '
                        'folder')
    if position.get('dev', dev) != dev:
        raise DataError(f'the run in {folder} began with other dev data, whose scores cannot be '
                        'compared; continue it with the same, or start a new run in another folder')
