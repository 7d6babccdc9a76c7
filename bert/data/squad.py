"""SQuAD 1.1 and 2.0: json -> questions -> windows of features; logits -> answers in the passage.

Windows, max-context and the null score are those of google-research/bert ``run_squad.py``.  Two
things are simpler here, because every sub-word knows its characters in the original passage:

* A gold answer is the pieces that overlap its characters.  The original knows whitespace words
  only ("(1895-1943)." for "1895") and so has to search them for the narrower span that it calls
  "improve answer span"; by characters that span is found at once.
* A predicted answer is a slice of the passage, so nothing has to be realigned ("get final text")
  and case, accents, Chinese and every kind of space come out as they went in.
"""
import functools
import json
import logging
import os
import re
from typing import Dict, List, NamedTuple

import numpy as np

from ..utils.errors import DataError
from ..utils.files import atomic, read_json

__all__ = ['Answer', 'Question', 'Feature', 'Prediction', 'read', 'features', 'predict', 'write']

_SHAPE = ('a SQuAD file is {"data": [{"paragraphs": [{"context": "...", "qas": [{"id": "...", '
          '"question": "...", "answers": [{"text": "...", "answer_start": 0}]}]}]}]}')
_KINDS = {str: 'a string', list: 'a list', int: 'an integer', bool: 'true or false'}
# null_odds of a passage without any span to answer with: above every threshold, and valid JSON
_NO_SPAN = 1e9

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """A gold answer: its text and where that starts in the passage (-1: it does not occur)."""
    text: str
    start: int


class Question(NamedTuple):
    """One question on one passage.  No answers and not ``impossible``: the file has no labels."""
    id: str
    question: str
    context: str
    answers: List[Answer]
    impossible: bool


class Feature(NamedTuple):
    """One window over a passage: ``[CLS] question [SEP] window [SEP]``, without padding.

    All arrays are of one length, at most ``max_seq_length``.
    """
    id: str                     # of the question
    ids: np.ndarray             # int32
    segments: np.ndarray        # int32: 0 up to the first [SEP], then 1
    starts: np.ndarray          # int32: characters starts[i]:ends[i] of the passage, -1 outside it
    ends: np.ndarray            # int32
    max_context: np.ndarray     # bool: of all windows, this one shows the most around the piece
    answer_start: int           # positions of the first and last piece of the answer; both 0,
    answer_end: int             # [CLS], where the answer is not wholly in this window


class Prediction(NamedTuple):
    """What the model answers to one question."""
    id: str
    text: str                   # '' means: the passage does not answer it
    nbest: List[Dict]           # {text, probability, start_logit, end_logit}, best first
    null_odds: float            # score of no answer - score of the best answer
    start: int                  # character of the passage where text starts; -1: no answer


def read(path, train):
    """Read a SQuAD 1.1 or 2.0 file into a list of :class:`Question`.

    An answer whose ``answer_start`` is wrong is taken at the nearest place where it occurs (runs
    of whitespace match each other).  Where it does not occur at all, a question with no other
    answer is skipped if ``train``, and kept for scoring otherwise.  Both are logged with their
    number.  Raises DataError for anything else that is not SQuAD.
    """
    path = os.fspath(path)
    questions, seen, moved, lost = [], set(), 0, []
    for where, context, qa in _entries(path):
        id_ = _get(qa, 'id', str, where)
        where = f'{path}: question {id_}'
        if id_ in seen:
            raise DataError(f'{where}: this id occurs twice; give each question its own')
        seen.add(id_)
        given, impossible = _labels(qa, where, train)
        answers = [_locate(answer, context) for answer in given]
        moved += sum(0 <= new.start != old.start for old, new in zip(given, answers))
        if train and given:
            answers = [answer for answer in answers if answer.start >= 0]
            if not answers:
                lost.append(id_)
                continue
        questions.append(Question(id_, _get(qa, 'question', str, where), context, answers,
                                  impossible))
    if moved:
        log.warning('%s: %d answers are not at their answer_start; taken at the nearest place '
                    'where they occur', path, moved)
    if lost:
        log.warning('%s: %d questions skipped, their answers do not occur in the passage '
                    '(the first is %s)', path, len(lost), lost[0])
    if not questions:
        raise DataError(f"{path}: has no questions{' left' if lost else ''}; {_SHAPE}")
    return questions


def _entries(path):
    """Yield (place in the file for messages, context, qa) of each question."""
    for i, article in enumerate(_get(read_json(path), 'data', list, path)):
        where = f'{path}: data[{i}]'
        for k, paragraph in enumerate(_get(article, 'paragraphs', list, where)):
            place = f'{where}.paragraphs[{k}]'
            context = _get(paragraph, 'context', str, place)
            for n, qa in enumerate(_get(paragraph, 'qas', list, place)):
                yield f'{place}.qas[{n}]', context, qa


