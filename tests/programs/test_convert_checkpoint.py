"""scripts/convert_checkpoint.py: there and back, what goes along, what is refused, a real BERT."""
import os
import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from conversions import convert, refused
from helpers import DATA_FOLDER, needs_real_model, real_model
from networks import hidden_states
from safetensors.numpy import load_file, save_file

from bert.checkpoint import result_folder
from bert.checkpoint.resolve import resolve
from bert.checkpoint.weights import read_params, read_weights, write_params
from bert.model.config import BertConfig
from bert.model.heads import Classifier
from bert.model.parameters import collect, initialize, load_parameters
from bert.text import tokenizer
from bert.utils.errors import DataError
from bert.utils.files import read_json, write_json

DATA = Path(DATA_FOLDER)
TINY = DATA / 'tiny_bert'


def test_there_and_back(tmp_path, capsys):
    ours, theirs = tmp_path / 'ours', tmp_path / 'theirs'
    assert convert(TINY, ours) == 0
    assert convert(ours, theirs) == 0
    assert capsys.readouterr().out == (
        f'{ours}/model.params: 24698 parameters in 46 arrays, from {TINY}\n'
        f'{theirs}/model.safetensors: 24698 parameters in 46 arrays, from {ours}\n')
    vocabulary = ['config.json', 'tokenizer_config.json', 'vocab.txt']
    assert sorted(os.listdir(str(ours))) == sorted(vocabulary + ['model.params'])
    assert sorted(os.listdir(str(theirs))) == sorted(vocabulary + ['model.safetensors'])

    before = load_file(str(TINY / 'model.safetensors'))
    after = load_file(str(theirs / 'model.safetensors'))
    assert sorted(after) == sorted(before)
    for name, array in before.items():
        assert after[name].dtype == array.dtype == np.float32
        assert after[name].shape == array.shape
        assert after[name].tobytes() == array.tobytes()
    assert read_params(str(ours / 'model.params')).keys() == read_weights(
        str(TINY / 'model.safetensors')).keys()


@pytest.mark.parametrize('to, name', [('safetensors', 'model.safetensors'),
                                      ('params', 'model.params')])
def test_float16_takes_half_the_space(to, name, tmp_path):
    for dtype in 'float32', 'float16':
        convert(TINY, tmp_path / dtype, '--to', to, '--dtype', dtype)
    whole, half = (tmp_path / dtype / name for dtype in ('float32', 'float16'))
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    rounded = read_weights(str(half))
    for key, array in read_weights(str(whole)).items():
        np.testing.assert_array_equal(rounded[key], array.astype(np.float16), key)


def test_config_and_vocabulary_go_along(tmp_path):
    ours, theirs = tmp_path / 'ours', tmp_path / 'theirs'
    convert(TINY, ours)
    convert(ours, theirs)
    config = read_json(str(TINY / 'config.json'))
    assert config.pop('dtype') == 'float32'     # the weights', whatever the config says
    for folder in (ours, theirs):
        assert read_json(str(folder / 'config.json')) == config
        assert (folder / 'vocab.txt').read_bytes() == (TINY / 'vocab.txt').read_bytes()
        assert read_json(str(folder / 'tokenizer_config.json'))['do_lower_case'] is True


def test_a_result_folder(tmp_path):
    """A classifier with its labels, as fine-tuning leaves it."""
    ours, theirs, back = tmp_path / 'ours', tmp_path / 'theirs', tmp_path / 'back'
    ours.mkdir()
    config = BertConfig.from_dict(read_json(str(TINY / 'config.json')))
    net = Classifier(config, 3)
    initialize(net, config)
    arrays = {name: p.data().asnumpy() for name, p in collect(net).items()}
    write_params(str(ours / 'model.params'), arrays)
    result_folder.describe(str(ours), config, tokenizer.load(str(TINY)), 'classifier.1.',
                    ('no', 'maybe', 'yes'), {'task': 'custom'}, {})

    convert(ours, theirs)
    written = load_file(str(theirs / 'model.safetensors'))
    assert (written['classifier.weight'] == arrays['classifier.1.weight']).all()
    config = read_json(str(theirs / 'config.json'))
    assert config['architectures'] == ['BertForSequenceClassification']
    assert config['id2label'] == {'0': 'no', '1': 'maybe', '2': 'yes'}
    assert config['gluon_bert'] == {'task': 'custom', 'vocabulary_size': 120}

    convert(theirs, back)
    again = read_params(str(back / 'model.params'))
    assert sorted(again) == sorted(arrays)
    assert all((again[name] == arrays[name]).all() for name in arrays)
    assert read_json(str(back / 'config.json')) == config


