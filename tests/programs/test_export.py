"""The export program: its files are loaded by MXNet or ONNX Runtime alone and give what ours gives.
"""
import ast
import json
import os
import subprocess
import sys
import unicodedata

import mxnet as mx
import numpy as np
import pytest
from helpers import DATA_FOLDER, ROOT, TINY

from bert.checkpoint import resolve as resolving
from bert.checkpoint import result_folder
from bert.checkpoint.names import ARCHITECTURES
from bert.checkpoint.weights import read_params, read_weights, write_params
from bert.model.config import BertConfig
from bert.model.heads import Classifier, HiddenStates, QuestionAnswering, Tagger
from bert.model.parameters import initialize, load_parameters
from bert.text import tokenizer, transform
from bert.text.added_tokens import AddedToken
from bert.text.vocabulary import SPECIALS
from bert.utils.errors import DataError
from bert.utils.files import read_json
from export import batches, checks, export, formats, network, tokenizer_json
from export.formats import FORMATS
from export.symbol import Symbol

EXAMPLES = os.path.join(ROOT, 'export', 'examples')
LABELS = {'classification': ('good', 'bad', 'so so'), 'regression': None,
          'question_answering': (), 'ner': ('O', 'B-PER', 'I-PER', 'B-LOC')}
TASKS = (*LABELS, 'embedding')
# run by a process that has no `bert`: outputs of the symbol in each folder for its inputs.npz
ALONE = '''
import sys
sys.modules['bert'] = None
import numpy as np
np.bool = bool
import mxnet as mx
for folder in sys.argv[1:]:
    net = mx.gluon.SymbolBlock.imports(folder + '/model-symbol.json', ['data0', 'data1', 'data2'],
                                       folder + '/model-0000.params')
    data = np.load(folder + '/inputs.npz')
    for shape in ('a', 'b', 'c'):
        out = net(*(mx.nd.array(data[shape + str(i)]) for i in range(3)))
        out = out if isinstance(out, list) else [out]
        np.savez(folder + '/outputs-%s.npz' % shape, *(array.asnumpy() for array in out))
'''


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """{task: result folder of a tiny model with a random head}; 'embedding': of the classifier."""
    config = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
    tok = tokenizer.load(TINY)
    arrays = read_weights(os.path.join(TINY, 'model.safetensors'))
    rng, out = np.random.RandomState(3), {}
    for task, labels in LABELS.items():
        head = network.TASKS[task].head
        classes = {'regression': 1, 'question_answering': 2}.get(task) or len(labels)
        weights = dict(arrays, **{head + 'weight': rng.normal(scale=0.1, size=(classes, 32)),
                                  head + 'bias': rng.normal(scale=0.1, size=classes)})
        folder = str(tmp_path_factory.mktemp(task))
        write_params(os.path.join(folder, result_folder.WEIGHTS), {
            name: array.astype('float32') for name, array in weights.items()})
        result_folder.describe(folder, config, tok, head, labels, {'pair': True}, {})
        out[task] = folder
    return dict(out, embedding=out['classification'])


@pytest.fixture(scope='module')
def exports(models, tmp_path_factory):
    """(task, format) -> the folder of its export, made once."""
    made = {}

    def get(task, form='symbol'):
        if form == 'onnx':
            pytest.importorskip('onnx', reason='the extra onnx is not installed')
            pytest.importorskip('onnxruntime', reason='the extra onnx is not installed')
        if (task, form) not in made:
            folder = str(tmp_path_factory.mktemp('export') / (f'{task}-{form}'))
            task_flag = ['--task', 'embedding'] if task == 'embedding' else []
            assert export.main(['--model_parameters', models[task], '--output_dir', folder,
                                '--seq_length', '24', '--format', form, *task_flag]) == 0
            made[task, form] = folder
        return made[task, form]
    return get


def batch(rows, length, seed=0):
    """Inputs of a shape that the export has not seen, with padding."""
    rng = np.random.RandomState(seed)
    lengths = np.append(length, rng.randint(1, length + 1, rows - 1))
    return (rng.randint(120, size=(rows, length)).astype('int32'),
            rng.randint(2, size=(rows, length)).astype('int32'), lengths.astype('float32'))


