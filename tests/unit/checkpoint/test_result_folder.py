"""Result folders: a vocabulary that lost tokens, and a damaged checkpoint, are refused."""
import json
import shutil

import mxnet as mx
import numpy as np
import pytest
from helpers import TINY, refused, warnings

from bert.checkpoint import result_folder
from bert.checkpoint.output import LAST
from bert.checkpoint.source import ModelSource
from bert.checkpoint.weights import read_params, write_params
from bert.model.config import BertConfig
from bert.model.heads import Classifier
from bert.model.parameters import initialize
from bert.pretraining import model
from bert.pretraining.settings import ModelSettings
from bert.training.distributed import create
from bert.training.stepper import Stepper
from bert.utils.files import read_json, write_json


@pytest.fixture
def copy(tmp_path):
    """A copy of the tiny model: its source, its vocabulary and its config.json."""
    folder = tmp_path / 'model'
    shutil.copytree(TINY, str(folder))
    return ModelSource(str(folder), offline=True), folder / 'vocab.txt', folder / 'config.json'


def record(config, tokens):
    """Write to config.json, as in a folder of ours, how many tokens there are."""
    values = read_json(str(config))
    write_json(str(config), dict(values, gluon_bert={'vocabulary_size': tokens}))


def test_a_vocabulary_that_lost_tokens(copy):
    source, vocab, config = copy
    lines = vocab.read_bytes().splitlines(keepends=True)
    record(config, len(lines))
    assert len(result_folder.load(source).tokenizer) == len(lines)
    vocab.write_bytes(b''.join(lines[:-1]))
    assert f'has {len(lines) - 1} whole tokens but config.json has {len(lines)}: it is damaged' in (
        refused(result_folder.load, source))
    record(config, len(lines) - 1)
    assert len(result_folder.load(source).tokenizer) == len(lines) - 1
    vocab.write_bytes(b''.join(lines[:-1])[:-2])        # cut inside a token
    assert f'has {len(lines) - 2} whole tokens' in refused(result_folder.load, source)
    record(config, 'many')
    assert 'config.json has many' in refused(result_folder.load, source)


def test_pre_training_goes_on_only_with_a_whole_vocabulary(copy):
    source, vocab, config = copy
    settings = ModelSettings(source.name, pretrained=True)
    lines = vocab.read_bytes().splitlines(keepends=True)
    record(config, len(lines))
    start = model.load(settings)
    assert len(start.tokenizer) == start.config.vocab_size == len(lines)
    vocab.write_bytes(b''.join(lines[:-1]))
    assert f'has {len(lines) - 1} whole tokens but config.json has {len(lines)}: it is damaged' in (
        refused(model.load, settings))


def test_a_token_that_was_added_elsewhere(copy):
    source, vocab, config = copy
    count = len(vocab.read_bytes().splitlines())
    record(config, count - 1)
    assert len(result_folder.load(source).tokenizer) == count
    with open(str(vocab), 'ab') as f:
        f.write(b'more than the embedding has\n')
    assert f'has {count + 1} tokens but the weights' in refused(result_folder.load, source)


def test_a_vocabulary_without_a_last_line_end(copy, caplog):
    source, vocab, _ = copy
    lines = vocab.read_bytes().splitlines(keepends=True)
    vocab.write_bytes(b''.join(lines)[:-1])
    assert len(result_folder.load(source).tokenizer) == len(lines) and not warnings(caplog)
    vocab.write_bytes(b''.join(lines[:-2])[:-1])        # fewer than rows of the embedding
    assert len(result_folder.load(source).tokenizer) == len(lines) - 2
    assert warnings(caplog) == [
        f'the vocabulary {vocab} has {len(lines) - 2} tokens, fewer than the {len(lines)} of '
        'config.json, and no line end after the last: if it was cut, get another copy']


