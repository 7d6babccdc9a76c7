"""Documents -> instances for pre-training: pairs of text, half of them random, with masked words.

The recipe is that of google-research/bert ``create_pretraining_data.py`` (Devlin et al. 2018,
appendix A.2): each choice has the distribution it has there.  Only sentences are taken in a loop;
what concerns single tokens is done for many instances at once.
"""
from bisect import bisect_left
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

import numpy as np

from ..text.tokenizer import Tokenizer

__all__ = ['FIELDS', 'Documents', 'Masking', 'beyond', 'choose', 'collect_documents', 'pairs',
           'truncate']


class Documents(NamedTuple):
    """Tokenized documents, among which the random next sentences are drawn.

    - tokens: (tokens,) int32, the ids of all sentences, one after the other
    - sentences: where in ``tokens`` each sentence starts, and where the last one ends
    - starts: where in ``sentences`` each document starts, and where the last one ends
    """
    tokens: np.ndarray
    sentences: List[int]
    starts: List[int]


# The arrays of an instance, under GluonNLP's names: type, and the setting that is their length
FIELDS = {
    'input_ids': ('int32', 'max_seq_length'),
    'segment_ids': ('int32', 'max_seq_length'),
    'masked_lm_ids': ('int32', 'max_predictions_per_seq'),
    'masked_lm_positions': ('int32', 'max_predictions_per_seq'),
    'masked_lm_weights': ('float32', 'max_predictions_per_seq'),
    'next_sentence_labels': ('int32', None),
    'valid_lengths': ('int32', None),
}

_CELLS = 1 << 18    # of a block of instances: its arrays stay in the cache, and memory flat


def collect_documents(documents: Iterable[Iterable[List[int]]]) -> Documents:
    """Documents, which are iterables of sentences, which are lists of ids, in one
    :class:`Documents`; empty sentences and documents are left out."""
    tokens, sentences, starts = [], [0], [0]
    for document in documents:
        for sentence in document:
            if sentence:
                tokens += sentence
                sentences.append(len(tokens))
        if len(sentences) - 1 > starts[-1]:
            starts.append(len(sentences) - 1)
    return Documents(np.array(tokens, np.int32), sentences, starts)


def beyond(documents: Documents, length: int) -> int:
    """How many tokens are past the first ``length`` of their sentences."""
    return int(np.maximum(np.diff(documents.sentences) - length, 0).sum())


