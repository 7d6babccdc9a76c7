"""Where instances for pre-training come from: shards, text, or a random number generator.

A *source* has its instances in ``num_chunks`` chunks that can be read in any order, and knows how
many tokens the longest instance has (``max_length``) and which files it reads (``paths``).  Those
of files can check a chunk before it is needed.
"""
import os
import re
import zlib
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from ..checkpoint.output import SHARDS_DESCRIPTION
from ..text.tokenizer import Tokenizer
from ..utils import files
from ..utils.errors import DataError
from . import corpus, shards
from .instances import Instances, join, without_padding
from .masking import Masking, beyond
from .settings import DataSettings, VocabularySettings
from .vocabulary import draws_subwords

__all__ = ['Shards', 'Synthetic', 'Text', 'content_checksum', 'open_sources', 'source_fingerprint']

_SYNTHETIC_ROWS, _SYNTHETIC_CHUNKS = 1024, 256
_ENDS = 1 << 12     # bytes at the front and at the back of a file that tell its content
# of files that are neither shards nor text
_OTHERS = re.compile(r'\.(json|hdf5|h5|tfrecords?)(\.(gz|bz2|xz))?$', re.IGNORECASE)


class Shards:
    """Shards of create_pretraining_data.py as a source; a chunk is a shard.

    Parameters
    ----------
    paths : list of str
    vocab_size : int
        For a message where a shard has ids from beyond.
    """

    def __init__(self, paths: List[str], vocab_size: int):
        self.paths, self._vocab_size = paths, vocab_size
        self.num_chunks = len(paths)
        self.max_length = max(map(shards.width, paths))

    def read(self, epoch: int, chunk: int) -> Instances:
        """The instances of a chunk; other sources have new ones in each ``epoch``.

        Raises DataError.
        """
        path = self.paths[chunk]
        arrays = shards.read(path)
        for name, end in (('input_ids', self._vocab_size), ('masked_lm_ids', self._vocab_size),
                          ('segment_ids', 2), ('next_sentence_labels', 2)):
            values = arrays[name]
            if values.size and not 0 <= values.min() <= values.max() < end:
                raise DataError(f'{path}: {name} from {values.min()} to {values.max()}, where only '
                                f'0 to {end - 1} are valid; give the vocabulary that the shard was '
                                'made with')
        return without_padding(arrays)

    def check(self, chunk: int) -> bool:
        """Whether a chunk has instances.  Raises DataError as :meth:`read` does."""
        return len(self.read(0, chunk).lengths) > 0


class Text:
    """Text files as a source; each epoch has new pairs of sentences and new masks.

    Parameters
    ----------
    paths : list of str
    tok : bert.text.tokenizer.Tokenizer
    masking : bert.pretraining.masking.Masking
    seed : int
    sampled : bool
        Whether ``tok`` samples its sub-words.
    """

    def __init__(self, paths: List[str], tok: Tokenizer, masking: Masking, seed: int,
                 sampled: bool = False):
        self.paths, self._chunks = paths, corpus.chunks(paths)
        self._tok, self._masking, self._seed, self._sampled = tok, masking, seed, sampled
        self.num_chunks, self.max_length = len(self._chunks), masking.max_seq_length

    def read(self, epoch: int, chunk: int) -> Instances:
        """See :meth:`Shards.read`."""
        rng = np.random.default_rng([self._seed, epoch, chunk])
        documents = corpus.read_documents(self._chunks[chunk], self._tok,
                                          int(rng.integers(1 << 31)) if self._sampled else None)
        return join([without_padding(block) for block in self._masking.instances(documents, rng)])

    def check(self, chunk: int) -> bool:
        """See :meth:`Shards.check`; takes a small part of the time of :meth:`read`."""
        return corpus.check(self._chunks[chunk], self._tok)

    def warn_of_lines(self) -> None:
        """Log a warning where the first lines are not those of sentences and documents."""
        documents = corpus.first_documents(self._chunks[0], self._tok)
        count = len(documents.starts) - 1
        corpus.warn_of_lines(len(documents.tokens), beyond(documents, self._masking.room),
                             count == len(documents.sentences) - 1 > 1)


