"""Which columns of a table are read as text, label and id."""
import re
from typing import Any, Collection, List, Optional

from ..utils.errors import DataError, brief
from .tasks import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Columns

__all__ = ['describe', 'locate', 'name_of']

# the usual names of columns, tried in this order
_TEXTS = (('sentence1', 'sentence2'), ('question1', 'question2'), ('premise', 'hypothesis'),
          ('question', 'sentence'), ('question', 'answer'), ('query', 'passage'),
          ('text_a', 'text_b'), ('text1', 'text2'), ('sentence_A', 'sentence_B'), ('sentence',),
          ('text',), ('question',))
_LABELS = {SINGLE_LABEL: (('label',), ('score',)), REGRESSION: (('score',), ('label',)),
           MULTI_LABEL: (('labels',), ('label',))}


def locate(path: str, columns: Columns, names: Optional[List[str]], width: int,
           problem_type: str = SINGLE_LABEL, optional: Collection[str] = (),
           published: bool = False) -> Columns:
    """``columns`` as positions in a row, counted from 0; None for an absent column.

    Parameters
    ----------
    path : str
        For messages.
    columns : bert.data.tasks.Columns
        By name or by number; those that it leaves open are found by the usual names.
    names : list of str, optional
        The names of the table's columns; None without a header.
    width : int
        How many columns it has.
    problem_type : str
        As for :func:`bert.data.tables.read_table`; it decides the usual names of the label.
    optional : collection of str
        Which of 'label' and 'index' the table may lack.
    published : bool
        Whether it is a file of a known task, for which no flag chooses columns.

    Raises
    ------
    DataError
        Naming the columns that there are.
    """
    if names:
        hint = ' (is it separated as its suffix says?)' if len(names) == 1 else ''
        has = f"it has: {', '.join(map(brief, names))}{hint}"
    else:
        has = f'it has no header, and columns 1 to {width}'

    def name_with(flag, which):
        return ('use the official file, or read this one as your own with --train_file'
                if published else f'name {which} with {flag}')

    def place(column, flag, needed=True):
        if column is None:
            return None
        if names is None and re.fullmatch('[0-9]{1,9}', str(column)):
            column = int(column)        # a command line gives a str
        if column == 0:
            raise DataError(f'{path}: {flag} 0: columns are counted from 1')
        if isinstance(column, int) and column <= width:
            return column - 1
        count = names.count(column) if names else 0
        if count == 1:
            return names.index(column)
        if count or needed:
            raise DataError(f'{path}: {"more than one" if count else "no"} column '
                            f'"{brief(column)}"; {has}; {name_with(flag, "another")}')
        return None

    def usual(choices, flag, needed=True):
        for choice in choices:
            if names and all(name in names for name in choice):
                return choice
        if needed:
            raise DataError(f"{path}: no column {' or '.join('+'.join(c) for c in choices)}; "
                            f'{has}; {name_with(flag, "yours")}')
        return (None,)

    texts = tuple(place(text, '--text_columns')
                  for text in columns.texts or usual(_TEXTS, '--text_columns'))
    need_label = 'label' not in optional
    label = columns.label
    if label is None:
        label, = usual(_LABELS[problem_type], '--label_column', need_label)
    if isinstance(label, tuple):
        places = tuple(place(name, '--label_column', need_label) for name in label)
        label = None if None in places else places
    else:
        label = place(label, '--label_column', need_label)
    return Columns(texts, label, place(columns.index, '--index_column', 'index' not in optional))


def name_of(place: Any, names: Optional[List[str]]) -> str:
    """The name of a column at a position, or of several; its number without ``names``."""
    places = place if isinstance(place, tuple) else (place,)
    return ', '.join(f'"{names[i]}"' if names else str(i + 1) for i in places)


def describe(where: Columns, names: Optional[List[str]]) -> str:
    """The columns that are read, in words; ``where`` is what :func:`locate` returned."""
    def show(place):
        if place is None:
            return 'none'
        return ('' if names else 'column ') + name_of(place, names).replace('"', '')

    return f'text: {show(where.texts)}; label: {show(where.label)}'
