"""Files of CoNLL columns: read as sentences, written with predictions."""
import io
import itertools
import logging
import re
from typing import List, NamedTuple, Optional, Sequence

from ..utils.errors import DataError
from ..utils.files import atomic_text, decode, open_binary
from .tags import detect, find_form, look_misspelled

__all__ = ['Sentence', 'read', 'write_predictions']

_log = logging.getLogger(__name__)

_SEVERAL = re.compile(r',[BIESLUMW]-')      # B-person,B-group: annotators did not agree


class Sentence(NamedTuple):
    """A sentence of a CoNLL file."""
    words: List[str]
    tags: Optional[List[str]]   # as in the file; None if it has none
    columns: List[List[str]]    # of each row, without the tag
    lines: Sequence[int]        # of each row, its number in the file, from 1
    before: List[str]           # the -DOCSTART- lines between the last sentence and this one
    separator: str              # tab or space


def read(path: str, token_column: int = 0, tag_column: Optional[int] = -1) -> List[Sentence]:
    """The sentences of a file of CoNLL columns.

    Columns are separated by tabs if a line has any, so that tokens with spaces survive, and by
    spaces otherwise.  They count from 0, or from -1 at the end.  A file with one column, like
    ``tag_column=None``, gives sentences without tags.  Lines that begin with # and have other
    columns than the rest are comments.  Tags that break the file's scheme, or look like
    another spelling of one (b-PER, B_PER), cause a warning; tags of no scheme, ragged columns and
    anything that is not text raise a DataError.
    """
    sentences, before, rows, numbers, comments = [], [], [], [], []
    known = {}          # equal columns are one object
    lines = list(_lines(path))
    first, width, separator = _shape(lines)
    if first and lines[first - 1].startswith('{"'):
        raise DataError(f'{path}:{first}: a line of JSON; write one token per line, with its tag '
                        'behind it, and a blank line between sentences')
    for number, line in enumerate(itertools.chain(lines, ['']), 1):
        columns = _columns(line)
        if columns and line.startswith('#') and (
                len(columns) != width or separator == '\t' and '\t' not in line):
            comments.append(number)
        elif columns and not line.startswith('-DOCSTART-'):
            if len(columns) != width:
                raise DataError(f'{path}:{number}: {len(columns)} column(s) where line {first} has '
                                f'{width}; write one token per line with the same columns, and a '
                                'blank line between sentences')
            numbers.append(number)
            rows.append([known.setdefault(column, column) for column in columns])
        else:
            if rows:
                whole = range(numbers[0], numbers[-1] + 1)      # takes less memory
                sentences.append((whole if len(whole) == len(rows) else numbers, before, rows))
                before, rows, numbers = [], [], []
            if columns:
                before.append(line)
    if comments:
        _log.info('%s: skipped %d comments, the first is line %d', path, len(comments), comments[0])
    if not sentences:
        raise DataError(f'{path}: no sentences; write one token per line, and a blank line between '
                        'sentences')

    if width == 1 and tag_column == -1:
        tag_column = None
    for name, column in ('token', token_column), ('tag', tag_column):
        if column is not None and not -width <= column < width:
            raise DataError(f'{path}:{first}: no column {column} for the {name}, the file has '
                            f'{width}; columns count from 0, or from -1 at the end')
    token = token_column % width
    tag = width if tag_column is None else tag_column % width
    if token == tag:
        raise DataError(f'{path}:{first}: column {token} cannot be both token and tag; name '
                        'another for one of them')
    del lines           # this and the next line save memory: there may be millions of rows
    for i, (numbers, before, rows) in enumerate(sentences):
        sentences[i] = Sentence(
            [row[token] for row in rows], [row[tag] for row in rows] if tag < width else None,
            [row[:tag] + row[tag + 1:] for row in rows], numbers, before, separator)
    if tag < width:
        _check_tags(path, sentences)
    return sentences


def _shape(lines):
    """(number of the first row, its columns, what separates them) of the lines of a file."""
    rows = [number for number, line in enumerate(lines, 1)
            if line.strip(' \t') and not line.startswith('-DOCSTART-')]
    first = next((number for number in rows if not lines[number - 1].startswith('#')),
                 rows[0] if rows else 0)
    width = len(_columns(lines[first - 1])) if rows else 0
    return first, width, '\t' if any('\t' in lines[number - 1] for number in rows) else ' '


def _lines(path):
    """The lines of a UTF-8 file, without a byte order mark or line ends."""
    with open_binary(path) as f:
        text = decode(f.read(), path)
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
    different = {tag for sentence in sentences for tag in sentence.tags}
    form, strange = find_form(different)
    if look_misspelled(different):
        named = sorted(different - {'O', 'o'})
        _log.warning('%s: the tags %s are read as plain types, each of its own; if their letters '
                     'mean begin, inside and so on, write them as B-PER, I-PER and O', path,
                     ', '.join(named[:4] + ['...'] * (len(named) > 4)))
    for sentence in sentences if strange else ():
        for number, tag in zip(sentence.lines, sentence.tags):
            if tag in strange:
                likes = {'prefix': 'O, B-PER, I-PER, E-PER or S-PER',
                         'suffix': 'O, PER-B, PER-I, PER-E or PER-S'}[form]
                first = sentence.words[0] if number == sentence.lines[0] else ''
                comment = ', or remove the line if it is a comment' * first.startswith('#')
                raise DataError(f'{path}:{number}: {tag!r} is not a tag like {likes}, as others '
                                f'here are; correct it, or name the column of the tags{comment}')
    several = [(number, tag) for sentence in sentences
               for number, tag in zip(sentence.lines, sentence.tags) if _SEVERAL.search(tag)]
    if several:
        _log.warning('%s:%d: %s is more than one tag (%d such rows in the file): it is read as one '
                     'type of that name; keep one tag per row', path, *several[0], len(several))
    scheme, faults = detect(sentences)
    if faults:
        _log.warning('%s:%d: %s, but %s would have %s (%d such tags in the file): entities are '
                     'read as conlleval reads them', path, *faults[0][:2], scheme, faults[0][2],
                     len(faults))


def write_predictions(path: str, sentences: Sequence[Sentence],
                      predicted: Sequence[Sequence[str]]) -> None:
    """Write the rows of ``sentences`` with gold tag (if any) and predicted tag as last columns.

    ``predicted`` holds a tag for every word of every sentence.  -DOCSTART- lines are kept.  Both
    conlleval and :func:`read` accept the file.
    """
    if [len(s.words) for s in sentences] != [len(tags) for tags in predicted]:
        raise ValueError('predictions do not match the sentences word for word')
    with atomic_text(path) as f:
        for sentence, tags in zip(sentences, predicted):
            for line in sentence.before:    # one more column here too: conlleval wants equal rows
                f.write(line + sentence.separator + 'O\n\n')
            for i, tag in enumerate(tags):
                gold = [] if sentence.tags is None else [sentence.tags[i]]
                f.write(sentence.separator.join(sentence.columns[i] + gold + [tag]) + '\n')
            f.write('\n')
