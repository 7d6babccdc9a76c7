"""Texts to predict, from the command line, standard input or a file."""
import itertools
import re
from typing import Iterator, List, Sequence, Tuple

from ..utils import files
from ..utils.errors import DataError

__all__ = ['read_lines', 'read_texts']


def read_lines(given: Sequence[str], count: int) -> Iterator[List[Tuple[str, str]]]:
    """Lists of up to ``count`` pairs (where, line), without line ends.

    The ``given`` texts make a single line, with tabs between them; tabs and line ends inside them
    become spaces, as many.  Without any, the lines are those of standard input, in UTF-8.
    """
    texts = [re.sub(r'[\t\r\n]', ' ', text) for text in given]
    lines = iter([('--predict', '\t'.join(texts))] if texts else
                 ((f'standard input line {number}', line.rstrip('\r\n'))
                  for number, line in files.read_lines(None)))
    return iter(lambda: list(itertools.islice(lines, count)), [])


def read_texts(path: str) -> Iterator[str]:
    """The lines of a file, as an iterator; DataError or OSError at once if it has none."""
    lines = (text.strip() for _, text in files.read_lines(path))
    first = next(lines, None)
    if first is None:
        raise DataError(f'{path}: empty; write one text per line')
    return itertools.chain([first], lines)
