"""Texts to predict, from the command line or standard input."""
import itertools
import sys
from typing import Iterator, List, Sequence, Tuple

__all__ = ['read_lines']


def read_lines(given: Sequence[str], count: int) -> Iterator[List[Tuple[str, str]]]:
    """Lists of up to ``count`` pairs (where, line), without line ends.

    The ``given`` texts make a single line, with tabs between them; without any, the lines are
    those of standard input.
    """
    lines = iter([('--predict', '\t'.join(given))] if given else
                 ((f'standard input line {number}', line.rstrip('\r\n'))
                  for number, line in enumerate(sys.stdin, 1)))
    return iter(lambda: list(itertools.islice(lines, count)), [])
