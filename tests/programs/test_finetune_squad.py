"""The question answering program, run as users run it."""
import io
import json
import logging
import math
import os
import random
import shutil
import signal
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from helpers import (
    SAMPLE,
    assert_same,
    command_of,
    launcher,
    records,
    wait_for_update,
    weights,
)
from networks import hidden_states

from bert.checkpoint.weights import write_params
from bert.data import squad, squad_answers, squad_features
from bert.metrics import squad as squad_metrics
from bert.model.config import BertConfig
from bert.model.forward import create_forward
from bert.model.heads import QuestionAnswering
from bert.model.parameters import collect, initialize
from bert.training import spans
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts import finetune_squad

SCRIPT = 'scripts/finetune_squad.py'
NOISE = ('the old river ran slowly past the town', 'in spring the market opened early',
         'a man sold bread and fish by the bridge',
         'they sang in the Caf\u00e9 \u5317\u4eac  at night')


def write_squad(path, split, seed, paragraphs):
    """A SQuAD 2.0 file: the answer is the one number of the passage; a third have none."""
    rng, entries = random.Random(seed), []
    for i in range(paragraphs):
        words = [rng.choice(NOISE) for _ in range(rng.randrange(2, 5))]
        number = str(rng.randrange(2, 99))
        if i % 3:
            words.insert(rng.randrange(len(words) + 1), f'it cost {number} crowns')
        context = '. '.join(words).capitalize() + '.'
        answers = [{'text': number, 'answer_start': context.index(number)}] if i % 3 else []
        entries.append({'context': context, 'qas': [{
            'id': f'{split}-{i}', 'question': 'How much did it cost?', 'answers': answers,
            'is_impossible': not answers}]})
    document = {'version': 'v2.0', 'data': [{'title': 't', 'paragraphs': entries}]}
    path.write_text(json.dumps(document), encoding='utf-8')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_squad(folder / 'train.json', 'train', 1, 60)
    write_squad(folder / 'dev.json', 'dev', 2, 24)
    return folder


def flags(data, out, *more):
    # passages of two windows and more
    return ['--bert_model', 'sample', '--version_2', '--train_file', str(data / 'train.json'),
            '--dev_file', str(data / 'dev.json'), '--output_dir', str(out), '--epochs', '4',
            '--batch_size', '8', '--lr', '1e-3', '--max_seq_length', '32', '--doc_stride', '12',
            '--max_query_length', '8', *more]