def _get(node, key, kind, where):
    """``node[key]``, which has to be of type ``kind``; ``where`` names the node to the user."""
    if not isinstance(node, dict) or key not in node:
        raise DataError(f'{where}: "{key}" is missing; {_SHAPE}')
    if not isinstance(node[key], kind):
        raise DataError(f'{where}: "{key}" has to be {_KINDS[kind]}; {_SHAPE}')
    return node[key]


def _labels(qa, where, train):
    """(answers as the file has them, empty ones dropped; impossible).

    What is only to be predicted needs no "answers"; SQuAD 1.1 knows no "is_impossible".
    """
    impossible = 'is_impossible' in qa and _get(qa, 'is_impossible', bool, where)
    if 'answers' not in qa and (impossible or not train):
        return [], impossible
    answers = [Answer(_get(a, 'text', str, where), _get(a, 'answer_start', int, where))
               for a in _get(qa, 'answers', list, where)]
    answers = [answer for answer in answers if answer.text.strip()]
    if impossible and answers:
        raise DataError(f'{where}: "is_impossible" is true, yet it has answers; remove one of the '
                        'two (or call them "plausible_answers")')
    if not answers and not impossible and 'is_impossible' in qa:
        raise DataError(f'{where}: "is_impossible" is false, yet it has no answer; correct one of '
                        'the two')
    return answers, not answers


def _locate(answer, context):
    """The answer where it occurs nearest to its ``start``, or with start -1."""
    text, start = answer
    if start >= 0 and context.startswith(text, start):
        return answer
    pattern = r'\s+'.join(re.escape(word) for word in text.split())
    found = min(re.finditer(pattern, context), key=lambda m: abs(m.start() - start), default=None)
    return Answer(text, -1) if found is None else Answer(found.group(), found.start())


def features(question, tok, max_seq_length=384, doc_stride=128, max_query_length=64):
    """Slide windows over the passage of one question: a list of :class:`Feature`, never empty.

    tok: a tokenizer with ``ids``, ``pieces``, ``cls_id`` and ``sep_id``.
    doc_stride: pieces from the start of one window to the next (less where a window is shorter,
    so that no piece is left out).
    """
    query = tok.ids(question.question)[:max_query_length]
    room = max_seq_length - len(query) - 3
    if room < 1 or doc_stride < 1:
        raise DataError(f'--max_seq_length {max_seq_length} must exceed --max_query_length + 3 '
                        f'({max_query_length + 3}), and --doc_stride {doc_stride} must be positive')
    ids, starts, ends = _pieces(tok, question.context)
    windows = _windows(len(ids), room, doc_stride)
    max_context = _max_context(windows, len(ids))
    first, last = _answer_pieces(question, starts, ends)
    before = len(query) + 2
    out = []
    for (begin, end), best in zip(windows, max_context):
        inside = begin <= first <= last < end
        shift = before - begin
        out.append(Feature(
            question.id,
            np.array([tok.cls_id] + query + [tok.sep_id] + ids[begin:end] + [tok.sep_id], 'int32'),
            np.repeat(np.array([0, 1], 'int32'), [before, end - begin + 1]),
            np.pad(starts[begin:end], (before, 1), constant_values=-1),
            np.pad(ends[begin:end], (before, 1), constant_values=-1),
            np.pad(best[begin:end], (before, 1)),
            first + shift if inside else 0, last + shift if inside else 0))
    return out


@functools.lru_cache(maxsize=16)        # the questions on one passage come one after another
def _pieces(tok, context):
    """Ids (list), starts and ends (int32 arrays) of the passage's pieces."""
    ids, starts, ends = tok.pieces(context)
    return list(ids), np.array(starts, 'int32'), np.array(ends, 'int32')


def _windows(count, room, stride):
    """[(begin, end)] over ``count`` pieces, ``room`` pieces at most each."""
    windows = [(0, min(count, room))]
    while windows[-1][1] < count:
        begin = windows[-1][0] + min(stride, room)
        windows.append((begin, min(count, begin + room)))
    return windows


def _max_context(windows, count):
    """(windows, count) bool: the window in which each piece has the most context, the first of
    equals.  Context: the lesser of the pieces to its left and right + 0.01 * window length."""
    position = np.arange(count)
    begin, end = np.array(windows).T[:, :, None]
    score = np.minimum(position - begin, end - 1 - position) + 0.01 * (end - begin)
    score[(position < begin) | (position >= end)] = -1
    return score.argmax(axis=0) == np.arange(len(windows))[:, None]


