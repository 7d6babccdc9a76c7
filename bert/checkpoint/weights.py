"""Files of weights: all kinds are read, ours are written; atomic, and nothing is unpickled."""
import contextlib
import os
import shutil

import numpy as np

from ..utils.errors import DataError
from ..utils.files import atomic
from .names import from_gluonnlp, from_huggingface

__all__ = ['read_weights', 'read_params', 'write_params', 'write_safetensors']

_CUT = 'only a part could be written; the disk is full, or its quota'


def write_params(path, arrays):
    """Write {name: array} as an MXNet ``.params`` file, atomically.

    ``arrays`` holds NDArrays or numpy arrays (float32, float16, int32, int64 or uint8).
    """
    import mxnet as mx
    arrays = {name: array if isinstance(array, mx.nd.NDArray)
              else mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()}
    folder = os.path.dirname(os.path.abspath(path))
    need = sum(array.size * np.dtype(array.dtype).itemsize for array in arrays.values())
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
        if free < need:
            raise DataError(f'{path}: the disk is full ({need >> 20} MB needed, {free >> 20} MB '
                            'free); what stood there before is intact')
    with atomic(path) as temporary:
        try:
            mx.nd.save(temporary, arrays)
        except mx.MXNetError:
            raise OSError(None, _CUT) from None
        # MXNet does not see its last buffer fail; the names come last, in their order
        last = next(reversed(arrays)).encode('utf-8')
        with open(temporary, 'rb') as f:
            f.seek(-len(last), os.SEEK_END)
            if f.read() != last:
                raise OSError(None, _CUT)


def read_params(path):
    """{name: numpy.ndarray} of an MXNet ``.params`` file, as it is."""
    import mxnet as mx
    if not os.path.isfile(path):
        raise DataError(f'{path}: no such file')
    try:
        arrays = mx.nd.load(path)
    except (mx.MXNetError, UnicodeDecodeError) as error:    # the latter from a damaged name
        raise DataError(f'{path}: not a whole MXNet parameter file '
                        f'({str(error).strip().splitlines()[-1]})') from None
    if not isinstance(arrays, dict):
        raise DataError(f'{path}: holds arrays without names, no weights of a network')
    return {name: array.asnumpy() for name, array in arrays.items()}


def _read_safetensors(path):
    """{name: numpy.ndarray} of a safetensors file; bfloat16 comes as float32."""
    import safetensors
    try:
        with open(path, 'rb') as f:
            tensors = safetensors.deserialize(f.read())
    except safetensors.SafetensorError as error:
        raise DataError(f'{path}: not a whole safetensors file ({error})') from None
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from None
    types = {'F64': np.float64, 'F32': np.float32, 'F16': np.float16, 'I64': np.int64,
             'I32': np.int32, 'U8': np.uint8, 'BOOL': np.bool_}
    out = {}
    for name, tensor in tensors:
        if tensor['dtype'] == 'BF16':               # the upper half of a float32
            array = (np.frombuffer(tensor['data'], np.uint16).astype(np.uint32) << 16).view(
                np.float32)
        elif tensor['dtype'] in types:
            array = np.frombuffer(tensor['data'], types[tensor['dtype']])
        else:
            continue                                # no BERT parameter has such a type
        out[name] = array.reshape(tensor['shape'])
    return out


def _read_torch(path):
    """{name: numpy.ndarray} of a pickled PyTorch file, by torch's weights-only reader."""
    try:
        import torch
    except ModuleNotFoundError:
        raise DataError(
            f'{path}: a pickled PyTorch file, which can run code when it is opened, so it is '
            'refused; '
            'take the model.safetensors of the same model, or install torch, which reads the '
            'weights alone') from None
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:          # torch raises UnpicklingError, RuntimeError, EOFError, ...
        raise DataError(f'{path}: torch cannot read weights alone from it '
                        f'({(str(error) or type(error).__name__).splitlines()[0]})') from None
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise DataError(f'{path}: holds something else than weights by name')
    return {name: tensor.float().numpy() for name, tensor in state.items()}


def write_safetensors(path, arrays):
    """Write {name: numpy.ndarray} as a safetensors file, atomically."""
    from safetensors.numpy import save
    data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()},
                metadata={'format': 'pt'})
    with atomic(path) as temporary, open(temporary, 'wb') as f:
        f.write(data)


def read_weights(path, architectures=()):
    """The weights in a file, under the names of our networks, as float32.

    Parameters
    ----------
    path : str
        ``.params`` (ours or GluonNLP's), ``.safetensors`` (Hugging Face's), or PyTorch's
        ``.bin``, which needs torch.
    architectures : sequence of str
        The list of this name in the config.json beside it.

    Returns
    -------
    dict of str to numpy.ndarray

    Raises
    ------
    DataError
        When it is no such file, is cut short, or holds no BERT.
    """
    if not os.path.isfile(path):
        raise DataError(f'{path}: no such file')
    if path.endswith(('.bin', '.pt', '.pth')):
        arrays = from_huggingface(_read_torch(path), architectures)
    elif path.endswith('.safetensors'):
        arrays = from_huggingface(_read_safetensors(path), architectures)
    else:
        arrays = from_gluonnlp(read_params(path))
    if 'bert.word_embed.0.weight' not in arrays:
        raise DataError(f'{path}: holds no BERT encoder (no word embedding under a known name)')
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()
            if not name.startswith('training.')}
