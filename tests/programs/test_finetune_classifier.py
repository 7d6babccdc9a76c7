"""The classifier program, run as users run it."""
import json
import os
import shutil
import signal
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from helpers import (
    LAUNCHERS,
    ROOT,
    SAMPLE,
    assert_same,
    command_of,
    launcher,
    records,
    refused,
    wait_for_update,
    weights,
)

from bert.training import finetuning
from bert.utils.errors import DataError
from bert.utils.files import read_json, write_json
from scripts import finetune_classifier

SCRIPT = 'scripts/finetune_classifier.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """The first rows of the sample set as one's own files: 50 to train on, 20 to score."""
    folder = tmp_path_factory.mktemp('data')
    for split, rows in (('train', 51), ('dev', 21)):
        with open(os.path.join(SAMPLE, 'classification', split + '.tsv'), encoding='utf-8') as f:
            (folder / (split + '.tsv')).write_text(''.join(list(f)[:rows]), encoding='utf-8')
    return folder


def flags(data, out, *more):
    return ['--bert_model', 'sample', '--train_file', str(data / 'train.tsv'), '--dev_file',
            str(data / 'dev.tsv'), '--output_dir', str(out), '--epochs', '2', '--batch_size', '8',
            '--lr', '1e-3', *more]


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """The folder of an uninterrupted run of :func:`flags`."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    subprocess.run(**command_of(SCRIPT, *flags(data, out)), check=True)
    return out


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


def test_an_epoch_in_this_process(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    assert finetune_classifier.main(flags(data, tmp_path, '--epochs', '1')) == 0
    losses = [r['loss'] for r in records(tmp_path, 'train')]
    assert losses == pytest.approx([0.7] * len(losses), abs=0.3)
    scores = read_json(str(tmp_path / 'results.json'))['dev']
    assert f"dev: accuracy {scores['accuracy']:.4f}" in capsys.readouterr().out


@pytest.mark.slow
def test_several_seeds_and_a_number_of_updates(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    short = flags(data, tmp_path / 'out', '--training_steps', '3', '--log_interval', '1')
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


@pytest.mark.slow
def test_a_result_is_replaced_only_by_a_whole_one(data, tmp_path, monkeypatch):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    given = flags(data, tmp_path, '--epochs', '1')
    finetune_classifier.main(given)
    finetune_classifier.main(['--model_parameters', str(tmp_path), '--only_inference',
                              '--test_file', str(data / 'dev.tsv'), '--output_dir', str(tmp_path)])
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


def test_bundle_and_inference(program, whole, data, tmp_path):
    assert {'model.params', 'last.params', 'config.json', 'vocab.txt', 'tokenizer_config.json',
            'arguments.json', 'metrics.jsonl', 'results.json', 'README.md'} <= set(
                os.listdir(str(whole)))
    config = read_json(str(whole / 'config.json'))
    assert config['id2label'] == {'0': 'negative', '1': 'positive'}
    assert config['architectures'] == ['BertForSequenceClassification']
    assert read_json(str(whole / 'arguments.json'))['lr'] == 1e-3
    program(SCRIPT, '--only_inference', '--model_parameters', str(whole), '--dev_file',
            str(data / 'dev.tsv'), '--test_file', str(data / 'dev.tsv'), '--output_dir',
            str(tmp_path), check=0)
    results = read_json(str(tmp_path / 'results.json'))
    assert results['dev'] == read_json(str(whole / 'results.json'))['dev'] == results['test']
    lines = (data / 'dev.tsv').read_text(encoding='utf-8').splitlines()[1:]
    said = program(SCRIPT, '--model_parameters', str(whole), '--predict', check=0,
                   input=''.join(line.split('\t')[0] + '\n' for line in lines)).stdout.splitlines()
    predicted = [row.split('\t')[1] for row in
                 (tmp_path / 'predictions-test.tsv').read_text().splitlines()[1:]]
    assert [row.split('\t')[0] for row in said] == predicted
    accuracy = np.mean([line.split('\t')[1] == p for line, p in zip(lines, predicted)])
    assert accuracy == pytest.approx(results['dev']['accuracy'])
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith('.')]


def test_same_seed_same_result(program, whole, data, tmp_path):
    program(SCRIPT, *flags(data, tmp_path), check=0)
    assert_same(weights(whole), weights(tmp_path))
    program(SCRIPT, *flags(data, tmp_path / 'other', '--seed', '3'), check=0)
    with pytest.raises(AssertionError):
        assert_same(weights(whole), weights(tmp_path / 'other'))


def start(data, out, *more):
    return subprocess.Popen(**command_of(SCRIPT, *flags(data, out, *more)), text=True,
                            stderr=subprocess.PIPE)


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_goes_on_bit_equal(program, whole, data, tmp_path, number, code):
    process = start(data, tmp_path, '--log_interval', '1')
    wait_for_update(process.stderr, 3)
    process.send_signal(number)
    said = process.stderr.read()
    assert process.wait() == code
    assert '--resume' in said and 'Traceback' not in said
    result = program(SCRIPT, *flags(data, tmp_path, '--resume'), check=0)
    assert 'epoch 2, dev: ' in result.stderr
    for name in ('model.params', 'last.params'):
        assert_same(weights(whole, name), weights(tmp_path, name))


def test_a_killed_run_goes_on_bit_equal(program, whole, data, tmp_path):
    process = start(data, tmp_path, '--log_interval', '1', '--save_interval', '2')
    wait_for_update(process.stderr, 5)
    process.kill()
    process.stderr.close()
    process.wait()
    assert (tmp_path / 'last.params').exists()
    program(SCRIPT, *flags(data, tmp_path, '--resume'), check=0)
    for name in ('model.params', 'last.params'):
        assert_same(weights(whole, name), weights(tmp_path, name))
    updates = [r['update'] for r in records(tmp_path)]
    assert updates == sorted(updates)


def test_resume_wants_the_same_arguments(program, whole, data, tmp_path):
    shutil.copytree(str(whole), str(tmp_path / 'out'))
    result = program(SCRIPT, *flags(data, tmp_path / 'out', '--resume', '--warmup_ratio', '0.5'),
                     check=1)
    assert '--warmup_ratio' in result.stderr.splitlines()[-1]


PLAIN = ['--dropout', '0', '--epochs', '1']


@pytest.fixture(scope='module')
def one_worker(data, tmp_path_factory):
    """One worker, batch 16, no dropout: what every way of sharing the work must equal."""
    out = tmp_path_factory.mktemp('one') / 'out'
    subprocess.run(**command_of(SCRIPT, *flags(data, out, *PLAIN, '--batch_size', '16')),
                   check=True)
    return out


@pytest.mark.parametrize('more', [['--batch_size', '4', '--accumulate', '4'],
                                  ['--batch_size', '16', '--cpus', '2'],
                                  ['--batch_size', '16', '--pad']])
def test_accumulation_devices_and_padding_give_the_same_updates(program, data, one_worker, tmp_path,
                                                                more):
    program(SCRIPT, *flags(data, tmp_path, *PLAIN, *more), check=0)
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)


