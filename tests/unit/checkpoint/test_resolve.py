"""Names and paths -> weights and vocabulary: folders, files, and every source in turn."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, SAMPLE
from http_server import put_hub
from published_models import CONFIG, HUB, PARSED, ROW, lines, put_gluon

from bert.checkpoint import catalogue
from bert.checkpoint import resolve as resolving
from bert.checkpoint.catalogue import MODELS
from bert.checkpoint.resolve import resolve
from bert.utils.errors import DataError, _explain

pytestmark = pytest.mark.usefixtures('alone')


def make_folder(path, weights='model.safetensors', **config):
    path.mkdir(parents=True)
    (path / 'config.json').write_text(json.dumps(dict(CONFIG, **config)))
    (path / 'vocab.txt').write_text('[PAD]\n')
    if weights:
        (path / weights).write_bytes(b'')
    return path


def test_unknown_names(tmp_path):
    with pytest.raises(DataError, match='model "bert_24_1024" is not known; the closest first: '
                       'bert_24_1024_16, bert_12_768_12, sample, a folder, or a hub repository'):
        resolve('bert_24_1024')
    with pytest.raises(DataError, match='data set "clinicalbert_cased" is not known; the closest '
                       'first: clinicalbert_uncased, book_corpus_wiki_en_uncased, .* '
                       r'\(for bert_12_768_12\)'):
        resolve('bert_12_768_12', 'clinicalbert_cased')
    with pytest.raises(DataError, match='"wiki_multilingual" is not known; .*: wiki_multilingual'):
        resolve('bert_12_768_12', 'wiki_multilingual')      # two casings: which?
    with pytest.raises(DataError, match=r"^model \./there: no such file or folder; "):
        resolve('./there')
    with pytest.raises(DataError, match=f"^weights {tmp_path / 'x'}: no such file or folder; "):
        resolve(weights=str(tmp_path / 'x'))


def test_a_folder(tmp_path):
    folder = make_folder(tmp_path / 'bert_base')
    assert resolve(str(folder)) == (str(folder / 'model.safetensors'), str(folder), PARSED, None,
                                    str(folder))
    (folder / 'model.params').write_bytes(b'')
    assert resolve(weights=str(folder)).weights == str(folder / 'model.params')
    assert resolve(str(folder), with_weights=False).weights is None


def test_folders_that_lack_something(tmp_path):
    folder = make_folder(tmp_path / 'bert', weights=None)
    with pytest.raises(DataError, match='bert: no weights in this folder; one of these is needed: '
                       'model.params, model.safetensors, model.safetensors.index.json, '
                       'pytorch_model.bin'):
        resolve(str(folder))
    (folder / 'vocab.txt').unlink()
    with pytest.raises(DataError, match='bert: no vocabulary in this folder'):
        resolve(str(folder), with_weights=False)
    (folder / 'config.json').unlink()
    with pytest.raises(DataError, match='config.json: cannot be read'):
        resolve(weights=str(folder))
    other = make_folder(tmp_path / 'roberta', model_type='roberta')
    with pytest.raises(DataError, match="config.json: not of a BERT model .model_type 'roberta'"):
        resolve(str(other))


def test_a_data_set_without_effect(tmp_path, server):
    folder = make_folder(tmp_path / 'bert')
    put_hub(server, 'org/tiny', HUB)
    weights = str(folder / 'model.safetensors')
    for model, given in ((str(folder), None), ('sample', None), ('org/tiny', None),
                         (weights, None), (None, str(folder)), (None, weights)):
        for dataset in None, 'scibert_scivocab_cased', 'book_corpus_wiki_en_cased':
            lines = []
            resolve(model, dataset, given, log=lines.append)
            assert [line for line in lines if 'not used' in line] == [
                'the data set scibert_scivocab_cased is not used: only bert_12_768_12 and '
                'bert_24_1024_16 have several'] * (dataset == 'scibert_scivocab_cased')


def test_sample(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / 'package', 'model.params')
    make_folder(tmp_path / 'sample')
    monkeypatch.setattr(resolving, 'SAMPLE', str(folder))
    monkeypatch.chdir(tmp_path)
    found = resolve('sample', 'book_corpus_wiki_en_cased')
    assert found.weights == str(folder / 'model.params') and 'toy' in found.source
    assert resolve('./sample').vocab == './sample'


def test_a_file_of_weights_with_everything_beside_it(tmp_path):
    folder = make_folder(tmp_path / 'run', 'best.params')
    assert resolve('bert_24_1024_16', weights=str(folder / 'best.params')) == (
        str(folder / 'best.params'), str(folder), PARSED, None, str(folder / 'best.params'))
    assert resolve(str(folder / 'best.params')).vocab == str(folder)
    (folder / 'config.json').unlink()                       # then the sizes of the model by name
    assert resolve('bert_24_1024_16', weights=str(folder / 'best.params')).config == MODELS[
        'bert_24_1024_16']


def test_a_file_of_weights_alone(tmp_path, server, row):
    put_gluon(server, tmp_path)
    put_hub(server, 'org/tiny', HUB)
    (tmp_path / 'run').mkdir()
    alone = tmp_path / 'run' / 'my.params'
    alone.write_bytes(b'')
    found = resolve(weights=str(alone))
    cache = tmp_path / 'mxnet' / 'models'
    assert found[:4] == (str(alone), str(cache / ROW.vocab_file),
                         MODELS['bert_12_768_12'].replace(vocab_size=3), False)
    assert [path.name for path in cache.iterdir()] == [ROW.vocab_file]      # no weights fetched
    # Hugging Face's weights go with the hub's vocabulary, whose ids differ from GluonNLP's
    tensors = tmp_path / 'run' / 'my.safetensors'
    tensors.write_bytes(b'')
    found = resolve(weights=str(tensors))
    assert Path(found.vocab, 'vocab.txt').read_bytes() == HUB['vocab.txt']
    assert found.config == PARSED and found.weights == str(tensors)
    assert not Path(found.vocab, 'model.safetensors').exists()
    # a folder's model in the place of a name
    folder = make_folder(tmp_path / 'folder', hidden_size=12)
    found = resolve(str(folder), weights=str(alone))
    assert (found.vocab, found.config.hidden_size) == (str(folder), 12)


def test_weights_alone_are_not_given_the_other_vocabulary(tmp_path, server, row):
    put_hub(server, 'org/tiny', HUB)
    (tmp_path / 'my.params').write_bytes(b'')
    with pytest.raises(DataError, match='what to do: put its config.json and vocab.txt beside'):
        resolve(weights=str(tmp_path / 'my.params'))


def test_every_source_fails(tmp_path, row):
    with pytest.raises(DataError) as error:
        resolve()
    cache = tmp_path / 'mxnet' / 'models'
    assert lines(error) == [
        'bert_12_768_12 book_corpus_wiki_en_uncased: every source failed',
        f'  cache {cache}: {ROW.vocab_file} is not there',
        '  Hugging Face cache, org/tiny: no config.json',
        "  Gluon repository: "
        f"http://127.0.0.1:9/gluon/dataset/vocab/{ROW.vocab_file[:-len('.vocab')]}.zip: Connection "
        "refused",
        '  Hugging Face hub http://127.0.0.1:9, org/tiny: Connection refused',
        'what to do: name a folder with config.json, vocab.txt and model.safetensors or '
        'model.params as the model; set MXNET_GLUON_REPO or HF_ENDPOINT to a mirror; or put '
        f'{ROW.weights_file} and {ROW.vocab_file} into {cache}']
    assert _explain(error.value) == str(error.value)        # a program shows it line by line


@pytest.mark.parametrize('switch', ['argument', 'BERT_OFFLINE', 'HF_HUB_OFFLINE'])
def test_offline(tmp_path, server, row, monkeypatch, switch):
    put_gluon(server, tmp_path)
    put_hub(server, 'org/tiny', HUB)
    if switch != 'argument':
        monkeypatch.setenv(switch, '1')
    with pytest.raises(DataError) as error:
        resolve(offline=True if switch == 'argument' else None)
    assert server.requests == []
    assert 'not fetched, since this run is offline' in lines(error)[3]
    assert lines(error)[4].endswith('not asked, since this run is offline')
    assert lines(error)[5].startswith('what to do: go online (unset BERT_OFFLINE and ')


def test_no_hub_copy_is_known(monkeypatch):
    monkeypatch.setattr(catalogue, 'CATALOGUE', [ROW._replace(hub=None)])
    with pytest.raises(DataError, match='hub: no repository with these weights is known\n'):
        resolve(offline=True)


def test_it_is_light():
    """Names and errors must come fast: no MXNet, no network library."""
    code = ('import sys, bert.checkpoint.resolve, bert.utils.download; '
            'print([m for m in ("mxnet", "gluonnlp", "requests", "huggingface_hub", "tqdm") '
            'if m in sys.modules])')
    root = ROOT
    assert subprocess.check_output([sys.executable, '-c', code], cwd=root) == b'[]\n'


def test_a_vocabulary_beside_weights_that_have_none(tmp_path):
    shutil.copy(os.path.join(SAMPLE, 'config.json'), str(tmp_path))
    shutil.copy(os.path.join(SAMPLE, 'model.safetensors'), str(tmp_path))
    vocab = os.path.join(SAMPLE, 'vocab.txt')
    with pytest.raises(DataError, match='no vocabulary'):
        resolve(str(tmp_path), offline=True)
    for arguments in {'model': str(tmp_path)}, {'weights': str(tmp_path / 'model.safetensors')}:
        found = resolve(offline=True, vocab=vocab, **arguments)
        assert (found.vocab, found.cased) == (vocab, None)
        assert found.config.vocab_size == 8000
    (tmp_path / 'tokenizer_config.json').write_text('{"do_lower_case": false}', encoding='utf-8')
    assert resolve(str(tmp_path), offline=True, vocab=vocab).cased is True


def test_tensorflow_checkpoints_are_explained(tmp_path):
    for name in ('bert_config.json', 'bert_model.ckpt.index',
                 'bert_model.ckpt.data-00000-of-00001', 'vocab.txt'):
        (tmp_path / name).write_text('{}')
    path = tmp_path / 'bert_model.ckpt.index'
    for model in (tmp_path, path, tmp_path / 'bert_model.ckpt',
                  tmp_path / 'bert_model.ckpt.data-00000-of-00001'):
        with pytest.raises(DataError, match=f'^{path}: a TensorFlow checkpoint; conv') as error:
            resolve(str(model))
        assert f'convert_checkpoint.py {path} {tmp_path}/converted), and' in str(error.value)
    with pytest.raises(DataError, match='a TensorFlow checkpoint'):
        resolve(weights=str(path))
    (tmp_path / 'model.ckpt-1000.index').write_text('')
    with pytest.raises(DataError, match='2 TensorFlow checkpoints; name one of them: '):
        resolve(str(tmp_path))
    for index in tmp_path.glob('*.index'):
        index.unlink()
    with pytest.raises(DataError, match='a TensorFlow checkpoint without its .index file'):
        resolve(str(tmp_path))
