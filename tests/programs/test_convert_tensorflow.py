"""scripts/convert_checkpoint.py with TensorFlow checkpoints of google-research/bert."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conversions import convert, refused
from helpers import DATA_FOLDER, command_of
from safetensors.numpy import load_file

from bert.checkpoint.resolve import resolve
from bert.checkpoint.weights import read_params, read_weights
from bert.text import tokenizer
from bert.utils.files import read_json, write_json

TINY = Path(DATA_FOLDER) / 'tiny_bert'
FAKE_TENSORFLOW = """
import numpy

class _Reader:
    def __init__(self, path):
        self.arrays = numpy.load(path + '.npz')
    def get_variable_to_shape_map(self):
        return {name: list(self.arrays[name].shape) for name in self.arrays}
    def get_tensor(self, name):
        return self.arrays[name]

class train:
    load_checkpoint = _Reader
"""
GOOGLE_LAYER = {
    'attention.self.query': 'attention/self/query', 'attention.self.key': 'attention/self/key',
    'attention.self.value': 'attention/self/value', 'intermediate.dense': 'intermediate/dense',
    'attention.output.dense': 'attention/output/dense', 'output.dense': 'output/dense'}


def google_arrays():
    """The tiny model's arrays under the names of google-research/bert, written out."""
    theirs = load_file(str(TINY / 'model.safetensors'))
    names = {f'bert/embeddings/{name}_embeddings': f'bert.embeddings.{name}_embeddings.weight'
             for name in ('word', 'position', 'token_type')}
    norms = {'bert/embeddings/LayerNorm': 'bert.embeddings.LayerNorm',
             'cls/predictions/transform/LayerNorm': 'cls.predictions.transform.LayerNorm'}
    dense = {'bert/pooler/dense': 'bert.pooler.dense',
             'cls/predictions/transform/dense': 'cls.predictions.transform.dense'}
    for i in range(2):
        norms.update({f'bert/encoder/layer_{i}/{part}/LayerNorm': f'bert.encoder.layer.{i}.'
                      f'{part.replace("/", ".")}.LayerNorm' for part in (
                          'attention/output', 'output')})
        dense.update({f'bert/encoder/layer_{i}/{google}': f'bert.encoder.layer.{i}.{part}'
                      for part, google in GOOGLE_LAYER.items()})
    names.update({f'{google}/{kind}': f'{name}.{ours}' for google, name in norms.items()
                  for kind, ours in (('gamma', 'weight'), ('beta', 'bias'))})
    names.update({f'{google}/bias': f'{name}.bias' for google, name in dense.items()})
    names.update({'cls/predictions/output_bias': 'cls.predictions.bias',
                  'cls/seq_relationship/output_weights': 'cls.seq_relationship.weight',
                  'cls/seq_relationship/output_bias': 'cls.seq_relationship.bias'})
    out = {google: theirs[name] for google, name in names.items()}
    out.update((f'{google}/kernel', theirs[f'{name}.weight'].T) for google, name in dense.items())
    assert len(out) == 46
    return out


@pytest.fixture(name='google')
def write_google(tmp_path, monkeypatch):
    """google(arrays): a folder as google-research/bert published them, read by a stand-in of
    TensorFlow that takes .npz files."""
    (tmp_path / 'modules').mkdir()
    (tmp_path / 'modules' / 'tensorflow.py').write_text(FAKE_TENSORFLOW)
    monkeypatch.syspath_prepend(str(tmp_path / 'modules'))
    monkeypatch.delitem(sys.modules, 'tensorflow', raising=False)

    def google(arrays):
        folder = tmp_path / 'uncased_L-2_H-32_A-4'
        folder.mkdir()
        for name, array in list(arrays.items()):
            arrays[name + '/adam_m'] = arrays[name + '/adam_v'] = np.zeros_like(array)
        np.savez(str(folder / 'bert_model.ckpt.npz'), global_step=np.int64(7), **arrays)
        for end in 'index', 'data-00000-of-00001':
            (folder / f'bert_model.ckpt.{end}').write_bytes(b'')
        config = read_json(str(TINY / 'config.json'))
        write_json(str(folder / 'bert_config.json'), {key: config[key] for key in (
            'attention_probs_dropout_prob', 'hidden_act', 'hidden_dropout_prob', 'hidden_size',
            'initializer_range', 'intermediate_size', 'max_position_embeddings',
            'num_attention_heads', 'num_hidden_layers', 'type_vocab_size', 'vocab_size')})
        shutil.copy(str(TINY / 'vocab.txt'), str(folder))
        return folder

    yield google
    sys.modules.pop('tensorflow', None)