@pytest.mark.parametrize('name', sorted(LAUNCHERS))
def test_two_horovod_workers_give_the_same_updates(program, data, one_worker, tmp_path, name):
    program(SCRIPT, *flags(data, tmp_path, *PLAIN, '--batch_size', '8', '--comm', 'horovod'),
            launcher=launcher(name), check=0, env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert read_json(str(tmp_path / 'results.json')) == read_json(
        str(one_worker / 'results.json'))


@pytest.mark.slow
def test_several_seeds_of_two_horovod_workers(program, data, one_worker, tmp_path):
    result = program(
        SCRIPT, *flags(data, tmp_path, *PLAIN, '--batch_size', '8', '--comm', 'horovod', '--seeds',
                       '1,2'), launcher=launcher('mpirun'), check=0, env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path / 'seed-2'), 1e-5)
    summary = read_json(str(tmp_path / 'seeds.json'))
    assert_same(weights(tmp_path), weights(tmp_path / f"seed-{summary['best_seed']}"))
    assert result.stdout.count('dev accuracy: mean') == 1
    assert len(records(tmp_path / 'seed-1', 'dev')) == len(records(tmp_path / 'seed-2', 'dev'))


@pytest.mark.slow
def test_workers_without_a_shared_disk_do_not_resume(data, whole, tmp_path):
    command = launcher('mpirun')
    (tmp_path / '1').mkdir()
    shutil.copytree(str(whole), str(tmp_path / '0' / 'out'))
    arguments = tmp_path / '0' / 'out' / 'arguments.json'
    write_json(str(arguments), dict(read_json(str(arguments)), comm='horovod'))
    # each worker in a folder of its own, where only that of worker 0 has the checkpoint
    code = (f'import os, sys; sys.path.insert(0, {ROOT!r}); import bert; '
            f'os.chdir(os.path.join({str(tmp_path)!r}, os.environ["OMPI_COMM_WORLD_RANK"])); '
            'from scripts.finetune_classifier import program; program()')
    result = subprocess.run(
        [*command, sys.executable, '-c', code, *flags(data, 'out', '--resume', '--comm',
                                                      'horovod')],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        env=dict(os.environ, BERT_OFFLINE='1'))
    assert result.returncode and 'Traceback' not in result.stdout
    assert '--resume: not all workers have the checkpoint of worker 0 in out' in result.stdout
    assert_same(weights(whole), weights(tmp_path / '0' / 'out'))


