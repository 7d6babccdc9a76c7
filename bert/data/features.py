"""Sentence examples -> the token ids, token types and labels that a network takes."""
import itertools
import logging
from typing import Any, List, NamedTuple, Optional, Sequence

from ..text import transform
from ..text.tokenizer import Tokenizer
from . import feature_cache
from .labels import class_ids
from .tables import Example

__all__ = ['SentenceFeatures', 'featurize']

_log = logging.getLogger(__name__)


class SentenceFeatures(NamedTuple):
    """The features of a set: parallel lists with one entry per window (usually a whole text)."""
    ids: List[Any]              # int32 arrays, special tokens included, no padding
    token_types: List[Any]      # int32 arrays: 0 for the first text, 1 for the second
    labels: List[Any]           # class ids; numbers for a regression; uint8 arrays of 0 and 1
                                # where a text has several labels; None if unknown
    owner: List[int]            # index of the example that each window comes from


def featurize(name: str, tokenizer: Tokenizer, examples: Sequence[Example],
              labels: Optional[Sequence[str]], max_len: int,
              stride: Optional[int] = None) -> SentenceFeatures:
    """The features of all ``examples``; logs how many texts are longer than ``max_len``.

    Parameters
    ----------
    name : str
        What the examples are, for messages: 'train', 'dev', ...
    labels : sequence of str or None
        The classes, in the order of the logits; None for a regression.
    max_len : int
        Tokens of a window, special ones included.
    stride : int, optional
        Take longer texts as windows that start so many tokens apart; without it they are cut.

    Raises
    ------
    DataError
        For a label that is not among ``labels``.
    """
    targets = class_ids(name, [example.label for example in examples], labels)

    def make():
        columns = {'ids': [], 'token_types': [], 'owner': [], 'longer': []}
        for index, (text_a, text_b, *_) in enumerate(examples):
            windows = (transform.windows(tokenizer, text_a, text_b, max_len, stride) if stride else
                       [transform.pair(tokenizer, text_a, text_b, max_len)])
            columns['longer'].append(len(windows) > 1 or windows[0].truncated)
            columns['ids'] += [window.ids for window in windows]
            columns['token_types'] += [window.token_types for window in windows]
            columns['owner'] += [index] * len(windows)
        return columns

    texts = ((example.text_a, example.text_b) for example in examples)
    columns = feature_cache.cached(name, tokenizer, itertools.chain([(max_len, stride)], texts),
                                   make)
    longer = sum(columns['longer'])
    if longer:
        _log.info('%s: %d of %d texts are longer than --max_len %d and were %s', name, longer,
                  len(examples), max_len, f"split into windows ({len(columns['ids'])} in "
                  'all)' if stride else 'cut; --windows uses all of them')
    owner = columns['owner']
    return SentenceFeatures(columns['ids'], columns['token_types'],
                            [targets[index] for index in owner], owner)
