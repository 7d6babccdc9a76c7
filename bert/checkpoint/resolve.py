"""A model's name or path -> its weights, vocabulary, sizes and casing, from the first source.

The sources, in this order: a local file or folder; the toy model in ``bert/sample``; the cache
(``$MXNET_HOME/models``, shared with GluonNLP) and Hugging Face's own; the Gluon repository
(``$MXNET_GLUON_REPO``); the Hugging Face hub (``$HF_ENDPOINT``).  Weights and vocabulary always
come from the same source: GluonNLP moved the special tokens of BERT's vocabularies to other ids.
"""
import collections
import contextlib
import importlib.util
import logging
import os
import re
import tempfile

from ..model.config import BertConfig
from ..text import vocabulary
from ..utils.download import (
    DownloadError,
    checksum,
    download,
    extract,
    is_offline,
    locked,
    refusal,
    sha1sum,
    why,
)
from ..utils.errors import DataError
from ..utils.files import SAMPLE, read_json
from .catalogue import MODELS, find

__all__ = ['Checkpoint', 'resolve']

Checkpoint = collections.namedtuple('Checkpoint', 'weights vocab config cased source')
Checkpoint.__doc__ = """What :func:`resolve` found.

- weights: path of a ``.params``, ``.safetensors`` or ``.bin`` file, or None
- vocab: what :func:`bert.text.tokenizer.load` takes, a file or a folder
- config: a BertConfig; its ``vocab_size`` is None where only ``vocab`` knows it
- cased: bool, or None where the files at ``vocab`` say it
- source: where they come from, for people
"""

_DEFAULT = 'bert_12_768_12'
_GLUON_REPO = 'https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/'
_HF_ENDPOINT = 'https://huggingface.co'
_WEIGHTS = ('model.params', 'model.safetensors', 'pytorch_model.bin')
_VOCAB = ('vocab.txt', 'spm.model', 'tokenizer.json')


def resolve(model=None, dataset=None, weights=None, offline=None, log=None, vocab=None):
    """Weights, vocabulary and sizes of a model.

    Parameters
    ----------
    model : str, optional
        A name (``bert_12_768_12``, ``bert_24_1024_16``, ``sample``), a folder with config.json,
        vocabulary and weights (ours or Hugging Face's), a file of weights, or a hub repository
        ``organisation/name``.
    dataset : str, optional
        For the two big models: what they were pre-trained on.
    weights : str or False, optional
        A file of weights, with config.json and vocabulary beside it or else ``model``'s; or a
        folder, as for ``model``.  False: no weights are wanted, nor fetched.
    offline : bool, optional
        Use no network; None asks BERT_OFFLINE and HF_HUB_OFFLINE.
    log : callable, optional
        Takes a line that tells which source is used or has failed.
    vocab : str, optional
        A vocabulary file to take in place of the model's; its casing stays the model's where
        that is known.

    Returns
    -------
    Checkpoint

    Raises
    ------
    DataError
        When a name is not known, or every source fails: then a line for each.
    """
    found = _resolve(model or _DEFAULT, dataset, weights, is_offline(offline),
                     log or logging.getLogger(__name__).info, vocab is None)
    if vocab is None:
        return found
    cased = found.cased
    if cased is None:
        lower = vocabulary.casing(os.path.join(found.vocab, ''))[0]
        cased = None if lower is None else not lower
    return found._replace(vocab=os.path.expanduser(vocab), cased=cased)


def _resolve(model, dataset, weights, offline, log, needs_vocab):
    """:func:`resolve` with all defaults filled in; without ``needs_vocab`` it may be missing."""
    wanted, path = weights is None, os.path.expanduser(model)
    if weights:
        return _given(os.path.expanduser(weights), model, dataset, offline, log, needs_vocab)
    if model == 'sample':
        return _folder(SAMPLE, wanted, 'the sample model, a toy')
    if model not in MODELS:
        if os.path.isdir(path):
            return _folder(path, wanted, path, needs_vocab=needs_vocab)
        if os.path.isfile(path):
            return _given(path, _DEFAULT, dataset, offline, log, needs_vocab)
        if re.fullmatch(r'\w[\w.-]*/\w[\w.-]*', model):
            return _first(model, [('local path', lambda: _fail('no such file or folder'))]
                          + _hub_sources(model, wanted, None, offline), offline, log,
                          'correct the name, name a local folder, or set HF_ENDPOINT to a mirror')
        if os.sep in model:
            raise DataError(f'model {model}: no such file or folder')
    return _named(find(model, dataset), wanted, offline, log)


