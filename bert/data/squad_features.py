"""Questions -> the token ids, token types and offsets of windows over their passages.

Windows and the choice of the window with the most context follow google-research/bert
``run_squad.py``.  One thing is simpler, because every sub-word knows its characters in the
passage: the gold answer is the sub-words that overlap its characters.  The original only knows
words between spaces ("(1895-1943)." for "1895") and has to search them for the narrower span,
which it calls "improve answer span".
"""
import functools
import itertools
import logging
from typing import Iterable, List, NamedTuple, Sequence

import numpy as np

from ..text.tokenizer import Tokenizer
from ..utils.errors import DataError
from . import feature_cache
from .squad import Question

__all__ = ['SpanFeature', 'features', 'featurize', 'training_columns', 'training_rows',
           'warn_of_gaps']

_log = logging.getLogger(__name__)


class SpanFeature(NamedTuple):
    """One window over a passage: ``[CLS] question [SEP] window [SEP]``, without padding.

    All arrays have the same length, at most ``max_seq_length``.
    """
    id: str                     # of the question
    ids: np.ndarray             # int32
    token_types: np.ndarray     # int32: 0 up to the first [SEP], then 1
    starts: np.ndarray          # int32: characters starts[i]:ends[i] of the passage, -1 outside it
    ends: np.ndarray            # int32
    max_context: np.ndarray     # bool: of all windows, this one has the most context of the token
    answer_start: int           # positions of the first and last token of the answer; both 0,
    answer_end: int             # [CLS], if the whole answer is not in this window


def featurize(name: str, tokenizer: Tokenizer, questions: Sequence[Question], max_seq_length: int,
              doc_stride: int, max_query_length: int) -> List[List[SpanFeature]]:
    """The :func:`features` of each question, cached on disk; ``name`` is used in the log."""
    settings = max_seq_length, doc_stride, max_query_length
    fields = SpanFeature._fields[1:]        # all but the question's id

    def make():
        columns = {field: [] for field in ('owner', *fields)}
        for index, question in enumerate(questions):
            for feature in features(question, tokenizer, *settings):
                columns['owner'].append(index)
                for field in fields:
                    columns[field].append(getattr(feature, field))
        return columns

    columns = feature_cache.cached(name, tokenizer, itertools.chain([settings], questions), make)
    windows = [[] for _ in questions]
    for index, *values in zip(columns['owner'], *(columns[field] for field in fields)):
        windows[index].append(SpanFeature(questions[index].id, *values))
    return windows


def warn_of_gaps(windows: Iterable[Sequence[SpanFeature]], doc_stride: int) -> bool:
    """Warn if some of the questions have a passage in windows that do not overlap; whether so."""
    # of several windows the first is full: its tokens of type 1 are its part of the passage, [SEP]
    rooms = [int(several[0].token_types.sum()) - 1 for several in windows if len(several) > 1]
    apart = [room for room in rooms if doc_stride >= room]
    if apart:
        _log.warning('--doc_stride %d: the windows of %d question(s) do not overlap, answers '
                     'across their borders are lost; use %d or less', doc_stride, len(apart),
                     max(1, min(apart) // 2))
    return bool(apart)


def training_rows(windows: Iterable[Iterable[SpanFeature]]) -> List[SpanFeature]:
    """All windows in one list, with only the fields that training needs, to save memory."""
    return [window._replace(starts=None, ends=None, max_context=None)
            for window in itertools.chain.from_iterable(windows)]


def training_columns(rows: Sequence[SpanFeature]) -> List[list]:
    """Token ids, token types, first and last token of the answer of all rows: what is learned."""
    return [[getattr(row, field) for row in rows]
            for field in ('ids', 'token_types', 'answer_start', 'answer_end')]


def features(question: Question, tokenizer: Tokenizer, max_seq_length: int = 384,
             doc_stride: int = 128, max_query_length: int = 64) -> List[SpanFeature]:
    """Slide windows over the passage of one question; there is at least one.

    ``doc_stride`` is the number of sub-words from the start of one window to the next (fewer if a
    window is shorter, so that no sub-word is left out).
    """
    query = tokenizer.ids(question.question)[:max_query_length]
    room = max_seq_length - len(query) - 3
    if room < 1 or doc_stride < 1:
        raise DataError(f'--max_seq_length {max_seq_length} must exceed --max_query_length + 3 '
                        f'({max_query_length + 3}), and --doc_stride {doc_stride} must be positive')
    ids, starts, ends = _passage(tokenizer, question.context)
    windows = _windows(len(ids), room, doc_stride)
    max_context = _max_context(windows, len(ids))
    first, last = _answer_tokens(question, starts, ends)
    before = len(query) + 2
    out = []
    for (begin, end), best in zip(windows, max_context):
        inside = begin <= first <= last < end
        shift = before - begin
        out.append(SpanFeature(
            question.id,
            np.array([tokenizer.cls_id] + query + [tokenizer.sep_id] + ids[begin:end]
                     + [tokenizer.sep_id], 'int32'),
            np.repeat(np.array([0, 1], 'int32'), [before, end - begin + 1]),
            np.pad(starts[begin:end], (before, 1), constant_values=-1),
            np.pad(ends[begin:end], (before, 1), constant_values=-1),
            np.pad(best, (before, 1)),
            first + shift if inside else 0, last + shift if inside else 0))
    return out


@functools.lru_cache(maxsize=16)        # consecutive questions share their passage
def _passage(tokenizer, context):
    """Ids (list), starts and ends (int32 arrays) of the passage's sub-words."""
    ids, starts, ends = tokenizer.ids_and_offsets(context)
    return list(ids), np.array(starts, 'int32'), np.array(ends, 'int32')


def _windows(count, room, stride):
    """[(begin, end)] over ``count`` sub-words, at most ``room`` in each."""
    windows = [(0, min(count, room))]
    while windows[-1][1] < count:
        begin = windows[-1][0] + min(stride, room)
        windows.append((begin, min(count, begin + room)))
    return windows


def _max_context(windows, count):
    """[(length,) bool] of each window: of which of its sub-words it has the most context, the first
    of equals.  Context: the lesser number of sub-words to the left or right + 0.01 * length."""
    score, best = np.full(count, -1.), np.zeros(count, 'int32')
    for number, (begin, end) in enumerate(windows):
        position = np.arange(end - begin)
        context = np.minimum(position, position[::-1]) + 0.01 * (end - begin)
        better = context > score[begin:end]
        score[begin:end][better] = context[better]
        best[begin:end][better] = number
    return [best[begin:end] == number for number, (begin, end) in enumerate(windows)]


def _answer_tokens(question, starts, ends):
    """First and last sub-word that overlap the first answer; last < first or both -1: none does."""
    if not question.answers or question.answers[0].start < 0:
        return -1, -1
    text, start = question.answers[0]
    first = int(np.searchsorted(ends, start, 'right'))
    last = int(np.searchsorted(starts, start + len(text), 'left')) - 1
    return first, last
