"""Pre-training as users run it: one process, several devices, several workers; killed, resumed."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import mxnet as mx
import numpy as np
import pytest
from helpers import (
    LAUNCHERS,
    ROOT,
    SAMPLE,
    TEXT,
    TINY,
    assert_same,
    command_of,
    launcher,
    records,
    wait_for_update,
    weights,
)

from bert.checkpoint.weights import read_params, read_weights, write_params
from bert.model.config import BertConfig
from bert.pretraining import masking, shard_writer
from bert.pretraining.shards import fingerprint
from bert.text import tokenizer
from bert.utils.files import read_json

ALONE, HOROVOD = 'scripts/run_pretraining.py', 'scripts/run_pretraining_hvd.py'
SMALL = ['--model', 'bert_1_16_2', '--dataset_name', 'sample', '--lr', '1e-2', '--num_data_workers',
        '0']
STEPS = ['--num_steps', '6', '--ckpt_interval', '2', '--log_interval', '1']
SHARED = ['--dropout', '0', '--batch_size', '4', '--use_avg_len', '--num_buckets', '2', *STEPS]


@pytest.fixture(scope='module')
def shards(tmp_path_factory):
    """Three shards of the sample text, for at most 32 tokens; a pattern."""
    folder = tmp_path_factory.mktemp('shards')
    tok = tokenizer.load(SAMPLE)
    job = shard_writer.Job([TEXT], tok, masking.Masking(tok, 32, 5), 1, 0, False, 3, str(folder))
    shard_writer.create(job, {'vocabulary_sha1': fingerprint(tok)})
    return str(folder / '*.npz')


def flags(shards, out, *more):
    return [*SMALL, '--data', shards, '--ckpt_dir', str(out), *more]


def run_whole(script, arguments):
    subprocess.run(**command_of(script, *arguments), check=True)


@pytest.fixture(scope='module')
def whole(shards, tmp_path_factory):
    """The folder of an uninterrupted run with dropout."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    run_whole(ALONE, flags(shards, out, *STEPS, '--keep', '2'))
    return out


@pytest.fixture(scope='module')
def one_worker(shards, tmp_path_factory):
    """One worker with two batches an update, no dropout: what all ways of sharing must equal."""
    out = tmp_path_factory.mktemp('one') / 'out'
    run_whole(ALONE, flags(shards, out, *SHARED, '--batch_size', '128', '--accumulate', '2'))
    return out


SHARED += ['--batch_size', '128']


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


@pytest.mark.parametrize('more', [
    ['--cpus', '2'], ['--cpus', '2', '--num_data_workers', '2', '--kvstore', 'local']])
def test_devices_give_the_same_updates(program, shards, one_worker, tmp_path, more):
    program(ALONE, *flags(shards, tmp_path, *SHARED, *more), check=0)
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    for one, two in zip(records(one_worker, 'train'), records(tmp_path, 'train')):
        for name in ('loss', 'MLM_loss', 'NSP_loss', 'MLM_accuracy', 'NSP_accuracy'):
            assert one[name] == pytest.approx(two[name], abs=1e-4)


