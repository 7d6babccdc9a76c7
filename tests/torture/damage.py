"""Damage to files: bits, bytes, lines, JSON values, arrays.  All of it follows from a generator."""
import io
import json
import math
import struct

import numpy as np

DEEP = 100000
_EXTREMES = [b'\xff' * 4, b'\x00' * 4, b'\xff' * 8, b'\x7f' + b'\xff' * 7, b'\x80' * 4,
             struct.pack('<q', -1), struct.pack('<Q', 1 << 40), struct.pack('<I', 1 << 31),
             struct.pack('<f', math.nan), struct.pack('<f', math.inf)]
_INSERTS = [b'\x00', b'\x00' * 100, b'\xff\xfe', b'\xef\xbb\xbf', b'\xc3', b'\xed\xa0\x80', b'"',
            b'\\', b'\n', b'\n\n', b'\r', b'\t', b',', b'{', b']', b'\xe2\x80\xa8', b'\x1a',
            b'9' * 5000, b'-1', b'NaN', b'Infinity', b'1e999']
_VALUES = [None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, math.nan, math.inf, -math.inf,
           2 ** 31, 2 ** 63, 10 ** 30, 10 ** 400, '', ' ', 'x', '0', 'nan', '\0', '\ud800', '\n',
           'x' * 100000, [], {}, [[]], [None], [0], {'': None}, {'0': 'x'}, [{}], [1, 'x'],
           '\u2028']
# JSON that json.dumps would not write
_TEXTS = ['[' * DEEP + ']' * DEEP, '{"a":' * DEEP + '1' + '}' * DEEP, '9' * 5000, '-' + '9' * 400,
          '1e999', '"\\ud800"', '{"a": 1, "a": 2}', '', '[', '0' * 20]
_PLACE = 'BERT TORTURE'


def binary(draw, content):
    """Damaged bytes."""
    data = bytearray(content)
    kind = draw.randrange(12)
    at = draw.randrange(len(data) + 1)
    if draw.random() < 0.5:             # near the beginning, where sizes and names are
        at = draw.randrange(min(len(data), 200) + 1)
    if kind < 3:
        for _ in range(draw.choice([1, 1, 1, 2, 8])):
            if data:
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == 3:
        if at < len(data):
            data[at] ^= 1 << draw.randrange(8)
    elif kind == 4:
        del data[at:]
    elif kind == 5:
        del data[at:at + draw.choice([1, 2, 4, 8, 100])]
    elif kind == 6:
        extreme = draw.choice(_EXTREMES)
        data[at:at + len(extreme)] = extreme
    elif kind == 7:
        data[at:at] = draw.choice(_INSERTS)
    elif kind == 8:
        data[at:at] = data[at:at + draw.choice([1, 10, 1000])]
    elif kind == 9:
        data += bytes(draw.randrange(256) for _ in range(draw.choice([1, 8, 300])))
    elif kind == 10:
        data[at:at + 64] = bytes(draw.randrange(256) for _ in range(64))
    else:
        data = draw.choice([b'', b'\x00', b'\n', b'\x00' * 1000, b'\xff' * 64, b'PK\x03\x04'])
    return bytes(data)


def lines(draw, content):
    """Damaged text in lines."""
    kind = draw.randrange(10)
    if kind < 4:
        return binary(draw, content)
    rows = content.split(b'\n')
    at = draw.randrange(len(rows))
    if kind == 4:
        del rows[at]
    elif kind == 5:
        rows.insert(at, rows[draw.randrange(len(rows))])
    elif kind == 6:
        rows[at] = draw.choice([b'', b' ', b'\t', b'\t' * 50, b'x', b'x' * (1 << 21), b'null',
                                b'-DOCSTART-', '\u2028'.encode(), '\U0001f600'.encode()])
    elif kind == 7:
        fields = rows[at].replace(b'\t', b' ').split(b' ')
        draw.shuffle(fields)
        rows[at] = b' '.join(fields)
    elif kind == 8:
        return content.decode('utf-8').encode(draw.choice(['utf-16', 'utf-32', 'utf-8-sig']))
    else:
        return content.replace(b'\n', draw.choice([b'\r\n', b'\r', b'', b'\n\n', b'\0']))
    return b'\n'.join(rows)


