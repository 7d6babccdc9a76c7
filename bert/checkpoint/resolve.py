"""A model's name or path -> its weights, vocabulary, sizes and casing, from the first source.

The sources, in this order: a local file or folder; the toy model in ``bert/sample``; the cache
(``$MXNET_HOME/models``, shared with GluonNLP) and Hugging Face's own; the Gluon repository
(``$MXNET_GLUON_REPO``); the Hugging Face hub (``$HF_ENDPOINT``).  Weights and vocabulary always
come from the same source: GluonNLP moved the special tokens of BERT's vocabularies to other ids.
"""
import collections
import logging
import os
import re
from pathlib import Path
from typing import Callable, Optional

from ..model.config import BertConfig
from ..text import vocabulary
from ..utils import cli
from ..utils.download import is_offline
from ..utils.errors import DataError
from ..utils.files import SAMPLE, read_json
from ..utils.hosts import gluon_repository, hub_endpoint
from . import hub, sentence_modules, zoo
from .catalogue import DEFAULT, MODELS, find

__all__ = ['Checkpoint', 'resolve', 'tensorflow_checkpoint']

Checkpoint = collections.namedtuple('Checkpoint', 'weights vocab config cased source')
Checkpoint.__doc__ = """What :func:`resolve` found.

- weights: path of a file that :func:`bert.checkpoint.weights.read_weights` takes, or None
- vocab: what :func:`bert.text.tokenizer.load` takes, a file or a folder
- config: a BertConfig; its ``vocab_size`` is None where only ``vocab`` knows it
- cased: bool, or None where the files at ``vocab`` state it
- source: where they come from, for messages
"""

_WEIGHTS = ('model.params', 'model.safetensors', 'model.safetensors.index.json',
            'pytorch_model.bin')
_VOCAB = ('vocab.txt', 'spm.model', 'tokenizer.json')
# what a program or BertEmbedding passes where the user names none
_DEFAULT_DATASETS = ('book_corpus_wiki_en_uncased', 'book_corpus_wiki_en_cased')


def resolve(model: Optional[str] = None, dataset: Optional[str] = None,
            weights: Optional[str] = None, offline: Optional[bool] = None,
            log: Optional[Callable[[str], None]] = None, vocab: Optional[str] = None,
            with_weights: bool = True) -> Checkpoint:
    """Weights, vocabulary and sizes of a model.

    Parameters
    ----------
    model : str, optional
        A name (``bert_12_768_12``, ``bert_24_1024_16``, ``sample``), a folder with config.json,
        vocabulary and weights (ours, Hugging Face's or sentence-transformers'), a file of
        weights, or a hub repository ``organization/name``.
    dataset : str, optional
        For the two big models: what they were pre-trained on.
    weights : str, optional
        A file of weights, with config.json and vocabulary beside it or else ``model``'s; or a
        folder, as for ``model``.
    offline : bool, optional
        Use no network; None: as BERT_OFFLINE and HF_HUB_OFFLINE say.
    log : callable, optional
        Takes a line for each source that failed before the one that is used, and one where
        ``dataset`` is not used.
    vocab : str, optional
        A vocabulary file to take in place of the model's; its casing stays the model's where
        that is known.
    with_weights : bool
        Without, none of ``model`` are needed, nor fetched.

    Returns
    -------
    Checkpoint

    Raises
    ------
    DataError
        If a name is not known, or if every source fails, with one line for each source.
    """
    found = _resolve(model or DEFAULT, dataset, weights, with_weights, is_offline(offline),
                     log or logging.getLogger(__name__).info, vocab is None)
    if vocab is None:
        return found
    cased = found.cased
    if cased is None:
        lower = vocabulary.casing(os.path.join(found.vocab, ''))[0]
        cased = None if lower is None else not lower
    return found._replace(vocab=os.path.expanduser(vocab), cased=cased)


