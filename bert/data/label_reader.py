"""Labels as they stand in tables: class names, numbers, or several labels of one text."""
import functools
import math
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

from .labels import as_word, multiple, number, translator, truth
from .tasks import MULTI_LABEL, REGRESSION

__all__ = ['LabelReader']

_SHOWN = 40         # labels in a message
_UNKNOWN = {'', 'na', 'n/a', 'nan', 'none', 'null', '?'}


class LabelReader:
    """Reads and checks the labels of one table; see :func:`bert.data.tables.read_table`.

    ``optional`` says whether a label may be unknown; ``columns`` are the names of several columns
    of 0 and 1, or true and false, each a label; ``order`` those that lists of 0 and 1 are about.
    """

    def __init__(self, allowed: Optional[Sequence[str]], problem_type: str,
                 aliases: Optional[Mapping[str, str]], optional: bool,
                 columns: Optional[Sequence[str]], order: Optional[Sequence[str]] = None):
        self._allowed, self._optional, self._columns = allowed, optional, columns
        self._order = order or ()
        self._problem_type = problem_type
        # the allowed label that a word means, or None; words recur
        self._means = functools.lru_cache(maxsize=None)(translator(allowed or (), aliases))

    def read(self, value: Any) -> Union[str, float, Tuple[str, ...], None]:
        """The label that a field holds; ``value`` is a list of fields for several columns.

        Raises ValueError, which says what is wrong with it.
        """
        if self._columns:
            return self._flags(list(map(as_word, value)))
        word = '' if isinstance(value, (list, dict)) else as_word(value)
        if self._optional and value in (None, ''):
            # of several labels an empty text is none of them; unknown, if all are
            return () if self._problem_type == MULTI_LABEL and value == '' else None
        if self._problem_type == REGRESSION:
            if not math.isfinite(number(word)):
                raise ValueError(f'"{word}" is not a number')
            return float(word)
        if self._optional and number(word) == -1 and not self._means(word):
            # unknown; without a list of labels, only if all are: see read_table
            return None if self._allowed or self._problem_type == MULTI_LABEL else word
        if self._problem_type == MULTI_LABEL:
            return tuple(map(self._class, multiple(value, self._order)))
        if isinstance(value, (list, dict)):
            raise ValueError('several labels in one field; --multi_label reads them')
        if not word:
            raise ValueError('empty; every example needs a label')
        return self._class(word)

    def _flags(self, words):
        if self._optional and all(word.casefold() in _UNKNOWN or number(word) == -1
                                  for word in words):
            return None
        flags = list(map(truth, words))
        for word, flag in zip(words, flags):
            if flag not in (0, 1):
                raise ValueError(f'"{word}" is not 0 or 1; several label columns hold these')
        return tuple(self._class(name) for name, flag in zip(self._columns, flags) if flag)

    def _class(self, word):
        meant = self._means(word)
        if meant is None and self._allowed is None:
            return word
        if meant is None:
            shown = [*sorted(self._allowed)[:_SHOWN], *['...'] * (len(self._allowed) > _SHOWN)]
            numbers = all(math.isfinite(number(label)) for label in (word, *self._allowed))
            raise ValueError(f'unknown label "{word}"; the labels are: {", ".join(shown)}; correct '
                             'it, or name all labels with --labels when you train on your own data'
                             + (', or predict numbers with --regression' if numbers else ''))
        return meant
