"""Pre-training as users run it: whole, stopped, killed, resumed; with other data, in wrong ways."""
import gc
import os
import shutil
import signal
import subprocess
import sys
import time

import mxnet as mx
import numpy as np
import pytest
from helpers import (
    ROOT,
    TEXT,
    TINY,
    assert_same,
    command_of,
    records,
    refused,
    wait_for_update,
    warnings,
    weights,
)
from pretraining_runs import ALONE, SMALL, STEPS, flags

from bert.checkpoint.weights import read_params, read_weights, write_params
from bert.model.config import BertConfig
from bert.pretraining import shards as shard_files
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts import run_pretraining

RUN = [*STEPS, '--accumulate', '20']    # a signal arrives long before the last update


@pytest.fixture(scope='module')
def whole(shards, tmp_path_factory):
    """The folder of an uninterrupted run with dropout."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    subprocess.run(**command_of(ALONE, *flags(shards, out, *RUN, '--keep', '2')), check=True)
    return out


def test_raw_text_to_a_model_that_others_take(program, tmp_path):
    out = tmp_path / 'out'
    # as in the README of the toolkit that this one follows: commas, one at the end, and an equals
    result = program(ALONE, '--model', 'bert_1_32_2_64', '--dataset_name', 'sample',
                     f'--data={TEXT},', f'--data_eval={TEXT},', '--raw', '--max_seq_length', '32',
                     '--num_steps', '60', '--lr', '1e-2', '--log_interval=20', '--use_avg_len',
                     '--batch_size', '1024', '--whole_word_mask', '--num_data_workers', '1',
                     '--batch_size_eval', '64', '--plot', '--tensorboard', '--ckpt_dir', str(out),
                     check=0)
    for part in ('MLM loss ', 'NSP loss ', 'MLM accuracy ', 'NSP accuracy ', 'lr ', ' tokens/s',
                 ' left', 'update 60/60', 'update 60, dev: MLM loss'):
        assert part in result.stderr
    losses = [r['MLM_loss'] for r in records(out, 'train')]
    assert len(losses) == 3 and losses[-1] < losses[0] - 0.5
    scores, = records(out, 'dev')
    assert 4 < scores['MLM_loss'] < 8 and 0.02 < scores['MLM_accuracy'] < 0.5
    assert 0.4 < scores['NSP_loss'] < 1 and 0.3 < scores['NSP_accuracy'] < 0.8
    assert {'config.json', 'vocab.txt', 'tokenizer_config.json', 'arguments.json', 'model.params',
            'metrics.jsonl', 'curves.png', 'step-0000060.params'} <= set(os.listdir(str(out)))
    config = read_json(str(out / 'config.json'))
    assert config['architectures'] == ['BertForPreTraining']
    assert [config[key] for key in ('num_hidden_layers', 'hidden_size', 'num_attention_heads',
                                    'intermediate_size', 'vocab_size')] == [1, 32, 2, 64, 8000]
    assert list(out.glob('events.out.tfevents*'))
    # the other programs
    program('scripts/convert_checkpoint.py', str(out), str(tmp_path / 'theirs'), check=0)
    theirs = read_weights(str(tmp_path / 'theirs' / 'model.safetensors'))
    assert_same(weights(out), theirs)
    program('scripts/finetune_classifier.py', '--task_name', 'sample', '--bert_model', str(out),
            '--epochs', '1', '--output_dir', str(tmp_path / 'classifier'), check=0)
    more = program(ALONE, '--pretrained', '--model', str(out), '--data', TEXT, '--raw',
                   '--max_seq_length', '64', '--num_steps', '2', '--log_interval', '1', '--lr',
                   '1e-9', '--ckpt_dir', str(tmp_path / 'phase2'), check=0)
    assert f'weights of {out}' in more.stderr
    assert records(tmp_path / 'phase2', 'train')[0]['MLM_loss'] < losses[0] - 0.5
    assert_same(weights(out), weights(tmp_path / 'phase2'), 1e-6)


def test_checkpoints(whole, shards):
    names = sorted(name for name in os.listdir(str(whole)) if name.startswith('step-'))
    assert names == ['step-0000004.params', 'step-0000006.params']
    last = weights(whole, names[-1])
    model = weights(whole)
    assert_same(model, {name: last[name] for name in model})
    assert not [name for name in os.listdir(str(whole)) if name.startswith('.')]
    assert [r['update'] for r in records(whole, 'train')] == [1, 2, 3, 4, 5, 6]
    assert all(name.startswith('bert.') for name in model)


def test_evaluation_by_hand(whole, shards, program, tmp_path):
    """With one row a batch and with many, beside numpy's results row by row."""
    from bert.model.heads import PreTraining
    from bert.model.parameters import load_parameters
    from bert.pretraining.sources import Shards
    path = shards.replace('*', 'part-001')
    for size in ('1', '50'):
        program(ALONE, *flags(shards, tmp_path / size, '--pretrained', '--model', str(whole),
                              '--num_steps', '1', '--lr', '1e-12', '--data_eval', path,
                              '--batch_size_eval', size), check=0)
    one, many = (records(tmp_path / size, 'dev')[0] for size in ('1', '50'))
    assert {name: pytest.approx(value, abs=1e-5) for name, value in one.items()} == many
    net = PreTraining(
        BertConfig.from_dict(read_json(str(whole / 'config.json'))), 0.0)
    net.initialize()
    load_parameters(net, weights(whole), 'it')
    data = Shards([path], 8000).read(0, 0)
    tokens = np.split(np.stack([data.ids, data.segments]), np.cumsum(data.lengths)[:-1], axis=1)
    masks = np.split(np.stack([data.positions, data.labels]), np.cumsum(data.counts)[:-1], axis=1)
    found = []
    for (ids, segments), (positions, labels), label in zip(tokens, masks, data.next_sentence):
        words, pair = (scores.log_softmax().asnumpy() for scores in net(*map(mx.nd.array, (
            [ids], [segments], [len(ids)], positions))))
        found.append((-words[np.arange(len(labels)), labels].sum(),
                      (words.argmax(axis=1) == labels).sum(), -pair[0, label],
                      pair[0].argmax() == label))
    sums = np.sum(found, axis=0) / np.repeat([len(data.labels), len(found)], 2)
    names = ('MLM_loss', 'MLM_accuracy', 'NSP_loss', 'NSP_accuracy')
    assert [many[name] for name in names] == pytest.approx(sums.tolist(), abs=1e-4)


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_goes_on_bit_equal(program, start, shards, whole, tmp_path, number, code):
    arguments = flags(shards, tmp_path, *RUN, '--keep', '2', '--eval_interval', '1',
                      '--data_eval', shards.replace('*', 'part-001'))
    process = start([sys.executable, os.path.join(ROOT, ALONE)], *arguments)
    wait_for_update(process.stdout, 3)
    process.send_signal(number)
    said = process.stdout.read()
    assert process.wait() == code
    assert '--resume continues' in said and 'Traceback' not in said
    program(ALONE, *arguments, '--resume', check=0)
    for name in ('model.params', 'step-0000004.params', 'step-0000006.params'):
        assert_same(weights(whole, name), weights(tmp_path, name))
    assert [r['update'] for r in records(tmp_path, 'dev')] == [1, 2, 3, 4, 5, 6]