def _resolve(model, dataset, weights, wanted, offline, log, needs_vocab):
    """:func:`resolve` with all defaults filled in; without ``needs_vocab`` it may be missing."""
    path = os.path.expanduser(model)
    if weights:
        return _given(os.path.expanduser(weights), model, dataset, offline, log, needs_vocab)
    if model == 'sample':
        _note_unused(dataset, log)
        return _folder(SAMPLE, wanted, 'the sample model, a toy')
    if model not in MODELS:
        if not os.path.isdir(path) and (os.path.isfile(path) or os.path.isfile(path + '.index')):
            return _given(path, DEFAULT, dataset, offline, log, needs_vocab)
        _note_unused(dataset, log)
        if os.path.isdir(path):
            return _folder(path, wanted, path, needs_vocab=needs_vocab)
        if re.fullmatch(r'\w[\w.-]*/\w[\w.-]*', model):
            return _first(model, [('local path', lambda: _fail('no such file or folder'))]
                          + _hub_sources(model, wanted, None, offline), offline, log,
                          'correct the name, name a local folder, or set HF_ENDPOINT to a mirror')
        if os.sep in model:
            raise DataError(f'model {model}: no such file or folder; check the path')
    return _named(find(model, dataset), wanted, offline, log)


def _note_unused(dataset, log):
    """Log that the data set that a user has named has no effect."""
    if dataset and dataset not in _DEFAULT_DATASETS:
        log(f"the data set {dataset} is not used: only {' and '.join(MODELS)} have several")


def _given(path, model, dataset, offline, log, needs_vocab):
    """The checkpoint of weights that the user has: a folder, or a file and what is beside it."""
    if os.path.isdir(path):
        _note_unused(dataset, log)
        return _folder(path, True, path, needs_vocab=needs_vocab)
    _refuse_tensorflow(path)
    if not os.path.isfile(path):
        raise DataError(f'weights {path}: no such file or folder; check the path')
    folder = os.path.dirname(path) or '.'
    config = _config(folder) if os.path.exists(os.path.join(folder, 'config.json')) else None
    vocab = folder if not needs_vocab or any(os.path.exists(os.path.join(folder, name))
                                             for name in _VOCAB) else None
    if vocab and (config or model in MODELS):
        _note_unused(dataset, log)
        return Checkpoint(path, vocab, config or MODELS[model], None, path)
    if model in MODELS:     # ids in a .params file are GluonNLP's, in other files Google's
        base = _named(find(model, dataset), False, offline, log,
                      'gluon' if path.endswith('.params') else 'hub',
                      f'put its config.json and vocab.txt beside {path}; or ')
    else:
        base = resolve(model, dataset, offline=offline, log=log, with_weights=False)
    if vocab:
        return Checkpoint(path, vocab, base.config.replace(vocab_size=None), None, path)
    return Checkpoint(path, base.vocab, config or base.config, base.cased,
                      f'{path}, vocabulary from {base.source}')


def _folder(folder, wanted, source, cased=None, needs_vocab=True):
    """The checkpoint in a folder of ours, Hugging Face's or sentence-transformers'."""
    folder = sentence_modules.transformer_folder(folder)
    _refuse_tensorflow(folder)
    found = [os.path.join(folder, name) for name in _WEIGHTS
             if os.path.exists(os.path.join(folder, name))]
    config = _config(folder)
    if wanted and not found:
        raise DataError(f"{folder}: no weights in this folder; one of these is needed: "
                        f"{', '.join(_WEIGHTS)}")
    if needs_vocab:
        vocabulary.find(folder)     # or an error that names what is missing
    return Checkpoint(found[0] if wanted else None, folder, config, cased, source)


def tensorflow_checkpoint(path: str) -> Optional[Checkpoint]:
    """The checkpoint of google-research/bert at ``path``; None if there is none.

    ``path`` is a folder without weights of another format, or a file name with or without its
    ``.index`` or ``.data-...``.  bert_config.json and vocab.txt are beside it.  Raises DataError
    where the folder has several, or no index or config.
    """
    index = _tensorflow_index(path)
    if index is None:
        return None
    folder = os.path.dirname(index) or '.'
    renamed = not os.path.exists(os.path.join(folder, 'bert_config.json')) and os.path.exists(
        os.path.join(folder, 'config.json'))
    config = _config(folder, 'config.json' if renamed else 'bert_config.json')
    return Checkpoint(index, folder, config, None, index)