def test_a_tensorflow_checkpoint(google, tmp_path):
    folder = google(google_arrays())
    before = read_weights(str(TINY / 'model.safetensors'))
    for i, source in enumerate((folder, folder / 'bert_model.ckpt',
                                folder / 'bert_model.ckpt.index')):
        convert(source, tmp_path / str(i))
        after = read_params(str(tmp_path / str(i) / 'model.params'))
        assert sorted(after) == sorted(before)
        assert all((after[name] == before[name]).all() for name in before)
    convert(folder, tmp_path / 'theirs', '--to', 'safetensors')
    theirs = load_file(str(TINY / 'model.safetensors'))
    after = load_file(str(tmp_path / 'theirs' / 'model.safetensors'))
    assert all((after[name] == array).all() for name, array in theirs.items())
    found = resolve(str(tmp_path / 'theirs'))
    assert found.config.num_hidden_layers == 2 and tokenizer.load(found.vocab).cased is False


@pytest.mark.parametrize('head, ours, labels', [
    ('', 'classifier.1', ['LABEL_0', 'LABEL_1', 'LABEL_2']),      # of run_classifier.py
    ('cls/squad/', 'span_classifier', None),                     # of run_squad.py
])
def test_a_fine_tuned_tensorflow_checkpoint(head, ours, labels, google, tmp_path):
    arrays = {name: array for name, array in google_arrays().items() if not name.startswith('cls')}
    arrays[head + 'output_weights'] = np.arange(96, dtype='float32').reshape(3, 32)
    arrays[head + 'output_bias'] = np.arange(3, dtype='float32')
    convert(google(arrays), tmp_path / 'ours')
    after = read_params(str(tmp_path / 'ours' / 'model.params'))
    assert (after[ours + '.weight'] == arrays[head + 'output_weights']).all()
    assert (after[ours + '.bias'] == arrays[head + 'output_bias']).all()
    config = read_json(str(tmp_path / 'ours' / 'config.json'))
    assert list(config.get('id2label', {}).values()) == (labels or [])   # else there are two


@pytest.mark.slow
def test_tensorflow_checkpoints_that_cannot_be_read(google, tmp_path):
    arrays = google_arrays()
    del arrays['bert/encoder/layer_1/output/dense/kernel']
    folder = google(arrays)
    assert 'transformer_cells.1.ffn.ffn_2.weight' in refused(folder, tmp_path / 'x')
    (folder / 'bert_model.ckpt.npz').write_bytes(b'')
    assert 'TensorFlow cannot read this checkpoint (No data left in file)' in refused(
        folder, tmp_path / 'x')
    (tmp_path / 'modules' / 'tensorflow.py').write_text(
        'raise ModuleNotFoundError("No module named \'tensorflow\'", name="tensorflow")')
    program = command_of('scripts/convert_checkpoint.py', str(folder), str(tmp_path / 'x'))
    program['env']['PYTHONPATH'] = str(tmp_path / 'modules')
    result = subprocess.run(**program, capture_output=True, text=True)
    assert result.stderr.splitlines()[-1].endswith('[tensorflow]"')
    assert not os.listdir(str(tmp_path / 'x'))