@pytest.fixture(scope='module')
def training():
    """A network and its stepper."""
    config = BertConfig(4, 1, 1, 4, vocab_size=8, max_position_embeddings=8)
    net = Classifier(config, 2, 0.0)
    initialize(net, config)
    return net, Stepper(net, create('local', [mx.cpu()]), lambda update: 0.1)


@pytest.fixture
def folder(training, tmp_path):
    """The folder of a run after no update, with its checkpoint."""
    result_folder.save_last(str(tmp_path), *training, {'epoch': 0})
    return tmp_path


def test_a_whole_one_is_loaded(training, folder):
    assert result_folder.load_last(str(folder), *training) == {'epoch': 0}


@pytest.mark.parametrize('text', ['[]', '1', '', 'null', '{"stepper": 1, "position": {}}',
                                  '[' * 100000])
def test_a_state_of_another_kind(training, folder, text):
    assert 'damaged' in refused(spoiled, training, folder, text)


@pytest.mark.parametrize('change', [
    {'update': -1}, {'update': 1.5}, {'update': None}, {'loss_scale': 'x'}, {'loss_scale': 2.0},
    {'good': 'x'}])
def test_counters_of_another_kind(training, folder, change):
    scalars = dict({'update': 1, 'loss_scale': None, 'good': 0}, **change)
    text = json.dumps({'stepper': scalars, 'position': {}})
    assert 'damaged' in refused(spoiled, training, folder, text)


def check_arguments(folder, change, **keywords):
    """Check the arguments of the run in a folder with a change of them."""
    path = folder / 'arguments.json'
    path.write_text('{"lr": 0.1, "gpu": null, "train_file": "a", "dev_file": null, "pad": false}')
    result_folder.check_arguments(str(folder), dict(read_json(str(path)), **change), {'gpu'},
                                  ('train_file', 'dev_file'), **keywords)


@pytest.mark.parametrize('change', [{}, {'gpu': 0}, {'train_file': 'b'}, {'of_now': 1}])
def test_flags_that_may_change(tmp_path, change):
    check_arguments(tmp_path, change)


def test_a_path_that_was_recorded_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', '/home/it')
    (tmp_path / 'arguments.json').write_text('{"vocab": "~/v"}')
    result_folder.check_arguments(str(tmp_path), {'vocab': '/home/it/v'}, ())
    # and a name or path, such as that of a model, which is as it was given
    result_folder.check_arguments(str(tmp_path), {'vocab': '~/v'}, ())
    assert 'had --vocab /home/it/v, and now --vocab /home/it/w' in refused(
        result_folder.check_arguments, str(tmp_path), {'vocab': '/home/it/w'}, ())


@pytest.mark.parametrize('change, words', [
    ({'lr': 0.2}, 'had --lr 0.1, and now --lr 0.2; '),
    ({'pad': True}, 'had no --pad, and now --pad; '),
    ({'dev_file': 'b'}, 'had no --dev_file, and now --dev_file b; '),
    ({'train_file': None}, 'had --train_file a, and now no --train_file; ')])
def test_flags_that_decide_the_training(tmp_path, change, words):
    assert refused(lambda: check_arguments(tmp_path, change)) == (
        f'--resume: the run in {tmp_path} {words}use the same flags, or another --output_dir')
    assert refused(lambda: check_arguments(tmp_path, change, flag='--start_step 5',
                                           other='another --ckpt_dir')) == (
        f'--start_step 5: the run in {tmp_path} {words}use the same flags, or another --ckpt_dir')


def test_arguments_of_another_kind(tmp_path):
    (tmp_path / 'arguments.json').write_text('[]')
    assert 'arguments.json: not an object' in refused(
        result_folder.check_arguments, str(tmp_path), {'lr': 0.1}, ())


def spoiled(training, folder, text):
    """Load the checkpoint with another state of the training."""
    path = str(folder / LAST)
    arrays = read_params(path)
    arrays['training.state'] = np.frombuffer(text.encode() or b' ', np.uint8)
    write_params(path, arrays)
    result_folder.load_last(str(folder), *training)
