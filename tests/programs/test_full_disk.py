"""Every program that writes, on a disk that becomes full: a one-line error, and nothing is lost."""
import os
import shutil
import subprocess
from typing import List, NamedTuple

import pytest
from helpers import ROOT, SAMPLE, TEXT, TINY, command_of
from torture.kills import differing_bits

pytestmark = pytest.mark.slow

_FINE_TUNING = ['--bert_model', TINY, '--save_interval', '4', '--training_steps', '10',
                '--batch_size', '16', '--seed', '1']
_CLASSIFIER = ['--task_name', 'sample', '--max_len', '16', *_FINE_TUNING]

SHARES = 0.1, 0.7       # sizes of the disk, relative to the whole output


class Case(NamedTuple):
    """A program; the last flag of its command takes the output."""

    command: List[str]
    resumes: bool = False
    file: str = ''              # the name of its output, if that is not a folder


CASES = {
    'classifier': Case(['scripts/finetune_classifier.py', *_CLASSIFIER, '--output_dir'], True),
    'seeds': Case(['scripts/finetune_classifier.py', *_CLASSIFIER, '--seeds', '1,2',
                   '--output_dir'], True),
    'squad': Case(['scripts/finetune_squad.py', '--train_file',
                   f'{SAMPLE}/squad/train-v1.1.json', '--dev_file', f'{SAMPLE}/squad/dev-v1.1.json',
                   '--max_seq_length', '32', '--doc_stride', '12', '--max_query_length', '8',
                   *_FINE_TUNING, '--output_dir'], True),
    'ner': Case(['scripts/finetune_ner.py', '--train_path', f'{SAMPLE}/conll/train.txt',
                 '--dev_path', f'{SAMPLE}/conll/dev.txt', '--seq_len', '24', *_FINE_TUNING,
                 '--output_dir'], True),
    'pretraining': Case(['scripts/run_pretraining.py', '--model', 'bert_1_16_2', '--dataset_name',
                         'sample', '--data', TEXT, '--raw', '--max_seq_length', '32',
                         '--num_steps', '8', '--batch_size', '8', '--num_data_workers', '1',
                         '--ckpt_interval', '2', '--ckpt_dir'], True),
    'data': Case(['scripts/create_pretraining_data.py', '--input_file', TEXT, '--dataset_name',
                  'sample', '--max_seq_length', '64', '--max_predictions_per_seq', '10',
                  '--num_outputs', '3', '--num_workers', '2', '--output_dir'], True),
    'embedding': Case(['bert/embedding.py', '--bert_model', TINY, '--file', TEXT, '--output'],
                      file='words.npz'),
    'sentences': Case(['bert/embedding.py', '--bert_model', TINY, '--file', TEXT, '--pooling',
                       'mean', '--output'], file='sentences.jsonl'),
    'map': Case(['bert/embedding.py', '--bert_model', TINY, '--sentences', 'a', 'b', 'c', 'd',
                 '--map'], file='map.png'),
    'save_model': Case(['bert/embedding.py', '--bert_model', TINY, '--pooling', 'mean',
                        '--save_model']),
    'predict_ner': Case(['scripts/predict_ner.py', '--model_parameters', '{tagger}', '--test_path',
                         f'{SAMPLE}/conll/test.txt', '--output_dir']),
    'predictions': Case(['scripts/finetune_classifier.py', '--task_name', 'sample',
                         '--only_inference', '--bert_model', TINY, '--max_len', '16',
                         '--output_dir']),
    'convert': Case(['scripts/convert_checkpoint.py', TINY]),
    'vocabulary': Case(['scripts/train_vocabulary.py', '--input_file', TEXT, '--vocab_size',
                        '2000', '--output_dir']),
    'sentencepiece': Case(['scripts/train_vocabulary.py', '--input_file', TEXT, '--vocab_size',
                           '2000', '--kind', 'sentencepiece', '--output_dir']),
    'export': Case(['export/export.py', '--bert_model', TINY, '--pretrained', '--task',
                    'classification', '--seq_length', '16', '--output_dir']),
    'onnx': Case(['export/export.py', '--bert_model', TINY, '--pretrained', '--task',
                  'classification', '--seq_length', '16', '--format', 'onnx', '--output_dir']),
}