def _tensorflow_index(path):
    """The .index file of the TensorFlow checkpoint at ``path``, or None."""
    path = os.path.expanduser(path)
    if not os.path.isdir(path):
        path = re.sub(r'\.(index|data-\d+-of-\d+)$', '', path) + '.index'
        return path if os.path.isfile(path) else None
    if any(os.path.exists(os.path.join(path, name)) for name in _WEIGHTS):
        return None
    found = sorted(map(str, Path(path).glob('*.ckpt*.index')))
    if len(found) > 1:
        raise DataError(f"{path}: {len(found)} TensorFlow checkpoints; name one of them: "
                        f"{', '.join(found)}")
    if not found and any(Path(path).glob('*.ckpt*.data-*')):
        raise DataError(f'{path}: a TensorFlow checkpoint without its .index file; copy that too')
    return found[0] if found else None


def _refuse_tensorflow(path):
    """Refuse a checkpoint of google-research/bert, with the command that converts it."""
    index = _tensorflow_index(path)
    if index:
        folder = os.path.join(os.path.dirname(index), 'converted')
        convert = cli.command('scripts/convert_checkpoint.py', index, folder)
        raise DataError(f'{index}: a TensorFlow checkpoint; convert it ({convert}), and name '
                        f'{folder} as the model')


def _config(folder, name='config.json'):
    """The config of a BERT in ``folder``."""
    path = os.path.join(folder, name)
    return BertConfig.from_dict(read_json(path), path)


def _named(published, wanted, offline, log, only=None, cure=''):
    """The checkpoint of a published model, from the cache, the Gluon repository or the hub.

    ``only`` ('gluon' or 'hub') leaves the sources of the other vocabulary out.
    """
    try:
        place = zoo.cache()
    except DataError:           # there is no home folder
        place = '$MXNET_HOME/models'
    gluon = [(f'cache {place}', lambda: _zoo(published, wanted, zoo.cached, zoo.cache())),
             ('Gluon repository', lambda: _zoo(
                 published, wanted, lambda name, sha1: zoo.fetched(name, sha1, offline),
                 gluon_repository()))]
    hub_copies = [('Hugging Face hub', lambda: _fail('no repository with these weights is known'))]
    if published.hub:
        hub_copies = _hub_sources(published.hub, wanted, published.cased, offline)
    # local sources first
    sources = {'gluon': gluon, 'hub': hub_copies,
               None: gluon[:1] + hub_copies[:-1] + gluon[1:] + hub_copies[-1:]}
    return _first(f'{published.model} {published.dataset}', sources[only], offline, log,
                  cure + 'name a folder with config.json, vocab.txt and model.safetensors or '
                         'model.params as the model; set MXNET_GLUON_REPO or HF_ENDPOINT to a '
                         f'mirror; or put {published.weights_file} and {published.vocab_file} into '
                         f'{place}')


def _first(name, sources, offline, log, cure):
    """The result of the first of ``sources``, (label, callable), that does not fail."""
    failed = []
    for label, source in sources:
        try:
            found = source()
        except (DataError, OSError) as error:
            failed.append(f"{label}: {getattr(error, 'reason', error)}")
        else:
            for line in failed:         # otherwise the error below has them
                log(f'{name}: not in {line}')
            return found
    if offline:
        cure = 'go online (unset BERT_OFFLINE and HF_HUB_OFFLINE, omit --offline); ' + cure
    raise DataError(f'{name}: every source failed', *('  ' + reason for reason in failed),
                    f'what to do: {cure}')


def _fail(message):
    raise DataError(message)


def _zoo(published, wanted, get, source):
    """The checkpoint of GluonNLP's files; ``get(name, sha1)`` returns a file's path."""
    vocab = get(published.vocab_file, published.vocab_sha1)
    weights = get(published.weights_file, published.weights_sha1) if wanted else None
    config = MODELS[published.model].replace(vocab_size=len(read_json(vocab)['token_to_idx']))
    return Checkpoint(weights, vocab, config, published.cased,
                      f'{published.model} {published.dataset} from {source}')


def _hub_sources(repo, wanted, cased, offline):
    """The (label, callable) of Hugging Face's cache and of the hub."""
    def found(place, local):
        folder = hub.model_folder(repo, weights=wanted, local=local, offline=offline)
        return _folder(folder, wanted, f'{repo} from {place}', cased)

    return [(f'Hugging Face cache, {repo}', lambda: found('the Hugging Face cache', True)),
            (f'Hugging Face hub {hub_endpoint()}, {repo}',
             lambda: _fail('not asked, since this run is offline') if offline
             else found(hub_endpoint(), False))]