def _given(path, model, dataset, offline, log, needs_vocab):
    """The checkpoint of weights that the user has: a folder, or a file and what is beside it."""
    if os.path.isdir(path):
        return _folder(path, True, path, needs_vocab=needs_vocab)
    if not os.path.isfile(path):
        raise DataError(f'weights {path}: no such file or folder')
    folder = os.path.dirname(path) or '.'
    config = _config(folder) if os.path.exists(os.path.join(folder, 'config.json')) else None
    vocab = folder if not needs_vocab or any(os.path.exists(os.path.join(folder, name))
                                             for name in _VOCAB) else None
    if vocab and (config or model in MODELS):
        return Checkpoint(path, vocab, config or MODELS[model], None, path)
    if model in MODELS:     # ids in a .params file are GluonNLP's, in other files Google's
        base = _named(find(model, dataset), False, offline, log,
                      'gluon' if path.endswith('.params') else 'hub',
                      f'put its config.json and vocab.txt beside {path}; or ')
    else:
        base = resolve(model, dataset, False, offline, log)
    if vocab:
        return Checkpoint(path, vocab, base.config.replace(vocab_size=None), None, path)
    return Checkpoint(path, base.vocab, config or base.config, base.cased,
                      f'{path}, vocabulary from {base.source}')


def _folder(folder, wanted, source, cased=None, needs_vocab=True):
    """The checkpoint in a folder of ours or Hugging Face's."""
    found = [os.path.join(folder, name) for name in _WEIGHTS
             if os.path.exists(os.path.join(folder, name))]
    config = _config(folder)
    if wanted and not found:
        raise DataError(f"{folder}: no weights in this folder; one of these is needed: "
                        f"{', '.join(_WEIGHTS)}")
    if needs_vocab:
        vocabulary.find(folder)     # or an error that names what is missing
    return Checkpoint(found[0] if wanted else None, folder, config, cased, source)


def _config(folder):
    """config.json of ``folder``, of a BERT."""
    path = os.path.join(folder, 'config.json')
    return BertConfig.from_dict(read_json(path), path)


def _named(row, wanted, offline, log, only=None, cure=''):
    """The checkpoint of a catalogue row, from the cache, the Gluon repository or the hub.

    ``only`` ('gluon' or 'hub') leaves the sources of the other vocabulary out.
    """
    gluon = [(f'cache {_cache()}', lambda: _zoo(row, wanted, _cached, _cache())),
             ('Gluon repository', lambda: _zoo(
                 row, wanted, lambda name, sha1: _fetched(name, sha1, offline), _gluon_repo()))]
    hub = [('Hugging Face hub', lambda: _fail('no repository with these weights is known'))]
    if row.hub:
        hub = _hub_sources(row.hub, wanted, row.cased, offline)
    # what is on this machine before what is not
    sources = {'gluon': gluon, 'hub': hub, None: gluon[:1] + hub[:-1] + gluon[1:] + hub[-1:]}
    return _first(f'{row.model} {row.dataset}', sources[only], offline, log,
                  cure + 'name a folder with config.json, vocab.txt and model.safetensors or '
                         'model.params as the model; set MXNET_GLUON_REPO or HF_ENDPOINT to a '
                         f'mirror; or put {row.weights_file} and {row.vocab_file} into {_cache()}')


def _first(name, sources, offline, log, cure):
    """What the first of ``sources`` (label, callable) that does not fail returns."""
    failed = []
    for label, source in sources:
        try:
            return source()
        except (DataError, OSError) as error:
            failed.append(f"  {label}: {getattr(error, 'reason', error)}")
            log(f'{name}: not in{failed[-1][1:]}')
    if offline:
        cure = 'go online (BERT_OFFLINE, HF_HUB_OFFLINE); ' + cure
    raise DataError('\n'.join([f'{name}: every source failed'] + failed + [
        'what to do: ' + cure]))


def _fail(message):
    raise DataError(message)


def _cache():
    return os.path.join(os.path.expanduser(os.environ.get('MXNET_HOME') or '~/.mxnet'), 'models')


def _gluon_repo():
    return (os.environ.get('MXNET_GLUON_REPO') or _GLUON_REPO).rstrip('/') + '/'


def _zoo(row, wanted, get, source):
    """The checkpoint of GluonNLP's files of a row; ``get(name, sha1)`` returns a file's path."""
    vocab = get(row.vocab_file, row.vocab_sha1)
    weights = get(row.weights_file, row.weights_sha1) if wanted else None
    config = MODELS[row.model].replace(vocab_size=len(read_json(vocab)['token_to_idx']))
    return Checkpoint(weights, vocab, config, row.cased,
                      f'{row.model} {row.dataset} from {source}')


def _cached(name, sha1):
    path = os.path.join(_cache(), name)
    if not os.path.exists(path):
        raise DataError(f'{name} is not there')
    if sha1sum(path) != sha1:
        raise DataError(f'{name} is broken: its SHA-1 is not {sha1}')
    return path