def test_weights_of_another_file(tmp_path):
    """A file of GluonNLP's has no config and no vocabulary: --weights with those of a folder."""
    arrays = read_weights(str(TINY / 'model.safetensors'))
    gluon = {name[len('bert.'):]: array for name, array in arrays.items()
             if not name.startswith(('bert.decoder.', 'bert.classifier.'))}
    write_params(str(tmp_path / 'gluon.params'), gluon)
    convert(TINY, tmp_path / 'theirs', '--weights', tmp_path / 'gluon.params')
    before = load_file(str(TINY / 'model.safetensors'))
    after = load_file(str(tmp_path / 'theirs' / 'model.safetensors'))
    assert sorted(after) == sorted(name for name in before if name.startswith('bert.'))
    assert all((after[name] == before[name]).all() for name in after)
    assert read_json(str(tmp_path / 'theirs' / 'config.json'))['architectures'] == ['BertModel']


def test_the_kind_can_be_chosen(tmp_path):
    convert(TINY, tmp_path / 'same', '--to', 'safetensors')
    assert (load_file(str(tmp_path / 'same' / 'model.safetensors')).keys()
            == load_file(str(TINY / 'model.safetensors')).keys())


def test_a_target_that_would_spoil_the_source(tmp_path):
    source, link = tmp_path / 'source', tmp_path / 'link'
    shutil.copytree(str(TINY), str(source))
    link.symlink_to(source)
    before = {path: path.read_bytes() for path in source.iterdir()}
    weights = tmp_path / 'elsewhere' / 'model.safetensors'
    weights.parent.mkdir()
    shutil.copy(str(TINY / 'model.safetensors'), str(weights))
    for target, more in ((source, ()), (link, ()), (source / '..' / 'source', ()),
                         (source, ('--to', 'safetensors')), (source, ('--weights', weights)),
                         (weights.parent, ('--weights', weights))):
        assert refused(source, target, *more) == (
            f'target {target}: this is the folder of the source; name another')
    assert {path: path.read_bytes() for path in source.iterdir()} == before
    assert os.listdir(str(weights.parent)) == ['model.safetensors']


def test_a_target_with_other_weights(tmp_path):
    convert(TINY, tmp_path / 'ours')
    for to in 'params', 'safetensors':
        assert refused(TINY, tmp_path / 'ours', '--to', to) == (
            f"target {tmp_path / 'ours'}: holds an earlier result (model.params); name another "
            'folder, or replace it with --overwrite')
    convert(TINY, tmp_path / 'ours', '--to', 'safetensors', '--overwrite')
    assert sorted(path.name for path in (tmp_path / 'ours').iterdir()) == [
        'config.json', 'model.safetensors', 'tokenizer_config.json', 'vocab.txt']


def test_what_does_not_belong_together(tmp_path):
    def folder(name, **change):
        shutil.copytree(str(TINY), str(tmp_path / name))
        write_json(str(tmp_path / name / 'config.json'),
                   dict(read_json(str(TINY / 'config.json')), **change))
        return tmp_path / name
    assert 'bert.encoder.position_weight has the shape (40, 32) but this model needs (512, 32)' \
        in refused(folder('positions', max_position_embeddings=512), tmp_path / 'out')
    assert 'of this model are missing, first bert.encoder.transformer_cells.2.' in refused(
        folder('layers', num_hidden_layers=3), tmp_path / 'out')
    longer = folder('vocabulary')
    with open(str(longer / 'vocab.txt'), 'a', encoding='utf-8') as f:
        f.write('one\ntwo\n')
    assert refused(longer, tmp_path / 'out') == (
        f'the vocabulary {longer} has 122 tokens but the weights {longer}/model.safetensors have '
        '120; use the vocabulary that belongs to them')
    assert not (tmp_path / 'out').exists() or not os.listdir(str(tmp_path / 'out'))


def test_an_array_that_transformers_has_no_place_for(tmp_path):
    convert(TINY, tmp_path / 'ours')
    path = str(tmp_path / 'ours' / 'model.params')
    write_params(path, dict(read_params(path),
                                       **{'bert.adapter.weight': np.zeros(2, np.float32)}))
    assert refused(tmp_path / 'ours', tmp_path / 'theirs') == (
        f"{path}: 'bert.adapter.weight' has no place in a BERT of Transformers; use --to "
        'params')


def test_a_target_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    assert refused(TINY, tmp_path / 'file' / 'out') == (
        f"target {tmp_path / 'file' / 'out'}: cannot be written (Not a directory)")


