"""The export program: its files are loaded by MXNet or ONNX Runtime alone and give what ours gives.
"""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from exporting import BATCHES, LABELS, TASKS, assert_equal, flags, live
from helpers import TINY

from bert.checkpoint import resolve as resolving
from bert.checkpoint import result_folder
from bert.checkpoint.names import ARCHITECTURES
from bert.checkpoint.weights import read_params, read_weights, write_params
from bert.model.config import BertConfig
from bert.text import tokenizer
from bert.utils.files import read_json, write_json
from export import export, formats, network
from export.formats import FORMATS
from export.symbol import Symbol

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

    def resolve(name, dataset, with_weights, **more):
        asked.append((name, dataset, with_weights))
        return original(TINY, with_weights=with_weights)
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
    assert export.choose_length(None, config.replace(settings={'max_len': None}), True) == 384
    assert export.choose_length(None, config.replace(max_position_embeddings=40), True) == 40


def test_dropout_is_in_the_symbol(models, tmp_path):
    export.main(flags(models, tmp_path, '--dropout', '0.25'))
    nodes = read_json(str(tmp_path / 'model-symbol.json'))['nodes']
    assert {node['attrs']['p'] for node in nodes if node['op'] == 'Dropout'} == {'0.25'}


def test_the_kind_of_problem_is_kept(models, tmp_path):
    """Of three labels, and of one, which alone looks like a regression."""
    for task, labels in ('classification', ['a', 'b', 'c']), ('regression', ['a']):
        folder, out = tmp_path / task, tmp_path / (task + '-out')
        shutil.copytree(models[task], str(folder))
        config = read_json(str(folder / 'config.json'))
        config.update(id2label=dict(enumerate(labels)), problem_type='multi_label_classification')
        write_json(str(folder / 'config.json'), config)
        export.main(['--model_parameters', str(folder), '--output_dir', str(out),
                     '--seq_length', '16'])
        exported = read_json(str(out / 'config.json'))
        assert exported['problem_type'] == 'multi_label_classification'
        assert list(exported['id2label'].values()) == labels
        assert exported['gluon_bert']['export']['task'] == 'classification'
    export.main(['--model_parameters', str(folder), '--output_dir', str(out), '--seq_length', '16',
                 '--task', 'embedding', '--overwrite'])
    exported = read_json(str(out / 'config.json'))
    assert exported['architectures'] == ['BertModel']
    assert not {'problem_type', 'id2label', 'label2id'} & set(exported)
    assert not (out / 'labels.txt').exists()


def test_the_head_of_another_task_is_left_out(models, tmp_path, caplog):
    export.main(['--task', 'regression', '--pretrained', '--model_name', models['classification'],
                 '--output_dir', str(tmp_path), '--seq_length', '16'])
    assert 'the head is random' in caplog.text
    assert Symbol.load(str(tmp_path))(BATCHES['a'])[0].shape == (5, 1)
    config = read_json(str(tmp_path / 'config.json'))
    assert (config['id2label'], config['problem_type']) == ({'0': 'score'}, 'regression')
