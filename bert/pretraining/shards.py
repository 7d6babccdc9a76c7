"""Shards of instances: reading the npz files that create_pretraining_data.py makes.

A shard holds the arrays of :data:`bert.pretraining.masking.FIELDS`, one instance per row.
:mod:`bert.pretraining.shard_writer` makes them.
"""
import hashlib
import os
import zipfile
from typing import Dict

import numpy as np

from ..text.tokenizer import Tokenizer
from ..utils.errors import DataError
from .masking import FIELDS

__all__ = ['read', 'vocabulary_sha1', 'width']


def vocabulary_sha1(tok: Tokenizer) -> str:
    """The SHA-1 of a tokenizer's vocabulary, as hexadecimal digits."""
    tokens = '\n'.join(tok.tokens(range(len(tok))))
    return hashlib.sha1(tokens.encode('utf-8')).hexdigest()


def width(path: str) -> int:
    """The length of a shard's rows; only the header of the file is read."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open('input_ids.npy') as f:
            np.lib.format.read_magic(f)
            return np.lib.format.read_array_header_1_0(f)[0][1]
    except Exception:       # as below: reading the whole reports what is wrong with it
        return read(path)['input_ids'].shape[1]


def read(path: str) -> Dict[str, np.ndarray]:
    """The instances of a shard: {name: array} as in :data:`bert.pretraining.masking.FIELDS`.

    Raises DataError if the file is damaged or holds something else.
    """
    if not os.path.exists(path):
        raise DataError(f'{path}: no such file')
    try:
        with zipfile.ZipFile(path):     # else np.load tries the other formats it knows
            content = np.load(path, allow_pickle=False)
        with content:
            missing = [name for name in FIELDS if name not in content]
            arrays = {name: content[name] for name in FIELDS if name not in missing}
    except Exception as error:  # numpy and zipfile raise anything for a damaged file
        if 'Object arrays' in str(error):
            error = 'pickled, as by GluonNLP, which is never read'
        raise DataError(f'{path}: not a whole shard ({error}); make it again with '
                        'create_pretraining_data.py') from None
    if missing:
        raise DataError(f"{path}: no {', '.join(missing)} in it; is it made by "
                        'create_pretraining_data.py?')
    _check(path, arrays)
    return arrays


def _check(path, arrays):
    """Raise DataError where a type, a shape or a value cannot be a shard's."""
    rows, longest = arrays['valid_lengths'].size, (arrays['input_ids'].shape + (0, 0))[1]
    for name, (dtype, length) in FIELDS.items():
        like = arrays['input_ids' if length == 'max_seq_length' else 'masked_lm_ids']
        shape = (rows,) if length is None else (rows, (like.shape + (0, 0))[1])
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise DataError(f'{path}: {name} is {arrays[name].dtype} {arrays[name].shape}, not '
                            f'{dtype} {shape}; is it made by create_pretraining_data.py?')
    for name, low, high in (('valid_lengths', 1, longest), ('masked_lm_positions', 0, longest - 1)):
        values = arrays[name]
        if values.size and not low <= values.min() <= values.max() <= high:
            raise DataError(f'{path}: {name} from {values.min()} to {values.max()}, where only '
                            f'{low} to {high} are valid')
    beyond = arrays['masked_lm_positions'] >= arrays['valid_lengths'][:, None]
    if beyond.any():
        raise DataError(f"{path}: masked_lm_positions beyond valid_lengths in row "
                        f'{beyond.any(axis=1).argmax()}; is it made by create_pretraining_data.py?')
