"""Damage to files of weights and checkpoints."""
import damage
import numpy as np


def spoil_params(draw, path, kinds=('bytes', 'arrays')):
    """Damage a file of weights: its bytes, arrays, or the state of the training (JSON)."""
    from bert.checkpoint import integrity
    from bert.checkpoint.weights import read_params, write_params
    content = path.read_bytes()
    kind = draw.choice(kinds)
    if kind == 'bytes':                 # a file of others has no checksum
        content = content.rpartition(integrity.TRAILER)[0] or content
        path.write_bytes(damage.binary(draw, content))
        return
    arrays = read_params(str(path))
    if kind == 'state':
        text = damage.values(draw, arrays['training.state'].tobytes()) or b' '
        arrays['training.state'] = np.frombuffer(text, np.uint8)
    else:
        arrays = damage.arrays(draw, arrays)
        arrays = {name: array if array.ndim and array.dtype in (
            'float32', 'float16', 'int32', 'int64', 'uint8') else array.astype('float32')
            for name, array in arrays.items()}
    write_params(str(path), arrays)
