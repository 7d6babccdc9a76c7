"""Tags in any scheme <-> entity spans, and entity scores.

An entity is (type, start, end), ``end`` exclusive, in words.  Tags are read as conlleval and
seqeval read them, so that a sequence that breaks its scheme still has one meaning: an entity ends
if the type changes, at O, before B and S and after E and S; anything else continues it.
"""
from typing import Any, Dict, List, Sequence, Tuple

__all__ = ['convert', 'detect', 'entities', 'score', 'spans', 'tags_from']

Span = Tuple[str, int, int]
_SCHEMES = ('BIO2', 'BIO', 'BIOES')         # in the order of preference if a file fits several
_LETTERS = {'L': 'E', 'U': 'S', 'M': 'I', 'W': 'S'}     # BILOU and BMEWO -> BIOES
_UNTYPED = '_'                              # seqeval's name for the type of a tag without one


def spans(tags: Sequence[str]) -> List[Span]:
    """The entities (type, start, end) of a sentence's tags, in any scheme."""
    found, kind, start = [], None, 0        # kind: of the entity that is open, or None
    for i, tag in enumerate(map(_plain, tags)):
        letter, this = tag[0], tag[2:] or _UNTYPED
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


def _plain(tag):
    return _LETTERS.get(tag[0], tag[0]) + tag[1:]


def tags_from(found: Sequence[Span], length: int, scheme: str = 'BIO2') -> List[str]:
    """Entities (type, start, end) -> the tags of ``length`` words in BIO (IOB1), BIO2 or BIOES."""
    tags = ['O'] * length
    for kind, start, end in found:
        inner, suffix = end - start - 1, '' if kind == _UNTYPED else '-' + kind
        if scheme == 'BIOES':
            letters = 'B' + 'I' * (inner - 1) + 'E' if inner else 'S'
        elif scheme == 'BIO2' or start and tags[start - 1] in ('B' + suffix, 'I' + suffix):
            letters = 'B' + 'I' * inner
        else:
            letters = 'I' + 'I' * inner
        tags[start:end] = [letter + suffix for letter in letters]
    return tags


def convert(tags: Sequence[str], to: str = 'BIO2') -> List[str]:
    """A sentence's tags, in any scheme, in the scheme ``to``: BIO, BIO2 or BIOES."""
    return tags_from(spans(tags), len(tags), to)


def detect(sentences: Sequence[Any]) -> Tuple[str, List[Tuple[int, str, str]]]:
    """The scheme that most tags of some :class:`bert.data.conll.Sentence` follow.

    Returns
    -------
    scheme : str
        'BIO' (IOB1), 'BIO2' or 'BIOES' (BILOU and BMEWO too).
    faults : list of (line, tag, the tag that the scheme would have)
    """
    faults = {scheme: [] for scheme in _SCHEMES}
    for sentence in sentences:
        found = spans(sentence.tags)
        for scheme in _SCHEMES:
            expected = tags_from(found, len(sentence.tags), scheme)
            faults[scheme] += [
                (line, tag, right)
                for line, (tag, right) in enumerate(zip(sentence.tags, expected), sentence.line)
                if _plain(tag) != right]
    scheme = min(_SCHEMES, key=lambda name: len(faults[name]))
    return scheme, faults[scheme]


def score(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Dict[str, Any]:
    """Entity scores by seqeval, in its default mode, which counts as conlleval does.

    ``gold`` and ``predicted`` hold the tags of each sentence, in the same scheme.  Returns
    {'overall': {'precision', 'recall', 'f1', 'support'}, 'types': {type: the same four},
    'accuracy': the share of words with the right tag}; 0 / 0 is 0.
    """
    import warnings

    from seqeval.metrics import accuracy_score, classification_report
    gold, predicted = ([[_plain(tag) for tag in tags] for tags in side]
                       for side in (gold, predicted))
    with warnings.catch_warnings():     # numpy's, if there is no entity at all
        warnings.simplefilter('ignore')
        report = classification_report(gold, predicted, output_dict=True, zero_division=0)
    scores = {name: {'precision': float(row['precision']), 'recall': float(row['recall']),
                     'f1': float(row['f1-score']), 'support': int(row['support'])}
              for name, row in report.items() if name not in ('macro avg', 'weighted avg')}
    return {'overall': scores.pop('micro avg'), 'types': scores,
            'accuracy': float(accuracy_score(gold, predicted))}


def entities(text: str, offsets: Sequence[Tuple[int, int]],
             tags: Sequence[str]) -> List[Dict[str, Any]]:
    """The entities in ``text`` whose words, at ``offsets``, have ``tags``.

    ``offsets`` are those of :func:`bert.text.words.split_words`.  Returns a list of
    {'text', 'type', 'start', 'end'}; text[start:end] is the entity's text.
    """
    found = [(kind, offsets[first][0], offsets[end - 1][1]) for kind, first, end in spans(tags)]
    return [{'text': text[start:end], 'type': kind, 'start': start, 'end': end}
            for kind, start, end in found]