def test_a_killed_run_goes_on_bit_equal(program, start, shards, whole, tmp_path):
    arguments = flags(shards, tmp_path, *RUN)
    process = start([sys.executable, os.path.join(ROOT, ALONE)], *arguments)
    wait_for_update(process.stdout, 3)
    process.kill()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    assert (tmp_path / 'step-0000002.params').exists()
    assert not (tmp_path / 'step-0000006.params').exists()
    shutil.copytree(str(tmp_path), str(tmp_path / 'copy'))
    program(ALONE, *arguments, '--resume', check=0)
    assert_same(weights(whole, 'step-0000006.params'), weights(tmp_path, 'step-0000006.params'))
    updates = [r['update'] for r in records(tmp_path, 'train')]
    assert updates == [1, 2, 3, 4, 5, 6]
    # from one that is named; and the last that is whole, where the newest is not
    copy = tmp_path / 'copy'
    program(ALONE, *flags(shards, copy, *RUN), '--start_step', '2', check=0)
    assert_same(weights(whole), weights(copy))
    with open(str(copy / 'step-0000006.params'), 'r+b') as f:
        f.truncate(5000)
    result = program(ALONE, *flags(shards, copy, *RUN), '--resume', check=0)
    assert 'using the previous checkpoint' in result.stderr and 'from update 4' in result.stderr
    assert_same(weights(whole), weights(copy))
    # a fresh start does not wipe out a run
    assert '--resume' in program(ALONE, *flags(shards, copy, *RUN), check=1).stderr
    other = program(ALONE, *flags(shards, copy, *RUN), '--resume', '--lr', '1', check=1)
    assert ('had --lr 0.01, and now --lr 1.0; use the same flags, or another --ckpt_dir'
            in other.stderr)
    missing = program(ALONE, *flags(shards, copy, *RUN), '--start_step', '3', check=1)
    assert 'step-0000003.params is missing' in missing.stderr