def _answer_pieces(question, starts, ends):
    """First and last piece that overlap the first answer; last < first or both -1: none does."""
    if not question.answers or question.answers[0].start < 0:
        return -1, -1
    text, start = question.answers[0]
    first = int(np.searchsorted(ends, start, 'right'))
    last = int(np.searchsorted(starts, start + len(text), 'left')) - 1
    return first, last


def predict(question, features, start_logits, end_logits, n_best_size=20, max_answer_length=30,
            null_score_diff_threshold=0.0, version_2=False):
    """Answer one question from the logits of all its windows: a :class:`Prediction`.

    start_logits, end_logits: one row for each feature, (length or more,) floats.
    max_answer_length: in pieces.
    n_best_size: how many different texts to list; with ``version_2`` "no answer" is always among
    them, in addition if it would not make the list.

    With ``version_2`` the text is '' exactly where ``null_odds > null_score_diff_threshold``, else
    the best span.  All spans are compared, not only those between the ``n_best_size`` best starts
    and ends, so there is one wherever the passage has a word.
    """
    rows, origins, null = [], [], None
    for feature, start, end in zip(features, start_logits, end_logits):
        start = np.asarray(start[:len(feature.ids)], 'float64')
        end = np.asarray(end[:len(feature.ids)], 'float64')
        if not (np.isfinite(start).all() and np.isfinite(end).all()):
            raise DataError(f'question {question.id}: the model returned scores that are not '
                            'finite; check its parameters, or use --dtype float32')
        no_answer = _entry('', start[0], end[0])
        if null is None or _score(no_answer) < _score(null):
            null = no_answer
        first = np.flatnonzero(feature.max_context)
        # the [SEP] at the end and all beyond it cannot end an answer
        end = np.concatenate([end[:-1], np.full(max_answer_length, -np.inf)])
        rows.append(start[first, None] + end[first[:, None] + np.arange(max_answer_length)])
        origins.extend((feature, start, end, i) for i in first)
    spans, places = {}, {}
    for index in _descending(np.concatenate(rows).ravel(), 2 * n_best_size):
        row, more = divmod(int(index), max_answer_length)
        feature, start, end, i = origins[row]
        text = question.context[feature.starts[i]:feature.ends[i + more]].strip()
        if text and text not in spans:
            places[text] = question.context.index(text, feature.starts[i])
            spans[text] = _entry(text, start[i], end[i + more])
            if len(spans) == n_best_size:
                break
    spans = list(spans.values())
    best = spans[0] if spans else null
    null_odds = _score(null) - _score(best) if spans else _NO_SPAN
    nbest = spans or [null]
    if version_2:
        nbest = sorted(spans + [null], key=_score, reverse=True)[:n_best_size]
        if null not in nbest:
            nbest.append(null)
    _set_probabilities(nbest)
    answerable = not version_2 or null_odds <= null_score_diff_threshold
    text = best['text'] if answerable else ''
    return Prediction(question.id, text, nbest, null_odds, places.get(text, -1))


def _entry(text, start, end):
    return {'text': text, 'probability': 0.0, 'start_logit': float(start), 'end_logit': float(end)}


def _score(entry):
    return entry['start_logit'] + entry['end_logit']


def _set_probabilities(nbest):
    """Softmax over the scores of the list."""
    scores = np.array([_score(entry) for entry in nbest])
    weights = np.exp(scores - scores.max())
    for entry, share in zip(nbest, weights / weights.sum()):
        entry['probability'] = float(share)


def _descending(scores, count):
    """Yield the indices of the finite scores, best first, equals in order.

    Only few are asked for as a rule, so ``count`` are sorted at first and more when it comes to it.
    """
    rest = np.flatnonzero(scores > -np.inf)
    while len(rest):
        values = scores[rest]
        kth = max(len(rest) - count, 0)
        top = values >= np.partition(values, kth)[kth]
        yield from rest[top][np.argsort(-values[top], kind='stable')]
        rest = rest[~top]
        count *= 4


def write(folder, predictions):
    """Write predictions.json, nbest_predictions.json and null_odds.json, each atomically."""
    predictions = list(predictions)
    for name, field in (('predictions', 'text'), ('nbest_predictions', 'nbest'),
                        ('null_odds', 'null_odds')):
        with atomic(os.path.join(folder, name + '.json')) as temporary, \
                open(temporary, 'w', encoding='utf-8') as file:
            # escaped, for evaluate-v2.0 opens it in whatever encoding the system has
            json.dump({p.id: getattr(p, field) for p in predictions}, file, indent=4)
            file.write('\n')
