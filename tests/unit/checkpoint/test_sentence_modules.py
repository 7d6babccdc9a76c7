"""Folders of sentence-transformers: their pooling and modules are honoured, and written."""
import os
import shutil

import numpy as np
import pytest
from helpers import TINY, refused
from safetensors.numpy import load_file, save_file

from bert.checkpoint import result_folder, sentence_folder, sentence_modules
from bert.checkpoint.resolve import resolve
from bert.checkpoint.sentence_modules import NORMALIZE, Dense, SentenceModules
from bert.checkpoint.source import ModelSource
from bert.checkpoint.weights import read_weights, write_safetensors
from bert.text import tokenizer
from bert.utils.files import read_json, write_json

DENSE = Dense(np.arange(64, dtype=np.float32).reshape(2, 32) / 64, np.array([0, 1], np.float32),
              'Tanh')
TYPE = 'sentence_transformers.models.'


def make(path, pooling=None, inside='0_Transformer', modules=('Pooling', 'Normalize')):
    """A folder as SentenceTransformer.save writes it; the encoder is in the folder ``inside``."""
    shutil.copytree(TINY, str(path / inside), dirs_exist_ok=True)
    listed = [('Transformer', inside)] + [(kind, f'{i}_{kind}')
                                          for i, kind in enumerate(modules, 1)]
    write_json(str(path / 'modules.json'), [
        {'idx': i, 'name': str(i), 'path': place, 'type': TYPE + kind}
        for i, (kind, place) in enumerate(listed)])
    for kind, place in listed[1:]:
        (path / place).mkdir()
        if kind == 'Pooling':
            write_json(str(path / place / 'config.json'), pooling or {
                'word_embedding_dimension': 32, 'pooling_mode_cls_token': False,
                'pooling_mode_mean_tokens': True, 'pooling_mode_max_tokens': False})
        elif kind == 'Dense':
            write_json(str(path / place / 'config.json'), {
                'in_features': 32, 'out_features': 2, 'bias': True,
                'activation_function': 'torch.nn.modules.activation.Tanh'})
            save_file({'linear.weight': DENSE.weight, 'linear.bias': DENSE.bias},
                      str(path / place / 'model.safetensors'))
    return str(path)


def save(folder, source, modules, max_length=None):
    """Save the model in the folder ``source``."""
    loaded = sentence_folder.load(folder, ModelSource(source))
    sentence_folder.save(folder, loaded, modules, max_length)


@pytest.mark.parametrize('inside', ['', '0_Transformer'])
def test_the_encoder_is_found(tmp_path, inside):
    found = resolve(make(tmp_path, inside=inside))
    assert os.path.normpath(found.vocab) == os.path.normpath(str(tmp_path / inside))
    assert os.path.samefile(found.weights, str(tmp_path / inside / 'model.safetensors'))
    assert sentence_modules.read(os.path.dirname(found.weights)) == SentenceModules(
        'mean', (NORMALIZE,))
    assert sentence_modules.read(TINY) is None


def test_vectors(tmp_path):
    folder = make(tmp_path, {'pooling_mode': 'max'}, modules=['Pooling', 'Dropout', 'Dense',
                                                             'Normalize'])
    modules = sentence_modules.choose(os.path.join(folder, '0_Transformer'))
    rows = np.random.RandomState(0).randn(5, 32).astype(np.float32)
    expected = np.tanh(DENSE.weight @ rows.max(axis=0) + DENSE.bias)
    expected /= np.sqrt((expected ** 2).sum())
    assert np.allclose(modules.vector(rows), expected, atol=1e-6) and modules.size(32) == 2
    assert modules.vector(rows).dtype == np.float32
    for pooling, vector in (('cls', rows[0]), ('mean', rows.mean(axis=0))):     # the user's word
        assert (sentence_modules.choose(folder, pooling).vector(rows) == vector).all()
    assert sentence_modules.choose(TINY) == SentenceModules('mean')