def values(draw, content):
    """Damaged JSON: mostly a value of another type or size, sometimes damaged bytes."""
    if draw.random() < 0.2:
        return binary(draw, content)
    document = [json.loads(content.decode('utf-8'))]
    node, key = _choose(draw, document)
    text = None
    kind = draw.randrange(8)
    if kind == 0 and node is not document:
        del node[key]
    elif kind == 1:
        node[key], text = _PLACE, draw.choice(_TEXTS)
    elif kind == 2 and isinstance(node[key], (int, float)) and not isinstance(node[key], bool):
        node[key] = draw.choice([-node[key], node[key] + 0.5, node[key] * 1000003, str(node[key]),
                                 [node[key]]])
    elif kind == 3 and isinstance(node, dict):
        node[draw.choice(['', '0', '-1', '\ud800', 'x' * 1000, 'label'])] = draw.choice(_VALUES)
    elif kind == 4:
        other, place = _choose(draw, document)
        node[key] = json.loads(json.dumps(other[place]))
    else:
        node[key] = draw.choice(_VALUES)
    out = json.dumps(document[0], ensure_ascii=draw.random() < 0.5)
    if text is not None:
        out = out.replace(f'"{_PLACE}"', text)
    return out.encode('utf-8', 'surrogatepass')


def _choose(draw, document):
    """A random place in a document: (list or dict, key); shallow ones are more likely."""
    node, key = document, 0
    while isinstance(node[key], (dict, list)) and node[key] and draw.random() < 0.75:
        node = node[key]
        key = draw.choice(list(node)) if isinstance(node, dict) else draw.randrange(len(node))
    return node, key


def values_in_lines(draw, content):
    """Damaged JSON lines."""
    if draw.random() < 0.3:
        return lines(draw, content)
    rows = content.rstrip(b'\n').split(b'\n')
    at = draw.randrange(len(rows))
    rows[at] = values(draw, rows[at])
    return b'\n'.join(rows) + b'\n'


def array(draw, values):
    """An array of another type, shape or with other values."""
    kind = draw.randrange(9)
    if kind == 0:
        return values.astype(draw.choice(['float64', 'float16', 'int64', 'uint8', 'int8', 'bool']))
    if kind == 1:
        return np.array(draw.choice([0, -1, 1.5, math.nan]))            # without dimensions
    if kind == 2:
        return values[:draw.randrange(len(values) + 1)] if values.ndim else values
    if kind == 3:
        return values.reshape(draw.choice([(-1,), (1,) + values.shape, values.shape + (1,)]))
    if kind == 4:
        return values.T
    if kind == 5:
        return np.zeros((0,) + values.shape[1:], values.dtype)
    changed = np.array(values)
    if changed.size:
        flat = changed.reshape(-1)
        high = np.iinfo(values.dtype).max if values.dtype.kind in 'iu' else math.inf
        flat[draw.randrange(len(flat))] = draw.choice(
            [0, 1, high] + ([-1, math.nan] if values.dtype.kind == 'f' else []))
        return flat.reshape(changed.shape)
    return changed


def arrays(draw, found):
    """{name: array} with one of them changed, missing or under another name."""
    found = dict(found)
    name = draw.choice(sorted(found))
    kind = draw.randrange(6)
    if kind == 0:
        del found[name]
    elif kind == 1:
        found[draw.choice(['', 'x', 'bert.encoder.x', name + '.0', '\u00e9'])] = found.pop(name)
    else:
        found[name] = array(draw, found[name])
    return found


def shard(draw, content):
    """A damaged npz file."""
    if draw.random() < 0.5:
        return binary(draw, content)
    with np.load(io.BytesIO(content)) as file:
        found = {name: file[name] for name in file.files}
    if draw.random() < 0.8:
        found = arrays(draw, found)
    else:                               # a pickle
        found[draw.choice(sorted(found))] = np.array([{}, None], object)
    out = io.BytesIO()
    draw.choice([np.savez, np.savez_compressed])(out, **found)
    content = out.getvalue()
    if draw.random() < 0.2:             # a size in a header
        content = content.replace(b"'shape': (", b"'shape': (" + draw.choice([b'9', b'-', b'(']))
    return content


def safetensors(draw, content):
    """A damaged safetensors file: its header is JSON after a length of eight bytes."""
    if draw.random() < 0.5:
        return binary(draw, content)
    end = 8 + int.from_bytes(content[:8], 'little')
    header = values(draw, content[8:end])
    return struct.pack('<Q', len(header)) + header + content[end:]


def flag(draw):
    """A nonsensical value of a flag."""
    return draw.choice(['nan', 'inf', '-inf', '-1', '0', '1', '1e99', '1e-99', str(10 ** 30), '',
                        ' ', '1_000', '\u0663', '0x10', '\u00e9', '\udcff', '9' * 5000, '1.5',
                        '--', '-0', 'None', ',', '1,2', '-2,-1', '\0', '\n'])
