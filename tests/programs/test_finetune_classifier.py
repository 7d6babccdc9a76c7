"""The classifier program, run as users run it."""
import json
import os
import re
import shutil
import sys

import mxnet as mx
import numpy as np
import pytest
from classifier_runs import SCRIPT, flags
from helpers import assert_same, records, refused, weights

from bert import embedding
from bert.training import finetuning
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts import finetune_classifier, run_pretraining


def test_the_readme_command_learns(program, tmp_path):
    result = program(SCRIPT, '--task_name', 'sample', '--output_dir', 'out', '--plot',
                     '--tensorboard', check=0, cwd=str(tmp_path))
    out = tmp_path / 'out'
    results = read_json(str(out / 'results.json'))
    assert results['dev']['accuracy'] > 0.78 and results['test']['accuracy'] > 0.75
    for part in ('loss ', 'lr ', 'examples/s', ' left', 'epoch 5, dev: accuracy'):
        assert part in result.stderr
    assert 'to predict: ' in result.stdout
    dev = [r for r in records(out) if r['type'] == 'dev']
    assert [r['epoch'] for r in dev] == list(range(1, 6))
    assert results['dev']['accuracy'] == max(r['accuracy'] for r in dev)
    rows = (out / 'predictions-test.tsv').read_text(encoding='utf-8').splitlines()
    assert rows[0] == 'index\tprediction\tnegative\tpositive' and len(rows) == 101
    for picture in ('curves.png', 'confusion-dev.png', 'confusion-test.png'):
        assert (out / picture).read_bytes().startswith(b'\x89PNG')
    assert list(out.glob('events.out.tfevents*'))
    said = program(SCRIPT, '--model_parameters', str(out), '--predict',
                   'It broke after a week and nobody answered my letters.', check=0)
    label, probability, text = said.stdout.split('\t')
    assert label == 'negative' and 0.5 < float(probability) <= 1 and text.startswith('It broke')