def test_several_processes_without_horovod_are_refused(program, data, tmp_path):
    result = program(SCRIPT, *flags(data, tmp_path), env={'OMPI_COMM_WORLD_SIZE': '2'}, check=1)
    assert '--comm horovod' in result.stderr
    result = program(SCRIPT, *flags(data, tmp_path), '--kvstore', 'dist_sync', check=2)
    assert 'mpirun -np 2 python ... --comm horovod' in result.stderr


@pytest.mark.parametrize('name', ['adam', 'adamw', 'lamb'])
def test_optimizers_train(program, data, tmp_path, name):
    program(SCRIPT, *flags(data, tmp_path, '--optimizer', name, '--layer_decay', '0.9'), check=0)
    losses = [r['loss'] for r in records(tmp_path) if r['type'] == 'train']
    assert losses and all(0 < loss < 2 for loss in losses)


def test_bfloat16_trains(program, data, whole, tmp_path):
    with open('/proc/cpuinfo') as f:
        vectors = 'avx512bw' in f.read()
    if not (mx.runtime.Features().is_enabled('MKLDNN') and vectors):
        pytest.skip('needs a CPU with AVX-512 and an MXNet with oneDNN')
    program(SCRIPT, *flags(data, tmp_path, '--dtype', 'bfloat16'), check=0)
    ours, theirs = weights(whole), weights(tmp_path)
    different = [name for name in ours if (ours[name] != theirs[name]).any()]
    assert different and all(np.isfinite(a).all() for a in theirs.values())
    assert_same(ours, theirs, 0.02)


def test_regression_on_own_data(program, tmp_path):
    rows = ['text,amount'] + [f'"word{i % 7}, again",{i % 7:.1f}' for i in range(40)]
    (tmp_path / 'train.csv').write_text('\n'.join(rows) + '\n', encoding='utf-8')
    out = tmp_path / 'out'
    program(SCRIPT, '--bert_model', 'sample', '--train_file', str(tmp_path / 'train.csv'),
            '--dev_file', str(tmp_path / 'train.csv'), '--label_column', 'amount', '--regression',
            '--epochs', '2', '--output_dir', str(out), check=0)
    assert set(read_json(str(out / 'results.json'))['dev']) == {'pearson', 'spearman'}
    said = program(SCRIPT, '--model_parameters', str(out), '--predict', 'word1, again', check=0)
    assert float(said.stdout.split('\t')[0]) == pytest.approx(3, abs=6)


def test_glue_files_in_and_out(program, tmp_path):
    head = 'index\tsentence1\tsentence2\tlabel\n'
    labels = ['entailment', 'not_entailment']
    for split in ('train', 'dev'):
        (tmp_path / (split + '.tsv')).write_text(head + ''.join(
            f'{i}\tIt is number {i}.\tIt is a number.\t{labels[i % 2]}\n'
            for i in range(12)), encoding='utf-8')
    (tmp_path / 'test.tsv').write_text('index\tsentence1\tsentence2\n7\tOne.\tTwo.\n',
                                       encoding='utf-8')
    out = tmp_path / 'out'
    program(SCRIPT, '--task_name', 'RTE', '--data_dir', str(tmp_path), '--bert_model', 'sample',
            '--epochs', '1', '--output_dir', str(out), check=0)
    rows = (out / 'RTE.tsv').read_text().splitlines()
    assert rows[0] == 'index\tprediction' and rows[1].split('\t')[0] == '7'
    assert rows[1].split('\t')[1] in labels


