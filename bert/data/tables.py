"""Sentence examples from files, and predictions to files.

One reader serves GLUE's own layouts and a user's tables (:mod:`bert.data.table_files`).
"""
import logging
import math
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ..utils.errors import DataError
from ..utils.files import atomic
from . import tasks
from .table_files import open_table

__all__ = ['Example', 'read_table', 'read_official', 'read_task', 'read_files', 'find_labels',
           'from_lines', 'write_submission', 'write_predictions']

logger = logging.getLogger(__name__)

# the usual names of columns, tried in this order
_TEXTS = (('sentence1', 'sentence2'), ('question1', 'question2'), ('premise', 'hypothesis'),
          ('question', 'sentence'), ('text_a', 'text_b'), ('sentence',), ('text',), ('question',))
_LABELS = (('label',), ('score',))


class Example(NamedTuple):
    """A sentence or a pair; the label is a class name, a number (regression) or unknown."""
    text_a: str
    text_b: Optional[str]
    label: Union[str, float, None]
    index: str


def read_table(path: str, columns: Optional[tasks.Columns] = None,
               labels: Optional[Sequence[str]] = None, regression: bool = False,
               optional: Sequence[str] = (), aliases: Optional[Mapping[str, str]] = None,
               skip_ragged: bool = False) -> List[Example]:
    """The examples of a .csv, .tsv (.txt) or .jsonl (.json) file.

    Parameters
    ----------
    path : str
    columns : bert.data.tasks.Columns, optional
        Columns that it leaves open are found by the usual names: sentence or text; sentence1 and
        sentence2, question1 and question2, premise and hypothesis, ...; label or score.
    labels : sequence of str, optional
        The labels that are allowed; any label is, if not given.
    regression : bool
        Labels are numbers.
    optional : sequence of str
        Which of 'label' and 'index' the file may lack.
    aliases : dict, optional
        A label in the file -> the label it stands for.
    skip_ragged : bool
        Skip lines with a wrong number of columns and log their number, rather than raise.

    Returns
    -------
    list of Example

    Raises
    ------
    DataError
        With the file, the line and the cure.
    """
    columns = columns or tasks.Columns()
    allowed = None if labels is None else frozenset(labels)
    names, rows = open_table(path, columns.header)
    where, examples, ragged = None, [], []
    for line, fields in rows:
        if where is None:
            width = len(names or fields)
            where = _locate(path, columns, names, width, regression, optional)
        if len(fields) != width:
            if not skip_ragged:
                raise DataError(f'{path}:{line}: {len(fields)} column(s) where there should be '
                                f'{width}; in a .csv file, put double quotes around a text that '
                                'contains the separator')
            ragged.append(line)
            continue
        texts, label, index = [fields[place] for place in where.texts], None, str(len(examples))
        try:
            for place in where.texts:
                if not isinstance(fields[place], str):
                    raise ValueError('not a text')
            place = where.label
            if place is not None and not (fields[place] in (None, '') and 'label' in optional):
                label = _label(fields[place], allowed, regression, aliases or {})
        except ValueError as error:
            column = f'"{names[place]}"' if names else place
            raise DataError(f'{path}:{line}: column {column}: {error}') from None
        if where.index is not None:
            index = _word(fields[where.index])
        examples.append(Example(texts[0], texts[1] if len(texts) == 2 else None, label, index))
    if ragged:
        logger.warning('%s: skipped %d broken line(s), the first is line %d', path, len(ragged),
                       ragged[0])
    if not examples:
        raise DataError(f"{path}: no examples; the file needs "
                        f"{'a header and ' if columns.header else ''}one example per line")
    return examples


def read_official(task: tasks.Task, split: str, folder: str) -> List[Example]:
    """The examples of an official split; ``folder`` holds the task's files.

    Test splits may lack labels.  Errors as :func:`bert.data.tasks.official`, :func:`read_table`.
    """
    path, columns = tasks.official(task, split, folder)
    return read_table(path, columns, task.labels, task.labels is None,
                      ('index', 'label') if split in task.test else ('index',),
                      task.label_aliases, task.skip_ragged)


