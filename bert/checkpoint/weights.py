"""Reads files of weights in several formats, and writes two; nothing is unpickled."""
import contextlib
import os
import shutil
from typing import Any, Dict, Mapping, Sequence

import numpy as np

from ..utils.errors import DataError
from ..utils.files import atomic, read_json
from . import integrity
from .google import read_tensorflow
from .names import from_gluonnlp, from_huggingface

__all__ = ['read_arrays', 'read_weights', 'read_params', 'write_params', 'write_safetensors']

_THEIRS = ('.bin', '.pt', '.pth', '.safetensors', '.safetensors.index.json')
_REFUSED = {        # endings of names that are known, but not read -> the cure
    **dict.fromkeys(('.h5', '.msgpack', '.bin.index.json'),
                    'load the model with Transformers, whose save_pretrained writes '
                    'model.safetensors'),
    '.ckpt': 'convert a checkpoint of google-research/bert with scripts/convert_checkpoint.py, '
             'which needs its .index and .data files',
}
_CUT = 'only a part could be written; the disk or its quota is full'


def write_params(path: str, arrays: Mapping[str, Any]) -> None:
    """Write {name: array} as an MXNet ``.params`` file, atomically.

    ``arrays`` holds NDArrays or numpy arrays (float32, float16, int32, int64 or uint8).
    """
    import mxnet as mx
    # MXNet would read an array back to the device that it was written from
    arrays = {name: array.as_in_context(mx.cpu()) if isinstance(array, mx.nd.NDArray)
              else mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()}
    folder = os.path.dirname(os.path.abspath(path))
    need = sum(array.size * np.dtype(array.dtype).itemsize for array in arrays.values())
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
        if free < need:
            raise DataError(f'{path}: the disk is full ({need >> 20} MB needed, {free >> 20} MB '
                            'free); the previous file is intact')
    with atomic(path) as temporary:
        try:
            with _name_for_mxnet(temporary, 'rb+') as name:
                mx.nd.save(name, arrays)
            # MXNet misses a failure of its last buffer; the names come last, in order
            last = next(reversed(arrays)).encode('utf-8')
            with open(temporary, 'rb') as f:
                f.seek(-len(last), os.SEEK_END)
                whole = f.read() == last
            integrity.append_checksum(temporary)
        except (mx.MXNetError, OSError):
            whole = False
        if not whole:
            raise OSError(None, _CUT)


@contextlib.contextmanager
def _name_for_mxnet(path, mode):
    """A name of the file ``path`` for MXNet, which opens only names in UTF-8."""
    try:
        path.encode('utf-8')
    except UnicodeEncodeError:
        with open(path, mode) as f:
            yield f'/proc/self/fd/{f.fileno()}'
    else:
        yield path


def read_params(path: str) -> Dict[str, np.ndarray]:
    """The arrays of an MXNet ``.params`` file, under the names and types in it; bfloat16 becomes
    float32.

    Raises DataError if the file is damaged.
    """
    import mxnet as mx
    if not os.path.isfile(path):
        raise DataError(f'{path}: no such file')
    integrity.check_params(path)
    try:
        with _name_for_mxnet(path, 'rb') as name:
            arrays = mx.nd.load(name)
    except (mx.MXNetError, UnicodeDecodeError) as error:    # the latter for a damaged name
        raise DataError(f'{path}: not a complete MXNet parameter file '
                        f'({str(error).strip().splitlines()[-1]})') from None
    if not isinstance(arrays, dict):
        raise DataError(f'{path}: the arrays have no names, so they are not weights of a network')
    out = {}
    for name in list(arrays):       # one after the other: there are not two copies of all
        array = arrays.pop(name).asnumpy()
        out[name] = _from_bfloat16(array['bfloat16']) if array.dtype.names else array
    return out


