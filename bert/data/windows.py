"""Texts of any length through a model of limited length, in overlapping windows."""
import logging
import re
from typing import Callable, Iterable, Iterator, List, Sequence, Tuple

import numpy as np

from ..text.tokenizer import Tokenizer
from ..text.transform import owned_spans
from ..utils.errors import brief
from .sampling import evaluation_batches, run_batches

__all__ = ['OOV_WAYS', 'WindowEncoder', 'check_texts', 'merge_subwords']

OOV_WAYS = ('avg', 'sum', 'last')

_log = logging.getLogger(__name__)
_CHUNK = 1 << 15                                # tokens that are sorted by length together
_MARK = re.compile('^(##|\u2581)')              # of a later WordPiece, of a first SentencePiece


def check_texts(texts: Iterable[str]) -> Iterator[str]:
    """``texts``; TypeError, which numbers them from 1, if one is not a string."""
    if isinstance(texts, str):
        raise TypeError('texts is one string where a list of them is expected')
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise TypeError(f'text {number} is not a string: {brief(text)}')
        yield text


class WindowEncoder:
    """One vector per token for texts of any length.

    Parameters
    ----------
    tokenizer : bert.text.tokenizer.Tokenizer
    forward : callable
        (ids, token types, device) -> float32 NDArray (tokens of all rows, size).
    devices : sequence of mxnet.Context
        Batches are assigned to them round-robin.
    size : int
        Of a vector.
    max_length : int
        Tokens of a window, [CLS] and [SEP] included.
    batch_size, batch_tokens : int
        The most windows, and the most tokens, in a batch; at least 1.
    """

    def __init__(self, tokenizer: Tokenizer, forward: Callable, devices: Sequence, size: int,
                 max_length: int, batch_size: int, batch_tokens: int):
        self.tokenizer, self.forward = tokenizer, forward
        self._devices, self._size, self._room = devices, size, max_length - 2
        self._batch_size, self._batch_tokens = batch_size, batch_tokens

    def __call__(self, texts: Iterable[str]) -> Iterator[Tuple[List[int], np.ndarray]]:
        """(ids, vectors) of each text, in constant memory.

        ``ids`` are those of its sub-words, ``vectors`` is float32 (sub-words + 2, size), of which
        the first is of [CLS] and the last of [SEP].  A longer text is split into overlapping
        windows, with a warning: each token's vector comes from the window that shows most around
        it, those of [CLS] and [SEP] are the mean over the windows.
        """
        warned, chunk, tokens = False, [], 0
        for number, text in enumerate(check_texts(texts), 1):
            ids = self.tokenizer.ids(text)
            if len(ids) > self._room:
                _log.log(logging.DEBUG if warned else logging.WARNING,
                         'text %d has %d tokens, %d with [CLS] and [SEP]; it is split into '
                         'overlapping windows of %d%s', number, len(ids), len(ids) + 2,
                         self._room + 2, '' if warned else ', as are other texts of this length')
                warned = True
            chunk.append(ids)
            tokens += len(ids) + 2
            if tokens >= _CHUNK:
                yield from self._encode(chunk)
                chunk, tokens = [], 0
        yield from self._encode(chunk)

    def _encode(self, chunk):
        """(ids, vectors) of some texts, given as lists of ids."""
        found = [np.zeros((len(ids) + 2, self._size), np.float32) for ids in chunk]
        spans = [owned_spans(len(ids), self._room) for ids in chunk]
        windows = [(index, span) for index, several in enumerate(spans) for span in several]
        rows = [[self.tokenizer.cls_id] + chunk[index][start:end] + [self.tokenizer.sep_id]
                for index, (start, end, _, _) in windows]

        parts = evaluation_batches([len(row) for row in rows], self._batch_size,
                                   self._batch_tokens)
        results = run_batches(parts, self._devices, lambda part, device: self.forward(
            [rows[i] for i in part], [[0] * len(rows[i]) for i in part], device))
        for part, result in zip(parts, results):
            ends = np.cumsum([len(rows[window]) for window in part])
            for window, states in zip(part, np.split(result, ends[:-1])):
                index, (start, end, first, last) = windows[window]
                found[index][0] += states[0] / len(spans[index])
                found[index][1 + first:1 + last] = states[1 + first - start:1 + last - start]
                found[index][-1] += states[1 + end - start] / len(spans[index])
        _log.debug('%d texts, %d windows, %d batches', len(chunk), len(rows), len(parts))
        return zip(chunk, found)


def merge_subwords(tokenizer: Tokenizer, ids: List[int], vectors: np.ndarray,
                   oov_way: str) -> Tuple[List[str], np.ndarray]:
    """The words that sub-words make up, and one vector per word.

    ``vectors``: (sub-words, size); ``oov_way``: one of :data:`OOV_WAYS`, the mean, the sum or the
    last of a word's vectors.
    """
    subwords = tokenizer.tokens(ids)
    starts = [i for i, token in enumerate(subwords)
              if i == 0 or tokenizer.is_first_subword(token)]
    if not starts:
        return [], vectors
    ends = starts[1:] + [len(subwords)]
    words = [''.join(_MARK.sub('', token) for token in subwords[start:end]) or subwords[start]
             for start, end in zip(starts, ends)]
    if oov_way == 'last':
        return words, vectors[np.array(ends) - 1]
    total = np.add.reduceat(vectors, starts, axis=0)
    if oov_way == 'avg':
        total /= np.subtract(ends, starts)[:, None]
    return words, total