OVERWRITES = {name for name, case in CASES.items() if case.resumes} | {
    'convert', 'vocabulary', 'sentencepiece', 'export', 'onnx'}


@pytest.fixture
def disk(tmp_path):
    """A function that sets the size of a small disk in KB, and returns its folder."""
    folder = tmp_path / 'disk'
    folder.mkdir()

    def resize(size):
        mounted = os.path.ismount(str(folder))
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', ('remount,' if mounted else '')
                               + f'size={size}k', 'tmpfs', str(folder)], capture_output=True,
                              text=True)
        if done.returncode and not mounted:
            pytest.skip(f'mounting a small disk is not permitted: {done.stderr.strip()}')
        assert done.returncode == 0, done.stderr
        return folder
    yield resize
    if os.path.ismount(str(folder)):
        subprocess.run(['umount', str(folder)], check=True)


@pytest.fixture(scope='session')
def tagger(tmp_path_factory):
    """The result folder of a tagger, for predict_ner.py."""
    folder = tmp_path_factory.mktemp('tagger')
    started = command_of(*CASES['ner'].command, str(folder))
    subprocess.run(started['args'], env=started['env'], check=True, capture_output=True)
    return folder


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()}


def size_of(folder):
    """KB that the files in a folder take on a tmpfs."""
    return sum(4 * -(-path.stat().st_size // 4096) for path in folder.rglob('*') if path.is_file())


def start(case, out, tagger, *flags):
    """(exit code, error output) of a run of a case."""
    arguments = [part.format(tagger=tagger) for part in case.command]
    out = out / case.file if case.file else out
    started = command_of(*arguments, str(out), *flags)
    done = subprocess.run(started['args'], cwd=ROOT, timeout=600, capture_output=True, text=True,
                          env=dict(started['env'], OMP_NUM_THREADS='1'))
    return done.returncode, done.stderr


def check_refusal(code, errors):
    lines = [line for line in errors.splitlines() if ': error: ' in line]
    assert code == 1 and len(lines) == 1 and errors.rstrip().endswith(lines[0]), errors
    assert 'Traceback' not in errors and 'Exception ignored' not in errors, errors
    assert any(words in lines[0] for words in ('No space left', 'disk is full',
                                               'the disk or its quota is full')), errors


@pytest.mark.parametrize('name', CASES)
def test_a_full_disk(name, disk, tagger, tmp_path):
    case, whole = CASES[name], tmp_path / 'whole'
    whole.mkdir()
    code, errors = start(case, whole, tagger)
    assert code == 0, errors
    size = size_of(whole)
    for share in SHARES:
        folder = disk(max(4, int(size * share) // 4 * 4)) / ('' if case.file else 'out')
        check_refusal(*start(case, folder, tagger))
        left = content(folder)          # path -> bytes
        assert not [path for path in left if '.unfinished' in path or '/.' in path], list(left)
        if case.resumes:        # once there is room
            code, errors = start(case, disk(size + 3000) / 'out', tagger, '--resume')
            assert code == 0, errors
            assert differing_bits(folder, whole) == 0
            assert set(content(folder)) == set(content(whole))
        else:                   # of several files, those that are there are whole
            made = content(whole)
            assert all(made[path] == left[path] for path in left), list(left)
        if not case.file:
            shutil.rmtree(str(folder), ignore_errors=True)      # an export leaves none
    if name != 'save_model':    # which never replaces a model
        keeps_the_earlier_result(name, disk, tagger, whole)


def keeps_the_earlier_result(name, disk, tagger, whole):
    case, size = CASES[name], size_of(whole)
    shutil.copytree(str(whole), str(disk(2 * size + 100) / 'out'))
    folder = disk(size + 4 * (size > 40)) / 'out'
    before = content(folder)
    check_refusal(*start(case, folder, tagger, *['--overwrite'] * (name in OVERWRITES)))
    after = content(folder)
    assert {path: after.get(path) for path in before} == before
