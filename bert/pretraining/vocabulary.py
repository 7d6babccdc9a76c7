"""The vocabulary of a pre-training run (imports no MXNet, so that worker processes can fork)."""
import logging
import os
from typing import Optional, Tuple

from ..checkpoint import resolve
from ..text import tokenizer, vocabulary
from .settings import VocabularySettings

__all__ = ['load_tokenizer', 'draws_subwords']

_log = logging.getLogger(__name__)


def load_tokenizer(settings: VocabularySettings,
                   model: Optional[str] = None) -> Tuple[tokenizer.Tokenizer, str]:
    """The tokenizer, and where it comes from.

    ``model`` is what --model names: where no flag names a vocabulary and this is the sample or a
    folder, its vocabulary is taken.  Raises :class:`~bert.utils.errors.DataError` for a vocabulary
    that cannot be found or read.
    """
    dataset, own = settings.dataset, settings.own
    if own:
        if dataset:
            _log.warning('--dataset_name %s is not used: the vocabulary is %s', dataset, own)
        own, cased = os.path.expanduser(own), settings.cased or None
        if settings.sentencepiece and vocabulary.casing(vocabulary.find(own))[0] is None:
            cased = settings.cased      # uncased, where no file beside it says
        return tokenizer.load(own, cased, settings.nbest, settings.alpha), own
    if dataset == 'sample':
        model, dataset = 'sample', None
    elif dataset or not (model == 'sample' or os.path.isdir(os.path.expanduser(model or ''))):
        model = None
    found = resolve.resolve(model, dataset, offline=settings.offline or None, with_weights=False)
    return tokenizer.load(found.vocab, found.cased, settings.nbest, settings.alpha), found.source


def draws_subwords(tok: tokenizer.Tokenizer, settings: VocabularySettings) -> bool:
    """Whether ``tok`` may split the same text differently each time."""
    return isinstance(tok, tokenizer.SentencePiece) and settings.nbest not in (0, 1)
