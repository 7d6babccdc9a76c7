"""Tags of words by way of their sub-words: sentences -> windows of token ids -> targets, scores.

The tag of a word is learned and predicted at its first sub-word.  A sentence that is too long is
covered by overlapping windows, and each word belongs to one of them.
"""
import os
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..text import transform
from ..text.tokenizer import Tokenizer
from ..utils import files
from ..utils.errors import DataError
from . import tags as schemes
from .conll import Sentence, write_predictions

__all__ = ['TaggingFeature', 'Window', 'check_length', 'features', 'find_labels', 'scheme_of',
           'score', 'table', 'targets', 'windows', 'write', 'SAMPLE', 'SEQ_LEN']

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


def check_length(seq_len: int, positions: int) -> None:
    """Raise DataError unless ``seq_len`` has room for text and the model for ``seq_len`` tokens."""
    if not 3 <= seq_len <= positions:
        raise DataError(f'--seq_len {seq_len}: this model takes 3 to {positions} tokens; longer '
                        'sentences are always split into windows')


def find_labels(sentences: Sequence[Sentence], scheme: str) -> Tuple[str, ...]:
    """The tags that occur, converted to ``scheme``: O, then type by type."""
    found = {tag for sentence in sentences for tag in schemes.convert(sentence.tags, scheme)}
    return tuple(sorted(found | {'O'}, key=lambda tag: (tag != 'O', tag[2:], tag)))


def scheme_of(labels: Sequence[str]) -> str:
    """The scheme of a model's labels: 'BIOES' or 'BIO2'."""
    return 'BIOES' if any(label[0] in 'ESLU' for label in labels) else 'BIO2'


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


def score(sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]]) -> Dict[str, Any]:
    """Entity scores of predicted tags, as :func:`bert.data.tags.score` returns them."""
    return schemes.score([schemes.convert(sentence.tags) for sentence in sentences],
                         [schemes.convert(tags) for tags in predicted])


def table(scores: Dict[str, Any]) -> str:
    """The scores as lines of text: one per type, and one for all of them together."""
    lines = [f"{'':<20} {'precision':>9} {'recall':>9} {'f1':>9} {'support':>9}"]
    for name, row in [*scores['types'].items(), ('overall', scores['overall'])]:
        lines.append(f"{name:<20} {row['precision']:9.4f} {row['recall']:9.4f} {row['f1']:9.4f} "
                     f"{row['support']:9d}")
    return '\n'.join(lines)


def write(path: str, sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]],
          labels: Sequence[str]) -> None:
    """Write the rows of a CoNLL file with gold tags, if it has them, and predicted ones.

    Predicted tags are written in the file's own scheme, or if it has none in that of ``labels``,
    the model's.
    """
    scheme = scheme_of(labels) if sentences[0].tags is None else schemes.detect(sentences)[0]
    write_predictions(path, sentences, [schemes.convert(tags, scheme) for tags in predicted])