BATCHES = {'a': batch(5, 11), 'b': batch(1, 40), 'c': batch(3, 1)}


def live(folder, task):
    """batch -> outputs of the network made from a result folder, as the fine-tuning programs do."""
    config = BertConfig.from_dict(read_json(os.path.join(folder, 'config.json')))
    net = {'question_answering': lambda: QuestionAnswering(config),
           'ner': lambda: Tagger(config, 4),
           'regression': lambda: Classifier(config, 1),
           'classification': lambda: Classifier(config, 3),
           'embedding': lambda: HiddenStates(config)}[task]()
    initialize(net, config)
    weights = read_weights(os.path.join(folder, result_folder.WEIGHTS))
    load_parameters(net, weights, folder)
    return network.predictor(net)


def assert_equal(got, expected, tolerance=1e-5):
    assert [a.shape for a in got] == [b.shape for b in expected]
    assert max(np.abs(a - b).max() for a, b in zip(got, expected)) <= tolerance
    assert max(np.abs(b).max() for b in expected) > 0.01


def flags(models, out, *more, task='classification'):
    return ['--model_parameters', models[task], '--output_dir', str(out), '--seq_length', '16',
            *more]


def error(arguments):
    with pytest.raises(DataError) as info:
        export.main(arguments)
    assert '\n' not in str(info.value)
    return str(info.value)


def test_symbols_load_in_a_process_without_bert(models, exports, tmp_path):
    folders = [exports(task) for task in TASKS]
    for folder in folders:
        np.savez(os.path.join(folder, 'inputs.npz'), **{
            shape + str(i): array for shape, arrays in BATCHES.items()
            for i, array in enumerate(arrays)})
    subprocess.run([sys.executable, '-I', '-W', 'ignore', '-c', ALONE, *folders], check=True,
                   cwd=str(tmp_path))
    for task, folder in zip(TASKS, folders):
        predict = live(models[task], task)
        for shape, arrays in BATCHES.items():
            got = np.load(os.path.join(folder, f'outputs-{shape}.npz'))
            assert_equal([got[name] for name in got.files], predict(arrays))


@pytest.mark.parametrize('task', TASKS)
def test_onnx_gives_the_same(models, exports, task):
    folder = exports(task, 'onnx')
    import onnx
    import onnxruntime
    path = os.path.join(folder, 'model.onnx')
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [('', 13)]
    names = ['input_ids', 'attention_mask', 'token_type_ids']
    assert [entry.name for entry in graph.graph.input] == names
    assert {entry.type.tensor_type.elem_type for entry in graph.graph.input} == {
        onnx.TensorProto.INT64}
    outputs = read_json(os.path.join(folder, 'config.json'))['gluon_bert']['export']['outputs']
    assert [entry.name for entry in graph.graph.output] == outputs
    assert {d.dim_param for entry in graph.graph.input for d in entry.type.tensor_type.shape.dim
            } == {'batch', 'length'}
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    predict = live(models[task], task)
    for ids, token_types, lengths in BATCHES.values():
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        given = [array.astype('int64') for array in (ids, mask, token_types)]
        assert_equal(session.run(outputs, dict(zip(names, given))),
                     predict((ids, token_types, lengths)))


@pytest.mark.parametrize('task', TASKS)
def test_what_stands_beside_the_symbol(models, exports, task):
    folder, labels = exports(task), LABELS.get(task, ())
    config = read_json(os.path.join(folder, 'config.json'))
    about = config['gluon_bert']['export']
    assert about['task'] == task and about['seq_length'] == 24 and about['quantize'] is None
    assert about['inputs'] == {'data0': 'int32', 'data1': 'int32', 'data2': 'float32'}
    assert about['largest_difference'] == 0
    assert about['outputs'] == {
        'question_answering': ['start_logits', 'end_logits'],
        'embedding': ['last_hidden_state', 'pooler_output']}.get(task, ['logits'])
    assert config['gluon_bert']['pair'] is True         # the model's own settings are kept
    assert config['hidden_size'] == 32
    head = network.TASKS[task].head
    assert config['architectures'] == [ARCHITECTURES[head] if head else 'BertModel']
    expected = {'model-symbol.json', 'model-0000.params', 'config.json', 'arguments.json',
                'vocab.txt', 'tokenizer_config.json', 'tokenizer.json'}
    if labels:
        assert [config['id2label'][str(i)] for i in range(len(labels))] == list(labels)
        with open(os.path.join(folder, 'labels.txt'), encoding='utf-8') as f:
            assert f.read().split('\n') == [*labels, '']
        expected.add('labels.txt')
    assert {name for name in os.listdir(folder) if not name.endswith('.npz')} == expected
    assert tokenizer.load(folder).ids('The cat') == tokenizer.load(TINY).ids('The cat')


