"""Sentence examples from files, and predictions to files.

One reader serves GLUE's own layouts and a user's tables: CSV (quoted as in RFC 4180), TSV (never
quoted, as GLUE's) and JSON lines, told apart by the file's suffix, all in UTF-8.
"""
import csv
import json
import logging
import math
import os
from typing import NamedTuple, Optional, Union

from ..utils.errors import DataError
from ..utils.files import atomic, read_lines
from . import tasks

__all__ = ['Example', 'read_table', 'read_official', 'find_labels', 'write_submission',
           'write_predictions']

logger = logging.getLogger(__name__)

# the usual names of columns, tried in this order
_TEXTS = (('sentence1', 'sentence2'), ('question1', 'question2'), ('premise', 'hypothesis'),
          ('question', 'sentence'), ('text_a', 'text_b'), ('sentence',), ('text',), ('question',))
_LABELS = (('label',), ('score',))


class Example(NamedTuple):
    """A sentence or a pair; the label is a class's name, a number (regression) or unknown."""
    text_a: str
    text_b: Optional[str]
    label: Union[str, float, None]
    index: str


def read_table(path, columns=None, labels=None, regression=False, optional=(), aliases=None,
               skip_ragged=False):
    """The examples of a .csv, .tsv (.txt) or .jsonl (.json) file.

    Parameters
    ----------
    path : str
    columns : bert.data.tasks.Columns, optional
        What it leaves open is looked for under the usual names: sentence or text; sentence1 and
        sentence2, question1 and question2, premise and hypothesis, ...; label or score.
    labels : sequence of str, optional
        The labels that may occur; any may where it is not given.
    regression : bool
        Labels are numbers.
    optional : sequence of str
        Of 'label' and 'index', those that the file may lack.
    aliases : dict, optional
        A label in the file -> the one meant.
    skip_ragged : bool
        Leave out lines with a wrong number of columns, and say how many, rather than raise.

    Returns
    -------
    list of Example

    Raises
    ------
    DataError
        With file, line and cure.
    """
    columns = columns or tasks.Columns()
    known = None if labels is None else frozenset(labels)
    names, rows = _open_table(path, columns.header)
    where, examples, ragged = None, [], []
    for line, fields in rows:
        if where is None:
            width = len(names or fields)
            where = _locate(path, columns, names, width, regression, optional)
        if len(fields) != width:
            if not skip_ragged:
                raise DataError(f'{path}:{line}: {len(fields)} column(s) where there should be '
                                f'{width}; a text that holds '
                                'the separator belongs in double quotes in a .csv file')
            ragged.append(line)
            continue
        texts, label, index = [fields[place] for place in where.texts], None, str(len(examples))
        try:
            for place in where.texts:
                if not isinstance(fields[place], str):
                    raise ValueError('no text in it')
            place = where.label
            if place is not None and not (fields[place] in (None, '') and 'label' in optional):
                label = _label(fields[place], known, regression, aliases or {})
        except ValueError as error:
            raise DataError('%s:%d: column %s: %s' % (
                path, line, f'"{names[place]}"' if names else place, error)) from None
        if where.index is not None:
            index = _word(fields[where.index])
        examples.append(Example(texts[0], texts[1] if len(texts) == 2 else None, label, index))
    if ragged:
        logger.warning('%s: left out %d broken line(s), the first is line %d', path, len(ragged),
                       ragged[0])
    if not examples:
        raise DataError(f"{path}: no examples; it needs "
                        f"{'a header and ' if columns.header else ''}one example a line")
    return examples


def read_official(task, split, folder):
    """The examples of an official split, ``folder`` being that of the task's files.

    Test splits may lack labels.  Errors as :func:`bert.data.tasks.official`, :func:`read_table`.
    """
    path, columns = tasks.official(task, split, folder)
    return read_table(path, columns, task.labels, task.labels is None,
                      ('index', 'label') if split in task.test else ('index',),
                      task.label_aliases, task.skip_ragged)


def find_labels(examples):
    """The labels that occur, as a sorted tuple; numbers are sorted as numbers."""
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        raise DataError(f'every training example has the label "{labels[0]}"; a classifier needs '
                        'two classes: is --label_column right?')
    if all(math.isfinite(_number(label)) for label in labels):
        labels.sort(key=_number)
    return tuple(labels)


def write_submission(path, task, indices, predictions):
    """Write test predictions as GLUE wants them: ``index<TAB>prediction`` under a header.

    ``predictions``: (n,) class ids; for a regression (n,) scores, which are kept within the
    task's bounds.
    """
    if task.labels is not None:
        words = [task.labels[prediction] for prediction in predictions]
    else:
        low, high = task.bounds or (-math.inf, math.inf)
        words = [f'{min(max(score, low), high):.3f}' for score in predictions]
    _write(path, ['index', 'prediction'], indices, words)


