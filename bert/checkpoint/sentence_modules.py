"""Folders of sentence-transformers: an encoder, and modules that make one vector per text."""
import os
from typing import Collection, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from ..utils.errors import DataError, brief
from ..utils.files import read_json
from .integrity import check_finite
from .weights import read_arrays

__all__ = ['Dense', 'LIST', 'MODES', 'NORMALIZE', 'POOLINGS', 'PROMPTS', 'SentenceModules',
           'choose', 'paths', 'read', 'root', 'transformer_folder']

POOLINGS = ('cls', 'mean', 'max')
NORMALIZE = 'normalize'
LIST = 'modules.json'
PROMPTS = 'config_sentence_transformers.json'
MODES = {'cls': 'pooling_mode_cls_token', 'mean': 'pooling_mode_mean_tokens',
          'max': 'pooling_mode_max_tokens'}
_ACTIVATIONS = {'Identity': lambda x: x, 'Tanh': np.tanh, 'ReLU': lambda x: np.maximum(x, 0)}


class Dense(NamedTuple):
    """activation(weight x + bias); weight: (out, in), bias: (out,), float32."""
    weight: np.ndarray
    bias: np.ndarray
    activation: str         # a key of _ACTIVATIONS: torch's name


class SentenceModules(NamedTuple):
    """What follows the encoder: pooling, one of :data:`POOLINGS`, then steps in order."""
    pooling: str
    # NORMALIZE: divide by the length; a number: keep so many values
    steps: Tuple[Union[Dense, str, int], ...] = ()
    lower: bool = False                             # whether texts are lower-cased first
    prompt: str = ''                                # what each text is preceded by
    similarity: str = 'cosine'                      # sentence-transformers' name of it

    def prepare(self, text: str) -> str:
        """A text as the encoder takes it."""
        text = self.prompt + text
        return text.lower() if self.lower else text

    def size(self, units: int) -> int:
        """The size of a vector, if those of the encoder have ``units`` values."""
        for step in self.steps:
            if isinstance(step, Dense):
                units = len(step.bias)
            elif isinstance(step, int):
                units = min(units, step)
        return units

    def vector(self, rows: np.ndarray) -> np.ndarray:
        """Vectors of tokens, (tokens, units) float32 -> one vector, (size,) float32."""
        # a copy, as a view would keep the rows in memory
        vector = rows[0].copy() if self.pooling == 'cls' else getattr(rows, self.pooling)(axis=0)
        for step in self.steps:
            if isinstance(step, Dense):
                vector = _ACTIVATIONS[step.activation](step.weight @ vector + step.bias)
            elif isinstance(step, int):
                vector = vector[:step].copy()       # for the same reason
            else:
                vector = vector / max(np.linalg.norm(vector), np.float32(1e-12))
        return vector


def _modules(folder):
    """(type, path) of the modules that modules.json lists, the encoder first; none without it."""
    source = os.path.join(folder, LIST)
    if not os.path.isfile(source):
        return []
    try:
        found = [(module['type'].split('.')[-1], os.path.normpath(module['path']))
                 for module in read_json(source, list)]
    except (AttributeError, KeyError, TypeError):
        found = []
    if not found or found[0][0] != 'Transformer' or any(
            os.path.isabs(path) or path.startswith('..') for _, path in found):
        raise DataError(f'{source}: not a list of modules that begins with a Transformer; take a '
                        'folder that SentenceTransformer.save has written')
    return found


def transformer_folder(folder: str) -> str:
    """The folder of the encoder in a folder of sentence-transformers; any other as it is."""
    path = ([path for _, path in _modules(folder)] or ['.'])[0]
    return folder if path == '.' else os.path.join(folder, path)


def paths(folder: str, kinds: Collection[str] = ('Pooling', 'Dense')) -> List[str]:
    """The sub-folders with the settings of the modules of ``kinds`` after the encoder."""
    return [path for kind, path in _modules(folder)[1:] if kind in kinds]


def root(folder: str) -> Optional[str]:
    """The folder of sentence-transformers whose encoder is in ``folder``; None without one."""
    folder = os.path.abspath(folder)
    return next((place for place in (folder, os.path.dirname(folder))
                 if os.path.isfile(os.path.join(place, LIST))
                 and os.path.abspath(transformer_folder(place)) == folder), None)


def choose(folder: str, pooling: Optional[str] = None, normalize: bool = False) -> SentenceModules:
    """The given ``pooling`` alone, or else the modules that :func:`read` finds in ``folder``, or
    the mean; if ``normalize``, each vector is divided by its length at the end.

    Raises DataError if ``pooling`` is not one of :data:`POOLINGS`."""
    if pooling is not None and pooling not in POOLINGS:
        raise DataError(f"pooling \"{pooling}\" is not one of {', '.join(POOLINGS)}")
    modules = SentenceModules(pooling) if pooling else read(folder) or SentenceModules('mean')
    if normalize and modules.steps[-1:] != (NORMALIZE,):
        modules = modules._replace(steps=(*modules.steps, NORMALIZE))
    return modules