@needs_real_model
@pytest.mark.slow
def test_a_real_bert_equals_transformers(tmp_path):
    """Against what data/make_minilm_expected.py stored, by way of .params."""
    expected = dict(np.load(str(DATA / 'minilm_expected.npz')))
    sentences, lengths = [str(text) for text in expected['sentences']], expected['lengths']
    convert(real_model(), tmp_path)
    found = resolve(str(tmp_path), offline=True)
    tok = tokenizer.load(found.vocab, found.cased)
    for text, ids, length in zip(sentences, expected['ids'], lengths):
        assert [tok.cls_id] + tok.ids(text) + [tok.sep_id] == ids[:length].tolist()

    net = Classifier(found.config, 2)
    initialize(net, found.config)
    arrays = read_weights(found.weights)
    source = read_weights(os.path.join(real_model(), 'model.safetensors'))
    assert arrays.keys() == source.keys()
    assert all(np.array_equal(arrays[name], source[name]) for name in arrays)
    fresh = load_parameters(net, arrays, found.weights, optional=('classifier.',))
    assert fresh == ['classifier.1.weight', 'classifier.1.bias']
    batch = expected['ids']
    hidden, pooled = hidden_states(net, mx.nd.array(batch, dtype='int32'),
                                   mx.nd.zeros(batch.shape), mx.nd.array(lengths))
    np.testing.assert_allclose(pooled.asnumpy()[:, :16], expected['pooled'], rtol=0, atol=1e-4)
    for row, length in enumerate(lengths):
        ids = mx.nd.array(batch[row:row + 1, :length], dtype='int32')
        alone, pooled = hidden_states(net, ids, mx.nd.zeros(ids.shape), mx.nd.array([length]))
        np.testing.assert_allclose(pooled.asnumpy()[0, :16], expected['pooled'][row], rtol=0,
                                   atol=1e-4)
        for encodings in (alone[0], hidden[row]):       # unpadded, padded
            np.testing.assert_allclose(encodings.asnumpy()[:length, :8],
                                       expected['hidden'][row, :length], rtol=0, atol=1e-4)


def test_a_decoder_of_its_own_is_not_lost(tmp_path):
    source = tmp_path / 'source'
    shutil.copytree(str(TINY), str(source))
    arrays = load_file(str(source / 'model.safetensors'))
    table = arrays['bert.embeddings.word_embeddings.weight']
    for factor in 1, 2:
        save_file(dict(arrays, **{'cls.predictions.decoder.weight': factor * table}),
                  str(source / 'model.safetensors'))
        if factor == 1:
            convert(source, tmp_path / 'tied')
    assert 'its masked-LM decoder has a matrix of its own' in refused(source, tmp_path / 'untied')
    from bert.pretraining import model
    from bert.pretraining.settings import ModelSettings, VocabularySettings
    with pytest.raises(DataError, match='its masked-LM decoder has a matrix of its own'):
        model.load(ModelSettings(name=str(source), pretrained=True,
                                 vocabulary=VocabularySettings()))


def test_rows_beyond_the_vocabulary_are_noted(tmp_path, caplog):
    source = tmp_path / 'source'
    shutil.copytree(str(TINY), str(source))
    arrays = load_file(str(source / 'model.safetensors'))
    table = arrays['bert.embeddings.word_embeddings.weight']
    arrays['bert.embeddings.word_embeddings.weight'] = np.pad(table, ((0, 2000), (0, 0)))
    for name, array in arrays.items():
        if name in ('cls.predictions.bias', 'cls.predictions.decoder.bias'):
            arrays[name] = np.pad(array, (0, 2000))
    save_file(arrays, str(source / 'model.safetensors'))
    write_json(str(source / 'config.json'), dict(read_json(str(source / 'config.json')),
                                                 vocab_size=len(table) + 2000))
    with caplog.at_level('INFO'):
        convert(source, tmp_path / 'out')
    beyond = len(table) + 2000 - len(tokenizer.load(str(TINY)))
    assert caplog.text.count(f'{beyond} rows of the word embedding are beyond the') == 1


def test_values_beyond_float16(tmp_path, recwarn):
    shutil.copytree(str(TINY), str(tmp_path / 'large'))
    path = str(tmp_path / 'large' / 'model.safetensors')
    arrays = load_file(path)
    name = next(name for name in arrays if name.endswith('word_embeddings.weight'))
    arrays[name][3, 3] = 1e5
    save_file(arrays, path)
    with pytest.raises(DataError, match='has values that float16 cannot hold; use --dtype float32'):
        convert(tmp_path / 'large', tmp_path / 'half', '--dtype', 'float16')
    assert not recwarn.list and os.listdir(str(tmp_path / 'half')) == []
