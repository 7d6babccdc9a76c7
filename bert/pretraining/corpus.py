"""Text files of any size -> tokenized documents: one sentence per line, a blank line between
documents, UTF-8.

A corpus is cut into chunks of bytes, each of which can be read without the rest of it; a compressed
file (.gz, .bz2, .xz) is one chunk.  The chunks depend on nothing but the text.
"""
import glob
import itertools
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import List, NamedTuple, Optional, Sequence

from ..text.tokenizer import Tokenizer
from ..utils import files
from ..utils.errors import DataError
from .masking import Documents, collect_documents

__all__ = ['Span', 'check', 'check_plain', 'chunks', 'expand', 'first_documents', 'read_documents',
           'warn_of_lines']

_log = logging.getLogger(__name__)


class Span(NamedTuple):
    """Bytes ``start`` to ``end`` of a file; a compressed one is always whole."""
    path: str
    start: int
    end: int


_SMALLEST, _LARGEST = 1 << 18, 1 << 22      # bytes of a chunk: memory, and variety within it
_MANY = 256                                 # chunks, for many workers to share a small corpus
_LONGEST_LINE = 1 << 20
_LARGEST_COMPRESSED = 1 << 28       # bytes of the text in a compressed file, a chunk
_FIRST = 1 << 18                    # characters that show what the lines of a text are like
_BEYOND = 0.2                       # share of the text in too long lines that is worth a warning


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
                                f'{part}: a folder; name its files, with {_all_of(part, paths)} '
                                'for all' if any(map(os.path.isdir, paths)) else
                                f'{part}: a pipe or a device, which cannot be read twice; save it '
                                'to a file')
            found += whole
    if not found:
        raise DataError(f"\"{' '.join(patterns)}\" names no file; correct the path")
    return list(dict.fromkeys(found))


def _all_of(part, folders):
    """A pattern of the files in folders, which ``part`` names: of the shards where there are."""
    shards = any(name.endswith('.npz') for folder in folders if os.path.isdir(folder)
                 for name in os.listdir(folder))
    return os.path.join(part, '*.npz' if shards else '*')


def check_plain(paths: Sequence[str]) -> None:
    """Raise DataError where a file, which would be read as plain text, is compressed or a shard."""
    for path in paths:
        if files.is_compressed(path):
            continue
        with open(path, 'rb') as f:
            packed = files.is_packed(f.read(16))
        if packed and path.endswith('.npz'):
            raise DataError(f'{path}: a shard, not text; name files of text')
        if packed:
            raise DataError(f'{path}: {files.PACKED}')


def chunks(paths: Sequence[str]) -> List[List[Span]]:
    """Cut files into chunks of about equal size.

    A chunk ends where a document ends (a file's end is one), or, in a document longer than a
    chunk, where a line ends.  Compressed files come last.  Raises DataError where there is no
    text, and for files that :func:`check_plain` refuses or that are seen to be too large.
    """
    check_plain(paths)
    compressed = [[Span(path, 0, os.path.getsize(path))] for path in paths
                  if files.is_compressed(path)]
    for span, in compressed:
        if _seems_large(span):
            _content(span)
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


def _seems_large(span):
    """Whether a compressed file probably has more than _LARGEST_COMPRESSED bytes of text."""
    if span.end <= _LARGEST_COMPRESSED and span.path.lower().endswith('.gz') and span.end > 4:
        with open(span.path, 'rb') as f:
            f.seek(-4, os.SEEK_END)     # the size of the text, unless gzip wrote several parts
            return int.from_bytes(f.read(), 'little') > _LARGEST_COMPRESSED
    return span.end > _LARGEST_COMPRESSED


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
        return collect_documents(document for span in spans
                                 for document in _documents(_lines(span), tok))
    import sentencepiece
    sentencepiece.set_random_generator_seed(seed)
    with ThreadPoolExecutor(1) as fresh:    # in older versions a thread is seeded only once
        return fresh.submit(read_documents, spans, tok).result()


def first_documents(spans: Sequence[Span], tok: Tokenizer) -> Documents:
    """As :func:`read_documents`, of the first lines of a chunk."""
    lines = (line for span in spans for line in itertools.chain(_lines(span), ['']))
    return collect_documents(_documents(_until(lines, _FIRST), tok))


def _until(lines, size):
    """The first lines, up to the one that makes them as long as ``size``."""
    for line in lines:
        yield line
        size -= len(line)
        if size <= 0:
            return


def check(spans: Sequence[Span], tok: Tokenizer) -> bool:
    """Whether a chunk has two sentences, which make an instance; reads all, but tokenizes few.

    Raises DataError as :func:`read_documents` does.
    """
    lines = itertools.chain.from_iterable(map(_lines, spans))
    sentences = list(itertools.islice((line for line in lines if line and tok.ids(line)), 2))
    for _ in lines:
        pass
    return len(sentences) == 2


def warn_of_lines(tokens: int, beyond: int, is_apart: bool) -> None:
    """Log a warning where the lines of a text are not sentences.

    ``beyond`` of its ``tokens`` are in lines past the length of an instance; ``is_apart`` says
    whether no sentence is followed by another one of its document.
    """
    if beyond > _BEYOND * tokens:
        _log.warning('%d %% of the text is beyond --max_seq_length and left out: put each sentence '
                     'on its own line; docs/pretraining.rst has a command',
                     round(100 * beyond / tokens))
    elif is_apart:
        _log.warning('no text is followed by its next sentence, so next-sentence prediction learns '
                     'nothing; put blank lines between documents, not between all sentences')


def _content(span):
    """The bytes of a span."""
    with files.open_binary(span.path) as f:
        if not files.is_compressed(span.path):
            f.seek(span.start)
            return f.read(span.end - span.start)
        content = f.read(_LARGEST_COMPRESSED + 1)
    if len(content) > _LARGEST_COMPRESSED:
        raise DataError(f'{span.path}: more than {_LARGEST_COMPRESSED >> 20} MB of text; '
                        'decompress it, or split it into several files')
    return content


def _lines(span):
    """The lines of a span of a file, without white space around them."""
    position = 0
    for line in _content(span).split(b'\n'):
        if len(line) > _LONGEST_LINE:
            raise _fault(span, position, f'longer than {_LONGEST_LINE} bytes; put each sentence on '
                                         'its own line')
        try:
            text = line.decode('utf-8').strip()     # the tokenizer drops a byte order mark
        except UnicodeDecodeError:
            raise _fault(span, position, 'not UTF-8; convert it: iconv -f ENCODING -t UTF-8'
                         ) from None
        position += len(line) + 1
        yield text


def _documents(lines, tok):
    """The documents that lines are: lists of the ids of a sentence."""
    document = []
    for text in lines:
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
