"""The program that makes pre-training data: its flags, what it writes, and being killed."""
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, SAMPLE, TEXT, TINY, warnings

from bert.checkpoint.resolve import Checkpoint
from bert.pretraining import shard_writer
from bert.pretraining.shards import read
from bert.text import tokenizer
from bert.utils.errors import DataError

SCRIPT = 'scripts/create_pretraining_data.py'


@pytest.fixture(scope='module')
def script():
    return importlib.import_module('scripts.create_pretraining_data')


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """folder1 and folder2 with a part of the sample text each; the current folder is above."""
    documents = Path(TEXT).read_text('utf-8').split('\n\n')
    for i, name in enumerate(('folder1', 'folder2')):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'a.txt').write_text('\n\n'.join(documents[i:60:2]), encoding='utf-8')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def flags(**changed):
    given = {'input_file': TEXT, 'output_dir': 'out', 'vocab': TINY, 'max_seq_length': 64,
             'max_predictions_per_seq': 10, 'num_workers': 1, 'dupe_factor': 1}
    given.update(changed)
    return [part for key, value in given.items() if value is not None
            for part in ['--' + key] + ([] if value is True else [str(value)])]


def test_the_historical_command(script, folders, monkeypatch):
    """As GluonNLP's users type it; the vocabulary stands for the one that is fetched."""
    asked = []

    def resolve(model=None, dataset=None, offline=None, with_weights=True):
        asked.append((model, dataset, with_weights))
        return Checkpoint(None, TINY, {}, False, 'here')
    monkeypatch.setattr('bert.checkpoint.resolve.resolve', resolve)
    assert script.main([
        '--input_file', 'folder1/*.txt,folder2/*.txt', '--output_dir', 'out', '--dataset_name',
        'book_corpus_wiki_en_uncased', '--dupe_factor', '10', '--num_workers', '2']) == 0
    assert asked == [(None, 'book_corpus_wiki_en_uncased', False)]
    shard = read('out/part-000.npz')
    assert sorted(os.listdir('out')) == ['part-000.npz', 'pretraining_data.json']
    assert shard['input_ids'].shape[1] == 512 and shard['masked_lm_ids'].shape[1] == 80
    described = json.loads(Path('out/pretraining_data.json').read_text('utf-8'))
    assert described['dupe_factor'] == 10 and described['random_seed'] == 12345
    assert [row[0] for row in described['files']] == ['folder1/a.txt', 'folder2/a.txt']
    assert script.main(['--input_file', 'folder1/a.txt', 'folder2/a.txt', '--output-dir', 'again',
                        '--dupe-factor', '10']) == 0     # expanded by the shell; the default
    assert asked[1] == (None, None, False)
    assert Path('again/part-000.npz').read_bytes() == Path('out/part-000.npz').read_bytes()


def test_defaults_are_gluonnlps(script):
    args = script.parse_args(['--input_file', 'x', '--output_dir', 'y'])
    assert (args.max_seq_length, args.max_predictions_per_seq, args.random_seed, args.dupe_factor,
            args.masked_lm_prob, args.short_seq_prob, args.num_outputs, args.sp_nbest,
            args.sp_alpha) == (512, 80, 12345, 1, 0.15, 0.1, 1, 0, 1.0)
    assert not (args.cased or args.whole_word_mask or args.verbose or args.sentencepiece)


@pytest.mark.parametrize('given,message', [
    ({'max_seq_length': 4}, '--max_seq_length 4 leaves no room for two texts'),
    ({'random_seed': -1}, '--random_seed -1 is below 0'), ({'dupe_factor': 0}, 'from 1 up'),
    ({'masked_lm_prob': 1.5}, 'not between 0 and 1'),
    ({'sentencepiece': 'x.model'}, '--sentencepiece and --vocab both name a vocabulary'),
    ({'vocab': None, 'cased': True}, '--cased is for --sentencepiece and --vocab')])
def test_usage(script, capsys, given, message):
    with pytest.raises(SystemExit) as exit_:
        script.parse_args(flags(**given))
    assert exit_.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize('given,message', [
    ({'input_file': 'no/*.txt'}, r'no/\*.txt: no such file'),
    ({'vocab': 'nowhere'}, 'nowhere: no such file or folder'),
    ({'vocab': None, 'dataset_name': 'book_corpus'}, 'book_corpus')])
