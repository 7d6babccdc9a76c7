"""CoNLL columns -> sentences; tags <-> entity spans; windows over long sentences; entity scores.

An entity is (type, start, end), ``end`` exclusive, in words.  Tags are read as conlleval and
seqeval read them, so that a sequence that breaks its scheme still has one meaning: an entity ends
where the type changes, at O, before B and S and after E and S; whatever else follows continues it.
"""
import io
import logging
import re
from itertools import chain
from typing import List, NamedTuple, Optional
from unicodedata import category

from ..utils.errors import DataError
from ..utils.files import atomic

__all__ = ['Sentence', 'Window', 'convert', 'detect', 'entities', 'read', 'score', 'spans',
           'split_words', 'tags_from', 'windows', 'write_predictions']

_log = logging.getLogger(__name__)

_SCHEMES = ('BIO2', 'BIO', 'BIOES')         # in the order of preference where a file fits several
_LETTERS = {'L': 'E', 'U': 'S', 'M': 'I', 'W': 'S'}     # BILOU and BMEWO -> BIOES
_TAG = re.compile(r'O|[BIESLUMW](-.+)?')    # BioBERT's data sets have B, I, O without a type
_SEVERAL = re.compile(r',[BIESLUMW]-')      # B-person,B-group: annotators did not agree
_UNTYPED = '_'                              # what seqeval calls the type of a tag without one

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


class Sentence(NamedTuple):
    """A sentence of a CoNLL file; row ``i`` of it is line ``line + i`` of the file."""
    words: List[str]
    tags: Optional[List[str]]   # as in the file; None where it has none
    columns: List[List[str]]    # of each row, all but the tag
    line: int
    before: List[str]           # the -DOCSTART- lines between the last sentence and this one
    separator: str              # tab or space


def read(path, token_column=0, tag_column=-1):
    """The sentences of a file of CoNLL columns: list of :class:`Sentence`.

    Columns are separated by tabs where a line has any, so that tokens with spaces survive, and
    by spaces otherwise.  They count from 0, or from -1 at the end.  A file of one column, like
    ``tag_column=None``, gives sentences without tags.  Tags that break the file's scheme are
    warned of; tags of no scheme, ragged columns and what is not text are a DataError.
    """
    groups, before, rows, width, separator = [], [], [], None, ' '
    for number, line in enumerate(chain(_lines(path), ['']), 1):
        columns = _columns(line)
        if columns and not line.startswith('-DOCSTART-'):
            if width is None:
                width, first = len(columns), number
            elif len(columns) != width:
                raise DataError(f'{path}:{number}: {len(columns)} column(s) where line {first} has '
                                f'{width}; give every token a line '
                                'with the same columns, and a blank line between sentences')
            rows.append(columns)
            if '\t' in line:
                separator = '\t'
        else:
            if rows:
                groups.append((number - len(rows), before, rows))
                before, rows = [], []
            if columns:
                before.append(line)
    if not groups:
        raise DataError(f'{path}: no sentences; give every token a line, and a blank line between '
                        'sentences')

    if width == 1 and tag_column == -1:
        tag_column = None
    for name, column in ('token', token_column), ('tag', tag_column):
        if column is not None and not -width <= column < width:
            raise DataError(f'{path}:{first}: no column {column} for the {name} where there are '
                            f'{width}; columns count from 0, or from -1 at the end')
    token = token_column % width
    tag = width if tag_column is None else tag_column % width
    if token == tag:
        raise DataError(f'{path}:{first}: column {token} cannot be both token and tag; name '
                        'another for one of them')
    sentences = [Sentence([row[token] for row in rows],
                          [row[tag] for row in rows] if tag < width else None,
                          [row[:tag] + row[tag + 1:] for row in rows], line, before, separator)
                 for line, before, rows in groups]
    if tag < width:
        _check_tags(path, sentences)
    return sentences


def _lines(path):
    """The lines of a UTF-8 file, without a byte order mark or line ends."""
    with open(path, 'rb') as f:
        data = f.read()
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise DataError('%s:%d: not UTF-8 (byte 0x%02x); convert it: iconv -f ENCODING -t UTF-8'
                        % (path, 1 + error.object.count(b'\n', 0, error.start),
                           error.object[error.start])) from None
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if '\0' in line:
            raise DataError(f'{path}:{number}: a NUL character; the file is not UTF-8 text: remove '
                            'the NUL, or convert the file')
        yield line.rstrip('\n')


def _columns(line):
    # not split(): a token may be a no-break or an ideographic space
    line = line.rstrip(' \t')
    if '\t' in line:
        return [column.strip(' ') for column in line.split('\t')]
    return [column for column in line.split(' ') if column]


def _check_tags(path, sentences):
    for sentence in sentences:
        for number, tag in enumerate(sentence.tags, sentence.line):
            if not _TAG.fullmatch(tag):
                raise DataError(f'{path}:{number}: {tag!r} is not a tag like O, B-PER, I-PER, '
                                'E-PER or S-PER; correct it, or name the column of the tags')
    several = [(number, tag) for sentence in sentences
               for number, tag in enumerate(sentence.tags, sentence.line) if _SEVERAL.search(tag)]
    if several:
        _log.warning('%s:%d: %s is more than one tag (%d such rows in the file): it is taken for '
                     'one type of that name; keep one tag a row', path, *several[0], len(several))
    scheme, faults = detect(sentences)
    if faults:
        _log.warning('%s:%d: %s where %s has %s (%d such tags in the file): entities are read as '
                     'conlleval reads them', path, *faults[0][:2], scheme, faults[0][2],
                     len(faults))