def test_the_documented_command(program, models, tmp_path):
    """A lone file of weights: sizes and vocabulary come from the model named."""
    weights = str(tmp_path / 'ckpt.params')
    arrays = read_params(os.path.join(models['classification'], result_folder.WEIGHTS))
    write_params(weights, arrays)
    out = tmp_path / 'out'
    result = program('export/export.py', '--task', 'classification', '--model_parameters', weights,
                     '--output_dir', str(out), '--seq_length', '32', '--model_name', TINY,
                     check=0, cwd=str(tmp_path))
    assert 'largest difference from the live model 0,' in result.stdout
    assert 'random:' not in result.stderr
    assert read_json(str(out / 'config.json'))['id2label'] == {
        '0': 'LABEL_0', '1': 'LABEL_1', '2': 'LABEL_2'}
    block = Symbol.load(str(out))
    assert_equal(block(BATCHES['a']), live(models['classification'], 'classification')(
        BATCHES['a']))


@pytest.mark.parametrize('task, classes', [('classification', 2), ('regression', 1), ('ner', 9),
                                           ('question_answering', None), ('embedding', None)])
def test_without_weights_they_are_random_and_a_warning_says_so(task, classes, tmp_path, caplog):
    out = str(tmp_path / 'out')
    assert export.main(['--task', task, '--model_name', TINY, '--output_dir', out, '--seq_length',
                        '16']) == 0
    assert 'all weights are random' in caplog.text
    got = Symbol.load(out)(BATCHES['a'])
    if classes:
        assert got[0].shape[-1] == classes


def test_pretrained_weights_of_the_named_model(tmp_path, caplog):
    out = str(tmp_path / 'out')
    export.main(['--task', 'embedding', '--model_name', TINY, '--pretrained', '--output_dir', out,
                 '--seq_length', '16'])
    assert 'random' not in caplog.text
    expected = dict(np.load(os.path.join(TINY, 'expected.npz')))    # Transformers' own outputs
    states, pooled = Symbol.load(out)(
        [expected['ids'], expected['segments'], expected['lengths'].astype('float32')])
    real = np.arange(states.shape[1]) < expected['lengths'][:, None]
    assert np.abs(states[real] - expected['encodings'][real]).max() < 1e-5
    assert np.abs(pooled - expected['pooled']).max() < 1e-5
    export.main(['--task', 'ner', '--model_name', TINY, '--pretrained', '--output_dir', out,
                 '--seq_length', '16', '--overwrite'])
    assert 'the head is random' in caplog.text


def test_an_encoder_without_a_pooler(models, tmp_path):
    arrays = read_params(os.path.join(models['ner'], result_folder.WEIGHTS))
    weights = str(tmp_path / 'ckpt.params')
    write_params(weights, {name: array for name, array in arrays.items()
                                      if not name.startswith('bert.pooler')})
    out = str(tmp_path / 'out')
    export.main(['--task', 'embedding', '--model_name', TINY, '--model_parameters', weights,
                 '--output_dir', out, '--seq_length', '16'])
    assert len(Symbol.load(out)(BATCHES['a'])) == 1
    assert read_json(os.path.join(out, 'config.json'))['gluon_bert']['export']['outputs'] == [
        'last_hidden_state']