def test_a_gradient_that_is_not_finite_leaves_the_checkpoint(program, shards, whole, tmp_path):
    shutil.copytree(str(whole), str(tmp_path / 'out'))
    path = tmp_path / 'out' / 'step-0000006.params'
    arrays = read_params(str(path))
    arrays['bert.pooler.bias'][:] = np.nan
    write_params(str(path), arrays)
    before = path.read_bytes()
    result = program(ALONE, *flags(shards, tmp_path / 'out', *RUN, '--num_steps', '9',
                                   '--resume'), check=1)
    assert 'bert.pooler.bias has values that are not finite' in result.stderr
    assert path.read_bytes() == before
    # a new run that replaces an old one, and fails at once
    weights = (tmp_path / 'out' / 'model.params').read_bytes()
    result = program(ALONE, *flags(shards, tmp_path / 'out', *RUN, '--lr', '1e38',
                                   '--overwrite'), check=1)
    assert 'is not finite' in result.stderr and 'what was saved before is intact' in result.stderr
    assert (tmp_path / 'out' / 'model.params').read_bytes() == weights
    assert path.read_bytes() == before


def test_bad_data_that_are_found_late_lose_no_update(shards, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    folder = tmp_path / 'shards'
    shutil.copytree(os.path.dirname(shards), folder)
    arguments = ['--batch_size', '16', '--num_steps', '45']
    assert not run_pretraining.main(flags(str(folder / '*.npz'), tmp_path / 'whole', *arguments))
    second = folder / f'part-{np.random.default_rng([0, 0]).permutation(3)[1]:03}.npz'
    content = second.read_bytes()
    second.write_bytes(content[:1000] + bytes(1000) + content[2000:])
    # the damage is in what a checksum of the ends takes of so small a file
    checksum = 'bert.pretraining.loop.content_checksum'
    monkeypatch.setattr(checksum, lambda source: 1)
    caplog.clear()
    out = tmp_path / 'out'
    message = refused(run_pretraining.main, flags(str(folder / '*.npz'), out, *arguments))
    assert f'{second}: not a whole shard' in message
    steps = [name for name in os.listdir(out) if name.startswith('step-')]
    done = int(steps[0][5:12])
    assert len(steps) == 1 and 0 < done < 45 and (out / 'model.params').exists()
    assert warnings(caplog) == [
        f'stopped after update {done} of 45; if the files can be read again as they are, the same '
        'command with --resume continues; if you change them, start another run from these '
        f'weights: --pretrained --model {out} and another --ckpt_dir']
    second.write_bytes(content)
    gc.collect()        # the run before holds the lock of the folder until it is gone
    assert not run_pretraining.main(flags(str(folder / '*.npz'), out, *arguments, '--resume'))
    assert_same(weights(tmp_path / 'whole'), weights(out))
    # other content, of the same size
    gc.collect()
    monkeypatch.setattr(checksum, lambda source: 2)
    assert f'--pretrained --model {out}, with another --ckpt_dir' in refused(
        run_pretraining.main, flags(str(folder / '*.npz'), out, *arguments, '--resume'))


def test_the_dev_data_are_read_before_the_first_update(shards, tmp_path, monkeypatch):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    dev, out = tmp_path / 'dev.npz', tmp_path / 'out'
    dev.write_bytes(b'PK')
    arguments = flags(shards, out, *STEPS, '--eval_interval', '3', '--data_eval', str(dev))
    assert 'dev.npz: not a whole shard' in refused(run_pretraining.main, arguments)
    assert os.listdir(out) == []
    # gone after that
    shutil.copy(shards.replace('*', 'part-001'), dev)
    read, asked = shard_files.read, []

    def fails(path):
        asked.append(path)
        if asked.count(str(dev)) > 1:
            raise DataError(f'{dev}: gone')
        return read(path)
    monkeypatch.setattr(shard_files, 'read', fails)
    gc.collect()
    assert refused(run_pretraining.main, arguments) == f'{dev}: gone'
    assert sorted(name for name in os.listdir(out) if name.startswith('step-')) == [
        'step-0000002.params', 'step-0000003.params']


def test_the_dev_text_is_read_before_the_first_update(tmp_path, monkeypatch):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    dev = tmp_path / 'dev.txt'
    for content, message in ((b'One.\nTwo.\ncaf\xe9\n', 'dev.txt:3: not UTF-8'),
                             (b'One.\n', '--data_eval: its files have no instances')):
        dev.write_bytes(content)
        assert message in refused(run_pretraining.main, flags(
            TEXT, tmp_path / 'out', '--raw', '--data_eval', str(dev)))
    gc.collect()
    assert not run_pretraining.main(flags(
        TEXT, tmp_path / 'out', '--raw', '--max_seq_length', '32', '--num_steps', '1'))
    gone = refused(run_pretraining.main, [
        '--data_eval', TEXT, '--raw', '--ckpt_dir', str(tmp_path / 'out'), '--start_step', '3'])
    assert gone.endswith('holds checkpoints of these updates: 1')


@pytest.mark.slow
def test_a_killed_data_worker_ends_the_run(start, shards, tmp_path):
    process = start([sys.executable, os.path.join(ROOT, ALONE)], *flags(
        TEXT, tmp_path, '--raw', '--max_seq_length', '32', '--num_steps', '100000',
        '--num_data_workers', '1', '--log_interval', '1'))
    wait_for_update(process.stdout, 2)
    children = subprocess.run(['ps', '-ww', '-o', 'pid=,args=', '--ppid', str(process.pid)],
                              stdout=subprocess.PIPE, text=True).stdout.splitlines()
    spawned = [int(line.split()[0]) for line in children if 'spawn_main' in line]
    os.kill(spawned[0], signal.SIGKILL)
    deadline = time.time() + 60
    said = process.stdout.read()
    assert process.wait() == 1 and time.time() < deadline
    assert 'was killed' in said and '--num_data_workers' in said and 'Traceback' not in said


@pytest.mark.parametrize('more', [
    ['--optimizer', 'lamb', '--schedule', 'poly', '--power', '0.5'], ['--optimizer', 'adamw'],
    ['--optimizer', 'adam', '--accumulate', '2']])
def test_optimizers_train(program, shards, tmp_path, more):
    program(ALONE, *flags(shards, tmp_path, *STEPS, '--warmup_ratio', '0.5', *more), check=0)
    lines = records(tmp_path, 'train')
    assert all(0 < r['loss'] < 12 for r in lines)
    # warm-up over 3 updates; then 3 / 4, 2 / 4, 1 / 4, or their roots
    power = 0.5 if 'poly' in more else 1
    assert [r['lr'] for r in lines] == pytest.approx(
        [0.01 * x for x in (1 / 3, 2 / 3, 1, .75 ** power, .5 ** power, .25 ** power)])


def test_synthetic_data_and_profile(program, tmp_path):
    result = program(ALONE, *SMALL, '--synthetic_data', '--dummy_data_len', '24', '--num_steps',
                     '8', '--log_interval', '4', '--verbose', '--profile', str(tmp_path / 'p.json'),
                     '--ckpt_dir', str(tmp_path / 'out'), check=0)
    assert 'tokens/s' in result.stderr and 'update 8: 8 instances, 192 tokens' in result.stderr
    assert read_json(str(tmp_path / 'p.json'))['traceEvents']


@pytest.mark.parametrize('arguments, code, message', [
    ([], 2, '--synthetic_data'),
    (['--data', 'x', '--synthetic_data'], 2, '--synthetic_data'),
    (['--data', 'x.npz', '--num_steps', '0'], 2, '--num_steps'),
    (['--data', 'nowhere.npz', '--dummy_data_len', '9'], 1, 'nowhere.npz: no such file'),
    (['--data', 'x.npz', '--resume', '--start_step', '4'], 2, '--start_step'),
    (['--data', 'x.npz', '--max_seq_length', '4'], 2, '--max_seq_length 4'),
    (['--data', 'nowhere.npz'], 1, 'nowhere.npz: no such file'),
    (['--data', TEXT], 1, 'add --raw'),
    (['--data', TEXT, '--raw', '--max_seq_length', '600'], 1, 'positions for 512'),
    (['--data', TEXT, '--raw', '--model', 'bert_2_30_4'], 1, 'multiple of heads'),
    (['--data', TEXT, '--raw', '--pretrained'], 1, '--pretrained'),
    (['--data', TEXT, '--raw', '--gpus', '0,1,2,3,4,5,6,7'], 1, 'has no CUDA'),
    (['--data', TEXT, '--raw', '--dtype', 'float16'], 1, 'GPU'),
    (['--data', TEXT, '--raw', '--dtype', 'int8'], 2, "invalid choice: 'int8'"),
    (['--data', TEXT, '--raw', '--ckpt_dir', os.path.join(TEXT, 'x')], 1, '--ckpt_dir'),
])
def test_wrong_use(program, tmp_path, arguments, code, message):
    if 'CUDA' in message and mx.runtime.Features().is_enabled('CUDA'):
        pytest.skip('needs an MXNet without CUDA')
    result = program(ALONE, *SMALL, '--ckpt_dir', str(tmp_path / 'out'), *arguments, check=code,
                     cwd=str(tmp_path))
    assert message in result.stderr and 'Traceback' not in result.stderr
    assert code == 2 or result.stderr.strip().count('\n') < 2


def test_shards_of_another_vocabulary_are_refused(program, shards, tmp_path):
    result = program(ALONE, '--model', 'bert_1_16_2', '--vocab', TINY, '--data', shards,
                     '--ckpt_dir', str(tmp_path), check=1)
    assert 'made with another vocabulary' in result.stderr


def test_bundle_names_pre_training(whole):
    assert BertConfig.from_dict(read_json(str(whole / 'config.json'))).labels is None
