"""GluonNLP's repository and the Hugging Face hub: where they are, and what users set instead."""
import os
from typing import Optional

from .download import reach, refusal, why
from .errors import DataError
from .files import expand_home

__all__ = ['gluon_repository', 'hub_endpoint', 'hub_file', 'hub_lacks', 'mxnet_home']


def mxnet_home() -> str:
    """Where MXNet and GluonNLP keep what they fetch: ``$MXNET_HOME`` or ~/.mxnet.

    Raises DataError where the user has no home folder.
    """
    try:
        return expand_home(os.environ.get('MXNET_HOME') or '~/.mxnet')
    except FileNotFoundError as error:
        raise DataError(f'{error.filename}: {error.strerror}; set HOME, or MXNET_HOME to a folder'
                        ) from None


def gluon_repository() -> str:
    """The address of GluonNLP's files, or of the mirror ``$MXNET_GLUON_REPO``, with a slash."""
    return (os.environ.get('MXNET_GLUON_REPO')
            or 'https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com').rstrip('/') + '/'


def hub_endpoint() -> str:
    """The address of the Hugging Face hub, or of the mirror ``$HF_ENDPOINT``, without a slash."""
    return (os.environ.get('HF_ENDPOINT') or 'https://huggingface.co').rstrip('/')


def hub_file(repo: str, name: str, revision: Optional[str] = None, repo_type: str = 'model',
             local: bool = False) -> Optional[str]:
    """Path of a repository's file in Hugging Face's cache; None if there is no such file.

    ``local`` asks the cache alone.  Any other failure is a DataError in one line, or a
    requests.ConnectionError where the hub can't be reached.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError, logging
    logging.disable_propagation()       # it has a handler of its own: every line would come twice
    if not local:       # the library's retries for a host that can't be reached take half a minute,
        reach(hub_endpoint())           # and none of its settings shortens that
    try:
        return hf_hub_download(repo, name, revision=revision, repo_type=repo_type,
                               endpoint=hub_endpoint(), local_files_only=local,
                               cache_dir=os.environ.get('HF_HUB_CACHE'))
    except Exception as error:          # requests', httpx's or its own, by version
        unreachable = isinstance(error, LocalEntryNotFoundError) and not local
        if isinstance(error, EntryNotFoundError) and not unreachable:
            return None
        for cause in error, error.__cause__:
            status = getattr(getattr(cause, 'response', None), 'status_code', None)
            if status:
                raise DataError(refusal(status) + (status in (401, 403)) * (
                    ' (if the repository is private, set HF_TOKEN)')) from error
        raise DataError(why(error)) from error


def hub_lacks(repo: str, name: str, revision: str) -> bool:
    """Whether Hugging Face's cache records that a commit of a repository has no such file."""
    from huggingface_hub import try_to_load_from_cache
    found = try_to_load_from_cache(repo, name, os.environ.get('HF_HUB_CACHE'), revision)
    return found is not None and not isinstance(found, str)     # None: not known; str: a path
