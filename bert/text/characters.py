"""Which characters are spaces, ideographs and punctuation marks to BERT's tokenizers."""
import re
import string
from typing import Iterator, Tuple
from unicodedata import category

__all__ = ['REMOVED', 'RUNS', 'SPACES', 'words']

# where str.split() splits, apart from control characters: \t \n \r, Zs, U+2028 and U+2029
SPACES = ' \t\n\r\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000'
# the ideographs (no kana, no Hangul) that tokenization.py treats as words of one character
_HAN_BLOCKS = ('\u3400\u4dbf', '\u4e00\u9fff', '\uf900\ufa6f', '\ufa70\ufaff',
               '\U00020000\U0002a6df', '\U0002a700\U0002b73f', '\U0002b740\U0002b81f',
               '\U0002b820\U0002ceaf', '\U0002f800\U0002fa1f')


_HAN = ''.join(f'{first}-{last}' for first, last in _HAN_BLOCKS)
RUNS = {True: re.compile(f'[{_HAN}]|[^{_HAN}{SPACES}]+'),
         False: re.compile(f'[^{SPACES}]+')}

# categories of what is not text: control and format characters, private use, lone surrogates.
# Unassigned characters are text: what is unassigned depends on the version of Python.
REMOVED = frozenset(('Cc', 'Cf', 'Co', 'Cs'))
_PUNCTUATION = frozenset(string.punctuation)    # $ + < = > ^ ` | ~ too, to Unicode symbols


def words(text: str) -> Iterator[Tuple[int, int]]:
    """The (start, end) of each word of a cleaned run; a punctuation mark is a word."""
    start = 0
    for i, char in enumerate(text):
        if char in _PUNCTUATION or category(char).startswith('P'):
            if start < i:
                yield start, i
            yield i, i + 1
            start = i + 1
    if start < len(text):
        yield start, len(text)
