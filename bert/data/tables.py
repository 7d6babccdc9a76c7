"""Sentence examples from files, and predictions to files.

One reader serves GLUE's own layouts and a user's tables (:mod:`bert.data.table_files`).
"""
import itertools
import json
import logging
import math
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ..utils.errors import DataError
from ..utils.files import atomic_text
from . import tasks
from .columns import describe, locate, name_of
from .label_reader import LabelReader
from .labels import alike, as_word, number, sort
from .table_files import has_quotes, looks_quoted, open_table

__all__ = ['Example', 'read_table', 'read_official', 'read_task', 'read_files', 'find_labels',
           'from_lines', 'write_submission', 'write_predictions']

_log = logging.getLogger(__name__)


class Example(NamedTuple):
    """A sentence or a pair.

    The label is a class name, a number (regression), a tuple of names (multi-label) or unknown.
    """
    text_a: str
    text_b: Optional[str]
    label: Union[str, float, Tuple[str, ...], None]
    index: str


def read_table(path: str, columns: Optional[tasks.Columns] = None,
               labels: Optional[Sequence[str]] = None, problem_type: str = tasks.SINGLE_LABEL,
               optional: Sequence[str] = (), aliases: Optional[Mapping[str, str]] = None,
               skip_ragged: bool = False, published: bool = False,
               order: Optional[Sequence[str]] = None) -> List[Example]:
    """The examples of a .csv, .tsv (.txt) or .jsonl (.json) file.

    Parameters
    ----------
    path : str
    columns : bert.data.tasks.Columns, optional
        Columns that it leaves open are found by the usual names: sentence or text; sentence1 and
        sentence2, question1 and question2, question and answer, ...; label or score.  Several
        label columns (a tuple) hold 0 or 1, and their names are the labels.
    labels : sequence of str, optional
        The labels that are allowed, in any case and with ``_``, ``-`` or spaces; any label is, if
        not given.
    problem_type : str
        ``SINGLE_LABEL`` of :mod:`bert.data.tasks`, ``REGRESSION`` (labels are numbers) or
        ``MULTI_LABEL`` (any number of labels: separated by commas, a JSON list, or several
        columns).
    optional : sequence of str
        Which of 'label' and 'index' the file may lack.  If 'label': where all labels are -1, they
        are unknown; where some are unknown, a warning says so.
    aliases : dict, optional
        A label in the file -> the label it stands for.
    skip_ragged : bool
        Skip lines with a wrong number of columns and log their number, rather than raise.
    published : bool
        Whether it is a file of a known task, for which no flag chooses columns; which are read is
        logged for others.
    order : sequence of str, optional
        The labels that lists of 0 and 1, one for each label, are about (``MULTI_LABEL``).

    Returns
    -------
    list of Example

    Raises
    ------
    DataError
        With the file, the line and the cure.
    """
    columns = columns or tasks.Columns()
    names, rows = open_table(path, columns.header)
    where, examples, ragged, unknown, quoted = None, [], [], [], []
    reader = LabelReader(labels, problem_type, aliases, 'label' in optional,
                         columns.label if isinstance(columns.label, tuple) else None, order)
    for line, fields in rows:
        if where is None:
            width = len(names or fields)
            where = locate(path, columns, names, width, problem_type, optional, published)
        if len(fields) != width:
            if not skip_ragged:
                raise DataError(f'{path}:{line}: {len(fields)} column(s) where there should be '
                                f'{width}; in a .csv file, put double quotes around a text that '
                                'contains the separator')
            ragged.append(line)
            continue
        label = None
        try:
            texts = []
            for place in where.texts:
                texts.append(_text(fields[place]))
            place = where.label
            if isinstance(place, tuple):
                label = reader.read([fields[i] for i in place])
            elif place is not None:
                label = reader.read(fields[place])
        except ValueError as error:
            column = name_of(place, names)
            raise DataError(f'{path}:{line}: column {column}: {error}') from None
        if label is None:
            unknown.append(line)
        if not published and any(map(looks_quoted, texts)):
            quoted.append(line)
        index = str(len(examples)) if where.index is None else as_word(fields[where.index])
        examples.append(Example(texts[0], texts[1] if len(texts) == 2 else None, label, index))
    if ragged:
        _log.warning('%s: skipped %d broken line(s), the first is line %d', path, len(ragged),
                     ragged[0])
    if quoted and not has_quotes(path):
        _log.warning('%s: %d texts have quotation marks around them and doubled ones inside, the '
                     'first in line %d; they are part of the text, since fields of .tsv files are '
                     'not quoted: save the table as .csv if they should not be', path, len(quoted),
                     quoted[0])
    if not examples:
        raise DataError(f"{path}: no examples; the file needs "
                        f"{'a header and ' if columns.header else ''}one example per line")
    if 0 < len(unknown) < len(examples):
        _log.warning('%s: %d of %d rows have no label, the first is line %d: the set is '
                     'predicted, but not scored', path, len(unknown), len(examples), unknown[0])
    if problem_type == tasks.MULTI_LABEL and not (labels or order
                                                  or isinstance(where.label, tuple)):
        _refuse_unclear(path, examples, name_of(where.label, names))
    if not published:
        _log.info('%s: %s', path, describe(where, names))
    return _forget_placeholders(examples) if 'label' in optional else examples


