"""Plain text -> words, much as CoNLL data have them."""
import re
from typing import List, Tuple
from unicodedata import category

__all__ = ['split_words']

_MARK = '\u0300'
_HAN = '\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff'
_WORD = re.compile(r"""
    (?:https?://|www\.)[^\s<>"]*[\w/]
  | [@#] {W}+
  | [{HAN}] {M}*
  | (?:{L}\.)+ {L}\b \.?                                 # U.S., e.g.
  | {W}+? (?=n['’]t\b) | n['’]t\b                        # do n't
  | ['’] (?:s|m|d|re|ve|ll)\b
  | {W}+ (?: (?: [-‐‑&] | ['’](?!(?:s|m|d|re|ve|ll)\b) | (?<=\d)[.,:/](?=\d) ) {W}+ )*
  | ([^\w\s{M}]) (?:\1|{M})*
""".format(M=_MARK, HAN=_HAN, L=r'[^\W\d_]', W=rf'(?:[^\W{_HAN}]{_MARK}*)'), re.X | re.I)


def split_words(text: str) -> Tuple[List[str], List[Tuple[int, int]]]:
    """The words of a text, and the (start, end) of each.

    Punctuation is separate (a run of the same character is one word), as are clitics ('s, n't,
    'll) and CJK ideographs; numbers, abbreviations, addresses, handles and hyphenated words stay
    whole.
    """
    shape = ''.join(map(_shape, text))
    offsets = [match.span() for match in _WORD.finditer(shape)]
    return [text[start:end] for start, end in offsets], offsets


def _shape(character):
    """The character as _WORD sees it: combining marks and invisible characters are all the same."""
    if character == '\u200b':           # zero-width space
        return ' '
    kind = category(character)
    return _MARK if kind[0] == 'M' or kind == 'Cf' else character
