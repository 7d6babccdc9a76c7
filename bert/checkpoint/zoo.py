"""GluonNLP's published files: weights and vocabularies in its cache and in the Gluon repository."""
import contextlib
import os
import tempfile

from ..utils.archive import extract
from ..utils.download import DownloadError, download, sha1sum
from ..utils.errors import DataError
from ..utils.hosts import gluon_repository, mxnet_home
from ..utils.locks import locked

__all__ = ['cache', 'cached', 'fetched']


def cache() -> str:
    """The folder of the models, shared with GluonNLP."""
    return os.path.join(mxnet_home(), 'models')


def cached(name: str, sha1: str) -> str:
    """Path of a file in the cache; DataError if it is missing or has another SHA-1."""
    path = os.path.join(cache(), name)
    if not os.path.exists(path):
        raise DataError(f'{name} is not there')
    if sha1sum(path) != sha1:
        raise DataError(f'{name} is broken: its SHA-1 is not {sha1}')
    return path


def fetched(name: str, sha1: str, offline: bool) -> str:
    """Path of a file of the Gluon repository, downloaded to the cache if it is not there.

    Raises DataError if it cannot be fetched.
    """
    path = os.path.join(cache(), name)
    stem, kind = os.path.splitext(name)
    kind = 'models' if kind == '.params' else 'dataset/vocab'
    url = f'{gluon_repository()}gluon/{kind}/{stem}.zip'
    os.makedirs(cache(), exist_ok=True)
    with locked(path):
        with contextlib.suppress(DataError):
            return cached(name, sha1)       # another process has brought it meanwhile
        archive = download(url, os.path.join(cache(), stem + '.zip'), offline=offline)
        with tempfile.TemporaryDirectory(dir=cache(), prefix='.' + stem) as scratch:
            try:
                member = os.path.join(extract(archive, os.path.join(scratch, 'all')), name)
            finally:
                os.remove(archive)
            if not os.path.isfile(member):
                raise DownloadError(url, f'{name} is not in this archive', 'try another mirror')
            if sha1sum(member) != sha1:
                raise DownloadError(
                    url, f'the SHA-1 of {name} is {sha1sum(member)} where {sha1} was expected',
                    'what came was removed; try another mirror')
            os.replace(member, path)
    return path