def _refuse_unclear(path, examples, column):
    """Raise DataError if all that is known of the labels is the lists [0, 1] and [1, 0]."""
    given = [example.label for example in examples if example.label is not None]
    if given and all(len(label) == 2 and set(label) == {'0', '1'} for label in given):
        raise DataError(f'{path}: column {column}: every label is [0, 1] or [1, 0]; if that is 0 '
                        'or 1 for each of two labels, name these with --labels A,B; if each text '
                        'has both classes 0 and 1, add --labels 0,1')


def _forget_placeholders(examples):
    """The examples without labels if all have -1, as the test sets of the hub's GLUE do."""
    if all(label in (None, (), -1) or isinstance(label, str) and number(label) == -1
           for label in (example.label for example in examples)):
        return [example._replace(label=None) for example in examples]
    return examples


def read_official(task: tasks.Task, split: str, folder: str) -> List[Example]:
    """The examples of an official split; ``folder`` holds the task's files.

    Test splits may lack labels.  Errors as :func:`bert.data.tasks.official`, :func:`read_table`.
    """
    path, columns = tasks.official(task, split, folder)
    return read_table(path, columns, task.labels, task.problem_type,
                      ('index', 'label') if split in task.test else ('index',),
                      task.label_aliases, task.skip_ragged, published=True)


def read_task(task: tasks.Task, splits: Sequence[str], folder: str) -> Dict[str, List[Example]]:
    """{split: examples} of official splits; test splits without a file are left out, and logged."""
    examples = {}
    for split in splits:
        if split in task.test and not tasks.has(task, split, folder):
            _log.info('%s has no %s file of %s: nothing to predict', folder, split, task.name)
        else:
            examples[split] = read_official(task, split, folder)
    return examples


def read_files(paths: Mapping[str, Optional[str]], columns: tasks.Columns,
               labels: Optional[Sequence[str]] = None, problem_type: str = tasks.SINGLE_LABEL,
               order: Optional[Sequence[str]] = None) -> Dict[str, List[Example]]:
    """{split: examples} of a user's own files, 'train' first; those without a path are left out.

    The labels of the training data are the only ones allowed, unless ``labels`` are given;
    ``problem_type`` and ``order`` as for :func:`read_table`.
    """
    examples = {}
    for split, path in paths.items():
        if path:
            examples[split] = read_table(path, columns, labels, problem_type,
                                         ('label',) if split == 'test' else (), order=order)
        if split == 'train' and path and not labels and problem_type != tasks.REGRESSION:
            labels = find_labels(examples['train'])
            _warn_of_labels(path, labels)
    return examples