class Masking:
    """Makes instances from documents.

    Parameters
    ----------
    tok : bert.text.tokenizer.Tokenizer
    max_seq_length : int, 5 or more
        Tokens of an instance, [CLS] and two [SEP] included.
    max_predictions_per_seq : int
        Maximum number of tokens to predict in an instance.
    masked_lm_prob : float
        Share of the tokens to predict.
    short_seq_prob : float
        Share of the documents whose instances aim at a random, shorter length.
    whole_word_mask : bool
        Predict all sub-words of a word or none.

    Attributes
    ----------
    room : int, tokens of text in an instance
    """

    def __init__(self, tok: Tokenizer, max_seq_length: int = 512,
                 max_predictions_per_seq: int = 80, masked_lm_prob: float = 0.15,
                 short_seq_prob: float = 0.1, whole_word_mask: bool = False):
        self.max_seq_length, self.room = max_seq_length, max_seq_length - 3
        self.max_predictions_per_seq = max_predictions_per_seq
        self._masked_lm_prob = masked_lm_prob
        self._short_seq_prob = short_seq_prob
        self._special = tok.pad_id, tok.cls_id, tok.sep_id, tok.mask_id
        self.vocabulary_size = len(tok)
        self._begins_word = np.array([tok.is_first_subword(token) or not whole_word_mask
                                      for token in tok.tokens(range(len(tok)))])

    def instances(self, documents: Documents, rng: Any,
                  copies: int = 1) -> Iterator[Dict[str, np.ndarray]]:
        """Pair, shuffle and mask the sentences of documents, ``copies`` times over.

        Parameters
        ----------
        documents : Documents
        rng : numpy.random.Generator or RandomState
        copies : int

        Yields
        ------
        dict
            A block of instances: an array for each of :data:`FIELDS`, one instance per row.  Ids
            are padded with [PAD], the others with 0; ``masked_lm_weights`` is 1 for tokens to
            predict, ``next_sentence_labels`` 1 for a random next sentence, ``valid_lengths`` the
            number of tokens without padding.  An instance is [CLS] A [SEP] B [SEP].
        """
        spans = [span for _ in range(copies)
                 for span in pairs(documents, self.room, self._short_seq_prob, rng)]
        spans = truncate(np.array(spans, np.int64).reshape(-1, 5), self.room, rng)
        spans = spans[rng.permutation(len(spans))]
        rows = max(1, _CELLS // self.max_seq_length)
        for first in range(0, len(spans), rows):
            yield self._block(documents.tokens, spans[first:first + rows], rng)

    def _block(self, tokens, spans, rng):
        """The instances of (rows, 5) ``spans`` as :meth:`instances` yields them."""
        a_start, a_end, b_start, b_end, is_random = (column[:, None] for column in spans.T)
        first_sep = a_end - a_start + 1
        last_sep = first_sep + b_end - b_start + 1
        column = np.arange(self.max_seq_length)
        pad, cls, sep, mask = self._special
        # (rows, max_seq_length) from here on
        is_text = (column > 0) & (column != first_sep) & (column < last_sep)
        segments = (column > first_sep) & (column <= last_sep)
        source = column + np.where(segments, b_start - first_sep - 1, a_start - 1)
        ids = np.where(is_text, tokens[np.where(is_text, source, 0)], pad)
        ids[:, 0] = cls
        np.put_along_axis(ids, first_sep, sep, axis=1)
        np.put_along_axis(ids, last_sep, sep, axis=1)

        begins = is_text & (self._begins_word[ids] | (column == 1) | (column == first_sep + 1))
        lengths = last_sep[:, 0] + 1
        wanted = np.minimum(np.rint(lengths * self._masked_lm_prob),
                            self.max_predictions_per_seq).clip(1)
        rows, columns = np.nonzero(choose(begins, is_text, wanted, rng))
        chosen = ids[rows, columns]
        chance = rng.random(len(rows))
        anything = (rng.random(len(rows)) * self.vocabulary_size).astype(np.int32)
        ids[rows, columns] = np.where(chance < 0.8, mask, np.where(chance < 0.9, chosen, anything))

        counts = np.bincount(rows, minlength=len(spans))
        slot = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        block = {name: np.zeros((len(spans),) + self.shape(name), dtype)
                 for name, (dtype, _) in FIELDS.items() if name.startswith('masked')}
        block['masked_lm_ids'][:] = pad
        block['masked_lm_ids'][rows, slot] = chosen
        block['masked_lm_positions'][rows, slot] = columns
        block['masked_lm_weights'][rows, slot] = 1
        block.update(input_ids=ids.astype(np.int32), segment_ids=segments.astype(np.int32),
                     next_sentence_labels=is_random[:, 0].astype(np.int32),
                     valid_lengths=lengths.astype(np.int32))
        return block

    def shape(self, name: str) -> Tuple[int, ...]:
        """The shape of an instance's array ``name``, one of :data:`FIELDS`."""
        length = FIELDS[name][1]
        return (getattr(self, length),) if length else ()


def pairs(documents: Documents, room: int, short_seq_prob: float,
          rng: Any) -> Iterator[Tuple[int, int, int, int, int]]:
    """Cut documents into pairs of consecutive texts; half of them get a random second text.

    A random second text comes from another document; if there is only one, from elsewhere in it.

    Yields
    ------
    (a_start, a_end, b_start, b_end, is_random)
        Offsets in ``documents.tokens``; A and B together may be longer than ``room``.
    """
    offsets, starts, draw = documents.sentences, documents.starts, _draws(rng)
    for document in range(len(starts) - 1):
        sentence, end = starts[document:document + 2]
        target = room
        if next(draw) < short_seq_prob:
            target = 2 + int(next(draw) * (room - 1))
        while sentence < end:
            # enough sentences for the target, or what is left of the document
            stop = bisect_left(offsets, offsets[sentence] + target, sentence + 1, end)
            split = sentence + 1 + int(next(draw) * (stop - sentence - 1))
            other = None
            if split == stop or next(draw) < 0.5:
                other = _elsewhere(starts, document, sentence, stop, draw)
            if other:
                first, last = other
                last = bisect_left(offsets, offsets[first] + target - offsets[split]
                                   + offsets[sentence], first + 1, last)
                yield offsets[sentence], offsets[split], offsets[first], offsets[last], 1
                stop = split    # the sentences that were not used are the next ones
            elif split < stop:
                yield offsets[sentence], offsets[split], offsets[split], offsets[stop], 0
            sentence = stop


def _draws(rng):
    """Random numbers from 0 to 1, drawn in batches, for one call of numpy each is slow."""
    while True:
        yield from rng.random(1024).tolist()


def _elsewhere(starts, document, sentence, stop, draw):
    """A random sentence not in the document, and where its document ends; if there is no other
    document, a sentence outside ``sentence`` to ``stop``, or None if there is none."""
    if len(starts) > 2:
        other = int(next(draw) * (len(starts) - 2))
        other += other >= document
        first, last = starts[other:other + 2]
        return first + int(next(draw) * (last - first)), last
    others = starts[1] - (stop - sentence)
    if not others:
        return None
    first = int(next(draw) * others)
    return (first, sentence) if first < sentence else (first + stop - sentence, starts[1])


def truncate(spans: np.ndarray, room: int, rng: Any) -> np.ndarray:
    """Cut tokens off the longer text of each pair, B where they are equal, until both fit.

    Each is cut off its front or its back by chance: the cuts at the front are binomial.  Takes and
    returns (rows, 5) int64, rows as :func:`pairs` yields them.
    """
    spans = spans.copy()
    lengths = np.stack([spans[:, 1] - spans[:, 0], spans[:, 3] - spans[:, 2]])
    excess = np.maximum(lengths.sum(axis=0) - room, 0)
    level = np.minimum(excess, np.maximum(lengths - lengths[::-1], 0))
    rest = excess - level.sum(axis=0)   # they have come to equal length: by turns, B first
    for cut, start in ((level[0] + rest // 2, 0), (level[1] + (rest + 1) // 2, 2)):
        front = rng.binomial(cut, 0.5)
        spans[:, start] += front
        spans[:, start + 1] -= cut - front
    return spans


def choose(begins: np.ndarray, is_text: np.ndarray, wanted: np.ndarray,
           rng: Any) -> np.ndarray:
    """Choose words at random, as long as they fit into the wanted number of tokens.

    Parameters
    ----------
    begins : (rows, length) bool, where a word begins
    is_text : (rows, length) bool; the tokens from one beginning to the next are its word
    wanted : (rows,), the maximum number of tokens
    rng : numpy.random.Generator or RandomState

    Returns
    -------
    (rows, length) bool, the tokens of the chosen words
    """
    height, length = begins.shape
    column = np.arange(length)
    word = np.maximum.accumulate(np.where(begins, column, 0), axis=1)
    sizes = np.bincount((word + np.arange(height)[:, None] * length)[is_text],
                        minlength=height * length).reshape(height, length)
    # words in random order, others last: sorted by a random number with the column in its last bits
    keys = (rng.random((height, length)) * (1 << 40)).astype(np.int64) << 20 | column
    keys[~begins] |= 1 << 62
    order = np.sort(keys, axis=1)[:, :begins.sum(axis=1).max()] & ((1 << 20) - 1)
    taken = np.zeros((height, length), bool)
    count, row = np.zeros(height, np.int64), np.arange(height)
    for this in order.T:
        fits = count + sizes[row, this] <= wanted
        taken[row, this] = fits
        count += sizes[row, this] * fits
        if (count == wanted).all():
            break
    return is_text & np.take_along_axis(taken, word, axis=1)
