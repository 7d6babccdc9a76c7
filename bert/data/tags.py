"""Tags in any scheme <-> entity spans.

An entity is (type, start, end), ``end`` exclusive, in words.  Tags are read as conlleval and
seqeval read them, so that a sequence that breaks its scheme still has one meaning: an entity ends
if the type changes, at O, before B and S and after E and S; anything else continues it.
"""
import re
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

__all__ = ['BIO2', 'Scheme', 'convert', 'detect', 'entities', 'find_form', 'look_misspelled',
           'scheme_of', 'spans', 'tags_from', 'types']

Span = Tuple[str, int, int]
# the letters of each scheme for a first, inner, last and single word; IOB1, called BIO here, has B
# only after an entity of the same type.  In the order of preference if a file fits several.
_SCHEMES = {'BIO2': 'BIIB', 'IO': 'IIII', 'BIO': 'IIII', 'BIOES': 'BIES', 'BILOU': 'BILU',
            'BMEWO': 'BMEW'}
_MEANING = {'L': 'E', 'U': 'S', 'M': 'I', 'W': 'S'}     # BILOU and BMEWO -> BIOES
_FORMS = {'prefix': re.compile('[BIESLUMW](-.+)?'),     # BioBERT's data sets have B and I alone
          'suffix': re.compile('.+-[BIESLUMW]')}
_SURE = {'prefix': re.compile('[BI]-.*'), 'suffix': re.compile('.+-[BI]')}
# a scheme in another spelling: b-PER, B_PER, PER_B
_MISSPELLED = re.compile('[BIESLUMW][-_:./|].+|.+[-_:./|][BIESLUMW]', re.IGNORECASE)
_UNTYPED = '_'                              # seqeval's name for the type of a tag without one


class Scheme(NamedTuple):
    """How tags are written.

    ``letters`` is one of BIO2, BIO (IOB1), BIOES, BILOU, BMEWO and IO, or empty for token labels
    such as parts of speech, which form no entities.  ``form`` is 'prefix' (B-PER), 'suffix'
    (PER-B) or 'plain' (PER).
    """
    letters: str
    form: str = 'prefix'

    def __str__(self) -> str:
        if not self.letters:
            return 'token labels'
        return {'prefix': self.letters, 'suffix': f'{self.letters}, as in PER-B',
                'plain': 'IO, plain types'}[self.form]


BIO2 = Scheme('BIO2')


def find_form(tags: Collection[str]) -> Tuple[str, Set[str]]:
    """(the form of the different ``tags``, those among them that have another).

    Tags are plain if none begins with B- or I-, or ends with -B or -I.
    """
    named = set(tags) - {'O'}
    for form, pattern in _FORMS.items():
        alone = {tag for tag in named if len(tag) == 1}
        if all(map(pattern.fullmatch, named)) and not (alone and alone.isdisjoint('BI')):
            return form, set()
    sure = {form: sum(bool(pattern.fullmatch(tag)) for tag in named)
            for form, pattern in _SURE.items()}
    if not any(sure.values()):
        return 'plain', set()
    form = max(sure, key=sure.get)      # the first if they are equal
    return form, {tag for tag in named if not _FORMS[form].fullmatch(tag)}


def look_misspelled(tags: Collection[str]) -> bool:
    """Whether ``tags`` are plain, but all look like those of a scheme, as b-PER and B_PER do."""
    named = {tag for tag in tags if tag not in ('O', 'o')}
    return (bool(named) and find_form(tags)[0] == 'plain'
            and all(map(_MISSPELLED.fullmatch, named)))


def scheme_of(labels: Collection[str]) -> Scheme:
    """The scheme of a model's labels."""
    form = find_form(labels)[0]
    if form == 'plain':
        return Scheme('IO' if 'O' in labels else '', form)
    letters = {label[-1 if form == 'suffix' else 0] for label in labels
               if _FORMS[form].fullmatch(label)}
    for name, own in ('BILOU', 'LU'), ('BMEWO', 'MW'), ('BIOES', 'ES'), ('BIO2', 'B'):
        if letters & set(own):
            return Scheme(name, form)
    return Scheme('IO' if letters else 'BIO2', form)


