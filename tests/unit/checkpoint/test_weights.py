"""Files of weights: written whole or not at all, read of every kind, refused in one line."""
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import types

import mxnet as mx
import numpy as np
import pytest
import safetensors.numpy
from helpers import ROOT, refused
from operator_cases import BF16

from bert.checkpoint import integrity
from bert.checkpoint.weights import (
    read_arrays,
    read_params,
    read_weights,
    write_params,
    write_safetensors,
)
from bert.utils import files

ARRAYS = {'bert.word_embed.0.weight': np.arange(12, dtype=np.float32).reshape(3, 4),
          'bert.pooler.bias': np.array([1.5, -2], np.float32)}
THEIRS = {'bert.embeddings.word_embeddings.weight': ARRAYS['bert.word_embed.0.weight'],
          'bert.pooler.dense.bias': ARRAYS['bert.pooler.bias']}


def same(a, b):
    return list(a) == list(b) and all(
        a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]) for name in a)


def test_params_there_and_back(tmp_path):
    path = str(tmp_path / 'a.params')
    arrays = dict(ARRAYS, half=np.array([0.5], np.float16), bytes=np.array([255], np.uint8),
                  whole=np.array([[-7]], np.int32), long=np.array([1 << 40], np.int64))
    write_params(path, arrays)
    assert same(read_params(path), arrays)
    write_params(path, {'bert.word_embed.0.weight': mx.nd.ones((2, 2)),
                                   'training.state': np.array([1], np.uint8)})
    assert same(read_weights(path),
                {'bert.word_embed.0.weight': np.ones((2, 2), np.float32)})


def test_params_in_bfloat16(tmp_path):
    path = str(tmp_path / 'a.params')
    low = mx.nd.amp_cast(mx.nd.array([[1, -2.5], [3.140625, 0]]), dtype=BF16)
    mx.nd.save(path, {'bert.word_embed.0.weight': low})
    expected = np.array([[1, -2.5], [3.140625, 0]], np.float32)
    assert same(read_params(path), {'bert.word_embed.0.weight': expected})


def test_a_folder_whose_name_is_not_utf8(tmp_path):
    folder = os.fsdecode(os.fsencode(str(tmp_path)) + b'/caf\xe9')
    os.mkdir(folder)
    for write, read in (write_params, read_params), (write_safetensors, read_arrays):
        path = os.path.join(folder, 'a.' + write.__name__[len('write_'):])
        write(path, ARRAYS)
        assert set(read(path)) == set(ARRAYS)


def test_safetensors_there_and_back(tmp_path):
    path = str(tmp_path / 'a.safetensors')
    turned = dict(THEIRS, **{'bert.pooler.dense.weight': np.arange(6, dtype=np.float32)
                             .reshape(2, 3).T})
    write_safetensors(path, turned)
    arrays = read_weights(path)
    assert arrays['bert.pooler.weight'].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert same({name: arrays[name] for name in ARRAYS}, ARRAYS)
    with safetensors.safe_open(path, 'np') as f:
        assert f.metadata()['format'] == 'pt'       # Transformers asks for it


FULL_DISK = '''
import bert, json, os, resource, signal, sys
import mxnet, numpy as np
from bert.checkpoint import weights
from bert.utils.errors import DataError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kind, path = sys.argv[1:]
write = getattr(weights, 'write_' + kind)
old = {'layer.%d.weight' % i: np.full((10, 10), i, np.float32) for i in range(20)}
new = {name: array + 1 for name, array in old.items()}
write(path, old)
with open(path, 'rb') as f:
    before = f.read()
size = len(before)
for limit in (0, 100, size // 2, size - 1000, size - 300, size - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(path, new)
        print('no error')
    except DataError as error:
        print(error)
    with open(path, 'rb') as f:
        print(f.read() == before, os.listdir(os.path.dirname(path)))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
write(path, new)
with open(path, 'rb') as f:
    print(f.read() == before)
'''


@pytest.mark.parametrize('kind, reason', [
    ('params', 'only a part could be written; the disk or its quota is full'),
    ('safetensors', 'File too large')])
