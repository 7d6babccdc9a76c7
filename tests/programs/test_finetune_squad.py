"""The question answering program, run as users run it."""
import json
import os
import shutil
import signal
import sys

import mxnet as mx
import pytest
from helpers import SAMPLE, assert_same, command_of, launcher, records, wait_for_update, weights
from squad_runs import SCRIPT, answers, flags

from bert.checkpoint.weights import write_params
from bert.data import lengths, squad
from bert.model.config import BertConfig
from bert.model.heads import QuestionAnswering
from bert.model.parameters import collect, initialize
from bert.utils.files import read_json
from scripts import finetune_squad

# --- flags

def test_defaults_are_the_original_ones():
    args = vars(finetune_squad.parse_args([]))
    expected = {'output_dir': './output_dir', 'epochs': 3, 'batch_size': 32, 'test_batch_size': 24,
                'optimizer': 'bertadam', 'accumulate': 1, 'lr': 5e-5, 'warmup_ratio': 0.1,
                'log_interval': 50, 'max_seq_length': None, 'doc_stride': None,     # see lengths
                'max_query_length': None, 'n_best_size': 20, 'max_answer_length': 30,
                'null_score_diff_threshold': 0.0, 'dtype': 'float32', 'gpu': None,
                'only_predict': False, 'version_2': False, 'uncased': False, 'debug': False,
                'sentencepiece': None, 'model_parameters': None, 'bert_model': None,
                'bert_dataset': None, 'pretrained_bert_parameters': None}
    assert {name: args[name] for name in expected} == expected
    assert lengths.squad_windows(512) == {'max_seq_length': 384, 'doc_stride': 128,
                                          'max_query_length': 64}


def test_the_historical_command(program):
    arguments = ['--optimizer', 'adam', '--accumulate', '2', '--batch_size', '6', '--lr', '3e-5',
                 '--epochs', '2', '--gpu', '0']
    args = finetune_squad.parse_args(arguments)
    assert (args.optimizer, args.accumulate, args.batch_size, args.lr, args.epochs, args.gpu) == (
        'adam', 2, 6, 3e-5, 2, 0)
    if mx.runtime.Features().is_enabled('CUDA'):
        pytest.skip('this MXNet has CUDA, so the command would run')
    result = program(SCRIPT, *arguments, check=1)
    assert result.stderr.count('\n') == 1 and '--gpu 0: this MXNet' in result.stderr


@pytest.mark.slow
def test_adam_trains_without_weight_decay(call_squad, passages, tmp_path):
    for decay in '0.01', '0.5':
        call_squad(*flags(passages, tmp_path / decay, '--optimizer', 'adam', '--accumulate', '2',
                          '--batch_size', '6', '--epochs', '2', '--log_interval', '1',
                          '--weight_decay', decay))
    assert_same(weights(tmp_path / '0.01'), weights(tmp_path / '0.5'))
    losses = [r['loss'] for r in records(tmp_path / '0.01', 'train')]
    assert sum(losses[-4:]) < 0.7 * sum(losses[:4])