def test_long_texts_are_cut_with_a_count_or_taken_as_windows(program, tmp_path):
    # what decides stands at the end, where cutting loses it
    rows = [f"{'and so on ' * 6}{(word + ' ') * 12}\t{label}" for word, label in
            (('good', 'yes'), ('bad', 'no')) for _ in range(16)]
    (tmp_path / 'train.tsv').write_text('text\tlabel\n' + '\n'.join(rows) + '\n', encoding='utf-8')
    common = ['--bert_model', 'sample', '--train_file', str(tmp_path / 'train.tsv'), '--dev_file',
              str(tmp_path / 'train.tsv'), '--max_len', '16', '--epochs', '4', '--optimizer',
              'adamw']
    cut = program(SCRIPT, *common, '--output_dir', str(tmp_path / 'cut'), check=0)
    assert 'train: 32 of 32 texts are longer than --max_len 16 and were cut' in cut.stderr
    windows = program(SCRIPT, *common, '--windows', '--stride', '8', '--output_dir',
                      str(tmp_path / 'windows'), check=0)
    assert ('32 of 32 texts are longer than --max_len 16 and were split into windows'
            in windows.stderr)
    two = ''.join(row.split('\t')[0] + '\n' for row in (rows[0], rows[-1]))
    both = [{line.split('\t')[1] for line in program(
        SCRIPT, '--model_parameters', str(tmp_path / 'windows'), '--max_len', '16', *more,
        '--predict', input=two, check=0).stdout.splitlines()}
        for more in ([], ['--windows', '--stride', '8'])]
    assert len(both[0]) == 1 and len(both[1]) == 2


def test_early_stop_and_no_dev_set(program, data, tmp_path):
    arguments = flags(data, tmp_path, '--epochs', '9', '--early_stop', '1', '--lr', '1e-9')
    result = program(SCRIPT, *arguments, check=0)
    assert 'stopped early' in result.stderr and 'epoch 2, dev' in result.stderr
    assert 'epoch 3, dev' not in result.stderr
    again = program(SCRIPT, *arguments, '--resume', check=0)
    assert 'epoch 3' not in again.stderr
    at = arguments.index('--dev_file')
    result = program(SCRIPT, *arguments[:at], *arguments[at + 2:], '--epochs', '1', '--overwrite',
                     check=0)
    assert (tmp_path / 'model.params').exists() and 'dev:' not in result.stdout


GOOD = 'sentence\tlabel\n' + 'A good day.\tyes\nA bad day.\tno\n' * 4


@pytest.mark.parametrize('text, message', [
    ('', 'no examples'),
    ('sentence\tlabel\n', 'no examples'),
    (GOOD + 'too\tmany\tcolumns\n', ':10: 3 column'),
    ('words\tlabel\na\tyes\nb\tno\n', '--text_columns'),
    ('sentence\tclass\na\tyes\nb\tno\n', '--label_column'),
    ('sentence\tlabel\na\tyes\nb\tyes\n', 'needs two classes'),
], ids=['empty', 'header', 'ragged', 'text', 'label', 'one-class'])
def test_bad_training_files(program, tmp_path, text, message):
    path = tmp_path / 'train.tsv'
    path.write_text(text, encoding='utf-8')
    result = program(SCRIPT, '--bert_model', 'sample', '--train_file', str(path), '--output_dir',
                     str(tmp_path / 'out'), check=1)
    assert message in result.stderr and (str(path) in result.stderr or 'classes' in message)
    lines = result.stderr.splitlines()      # the columns that were read may come first
    assert 'error: ' in lines[-1] and len(lines) <= 2


def test_bad_bytes_and_unknown_dev_label(program, tmp_path):
    (tmp_path / 'train.tsv').write_text(GOOD, encoding='utf-8')
    (tmp_path / 'dev.tsv').write_bytes(b'sentence\tlabel\ncaf\xe9\tyes\n')
    common = ['--bert_model', 'sample', '--train_file', str(tmp_path / 'train.tsv'), '--dev_file',
              str(tmp_path / 'dev.tsv'), '--output_dir', str(tmp_path / 'out')]
    assert 'dev.tsv:2: byte 0xe9 is not UTF-8' in program(SCRIPT, *common, check=1).stderr
    (tmp_path / 'dev.tsv').write_text('sentence\tlabel\nA day.\tmaybe\n', encoding='utf-8')
    assert 'unknown label "maybe"' in program(SCRIPT, *common, check=1).stderr


