"""Getting the official SQuAD files: from the cache, through GluonNLP, or from SQuAD's own site.

They are kept where GluonNLP keeps them, in ``$MXNET_HOME/datasets/squad``.
"""
import contextlib
import io
import os

from ..utils.download import download, reach, sha1sum, why
from ..utils.errors import DataError
from ..utils.files import SAMPLE
from ..utils.hosts import gluon_repository, mxnet_home
from ..utils.locks import locked

__all__ = ['find', 'sample']

_SITE = 'https://rajpurkar.github.io/SQuAD-explorer/dataset/'
_SHA1 = {       # on the site first, then in GluonNLP's archive where that is another revision
    'train-v1.1.json': ['1faea1252438a64f9718412a55036b786cfcc636'],
    'dev-v1.1.json': ['e1621aae0683b346ee9743bd5609266ba0cc34fc'],
    'train-v2.0.json': ['ceb2acdea93b9d82ab1829c7b1e03bee9e302c99'],
    'dev-v2.0.json': ['53ebaeb15bc5cab36645150f6f65d074348e2f3d',
                      '846082d15ed71cb5220645b9d473441e00070778'],
}


def sample(split: str, version: str) -> str:
    """The toy file of a split ('train' or 'dev') and a version ('1.1' or '2.0')."""
    return os.path.join(SAMPLE, 'squad', f'{split}-v{version}.json')


def find(split: str, version: str, offline: bool = False) -> str:
    """The official file of a split ('train' or 'dev') and a version ('1.1' or '2.0').

    ``offline``: don't ask the hosts.  Raises DataError with the reason why each source failed, and
    the cure.
    """
    name = f'{split}-v{version}.json'
    folder = os.path.join(mxnet_home(), 'datasets', 'squad')
    path = os.path.join(folder, name)
    cure = f'name your copy with --{split}_file FILE; --bert_model sample runs on toy data'
    if _is_whole(path, name):
        return path
    if offline:
        raise DataError(f'{name} is not in {folder}, and this run is offline; {cure}')
    os.makedirs(folder, exist_ok=True)
    failures = []
    with locked(path):
        for host, fetch in ('GluonNLP', _from_gluonnlp), ('SQuAD', _from_site):
            if _is_whole(path, name):
                break
            try:
                fetch(split, version, folder)
            except Exception as error:      # of whatever kind: the next source may do better
                failures.append(f"{host}: {getattr(error, 'reason', None) or why(error)}")
    if not _is_whole(path, name):
        raise DataError(f"no host gave {name} ({'; '.join(failures)}); {cure}")
    return path


def _is_whole(path, name):
    return os.path.isfile(path) and sha1sum(path) in _SHA1[name]


def _from_gluonnlp(split, version, folder):
    reach(gluon_repository())           # it would try for minutes
    import gluonnlp
    with contextlib.redirect_stdout(io.StringIO()):     # it prints a long line for every attempt
        gluonnlp.data.SQuAD(split, version, root=folder)    # constructing it downloads it


def _from_site(split, version, folder):
    name = f'{split}-v{version}.json'
    fetched = download(_SITE + name, os.path.join(folder, 'site-' + name), _SHA1[name][0])
    os.replace(fetched, os.path.join(folder, name))