@pytest.mark.parametrize('arguments, code, message', [
    (['--max_seq_length', '60'], 2, '--max_seq_length 60 must exceed --max_query_length + 3 (67)'),
    (['--doc_stride', '0'], 2, '--doc_stride'),
    (['--n_best_size', '0'], 2, '--n_best_size'),
    (['--max_answer_length', 'x'], 2, '--max_answer_length'),
    (['--null_score_diff_threshold', '-1'], 2, 'add --version_2'),
    (['--version_2', '--null_score_diff_threshold', 'nan'], 2, 'not a finite number'),
    (['--only_predict'], 2, '--model_parameters'),
    (['--predict', 'Who?', 'He.'], 2, '--model_parameters'),
    (['--model_parameters', SAMPLE, '--predict', 'Who?'], 2, 'a question and a passage'),
    (['--model_parameters', SAMPLE, '--predict', '--comm', 'horovod'], 2, '--comm'),
    (['--model_parameters', SAMPLE, '--predict'], 1, 'span_classifier.weight'),
    (['--bert_model', 'sample', '--max_seq_length', '600'], 1, 'positions for 512 tokens'),
    (['--bert_model', 'sample', '--dtype', 'float16'], 1, 'GPU'),
    (['--bert_model', './nowhere', '--train_file',
      os.path.join(SAMPLE, 'squad', 'train-v1.1.json')], 1, 'nowhere'),
    (['--bert_model', 'sample', '--output_dir', '/proc/nowhere'], 1, '--output_dir /proc/nowhere'),
    (['--bert_model', 'sample', '--sentencepiece', 'nowhere.model'], 1, 'nowhere.model'),
    (['--train_file', 'nowhere.json'], 1, 'nowhere.json'),
    (['--bert_model', 'sample', '--dtype', 'int8'], 2, '--dtype int8 is for predicting'),
    (['--dev_file', 'nowhere.json'], 2, '--train_file is missing'),
    ([], 1, 'name your copy with --train_file'),
    (['--bert_model', 'sample', '--train_file',
      os.path.join(SAMPLE, 'squad', 'train-v2.0.json')], 1, 'have no answer; add --version_2'),
])
def test_what_is_refused(capsys, monkeypatch, tmp_path, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('BERT_OFFLINE', '1')
    monkeypatch.setenv('MXNET_HOME', str(tmp_path))
    monkeypatch.setattr(sys, 'argv', ['finetune_squad.py', *arguments])
    with pytest.raises(SystemExit) as stop:
        finetune_squad.program()
    said = capsys.readouterr().err.splitlines()
    assert stop.value.code == code and message in said[-1]
    assert code == 2 or len([line for line in said if 'error' in line]) == 1


@pytest.mark.parametrize('content, message', [
    (b'{"data": [', 'not JSON'), (b'{"data": []}', 'has no questions'),
    ('{"data": "caf\u00e9"}'.encode('latin-1'), 'not UTF-8')])
def test_bad_files(program, tmp_path, content, message):
    path = tmp_path / 'train.json'
    path.write_bytes(content)
    result = program(SCRIPT, '--bert_model', 'sample', '--train_file', str(path), '--output_dir',
                     str(tmp_path / 'out'), check=1)
    assert message in result.stderr and str(path) in result.stderr
    assert result.stderr.count('\n') == 1


# --- a whole run

@pytest.mark.parametrize('version', ['1.1', '2.0'])
@pytest.mark.slow
def test_the_sample_runs_out_of_the_box(call_squad, caplog, tmp_path, version):
    out, second = tmp_path / 'out', version == '2.0'
    more = ['--version_2'] if second else []
    said = call_squad('--bert_model', 'sample', '--epochs', '1', '--debug', '--plot',
                      '--output_dir', str(out), *more)
    dev = squad.read(os.path.join(SAMPLE, 'squad', f'dev-v{version}.json'), train=False)
    assert set(answers(out)) == {q.id for q in dev} == set(answers(out, 'null_odds'))
    assert 'train: 100 questions' in caplog.text and 'to answer: ' in said
    scores = read_json(str(out / 'results.json'))['dev']
    assert f"exact {scores['exact']:.2f}, f1 {scores['f1']:.2f} ({len(dev)} questions)" in said
    assert (out / 'curves.png').read_bytes().startswith(b'\x89PNG')
    assert (out / 'precision-recall.png').exists() == second == ('NoAns: ' in said)
    assert second == ('HasAns: ' in said) == ('best f1 ' in said)
    config = read_json(str(out / 'config.json'))
    assert config['architectures'] == ['BertForQuestionAnswering'] and 'id2label' not in config
    assert config['gluon_bert'] == {
        'task': 'squad', 'version_2': second, 'max_seq_length': 384, 'doc_stride': 128,
        'max_query_length': 64, 'n_best_size': 20, 'max_answer_length': 30,
        'null_score_diff_threshold': 0.0,
        'vocabulary_size': len((out / 'vocab.txt').read_text(encoding='utf-8').splitlines())}


def test_it_learns_and_keeps_the_best(squad_run):
    dev = records(squad_run, 'dev')
    assert [r['epoch'] for r in dev] == [1, 2, 3, 4]
    results = read_json(str(squad_run / 'results.json'))['dev']
    assert results['f1'] == max(r['f1'] for r in dev) > 80
    assert results['HasAns_f1'] > 60 and results['NoAns_f1'] > 60


def test_without_a_dev_set_the_last_epoch_counts(call_squad, passages, tmp_path):
    arguments = flags(passages, tmp_path, '--epochs', '1')
    at = arguments.index('--dev_file')
    assert call_squad(*arguments[:at], *arguments[at + 2:]).startswith('results: ')
    assert (tmp_path / 'model.params').exists() and not (tmp_path / 'predictions.json').exists()


# --- going on, and sharing the work

def test_a_stopped_run_goes_on_bit_equal(program, start, passages, squad_run, tmp_path):
    process = start(command_of(SCRIPT, *flags(passages, tmp_path, '--log_interval', '1'))['args'])
    wait_for_update(process.stdout, 13)     # in the second epoch
    process.send_signal(signal.SIGTERM)
    said = process.stdout.read()
    assert process.wait() == 143
    assert '--resume' in said and 'Traceback' not in said
    program(SCRIPT, *flags(passages, tmp_path, '--resume'), check=0)
    for name in ('model.params', 'last.params'):
        assert_same(weights(squad_run, name), weights(tmp_path, name))
    for name in ('predictions', 'nbest_predictions', 'null_odds', 'results'):
        assert answers(tmp_path, name) == answers(squad_run, name)


PLAIN = ['--dropout', '0', '--epochs', '1']


@pytest.fixture(scope='module')
def one_worker(passages, tmp_path_factory):
    """One worker, batch 16, no dropout: what every way of sharing the work must equal."""
    out = tmp_path_factory.mktemp('one') / 'out'
    finetune_squad.main(flags(passages, out, *PLAIN, '--batch_size', '16'))
    return out


@pytest.mark.parametrize('more', [['--batch_size', '4', '--accumulate', '4'],
                                  ['--batch_size', '16', '--cpus', '2']])
def test_accumulation_and_devices_give_the_same_updates(call_squad, passages, one_worker, tmp_path,
                                                        more):
    call_squad(*flags(passages, tmp_path, *PLAIN, *more))
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)


