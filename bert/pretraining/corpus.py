"""Text files of any size -> tokenized documents: one sentence per line, a blank line between
documents, UTF-8.

A corpus is cut into chunks of bytes, each of which can be read without the rest of it; a compressed
file (.gz, .bz2, .xz) is one chunk.  The chunks depend on nothing but the text.
"""
import glob
import os
from concurrent.futures import ThreadPoolExecutor
from typing import List, NamedTuple, Optional, Sequence

from ..text.tokenizer import Tokenizer
from ..utils import files
from ..utils.errors import DataError
from .masking import Documents, collect_documents

__all__ = ['Span', 'chunks', 'expand', 'read_documents']


class Span(NamedTuple):
    """Bytes ``start`` to ``end`` of a file; a compressed one is always whole."""
    path: str
    start: int
    end: int


_SMALLEST, _LARGEST = 1 << 18, 1 << 22      # bytes of a chunk: memory, and variety within it
_MANY = 256                                 # chunks, for many workers to share a small corpus
_LONGEST_LINE = 1 << 20
_LARGEST_COMPRESSED = 1 << 28       # bytes of the text in a compressed file, a chunk


def expand(patterns: Sequence[str]) -> List[str]:
    """The files that patterns name, in order and each once.

    ``patterns`` are paths with or without wildcards, as the shell has left them; one may hold
    several, separated by commas.  Raises DataError for one that names no file.
    """
    found = []
    for pattern in patterns:
        for part in [pattern] if os.path.exists(pattern) else pattern.split(','):
            part = os.path.expanduser(part.strip())
            if not part:
                continue
            paths = [part] if os.path.exists(part) else sorted(
                glob.glob(part, recursive=True))    # noqa: PTH207, Path takes no absolute pattern
            whole = [path for path in paths if os.path.isfile(path)]
            if not whole:
                raise DataError(f'{part}: no such file' if not paths else
                                f"{part}: a folder; name its files, with {os.path.join(part, '*')} "
                                'for all' if any(map(os.path.isdir, paths)) else
                                f'{part}: a pipe or a device, which cannot be read twice; save it '
                                'to a file')
            found += whole
    if not found:
        raise DataError(f"\"{' '.join(patterns)}\" names no file; correct the path")
    return list(dict.fromkeys(found))


def chunks(paths: Sequence[str]) -> List[List[Span]]:
    """Cut files into chunks of about equal size.

    A chunk ends where a document ends (a file's end is one), or, in a document longer than a
    chunk, where a line ends.  Compressed files come last.
    """
    compressed = [[Span(path, 0, os.path.getsize(path))] for path in paths
                  if files.is_compressed(path)]
    paths = [path for path in paths if not files.is_compressed(path)]
    sizes = [os.path.getsize(path) for path in paths]
    total = sum(sizes)
    if not total:
        if compressed:
            return compressed
        raise DataError(f"{', '.join(paths)}: empty; name a file with text")
    count = -(-total // min(_LARGEST, max(_SMALLEST, total // _MANY)))
    step = total / count
    out, base = [[]], 0
    for path, size in zip(paths, sizes):
        start = 0
        while start < size:
            target = int(len(out) * step) - base    # where the last chunk of `out` is to end
            end = _boundary(path, max(start, target), size, step) if target < size else size
            if end > start:
                out[-1].append(Span(path, start, end))
            start = end
            if base + end >= len(out) * step and base + end < total:
                out.append([])
        base += size
    return out + compressed





def _boundary(path, offset, size, step):
    """The first end of a document in ``path`` after byte ``offset``; if it is more than ``step``
    bytes away, the first end of a line."""
    with open(path, 'rb') as f:
        f.seek(offset)
        line = f.readline(_LONGEST_LINE)        # what is left of it
        while line and not line.endswith(b'\n'):
            line = f.readline(_LONGEST_LINE)
        line_end = f.tell()
        while line:
            if f.tell() > offset + step:
                return line_end
            line = f.readline(_LONGEST_LINE)
            if not line.strip():
                return f.tell()
    return size


def read_documents(spans: Sequence[Span], tok: Tokenizer,
                   seed: Optional[int] = None) -> Documents:
    """Read and tokenize a chunk.

    ``seed`` is for a tokenizer that samples its sub-words.  Raises DataError for text that is not
    UTF-8, or not in lines.
    """
    if seed is None:
        return collect_documents(document for span in spans for document in _documents(span, tok))
    import sentencepiece
    sentencepiece.set_random_generator_seed(seed)
    with ThreadPoolExecutor(1) as fresh:    # in older versions a thread is seeded only once
        return fresh.submit(read_documents, spans, tok).result()


def _documents(span, tok):
    """The documents of a span of a file: lists of the ids of a sentence."""
    with files.open_binary(span.path) as f:
        if files.is_compressed(span.path):
            content = f.read(_LARGEST_COMPRESSED + 1)
            if len(content) > _LARGEST_COMPRESSED:
                raise DataError(f'{span.path}: more than {_LARGEST_COMPRESSED >> 20} MB of text; '
                                'decompress it, or split it into several files')
        else:
            f.seek(span.start)
            content = f.read(span.end - span.start)
    document, position = [], 0
    for line in content.split(b'\n'):
        if len(line) > _LONGEST_LINE:
            raise _fault(span, position, f'longer than {_LONGEST_LINE} bytes; put each sentence on '
                                         'its own line')
        try:
            text = line.decode('utf-8').strip()     # the tokenizer drops a byte order mark
        except UnicodeDecodeError:
            raise _fault(span, position, 'not UTF-8; convert it: iconv -f ENCODING -t UTF-8'
                         ) from None
        position += len(line) + 1
        if text:
            document.append(tok.ids(text))
        elif document:
            yield document
            document = []
    yield document


def _fault(span, position, what):
    """A DataError that names the line at ``position`` in the span."""
    number, left = 1, span.start + position
    with files.open_binary(span.path) as f:
        while left:
            block = f.read(min(left, _LONGEST_LINE))
            if not block:
                break
            number += block.count(b'\n')
            left -= len(block)
    return DataError(f'{span.path}:{number}: {what}')