@pytest.mark.parametrize('arguments, code, message', [
    ([], 2, '--task_name sample works out of the box'),
    (['--task_name', 'sample', '--max_len', '4'], 2, '--max_len 4'),
    (['--task_name', 'sample', '--batch_size', '0'], 2, '--batch_size'),
    (['--train_file', 'x', '--labels', 'a,b,a'], 2, '--labels a,b,a names a class twice'),
    (['--task_name', 'sample', '--lr', '-1'], 2, '--lr'),
    (['--task_name', 'sample', '--optimizer', 'sgd'], 2, 'bertadam'),
    (['--task_name', 'sample', '--predict', 'x'], 2, '--model_parameters'),
    (['--task_name', 'sample', '--train_file', 'x.tsv'], 2, '--task_name'),
    (['--task_name', 'sampel'], 1, 'did you mean sample'),
    (['--task_name', 'sample', '--max_len', '600'], 1, '512'),
    (['--task_name', 'sample', '--bert_model', './nowhere'], 1, 'nowhere'),
    (['--task_name', 'sample', '--model_parameters', 'nowhere'], 1, 'nowhere'),
    (['--task_name', 'sample', '--seeds', '1,1'], 2, '1,1 has a number twice'),
    (['--task_name', 'sample', '--seeds', '1,2', '--only_inference'], 2, '--seeds is for training'),
    (['--task_name', 'sample', '--dtype', 'int8'], 2, '--dtype int8 is for predicting'),
    (['--task_name', 'sample', '--dtype', 'int8', '--only_inference', '--path', 'padded'], 1,
     '--dtype int8: needs packed batches; omit --path padded'),
    (['--task_name', 'sample', '--gpus', '0,x'], 1, '--gpus 0,x'),
    (['--task_name', 'sample', '--dtype', 'float16'], 1, 'GPU'),
    (['--task_name', 'AX'], 1, '--only_inference'),
    (['--train_file', 'nowhere.tsv', '--bert_model', 'sample'], 1, 'nowhere.tsv'),
    (['--task_name', 'sample', '--output_dir', '/proc/nowhere'], 1, '--output_dir /proc/nowhere'),
])
def test_bad_flags_are_one_line(program, tmp_path, arguments, code, message):
    result = program(SCRIPT, *arguments, check=code, cwd=str(tmp_path))
    assert message in result.stderr and 'Traceback' not in result.stderr
    assert len([line for line in result.stderr.splitlines() if 'error:' in line]) == 1


def test_gpu_without_cuda_is_one_line(program, tmp_path):
    if mx.runtime.Features().is_enabled('CUDA'):
        pytest.skip('this MXNet has CUDA')
    result = program(SCRIPT, '--task_name', 'sample', '--gpu', '0', check=1, cwd=str(tmp_path))
    assert result.stderr.count('\n') == 1
    assert '--gpu 0: this MXNet' in result.stderr and 'gluon-bert[cu112]' in result.stderr


def test_weights_of_another_shape_or_vocabulary(program, data, whole, tmp_path):
    shutil.copytree(str(whole), str(tmp_path / 'm'))
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


def test_a_full_disk_keeps_the_last_good_checkpoint(program, data, whole, tmp_path):
    """A limit on the size of files stands for the full disk: write fails in the same place."""
    shutil.copytree(str(whole), str(tmp_path / 'out'))
    before = (tmp_path / 'out' / 'last.params').read_bytes()
    limit = ['bash', '-c', 'ulimit -f 1000; trap "" XFSZ; exec "$@"', '-']
    arguments = flags(data, tmp_path / 'out', '--epochs', '3', '--resume')
    args = read_json(str(tmp_path / 'out' / 'arguments.json'))
    with open(str(tmp_path / 'out' / 'arguments.json'), 'w') as f:
        json.dump(dict(args, epochs=3), f)
    result = program(SCRIPT, *arguments, launcher=limit, check=1)
    assert 'cannot be written' in result.stderr and 'Traceback' not in result.stderr
    assert (tmp_path / 'out' / 'last.params').read_bytes() == before
    assert not [n for n in os.listdir(str(tmp_path / 'out')) if n.startswith('.')]
