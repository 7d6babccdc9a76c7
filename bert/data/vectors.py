"""Files of vectors, written in constant memory: numpy's .npy and .npz, and JSON lines.

Each writer takes an iterator and holds one item of it at a time; the complete file appears at the
end.  Vectors are float32, and the same numbers whatever the format.
"""
import contextlib
import heapq
import json
import os
import shutil
import tempfile
import zipfile
from typing import Iterable, List, Tuple

import numpy as np
from numpy.lib.format import write_array_header_1_0

from ..utils.files import atomic

__all__ = ['FORMATS', 'nearest', 'print_vectors', 'suffix', 'write_sentences', 'write_words']

FORMATS = ('.npz', '.npy', '.jsonl')
_HEADER = 128       # bytes: numpy pads the header of any shape to so many


def suffix(path: str) -> str:
    """The ending of ``path``, in lower case: what :data:`FORMATS` are known by."""
    return os.path.splitext(path)[1].lower()


def write_sentences(path: str, items: Iterable[Tuple[str, np.ndarray]], size: int) -> int:
    """Write one vector per text; returns the number of texts.

    - .npy: an array (texts, size)
    - .npz: the same as ``vectors``
    - .jsonl: one object per line, ``{"text": ..., "vector": [...]}``

    Parameters
    ----------
    path : str
    items : iterable of (text, vector (size,))
    size : int

    Raises DataError if ``path`` cannot be written, and leaves nothing there.
    """
    count = 0
    with atomic(path, sweep=True) as temporary, contextlib.ExitStack() as stack:
        if suffix(path) == '.jsonl':
            out = stack.enter_context(_open_text(temporary))
            for text, vector in items:
                out.write(f'{{"text": {_json(text)}, "vector": {_numbers(vector)}}}\n')
                count += 1
            return count
        npz = suffix(path) == '.npz'
        out = stack.enter_context(open(temporary, 'wb'))
        file = stack.enter_context(_scratch(path)) if npz else out
        array = _Array(file, np.float32, (size,))
        for _, vector in items:
            array.append(vector[None])
            count += 1
        array.finish()
        if npz:
            _zip(out, vectors=file)
    return count


def write_words(path: str, items: Iterable[Tuple[str, List[str], np.ndarray]], size: int) -> int:
    """Write one vector per word; returns the number of texts.

    - .npz: ``vectors`` (words, size), ``words`` (words,) and ``offsets`` (texts + 1,): the words of
      text ``i`` are those from ``offsets[i]`` to ``offsets[i + 1]``
    - .jsonl: one object per line, ``{"text": ..., "tokens": [...], "vectors": [[...], ...]}``

    ``items``: iterable of (text, words, vectors (words, size)); otherwise as
    :func:`write_sentences`.
    """
    count = 0
    with atomic(path, sweep=True) as temporary, contextlib.ExitStack() as stack:
        if suffix(path) == '.jsonl':
            out = stack.enter_context(_open_text(temporary))
            for text, words, vectors in items:
                out.write(f'{{"text": {_json(text)}, "tokens": {_json(words)}, '
                          f'"vectors": [{", ".join(map(_numbers, vectors))}]}}\n')
                count += 1
            return count
        out = stack.enter_context(open(temporary, 'wb'))
        files = [stack.enter_context(_scratch(path)) for _ in range(4)]
        vectors = _Array(files[0], np.float32, (size,))
        offsets = _Array(files[1], np.int64)
        offsets.append([0])
        width, total = 1, 0
        for _, words, rows in items:
            vectors.append(rows)
            files[2].write((json.dumps(words) + '\n').encode('ascii'))  # a word may have a line end
            width = max([width] + [len(word) for word in words])
            total += len(words)
            offsets.append([total])
            count += 1
        vectors.finish()
        offsets.finish()
        # an array of words is as wide as the longest, which is known only now
        files[2].seek(0)
        words = _Array(files[3], f'<U{width}')
        for line in files[2]:
            words.append(json.loads(line))
        words.finish()
        _zip(out, vectors=files[0], words=files[3], offsets=files[1])
    return count


def print_vectors(items: Iterable[tuple]) -> None:
    """Print (text, vector) or (text, words, vectors) for each text."""
    with np.printoptions(threshold=5):
        for text, *item in items:
            print(f'Text: {text}')
            print(f'Sentence embedding: {item[0]}' if len(item) == 1 else
                  f"Tokens: {' '.join(item[0])}\nTokens embedding: {list(item[1])}")


def nearest(query: np.ndarray, items: Iterable[Tuple[str, np.ndarray]],
            top: int) -> List[Tuple[float, int, str]]:
    """The ``top`` texts by dot product, best first: (product, number from 1, text).

    Blank texts have a number, but are none of them.
    """
    scored = ((float(np.dot(vector, query)), -number, text)
              for number, (text, vector) in enumerate(items, 1) if text.strip())
    return [(score, -number, text) for score, number, text in heapq.nlargest(top, scored)]


class _Array:
    """An open file that becomes a .npy; it grows along its first axis."""

    def __init__(self, file, dtype, row=()):
        self._file, self._dtype, self._row, self._rows = file, np.dtype(dtype), row, 0
        file.write(bytes(_HEADER))

    def append(self, rows):
        """Add ``rows``, (n,) + the shape of a row."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self._rows += len(rows)

    def finish(self):
        """Write the header, which has the shape, and go back to the start."""
        self._file.seek(0)
        write_array_header_1_0(self._file, {
            'descr': self._dtype.str, 'fortran_order': False, 'shape': (self._rows, *self._row)})
        assert self._file.tell() == _HEADER
        self._file.seek(0)


def _open_text(path):
    """Open a file of JSON lines; what is not UTF-8 on a command line is a lone surrogate in a text,
    and is escaped."""
    return open(path, 'w', encoding='utf-8', errors='backslashreplace', newline='\n')


def _scratch(path):
    """A temporary file on the disk where ``path`` will be."""
    return tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(path)))


def _zip(out, **members):
    with zipfile.ZipFile(out, 'w') as archive:
        for name, file in members.items():
            with archive.open(name + '.npy', 'w', force_zip64=True) as member:
                shutil.copyfileobj(file, member)


def _json(value):
    return json.dumps(value, ensure_ascii=False)


def _numbers(vector):
    """A JSON list; nine digits determine a float32 exactly."""
    return f"[{', '.join([f'{number:.9g}' for number in vector.tolist()])}]"