def write_predictions(path, sentences, predicted):
    """Write the rows of ``sentences`` with gold tag (if any) and predicted tag as last columns.

    -DOCSTART- lines are kept.  The file can be given to conlleval and to :func:`read`.

    predicted : for every sentence, a tag for every word
    """
    if [len(s.words) for s in sentences] != [len(tags) for tags in predicted]:
        raise ValueError('predictions do not match the sentences word for word')
    with atomic(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='\n') as f:
        for sentence, tags in zip(sentences, predicted):
            for line in sentence.before:    # a column more here too: conlleval stops at ragged rows
                f.write(line + sentence.separator + 'O\n\n')
            for i, tag in enumerate(tags):
                gold = [] if sentence.tags is None else [sentence.tags[i]]
                f.write(sentence.separator.join(sentence.columns[i] + gold + [tag]) + '\n')
            f.write('\n')


def spans(tags):
    """The entities of a sentence's tags, in any scheme: list of (type, start, end)."""
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


def tags_from(found, length, scheme='BIO2'):
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


def convert(tags, to='BIO2'):
    """A sentence's tags, of any scheme, in the scheme ``to``: BIO, BIO2 or BIOES."""
    return tags_from(spans(tags), len(tags), to)


def detect(sentences):
    """The scheme that most tags of the sentences keep to, and where they do not.

    Returns
    -------
    (scheme, faults) : 'BIO' (IOB1), 'BIO2' or 'BIOES' (BILOU and BMEWO too), and a list of
        (line, tag, the tag that the scheme has there)
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


def score(gold, predicted):
    """Entity scores by seqeval, in its default mode, which counts as conlleval does.

    gold, predicted : list of lists of tags, in one scheme
    Returns {'overall': {'precision', 'recall', 'f1', 'support'}, 'types': {type: the same four},
    'accuracy': the share of words with the right tag}; a ratio of 0 to 0 is 0.
    """
    import warnings

    from seqeval.metrics import accuracy_score, classification_report
    gold, predicted = ([[_plain(tag) for tag in tags] for tags in side]
                       for side in (gold, predicted))
    with warnings.catch_warnings():     # numpy's, where there is no entity at all
        warnings.simplefilter('ignore')
        report = classification_report(gold, predicted, output_dict=True, zero_division=0)
    scores = {name: {'precision': float(row['precision']), 'recall': float(row['recall']),
                     'f1': float(row['f1-score']), 'support': int(row['support'])}
              for name, row in report.items() if name not in ('macro avg', 'weighted avg')}
    return {'overall': scores.pop('micro avg'), 'types': scores,
            'accuracy': float(accuracy_score(gold, predicted))}


class Window(NamedTuple):
    """A stretch of a sentence's words; the predictions for the words it owns are the ones kept."""
    first: int
    end: int
    owned_first: int
    owned_end: int


def windows(word_pieces, max_len, overlap):
    """Cover a sentence by windows of whole words in which every word is owned once.

    Neighbours share out their overlap at its middle: each word goes where its nearer window edge
    is farthest.

    Parameters
    ----------
    word_pieces : list of lists
        The pieces of each word.
    max_len : int
        Most pieces in a window, special tokens not counted; a longer word counts as that many,
        and is to be cut to it.
    overlap : int
        Most pieces that a window repeats from the one before.

    Returns
    -------
    list of Window
        Their owned ranges follow one another and cover the words.
    """
    offsets = [0]                       # offsets[w]: the pieces before word w
    for pieces in word_pieces:
        offsets.append(offsets[-1] + min(len(pieces), max_len))
    count, found, first, end, owned = len(word_pieces), [], 0, 0, 0
    while end < count:
        while end < count and offsets[end + 1] - offsets[first] <= max_len:
            end += 1
        following = end                 # the next window's first word; it must reach past `end`
        while end < count and (offsets[end] - offsets[following - 1] <= overlap
                               and offsets[end + 1] - offsets[following - 1] <= max_len):
            following -= 1
        owned_end = next((w for w in range(following, end) if offsets[w] + offsets[w + 1]
                          > offsets[following] + offsets[end]), end)
        if owned_end > owned:
            found.append(Window(first, end, owned, owned_end))
        first, owned = following, owned_end
    return found


def split_words(text):
    """Plain text -> words much as CoNLL data has them: (words, offsets), offsets (start, end).

    Punctuation stands alone (a run of one character together), as do clitics ('s, n't, 'll) and
    CJK ideographs; numbers, abbreviations, addresses, handles and hyphenated words stay whole.
    """
    shape = ''.join(map(_shape, text))
    offsets = [match.span() for match in _WORD.finditer(shape)]
    return [text[start:end] for start, end in offsets], offsets


def _shape(character):
    """The character as far as _WORD cares: combining marks and invisible characters are as one."""
    if character == '\u200b':           # zero-width space
        return ' '
    kind = category(character)
    return _MARK if kind[0] == 'M' or kind == 'Cf' else character


def entities(text, offsets, tags):
    """The entities that ``tags`` give the words at ``offsets`` (see :func:`split_words`).

    Returns a list of {'text', 'type', 'start', 'end'}; text[start:end] is the entity's text.
    """
    found = [(kind, offsets[first][0], offsets[end - 1][1]) for kind, first, end in spans(tags)]
    return [{'text': text[start:end], 'type': kind, 'start': start, 'end': end}
            for kind, start, end in found]
