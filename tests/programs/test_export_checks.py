"""An export is compared with the model before it is published: what counts as equal."""
import os

import mxnet as mx
import numpy as np
import pytest
from exporting import error, flags

from bert.utils.errors import DataError
from export import checks, export, network
from export.symbol import Symbol


def tampered(monkeypatch, change):
    """Let the files be changed as soon as they are written."""
    write = Symbol.write.__func__

    def wrong(cls, net, folder, arrays, outputs=()):
        write(cls, net, folder, arrays, outputs)
        change(os.path.join(folder, 'model-0000.params'))
    monkeypatch.setattr(Symbol, 'write', classmethod(wrong))


def nudge(path):
    arrays = mx.nd.load(path)
    name = next(name for name in arrays if name.endswith('transformer1_proj_weight'))
    arrays[name][0, 0] += 0.01
    mx.nd.save(path, arrays)


def cut(path):
    with open(path, 'rb+') as f:
        f.truncate(os.path.getsize(path) // 2)


def spoil(path):
    arrays = mx.nd.load(path)
    name = next(name for name in arrays if name.endswith('proj_bias'))
    arrays[name][:] = float('nan')
    mx.nd.save(path, arrays)


@pytest.mark.parametrize('change, message', [(nudge, 'differs from the model by '),
                                             (spoil, 'differs from the model by nan'),
                                             (cut, 'cannot be read back')])
def test_a_wrong_file_is_an_error_and_nothing_is_left(monkeypatch, models, tmp_path, change,
                                                      message):
    tampered(monkeypatch, change)
    assert message in error(flags(models, tmp_path / 'new'))
    assert os.listdir(str(tmp_path)) == []


def test_an_error_leaves_the_earlier_export(monkeypatch, models, tmp_path):
    export.main(flags(models, tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    tampered(monkeypatch, nudge)
    (tmp_path / 'predictions-test.tsv').write_text('mine', encoding='utf-8')
    before['predictions-test.tsv'] = b'mine'
    assert 'holds an earlier result' in error(flags(models, tmp_path, task='ner'))
    assert 'differs from' in error(flags(models, tmp_path, '--overwrite', task='ner'))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_onnx_is_checked_too(monkeypatch, models, tmp_path):
    pytest.importorskip('onnx', reason='the extra onnx is not installed')
    pytest.importorskip('onnxruntime', reason='the extra onnx is not installed')
    tampered(monkeypatch, nudge)        # the ONNX file is made from the symbol's
    assert 'differs from the model by ' in error(flags(models, tmp_path / 'new', '--format',
                                                       'onnx'))
    assert os.listdir(str(tmp_path)) == []


def test_weights_beyond_what_onnx_holds(monkeypatch, models, tmp_path):
    pytest.importorskip('onnx', reason='the extra onnx is not installed')
    pytest.importorskip('onnxruntime', reason='the extra onnx is not installed')
    monkeypatch.setattr('export.onnx.LARGEST', 9999)
    monkeypatch.setattr(Symbol, 'write', None)      # not called
    assert 'the weights take 0.0 GB, but an ONNX file holds at most 2 GB; use --format symbol' in (
        error(flags(models, tmp_path / 'new', '--format', 'onnx')))
    assert os.listdir(str(tmp_path)) == []


def test_an_export_replaces_an_earlier_one(models, exports, tmp_path):
    exports('ner', 'onnx')              # or skip
    (tmp_path / 'results.json').write_text('mine', encoding='utf-8')    # of a prediction
    export.main(flags(models, tmp_path))
    export.main(flags(models, tmp_path, '--format', 'onnx', '--overwrite',
                      task='question_answering'))
    assert {path.name for path in tmp_path.iterdir()} == {
        'model.onnx', 'config.json', 'arguments.json', 'vocab.txt', 'tokenizer_config.json',
        'tokenizer.json', 'results.json'}


@pytest.mark.parametrize('shift, scale, scaled, passes', [
    (0.9e-5, 1, False, True), (1.1e-5, 1, False, False), (1.1e-5, 4, False, False),
    (1.1e-5, 4, True, True), (4.4e-5, 4, True, False), (1.1e-5, 0.1, True, False)])
def test_the_limit(shift, scale, scaled, passes):
    expected = [[np.array([[0.0, scale], [0.5, -0.25]])]]
    def predict(_):
        return [expected[0][0] + np.array([[shift, 0], [0, 0]])]
    if passes:
        found = checks.check(predict, [None], expected, scaled)
        assert found == pytest.approx(shift / (scale if scaled else 1))
    else:
        with pytest.raises(DataError, match='above the limit of 1e-05'):
            checks.check(predict, [None], expected, scaled)


def test_another_shape_is_an_error():
    with pytest.raises(DataError, match='shapes'):
        checks.check(lambda _: [np.zeros((2, 1))], [None], [[np.zeros((2, 2))]])


def test_differences_leave_padding_out():
    inputs = [(np.zeros((2, 3), 'int32'), np.zeros((2, 3), 'int32'), np.array([3, 1], 'float32'))]
    full = np.array([[[1.0, 0], [0, 1], [3, 0]], [[0, 2], [9, 9], [9, 9]]])
    small = full.copy()
    small[0, 0] = 0.5, 1.0          # another class
    small[1, 1:] = -50              # padding
    found = checks.differences(network.TASKS['ner'], lambda _: [small], inputs, [[full]])
    assert set(found) == {'logits'}
    row = found['logits']
    assert row['largest'] == 1.0
    assert row['mean'] == pytest.approx(1.5 / 8)
    assert row['same'] == 0.75
    # a = 1 0 0 1 3 0 0 2, b = .5 1 0 1 3 0 0 2
    assert row['cosine'] == pytest.approx(14.5 / np.sqrt(15 * 15.25))


def test_differences_of_spans():
    inputs = [(np.zeros((2, 3), 'int32'), np.zeros((2, 3), 'int32'), np.array([3, 2], 'float32'))]
    full = [np.array([[1.0, 2, 3], [4, 1, 9]]), np.array([[1.0, 2, 3], [4, 1, 9]])]
    small = [np.array([[1.0, 4, 3], [4, 1, 9]]), np.array([[1.0, 2, 3], [4, 1, 0]])]
    found = checks.differences(network.TASKS['question_answering'], lambda _: small, inputs, [full])
    assert (found['start_logits']['same'], found['start_logits']['largest']) == (0.5, 2.0)
    assert (found['end_logits']['same'], found['end_logits']['largest']) == (1.0, 0.0)


def test_differences_of_several_labels():
    inputs = [(np.zeros((2, 3), 'int32'), np.zeros((2, 3), 'int32'), np.array([3, 2], 'float32'))]
    full = np.array([[1.0, -1, 3], [-2, -1, -3]])
    small = np.array([[3.0, -1, 1], [1, -1.5, -3]])     # other best ones; one label more
    task = network.TASKS['classification']
    assert checks.differences(task, lambda _: [small], inputs, [[full]])['logits']['same'] == 0.0
    found = checks.differences(task, lambda _: [small], inputs, [[full]], multi_label=True)
    assert found['logits']['same'] == 0.5
    found = checks.differences(task, lambda _: [small[:, 1:2]], inputs, [[full[:, 1:2]]],
                               multi_label=True)
    assert found['logits']['same'] == 1.0


def test_no_numbers_are_an_error():
    inputs = [(np.zeros((1, 2), 'int32'), np.zeros((1, 2), 'int32'), np.array([2], 'float32'))]
    with pytest.raises(DataError, match='not finite'):
        checks.differences(network.TASKS['regression'], lambda _: [np.array([[np.nan]])], inputs,
                              [[np.array([[1.0]])]])
