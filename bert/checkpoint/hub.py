"""The files of a model on the Hugging Face hub, or of the cache that its library keeps."""
import importlib.util
import os
from typing import Optional

from ..utils.errors import DataError
from ..utils.hosts import hub_file

__all__ = ['model_folder']


def model_folder(repo: str, weights: bool, local: bool) -> str:
    """The folder of Hugging Face's cache that holds a repository's files, fetched if need be.

    Parameters
    ----------
    repo : str
        'organisation/name'.
    weights : bool
        Whether weights are wanted, or only config.json and the vocabulary.
    local : bool
        Take what the cache has, without asking the hub.

    Raises DataError where the hub can't be reached or refuses, or files are missing.
    """
    def fetch(name: str, revision: Optional[str] = None) -> Optional[str]:
        try:
            return hub_file(repo, name, revision, local=local)
        except DataError as error:
            raise DataError(f'{name}: {error}') from error

    config = fetch('config.json')
    if not config:
        raise DataError('no config.json')
    folder = os.path.dirname(config)
    commit = os.path.basename(folder)       # so that all files are of one revision
    if not fetch('tokenizer_config.json', commit):
        fetch('tokenizer.json', commit)     # has the casing too
    if not fetch('vocab.txt', commit) and not fetch('tokenizer.json', commit):
        raise DataError('neither vocab.txt nor tokenizer.json')
    if weights and not fetch('model.safetensors', commit):
        if not importlib.util.find_spec('torch'):
            raise DataError('no model.safetensors (pytorch_model.bin is a pickle, and only used '
                            'if torch is installed to load it weights-only)')
        fetch('pytorch_model.bin', commit)
    return folder