@pytest.mark.parametrize('form', FORMATS)
def test_a_model_with_one_token_type(exports, tmp_path, form):
    exports('classification', form)     # or skip
    config = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
    arrays = read_weights(os.path.join(TINY, 'model.safetensors'))
    name = 'bert.token_type_embed.0.weight'
    arrays[name] = arrays[name][:1]
    folder, out = tmp_path / 'model', tmp_path / 'out'
    folder.mkdir()
    result_folder.describe(str(folder), config.replace(type_vocab_size=1), tokenizer.load(TINY),
                           None, (), {}, {})
    write_params(str(folder / result_folder.WEIGHTS), arrays)
    export.main(['--task', 'embedding', '--model_parameters', str(folder), '--output_dir', str(out),
                 '--seq_length', '16', '--format', form])
    ids, _, lengths = BATCHES['a']
    assert_equal(formats.find(form).load(str(out))((ids, ids * 0, lengths)),
                 live(str(folder), 'embedding')((ids, ids * 0, lengths)))


def test_domain_vocabularies_are_known(monkeypatch, tmp_path):
    """--dataset_name goes to the resolver, which here has the tiny model for any name."""
    asked = []

    def resolve(name, dataset, weights, *rest, **more):
        asked.append((name, dataset, weights))
        return original(TINY, None, weights)
    original = resolving.resolve
    monkeypatch.setattr(result_folder, 'resolve', resolve)
    export.main(['--task', 'classification', '--model_name', 'bert_12_768_12', '--dataset_name',
                 'scibert_scivocab_uncased', '--output_dir', str(tmp_path), '--seq_length', '16'])
    assert asked == [('bert_12_768_12', 'scibert_scivocab_uncased', False)]


def test_defaults_are_the_original_ones():
    args = export.parse_args(['--task', 'regression'])
    assert (args.seq_length, args.dropout, args.output_dir, args.format, args.quantize) == (
        None, 0.1, './output_dir', 'symbol', None)
    assert args.model_parameters is None and args.bert_model is None and args.bert_dataset is None


def test_texts_are_cut_as_in_training():
    config = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json'))).replace(
        max_position_embeddings=512)
    for name in 'max_len', 'max_seq_length', 'seq_len':
        trained = config.replace(settings={name: 48})
        assert export.choose_length(None, trained, True) == 48
        assert export.choose_length(None, trained, False) == 384
        assert export.choose_length(16, trained, True) == 16
    assert export.choose_length(None, config.replace(max_position_embeddings=40), True) == 40


def test_dropout_is_in_the_symbol(models, tmp_path):
    export.main(flags(models, tmp_path, '--dropout', '0.25'))
    nodes = read_json(str(tmp_path / 'model-symbol.json'))['nodes']
    assert {node['attrs']['p'] for node in nodes if node['op'] == 'Dropout'} == {'0.25'}


# what the check is for

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


def test_an_export_replaces_an_earlier_one(models, exports, tmp_path):
    exports('ner', 'onnx')              # or skip
    export.main(flags(models, tmp_path))
    export.main(flags(models, tmp_path, '--format', 'onnx', '--overwrite',
                      task='question_answering'))
    assert {path.name for path in tmp_path.iterdir()} == {
        'model.onnx', 'config.json', 'arguments.json', 'vocab.txt', 'tokenizer_config.json',
        'tokenizer.json'}


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


# int8

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


def test_no_numbers_are_an_error():
    inputs = [(np.zeros((1, 2), 'int32'), np.zeros((1, 2), 'int32'), np.array([2], 'float32'))]
    with pytest.raises(DataError, match='not numbers'):
        checks.differences(network.TASKS['regression'], lambda _: [np.array([[np.nan]])], inputs,
                              [[np.array([[1.0]])]])


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


# texts

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


# the examples