def _warn_of_labels(path, labels):
    for group in alike(labels):
        _log.warning('%s: the labels %s are different classes; if they mean the same, correct the '
                     'data', path, ' and '.join(f'"{label}"' for label in group))
    odd = [label for label in labels if not number(label).is_integer()]
    if odd and all(math.isfinite(number(label)) for label in labels):
        _log.warning('%s: numbers such as %s are read as %d classes; to predict numbers add '
                     '--regression', path, odd[0], len(labels))


def find_labels(examples: Iterable[Example]) -> Tuple[str, ...]:
    """The labels that occur, sorted; numbers are sorted as numbers.

    Raises DataError unless there are two of them, or one where a text may have several.
    """
    found = [example.label for example in examples]
    several = any(isinstance(label, tuple) for label in found)
    labels = sort(itertools.chain.from_iterable(found) if several else found)
    if not labels:
        raise DataError('no training example has a label: is --label_column right?')
    if len(labels) < 2 and not several:
        raise DataError(f'every training example has the label "{labels[0]}"; a classifier needs '
                        'two classes: is --label_column right?')
    return labels


def from_lines(lines: Iterable[Tuple[str, str]], pair: Optional[bool] = None) -> List[Example]:
    """Examples without labels from lines of a text, or of two texts with a tab between them.

    ``lines`` are pairs (where, line), of which the first becomes the index of the example.
    ``pair`` says whether the model takes one text or two; None if it takes both.
    """
    examples = []
    for where, line in lines:
        texts = line.split('\t')
        if len(texts) > 2 or pair is not None and len(texts) != 1 + pair:
            wanted = {None: 'one text, or two', False: 'one text', True: 'two texts'}[pair]
            apart = ', each quoted' if where == '--predict' else ', separated by a tab'
            raise DataError(f'{where}: the model takes {wanted}'
                            f"{'' if pair is False else apart}, not {len(texts)}")
        examples.append(Example(texts[0], texts[1] if len(texts) == 2 else None, None, where))
    return examples


def write_submission(path: str, task: tasks.Task, indices: Sequence[str],
                     predictions: Sequence[Any]) -> None:
    """Write test predictions as GLUE wants them: ``index<TAB>prediction`` under a header.

    ``predictions``: (n,) class ids, or (n,) numbers for a regression, which are clipped to the
    task's bounds.
    """
    if task.labels is not None:
        words = [task.labels[prediction] for prediction in predictions]
    else:
        low, high = task.bounds or (-math.inf, math.inf)
        words = [f'{min(max(score, low), high):.3f}' for score in predictions]
    _write(path, ['index', 'prediction'], indices, words)


def write_predictions(path: str, indices: Sequence[str], predictions: Sequence[Any],
                      labels: Optional[Sequence[str]] = None, probabilities: Any = None) -> None:
    """Write predictions for a user's own data as a TSV file with a header.

    Parameters
    ----------
    path : str
    indices : (n,) sequence of str
    predictions : (n,) class ids, or sequences of class ids; numbers if ``labels`` is None
    labels : sequence of str, optional
    probabilities : (n, classes) array, optional
        Becomes one column per class, with the class as its name.
    """
    words = [f'{value:.6g}' if labels is None else
             ','.join(labels[i] for i in np.atleast_1d(value)) for value in predictions]
    if probabilities is None:
        _write(path, ['index', 'prediction'], indices, words)
    else:
        _write(path, ['index', 'prediction', *labels], indices, words, probabilities)


def _write(path, header, *columns):
    """Write indices, words and perhaps rows of numbers, of which there may be very many."""
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        raise ValueError(f'columns of lengths {lengths}')
    with atomic_text(path) as f:
        f.write('\t'.join(header) + '\n')
        for index, word, *rows in zip(*columns):
            numbers = ''.join('\t%.6f' * len(row) % tuple(row) for row in rows)
            f.write(f'{index}\t{word}{numbers}\n')


def _text(value):
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if not isinstance(value, str):
        raise ValueError('not a text')
    return value