def test_bad_input(script, tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('BERT_OFFLINE', '1')
    with pytest.raises(DataError, match=message):
        script.main(flags(**given))
    assert not os.path.exists('out')


def test_the_sample_out_of_the_box(program, tmp_path):
    result = program(SCRIPT, '--input_file', TEXT, '--output_dir', 'out', '--dataset_name',
                     'sample', '--max_seq_length', '128', '--num_outputs', '3', '--verbose',
                     '--num_workers', '2', cwd=str(tmp_path), check=0)
    assert 'million tokens per second' in result.stderr and '[CLS] ' in result.stderr
    tok = tokenizer.load(SAMPLE)
    text = ' '.join(tok.tokenize(Path(TEXT).read_text('utf-8')))
    shards = [read(str(tmp_path / 'out' / (f'part-{i:03}.npz'))) for i in range(3)]
    for shard in shards:
        ids = shard['input_ids'].copy()
        rows, slots = np.nonzero(shard['masked_lm_weights'])
        ids[rows, shard['masked_lm_positions'][rows, slots]] = shard['masked_lm_ids'][rows, slots]
        for row, segments, length in list(zip(ids, shard['segment_ids'],
                                              shard['valid_lengths']))[::20]:
            start = np.nonzero(segments)[0][0]
            assert ' '.join(tok.tokens(row[1:start - 1])) in text
            assert ' '.join(tok.tokens(row[start:length - 1])) in text
    assert np.ptp([len(shard['valid_lengths']) for shard in shards]) <= 1
    seen = {row.tobytes() for shard in shards for row in shard['input_ids']}
    assert len(seen) > 400


@pytest.mark.parametrize('tokens, number', [(1e9, 3), (1000, 25)])
def test_a_large_shard_gets_a_warning_with_the_number_to_use(script, folders, caplog, monkeypatch,
                                                             tokens, number):
    monkeypatch.setattr(shard_writer, '_LARGE', 150)
    monkeypatch.setattr(shard_writer, '_TOKENS', int(tokens))
    assert script.main(flags(input_file='folder1/*')) == 0
    assert warnings(caplog) == ['each shard has 388 instances, and training reads whole shards: '
                                f'--num_outputs {number} makes smaller ones']
    caplog.clear()
    assert script.main(flags(input_file='folder1/*', output_dir='small', num_outputs=3)) == 0
    assert 'whole shards' not in caplog.text


def test_whole_words_and_casing(script, folders):
    for name, given in (('plain', {}), ('whole', {'whole_word_mask': True}),
                        ('cased', {'cased': True})):
        assert script.main(flags(input_file='folder1/*', output_dir=name, **given)) == 0
    tok = tokenizer.load(TINY)
    split = {}
    for name in ('plain', 'whole'):
        shard = read(name + '/part-000.npz')
        chosen = np.zeros_like(shard['input_ids'])
        rows, slots = np.nonzero(shard['masked_lm_weights'])
        columns = shard['masked_lm_positions'][rows, slots]
        chosen[rows, columns] = 1
        labels = tok.tokens(shard['masked_lm_ids'][rows, slots])
        alone = [not chosen[row, column - 1] for row, column, label in zip(rows, columns, labels)
                 if not tok.is_first_subword(label)]
        split[name] = np.mean(alone)
    # a sub-word without the one before it: only at the front of a text that was cut
    assert split['whole'] < 0.05 < 0.5 < split['plain']
    unknown = {name: (read(name + '/part-000.npz')['masked_lm_ids'] == tok.unk_id).mean()
               for name in ('plain', 'cased')}
    assert unknown['cased'] > unknown['plain']      # the vocabulary has no capitals


def test_sentencepiece(script, folders, caplog):
    sentencepiece = pytest.importorskip('sentencepiece', reason='trains the model of this test')
    pytest.importorskip('gluonnlp', reason='numbers the special tokens')
    sentencepiece.SentencePieceTrainer.train(input=TEXT, model_prefix='tiny', vocab_size=500,
                                             minloglevel=2)
    given = {'input_file': 'folder1/*', 'vocab': None, 'sentencepiece': 'tiny.model',
             'whole_word_mask': True}
    made = {}
    for name, more in (('best', {}), ('drawn', {'sp_nbest': -1, 'sp_alpha': 0.1}),
                       ('again', {'sp_nbest': -1, 'sp_alpha': 0.1, 'num_workers': 2}),
                       ('cased', {'cased': True, 'dataset_name': 'wiki_cn_cased'})):
        assert script.main(flags(output_dir=name, **dict(given, **more))) == 0
        made[name] = Path(name, 'part-000.npz').read_bytes()
    assert made['drawn'] == made['again'] and len(set(made.values())) == 3
    assert '--dataset_name wiki_cn_cased is not used: the vocabulary is tiny.model' in caplog.text
    assert read('drawn/part-000.npz')['input_ids'].max() < 503


def test_killed_and_resumed(program, tmp_path):
    """Its workers go with it, no half of a shard is left, and --resume ends as if nothing was."""
    text = tmp_path / 'text.txt'
    text.write_text((Path(TEXT).read_text('utf-8') + '\n') * 20, encoding='utf-8')
    given = flags(input_file=text, vocab=SAMPLE, num_workers=2,
                  num_outputs=2, dupe_factor=10)
    process = subprocess.Popen([sys.executable, os.path.join(ROOT, SCRIPT)] + given,
                               cwd=str(tmp_path), start_new_session=True,
                               stderr=subprocess.DEVNULL)
    unfinished, limit = tmp_path / 'out' / 'unfinished', time.time() + 60
    while not list(unfinished.glob('0*.rows')):
        assert process.poll() is None and time.time() < limit
        time.sleep(0.01)
    process.kill()
    process.wait()
    while _alive(process.pid):
        assert time.time() < limit, 'a worker outlives the program'
        time.sleep(0.1)
    kept = {path: path.stat().st_mtime_ns for path in unfinished.glob('0*.rows')}
    assert not list((tmp_path / 'out').glob('*.npz'))
    result = program(SCRIPT, *given, cwd=str(tmp_path), check=1)
    assert '--resume' in result.stderr and result.stderr.count('\n') < 4
    program(SCRIPT, *given, '--output_dir', 'whole', cwd=str(tmp_path), check=0)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    program(SCRIPT, *given, '--resume', cwd=str(tmp_path), check=0)
    for name in ('part-000.npz', 'part-001.npz'):
        assert (tmp_path / 'out' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()
    assert sorted(os.listdir(str(tmp_path / 'out'))) == ['part-000.npz', 'part-001.npz',
                                                         'pretraining_data.json']


def _alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize('number, code', [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_stopped_run_says_how_to_go_on(tmp_path, number, code):
    text = tmp_path / 'text.txt'
    text.write_text((Path(TEXT).read_text('utf-8') + '\n') * 20, encoding='utf-8')
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, SCRIPT)] + flags(input_file=text, num_workers=2,
                                                             dupe_factor=50),
        cwd=str(tmp_path), start_new_session=True, stderr=subprocess.PIPE, text=True,
        # as from a terminal, even where the tests run in the background and so ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    limit = time.time() + 60
    while not list((tmp_path / 'out').glob('unfinished/.0*')):
        assert process.poll() is None and time.time() < limit
        time.sleep(0.01)
    os.killpg(process.pid, number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == code and 'Traceback' not in error
    assert error.endswith('stopped; the same command with --resume continues\n')
    assert error.count('stopped') == 1


@pytest.mark.parametrize('text, warned', [
    ('hello world .\n\nthe cat sat .\n\non the mat .\n', ['blank lines between documents']),
    ('hello world .\nthe cat sat .\non the mat .\n\nhow are you .\n' * 9, []),
    # 32 tokens a line, 13 of which fit
    ('the cat sat on the mat and so . ' * 4 + '\n\n' + 'the cat sat on the mat and so . ' * 4,
     ['% of the text is beyond --max_seq_length and left out: put each sentence on its own line'])])
def test_lines_that_are_no_sentences(script, tmp_path, caplog, text, warned):
    (tmp_path / 'text.txt').write_text(text, encoding='utf-8')
    assert script.main(['--input_file', str(tmp_path / 'text.txt'), '--vocab', TINY,
                        '--max_seq_length', '16', '--output_dir', str(tmp_path / 'out')]) == 0
    found = warnings(caplog)
    assert len(found) == len(warned) and all(part in line for part, line in zip(warned, found))
