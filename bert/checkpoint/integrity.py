"""Checks of files of weights before their content is trusted: structure, checksum, finite values.

A ``.params`` file that we write ends in a trailer that MXNet does not read: :data:`TRAILER` and the
CRC-32 of all bytes before it, in hexadecimal.  The eight bytes that the format reserves are
:data:`MARK`, so a file of ours without its trailer is known to be cut.  A safetensors file of ours
has the CRC-32 of all its other bytes in its metadata.  Files of other programs have no checksum and
get the other checks only.
"""
import mmap
import os
import struct
import zlib
from typing import Dict, List, Mapping

import numpy as np

from ..utils.errors import DataError

__all__ = ['append_checksum', 'checksum', 'check_finite', 'check_params', 'check_safetensors',
           'sealed_safetensors', 'METADATA']

TRAILER, MARK = b'gluon-bert crc32 ', b'gluonCRC'
_HEX = 8            # digits of a CRC-32
_BLOCK = 1 << 22    # bytes that are read at once
_KEY = 'gluon_bert_file_crc32'
METADATA = {_KEY: '0' * _HEX}      # of a safetensors file that is to be sealed
_LIST_MAGIC = 0x112
_V2, _V3 = 0xF993FAC9, 0xF993FACA       # an array since MXNet 1.0, and with np-shape semantics
_V1 = 0xF993FAC8
_MAX_DIMENSIONS = 32
# bytes of a number of each of MXNet's types
_ITEM = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 8: 2, 9: 2, 10: 4, 11: 8, 12: 2}


class _Damaged(Exception):
    """The reason why a file is damaged."""


class _Reader:
    """Reads numbers from a buffer one after the other."""

    def __init__(self, data):
        self._data, self.place = data, 0

    def take(self, code):
        """The next number of a struct code."""
        size = struct.calcsize(code)
        self.skip(size)
        return struct.unpack_from('<' + code, self._data, self.place - size)[0]

    def skip(self, size):
        """Pass over some bytes, which must be there."""
        if size > len(self._data) - self.place:
            raise _Damaged('it is cut short, or a size in it is damaged')
        self.place += size

    def text(self, size):
        """Some bytes as text."""
        self.skip(size)
        try:
            return bytes(self._data[self.place - size:self.place]).decode('utf-8')
        except UnicodeDecodeError:
            raise _Damaged('a name in it is not UTF-8') from None


def append_checksum(path: str) -> None:
    """End a ``.params`` file with the CRC-32 of what it holds."""
    with open(path, 'rb+') as f:
        f.seek(8)
        f.write(MARK)
        size = f.seek(0, os.SEEK_END)
        f.write(TRAILER + _crc_of(f, size))


def _crc_of(file, size):
    """The CRC-32 of the first ``size`` bytes of an open file, in hexadecimal; it ends there."""
    file.seek(0)
    code = 0
    while size > 0:
        block = file.read(min(size, _BLOCK))
        code = zlib.crc32(block, code)
        size = size - len(block) if block else 0
    return b'%08x' % code


def checksum(path: str) -> int:
    """The CRC-32 in the trailer of a ``.params`` file, unverified; 0 if there is none."""
    try:
        with open(path, 'rb') as f:
            f.seek(-len(TRAILER) - _HEX, os.SEEK_END)
            end = f.read()
        return int(end[-_HEX:], 16) if end.startswith(TRAILER) else 0
    except (OSError, ValueError):       # a short file, or other digits
        return 0


def check_params(path: str) -> None:
    """Check the structure of a ``.params`` file, and its checksum if it has one.

    MXNet trusts the sizes in such a file: a damaged one can make it allocate gigabytes, or crash.

    Raises :class:`~bert.utils.errors.DataError`.
    """
    try:
        with open(path, 'rb') as f:
            if not os.fstat(f.fileno()).st_size:
                raise _Damaged('it is empty')
            with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _check_params(f, data)
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from None
    except _Damaged as reason:
        raise DataError(f'{path}: not a complete MXNet parameter file ({reason}); get another '
                        'copy') from None