def _split(tag, form):
    """(letter, type) of a tag, the letter in BIOES."""
    if tag == 'O':
        return 'O', ''
    if form == 'plain':
        return 'I', tag
    letter, kind = (tag[-1], tag[:-2]) if form == 'suffix' else (tag[0], tag[2:] or _UNTYPED)
    letter = _MEANING.get(letter, letter)
    return (letter, kind) if letter in 'BIES' else ('O', '')    # [CLS], X and the like of a model


def types(tags: Collection[str], scheme: Scheme) -> Set[str]:
    """The types of entity, or the token labels, in some tags."""
    return {kind for tag in tags for kind, _, _ in spans([tag], scheme)}


def spans(tags: Sequence[str], scheme: Scheme = BIO2) -> List[Span]:
    """The entities (type, start, end) of a sentence's tags; each word is one of token labels.

    Of the scheme only the form matters, and whether there are entities.
    """
    if not scheme.letters:
        return [(tag, i, i + 1) for i, tag in enumerate(tags)]
    found, kind, start = [], None, 0        # kind: of the entity that is open, or None
    for i, tag in enumerate(tags):
        letter, this = _split(tag, scheme.form)
        if kind is not None and (letter in 'OBS' or this != kind):
            found.append((kind, start, i))
            kind = None
        if letter != 'O' and kind is None:
            kind, start = this, i
        if letter in 'ES':
            found.append((kind, start, i + 1))
            kind = None
    if kind is not None:
        found.append((kind, start, len(tags)))
    return found


def tags_from(found: Sequence[Span], length: int, scheme: Scheme = BIO2) -> List[str]:
    """Entities (type, start, end) -> the tags of ``length`` words."""
    tags, before = ['O'] * length, (None, -1)       # before: type and end of the last entity
    for kind, start, end in found:
        letters = ''
        if scheme.form != 'plain':
            first, inner, last, single = _SCHEMES[scheme.letters]
            letters = first + inner * (end - start - 2) + last if end - start > 1 else single
            if scheme.letters == 'BIO' and before == (kind, start):
                letters = 'B' + letters[1:]
        for i in range(start, end):
            letter = letters[i - start] if letters else ''
            tags[i] = (kind if not letter else letter if kind == _UNTYPED else
                       f'{kind}-{letter}' if scheme.form == 'suffix' else f'{letter}-{kind}')
        before = kind, end
    return tags


def convert(tags: Sequence[str], to: Scheme = BIO2, source: Scheme = BIO2,
            names: Optional[Mapping[str, str]] = None) -> List[str]:
    """A sentence's tags, of the form of ``source``, in the scheme ``to``.

    ``names`` are other names of some types: {type: the one to write}.
    """
    names = names or {}
    found = [(names.get(kind, kind), start, end) for kind, start, end in spans(tags, source)]
    return tags_from(found, len(tags), to)


def detect(sentences: Sequence[Any]) -> Tuple[Scheme, List[Tuple[int, str, str]]]:
    """The scheme that most tags of some :class:`bert.data.conll.Sentence` follow.

    Plain tags are types of entities if one is O, and token labels if none is.

    Returns
    -------
    scheme : Scheme
    faults : list of (line, tag, the tag that the scheme would have)
    """
    different = {tag for sentence in sentences for tag in sentence.tags}
    form, _ = find_form(different)
    if form == 'plain':
        return scheme_of(different), []
    faults = {Scheme(letters, form): [] for letters in _SCHEMES}
    for sentence in sentences:
        found = spans(sentence.tags, Scheme('BIO2', form))
        for scheme, wrong in faults.items():
            expected = tags_from(found, len(sentence.tags), scheme)
            wrong += [(line, tag, right) for line, tag, right in zip(
                sentence.lines, sentence.tags, expected) if tag != right]
    scheme = min(faults, key=lambda name: len(faults[name]))
    return scheme, faults[scheme]


def entities(text: str, offsets: Sequence[Tuple[int, int]], tags: Sequence[str],
             scheme: Scheme = BIO2) -> List[Dict[str, Any]]:
    """The entities in ``text`` whose words, at ``offsets``, have ``tags`` of a scheme.

    ``offsets`` are those of :func:`bert.text.words.split_words`.  Returns a list of
    {'text', 'type', 'start', 'end'}; text[start:end] is the entity's text.
    """
    found = [(kind, offsets[first][0], offsets[end - 1][1])
             for kind, first, end in spans(tags, scheme)]
    return [{'text': text[start:end], 'type': kind, 'start': start, 'end': end}
            for kind, start, end in found]