@pytest.mark.slow
def test_a_full_disk(tmp_path, kind, reason):
    path = str(tmp_path / 'a.weights')
    result = subprocess.run([sys.executable, '-c', FULL_DISK, kind, path], cwd=ROOT, text=True,
                            capture_output=True, timeout=120)
    assert result.stdout.splitlines() == [
        f'{path}: cannot be written ({reason}); the previous file is intact',
        "True ['a.weights']"] * 6 + ['False'], result.stderr


def test_too_little_room_is_seen_beforehand(tmp_path, monkeypatch):
    path = str(tmp_path / 'a.params')
    write_params(path, ARRAYS)
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: types.SimpleNamespace(free=2 << 20))
    assert refused(write_params, path, {'a': np.zeros(3 << 18, np.float32)}) == (
        f'{path}: the disk is full (3 MB needed, 2 MB free); the previous file is intact')
    write_params(path, dict(ARRAYS, fits=np.zeros(1 << 18, np.float32)))
    assert 'fits' in read_params(path)


@pytest.mark.parametrize('write', [write_params, write_safetensors])
def test_a_folder_that_cannot_be_written(tmp_path, write):
    (tmp_path / 'file').write_text('')
    for folder, reason in (('file', 'Not a directory'), ('none', 'No such file or directory')):
        path = str(tmp_path / folder / 'a.weights')
        assert refused(write, path, ARRAYS) == (
            f'{path}: cannot be written ({reason}); choose another folder')
    if write is write_params:
        assert refused(files.make_folder, str(tmp_path / 'file' / 'new'), '--output_dir') == (
            f"--output_dir {tmp_path / 'file' / 'new'}: cannot be written (Not a directory)")


def test_a_folder_in_the_place_of_the_file(tmp_path):
    path = tmp_path / 'a.params'
    path.mkdir()
    assert 'a.params: not a file; name another one' in refused(write_params, str(path),
                                                           ARRAYS)
    assert os.listdir(str(tmp_path)) == ['a.params']


def test_cut_params(tmp_path):
    path = tmp_path / 'a.params'
    write_params(str(path), ARRAYS)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert refused(read_weights, str(path)).startswith(
            f'{path}: not a complete MXNet parameter file (')
    path.write_bytes(whole[:whole.index(integrity.TRAILER)])
    assert 'its checksum is missing' in refused(read_weights, str(path))


def test_cut_safetensors(tmp_path):
    path = tmp_path / 'a.safetensors'
    write_safetensors(str(path), THEIRS)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert refused(read_weights, str(path)).startswith(
            f'{path}: not a complete safetensors file (')


@pytest.mark.parametrize('name', ['a.params', 'a.safetensors'])
@pytest.mark.parametrize('content', [
    b'', b'<!DOCTYPE html>\n<title>404</title>' * 99, b'\0' * 999, b'PK\3\4' + b'\xff' * 999,
    pickle.dumps({'a': 1}), 'the other kind'])
def test_other_files(tmp_path, name, content):
    path = tmp_path / name
    if content == 'the other kind':
        if name == 'a.params':
            write_safetensors(str(path), THEIRS)
        else:
            write_params(str(path), ARRAYS)
    else:
        path.write_bytes(content)
    kind = 'MXNet parameter' if name == 'a.params' else 'safetensors'
    assert refused(read_weights, str(path)).startswith(
        f'{path}: not a complete {kind} file (')


def test_a_damaged_name(tmp_path):
    path = tmp_path / 'a.params'
    write_params(str(path), ARRAYS)
    path.write_bytes(path.read_bytes().replace(b'word_embed', b'word\xffembed'))
    assert 'not a complete MXNet parameter file' in refused(read_weights, str(path))


@pytest.mark.parametrize('name, cure', [
    ('tf_model.h5', 'load the model with Transformers, whose save_pretrained writes '),
    ('flax_model.msgpack', 'load the model with Transformers'),
    ('pytorch_model.bin.index.json', 'load the model with Transformers'),
    ('bert_model.ckpt', 'convert a checkpoint of google-research/bert with scripts/convert_check')])
def test_kinds_that_are_not_read(tmp_path, name, cure):
    path = tmp_path / name
    path.write_bytes(b'x' * 99)
    assert refused(read_weights, str(path)).startswith(
        f'{path}: not one of the kinds of weights that are read, .params, .bin, .pt, .pth, '
        f'.safetensors, .safetensors.index.json; {cure}')