def read(folder: str) -> Optional[SentenceModules]:
    """The modules that follow the encoder in ``folder``, or None if it is not of
    sentence-transformers.

    Raises DataError, which names the module, for one that is not known here.
    """
    home = root(folder)
    if home is None:
        return None
    pooling, steps, with_prompt = None, [], True
    for kind, path in _modules(home)[1:]:
        place = os.path.join(home, path)
        if kind == 'Pooling' and pooling is None:
            pooling, with_prompt = _pooling(os.path.join(place, 'config.json'))
        elif kind == 'Dense' and pooling is not None:
            steps.append(_dense(place))
        elif kind == 'Normalize' and pooling is not None:
            steps.append(NORMALIZE)
        elif kind != 'Dropout':
            raise DataError(f'{os.path.join(home, LIST)}: the module {kind} ({path}) is not '
                            'supported at this place; choose another way with --pooling')
    settings = os.path.join(folder, 'sentence_bert_config.json')
    lower = os.path.isfile(settings) and read_json(settings, dict).get('do_lower_case') is True
    prompt, similarity, truncate = _settings(home)
    steps += [] if truncate is None else [truncate]     # after Normalize, as in encode()
    if prompt and not with_prompt:
        raise DataError(f'{os.path.join(home, LIST)}: pooling without the tokens of the prompt is '
                        'not supported; choose another way with --pooling')
    return SentenceModules(pooling or 'mean', tuple(steps), lower, prompt, similarity)


def _settings(home):
    """The text that precedes each text by default, the similarity, and truncate_dim or None."""
    source = os.path.join(home, PROMPTS)
    config = read_json(source, dict) if os.path.isfile(source) else {}
    prompts, name = config.get('prompts') or {}, config.get('default_prompt_name')
    prompt = '' if name is None else None
    if isinstance(prompts, dict) and isinstance(name, str):
        prompt = prompts.get(name)
    if not isinstance(prompt, str):
        raise DataError(f'{source}: its default_prompt_name, {brief(name)}, is none of its '
                        'prompts; correct it, or choose a way with --pooling, which takes no '
                        'prompt')
    truncate = config.get('truncate_dim')
    if truncate is not None and (type(truncate) is not int or truncate < 1):
        raise DataError(f'{source}: its truncate_dim, {brief(truncate)}, is not a number of values '
                        'from 1 up; correct it, or choose a way with --pooling, which does not '
                        'truncate')
    return prompt, config.get('similarity_fn_name') or 'cosine', truncate


def _pooling(source):
    """The way of pooling that a Pooling's config.json names; whether the prompt's tokens count."""
    config = read_json(source, dict)
    modes = config.get('pooling_mode')
    if modes is None:
        modes = [key for key, value in config.items()
                 if key.startswith('pooling_mode_') and value is True]
    modes = modes if isinstance(modes, list) else [modes]
    found = [name for name, key in MODES.items() if modes in ([name], [key])]
    if not found:
        raise DataError(f"{source}: pooling by {' and '.join(map(str, modes)) or 'nothing'} is not "
                        f"supported, only by one of {', '.join(MODES.values())}; state another "
                        'way with --pooling')
    return found[0], config.get('include_prompt') is not False


def _dense(folder):
    """The Dense module of a folder."""
    source = os.path.join(folder, 'config.json')
    config = read_json(source, dict)
    activation = str(config.get('activation_function', 'Tanh')).split('.')[-1]
    if activation not in _ACTIVATIONS:
        raise DataError(f'{source}: the activation function {activation} is not known, only '
                        f"{', '.join(_ACTIVATIONS)}; choose another way with --pooling")
    names = [name for name in ('model.safetensors', 'pytorch_model.bin')
             if os.path.isfile(os.path.join(folder, name))]
    if not names:
        raise DataError(f'{folder}: no model.safetensors in this folder of a Dense module, and no '
                        'pytorch_model.bin (a pickle, which is only fetched if torch is '
                        'installed); choose another way with --pooling')
    path = os.path.join(folder, names[0])
    arrays = {name: np.asarray(array, np.float32) for name, array in read_arrays(path).items()}
    weight = arrays.get('linear.weight', np.zeros(0))
    bias = arrays.get('linear.bias', np.zeros(len(weight), np.float32))
    if weight.shape != (config.get('out_features'), config.get('in_features')) or (
            bias.shape != weight.shape[:1]):
        raise DataError(f'{path}: its shape is not that in {source}; download both again')
    check_finite(path, arrays)
    return Dense(weight, bias, activation)