def test_an_epoch_in_this_process(reviews, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    assert finetune_classifier.main(flags(reviews, tmp_path, '--epochs', '1')) == 0
    losses = [r['loss'] for r in records(tmp_path, 'train')]
    assert losses == pytest.approx([0.7] * len(losses), abs=0.3)
    scores = read_json(str(tmp_path / 'results.json'))['dev']
    assert f"dev: accuracy {scores['accuracy']:.4f}" in capsys.readouterr().out


def test_the_head_of_another_task_is_not_taken(classifier_run, tmp_path, monkeypatch):
    """A model of two classes as the encoder for three, and for two others."""
    monkeypatch.setenv('BERT_OFFLINE', '1')
    for labels in 'abc', 'ab':
        (tmp_path / 'train.tsv').write_text('sentence\tlabel\n' + ''.join(
            f'Text {label}.\t{label}\n' for label in labels), encoding='utf-8')
        out = tmp_path / labels
        assert finetune_classifier.main([
            '--bert_model', str(classifier_run), '--train_file', str(tmp_path / 'train.tsv'),
            '--training_steps', '1', '--lr', '1e-9', '--output_dir', str(out)]) == 0
        before, after = weights(classifier_run), weights(out)
        assert after['classifier.1.weight'].shape[0] == len(labels)
        assert (after['classifier.1.bias'] < 1e-6).all()
        name = 'bert.word_embed.0.weight'
        assert np.allclose(after[name], before[name], atol=1e-6)


@pytest.mark.slow
def test_several_seeds_and_a_number_of_updates(reviews, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    short = flags(reviews, tmp_path / 'out', '--training_steps', '3', '--log_interval', '1')
    assert finetune_classifier.main([*short, '--seeds', '5,6']) == 0
    printed = capsys.readouterr().out
    summary = read_json(str(tmp_path / 'out' / 'seeds.json'))
    row, best = summary['summary']['dev accuracy'], summary['best_seed']
    assert f"dev accuracy: mean {row['mean']:.4f}, standard deviation " in printed
    assert best in (5, 6) and f'the model of seed {best} ' in printed
    each = {seed: tmp_path / 'out' / f'seed-{seed}' for seed in (5, 6)}
    assert [len(records(folder, 'train')) for folder in each.values()] == [3, 3]
    assert_same(weights(tmp_path / 'out'), weights(each[best]))
    assert '--model_parameters . ' in (tmp_path / 'out' / 'README.md').read_text(encoding='utf-8')
    # the same as a run of its own
    assert finetune_classifier.main([*short, '--seed', '6', '--output_dir',
                                     str(tmp_path / 'six')]) == 0
    assert_same(weights(tmp_path / 'six'), weights(each[6]))


def test_each_seed_has_its_log(program, reviews, tmp_path):
    result = program(SCRIPT, *flags(reviews, tmp_path, '--training_steps', '2', '--log_interval',
                                    '1', '--seeds', '5,6'), check=0)
    shown = re.findall(r'^seed \d|update \d|epoch \d, dev: accuracy', result.stderr, re.MULTILINE)
    each = ['update 1', 'update 2', 'epoch 1, dev: accuracy']
    assert shown == ['seed 5', *each, 'seed 6', *each]


@pytest.mark.slow
def test_a_result_is_replaced_only_by_a_whole_one(reviews, tmp_path, monkeypatch):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    given = flags(reviews, tmp_path, '--epochs', '1')
    finetune_classifier.main(given)
    finetune_classifier.main(['--model_parameters', str(tmp_path), '--only_inference',
                              '--test_file', str(reviews / 'dev.tsv'), '--output_dir',
                              str(tmp_path)])
    (tmp_path / 'curves.png').write_bytes(b'old')

    def content():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    before = content()
    assert 'holds an earlier result (model.params)' in refused(finetune_classifier.main, given)

    # a run that starts from the folder that it replaces fails in its second update
    again = [*given, '--overwrite', '--model_parameters', str(tmp_path), '--dropout', '0']
    original, calls = finetuning.Run.update, []

    def update(self, *args):
        calls.append(args)
        if len(calls) == 2:
            raise DataError('the gradient is not finite')
        original(self, *args)
    monkeypatch.setattr(finetuning.Run, 'update', update)
    assert 'not finite' in refused(finetune_classifier.main, [*again, '--save_interval', '1'])
    assert content() == before
    # and is continued, which replaces the folder at the end of the first epoch
    monkeypatch.setattr(finetuning.Run, 'update', original)
    finetune_classifier.main([*again, '--save_interval', '1', '--resume'])
    after = content()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        set(before) - {'curves.png', 'predictions-test.tsv'})
    assert after['model.params'] != before['model.params']
    assert [r['update'] for r in records(tmp_path, 'dev')] == [7]
    finetune_classifier.main([*again, '--resume'])          # nothing is left to do
    assert content()['metrics.jsonl'] == after['metrics.jsonl']


@pytest.mark.parametrize('flag, package', [('--plot', 'matplotlib'),
                                           ('--tensorboard', 'tensorboardX')])
def test_a_missing_extra_is_noticed_before_the_training(tmp_path, monkeypatch, flag, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        finetune_classifier.main(['--train_file', 'nowhere', '--output_dir', str(tmp_path / 'out'),
                                  flag])
    assert caught.value.name == package and not (tmp_path / 'out').exists()
    with pytest.raises(ModuleNotFoundError):
        run_pretraining.main(['--data', 'nowhere', '--ckpt_dir', str(tmp_path / 'out'), flag])
    if flag == '--plot':
        with pytest.raises(ModuleNotFoundError):
            embedding.main(['--model', './nowhere', '--sentences', 'a', '--map', 'map.png'])


def test_bundle_and_inference(program, classifier_run, reviews, tmp_path):
    assert {'model.params', 'last.params', 'config.json', 'vocab.txt', 'tokenizer_config.json',
            'arguments.json', 'metrics.jsonl', 'results.json', 'README.md'} <= set(
                os.listdir(str(classifier_run)))
    config = read_json(str(classifier_run / 'config.json'))
    assert config['id2label'] == {'0': 'negative', '1': 'positive'}
    assert config['architectures'] == ['BertForSequenceClassification']
    assert read_json(str(classifier_run / 'arguments.json'))['lr'] == 1e-3
    program(SCRIPT, '--only_inference', '--model_parameters', str(classifier_run), '--dev_file',
            str(reviews / 'dev.tsv'), '--test_file', str(reviews / 'dev.tsv'), '--output_dir',
            str(tmp_path), check=0)
    results = read_json(str(tmp_path / 'results.json'))
    trained = read_json(str(classifier_run / 'results.json'))
    assert results['dev'] == trained['dev'] == results['test']
    lines = (reviews / 'dev.tsv').read_text(encoding='utf-8').splitlines()[1:]
    said = program(SCRIPT, '--model_parameters', str(classifier_run), '--predict', check=0,
                   input=''.join(line.split('\t')[0] + '\n' for line in lines)).stdout.splitlines()
    predicted = [row.split('\t')[1] for row in
                 (tmp_path / 'predictions-test.tsv').read_text().splitlines()[1:]]
    assert [row.split('\t')[0] for row in said] == predicted
    accuracy = np.mean([line.split('\t')[1] == p for line, p in zip(lines, predicted)])
    assert accuracy == pytest.approx(results['dev']['accuracy'])
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith('.')]


def test_same_seed_same_result(program, classifier_run, reviews, tmp_path):
    program(SCRIPT, *flags(reviews, tmp_path), check=0)
    assert_same(weights(classifier_run), weights(tmp_path))
    program(SCRIPT, *flags(reviews, tmp_path / 'other', '--seed', '3'), check=0)
    with pytest.raises(AssertionError):
        assert_same(weights(classifier_run), weights(tmp_path / 'other'))


@pytest.mark.parametrize('name', ['adam', 'adamw', 'lamb'])
def test_optimizers_train(program, reviews, tmp_path, name):
    program(SCRIPT, *flags(reviews, tmp_path, '--optimizer', name, '--layer_decay', '0.9'), check=0)
    losses = [r['loss'] for r in records(tmp_path) if r['type'] == 'train']
    assert losses and all(0 < loss < 2 for loss in losses)


def test_bfloat16_trains(program, reviews, classifier_run, tmp_path):
    with open('/proc/cpuinfo') as f:
        vectors = 'avx512bw' in f.read()
    if not (mx.runtime.Features().is_enabled('MKLDNN') and vectors):
        pytest.skip('needs a CPU with AVX-512 and an MXNet with oneDNN')
    program(SCRIPT, *flags(reviews, tmp_path, '--dtype', 'bfloat16'), check=0)
    ours, theirs = weights(classifier_run), weights(tmp_path)
    different = [name for name in ours if (ours[name] != theirs[name]).any()]
    assert different and all(np.isfinite(a).all() for a in theirs.values())
    assert_same(ours, theirs, 0.02)


def test_early_stop_and_no_dev_set(program, reviews, tmp_path):
    arguments = flags(reviews, tmp_path, '--epochs', '9', '--early_stop', '1', '--lr', '1e-9')
    result = program(SCRIPT, *arguments, check=0)
    assert 'stopped early' in result.stderr and 'epoch 2, dev' in result.stderr
    assert 'epoch 3, dev' not in result.stderr
    again = program(SCRIPT, *arguments, '--resume', check=0)
    assert 'epoch 3' not in again.stderr
    arguments = flags(reviews, tmp_path, '--epochs', '1', '--overwrite')
    at = arguments.index('--dev_file')
    result = program(SCRIPT, *arguments[:at], *arguments[at + 2:], check=0)
    assert (tmp_path / 'model.params').exists() and 'dev:' not in result.stdout


def test_weights_of_another_shape_or_vocabulary(program, reviews, classifier_run, tmp_path):
    shutil.copytree(str(classifier_run), str(tmp_path / 'm'))
    config = read_json(str(tmp_path / 'm' / 'config.json'))
    with open(str(tmp_path / 'm' / 'config.json'), 'w') as f:
        json.dump(dict(config, intermediate_size=64), f)
    common = ['--model_parameters', str(tmp_path / 'm'), '--predict', 'x']
    said = program(SCRIPT, *common, check=1).stderr
    assert 'ffn_1' in said and '(512, 128)' in said and '(64, 128)' in said
    with open(str(tmp_path / 'm' / 'config.json'), 'w') as f:
        json.dump(config, f)
    with open(str(tmp_path / 'm' / 'vocab.txt'), 'a') as f:
        f.write('onemore\n')
    assert 'vocabulary' in program(SCRIPT, *common, check=1).stderr
    with open(str(tmp_path / 'm' / 'model.params'), 'r+b') as f:
        f.truncate(100000)
    assert 'not a complete MXNet parameter file' in program(SCRIPT, *common, check=1).stderr


def test_a_full_disk_keeps_the_last_good_checkpoint(program, reviews, classifier_run, tmp_path):
    """A limit on the size of files stands for the full disk: write fails in the same place."""
    shutil.copytree(str(classifier_run), str(tmp_path / 'out'))
    before = (tmp_path / 'out' / 'last.params').read_bytes()
    limit = ['bash', '-c', 'ulimit -f 1000; trap "" XFSZ; exec "$@"', '-']
    arguments = flags(reviews, tmp_path / 'out', '--epochs', '3', '--resume')
    args = read_json(str(tmp_path / 'out' / 'arguments.json'))
    with open(str(tmp_path / 'out' / 'arguments.json'), 'w') as f:
        json.dump(dict(args, epochs=3), f)
    result = program(SCRIPT, *arguments, launcher=limit, check=1)
    assert 'cannot be written' in result.stderr and 'Traceback' not in result.stderr
    assert (tmp_path / 'out' / 'last.params').read_bytes() == before
    assert not [n for n in os.listdir(str(tmp_path / 'out')) if n.startswith('.')]