@pytest.fixture
def call(capsys, caplog, monkeypatch):
    """Call the program's main: call('--flag') -> what it printed."""
    monkeypatch.setenv('BERT_OFFLINE', '1')
    caplog.set_level(logging.INFO)

    def run(*arguments, text=''):
        monkeypatch.setattr(sys, 'stdin', io.StringIO(text))
        assert finetune_squad.main(list(arguments)) == 0
        return capsys.readouterr().out
    return run


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """The folder of an uninterrupted run of :func:`flags`, a process of its own."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    said = subprocess.run(**command_of(SCRIPT, *flags(data, out)), check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    (out.parent / 'said.txt').write_text(said, encoding='utf-8')
    return out


def answers(folder, name='predictions'):
    return read_json(str(folder / (name + '.json')))


# --- flags

def test_defaults_are_the_original_ones():
    args = vars(finetune_squad.parse_args([]))
    expected = {'output_dir': './output_dir', 'epochs': 3, 'batch_size': 32, 'test_batch_size': 24,
                'optimizer': 'bertadam', 'accumulate': 1, 'lr': 5e-5, 'warmup_ratio': 0.1,
                'log_interval': 50, 'max_seq_length': 384, 'doc_stride': 128,
                'max_query_length': 64, 'n_best_size': 20, 'max_answer_length': 30,
                'null_score_diff_threshold': 0.0, 'dtype': 'float32', 'gpu': None,
                'only_predict': False, 'version_2': False, 'uncased': False, 'debug': False,
                'sentencepiece': None, 'model_parameters': None, 'bert_model': None,
                'bert_dataset': None, 'pretrained_bert_parameters': None}
    assert {name: args[name] for name in expected} == expected


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
def test_adam_trains_without_weight_decay(call, data, tmp_path):
    for decay in '0.01', '0.5':
        call(*flags(data, tmp_path / decay, '--optimizer', 'adam', '--accumulate', '2',
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
    (['--dev_file', 'nowhere.json'], 1, '--train_file is missing'),
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


# --- the loss

@pytest.fixture(scope='module')
def tiny():
    config = {'vocab_size': 30, 'hidden_size': 8, 'num_hidden_layers': 1, 'num_attention_heads': 2,
              'intermediate_size': 16, 'max_position_embeddings': 20}
    mx.random.seed(1)
    config = BertConfig.from_dict(config)
    net = QuestionAnswering(config, dropout=0.0)
    initialize(net, config.replace(initializer_range=0.5))
    return net


@pytest.fixture(scope='module')
def forward(tiny):
    return create_forward(tiny, 'padded', 'float32', 0)


def row(ids, first, last):
    return squad_features.SpanFeature('id', np.array(ids, 'int32'),
                                      np.array([0, 0] + [1] * (len(ids) - 2)),
                                      None, None, None, first, last)


ROWS = [row([5, 6, 7, 8, 9, 10], 2, 4), row([11, 12, 13], 0, 0)]


def test_scores_are_a_dense_layer_over_the_encodings(tiny, forward):
    scores = spans.logits(forward, ROWS[:1], mx.cpu()).asnumpy()
    encodings = hidden_states(tiny, mx.nd.array([ROWS[0].ids]),
                              mx.nd.array([ROWS[0].token_types]), mx.nd.array([6]))
    weight, bias = (p.data().asnumpy() for p in (tiny.span_classifier.weight,
                                                 tiny.span_classifier.bias))
    assert scores.shape == (1, 6, 2)
    np.testing.assert_allclose(scores[0], encodings.asnumpy()[0] @ weight.T + bias, atol=1e-5)


def test_loss_by_hand_and_without_padding(forward):
    expected = 0
    for one in ROWS:
        scores = spans.logits(forward, [one], mx.cpu()).asnumpy()[0]
        for column, place in (0, one.answer_start), (1, one.answer_end):
            column = scores[:, column].astype('float64')
            expected += (math.log(np.exp(column).sum()) - column[place]) / 2
    # together the second row is padded to twice its length
    assert spans.logits(forward, ROWS, mx.cpu()).asnumpy()[1, 3:].max() == -1e9
    assert finetune_squad.span_loss(forward, ROWS, mx.cpu()).asscalar() == pytest.approx(
        expected, abs=1e-4)


# --- a whole run

@pytest.mark.parametrize('version', ['1.1', '2.0'])
@pytest.mark.slow
def test_the_sample_runs_out_of_the_box(call, caplog, tmp_path, version):
    out, second = tmp_path / 'out', version == '2.0'
    more = ['--version_2'] if second else []
    said = call('--bert_model', 'sample', '--epochs', '1', '--debug', '--plot', '--output_dir',
                str(out), *more)
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


def test_it_learns_and_keeps_the_best(whole):
    dev = records(whole, 'dev')
    assert [r['epoch'] for r in dev] == [1, 2, 3, 4]
    results = read_json(str(whole / 'results.json'))['dev']
    assert results['f1'] == max(r['f1'] for r in dev) > 80
    assert results['HasAns_f1'] > 60 and results['NoAns_f1'] > 60


def test_printed_scores_are_those_of_the_files(whole, data):
    questions = squad.read(str(data / 'dev.json'), train=False)
    scores = squad_metrics.evaluate(questions, answers(whole), answers(whole, 'null_odds'))
    assert read_json(str(whole / 'results.json'))['dev'] == scores
    lines = (whole.parent / 'said.txt').read_text(encoding='utf-8').splitlines()
    assert lines[:5] == [
        f"dev: exact {scores['exact']:.2f}, f1 {scores['f1']:.2f} (24 questions)",
        f"HasAns: exact {scores['HasAns_exact']:.2f}, f1 {scores['HasAns_f1']:.2f} (16 questions)",
        f"NoAns: exact {scores['NoAns_exact']:.2f}, f1 {scores['NoAns_f1']:.2f} (8 questions)",
        f"best exact {scores['best_exact']:.2f} with --null_score_diff_threshold "
        f"{scores['best_exact_thresh']!r}",
        f"best f1 {scores['best_f1']:.2f} with --null_score_diff_threshold "
        f"{scores['best_f1_thresh']!r}"]
    # every answer is a number or nothing, so that exact match needs no normalization
    golds = {q.id: [a.text for a in q.answers] or [''] for q in questions}
    assert scores['exact'] == pytest.approx(
        100 * np.mean([answers(whole)[i] in golds[i] for i in golds]))


def test_the_answer_files_agree(whole, data):
    contexts = {q.id: q.context for q in squad.read(str(data / 'dev.json'), train=False)}
    chosen, odds = answers(whole), answers(whole, 'null_odds')
    for id_, entries in answers(whole, 'nbest_predictions').items():
        assert sum(entry['probability'] for entry in entries) == pytest.approx(1)
        assert '' in [entry['text'] for entry in entries] and len(entries) <= 21
        assert all(entry['text'] in contexts[id_] for entry in entries)
        spans = [entry for entry in entries if entry['text']]
        null = next(entry for entry in entries if not entry['text'])
        best, least = (e['start_logit'] + e['end_logit'] for e in (spans[0], null))
        assert odds[id_] == pytest.approx(least - best)
        assert chosen[id_] == ('' if odds[id_] > 0 else spans[0]['text'])


def test_the_threshold_decides(call, whole, data, tmp_path):
    def again(*more):
        call('--only_predict', '--model_parameters', str(whole), '--dev_file',
             str(data / 'dev.json'), '--output_dir', str(tmp_path), *more)
        return read_json(str(tmp_path / 'results.json'))['dev'], answers(tmp_path)

    before = read_json(str(whole / 'results.json'))['dev']
    scores, same = again()
    assert same == answers(whole) and scores['f1'] == before['f1']
    scores, none = again('--null_score_diff_threshold', '-1000')
    assert set(none.values()) == {''} and scores['NoAns_exact'] == 100
    every_score, every = again('--null_score_diff_threshold', '1000')
    assert '' not in every.values() and every_score['f1'] < before['f1']
    # the threshold that it names gives the score that it promises (more where an answer of
    # punctuation alone, which the official search counts as wrong, is scored as none)
    best, _ = again(f"--null_score_diff_threshold={every_score['best_f1_thresh']!r}")
    assert best['f1'] >= every_score['best_f1'] - 1e-9 and best['f1'] >= before['f1'] - 1e-9


def test_a_withheld_answer_makes_a_suggestion(capsys):
    question = squad.Question('1', 'q', 'a b', [squad.Answer('b', 2)], False)
    nbest = [{'text': '', 'probability': 0.6, 'start_logit': 1.0, 'end_logit': 1.0},
             {'text': 'b', 'probability': 0.4, 'start_logit': 0.5, 'end_logit': 0.75}]
    given = [squad_answers.Prediction('1', '', nbest, 0.75, -1)]
    args = finetune_squad.parse_args(['--version_2'])
    finetune_squad.suggest_threshold(args, [question], given,
                                     finetune_squad.evaluate(args, [question], given))
    assert capsys.readouterr().out == (
        'with the answers that are now withheld, f1 would be 100.00 at '
        '--null_score_diff_threshold 0.75\n')


def test_answers_from_a_result_folder(call, whole, data):
    """Line by line the same as from the file, three batches of lines; and where they are."""
    questions = squad.read(str(data / 'dev.json'), train=False)
    said = call('--model_parameters', str(whole / 'model.params'), '--predict', '--test_batch_size',
                '1', text=''.join(f'{q.question}\t{q.context}\r\n' for q in questions))
    lines = [line.split('\t') for line in said.splitlines()]
    assert len(lines) == len(questions)
    for question, (answer, probability, start, end) in zip(questions, lines):
        expected = answers(whole)[question.id]
        entry = next(e for e in answers(whole, 'nbest_predictions')[question.id]
                     if e['text'] == expected)
        assert float(probability) == pytest.approx(entry['probability'], abs=1e-3)
        if expected:
            assert expected == question.context[int(start):int(end)]
            assert answer == ' '.join(expected.split())     # a line each, without tabs
        else:
            assert (answer, start, end) == ('(no answer)', '-', '-')
    one = next(q for q in questions if answers(whole)[q.id] and '\u4eac' in q.context)
    assert call('--model_parameters', str(whole), '--predict', one.question,
                one.context).split('\t')[0] == answers(whole)[one.id]


def test_bad_lines_to_answer(call, whole):
    assert call('--model_parameters', str(whole), '--predict',
                text='Who?\t\n') == '(no answer)\t1.0000\t-\t-\n'
    with pytest.raises(DataError, match='standard input line 10: only one text'):
        call('--model_parameters', str(whole), '--predict', '--test_batch_size', '1',
             text='Who?\tHe.\n' * 9 + 'no tab\n')


def test_one_answer_listed_and_another_given(call, whole):
    """"No answer" is the likeliest and fills the list, yet the threshold decides for the span."""
    line = call('--model_parameters', str(whole), '--n_best_size', '1',
                '--null_score_diff_threshold', '1000', '--predict', 'How much did it cost?',
                'The old river ran slowly past the town.')
    answer, probability, start, end = line.rstrip('\n').split('\t')
    assert answer == 'The old river ran slowly past the town.'[int(start):int(end)]
    assert float(probability) < 0.5


def test_a_result_folder_with_a_broken_setting(call, whole, tmp_path):
    shutil.copytree(str(whole), str(tmp_path / 'out'))
    path = tmp_path / 'out' / 'config.json'
    path.write_text(path.read_text(encoding='utf-8').replace('"doc_stride": 12',
                                                             '"doc_stride": "12"'),
                    encoding='utf-8')
    with pytest.raises(DataError, match="doc_stride is '12', but must be a number"):
        call('--model_parameters', str(tmp_path / 'out'), '--predict')


def test_unlabelled_questions_are_answered_but_choose_no_epoch(call, data, whole, tmp_path):
    document = read_json(str(data / 'dev.json'))
    for paragraph in document['data'][0]['paragraphs']:
        del paragraph['qas'][0]['answers'], paragraph['qas'][0]['is_impossible']
    path = tmp_path / 'test.json'
    path.write_text(json.dumps(document), encoding='utf-8')
    call('--only_predict', '--model_parameters', str(whole), '--dev_file', str(path),
         '--output_dir', str(tmp_path / 'out'))
    assert answers(tmp_path / 'out') == answers(whole)
    assert not (tmp_path / 'out' / 'results.json').exists()
    with pytest.raises(DataError, match='answer them with --only_predict'):
        call(*flags(data, tmp_path / 'out', '--dev_file', str(path)))


def test_without_a_dev_set_the_last_epoch_counts(call, data, tmp_path):
    arguments = flags(data, tmp_path, '--epochs', '1')
    at = arguments.index('--dev_file')
    assert call(*arguments[:at], *arguments[at + 2:]).startswith('results: ')
    assert (tmp_path / 'model.params').exists() and not (tmp_path / 'predictions.json').exists()


# --- going on, and sharing the work

def test_a_stopped_run_goes_on_bit_equal(program, data, whole, tmp_path):
    process = subprocess.Popen(**command_of(SCRIPT, *flags(data, tmp_path, '--log_interval', '1')),
                               stderr=subprocess.PIPE, text=True)
    wait_for_update(process.stderr, 13)     # in the second epoch
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 143
    assert '--resume' in said and 'Traceback' not in said
    program(SCRIPT, *flags(data, tmp_path, '--resume'), check=0)
    for name in ('model.params', 'last.params'):
        assert_same(weights(whole, name), weights(tmp_path, name))
    for name in ('predictions', 'nbest_predictions', 'null_odds', 'results'):
        assert answers(tmp_path, name) == answers(whole, name)


PLAIN = ['--dropout', '0', '--epochs', '1']


@pytest.fixture(scope='module')
def one_worker(data, tmp_path_factory):
    """One worker, batch 16, no dropout: what every way of sharing the work must equal."""
    out = tmp_path_factory.mktemp('one') / 'out'
    finetune_squad.main(flags(data, out, *PLAIN, '--batch_size', '16'))
    return out


@pytest.mark.parametrize('more', [['--batch_size', '4', '--accumulate', '4'],
                                  ['--batch_size', '16', '--cpus', '2']])
def test_accumulation_and_devices_give_the_same_updates(call, data, one_worker, tmp_path, more):
    call(*flags(data, tmp_path, *PLAIN, *more))
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)


def test_two_horovod_workers_give_the_same_updates(program, data, one_worker, tmp_path):
    program(SCRIPT, *flags(data, tmp_path, *PLAIN, '--batch_size', '8', '--comm', 'horovod'),
            launcher=launcher('mpirun'), check=0, env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert answers(tmp_path) == answers(one_worker)
    assert read_json(str(tmp_path / 'results.json'))['dev']['f1'] == read_json(
        str(one_worker / 'results.json'))['dev']['f1']


# --- vocabulary and casing

def test_casing_follows_the_checkpoint_and_uncased_overrules(call, tmp_path):
    cased = tmp_path / 'cased'
    shutil.copytree(SAMPLE, str(cased))
    (cased / 'tokenizer_config.json').write_text('{"do_lower_case": false}', encoding='utf-8')
    for more, lower in ([], False), (['--uncased'], True):
        out = tmp_path / str(lower)
        call('--bert_model', str(cased), '--train_file',
             os.path.join(SAMPLE, 'squad', 'dev-v1.1.json'), '--epochs', '1', '--output_dir',
             str(out), *more)
        assert read_json(str(out / 'tokenizer_config.json'))['do_lower_case'] == lower


def test_a_sentencepiece_vocabulary(call, tmp_path):
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
    call('--bert_model', str(base), '--sentencepiece', str(tmp_path / 'own.model'), '--train_file',
         os.path.join(SAMPLE, 'squad', 'dev-v1.1.json'), '--epochs', '1', '--output_dir', str(out))
    assert (out / 'spm.model').read_bytes() == (tmp_path / 'own.model').read_bytes()
    assert read_json(str(out / 'tokenizer_config.json'))['do_lower_case'] is True
    context = 'Josiah Whitlock was the engineer in charge.'
    answer, _, start, end = call('--model_parameters', str(out), '--predict',
                                 'Who was the engineer?', context).rstrip('\n').split('\t')
    assert answer == context[int(start):int(end)]
