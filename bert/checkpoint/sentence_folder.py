"""Writing a folder that SentenceTransformer loads, by the library's documented layout."""
import contextlib
import os
import re
from typing import Optional

import numpy as np

from ..text.tokenizer import WordPiece
from ..utils.errors import DataError, brief
from ..utils.files import make_folder, read_json, write_json
from . import output, result_folder
from .names import to_huggingface
from .result_folder import LoadedModel
from .sentence_modules import LIST, MODES, Dense, SentenceModules, root
from .source import ModelSource
from .weights import write_safetensors

__all__ = ['load', 'save']

_FLAG = '--save_model'
_PART = (rf'{re.escape(LIST)}|config\.json|\d+_(Transformer|Pooling|Dense|Normalize)'
         rf'|tokenizer_config\.json|{output.VOCABULARY}')


def load(folder: str, source: ModelSource) -> LoadedModel:
    """The model of ``source``, which :func:`save` is to write to ``folder``.

    Raises DataError: before the model is read if ``folder`` contains one or cannot be written;
    if the vocabulary is a SentencePiece model; and as :func:`bert.checkpoint.result_folder.load`.
    """
    new = not os.path.exists(folder)
    try:
        output.check(folder, _FLAG, overwrite=None)
        _check(folder)
    finally:
        if new:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    loaded = result_folder.load(source)
    if not isinstance(loaded.tokenizer, WordPiece):
        raise DataError(f'{_FLAG}: the vocabulary of {loaded.source} is a SentencePiece model, '
                        'which a BERT of Transformers cannot have; use a WordPiece model')
    return loaded


def _check(folder):
    """Raise DataError if a part of a model, or a vocabulary, is in ``folder``."""
    found = sorted(name for name in os.listdir(folder) if re.fullmatch(_PART, name))
    if found:
        raise DataError(f'{_FLAG} {folder}: already contains a part of a model ({found[0]}); name '
                        'another folder')


def save(folder: str, loaded: LoadedModel, modules: SentenceModules,
         max_length: Optional[int] = None) -> None:
    """Write a model, loaded by :func:`load`, and ``modules`` to ``folder``: all files or none.

    ``max_length`` is the number of tokens, special ones included, at which sentence-transformers
    truncates texts; None takes that of a source in its format, else the number of positions.

    Raises DataError if ``folder`` contains a model or cannot be written.
    """
    with output.replacement(folder, _FLAG, None, output.VOCABULARY) as new:
        _check(folder)      # again: another run may have written it since
        _write(new, loaded, modules, _max_length(loaded, max_length))


def _max_length(loaded, max_length):
    positions, origin = loaded.config.max_position_embeddings, loaded.folder
    for name, key in (('sentence_bert_config.json', 'max_seq_length'),
                      ('tokenizer_config.json', 'model_max_length')):
        settings = os.path.join(origin, name)
        if root(origin) and os.path.isfile(settings):
            found = read_json(settings, dict).get(key)
            if found is not None and (isinstance(found, bool) or not isinstance(found, (int, float))
                                      or not found >= 1):
                raise DataError(f'{settings}: {key} is {brief(found)}, but must be a number of '
                                'tokens; correct it')
            max_length = max_length or found
    return int(min(max_length or positions, positions))


def _write(folder, loaded, modules, max_length):
    """Write all files to ``folder``, which is empty."""
    config = loaded.config
    theirs, _ = to_huggingface({name: array for name, array in loaded.arrays.items()
                                if name.startswith('bert.')
                                and not name.startswith(('bert.decoder.', 'bert.classifier.'))})
    write_safetensors(os.path.join(folder, 'model.safetensors'),    # as a bare BertModel
                      {name[len('bert.'):]: array for name, array in theirs.items()})
    write_json(os.path.join(folder, 'config.json'), config.replace(
        architectures=('BertModel',), labels=None, problem_type=None, settings={}).to_dict())
    loaded.tokenizer.save(folder, max_length)
    steps, truncate = _as_modules(modules.steps, config.hidden_size)
    write_json(os.path.join(folder, 'sentence_bert_config.json'),
               {'max_seq_length': max_length, 'do_lower_case': modules.lower})
    write_json(os.path.join(folder, 'config_sentence_transformers.json'),
               dict({'prompts': {'default': modules.prompt} if modules.prompt else {},
                     'default_prompt_name': 'default' if modules.prompt else None,
                     'similarity_fn_name': modules.similarity},
                    **({} if truncate is None else {'truncate_dim': truncate})))
    listed = [('Transformer', ''), ('Pooling', '1_Pooling')]
    write_json(os.path.join(make_folder(os.path.join(folder, '1_Pooling'), _FLAG), 'config.json'),
               dict({'word_embedding_dimension': config.hidden_size},
                    **{key: name == modules.pooling for name, key in MODES.items()},
                    pooling_mode_mean_sqrt_len_tokens=False))
    for number, step in enumerate(steps, 2):
        kind = 'Dense' if isinstance(step, Dense) else 'Normalize'
        listed.append((kind, f'{number}_{kind}'))
        place = make_folder(os.path.join(folder, listed[-1][1]), _FLAG)
        if isinstance(step, Dense):
            _write_dense(place, step)
    write_json(os.path.join(folder, LIST), [
        {'idx': i, 'name': str(i), 'path': path, 'type': 'sentence_transformers.models.' + kind}
        for i, (kind, path) in enumerate(listed)])


def _as_modules(steps, units):
    """Dense and NORMALIZE alone, and truncate_dim, which sentence-transformers applies at the end:
    where a step follows the truncation, this becomes a Dense that keeps the first values."""
    modules, last = [], len(steps) - 1
    for number, step in enumerate(steps):
        if isinstance(step, int):
            if number == last:
                return modules, step
            size = SentenceModules('mean', steps[:number]).size(units)
            step = Dense(np.eye(min(step, size), size, dtype=np.float32),
                         np.zeros(min(step, size), np.float32), 'Identity')
        modules.append(step)
    return modules, None


def _write_dense(folder, dense):
    where = 'linear' if dense.activation == 'Identity' else 'activation'
    write_json(os.path.join(folder, 'config.json'), {
        'in_features': dense.weight.shape[1], 'out_features': dense.weight.shape[0], 'bias': True,
        'activation_function': f'torch.nn.modules.{where}.{dense.activation}'})
    write_safetensors(os.path.join(folder, 'model.safetensors'),
                      {'linear.weight': dense.weight, 'linear.bias': dense.bias})