def test_a_vector_of_any_length_is_normalized_and_zero_stays():
    vector = SentenceModules('cls', (NORMALIZE,)).vector
    for row, expected in ([3, 4], [0.6, 0.8]), ([3e-6, 4e-6], [0.6, 0.8]), ([0, 0], [0, 0]):
        assert vector(np.array([row], np.float32)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('pooling', sentence_modules.POOLINGS)
@pytest.mark.parametrize('steps', [(), (8,)])
def test_a_vector_does_not_keep_the_rows(pooling, steps):
    assert SentenceModules(pooling, steps).vector(np.ones((5, 32), np.float32)).base is None


def test_truncated_vectors(tmp_path):
    """As in sentence-transformers: after the modules, and before what normalize=True adds."""
    source = make(tmp_path / 'source', inside='')
    settings = source + '/config_sentence_transformers.json'
    rows = np.random.RandomState(0).randn(5, 32).astype(np.float32)
    whole = rows.mean(axis=0) / np.sqrt((rows.mean(axis=0) ** 2).sum())
    for size in 8, 100:
        write_json(settings, {'truncate_dim': size})
        kept = whole[:size]
        for normalize, expected in (False, kept), (True, kept / np.sqrt((kept ** 2).sum())):
            modules = sentence_modules.choose(source, normalize=normalize)
            assert modules.size(32) == len(kept) == min(size, 32)
            assert np.allclose(modules.vector(rows), expected, atol=1e-6)
            folder = str(tmp_path / f'{size}-{normalize}')
            save(folder, source, modules)
            again = sentence_modules.read(folder)
            assert (again.vector(rows) == modules.vector(rows)).all()
            assert again.size(32) == len(kept)
            written = read_json(folder + '/config_sentence_transformers.json')
            # what follows has to be a module, and the truncation before it, too
            assert written.get('truncate_dim') == (None if normalize else size)
    assert sentence_modules.choose(source, 'cls').size(32) == 32
    write_json(settings, {'truncate_dim': None})
    assert sentence_modules.read(source).steps == (NORMALIZE,)
    for size in 0, -1, '8', True, 8.0:
        write_json(settings, {'truncate_dim': size})
        assert refused(sentence_modules.read, source) == (
            f'{settings}: its truncate_dim, {size}, is not a number of values from 1 up; correct '
            'it, or choose a way with --pooling, which does not truncate')


def test_modules_that_are_not_known(tmp_path):
    def message(name, *args, **kwargs):
        folder = make(tmp_path / name, *args, **kwargs)
        return refused(sentence_modules.read, os.path.join(folder, '0_Transformer'))
    for pooling, name in (({'pooling_mode_mean_sqrt_len_tokens': True}, 'mean_sqrt_len_tokens'),
                          ({'pooling_mode': 'lasttoken'}, 'lasttoken'),
                          ({'pooling_mode_cls_token': True, 'pooling_mode_max_tokens': True},
                           'pooling_mode_cls_token and pooling_mode_max_tokens')):
        assert f'{name} is not supported, only by one of' in message(name, pooling)
    assert 'WeightedLayerPooling (1_WeightedLayerPooling) is not supported at' in message(
        'a', modules=['WeightedLayerPooling', 'Pooling'])
    folder = make(tmp_path / 'b', modules=['Pooling', 'Dense'])
    write_json(folder + '/2_Dense/config.json', {'activation_function': 'x.GELU'})
    assert 'the activation function GELU is not known' in refused(
        sentence_modules.read, folder + '/0_Transformer')
    write_json(folder + '/2_Dense/config.json', {'in_features': 32, 'out_features': 2})
    write_safetensors(folder + '/2_Dense/model.safetensors',
                      {'linear.weight': np.full((2, 32), np.nan, np.float32)})
    assert 'linear.weight has values that are not finite' in refused(
        sentence_modules.read, folder + '/0_Transformer')
    for content in ([], [{'path': '..', 'type': 'Transformer'}], ['x'],
                    [{'path': '', 'type': 'CLIP'}]):
        write_json(folder + '/modules.json', content)
        assert 'not a list of modules that begins with a Transformer' in refused(resolve, folder)


def test_saving_keeps_the_length_of_the_source(tmp_path):
    source = make(tmp_path / 'source', inside='')
    write_json(source + '/sentence_bert_config.json', {'max_seq_length': 20})
    for length, expected in (None, 20), (30, 30):
        folder = str(tmp_path / str(length))
        save(folder, source, SentenceModules('mean'), length)
        assert read_json(folder + '/sentence_bert_config.json')['max_seq_length'] == expected
    folder = str(tmp_path / 'other')
    save(folder, TINY, SentenceModules('mean'))
    assert read_json(folder + '/sentence_bert_config.json')['max_seq_length'] == 40


def test_a_length_that_is_no_number_is_refused(tmp_path):
    source = make(tmp_path / 'source')
    place = tmp_path / 'source' / '0_Transformer' / 'sentence_bert_config.json'
    for length in '128', 0, True:
        write_json(str(place), {'max_seq_length': length})
        assert refused(save, str(tmp_path / 'out'), source, SentenceModules('mean', ())) == (
            f'{place}: max_seq_length is {length}, but must be a number of tokens; correct it')
        assert not os.path.exists(tmp_path / 'out')


def test_saving_keeps_the_length_in_newer_folders(tmp_path):
    source = make(tmp_path / 'source', inside='')
    config = source + '/tokenizer_config.json'
    for length, expected in (20, 20), (10 ** 30, 40):
        write_json(config, {'do_lower_case': True, 'model_max_length': length})
        folder = str(tmp_path / str(expected))
        save(folder, source, SentenceModules('mean'))
        assert read_json(folder + '/sentence_bert_config.json')['max_seq_length'] == expected


def test_a_default_prompt(tmp_path):
    source = make(tmp_path / 'source', inside='')
    settings = {'prompts': {'query': 'query: ', 'doc': 'passage: '}, 'default_prompt_name': 'doc',
                'similarity_fn_name': 'dot'}
    write_json(source + '/config_sentence_transformers.json', settings)
    modules = sentence_modules.read(source)
    assert modules.prepare('Text') == 'passage: Text' and modules.similarity == 'dot'
    assert modules._replace(lower=True).prepare('Text') == 'passage: text'
    save(str(tmp_path / 'out'), source, modules)
    assert sentence_modules.read(str(tmp_path / 'out')) == modules
    write_json(source + '/1_Pooling/config.json', {'pooling_mode': 'mean', 'include_prompt': False})
    assert 'pooling without the tokens of the prompt' in refused(sentence_modules.read, source)
    write_json(source + '/config_sentence_transformers.json', dict(settings, prompts={}))
    assert 'its default_prompt_name, doc, is none of its prompts' in refused(
        sentence_modules.read, source)
    write_json(source + '/config_sentence_transformers.json',
               dict(settings, default_prompt_name=None))
    assert sentence_modules.read(source).prepare('Text') == 'Text'


def test_saving(tmp_path):
    folder = str(tmp_path / 'out')
    modules = SentenceModules('cls', (DENSE, NORMALIZE))
    save(folder, TINY, modules, 30)
    assert sorted(os.listdir(folder)) == [
        '1_Pooling', '2_Dense', '3_Normalize', 'config.json', 'config_sentence_transformers.json',
        'model.safetensors', 'modules.json', 'sentence_bert_config.json', 'tokenizer_config.json',
        'vocab.txt']
    assert [(m['idx'], m['path'], m['type']) for m in read_json(folder + '/modules.json')] == [
        (0, '', TYPE + 'Transformer'), (1, '1_Pooling', TYPE + 'Pooling'),
        (2, '2_Dense', TYPE + 'Dense'), (3, '3_Normalize', TYPE + 'Normalize')]
    assert read_json(folder + '/1_Pooling/config.json') == {
        'word_embedding_dimension': 32, 'pooling_mode_cls_token': True,
        'pooling_mode_mean_tokens': False, 'pooling_mode_max_tokens': False,
        'pooling_mode_mean_sqrt_len_tokens': False}
    assert read_json(folder + '/sentence_bert_config.json') == {
        'max_seq_length': 30, 'do_lower_case': False}
    assert read_json(folder + '/tokenizer_config.json')['model_max_length'] == 30
    config = read_json(folder + '/config.json')
    assert config['architectures'] == ['BertModel'] and 'gluon_bert' not in config
    # the names of a BertModel: no prefix, no heads of pre-training
    names = set(load_file(folder + '/model.safetensors'))
    assert {'embeddings.word_embeddings.weight', 'pooler.dense.bias',
            'encoder.layer.1.output.LayerNorm.weight'} <= names
    assert {name.split('.')[0] for name in names} == {'embeddings', 'encoder', 'pooler'}

    assert tokenizer.load(folder).ids('the film') == tokenizer.load(TINY).ids('the film')
    before, after = (read_weights(place + '/model.safetensors') for place in (TINY, folder))
    assert all((before[name] == array).all() for name, array in after.items())
    again = sentence_modules.read(folder)
    assert (again.pooling, again.lower, again.steps[1]) == ('cls', False, NORMALIZE)
    assert (again.steps[0].weight == DENSE.weight).all() and again.steps[0].activation == 'Tanh'
    assert refused(save, folder, TINY, modules) == (
        f'--save_model {folder}: holds an earlier result (model.safetensors); name another folder')
    assert read_json(folder + '/config_sentence_transformers.json')['prompts'] == {}


@pytest.mark.parametrize('part', ['modules.json', 'config.json', '1_Pooling/config.json',
                                  '0_Transformer/model.safetensors'])
def test_a_folder_with_a_part_of_a_model_is_refused(tmp_path, part):
    (tmp_path / part).parent.mkdir(exist_ok=True)
    (tmp_path / part).write_text('{}')
    (tmp_path / 'arguments.json').write_text('{}')
    before = sorted(tmp_path.rglob('*'))
    message = (f"--save_model {tmp_path}: already contains a part of a model "
               f"({part.split('/')[0]}); name another folder")
    assert refused(sentence_folder.load, str(tmp_path), ModelSource('/no/model')) == message
    loaded = result_folder.load(ModelSource(TINY))
    assert refused(sentence_folder.save, str(tmp_path), loaded, SentenceModules('mean')) == message
    assert sorted(tmp_path.rglob('*')) == before


def test_a_place_that_cannot_be_written_is_refused_before_the_model_is_read(tmp_path):
    (tmp_path / 'file').touch()
    source = ModelSource('/no/model')
    assert 'a file or a broken link, not a folder' in refused(
        sentence_folder.load, str(tmp_path / 'file'), source)
    assert '--save_model /proc/nowhere: cannot be written' in refused(
        sentence_folder.load, '/proc/nowhere', source)
    assert 'model /no/model: no such file' in refused(
        sentence_folder.load, str(tmp_path / 'new'), source)
    assert os.listdir(tmp_path) == ['file']


def test_other_files_stay(tmp_path):
    (tmp_path / 'notes.txt').write_text('{}')
    save(str(tmp_path), TINY, SentenceModules('mean'))
    found = set(os.listdir(tmp_path))
    assert {'notes.txt', 'modules.json', 'vocab.txt'} <= found
    assert not found & {'.lock', '.overwrite'}


@pytest.mark.parametrize('name', ['spm.model', 'tokenizer.json', 'added_tokens.json', 'vocab.txt',
                                  'tokenizer_config.json', 'special_tokens_map.json'])
def test_a_vocabulary_that_is_there_is_kept(tmp_path, name):
    (tmp_path / name).write_text('{}')
    assert refused(save, str(tmp_path), TINY, SentenceModules('mean')) == (
        f'--save_model {tmp_path}: already contains a part of a model ({name}); name another '
        'folder')
    assert os.listdir(tmp_path) == [name]
