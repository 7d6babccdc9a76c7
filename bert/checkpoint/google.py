"""TensorFlow checkpoints of google-research/bert, read by TensorFlow (extra ``tensorflow``)."""
import os
import re
from typing import Dict

import numpy as np

from ..utils.errors import DataError

__all__ = ['read_tensorflow', 'to_huggingface_name']

# parts of a name -> Hugging Face's; only kernels, (inputs, outputs), are to be transposed
_PARTS = (
    (r'(?<=encoder/)layer_(\d+)/', r'layer.\1/'),
    (r'^output_', 'classifier/output_'),            # of run_classifier.py
    (r'^cls/squad/', 'qa_outputs/'),                # of run_squad.py
    (r'^(cls/predictions)/output_bias$', r'\1/bias'),
    (r'/(kernel|output_weights|\w+_embeddings)$',
     lambda match: '/weight' if 'embeddings' not in match.group(1) else match.group() + '/weight'),
    (r'/output_bias$', '/bias'),
)
_NOT_WEIGHTS = re.compile(r'(/(adam_[mv]|Adam(_1)?)|^(global_step|beta[12]_power))$')


def to_huggingface_name(name: str) -> str:
    """The name in Transformers of a variable of google-research/bert."""
    for pattern, replacement in _PARTS:
        name = re.sub(pattern, replacement, name)
    return name.replace('/', '.')


def read_tensorflow(path: str) -> Dict[str, np.ndarray]:
    """The weights of a checkpoint (``path`` ends in .index) under Hugging Face's names.

    The optimizer's variables are not read.  Raises DataError if TensorFlow cannot read the files.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')      # it logs what this CPU can do
    import tensorflow
    out = {}
    try:
        reader = tensorflow.train.load_checkpoint(re.sub(r'\.index$', '', path))
        for name in reader.get_variable_to_shape_map():
            if not _NOT_WEIGHTS.search(name):
                array = reader.get_tensor(name)
                out[to_huggingface_name(name)] = array.T if name.endswith('/kernel') else array
    except Exception as error:          # NotFoundError, DataLossError, RuntimeError, ...
        raise DataError(f'{path}: TensorFlow cannot read this checkpoint '
                        f'({(str(error) or type(error).__name__).splitlines()[0]})') from None
    return out