@pytest.mark.parametrize('name', ['a.params', 'a.safetensors', 'a.bin'])
def test_missing_files(tmp_path, name):
    path = str(tmp_path / name)
    assert refused(read_weights, path) == f'{path}: no such file'
    assert refused(read_weights, str(tmp_path)) == f'{tmp_path}: no such file'


def test_unnamed_arrays(tmp_path):
    path = str(tmp_path / 'a.params')
    mx.nd.save(path, [mx.nd.ones(2)])
    assert refused(read_weights, path) == (
        f'{path}: the arrays have no names, so they are not weights of a network')


def test_weights_of_something_else(tmp_path):
    message = '%s: contains no BERT encoder (no word embedding under a known name)'
    path = str(tmp_path / 'a.params')
    write_params(path, {'conv.weight': np.zeros(2, np.float32)})
    assert refused(read_weights, path) == message % path
    path = str(tmp_path / 'a.safetensors')
    write_safetensors(path, {'roberta.embeddings.weight': np.zeros(2, np.float32)})
    assert refused(read_weights, path) == message % path


def test_types_of_safetensors(tmp_path):
    """Written by hand: numpy has no bfloat16."""
    content, header, end = b'', {}, 0
    for name, kind, data in (
            # 1.0, -2.5, 3.140625, 2 ** -130 (subnormal): the upper halves of their float32
            ('bert.embeddings.word_embeddings.weight', 'BF16',
             struct.pack('<4H', 0x3f80, 0xc020, 0x4049, 0x0008)),
            ('bert.pooler.dense.weight', 'F16', struct.pack('<4e', 1, -2.5, 65504, 2 ** -24)),
            ('bert.embeddings.position_embeddings.weight', 'F64', struct.pack('<4d', 1, 2, 3, 4)),
            ('bert.embeddings.position_ids', 'I64', struct.pack('<4q', 0, 1, 2, 3)),
            ('bert.other', 'F8_E4M3', b'1234')):
        content += data
        header[name] = {'dtype': kind, 'shape': [2, 2], 'data_offsets': [end, len(content)]}
        end = len(content)
    header = json.dumps(header).encode('ascii')
    path = tmp_path / 'a.safetensors'
    path.write_bytes(struct.pack('<Q', len(header)) + header + content)
    arrays = read_weights(str(path))
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert {name: array.tolist() for name, array in arrays.items()} == {
        'bert.word_embed.0.weight': [[1, -2.5], [3.140625, 2 ** -130]],
        'bert.pooler.weight': [[1, -2.5], [65504, 2 ** -24]],
        'bert.encoder.position_weight': [[1, 2], [3, 4]]}


def test_a_pickle_is_refused_without_torch(tmp_path, monkeypatch):
    path = tmp_path / 'pytorch_model.bin'
    marker = tmp_path / 'was_run'
    path.write_bytes(pickle.dumps(Malicious(str(marker))))
    monkeypatch.setitem(sys.modules, 'torch', None)
    message = refused(read_weights, str(path))
    assert message == (
        f'{path}: a pickled PyTorch file can run code when it is opened, so it is refused; use the '
        'model.safetensors of the same model, or install torch, which can read only the weights')
    assert not marker.exists()