def _fetched(name, sha1, offline):
    """A file of the Gluon repository, by way of the cache."""
    path = os.path.join(_cache(), name)
    stem, kind = os.path.splitext(name)
    url = f"{_gluon_repo()}gluon/{'models' if kind == '.params' else 'dataset/vocab'}/{stem}.zip"
    os.makedirs(_cache(), exist_ok=True)
    with locked(path):
        with contextlib.suppress(DataError):
            return _cached(name, sha1)      # another process has brought it meanwhile
        archive = download(url, os.path.join(_cache(), stem + '.zip'), offline=offline)
        with tempfile.TemporaryDirectory(dir=_cache(), prefix='.' + stem) as scratch:
            try:
                member = os.path.join(extract(archive, os.path.join(scratch, 'all')), name)
            finally:
                os.remove(archive)
            if not os.path.isfile(member):
                raise DownloadError(url, f'{name} is not in this archive', 'try another mirror')
            if sha1sum(member) != sha1:
                raise DownloadError(url, f'the SHA-1 of {name} is {sha1sum(member)} where {sha1} '
                                         'was '
                                         'expected', 'what came was removed; try another mirror')
            os.replace(member, path)
    return path


def _hub_sources(repo, wanted, cased, offline):
    """The (label, callable) of Hugging Face's cache and of the hub."""
    endpoint = (os.environ.get('HF_ENDPOINT') or _HF_ENDPOINT).rstrip('/')
    return [(f'Hugging Face cache, {repo}',
             lambda: _hub(repo, wanted, cased, endpoint, True)),
            (f'Hugging Face hub {endpoint}, {repo}',
             lambda: _fail('not asked, since this run is offline') if offline
             else _hub(repo, wanted, cased, endpoint, False))]


def _hub(repo, wanted, cased, endpoint, local):
    """The checkpoint of a hub repository; ``local``: of what the hub's cache has of it."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError:
        raise DataError('huggingface_hub is not installed') from None
    if not local:
        _knock(endpoint, repo)

    def fetch(name, revision=None, tries=4):
        """Path in the hub's cache, None where the repository (or the cache) has no such file."""
        try:
            path = hf_hub_download(repo, name, revision=revision, endpoint=endpoint,
                                   cache_dir=os.environ.get('HF_HUB_CACHE'),
                                   local_files_only=local)
        except Exception as error:      # requests', httpx's or its own, by version
            unreachable = isinstance(error, LocalEntryNotFoundError) and not local
            if isinstance(error, EntryNotFoundError) and not unreachable:
                return None
            status = _refused(error)
            if not (status or unreachable) and tries > 1:   # a broken stream: it is resumed
                return fetch(name, revision, tries - 1)
            raise DataError(f'{name}: {status or why(error)}') from error
        if _is_intact(path):
            return path
        if not local:
            os.remove(os.path.join(os.path.dirname(path), os.readlink(path)))
            os.remove(path)
            if tries > 1:       # it may have been broken before: once more, from nothing
                return fetch(name, revision, 1)
        raise DataError(f'{name} is broken: its SHA-256 is not what the hub names')

    config = fetch('config.json') or _fail('no config.json')
    folder = os.path.dirname(config)
    commit = os.path.basename(folder)       # so that all files are of one revision
    if not fetch('tokenizer_config.json', commit):
        fetch('tokenizer.json', commit)     # tells the casing too
    if not fetch('vocab.txt', commit) and not fetch('tokenizer.json', commit):
        _fail('neither vocab.txt nor tokenizer.json')
    if wanted and not fetch('model.safetensors', commit):
        if not importlib.util.find_spec('torch'):
            _fail('no model.safetensors (a pickled pytorch_model.bin is taken only where torch is '
                  'installed to load it weights-only)')
        fetch('pytorch_model.bin', commit)
    return _folder(folder, wanted, f"{repo} from "
                                   f"{'the Hugging Face cache' if local else endpoint}", cased)


def _refused(error):
    """The HTTP status that an error of the hub's library comes from, or None."""
    while error:
        response = getattr(error, 'response', None)
        if response is not None:
            private = response.status_code in (401, 403)
            return refusal(response.status_code) + (
                ' (if the repository is private, set HF_TOKEN)' if private else '')
        error = error.__cause__
    return None


def _knock(endpoint, repo):
    """Fail soon where the hub can't be reached; its own library goes on trying for minutes."""
    import requests
    try:
        status = requests.head(f'{endpoint}/{repo}/resolve/main/config.json',
                               timeout=10).status_code
    except requests.RequestException as error:
        raise DataError(why(error)) from error
    if status >= 500:
        raise DataError(refusal(status))


def _is_intact(path):
    """Whether a file of the hub's cache has the SHA-256 that names it there, if one does."""
    name = os.path.basename(os.readlink(path)) if os.path.islink(path) else ''
    return not re.fullmatch('[0-9a-f]{64}', name) or checksum(path, 'sha256') == name
