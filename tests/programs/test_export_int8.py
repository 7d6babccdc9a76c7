"""Exports with 8-bit weights, and the texts that choose their scales."""
import os
import shutil

import mxnet as mx
import pytest
from exporting import BATCHES, TASKS, error, flags
from helpers import TINY

from bert.model.config import BertConfig
from bert.text import tokenizer
from bert.utils.files import read_json, write_json
from export import batches, checks, export, formats, network
from export.formats import FORMATS


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / 'texts.txt'
    path.write_text('The cat sat on the mat.\n\nA dog ran.\tIt was fast.\nOne more text\n' * 4,
                    encoding='utf-8')
    return str(path)


def least_cosine():
    """0.99; less on a CPU without VNNI, where sums of 8-bit products saturate at 16 bits."""
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        return 0.99 if 'vnni' in f.read() else 0.95


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize('task', TASKS)
def test_int8(models, exports, texts, tmp_path, capsys, task, form):
    full = exports(task, form)
    if form == 'symbol' and not mx.runtime.Features().is_enabled('MKLDNN'):
        pytest.skip('this MXNet has no oneDNN')
    out = tmp_path / 'out'
    export.main(flags(models, out, '--quantize', 'int8', '--text_file', texts, '--format', form,
                      *(['--task', 'embedding'] if task == 'embedding' else []), task=task))
    printed = capsys.readouterr().out
    assert 'int8 beside float32, on ' in printed and 'size: ' in printed and 'speed: ' in printed
    assert ('calibrated on 5 other texts' in printed) == (form == 'symbol')
    about = read_json(str(out / 'config.json'))['gluon_bert']['export']
    assert about['quantize'] == 'int8' and set(about['int8']) == set(about['outputs'])
    assert all(row['largest'] > 1e-4 and row['cosine'] > least_cosine()
               for row in about['int8'].values()), about['int8']
    predict, exact = (formats.find(form).load(folder) for folder in (str(out), full))
    given = list(BATCHES.values())          # random ids and other lengths than it was made for
    found = checks.differences(network.TASKS[task], predict, given,
                               [exact(arrays) for arrays in given])
    assert all(row['largest'] > 1e-4 and row['cosine'] > 0.9 for row in found.values()), found
    if form == 'symbol':
        ops = [node['op'] for node in read_json(str(out / 'model-symbol.json'))['nodes']]
        assert '_sg_mkldnn_fully_connected' in ops and 'FullyConnected' not in ops
    else:
        import onnx
        ops = [node.op_type for node in onnx.load(str(out / 'model.onnx')).graph.node]
        assert 'MatMulInteger' in ops and 'Gemm' not in ops
        assert os.path.getsize(str(out / 'model.onnx')) < os.path.getsize(
            os.path.join(full, 'model.onnx'))


def test_the_labels_of_a_text_are_compared(models, texts, tmp_path):
    """One output is a label here, not a number."""
    if not mx.runtime.Features().is_enabled('MKLDNN'):
        pytest.skip('this MXNet has no oneDNN')
    folder, out = tmp_path / 'model', tmp_path / 'out'
    shutil.copytree(models['regression'], str(folder))
    config = dict(read_json(str(folder / 'config.json')), id2label={'0': 'toxic'})
    for problem, compared in ('regression', False), ('multi_label_classification', True):
        write_json(str(folder / 'config.json'), dict(config, problem_type=problem))
        export.main(['--model_parameters', str(folder), '--output_dir', str(out), '--quantize',
                     'int8', '--text_file', texts, '--seq_length', '16', '--overwrite'])
        row = read_json(str(out / 'config.json'))['gluon_bert']['export']['int8']['logits']
        assert (row['same'] is not None) == compared


def test_int8_needs_onednn(monkeypatch, models, tmp_path):
    class Without:
        def is_enabled(self, name):
            return False
    monkeypatch.setattr(mx.runtime, 'Features', Without)
    assert 'has no int8 operators' in error(flags(models, tmp_path / 'out', '--quantize', 'int8'))
    assert os.listdir(str(tmp_path)) == []


def test_what_mxnet_cannot_make_int8_is_an_error(monkeypatch, models, tmp_path):
    def fail(*args, **kwargs):
        raise mx.MXNetError('Traceback:\nCheck failed: no such operator')
    monkeypatch.setattr('mxnet.contrib.quantization.quantize_net_v2', fail)
    assert 'cannot do it for this model (Check failed: no such operator)' in error(
        flags(models, tmp_path / 'out', '--quantize', 'int8'))
    assert os.listdir(str(tmp_path)) == []


def test_texts_are_cut_and_batched(texts):
    tok = tokenizer.load(TINY)
    rows = batches.read_texts(texts)
    assert len(rows) == 12 and rows[:3] == [
        ('The cat sat on the mat.', None), ('A dog ran.', 'It was fast.'), ('One more text', None)]
    parts = batches.text_batches(rows, tok, 8)
    assert [len(part[0]) for part in parts] == [1, 2, 4, 5]
    ids, token_types, lengths = parts[1]
    assert ids.shape == token_types.shape == (2, 8) and lengths.max() == 8
    assert ids[0, 0] == tok.cls_id and token_types[0, :int(lengths[0])].max() == 1


def test_sample_texts():
    rows = batches.read_texts(None)
    assert len(rows) == batches.TEXTS and all(a and b for a, b in rows)


def test_random_input_ends_at_the_last_position():
    config = BertConfig(32, 2, 4, 64, vocab_size=120, max_position_embeddings=40)
    parts = batches.random_batches(config, 16)
    assert [part[0].shape for part in parts] == [(4, 7), (2, 16), (1, 40)]
    assert all(part[2][0] == part[0].shape[1] and part[2].min() >= 1 for part in parts)
    assert all(part[0].max() < 120 and part[1].max() <= 1 for part in parts)