class Synthetic:
    """Random tokens as a source: instances of one length, for measurements."""

    num_chunks, paths = _SYNTHETIC_CHUNKS, ()

    def __init__(self, length: int, masked: int, vocab_size: int, seed: int):
        self.max_length, self._masked = length, min(masked, length)
        self._vocab_size, self._seed = vocab_size, seed

    def read(self, epoch: int, chunk: int) -> Instances:
        """See :meth:`Shards.read`."""
        rows, length = _SYNTHETIC_ROWS, self.max_length
        rng = np.random.default_rng([self._seed, epoch, chunk])
        columns = np.sort(rng.random((rows, length)).argsort(axis=1)[:, :self._masked], axis=1)
        arrays = (rng.integers(self._vocab_size, size=rows * length),
                  np.tile(np.arange(length) * 2 // length, rows), np.full(rows, length),
                  columns.ravel(), rng.integers(self._vocab_size, size=columns.size),
                  np.full(rows, self._masked), rng.integers(2, size=rows))
        return Instances(*(array.astype(np.int32) for array in arrays))


def open_sources(data: DataSettings, tok: Tokenizer, vocabulary: VocabularySettings,
                 seed: int) -> Tuple[Optional[Any], Optional[Any]]:
    """The source to train on, and the one to evaluate on (None where there are no files).

    Raises DataError for files that are missing, damaged or of the wrong kind.
    """
    def source(patterns, raw, seed, cure=''):
        paths = corpus.expand(patterns)
        if not raw:
            _check_shards(paths, tok)
            return Shards(paths, len(tok))
        if any(path.endswith('.npz') for path in paths):
            raise DataError(f'{patterns[0]}: a shard, not text; leave out --raw{cure}')
        masking = Masking(tok, **vars(data.masking))
        return Text(paths, tok, masking, seed, draws_subwords(tok, vocabulary))

    if data.synthetic_length:
        masking = data.masking
        masked = max(1, min(masking.max_predictions_per_seq,
                            round(data.synthetic_length * masking.masked_lm_prob)))
        train = Synthetic(data.synthetic_length, masked, len(tok), seed)
    else:
        train = source(data.files, data.raw, seed) if data.files else None
    dev = None
    if data.dev_files:
        dev = source(data.dev_files, data.dev_raw, seed + 1, ' or add --eval_use_npz')
    return train, dev


def source_fingerprint(source: Any, tok: Tokenizer) -> int:
    """A CRC-32 that tells whether a run continues with the same data: vocabulary and file sizes."""
    sizes = [os.path.getsize(path) for path in source.paths]
    return zlib.crc32(repr((shards.vocabulary_sha1(tok), sizes)).encode('ascii'))


def content_checksum(source: Any) -> int:
    """A CRC-32 of the first and the last 4 KiB of each file of a source."""
    code = 0
    for path in source.paths:
        with open(path, 'rb') as f:
            code = zlib.crc32(f.read(_ENDS), code)
            f.seek(max(0, os.path.getsize(path) - _ENDS))
            code = zlib.crc32(f.read(_ENDS), code)
    return code


def _check_shards(paths: Sequence[str], tok: Tokenizer) -> None:
    """Raise DataError where a file is no shard, or was made with another vocabulary."""
    others = [path for path in paths if not path.endswith('.npz')]
    if others and len(others) < len(paths):
        made = sorted({os.path.join(os.path.dirname(path), '*.npz') for path in paths
                       if path.endswith('.npz')})
        raise DataError(f"{others[0]}: not a shard (.npz), as others are; name {', '.join(made)}")
    if others:
        cure = ('make shards with create_pretraining_data.py' if _OTHERS.search(others[0]) else
                'for text add --raw')
        raise DataError(f'{others[0]}: not a shard (.npz); {cure}')
    for folder in sorted({os.path.dirname(path) for path in paths}):
        made = os.path.join(folder, SHARDS_DESCRIPTION)
        if os.path.exists(made) and files.read_json(made, dict).get(
                'vocabulary_sha1') != shards.vocabulary_sha1(tok):
            raise DataError(f'{folder}: made with another vocabulary; name that with '
                            '--dataset_name, --vocab or --sentencepiece')
