"""SQuAD 1.1 and 2.0 files -> questions.

:mod:`bert.data.squad_features` turns questions into the inputs of a network, and
:mod:`bert.data.squad_answers` its logits into answers.
"""
import logging
import os
import re
from typing import Iterable, List, NamedTuple, Tuple

from ..utils.errors import DataError
from ..utils.files import decompressed_name
from .table_files import read_json_or_lines, read_objects

__all__ = ['Answer', 'Question', 'check_version', 'from_lines', 'is_labelled', 'read']

_SHAPE = ('a SQuAD file is {"data": [{"paragraphs": [{"context": "...", "qas": [{"id": "...", '
          '"question": "...", "answers": [{"text": "...", "answer_start": 0}]}]}]}]}')
_KINDS = {str: 'a string', list: 'a list', int: 'an integer', bool: 'true or false'}

_log = logging.getLogger(__name__)


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


def is_labelled(questions: Iterable[Question]) -> bool:
    """Whether all questions have labels, so that answers to them can be scored."""
    return all(question.answers or question.impossible for question in questions)


def check_version(path: str, questions: Iterable[Question], version_2: bool, train: bool) -> None:
    """Warn of questions without an answer where ``version_2`` does not ask for them; DataError if
    they are to ``train`` on."""
    impossible = sum(question.impossible for question in questions)
    if impossible and not version_2:
        text = f'{path}: {impossible} questions have no answer'
        if train:
            raise DataError(f'{text}; add --version_2')
        _log.warning('%s, but get one without --version_2', text)


def read(path: str, train: bool) -> List[Question]:
    """The questions of a SQuAD 1.1 or 2.0 file, or of rows of Hugging Face's datasets (context,
    question, id, answers), as a list, JSON lines (.json or .jsonl) or under "data".

    An answer with a wrong ``answer_start`` is moved to the nearest place where it occurs (any
    whitespace matches any other).  If it does not occur at all, a question without another answer
    is skipped if ``train``, and kept for scoring otherwise.  The number of both is logged.  Raises
    DataError for anything else that is not SQuAD.
    """
    path = os.fspath(path)
    questions, seen, moved, lost = [], set(), 0, []
    for where, context, qa in _entries(path):
        id_ = _id(qa, where)
        where = f'{path}: question {id_}'
        if id_ in seen:
            raise DataError(f'{where}: this id occurs twice; ids must be unique')
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
        _log.warning('%s: %d answers are not at their answer_start; using the nearest place where '
                     'they occur', path, moved)
    if lost:
        _log.warning('%s: skipped %d questions whose answers do not occur in the passage (the '
                     'first is %s)', path, len(lost), lost[0])
    if not questions:
        raise DataError(f"{path}: has no questions{' left' if lost else ''}; {_SHAPE}")
    return questions


def from_lines(lines: Iterable[Tuple[str, str]]) -> List[Question]:
    """Questions without labels from lines of a question, a tab and a passage.

    ``lines`` are pairs (where, line), of which the first becomes the id of the question.
    """
    questions = []
    for where, line in lines:
        question, tab, passage = line.partition('\t')
        if not tab:
            raise DataError(f'{where}: only one text; give a question and a passage, separated by '
                            'a tab')
        questions.append(Question(where, question, passage, [], False))
    return questions


def _entries(path):
    """Yield (place in the file, for messages; context; qa) for each question."""
    for i, article in enumerate(_articles(path)):
        where = f'{path}: data[{i}]'
        if isinstance(article, dict) and 'paragraphs' not in article and 'context' in article:
            yield where, _get(article, 'context', str, where), _unflattened(article, where)
            continue
        for k, paragraph in enumerate(_get(article, 'paragraphs', list, where)):
            place = f'{where}.paragraphs[{k}]'
            context = _get(paragraph, 'context', str, place)
            for n, qa in enumerate(_get(paragraph, 'qas', list, place)):
                yield f'{place}.qas[{n}]', context, qa


def _articles(path):
    if decompressed_name(path).lower().endswith('.jsonl'):
        return [item for _, item in read_objects(path)]
    content = read_json_or_lines(path)
    if isinstance(content, dict) and 'data' not in content and 'context' in content:
        return [content]        # a single line
    return content if content and isinstance(content, list) else _get(content, 'data', list, path)


def _unflattened(row, where):
    """A question as SQuAD has it of a row of Hugging Face's datasets."""
    if not isinstance(row.get('answers'), dict):
        return row
    texts, starts = (_get(row['answers'], key, list, where) for key in ('text', 'answer_start'))
    if len(texts) != len(starts):
        raise DataError(f'{where}: {len(texts)} texts of answers, but {len(starts)} answer_start')
    return dict(row, answers=[{'text': text, 'answer_start': start}
                              for text, start in zip(texts, starts)])


def _get(node, key, kind, where):
    """``node[key]``, which must be of type ``kind``; ``where`` names the node in messages."""
    if not isinstance(node, dict) or key not in node:
        raise DataError(f'{where}: "{key}" is missing; {_SHAPE}')
    if not isinstance(node[key], kind):
        raise DataError(f'{where}: "{key}" must be {_KINDS[kind]}; {_SHAPE}')
    return node[key]


def _id(qa, where):
    """The id of a question as a str; some files have integers."""
    if isinstance(qa, dict) and type(qa.get('id')) is int:
        return str(qa['id'])
    return _get(qa, 'id', str, where)


def _labels(qa, where, train):
    """(the answers in the file, without empty ones; impossible).

    A question that is only predicted needs no "answers"; SQuAD 1.1 has no "is_impossible".
    """
    impossible = 'is_impossible' in qa and _get(qa, 'is_impossible', bool, where)
    if 'answers' not in qa and (impossible or not train):
        return [], impossible
    answers = [Answer(_get(a, 'text', str, where), _get(a, 'answer_start', int, where))
               for a in _get(qa, 'answers', list, where)]
    answers = [answer for answer in answers if answer.text.strip()]
    if impossible and answers:
        raise DataError(f'{where}: "is_impossible" is true, but it has answers; remove one of the '
                        'two (or call them "plausible_answers")')
    if not answers and not impossible and 'is_impossible' in qa:
        if not train:       # the labels were removed
            return [], False
        raise DataError(f'{where}: "is_impossible" is false, but it has no answer; correct one of '
                        'the two')
    return answers, not answers


def _locate(answer, context):
    """The answer at the place nearest to its ``start``, or with start -1."""
    text, start = answer
    if start >= 0 and context.startswith(text, start):
        return answer
    pattern = r'\s+'.join(re.escape(word) for word in text.split())
    found = min(re.finditer(pattern, context), key=lambda m: abs(m.start() - start), default=None)
    return Answer(text, -1) if found is None else Answer(found.group(), found.start())
