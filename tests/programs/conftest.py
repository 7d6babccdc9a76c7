"""Tests that run a program as a process are slow: importing MXNet alone takes seconds.

Fixtures of several files: models to export, their exports, a model that gives vectors, a peer of
the benchmark, data to train on, runs of the programs, and processes of which none is left behind.
"""
import logging
import os
import subprocess

import classifier_runs
import ner_runs
import numpy as np
import pytest
import squad_runs
from exporting import LABELS
from helpers import SAMPLE, TEXT, TINY, command_of

from bert.checkpoint import result_folder
from bert.checkpoint.weights import read_weights, write_params
from bert.embedding import BertEmbedding
from bert.model.config import BertConfig
from bert.pretraining import masking, shard_writer
from bert.pretraining.shards import vocabulary_sha1
from bert.text import tokenizer
from bert.utils.files import read_json
from export import export, network
from scripts import finetune_ner, finetune_squad

# fixtures that start processes, and one that exports models
SLOW = {'program', 'start', 'classifier_run', 'squad_run', 'one_worker', 'exports'}


@pytest.hookimpl(tryfirst=True)     # before -m chooses
def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW & set(getattr(item, 'fixturenames', ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope='session')
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


@pytest.fixture(scope='session')
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


@pytest.fixture(scope='session')
def bert():
    """The tiny model's vectors."""
    return BertEmbedding(model=TINY)


@pytest.fixture
def peer(tmp_path):
    """peer('echo ...') is an interpreter that knows its versions and runs that for all else."""
    def make(answer):
        path = tmp_path / 'peer'
        path.write_text(
            '#!/bin/sh\ncase "$3" in versions) echo \'{"torch": "1.0", "transformers": "2.0", '
            '"sentence-transformers": null, "onnxruntime": null, "onnx": null}\';;\n'
            f'*) {answer};; esac\n', encoding='utf-8')
        path.chmod(0o755)
        return str(path)
    return make


@pytest.fixture(scope='session')
def shards(tmp_path_factory):
    """Three shards of the sample text, for at most 32 tokens; a pattern."""
    folder = tmp_path_factory.mktemp('shards')
    tok = tokenizer.load(SAMPLE)
    job = shard_writer.ShardJob([TEXT], tok, masking.Masking(tok, 32, 5), 1, 0, False, 3,
                                str(folder))
    shard_writer.create(job, {'vocabulary_sha1': vocabulary_sha1(tok)})
    return str(folder / '*.npz')


@pytest.fixture
def start():
    """start(command, '--flag') -> a process, to read its output; none is left behind."""
    started = []

    def call(command, *more, env=()):
        started.append(subprocess.Popen(
            [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=dict(os.environ, BERT_OFFLINE='1', **dict(env))))
        return started[-1]
    yield call
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope='session')
def reviews(tmp_path_factory):
    """The first rows of the sample set as one's own files: 49 to train on, 20 to score.

    Of two workers or devices one has no example in the last update, at 8 or 16 an update.
    """
    folder = tmp_path_factory.mktemp('data')
    for split, rows in (('train', 50), ('dev', 21)):
        with open(os.path.join(SAMPLE, 'classification', split + '.tsv'), encoding='utf-8') as f:
            (folder / (split + '.tsv')).write_text(''.join(list(f)[:rows]), encoding='utf-8')
    return folder


@pytest.fixture(scope='session')
def classifier_run(reviews, tmp_path_factory):
    """The folder of an uninterrupted run of the flags of classifier_runs."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    subprocess.run(**command_of(classifier_runs.SCRIPT, *classifier_runs.flags(reviews, out)),
                   check=True)
    return out


@pytest.fixture(scope='session')
def tagged(tmp_path_factory):
    """train.txt, dev.txt and test.txt; the test set has what is hard to tokenize, and is long."""
    folder = tmp_path_factory.mktemp('data')
    ner_runs.write_conll(folder / 'train.txt', ner_runs.make_sentences(160, 1))
    ner_runs.write_conll(folder / 'dev.txt', ner_runs.make_sentences(30, 2))
    hard = [(['ax', '\u200b', '\U0001f600', 'z', '\u200d\ufe0f', 'by'],
             ['B-PER', 'O', 'O', 'O', 'O', 'B-LOC']), (['\u200b'], ['O'])]
    long = [(['the', 'cy', 'w', 'film'] * 12, ['O', 'B-ORG', 'I-ORG', 'O'] * 12)]
    ner_runs.write_conll(folder / 'test.txt', [*ner_runs.make_sentences(6, 3), *hard, *long])
    return folder


@pytest.fixture(scope='session')
def tagger(tagged, tmp_path_factory):
    """The result folder of a run of the flags of ner_runs with all three sets."""
    out = tmp_path_factory.mktemp('trained') / 'deep' / 'tagger'
    assert finetune_ner.main(ner_runs.flags(
        tagged, out, '--dev-path', str(tagged / 'dev.txt'), '--test-path',
        str(tagged / 'test.txt'), '--num-epochs', '8', '--dropout', '0')) == 0
    return out


@pytest.fixture(scope='session')
def passages(tmp_path_factory):
    """Questions on passages that have a number each: 60 to train on, 24 to score."""
    folder = tmp_path_factory.mktemp('data')
    squad_runs.write_squad(folder / 'train.json', 'train', 1, 60)
    squad_runs.write_squad(folder / 'dev.json', 'dev', 2, 24)
    return folder


@pytest.fixture(scope='session')
def squad_run(passages, tmp_path_factory):
    """The folder of an uninterrupted run of the flags of squad_runs, a process of its own."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    command = command_of(squad_runs.SCRIPT, *squad_runs.flags(passages, out))
    said = subprocess.run(**command, check=True, text=True, stdout=subprocess.PIPE).stdout
    (out.parent / 'said.txt').write_text(said, encoding='utf-8')
    return out


@pytest.fixture
def call_squad(capsys, caplog, monkeypatch, give_input):
    """Call the main of question answering: call_squad('--flag') -> what it printed."""
    monkeypatch.setenv('BERT_OFFLINE', '1')
    caplog.set_level(logging.INFO)

    def run(*arguments, text=''):
        give_input(text.encode('utf-8'))
        assert finetune_squad.main(list(arguments)) == 0
        return capsys.readouterr().out
    return run
