"""Features that took long to make, kept on disk under a hash of all that they follow from.

They lie in gluon-bert/features of the user's cache folder, as arrays of numbers.  Whatever is wrong
with the cache, features are then made anew.  BERT_FEATURE_CACHE=0 turns it off.
"""
import contextlib
import hashlib
import logging
import os
import time
import unicodedata

import numpy as np

from ..utils import files
from ..utils.errors import DataError

__all__ = ['cached']

_log = logging.getLogger(__name__)

SLOW = 3.0              # seconds; features that take less are not kept
LIMIT = 2 << 30         # bytes of all files together; the least recently used go
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# what turns text into features; a change in them, or in the caller, makes new features
_SOURCES = ('data/feature_cache.py', 'data/squad_features.py', 'text/tokenizer.py',
            'text/transform.py', 'text/vocabulary.py')
_LENGTHS = ' lengths'


def cached(name, tok, content, make):
    """The columns that ``make()`` returns, from the cache where they are in it.

    Parameters
    ----------
    name : str
        What the features are of, for the log.
    tok : bert.text.tokenizer.Tokenizer
    content : iterable
        All else that the columns follow from: texts and settings, values whose ``repr`` is exact.
    make : function
        () -> {column: list of numbers, or list of sequences of numbers}, a sequence with one
        number at least; the numbers of a column are all int, all float or all bool.

    Returns
    -------
    dict
        {column: list of int, float or bool, or list of arrays (integers are int32)}; the same,
        made or read.
    """
    path = None
    if os.environ.get('BERT_FEATURE_CACHE') != '0':
        try:
            path = os.path.join(_folder(), _digest(tok, content, make) + '.npz')
        except OSError as error:
            _log.debug('no cache for features: %s', error)
    columns = _read(path) if path else None
    if columns is not None:
        _log.info('%s: features from the cache, %s', name, path)
        return _unpack(columns)
    start = time.thread_time()      # of this thread alone: a busy machine is no reason
    columns = _pack(make())
    if path and time.thread_time() - start > SLOW:
        _write(path, columns)
    return _unpack(columns)


def _folder():
    folder = os.path.join(files.cache_folder(), 'features')
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    return folder


def _digest(tok, content, make):
    out = hashlib.sha256()
    for path in [os.path.join(_HERE, name) for name in _SOURCES] + [make.__code__.co_filename]:
        with open(path, 'rb') as f:
            out.update(hashlib.sha256(f.read()).digest())
    for part in (tok.identity(), unicodedata.unidata_version):
        out.update(repr(part).encode('utf-8'))
    for part in content:
        out.update(repr(part).encode('utf-8') + b'\n')
    return out.hexdigest()


def _pack(columns):
    """{column: list} -> {column: array}, with the lengths where it was a list of sequences."""
    out = {}
    for name, rows in columns.items():
        if len(rows) and hasattr(rows[0], '__len__'):
            out[name + _LENGTHS] = np.array([len(row) for row in rows], np.int32)
            rows = np.concatenate(rows)
            out[name] = rows.astype(np.int32) if rows.dtype.kind == 'i' else rows
        else:
            out[name] = np.array(rows)
    return out


def _unpack(columns):
    out = {}
    for name, numbers in columns.items():
        if name + _LENGTHS in columns:
            ends = np.cumsum(columns[name + _LENGTHS]).tolist()
            out[name] = [numbers[start:end] for start, end in zip([0] + ends, ends)]
        elif not name.endswith(_LENGTHS):
            out[name] = numbers.tolist()
    return out


def _read(path):
    """The columns in a file, or None."""
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}     # zip checks its sums
        os.utime(path)          # used just now
        return columns
    except FileNotFoundError:
        return None
    except Exception as error:  # of a damaged file numpy may say anything
        _log.debug('%s: cannot be used, features are made anew: %s', path, error)
        return None


def _write(path, columns):
    if sum(column.nbytes for column in columns.values()) > LIMIT:
        return
    try:
        with files.atomic(path) as temporary, open(temporary, 'wb') as file:
            np.savez(file, **columns)
        _make_room(os.path.dirname(path))
    except (OSError, DataError) as error:
        _log.debug('features are not kept: %s', error)


def _make_room(folder):
    """Remove what was used least recently; also what processes left that were killed writing."""
    entries = []
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):    # another process makes room, too
            status = entry.stat()
            entries.append((status.st_mtime, status.st_size, entry.path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= LIMIT:
            break
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        total -= size
