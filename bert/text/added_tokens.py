"""Tokens that are whole wherever they occur in a text, as in Transformers: the special ones, and
those that were added to a vocabulary (tokenizer.json, tokenizer_config.json, added_tokens.json,
special_tokens_map.json)."""
import os
import re
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..utils.errors import DataError
from ..utils.files import read_json
from .characters import SPACES
from .vocabulary import CONFIG, SPECIALS, special_tokens

__all__ = ['AddedToken', 'AddedTokens', 'read']

Clean = Callable[[str], Tuple[str, Sequence[int], Sequence[int]]]   # see Tokenizer._clean
_SPACE = re.compile(f'[{SPACES}]')
_SPECIAL = {'normalized': False, 'special': True}
_DEPTH = 8      # characters; a deeper tree is no faster, and could nest too deeply


class AddedToken(NamedTuple):
    """A token that is whole: ``normalized`` says that the text is cleaned and cased before it is
    looked for, ``single_word`` that no letter, digit or _ may stand beside it."""
    content: str
    id: int
    normalized: bool = False
    single_word: bool = False
    special: bool = True


class AddedTokens:
    """Finds added tokens in texts: of those that start at one place the longest.

    ``clean`` turns text to the model's casing: text -> (text, starts, ends), where each character
    stands for that stretch of the original.
    """

    def __init__(self, tokens: Sequence[AddedToken], clean: Clean):
        self.tokens = tuple(tokens)
        self._plain = _pattern({token.content: token for token in tokens if not token.normalized})
        self._cleaned = _pattern({_normal(token.content, clean)[0]: token for token in tokens
                                  if token.normalized})

    def split(self, text: str, clean: Clean) -> Iterator[Tuple[int, int, Optional[int]]]:
        """(start, end, id) of the parts of a text in order; the id is None between added tokens."""
        for start, end, token_id in _parts(self._plain, text):
            if token_id is not None or not self._cleaned:
                yield start, end, token_id
                continue
            cleaned, starts, ends = _normal(text[start:end], clean)
            position = start
            for first, last, token_id in _parts(self._cleaned, cleaned):
                if token_id is not None:
                    found = start + starts[first], start + ends[last - 1]
                    yield position, found[0], None
                    yield (*found, token_id)
                    position = found[1]
            yield position, end, None

    def config(self) -> Dict[str, Any]:
        """The entry of tokenizer_config.json, as Transformers writes it; none for the special
        tokens of every BERT with the settings of every BERT."""
        tokens = [token for token in self.tokens if token.content not in SPECIALS
                  or token != AddedToken(token.content, token.id)]
        return {'added_tokens_decoder': {
            str(token.id): {'content': token.content, 'lstrip': False, 'rstrip': False,
                            'normalized': token.normalized, 'single_word': token.single_word,
                            'special': token.special} for token in tokens}} if tokens else {}


def read(path: str, tokens: Sequence[str]) -> List[AddedToken]:
    """The added tokens of a vocabulary, from the files beside ``path``; ``tokens`` is its content.

    The special tokens of BERT are always among them, and those that the files only name
    (:func:`bert.text.vocabulary.special_tokens`) if they are in ``tokens``.  Raises DataError for
    ids that do not follow those of ``tokens``.
    """
    folder = os.path.dirname(path)
    special = {**dict.fromkeys(SPECIALS, _SPECIAL), **special_tokens(path)}
    ids = {token: i for i, token in enumerate(tokens)}
    found = {token: _token(token, ids[token], settings) for token, settings in special.items()
             if token in ids}
    for name, entries in (('added_tokens.json', _plain(special)), (CONFIG, _decoder),
                          ('tokenizer.json', _listed)):
        source = os.path.join(folder, name)
        if not os.path.exists(source):
            continue
        try:
            for entry, token_id in entries(read_json(source)):
                text = entry['content']
                if not isinstance(text, str):
                    raise TypeError(f'{text!r} is not a token')
                found[text] = _token(text, _id(token_id), entry)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            raise DataError(f'{source}: its added tokens are not written as Transformers writes '
                            'them; download it again') from None
    added = sorted((token for token in found.values() if token.content), key=lambda t: t.id)
    beyond = [token.id for token in added if token.id >= len(tokens)]
    if beyond != list(range(len(tokens), len(tokens) + len(beyond))):
        raise DataError(f'{path}: has {len(tokens)} tokens, but the ids of the tokens added to it '
                        f'are {", ".join(map(str, beyond[:5]))}; take the files of one model')
    return added


def _id(value):
    """An id, which JSON has as a number, or as text where it is a key."""
    number = int(value)
    if number < 0 or (str(number) if isinstance(value, str) else number) != value:
        raise ValueError(f'{value!r} is not an id')
    return number


def _token(text, token_id, settings):
    return AddedToken(text, token_id, settings.get('normalized', True) is True,
                      settings.get('single_word') is True, settings.get('special') is True)


def _plain(special):
    """Of added_tokens.json: {token: id}; ``special`` has the settings of the special ones."""
    return lambda content: [(dict(special.get(token, ()), content=token), token_id)
                            for token, token_id in content.items()]


def _decoder(content):
    """Of tokenizer_config.json: added_tokens_decoder, {id: token}."""
    return [(entry, token_id)
            for token_id, entry in (content.get('added_tokens_decoder') or {}).items()]


def _listed(content):
    """Of tokenizer.json: added_tokens, a list of tokens with ids."""
    return [(entry, entry['id']) for entry in content.get('added_tokens') or ()]


def _normal(text, clean):
    """The text in the model's casing, with its spaces."""
    return clean(_SPACE.sub(' ', text))


def _pattern(tokens):
    """(pattern, {match: id}) of {text: token}, or None."""
    tokens = {text: token for text, token in tokens.items() if text}
    if not tokens:
        return None
    ends = {text: rf'(?<!\w{re.escape(text)})(?!\w)' if token.single_word else ''
            for text, token in tokens.items()}
    return re.compile(_tree(sorted(tokens, key=len, reverse=True), ends)), {
        text: token.id for text, token in tokens.items()}


def _tree(texts, ends, start=0):
    """An expression for the longest of ``texts``, which are sorted by it, from the character
    ``start`` on, before which they are equal.  ``ends`` has what must hold behind each of them.

    It is a tree, since all of a list would be tried at every character.
    """
    if len(texts) == 1 or start == _DEPTH:
        branches = [re.escape(text[start:]) + ends[text] for text in texts]
    else:
        groups = {}
        for text in texts:
            groups.setdefault(text[:start + 1], []).append(text)
        branches = [re.escape(prefix[start:]) + _tree(group, ends, start + 1)
                    for prefix, group in groups.items()]
    return f"(?:{'|'.join(branches)})"


def _parts(pattern, text):
    """(start, end, id or None) of a text."""
    position = 0
    for match in pattern[0].finditer(text) if pattern else ():
        yield position, match.start(), None
        yield match.start(), match.end(), pattern[1][match.group()]
        position = match.end()
    yield position, len(text), None
