"""Features that took long to make, cached on disk, keyed by a hash of their inputs.

They lie in gluon-bert/features of the user's cache folder, as arrays of numbers.  Whatever is wrong
with the cache, features are then made again.  Of several processes that want the same features one
makes them, and the others wait for it.  BERT_FEATURE_CACHE=0 turns the cache off.
"""
import contextlib
import functools
import hashlib
import logging
import os
import time
import unicodedata
from typing import Any, Callable, Dict, Iterable

import numpy as np

from ..text.tokenizer import Tokenizer
from ..utils import files
from ..utils.errors import DataError
from ..utils.locks import Lock

__all__ = ['cached']

_log = logging.getLogger(__name__)

VERSION = 4             # add one when text gives other features than before, or is stored otherwise
SLOW = 3.0              # seconds; features that take less are not kept
LIMIT = 2 << 30         # bytes of all files together; the least recently used go
_LENGTHS = ' lengths'


def cached(name: str, tok: Tokenizer, content: Iterable[Any],
           make: Callable[[], Dict[str, list]]) -> Dict[str, list]:
    """The columns that ``make()`` returns, from the cache if they are there.

    Parameters
    ----------
    name : str
        What the features are of, for the log.
    tok : Tokenizer
    content : iterable
        All other inputs of the columns: texts and settings, values whose ``repr`` is exact.
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
            path = os.path.join(_folder(), _digest(tok, content) + '.npz')
        except OSError as error:
            _log.debug('no cache for features: %s', error)
    if path is None:
        return _unpack(_pack(make()))
    columns = _read(path)
    if columns is None:
        with _turn(path) as waited:
            columns = _read(path) if waited else None
            if columns is None:
                return _unpack(_make(path, make))
    _log.info('%s: features from the cache, %s', name, path)
    return _unpack(columns)


def _make(path, make):
    """The columns as arrays, made now and kept if that took long."""
    start = time.thread_time()      # of this thread alone: a busy machine is no reason
    columns = _pack(make())
    if time.thread_time() - start > SLOW:
        _write(path, columns)
    return columns


def _folder():
    folder = os.path.join(files.cache_folder(), 'features')
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    return folder


def _digest(tok, content):
    out = _digest_of_settings(tok, VERSION).copy()
    _update(out, content)
    return out.hexdigest()


@functools.lru_cache(maxsize=1)         # a vocabulary is long, and a text may come in many chunks
def _digest_of_settings(tok, version):
    out = hashlib.sha256()
    _update(out, (version, tok.identity(), unicodedata.unidata_version))
    return out


def _update(out, parts):
    for part in parts:
        out.update(repr(part).encode('utf-8') + b'\n')


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
        with contextlib.suppress(OSError):      # a disk that cannot be written
            os.utime(path)      # used just now
        return columns
    except FileNotFoundError:
        return None
    except Exception as error:  # numpy raises anything for a damaged file
        _log.debug('%s: cannot be used, features are made again: %s', path, error)
        return None


@contextlib.contextmanager
def _turn(path):
    """Of several processes the first goes on at once, the others together when it is done, whether
    it kept its features or not; gives whether it waited."""
    waited, lock = False, None
    with contextlib.suppress(OSError):      # a disk that is full: all go on
        try:
            lock = Lock(path + '.lock', patience=0)
        except TimeoutError:
            waited = True
            Lock(path + '.lock').release()
    try:
        yield waited
    finally:
        if lock:
            lock.release()


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
    files.make_folder(folder, 'the cache')      # the latter
    entries = []
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):    # another process makes room, too
            if entry.name.endswith('.npz'):     # whole: others are being written
                status = entry.stat()
                entries.append((status.st_mtime, status.st_size, entry.path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= LIMIT:
            break
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        total -= size
