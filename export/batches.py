"""Batches of text and of random ids, to check an export with and to calibrate int8."""
import os
from typing import List, Optional, Sequence, Tuple

import numpy as np

from bert.data import tables
from bert.model.config import BertConfig
from bert.model.inputs import pad
from bert.text import transform
from bert.text.tokenizer import Tokenizer
from bert.utils import files
from bert.utils.errors import DataError

from .network import Batch

__all__ = ['TEXTS', 'join', 'random_batches', 'read_texts', 'text_batches']

TEXTS = 64      # the maximum number that is read


def read_texts(path: Optional[str] = None) -> List[Tuple[str, Optional[str]]]:
    """(text, second text or None) for the first lines of a file, or the sample's pairs.

    Raises DataError if there is no text, or it is not UTF-8.
    """
    if path is None:
        path = os.path.join(files.SAMPLE, 'pairs', 'dev.tsv')
        rows = tables.read_table(path, published=True)[:TEXTS]
        return [(row.text_a, row.text_b) for row in rows]
    pairs = []
    for _, line in files.read_lines(path):
        if line.strip() and len(pairs) < TEXTS:
            texts = line.rstrip('\r\n').split('\t')
            pairs.append((texts[0], texts[1] if len(texts) > 1 else None))
    if not pairs:
        raise DataError(f'--text_file {path}: no text in it')
    return pairs


def text_batches(texts: Sequence[Tuple[str, Optional[str]]], tokenizer: Tokenizer, length: int,
                 token_types: int = 2) -> List[Batch]:
    """Batches of 1, 2, 4, 8, 8, ... of the texts, each as long as its longest.

    ``length`` bounds the tokens of a text; ``token_types`` is how many the model has.
    """
    rows, batches = [transform.pair(tokenizer, a, b, length) for a, b in texts], []
    while rows:
        some, rows = rows[:min(8, 2 ** len(batches))], rows[min(8, 2 ** len(batches)):]
        ids, lengths = pad([row.ids for row in some], tokenizer.pad_id)
        types = pad([row.token_types for row in some], 0)[0]
        batches.append((ids, np.minimum(types, token_types - 1), lengths))
    return batches


def random_batches(config: BertConfig, length: int) -> List[Batch]:
    """Random ids and token types: batches of 4, 2 and 1 texts; the last has all positions."""
    rng, batches = np.random.RandomState(0), []
    positions = config.max_position_embeddings
    for rows, columns in (4, min(7, positions)), (2, length), (1, positions):
        ids, types = (rng.randint(count, size=(rows, columns)).astype(np.int32)
                      for count in (config.vocab_size, config.type_vocab_size))
        lengths = np.append(columns, rng.randint(1, columns, rows - 1)).astype(np.float32)
        batches.append((ids, types, lengths))
    return batches


def join(batches: Sequence[Batch]) -> Batch:
    """Several batches as one, padded with zeros."""
    width = max(batch[0].shape[1] for batch in batches)
    ids, types = (np.concatenate([np.pad(batch[i], ((0, 0), (0, width - batch[i].shape[1])))
                                  for batch in batches]) for i in (0, 1))
    return ids, types, np.concatenate([batch[2] for batch in batches])