@pytest.mark.parametrize('name', sorted(LAUNCHERS))
def test_two_horovod_workers_give_the_same_updates(program, shards, one_worker, tmp_path, name):
    result = program(HOROVOD, *flags(shards, tmp_path, *SHARED, '--data_eval', shards,
                                     '--num_data_workers', '1'),
                     launcher=launcher(name), check=0, env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert [r['update'] for r in records(tmp_path, 'train')] == list(range(1, 7))     # worker 0's
    assert records(tmp_path, 'train')[-1]['MLM_accuracy'] == pytest.approx(
        records(one_worker, 'train')[-1]['MLM_accuracy'], abs=1e-4)
    assert len(records(tmp_path, 'dev')) == 3
    assert (result.stdout + result.stderr).count('update 6/6') == 1


SERVED = [sys.executable, os.path.join(ROOT, 'scripts', 'launch.py'), '-n', '2', '-s', '1']


def test_two_kvstore_workers_give_the_same_updates(program, shards, one_worker, tmp_path):
    result = program(ALONE, *flags(shards, tmp_path, *SHARED, '--kvstore', 'dist_sync',
                                   '--data_eval', shards), launcher=SERVED, check=0)
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert result.stderr.count('update 6/6') == 1 and len(records(tmp_path, 'dev')) == 3
    assert program(ALONE, *flags(shards, tmp_path / 'x', '--kvstore', 'dist_sync'),
                   check=1).stderr.count('scripts/launch.py') == 1


started = []


@pytest.fixture(autouse=True)
def nothing_runs_on():
    """A test that fails leaves no process behind."""
    yield
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def start(command, *more, env=()):
    started.append(subprocess.Popen(
        [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=dict(os.environ, BERT_OFFLINE='1', **dict(env))))
    return started[-1]


def workers_of(script, folder):
    """Process ids of the workers (not launchers or shells) that train in ``folder``."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/cmdline', 'rb') as f:
                    words = f.read().decode().split('\0')
            except OSError:
                continue
            if len(words) > 1 and words[1].endswith(script) and str(folder) in words:
                found.append(int(name))
    return sorted(found)


@pytest.mark.parametrize('number, code', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_goes_on_bit_equal(program, shards, whole, tmp_path, number, code):
    arguments = flags(shards, tmp_path, *STEPS, '--keep', '2')
    process = start([sys.executable, os.path.join(ROOT, ALONE)], *arguments)
    wait_for_update(process.stdout, 3)
    process.send_signal(number)
    said = process.stdout.read()
    assert process.wait() == code
    assert '--resume continues' in said and 'Traceback' not in said
    program(ALONE, *arguments, '--resume', check=0)
    for name in ('model.params', 'step-0000004.params', 'step-0000006.params'):
        assert_same(weights(whole, name), weights(tmp_path, name))


def test_a_killed_run_goes_on_bit_equal(program, shards, whole, tmp_path):
    arguments = flags(shards, tmp_path, *STEPS)
    process = start([sys.executable, os.path.join(ROOT, ALONE)], *arguments)
    wait_for_update(process.stdout, 5)
    process.kill()
    process.stdout.close()
    process.wait()
    assert (tmp_path / 'step-0000004.params').exists()
    shutil.copytree(str(tmp_path), str(tmp_path / 'copy'))
    program(ALONE, *arguments, '--resume', check=0)
    assert_same(weights(whole, 'step-0000006.params'), weights(tmp_path, 'step-0000006.params'))
    updates = [r['update'] for r in records(tmp_path, 'train')]
    assert updates == [1, 2, 3, 4, 5, 6]
    # from one that is named; and the last that is whole, where the newest is not
    copy = tmp_path / 'copy'
    program(ALONE, *flags(shards, copy, *STEPS), '--start_step', '2', check=0)
    assert_same(weights(whole), weights(copy))
    with open(str(copy / 'step-0000006.params'), 'r+b') as f:
        f.truncate(5000)
    result = program(ALONE, *flags(shards, copy, *STEPS), '--resume', check=0)
    assert 'using the previous checkpoint' in result.stderr and 'from update 4' in result.stderr
    assert_same(weights(whole), weights(copy))
    # a fresh start does not wipe out a run
    assert '--resume' in program(ALONE, *flags(shards, copy, *STEPS), check=1).stderr
    other = program(ALONE, *flags(shards, copy, *STEPS), '--resume', '--lr', '1', check=1)
    assert '--lr' in other.stderr
    missing = program(ALONE, *flags(shards, copy, *STEPS), '--start_step', '3', check=1)
    assert 'step-0000003.params is missing' in missing.stderr


@pytest.mark.parametrize('name', [*sorted(LAUNCHERS), 'launch.py'])
def test_a_job_with_a_killed_worker_ends_and_goes_on_bit_equal(program, shards, tmp_path, name):
    script = ALONE if name == 'launch.py' else HOROVOD
    command = SERVED if name == 'launch.py' else launcher(name)
    # with dropout; the learning rate is the same for any number of steps
    arguments = [*SMALL, '--data', shards, '--ckpt_interval', '2', '--log_interval', '1',
                 '--warmup_ratio', '0', '--schedule', 'poly', '--power', '1e-30']
    if name == 'launch.py':
        arguments += ['--kvstore', 'dist_sync']
    process = start([*command, sys.executable, os.path.join(ROOT, script)], *arguments,
                    '--ckpt_dir', str(tmp_path), '--num_steps', '100000',
                    env={'OMP_NUM_THREADS': '1'})
    try:
        before = wait_for_update(process.stdout, 3)
        victim = workers_of(script, tmp_path)[-1]
        begin = time.time()
        os.kill(victim, signal.SIGKILL)
        said = process.stdout.read()
        assert process.wait(60) != 0 and time.time() - begin < 60
    finally:
        process.kill()
    which = {'mpirun': r'process rank \d with PID',
             'horovodrun': r'rank \d: lost contact with rank \d on',
             'launch.py': rf'worker \d \(process {victim}\) was killed by signal 9'}[name]
    assert re.search(which, said), said
    assert 'step-0000002.params; the same command with --resume continues' in before
    assert 'the same command with --resume continues' in said
    deadline = time.time() + 20
    while workers_of(script, tmp_path) and time.time() < deadline:
        time.sleep(0.2)
    assert not workers_of(script, tmp_path)
    found = max(int(n[5:12]) for n in os.listdir(str(tmp_path)) if n.startswith('step-'))
    assert found % 2 == 0
    steps = ['--num_steps', str(found + 3)]
    result = program(script, *arguments, *steps, '--ckpt_dir', str(tmp_path), '--resume',
                     launcher=command, check=0, env={'OMP_NUM_THREADS': '1'})
    assert f'continuing from update {found}' in result.stdout + result.stderr
    program(script, *arguments, *steps, '--ckpt_dir', str(tmp_path / 'whole'), launcher=command,
            check=0, env={'OMP_NUM_THREADS': '1'})
    state = f'step-{found + 3:07}.params'
    assert_same(weights(tmp_path, state), weights(tmp_path / 'whole', state))


@pytest.mark.slow
def test_one_workers_error_ends_the_job(shards, tmp_path):
    """A shard that only worker 1 finds broken."""
    command = launcher('mpirun')
    bad = tmp_path / 'bad.npz'
    bad.write_bytes(b'PK not')
    code = (f'import os, sys; sys.path.insert(0, {ROOT!r})\n'
            'rank = os.environ["OMPI_COMM_WORLD_RANK"]\n'
            f'path = {str(bad)!r} if rank == "1" else {shards!r}\n'
            'sys.argv[sys.argv.index("--data") + 1] = path\n'
            'from scripts.run_pretraining_hvd import program; program()')
    process = start([*command, sys.executable, '-c', code], *flags(
        'x', tmp_path / 'out', '--num_steps', '100000'))
    try:
        assert any('bad.npz: not a whole shard' in line for line in process.stdout)
        process.communicate(timeout=60)     # a minute from the error on
    finally:
        process.kill()
    assert process.returncode


def test_a_gradient_that_is_not_finite_leaves_the_checkpoint(program, shards, whole, tmp_path):
    shutil.copytree(str(whole), str(tmp_path / 'out'))
    path = tmp_path / 'out' / 'step-0000006.params'
    arrays = read_params(str(path))
    arrays['bert.pooler.bias'][:] = np.nan
    write_params(str(path), arrays)
    before = path.read_bytes()
    result = program(ALONE, *flags(shards, tmp_path / 'out', *STEPS, '--num_steps', '9',
                                   '--resume'), check=1)
    assert 'bert.pooler.bias has values that are not finite' in result.stderr
    assert path.read_bytes() == before
    # a new run that replaces an old one, and fails at once
    weights = (tmp_path / 'out' / 'model.params').read_bytes()
    result = program(ALONE, *flags(shards, tmp_path / 'out', *STEPS, '--lr', '1e38',
                                   '--overwrite'), check=1)
    assert 'is not finite' in result.stderr and 'what was saved before is intact' in result.stderr
    assert (tmp_path / 'out' / 'model.params').read_bytes() == weights
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_killed_data_worker_ends_the_run(shards, tmp_path):
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