def _from_bfloat16(bits):
    """float32 of the numbers whose upper halves are ``bits``, uint16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _read_safetensors(path):
    """{name: numpy.ndarray} of a safetensors file; bfloat16 becomes float32."""
    import safetensors
    try:
        with open(path, 'rb') as f:
            content = f.read()
        np.empty(len(content) + (16 << 20), np.uint8)   # a MemoryError, not the library's panic
        tensors = safetensors.deserialize(content)
        integrity.check_safetensors(path, content)
    except safetensors.SafetensorError as error:
        raise DataError(f'{path}: not a complete safetensors file ({error})') from None
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from None
    types = {'F64': np.float64, 'F32': np.float32, 'F16': np.float16, 'I64': np.int64,
             'I32': np.int32, 'U8': np.uint8, 'BOOL': np.bool_}
    out = {}
    for name, tensor in tensors:
        if tensor['dtype'] == 'BF16':
            array = _from_bfloat16(np.frombuffer(tensor['data'], np.uint16))
        elif tensor['dtype'] in types:
            array = np.frombuffer(tensor['data'], types[tensor['dtype']])
        else:
            continue                                # no BERT parameter has such a type
        out[name] = array.reshape(tensor['shape'])
    return out


def _read_shards(path):
    """The arrays of the safetensors files that an index (model.safetensors.index.json) lists."""
    names = read_json(path, dict).get('weight_map')
    if not names or not isinstance(names, dict) or not all(
            isinstance(name, str) and name == os.path.basename(name) for name in names.values()):
        raise DataError(f'{path}: not an index of safetensors files (weight_map); download it '
                        'again')
    out = {}
    for name in sorted(set(names.values())):
        shard = os.path.join(os.path.dirname(path), name)
        if not os.path.isfile(shard):
            raise DataError(f'{shard}: no such file, but {path} lists it; download it too')
        out.update(_read_safetensors(shard))
    missing = sorted(set(names) - set(out))
    if missing:
        raise DataError(f'{path}: lists {missing[0]}, which is in none of its files; download them '
                        'again')
    return out


def read_arrays(path: str) -> Dict[str, np.ndarray]:
    """The arrays of a file in Hugging Face's formats, under the names in it.

    Raises DataError if it is damaged.
    """
    if path.endswith('.safetensors'):
        return _read_safetensors(path)
    return _read_shards(path) if path.endswith('.json') else _read_torch(path)


def _read_torch(path):
    """{name: numpy.ndarray} of a pickled PyTorch file, with torch's weights-only reader."""
    try:
        import torch
    except ModuleNotFoundError:
        raise DataError(
            f'{path}: a pickled PyTorch file can run code when it is opened, so it is refused; use '
            'the model.safetensors of the same model, or install torch, which can read only the '
            'weights') from None
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:          # torch raises UnpicklingError, RuntimeError, EOFError, ...
        raise DataError(f'{path}: torch cannot read only weights from it '
                        f'({(str(error) or type(error).__name__).splitlines()[0]})') from None
    try:
        if not all(isinstance(name, str) for name in state):
            raise TypeError
        return {name: tensor.detach().float().numpy() for name, tensor in state.items()}
    except (AttributeError, RuntimeError, TypeError):       # other objects, or sparse tensors
        raise DataError(f'{path}: contains something other than named, dense weights; save only '
                        'the state_dict of the model') from None


def write_safetensors(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write {name: array} as a safetensors file, atomically."""
    from safetensors.numpy import save
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    # Transformers asks for the format
    content = save(arrays, dict(integrity.METADATA, format='pt'))
    with atomic(path) as temporary, open(temporary, 'wb') as f:
        f.writelines(integrity.sealed_safetensors(content))


def read_weights(path: str, architectures: Sequence[str] = ()) -> Dict[str, np.ndarray]:
    """The weights in a file, as float32 arrays under the names of our networks.

    Parameters
    ----------
    path : str
        ``.params`` (ours or GluonNLP's), ``.safetensors`` (Hugging Face's) or
        ``.safetensors.index.json`` (in several files), PyTorch's ``.bin``, which needs torch, or
        the ``.index`` of google-research/bert's, which needs tensorflow.
    architectures : sequence of str
        The list of this name in the config.json beside the file.

    Raises
    ------
    DataError
        If the file has another format, is damaged, holds values that are not finite numbers, or
        contains no BERT.
    """
    if not os.path.isfile(path):
        raise DataError(f'{path}: no such file')
    cure = next((cure for ending, cure in _REFUSED.items() if path.endswith(ending)), None)
    if cure:
        raise DataError(f'{path}: not one of the kinds of weights that are read, .params, '
                        f"{', '.join(_THEIRS)}; {cure}")
    if path.endswith('.index'):
        arrays = from_huggingface(read_tensorflow(path), architectures)
    elif path.endswith(_THEIRS):
        arrays = from_huggingface(read_arrays(path), architectures)
    else:
        arrays = from_gluonnlp(read_params(path))
    if 'bert.word_embed.0.weight' not in arrays:
        raise DataError(f'{path}: contains no BERT encoder (no word embedding under a known name)')
    arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()
              if not name.startswith('training.')}
    return integrity.check_finite(path, arrays)