@pytest.mark.parametrize('form', FORMATS)
def test_examples_predict_from_text(models, exports, tmp_path, form):
    path = os.path.join(EXAMPLES, f'predict_{form}.py')
    with open(path, encoding='utf-8') as f:
        tree = ast.parse(f.read())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names} | {node.module for node in ast.walk(tree)
                                         if isinstance(node, ast.ImportFrom)}
    assert names == {'json', 'sys', 'pathlib', 'numpy', 'tokenizers',
                     {'symbol': 'mxnet', 'onnx': 'onnxruntime'}[form]}
    pytest.importorskip('tokenizers', reason='the examples take it (pip install tokenizers)')
    tok = tokenizer.load(TINY)
    text, second = 'Thé cat, the dog', 'a Cat?'
    ids, more = tok.ids(text), tok.ids(second)
    tokens = ['[CLS]', *tok.tokens(ids), '[SEP]', *tok.tokens(more), '[SEP]']
    arrays = (np.array([[tok.cls_id, *ids, tok.sep_id, *more, tok.sep_id]], 'int32'),
              np.array([[0] * (len(ids) + 2) + [1] * (len(more) + 1)], 'int32'),
              np.array([len(tokens)], 'float32'))
    for task in TASKS:
        result = subprocess.run([sys.executable, '-I', '-W', 'ignore', path, exports(task, form),
                                 text, second], cwd=str(tmp_path), stdout=subprocess.PIPE,
                                text=True, check=True)
        lines = result.stdout.split('\n')
        assert lines[0].split(' ') == tokens
        outputs = live(models[task], task)(arrays)
        if task == 'question_answering':
            start = outputs[0][0].argmax()
            end = start + outputs[1][0][start:].argmax()
            assert lines[1] == ' '.join(tokens[start:end + 1])
            continue
        if LABELS.get(task):
            best = np.atleast_1d(outputs[0][0].argmax(axis=-1))
            assert lines[1].startswith(' '.join(LABELS[task][i] for i in best) + ' [')
        numbers = np.array(result.stdout[result.stdout.index('[', result.stdout.index('\n')):]
                           .replace('[', ' ').replace(']', ' ').split(), 'float32')
        assert np.abs(numbers - outputs[-1][0].ravel()).max() < 1e-5


def test_examples_cut_long_texts(models, exports, tmp_path):
    pytest.importorskip('tokenizers', reason='the examples take it (pip install tokenizers)')
    tok = tokenizer.load(TINY)
    for form, texts in ('symbol', ('cat ' * 700,)), ('onnx', ('a dog ' * 300, 'cat')):
        result = subprocess.run(
            [sys.executable, '-I', '-W', 'ignore', os.path.join(EXAMPLES, f'predict_{form}.py'),
             exports('classification', form), *texts], cwd=str(tmp_path), stdout=subprocess.PIPE,
            text=True, check=True)
        expected = transform.pair(tok, *texts, max_len=24).ids
        assert result.stdout.split('\n')[0].split(' ') == tok.tokens(expected)
        assert len(expected) == 24


def both_tokenizers(folder, ours):
    """Our tokenizer, and that of the examples from the tokenizer.json of an export."""
    tokenizers = pytest.importorskip('tokenizers',
                                     reason='the examples take it (pip install tokenizers)')
    ours.save(folder)
    tokenizer_json.write(folder, ours)
    theirs = tokenizers.Tokenizer.from_file(os.path.join(folder, 'tokenizer.json'))
    return ours, theirs


@pytest.mark.parametrize('case', ['uncased', 'cased'])
def test_the_tokenizer_of_the_examples_is_ours(tmp_path, case):
    hard = read_json(os.path.join(DATA_FOLDER, 'hard_strings.json'))
    specials = [AddedToken(token, hard['vocabulary'].index(token)) for token in SPECIALS]
    ours, theirs = both_tokenizers(str(tmp_path), tokenizer.WordPiece(
        hard['vocabulary'], case == 'cased', added=specials))
    assert theirs.normalizer.lowercase == (case == 'uncased')
    # Rust has no lone surrogates and takes unassigned characters for text
    for text in (row['text'] for row in hard['strings']):
        if not {'Cs', 'Cn'} & set(map(unicodedata.category, text)):
            assert theirs.encode(text, add_special_tokens=False).ids == ours.ids(text)


def test_the_tokenizer_of_the_examples_cuts_pairs(tmp_path):
    """As ours, though with an odd number of tokens left it is the second text that keeps one more.
    """
    ours, theirs = both_tokenizers(str(tmp_path), tokenizer.load(TINY))
    for length in 16, 17:
        theirs.enable_truncation(length)
        for first in range(1, 30, 3):
            for second in range(1, 30):
                texts = 'a ' * first, 'b ' * second
                expected = transform.pair(ours, *texts, max_len=length)
                found = theirs.encode(*texts)
                assert len(found.ids) == len(expected.ids)
                more = sum(found.type_ids) - sum(expected.token_types)
                assert more in ((0, 1) if length % 2 == 0 else (0,))