def read_task(task: tasks.Task, splits: Sequence[str], folder: str) -> Dict[str, List[Example]]:
    """{split: examples} of official splits; test splits without a file are left out, and logged."""
    examples = {}
    for split in splits:
        if split in task.test and not tasks.has(task, split, folder):
            logger.info('%s has no %s file of %s: nothing to predict', folder, split, task.name)
        else:
            examples[split] = read_official(task, split, folder)
    return examples


def read_files(paths: Mapping[str, Optional[str]], columns: tasks.Columns,
               labels: Optional[Sequence[str]] = None,
               regression: bool = False) -> Dict[str, List[Example]]:
    """{split: examples} of a user's own files, 'train' first; those without a path are left out.

    The labels of the training data are the only ones allowed, unless ``labels`` are given.
    """
    examples = {}
    for split, path in paths.items():
        if path:
            examples[split] = read_table(path, columns, labels, regression,
                                         ('label',) if split == 'test' else ())
        if split == 'train' and path and not (labels or regression):
            labels = find_labels(examples['train'])
    return examples


def find_labels(examples: Iterable[Example]) -> Tuple[str, ...]:
    """The labels that occur, sorted; numbers are sorted as numbers."""
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        raise DataError(f'every training example has the label "{labels[0]}"; a classifier needs '
                        'two classes: is --label_column right?')
    if all(math.isfinite(_number(label)) for label in labels):
        labels.sort(key=_number)
    return tuple(labels)


def from_lines(lines: Iterable[Tuple[str, str]], pair: bool) -> List[Example]:
    """Examples without labels from lines of a text, or of two texts with a tab between them.

    ``lines`` are pairs (where, line), of which the first becomes the index of the example.
    """
    examples = []
    for where, line in lines:
        texts = line.split('\t')
        if len(texts) != 1 + pair:
            wanted = 'two texts, separated by a tab' if pair else 'one text'
            raise DataError(f'{where}: the model takes {wanted}, not {len(texts)}')
        examples.append(Example(texts[0], texts[1] if pair else None, None, where))
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
    predictions : (n,) class ids, or numbers if ``labels`` is None
    labels : sequence of str, optional
    probabilities : (n, classes) array, optional
        Becomes one column per class, with the class as its name.
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


def _locate(path, columns, names, width, regression, optional):
    """:class:`~bert.data.tasks.Columns` as positions in a row, None for an absent column."""
    if names:
        hint = ' (is it separated as its suffix says?)' if len(names) == 1 else ''
        has = f"it has: {', '.join(names)}{hint}"
    else:
        has = f'it has no header, and columns 0 to {width - 1}'

    def place(column, flag, needed=True):
        if column is None:
            return None
        if names is None and str(column).isdigit():
            column = int(column)        # a command line gives a str
        if isinstance(column, int) and 0 <= column < width:
            return column
        count = names.count(column) if names else 0
        if count == 1:
            return names.index(column)
        if count or needed:
            raise DataError(f'{path}: {"more than one" if count else "no"} column "{column}"; '
                            f'{has}; name another with {flag}')
        return None

    def usual(choices, flag, needed=True):
        for choice in choices:
            if names and all(name in names for name in choice):
                return choice
        if needed:
            raise DataError(f"{path}: no column {' or '.join('+'.join(c) for c in choices)}; "
                            f'{has}; name yours with {flag}')
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


def _label(value, allowed, regression, aliases):
    """A checked label: str, or float for a regression; ValueError says what is wrong with it."""
    word = '' if value is None else _word(value)
    if regression:
        if not math.isfinite(_number(word)):
            raise ValueError(f'"{word}" is not a number')
        return float(word)
    word = aliases.get(word, word)
    if not word:
        raise ValueError('empty; every example needs a label')
    if allowed is not None and word not in allowed:
        raise ValueError(f'unknown label "{word}"; the labels are: {", ".join(sorted(allowed))}')
    return word
