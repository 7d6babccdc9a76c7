"""Rows of tables: CSV (quoted as in RFC 4180), TSV (never quoted, as GLUE's), JSON lines or lists.

The suffix of a file's name decides which; all are UTF-8, and may be compressed (.csv.gz, .tsv.xz).
"""
import contextlib
import csv
import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ..utils.errors import DataError
from ..utils.files import decompressed_name, parse_json, read_json, read_lines

__all__ = ['has_quotes', 'looks_quoted', 'open_table', 'read_json_or_lines', 'read_objects']

Rows = Iterator[Tuple[int, List[Any]]]      # number of the line, from 1; its fields


def open_table(path: str, header: bool = True) -> Tuple[Optional[List[str]], Rows]:
    """The names of the columns (None without a header) and an iterator over the rows.

    JSON lines always have names: the keys of all objects.  A field is a str, except in JSON
    lines, where it is any value, and None where an object lacks the key.  Raises
    :class:`~bert.utils.errors.DataError`, which names the file and the line.
    """
    suffix = _suffix(path)
    if suffix not in _FORMATS:
        raise DataError(f'{path}: unknown kind of table "{suffix}"; the name must end in one of '
                        f'{", ".join(_FORMATS)}')
    rows = _FORMATS[suffix](path)
    if not header and suffix not in ('.jsonl', '.json'):
        return None, rows
    return [name.strip() for name in next(rows, (0, []))[1]], rows


def has_quotes(path: str) -> bool:
    """Whether quotation marks around a field of this table are not part of it."""
    return _FORMATS[_suffix(path)] is not _tsv


def looks_quoted(text: str) -> bool:
    """Whether a field has quotation marks around it and doubled ones inside, as in CSV files."""
    return len(text) > 3 and text[0] == text[-1] == '"' and '""' in text[1:-1]


def _suffix(path):
    return os.path.splitext(decompressed_name(path))[1].lower()


def _tsv(path):
    return _without_blanks((number, line.rstrip('\r\n').split('\t'))
                           for number, line in read_lines(path))


def _csv(path):
    return _without_blanks(_quoted(path))


def _quoted(path):
    csv.field_size_limit(2 ** 31 - 1)   # texts of any length
    reader = csv.reader((line for _, line in read_lines(path)), strict=True)
    while True:
        number = reader.line_num + 1    # the first line of a field that spans several
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if 'new-line character' in str(error):
                raise DataError(f"{path}:{number}: lines end with a carriage return, as on old "
                                "Macs; convert them: tr '\\r' '\\n'") from None
            raise DataError(f'{path}:{number}: {error}; quote a text with quotation marks like '
                            'this: "say ""yes"", then go"') from None
        yield number, fields or ['']


def _without_blanks(rows):
    """Drop blank lines, except between the rows of a single column, where they are empty texts."""
    blank = None                        # numbers of the blank lines since the last row
    for number, fields in rows:
        if len(fields) == 1 and not fields[0].strip():
            if blank is not None:
                blank.append(number)
            continue
        if len(fields) == 1:
            for line in blank or ():
                yield line, ['']
        blank = []
        yield number, fields


def read_objects(path: str) -> Iterator[Tuple[int, Dict[str, Any]]]:
    """The objects of JSON lines or of a JSON list, each as (number of the line or in the list,
    object).  Raises DataError, which names the file and the number."""
    for number, item in _values(path):
        if not isinstance(item, dict):
            raise DataError(f'{path}:{number}: not a JSON object; write one per line, '
                            'such as {"text": "...", "label": "..."}')
        yield number, item


def read_json_or_lines(path: str) -> Any:
    """The value in a JSON file, or the list of the objects on its lines.

    Raises DataError, which names the file and where it is wrong."""
    try:
        return read_json(path)
    except DataError as error:
        rows = read_objects(path)
        try:
            first = next(rows)[1]
        except (DataError, OSError, StopIteration):     # the first line is no whole object
            raise error from None
    return [first, *(item for _, item in rows)]


def _values(path):
    first = True
    for number, line in read_lines(path):
        if not line.strip():
            continue
        if first and line.lstrip().startswith('['):     # pandas, datasets: a list, on any lines
            yield from enumerate(read_json(path, list), 1)
            return
        try:
            value = parse_json(line)
        except ValueError as error:
            if first:
                with contextlib.suppress(DataError):    # an object on several lines
                    yield number, read_json(path, dict)
                    return
            raise DataError(f'{path}:{number}: not JSON ({error}); write one object per '
                            'line') from None
        first = False
        yield number, value


def _json(path):
    items = _rows(path, list(read_objects(path)))
    names = list(dict.fromkeys(name for _, item in items for name in item))
    if items:
        yield items[0][0], names
    items.reverse()
    while items:        # each is freed once it is read: there may be millions
        number, item = items.pop()
        yield number, [_missing_as_none(item.get(name)) for name in names]


def _rows(path, items):
    """The rows of a file of objects: of a single one, which has no row itself, those in "data"."""
    whole = items[0][1] if len(items) == 1 else {}
    inner = whole.get('data')
    if isinstance(inner, list) and inner and all(isinstance(row, dict) for row in inner):
        return list(enumerate(inner, 1))
    kinds, sizes = set(map(type, whole.values())), {len(value) for value in whole.values()
                                                    if isinstance(value, (dict, list))}
    if kinds == {dict} or kinds == {list} and len(sizes) == 1 and max(sizes) > 1:
        raise DataError(f'{path}: columns, not rows; write one object per line, as pandas does '
                        "with to_json(path, orient='records', lines=True)")
    return items


def _missing_as_none(value):
    return None if value != value else value    # pandas writes what is missing as NaN


_FORMATS = {'.csv': _csv, '.tsv': _tsv, '.txt': _tsv, '.jsonl': _json, '.json': _json}