# errors

@pytest.mark.parametrize('arguments, message', [
    ([], '--task is missing'), (['--task', 'translation'], 'invalid choice'),
    (['--task', 'ner', '--seq_length', '4'], 'leaves no room'),
    (['--task', 'ner', '--dropout', '2'], 'from 0 to below 1'),
    (['--task', 'ner', '--quantize', 'int4'], 'invalid choice')])
def test_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as info:
        export.main(arguments)
    assert info.value.code == 2
    assert message in capsys.readouterr().err


def test_weights_of_another_task(models, tmp_path):
    assert 'a head for classification' in error(flags(models, tmp_path / 'a', '--task', 'ner'))
    assert 'a head for classification' in error(flags(models, tmp_path / 'a', '--task',
                                                      'regression'))
    assert 'a head for regression' in error(flags(models, tmp_path / 'a', '--task',
                                                  'classification', task='regression'))
    headless = ['--model_parameters', TINY, '--output_dir', str(tmp_path / 'a'), '--seq_length',
                '16']
    assert 'no head' in error(headless + ['--task', 'classification'])
    assert '--task embedding' in error(headless)
    assert os.listdir(str(tmp_path)) == []


def test_labels_that_do_not_fit(models, tmp_path):
    folder = tmp_path / 'model'
    folder.mkdir()
    for name in os.listdir(models['ner']):
        (folder / name).write_bytes(
            open(os.path.join(models['ner'], name), 'rb').read())     # noqa: SIM115
    config = read_json(str(folder / 'config.json'))
    config['id2label'] = {'0': 'O', '1': 'B-PER'}
    (folder / 'config.json').write_text(json.dumps(config), encoding='utf-8')
    assert 'names 2 labels but the weights have 4' in error(
        ['--model_parameters', str(folder), '--output_dir', str(tmp_path / 'out'),
         '--seq_length', '16'])


def test_lengths_over_the_positions(models, tmp_path):
    assert 'positions for 40 tokens' in error(flags(models, tmp_path / 'a', '--seq_length', '41'))


def test_a_folder_with_a_model_is_not_overwritten(models):
    before = sorted(os.listdir(models['ner']))
    assert 'name another folder' in error(flags(models, models['ner'], task='ner'))
    assert sorted(os.listdir(models['ner'])) == before


@pytest.mark.parametrize('content, message', [(b'', 'no text'), (b'\n \n', 'no text'),
                                              (b'caf\xe9\n', 'not UTF-8')])
def test_texts_that_are_none(models, tmp_path, content, message):
    path = tmp_path / 'texts.txt'
    path.write_bytes(content)
    found = error(flags(models, tmp_path / 'out', '--text_file', str(path)))
    assert message in found and str(path) in found


def test_errors_of_the_program(program, models, tmp_path):
    """One line and exit code 1, no file left; here the extra onnx is missing."""
    (tmp_path / 'onnx.py').write_text(
        'raise ModuleNotFoundError("No module named \'onnx\'", name="onnx")\n', encoding='utf-8')
    out = tmp_path / 'out'
    result = program('export/export.py', *flags(models, out), '--format', 'onnx', check=1,
                     env={'PYTHONPATH': str(tmp_path)})
    assert result.stderr.count('\n') == 1 and 'pip install "gluon-bert[onnx]"' in result.stderr
    result = program('export/export.py', *flags(models, out), '--text_file',
                     str(tmp_path / 'absent.txt'), check=1)
    assert result.stderr.strip().endswith('absent.txt: No such file or directory')
    assert not out.exists()


@pytest.mark.slow
def test_a_full_disk(models, tmp_path):
    """The shell's bound on the size of a file stands for it."""
    command = 'ulimit -f 40; exec "$0" "$@"'
    result = subprocess.run(
        ['bash', '-c', command, sys.executable, os.path.join(ROOT, 'export', 'export.py'),
         *flags(models, tmp_path / 'out')], stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert 'cannot be written' in result.stderr and 'Traceback' not in result.stderr
    assert not (tmp_path / 'out').exists()