def _check_params(file, data):
    """Check a file and its bytes; of these only some are read here, as all would stay in memory."""
    end = len(data) - len(TRAILER) - _HEX
    if end > 0 and data[end:end + len(TRAILER)] == TRAILER:
        found = _crc_of(file, end)
        if found != data[-_HEX:]:
            raise _Damaged(f'its checksum is {found.decode()} where it should be '
                           f'{data[-_HEX:].decode("ascii", "replace")}: it is damaged')
    else:
        end = len(data)
        if data[8:8 + len(MARK)] == MARK:
            raise _Damaged('it is cut short: its checksum is missing')
    reader = _Reader(data)
    if reader.take('Q') != _LIST_MAGIC:
        raise _Damaged('its first bytes are those of another format')
    reader.take('Q')
    count = reader.take('Q')
    for _ in range(count):
        _pass_array(reader)
    names = reader.take('Q')
    if names not in (0, count):
        raise _Damaged(f'it has {count} arrays and {names} names')
    for _ in range(names):
        reader.text(reader.take('Q'))
    if reader.place != end:
        raise _Damaged('its end is damaged')


def _pass_array(reader):
    """Pass over an array of a ``.params`` file."""
    magic = reader.take('I')
    if magic in (_V2, _V3):
        if reader.take('i') != 0:
            raise _Damaged('it holds a sparse array')
        dimensions = reader.take('i')
    elif magic == _V1:
        dimensions = reader.take('i')
    else:
        dimensions = magic      # MXNet before 0.12 had the number of dimensions here
    if not 0 <= dimensions <= _MAX_DIMENSIONS:
        raise _Damaged(f'an array in it has {dimensions} dimensions')
    code = 'q' if magic in (_V1, _V2, _V3) else 'I'
    size = 1
    for _ in range(dimensions):
        length = reader.take(code)
        if length < 0:
            raise _Damaged('an array in it has a negative size')
        size *= length
    if dimensions == 0 and magic != _V3:
        return                  # no array: it has neither device nor values
    reader.take('i')            # the device it was on, and its number
    reader.take('i')
    kind = reader.take('i')
    if kind not in _ITEM:
        raise _Damaged(f'an array in it has the unknown type {kind}')
    reader.skip(size * _ITEM[kind])


def sealed_safetensors(content: bytes) -> List[memoryview]:
    """The parts of a safetensors file that has :data:`METADATA`, with its checksum in them."""
    place, view = _checksum_place(content), memoryview(content)
    return [view[:place], memoryview(_crc_around(view, place)), view[place + _HEX:]]


def _checksum_place(content):
    """Where the checksum stands in a safetensors file; ValueError where our key is not in it."""
    key = f'"{_KEY}":"'.encode()
    return content.index(key, 8, 8 + int.from_bytes(content[:8], 'little')) + len(key)


def _crc_around(view, place):
    """The CRC-32 of a file but for the digits at ``place``, in hexadecimal."""
    return b'%08x' % zlib.crc32(view[place + _HEX:], zlib.crc32(view[:place]))


def check_safetensors(path: str, content: bytes) -> None:
    """Check the checksum of a safetensors file, if it has one.

    ``content`` is the whole file, whose structure the library has checked.  Raises DataError.
    """
    try:
        place = _checksum_place(content)
    except ValueError:
        return
    found, wanted = _crc_around(memoryview(content), place), content[place:place + _HEX]
    if found != wanted:
        raise DataError(f'{path}: damaged (its checksum is {found.decode()} but should be '
                        f'{wanted.decode("utf-8", "replace")}); get another copy')


def check_finite(path: str, arrays: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """``arrays`` again, or DataError where one holds infinite values or NaN."""
    for name, array in arrays.items():
        if array.dtype.kind == 'f' and not np.isfinite(array).all():
            raise DataError(f'{path}: {name} has values that are not finite numbers; get another '
                            'copy, or use the weights of an earlier checkpoint')
    return dict(arrays)