def test_two_horovod_workers_give_the_same_updates(program, passages, one_worker, tmp_path):
    program(SCRIPT, *flags(passages, tmp_path, *PLAIN, '--batch_size', '8', '--comm', 'horovod'),
            launcher=launcher('mpirun'), check=0, env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert answers(tmp_path) == answers(one_worker)
    assert read_json(str(tmp_path / 'results.json'))['dev']['f1'] == read_json(
        str(one_worker / 'results.json'))['dev']['f1']


# --- vocabulary and casing

def test_casing_follows_the_checkpoint_and_uncased_overrules(call_squad, tmp_path):
    cased = tmp_path / 'cased'
    shutil.copytree(SAMPLE, str(cased))
    (cased / 'tokenizer_config.json').write_text('{"do_lower_case": false}', encoding='utf-8')
    for more, lower in ([], False), (['--uncased'], True):
        out = tmp_path / str(lower)
        call_squad('--bert_model', str(cased), '--train_file',
                   os.path.join(SAMPLE, 'squad', 'dev-v1.1.json'), '--epochs', '1', '--output_dir',
                   str(out), *more)
        assert read_json(str(out / 'tokenizer_config.json'))['do_lower_case'] == lower


def test_a_sentencepiece_vocabulary(call_squad, tmp_path):
    sentencepiece = pytest.importorskip('sentencepiece')
    sentences = [q.context for q in squad.read(os.path.join(SAMPLE, 'squad', 'train-v1.1.json'),
                                               train=True)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=str(tmp_path / 'own'), vocab_size=200,
        pad_id=3, minloglevel=2)
    # a model with weights for so many tokens, and no vocabulary of its own
    base, out = tmp_path / 'base', tmp_path / 'out'
    base.mkdir()
    sizes = {'vocab_size': 203, 'hidden_size': 16, 'num_hidden_layers': 1,
             'num_attention_heads': 2, 'intermediate_size': 32, 'model_type': 'bert'}
    (base / 'config.json').write_text(json.dumps(sizes), encoding='utf-8')
    (base / 'tokenizer_config.json').write_text('{"do_lower_case": true}', encoding='utf-8')
    config = BertConfig.from_dict(sizes)
    net = QuestionAnswering(config)
    initialize(net, config)
    write_params(str(base / 'model.params'),
                            {name: p.data() for name, p in collect(net).items()})
    call_squad('--bert_model', str(base), '--sentencepiece', str(tmp_path / 'own.model'),
               '--train_file', os.path.join(SAMPLE, 'squad', 'dev-v1.1.json'), '--epochs', '1',
               '--output_dir', str(out))
    assert (out / 'spm.model').read_bytes() == (tmp_path / 'own.model').read_bytes()
    assert read_json(str(out / 'tokenizer_config.json'))['do_lower_case'] is True
    context = 'Josiah Whitlock was the engineer in charge.'
    answer, _, start, end = call_squad('--model_parameters', str(out), '--predict',
                                       'Who was the engineer?', context).rstrip('\n').split('\t')
    assert answer == context[int(start):int(end)]