def write_predictions(path, indices, predictions, labels=None, probabilities=None):
    """Write predictions of one's own data as a TSV file with a header.

    Parameters
    ----------
    path : str
    indices : (n,) sequence of str
    predictions : (n,) class ids, or scores where ``labels`` is None
    labels : sequence of str, optional
    probabilities : (n, classes) array, optional
        Becomes one column a class, called as the class is.
    """
    words = [f'{value:.6g}' if labels is None else labels[value] for value in predictions]
    if probabilities is None:
        _write(path, ['index', 'prediction'], indices, words)
    else:
        _write(path, ['index', 'prediction'] + list(labels), indices, words,
               *([f'{value:.6f}' for value in values] for values in zip(*probabilities)))


def _write(path, header, *columns):
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f'columns of lengths {[len(column) for column in columns]}')
    with atomic(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='\n') as f:
        for row in [header, *zip(*columns)]:
            f.write('\t'.join(map(str, row)) + '\n')


def _open_table(path, header):
    """The columns' names, None without a header, and an iterator of (line number, fields)."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _FORMATS:
        raise DataError('%s: unknown kind of table "%s"; name it as one of %s' % (
            path, suffix, ', '.join(_FORMATS)))
    rows = _FORMATS[suffix](path)
    if not header and suffix not in ('.jsonl', '.json'):
        return None, rows
    return [name.strip() for name in next(rows, (0, []))[1]], rows


def _tsv(path):
    return _without_blanks((number, line.rstrip('\r\n').split('\t'))
                           for number, line in read_lines(path))


def _csv(path):
    return _without_blanks(_quoted(path))


def _quoted(path):
    reader = csv.reader((line for _, line in read_lines(path)), strict=True)
    while True:
        number = reader.line_num + 1    # of a quoted field over several lines, tell the first
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f'{path}:{number}: {error}; a text with quotes is written "say '
                            '""yes"", then go"') from None
        yield number, fields or ['']


def _without_blanks(rows):
    """Leave out blank lines, but for those between the lines of a single column: empty texts."""
    blank = None                        # numbers of the blank lines since the last other one
    for number, fields in rows:
        if len(fields) == 1 and not fields[0].strip():
            if blank is not None:
                blank.append(number)
            continue
        if len(fields) == 1:
            for line in blank or ():
                yield line, ['']
        blank = []
        yield number, fields


def _json(path):
    names = None
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise DataError(f'{path}:{number}: not JSON ({error}); write one object a '
                            'line') from None
        if not isinstance(item, dict):
            raise DataError(f'{path}:{number}: not a JSON object; write one a line, as '
                            '{"text": "...", "label": "..."}')
        if names is None:
            names = list(item)
            yield number, names
        yield number, [json.dumps(value) if isinstance(value, (int, float)) else value
                       for value in map(item.get, names)]


_FORMATS = {'.csv': _csv, '.tsv': _tsv, '.txt': _tsv, '.jsonl': _json, '.json': _json}


def _locate(path, columns, names, width, regression, optional):
    """:class:`~bert.data.tasks.Columns` as places in a row, None for what is not there."""
    if names:
        hint = ' (is it separated as its suffix says?)' if len(names) == 1 else ''
        has = f"it has: {', '.join(names)}{hint}"
    else:
        has = f'it has no header, and columns 0 to {width - 1}'

    def place(column, flag, needed=True):
        if column is None:
            return None
        if names is None and str(column).isdigit():
            column = int(column)        # as it comes from a command line
        if isinstance(column, int) and 0 <= column < width:
            return column
        count = names.count(column) if names else 0
        if count == 1:
            return names.index(column)
        if count or needed:
            raise DataError('%s: %s column "%s"; %s; name another with %s' % (
                path, 'more than one' if count else 'no', column, has, flag))
        return None

    def usual(choices, flag, needed=True):
        for choice in choices:
            if names and all(name in names for name in choice):
                return choice
        if needed:
            raise DataError(f"{path}: no column "
                            f"{' or '.join(('+'.join(choice) for choice in choices))}; {has}; name "
                            f"yours with {flag}")
        return (None,)

    texts = tuple(place(text, '--text_columns')
                  for text in columns.texts or usual(_TEXTS, '--text_columns'))
    need_label = 'label' not in optional
    label = columns.label
    if label is None:
        label, = usual(_LABELS[::-1] if regression else _LABELS, '--label_column', need_label)
    return tasks.Columns(texts, place(label, '--label_column', need_label),
                         place(columns.index, '--index_column', 'index' not in optional))


def _word(value):
    """Labels and ids go into TSV files: no tabs, line ends or outer spaces in them."""
    return ' '.join(str(value).split())


def _number(word):
    try:
        return float(word)
    except ValueError:
        return math.nan


def _label(value, known, regression, aliases):
    """A checked label: str, or float for a regression; ValueError says what is wrong with it."""
    word = '' if value is None else _word(value)
    if regression:
        if not math.isfinite(_number(word)):
            raise ValueError(f'"{word}" is not a number')
        return float(word)
    word = aliases.get(word, word)
    if not word:
        raise ValueError('empty; every example needs a label')
    if known is not None and word not in known:
        raise ValueError('unknown label "%s"; the labels are: %s' % (
            word, ', '.join(sorted(known))))
    return word