class Malicious:
    """Its pickle makes a folder when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_torch_is_asked_for_weights_alone(tmp_path, monkeypatch):
    """With a stand-in for torch, which no extra of ours installs."""
    path, marker, calls = tmp_path / 'pytorch_model.bin', tmp_path / 'was_run', []
    path.write_bytes(pickle.dumps(Malicious(str(marker))))

    class Tensor(np.ndarray):
        detach = float = lambda self: self

        def numpy(self):
            return np.array(self)

    def load(*args, **kwargs):
        calls.append((args, kwargs))
        return {name: array.view(Tensor) for name, array in THEIRS.items()}
    monkeypatch.setitem(sys.modules, 'torch', types.SimpleNamespace(load=load))
    assert same(read_weights(str(path)), ARRAYS)
    assert calls == [((str(path),), {'map_location': 'cpu', 'weights_only': True})]

    def refuse(*args, **kwargs):
        raise pickle.UnpicklingError('Weights only load failed.\nMore')
    monkeypatch.setattr(sys.modules['torch'], 'load', refuse)
    assert refused(read_weights, str(path)) == (
        f'{path}: torch cannot read only weights from it (Weights only load failed.)')
    assert not marker.exists()


def test_torch_reads_weights_alone(tmp_path):
    torch = pytest.importorskip('torch', reason='torch is not installed: no .bin can be read')
    path, marker = tmp_path / 'pytorch_model.bin', tmp_path / 'was_run'
    torch.save({name: torch.tensor(array).bfloat16() for name, array in THEIRS.items()}, str(path))
    assert same(read_weights(str(path)), ARRAYS)
    # of dict(model.named_parameters())
    torch.save({name: torch.nn.Parameter(torch.tensor(array)) for name, array in THEIRS.items()},
               str(path))
    assert same(read_weights(str(path)), ARRAYS)
    other = 'contains something other than named, dense weights'
    for content, message in ((Malicious(str(marker)), 'torch cannot read only weights from it ('),
                             ([torch.ones(2)], other), ([], other), (torch.ones(2), other),
                             ({'state': {}}, other), ({1: torch.ones(2)}, other),
                             ({'a': torch.ones(2).to_sparse()}, other)):
        torch.save(content, str(path))
        assert refused(read_weights, str(path)).startswith(f'{path}: {message}')
    path.write_bytes(b'')
    assert 'torch cannot read only weights' in refused(read_weights, str(path))
    assert not marker.exists()


def test_safetensors_in_several_files(tmp_path):
    index, files = tmp_path / 'model.safetensors.index.json', {}
    for number, (name, array) in enumerate(THEIRS.items(), 1):
        files[name] = f'model-{number:05}-of-00002.safetensors'
        write_safetensors(str(tmp_path / files[name]), {name: array})
    index.write_text(json.dumps({'metadata': {}, 'weight_map': files}))
    assert same(read_weights(str(index)), ARRAYS)
    shard = tmp_path / files['bert.pooler.dense.bias']
    write_safetensors(str(shard), {'other': np.zeros(1, np.float32)})
    assert 'lists bert.pooler.dense.bias, which is in none' in refused(read_weights, str(index))
    shard.unlink()
    assert f'{shard}: no such file, but {index} lists it' in refused(read_weights, str(index))
    for content in '{}', '{"weight_map": {"a": "../a.safetensors"}}', '{"weight_map": [1]}':
        index.write_text(content)
        assert 'not an index of safetensors files' in refused(read_weights, str(index))


def test_a_flipped_bit_is_refused(tmp_path):
    for name, write, arrays in (('a.params', write_params, ARRAYS),
                                ('a.safetensors', write_safetensors, THEIRS)):
        path = tmp_path / name
        write(str(path), arrays)
        whole = path.read_bytes()
        for part in np.float32(7).tobytes(), b'bias':       # a value, a name
            place = whole.index(part)
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
            assert 'checksum' in refused(read_weights, str(path))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = str(tmp_path / 'a.params')
    write_params(path, dict(ARRAYS, **{'bert.pooler.bias': np.array([0, np.nan], np.float32)}))
    assert 'bert.pooler.bias has values that are not finite' in refused(read_weights, path)


def test_others_read_files_with_a_checksum(tmp_path):
    net = mx.gluon.nn.Dense(2, in_units=3)
    net.initialize()
    write_params(str(tmp_path / 'a.params'), {'weight': mx.nd.ones((2, 3)), 'bias': mx.nd.ones(2)})
    net.load_parameters(str(tmp_path / 'a.params'))
    assert net.weight.data().asnumpy().tolist() == [[1.0] * 3] * 2
    write_safetensors(str(tmp_path / 'a.safetensors'), THEIRS)
    assert same(safetensors.numpy.load_file(str(tmp_path / 'a.safetensors')), THEIRS)


def test_a_file_says_nothing_of_the_device(tmp_path):
    path = str(tmp_path / 'a.params')
    write_params(path, {'a': mx.nd.ones((1,), ctx=mx.cpu(3))})
    with open(path, 'rb') as f:
        content = f.read()
    # of the list 24 bytes, of the array its magic number, storage, dimensions and shape
    assert struct.unpack_from('<ii', content, 24 + 4 + 4 + 4 + 8) == (1, 0)     # CPU 0
