"""Where instances for pre-training come from: shards, text, or a random number generator.

A *source* has its instances in ``pieces`` that can be read in any order, and knows how many tokens
the longest has (``max_length``).
"""
import collections

import numpy as np

from ..utils.errors import DataError
from . import corpus, shards

__all__ = ['Instances', 'Shards', 'Synthetic', 'Text', 'join']

Instances = collections.namedtuple(
    'Instances', 'ids segments lengths positions labels counts next_sentence')
Instances.__doc__ = """Instances without padding, one after the other; all arrays are int32.

- ids, segments: (tokens of all,)
- lengths: (instances,), tokens of each
- positions, labels: (masked tokens of all,), their columns and what they were
- counts: (instances,), masked tokens of each
- next_sentence: (instances,), 1 where the second text is a random one
"""
_SYNTHETIC_ROWS = 1024


class Shards:
    """Shards of create_pretraining_data.py as a source.

    Parameters
    ----------
    paths : list of str
    vocab_size : int
        For a message where a shard has ids from beyond.
    """

    def __init__(self, paths, vocab_size):
        self._paths, self._vocab_size = paths, vocab_size
        self.pieces = len(paths)
        self.max_length = max(map(shards.width, paths))

    def read(self, pass_, piece):
        """The :class:`Instances` of a piece; ``pass_`` is for sources that have others each time.

        Raises DataError.
        """
        path = self._paths[piece]
        arrays = shards.read(path)
        for name, end in (('input_ids', self._vocab_size), ('masked_lm_ids', self._vocab_size),
                          ('segment_ids', 2), ('next_sentence_labels', 2)):
            values = arrays[name]
            if values.size and not 0 <= values.min() <= values.max() < end:
                raise DataError(f'{path}: {name} from {values.min()} to {values.max()}, where only '
                                f'0 to {end - 1} can be; give the vocabulary that it was made with')
        return _without_padding(arrays)


class Text:
    """Text files as a source; in each pass, other pairs of sentences and other masks.

    Parameters
    ----------
    paths : list of str
    tok : bert.text.tokenizer.Tokenizer
    masking : bert.pretraining.masking.Masking
    seed : int
    sampled : bool
        Whether ``tok`` draws its pieces at random.
    """

    def __init__(self, paths, tok, masking, seed, sampled=False):
        self._chunks = corpus.chunks(paths)
        self._tok, self._masking, self._seed, self._sampled = tok, masking, seed, sampled
        self.pieces, self.max_length = len(self._chunks), masking.max_seq_length

    def read(self, pass_, piece):
        """See :meth:`Shards.read`."""
        rng = np.random.default_rng([self._seed, pass_, piece])
        pool = corpus.read_pool(self._chunks[piece], self._tok,
                                int(rng.integers(1 << 31)) if self._sampled else None)
        return join([_without_padding(block) for block in self._masking.instances(pool, rng)])


class Synthetic:
    """Random tokens as a source: instances of one length, for measurements."""

    pieces = 1

    def __init__(self, length, masked, vocab_size, seed):
        self.max_length, self._masked = length, min(masked, length)
        self._vocab_size, self._seed = vocab_size, seed

    def read(self, pass_, piece):
        """See :meth:`Shards.read`."""
        rows, length = _SYNTHETIC_ROWS, self.max_length
        rng = np.random.default_rng([self._seed, pass_, piece])
        columns = np.sort(rng.random((rows, length)).argsort(axis=1)[:, :self._masked], axis=1)
        arrays = (rng.integers(self._vocab_size, size=rows * length),
                  np.tile(np.arange(length) * 2 // length, rows), np.full(rows, length),
                  columns.ravel(), rng.integers(self._vocab_size, size=columns.size),
                  np.full(rows, self._masked), rng.integers(2, size=rows))
        return Instances(*(array.astype(np.int32) for array in arrays))


def _without_padding(arrays):
    """Arrays of :data:`bert.pretraining.masking.FIELDS` -> :class:`Instances`."""
    text = np.arange(arrays['input_ids'].shape[1]) < arrays['valid_lengths'][:, None]
    masked = arrays['masked_lm_weights'] > 0
    return Instances(arrays['input_ids'][text], arrays['segment_ids'][text],
                     arrays['valid_lengths'], arrays['masked_lm_positions'][masked],
                     arrays['masked_lm_ids'][masked], masked.sum(axis=1, dtype=np.int32),
                     arrays['next_sentence_labels'])


def join(parts):
    """:class:`Instances` of several."""
    if not parts:
        return Instances(*[np.zeros(0, np.int32)] * len(Instances._fields))
    return parts[0] if len(parts) == 1 else Instances(*map(np.concatenate, zip(*parts)))
