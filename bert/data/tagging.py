"""Tags of words by way of their sub-words: sentences -> windows of token ids -> targets.

The tag of a word is learned and predicted at its first sub-word.  A sentence that is too long is
covered by overlapping windows, and each word belongs to one of them.
"""
import os
from typing import List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..text import transform
from ..text.tokenizer import Tokenizer
from ..utils import files
from ..utils.errors import DataError
from . import lengths
from . import tags as schemes
from .conll import Sentence, write_predictions
from .labels import translate
from .tags import BIO2, Scheme

__all__ = ['TaggingFeature', 'TagMap', 'Window', 'choose_length', 'features', 'find_labels',
           'tag_map', 'targets', 'windows', 'write', 'SAMPLE', 'SEQ_LEN']

SAMPLE = os.path.join(files.SAMPLE, 'conll')
SEQ_LEN = 180


class TaggingFeature(NamedTuple):
    """A sentence, or a window over a long one: ``[CLS] sub-words [SEP]``, without padding."""
    ids: List[int]
    first: List[int]    # position in ids of the first sub-word of each word that it owns
    sentence: int       # the sentence's index
    word: int           # index in the sentence of the first word that it owns


class Window(NamedTuple):
    """A range of a sentence's words; its predictions count for the words that it owns."""
    first: int
    end: int
    owned_first: int
    owned_end: int


def choose_length(given: Optional[int], positions: int) -> int:
    """The sub-words of a window: ``given``, or for None ``SEQ_LEN`` or the model's ``positions``.

    Raises DataError unless it has room for text, and the model for as many tokens.
    """
    seq_len = given or lengths.choose('--seq_len', None, SEQ_LEN, positions)
    if not 3 <= seq_len <= positions:
        raise DataError(f'--seq_len {seq_len}: this model takes 3 to {positions} tokens; longer '
                        'sentences are always split into windows')
    return seq_len


class TagMap(NamedTuple):
    """How the tags of a file stand to the labels of a model."""
    file: Scheme
    model: Scheme
    names: Mapping[str, str]    # a type of the file, or a token label -> the model's name of it

    @property
    def _common(self) -> Scheme:
        """The scheme in which gold tags and predictions are compared."""
        return BIO2 if self.model.letters else self.model

    def gold(self, tags: Sequence[str]) -> List[str]:
        """A sentence's tags, to compare with :meth:`predicted`."""
        return schemes.convert(tags, self._common, self.file, self.names)

    def predicted(self, labels: Sequence[str]) -> List[str]:
        """A sentence's labels, to compare with :meth:`gold`."""
        return schemes.convert(labels, self._common, self.model)

    def labels(self, tags: Sequence[str]) -> List[str]:
        """A sentence's tags as labels of the model: what it learns."""
        return schemes.convert(tags, self.model, self.file, self.names)

    def tags(self, labels: Sequence[str]) -> List[str]:
        """A sentence's labels as tags of the file: what is written."""
        back = {model: file for file, model in self.names.items()}
        return schemes.convert(labels, self.file, self.model, back)


def tag_map(path: str, sentences: Sequence[Sentence], model: Scheme,
            labels: Optional[Sequence[str]] = None) -> TagMap:
    """The :class:`TagMap` of the file ``path`` and a model with labels in the scheme ``model``.

    ``labels`` are None for a new model: it will have the types of the file.  Sentences without
    tags are written in the scheme of the model.  Raises DataError if one of the two has entities
    and the other token labels.
    """
    tagged = sentences[0].tags is not None
    file = schemes.detect(sentences)[0] if tagged else model
    if file.form == 'plain':
        file = Scheme('IO' if model.letters else '', 'plain')
    elif not model.letters:
        raise DataError(f'{path}: the tags are {file}, where the model has token labels'
                        + (f": {', '.join(labels)}" if labels else ''))
    found = schemes.types({tag for row in sentences for tag in row.tags}, file) if tagged else ()
    return TagMap(file, model, translate(found, found if labels is None else
                                         schemes.types(labels, model)))


def find_labels(sets: Sequence[Tuple[Sequence[Sentence], TagMap]]) -> Tuple[str, ...]:
    """The labels that a model needs for some sets: O, then type by type; or token labels."""
    found = {label for sentences, tag_map in sets for sentence in sentences
             for label in tag_map.labels(sentence.tags)}
    if not sets[0][1].model.letters:
        return tuple(sorted(found))
    return tuple(sorted(found | {'O'}, key=lambda tag: (tag != 'O', tag[2:], tag)))


def features(tokenizer: Tokenizer, sentences: Sequence[Sequence[str]],
             seq_len: int) -> List[TaggingFeature]:
    """Sentences (lists of words) -> features of at most ``seq_len`` tokens, in the same order.

    A word with more than ``seq_len`` - 2 sub-words loses the rest.
    """
    out, room = [], seq_len - 2
    for index, words in enumerate(sentences):
        sub_words = [ids[:room] for ids in transform.words(tokenizer, words)]
        for window in windows([len(ids) for ids in sub_words], room, room // 2):
            ids, first = [tokenizer.cls_id], []
            for word in range(window.first, window.end):
                if window.owned_first <= word < window.owned_end:
                    first.append(len(ids))
                ids += sub_words[word]
            out.append(TaggingFeature(ids + [tokenizer.sep_id], first, index, window.owned_first))
    return out


def windows(lengths: Sequence[int], max_len: int, overlap: int) -> List[Window]:
    """Cover a sentence with windows of whole words so that one window owns each word.

    Parameters
    ----------
    lengths : sequence of int
        The number of sub-words of each word.
    max_len : int
        Most sub-words in a window, without special tokens; a longer word counts as that many, and
        must be cut to it.
    overlap : int
        Most sub-words that a window repeats from the one before.

    The owned ranges follow one another and cover the words.  Neighbours divide their overlap in
    its middle: each word belongs to the window whose nearer edge is farther from it.
    """
    offsets = [0]                       # offsets[w]: the sub-words before word w
    for length in lengths:
        offsets.append(offsets[-1] + min(length, max_len))
    count, found, first, end, owned = len(lengths), [], 0, 0, 0
    while end < count:
        while end < count and offsets[end + 1] - offsets[first] <= max_len:
            end += 1
        following = end                 # the next window's first word; it must reach past `end`
        while end < count and (offsets[end] - offsets[following - 1] <= overlap
                               and offsets[end + 1] - offsets[following - 1] <= max_len):
            following -= 1
        owned_end = next((w for w in range(following, end) if offsets[w] + offsets[w + 1]
                          > offsets[following] + offsets[end]), end)
        if owned_end > owned:
            found.append(Window(first, end, owned, owned_end))
        first, owned = following, owned_end
    return found


def targets(features: Sequence[TaggingFeature], classes: Sequence[Sequence[int]]) -> np.ndarray:
    """Training targets: the classes, (words,) float32, of the words that the features own.

    ``classes`` holds the class of each word of every sentence.
    """
    return np.array([label for feature in features for label in classes[feature.sentence][
        feature.word:feature.word + len(feature.first)]], np.float32)


def write(path: str, sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]],
          tag_map: TagMap) -> None:
    """Write the rows of a CoNLL file with gold tags, if it has them, and predicted ones.

    Predicted tags are written in the file's own scheme, or if it has none in the model's.
    """
    write_predictions(path, sentences, [tag_map.tags(labels) for labels in predicted])
