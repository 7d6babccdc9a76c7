"""Tags of words by way of their sub-words: sentences -> rows of ids -> tags, and their scores.

A word's tag is read, and learned, at its first sub-word.  A sentence that is too long is taken as
overlapping windows, of which each word belongs to one: :func:`bert.data.conll.windows`.
"""
import os
from typing import List, NamedTuple

import numpy as np

from ..text import transform
from ..utils import files
from ..utils.errors import DataError
from . import conll

__all__ = ['Row', 'check_length', 'find_labels', 'rows', 'scheme_of',
           'score', 'table', 'targets', 'write', 'SAMPLE', 'SEQ_LEN']

SAMPLE = os.path.join(files.SAMPLE, 'conll')
SEQ_LEN = 180


class Row(NamedTuple):
    """A sentence, or a window over a long one: ``[CLS] pieces [SEP]``, without padding."""
    ids: List[int]
    first: List[int]    # position in ids of the first piece of each word that belongs to this row
    sentence: int       # the sentence's index
    word: int           # index in the sentence of the first word that belongs to this row


def check_length(seq_len, positions):
    """Raise DataError where a model has no positions for ``seq_len`` tokens, or they hold no text.
    """
    if not 3 <= seq_len <= positions:
        raise DataError(f'--seq_len {seq_len}: this model takes 3 to {positions} tokens; longer '
                        'sentences are taken as windows anyway')


def find_labels(sentences, scheme):
    """The tags that occur, converted to ``scheme``, as a tuple: O, then type by type."""
    found = {tag for sentence in sentences for tag in conll.convert(sentence.tags, scheme)}
    return tuple(sorted(found | {'O'}, key=lambda tag: (tag != 'O', tag[2:], tag)))


def scheme_of(labels):
    """The scheme that a model's labels are in: 'BIOES' or 'BIO2'."""
    return 'BIOES' if any(label[0] in 'ESLU' for label in labels) else 'BIO2'


def rows(tok, sentences, seq_len):
    """Sentences, lists of words, -> list of :class:`Row` of at most ``seq_len`` tokens.

    Rows are in the order of the words.  A word of more than ``seq_len`` - 2 pieces loses the rest.
    """
    out, room = [], seq_len - 2
    for index, words in enumerate(sentences):
        pieces = [ids[:room] for ids in transform.words(tok, words)]
        for first, end, owned_first, owned_end in conll.windows(pieces, room, room // 2):
            ids, positions = [tok.cls_id], []
            for word in range(first, end):
                if owned_first <= word < owned_end:
                    positions.append(len(ids))
                ids += pieces[word]
            out.append(Row(ids + [tok.sep_id], positions, index, owned_first))
    return out


def targets(rows, classes):
    """What the network is to answer: float32 array (words,), of the words that belong to the rows.

    classes: for every sentence, the class of each word
    """
    return np.array([label for row in rows for label in
                     classes[row.sentence][row.word:row.word + len(row.first)]], np.float32)


def score(sentences, predicted):
    """Entity scores of predicted tags, as :func:`bert.data.conll.score` returns them."""
    return conll.score([conll.convert(sentence.tags) for sentence in sentences],
                       [conll.convert(tags) for tags in predicted])


def table(scores):
    """The scores as lines of text: a type a line, and all of them together."""
    lines = ['%-20s %9s %9s %9s %9s' % ('', 'precision', 'recall', 'f1', 'support')]
    for name, row in [*scores['types'].items(), ('overall', scores['overall'])]:
        lines.append(f"{name:<20} {row['precision']:9.4f} {row['recall']:9.4f} {row['f1']:9.4f} "
                     f"{row['support']:9d}")
    return '\n'.join(lines)


def write(path, sentences, predicted, labels):
    """Write the rows of a CoNLL file with gold tags, if it has them, and predicted ones.

    Predicted tags come in the file's own scheme, or else in that of the model's ``labels``.
    """
    scheme = scheme_of(labels) if sentences[0].tags is None else conll.detect(sentences)[0]
    conll.write_predictions(path, sentences, [conll.convert(tags, scheme) for tags in predicted])
