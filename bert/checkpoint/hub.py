"""The files of a model on the Hugging Face hub or in its library's cache."""
import importlib.util
import logging
import os
from typing import Optional

from ..utils.errors import DataError
from ..utils.files import read_json
from ..utils.hosts import hub_file, hub_lacks
from . import sentence_modules

__all__ = ['model_folder']


def model_folder(repo: str, *, weights: bool, local: bool, offline: bool = False) -> str:
    """The folder of Hugging Face's cache that holds a repository's files, fetched if need be.

    Parameters
    ----------
    repo : str
        'organization/name'.
    weights : bool
        Whether weights are wanted, or only config.json and the vocabulary.
    local : bool
        Take what the cache has, and ask the hub for nothing but what earlier versions did not
        fetch: the prompts, and pickled weights of Dense modules.  Where the prompts remain
        unknown, a line is logged.
    offline : bool
        Ask the hub for nothing at all.

    Raises DataError where the hub can't be reached or refuses, or files are missing.
    """
    def fetch(name: str, revision: Optional[str] = None) -> Optional[str]:
        try:
            return hub_file(repo, name, revision, local=local)
        except DataError as error:
            raise DataError(f'{name}: {error}') from error

    has_torch = bool(importlib.util.find_spec('torch'))
    first = fetch('config.json') or fetch('modules.json')
    if not first:
        raise DataError('no config.json')
    folder = os.path.dirname(first)
    commit = os.path.basename(folder)       # of all files
    inside = ''                             # the sub-folder of the encoder, with a slash
    if fetch('modules.json', commit):       # of sentence-transformers
        inside = os.path.relpath(sentence_modules.transformer_folder(folder), folder)
        inside = '' if inside == '.' else inside + '/'
        for module in sentence_modules.paths(folder):
            fetch(f'{module}/config.json', commit)
        for module in sentence_modules.paths(folder, ('Dense',)):
            found = fetch(f'{module}/model.safetensors', commit)
            pickled = f'{module}/pytorch_model.bin'     # without any, sentence_modules.read says so
            if has_torch and not found and not fetch(pickled, commit) and local:
                _complete(repo, pickled, commit, offline)
        if not fetch(sentence_modules.PROMPTS, commit) and local:
            _fetch_prompts(repo, commit, offline)
        fetch(inside + 'sentence_bert_config.json', commit)
        if inside and not fetch(inside + 'config.json', commit):
            raise DataError(f'no {inside}config.json')
    config = fetch(inside + 'tokenizer_config.json', commit)
    fetch(inside + 'added_tokens.json', commit)
    special = inside + 'special_tokens_map.json'    # not used where the decoder has all
    decoder = config and 'added_tokens_decoder' in read_json(config, dict)
    if not decoder and not fetch(special, commit) and local:    # earlier versions did not fetch it
        _complete(repo, special, commit, offline)
    whole = fetch(inside + 'tokenizer.json', commit)    # has casing and added tokens too
    if not fetch(inside + 'vocab.txt', commit) and not whole:
        raise DataError('neither vocab.txt nor tokenizer.json')
    if not weights or fetch(inside + 'model.safetensors', commit):
        return folder
    index = fetch(inside + 'model.safetensors.index.json', commit)
    if index:
        shards = read_json(index, dict).get('weight_map')
        for name in sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else ():
            fetch(inside + name, commit)
    else:
        if not has_torch:
            raise DataError('no model.safetensors (pytorch_model.bin is a pickle, and only used '
                            'if torch is installed to load it weights-only)')
        fetch(inside + 'pytorch_model.bin', commit)
    return folder


def _fetch_prompts(repo, commit, offline):
    """Complete a cache without the file of prompts, or log that it is missing."""
    reason = _complete(repo, sentence_modules.PROMPTS, commit, offline)
    if reason:
        logging.getLogger(__name__).warning(
            '%s: its default prompt, if it has one, is not known, and not used: the Hugging Face '
            'cache lacks %s (%s); run once online', repo, sentence_modules.PROMPTS, reason)


def _complete(repo, name, commit, offline):
    """Complete a cache by a file, unless it records that there is none; returns why that failed, or
    None."""
    if hub_lacks(repo, name, commit):
        return None
    if offline:
        return 'this run is offline'
    try:
        hub_file(repo, name, commit)
    except (DataError, OSError) as error:
        return error
    return None
