"""The question answering program, run as users run it."""
import json
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

from bert import checkpoint, model, squad, squad_metric
from bert.errors import DataError
from bert.files import read_json
from scripts import finetune_squad

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = 'scripts/finetune_squad.py'
SAMPLE = os.path.join(ROOT, 'bert', 'sample')
NOISE = ('the old river ran slowly past the town', 'in spring the market opened early',
         'a man sold bread and fish by the bridge', 'children played there until it was dark')


def write_squad(path, split, seed, paragraphs):
    """A SQuAD 2.0 file: the answer is the one number of the passage; a third have none."""
    rng, entries = random.Random(seed), []
    for i in range(paragraphs):
        words = [rng.choice(NOISE) for _ in range(rng.randrange(2, 5))]
        number = str(rng.randrange(2, 99))
        if i % 3:
            words.insert(rng.randrange(len(words) + 1), 'it cost %s crowns' % number)
        context = '. '.join(words).capitalize() + '.'
        answers = [{'text': number, 'answer_start': context.index(number)}] if i % 3 else []
        entries.append({'context': context, 'qas': [{
            'id': '%s-%d' % (split, i), 'question': 'How much did it cost?', 'answers': answers,
            'is_impossible': not answers}]})
    path.write_text(json.dumps({'version': 'v2.0', 'data': [{'title': 't', 'paragraphs': entries}]}),
                    encoding='utf-8')


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


def run(*arguments):
    return subprocess.run([sys.executable, os.path.join(ROOT, SCRIPT), *arguments], check=True,
                          env=dict(os.environ, BERT_OFFLINE='1'), stdout=subprocess.PIPE,
                          text=True).stdout


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    """The folder of an uninterrupted run of :func:`flags`."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    (out.parent / 'said.txt').write_text(run(*flags(data, out, '--plot')), encoding='utf-8')
    return out


def weights(folder, name='model.params'):
    return checkpoint.read_params(str(folder / name))


def records(folder, kind):
    """The lines of metrics.jsonl of one type."""
    lines = (folder / 'metrics.jsonl').read_text(encoding='utf-8').splitlines()
    return [record for record in map(json.loads, lines) if record['type'] == kind]


def answers(folder, name='predictions'):
    return read_json(str(folder / (name + '.json')))


def assert_same(first, second, tolerance=0.0):
    assert set(first) == set(second)
    for name, array in first.items():
        assert np.abs(array.astype('float64') - second[name]).max() <= tolerance, name


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


def test_adam_trains_without_weight_decay(program, data, tmp_path):
    for decay in '0.01', '0.5':
        program(SCRIPT, *flags(data, tmp_path / decay, '--optimizer', 'adam', '--accumulate', '2',
                               '--batch_size', '6', '--epochs', '2', '--log_interval', '1',
                               '--weight_decay', decay), check=0)
    assert_same(weights(tmp_path / '0.01'), weights(tmp_path / '0.5'))
    losses = [r['loss'] for r in records(tmp_path / '0.01', 'train')]
    assert sum(losses[-4:]) < 0.7 * sum(losses[:4])


@pytest.mark.parametrize('arguments, code, message', [
    (['--max_seq_length', '60'], 2, '--max_seq_length 60 must exceed --max_query_length + 3 (67)'),
    (['--max_seq_length', '128'], 2, '--doc_stride 128 must be under --max_seq_length - 3 (125)'),
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
    (['--dev_file', 'nowhere.json'], 1, '--train_file is missing'),
    ([], 1, 'name your copy with --train_file'),
    (['--bert_model', 'sample', '--train_file',
      os.path.join(SAMPLE, 'squad', 'train-v2.0.json')], 1, 'have no answer; add --version_2'),
])
def test_what_is_refused(program, tmp_path, arguments, code, message):
    result = program(SCRIPT, *arguments, check=code, cwd=str(tmp_path),
                     env={'MXNET_HOME': str(tmp_path)})
    assert message in result.stderr.splitlines()[-1]
    assert 'Traceback' not in result.stderr and (code == 2 or result.stderr.count('\n') == 1)


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
    net = model.QuestionAnswering(config, dropout=0.0)
    model.initialize(net, dict(config, initializer_range=0.5))
    return net


class Tokenizer:
    pad_id = 0


def row(ids, first, last):
    return squad.Feature('id', np.array(ids, 'int32'), np.array([0, 0] + [1] * (len(ids) - 2)),
                         None, None, None, first, last)


ROWS = [row([5, 6, 7, 8, 9, 10], 2, 4), row([11, 12, 13], 0, 0)]


def test_scores_are_a_dense_layer_over_the_encodings(tiny):
    start, end, lengths = finetune_squad.span_scores(tiny, Tokenizer, ROWS[:1], mx.cpu())
    encodings = tiny.bert(mx.nd.array([ROWS[0].ids]), mx.nd.array([ROWS[0].segments]), lengths)
    weight, bias = (p.data().asnumpy() for p in (tiny.span_classifier.weight,
                                                 tiny.span_classifier.bias))
    expected = encodings.asnumpy()[0] @ weight.T + bias
    np.testing.assert_allclose(start.asnumpy()[0], expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(end.asnumpy()[0], expected[:, 1], atol=1e-5)
    assert start.shape == end.shape == (1, 6)


def test_loss_by_hand_and_without_padding(tiny):
    expected = 0
    for one in ROWS:
        start, end, _ = finetune_squad.span_scores(tiny, Tokenizer, [one], mx.cpu())
        for scores, place in (start, one.answer_start), (end, one.answer_end):
            scores = scores.asnumpy()[0].astype('float64')
            expected += (math.log(np.exp(scores).sum()) - scores[place]) / 2
    # together the second row is padded to twice its length
    assert finetune_squad.span_loss(tiny, Tokenizer, ROWS, mx.cpu()).asscalar() == pytest.approx(
        expected, abs=1e-4)


# --- a whole run

@pytest.mark.parametrize('version', ['1.1', '2.0'])
def test_the_sample_runs_out_of_the_box(program, tmp_path, version):
    out, second = tmp_path / 'out', version == '2.0'
    more = ['--version_2'] if second else []
    result = program(SCRIPT, '--bert_model', 'sample', '--epochs', '1', '--debug', '--plot',
                     '--output_dir', str(out), *more, check=0)
    dev = squad.read(os.path.join(SAMPLE, 'squad', 'dev-v%s.json' % version), train=False)
    assert set(answers(out)) == {q.id for q in dev} == set(answers(out, 'null_odds'))
    assert 'train: 100 questions' in result.stderr and 'to answer: ' in result.stdout
    assert 'exact %.2f, f1 %.2f (%d questions)' % (
        *[read_json(str(out / 'results.json'))['dev'][name] for name in ('exact', 'f1')],
        len(dev)) in result.stdout
    assert (out / 'curves.png').read_bytes().startswith(b'\x89PNG')
    assert (out / 'precision-recall.png').exists() == second
    config = read_json(str(out / 'config.json'))
    assert config['architectures'] == ['BertForQuestionAnswering'] and 'id2label' not in config
    assert config['gluon_bert'] == {
        'task': 'squad', 'version_2': second, 'max_seq_length': 384, 'doc_stride': 128,
        'max_query_length': 64, 'n_best_size': 20, 'max_answer_length': 30,
        'null_score_diff_threshold': 0.0}


def test_it_learns_and_keeps_the_best(whole):
    dev = records(whole, 'dev')
    assert [r['epoch'] for r in dev] == [1, 2, 3, 4]
    results = read_json(str(whole / 'results.json'))['dev']
    assert results['f1'] == max(r['f1'] for r in dev) > 80
    assert results['HasAns_f1'] > 60 and results['NoAns_f1'] > 60


def test_printed_scores_are_those_of_the_files(whole, data):
    questions = squad.read(str(data / 'dev.json'), train=False)
    scores = squad_metric.evaluate(questions, answers(whole), answers(whole, 'null_odds'))
    assert read_json(str(whole / 'results.json'))['dev'] == scores
    lines = (whole.parent / 'said.txt').read_text(encoding='utf-8').splitlines()
    assert lines[:5] == [
        'dev: exact %.2f, f1 %.2f (24 questions)' % (scores['exact'], scores['f1']),
        'HasAns: exact %.2f, f1 %.2f (16 questions)' % (scores['HasAns_exact'],
                                                        scores['HasAns_f1']),
        'NoAns: exact %.2f, f1 %.2f (8 questions)' % (scores['NoAns_exact'], scores['NoAns_f1']),
        'best exact %.2f with --null_score_diff_threshold %r' % (scores['best_exact'],
                                                                 scores['best_exact_thresh']),
        'best f1 %.2f with --null_score_diff_threshold %r' % (scores['best_f1'],
                                                              scores['best_f1_thresh'])]
    # every answer is a number or nothing, so that exact match needs no normalisation
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


def predict_again(data, whole, out, *more):
    run('--only_predict', '--model_parameters', str(whole), '--dev_file', str(data / 'dev.json'),
        '--output_dir', str(out), *more)
    return read_json(str(out / 'results.json'))['dev'], answers(out)


def test_the_threshold_decides(whole, data, tmp_path):
    before = read_json(str(whole / 'results.json'))['dev']
    scores, same = predict_again(data, whole, tmp_path)
    assert scores == before and same == answers(whole)
    scores, none = predict_again(data, whole, tmp_path, '--null_score_diff_threshold', '-1000')
    assert set(none.values()) == {''} and scores['NoAns_exact'] == 100
    scores, every = predict_again(data, whole, tmp_path, '--null_score_diff_threshold', '1000')
    assert '' not in every.values() and scores['NoAns_exact'] == 0
    at = scores['best_f1_thresh']
    best, _ = predict_again(data, whole, tmp_path, '--null_score_diff_threshold=%r' % at)
    assert best['f1'] == pytest.approx(scores['best_f1']) and best['f1'] >= before['f1']


def test_a_withheld_answer_makes_a_suggestion(capsys):
    question = squad.Question('1', 'q', 'a b', [squad.Answer('b', 2)], False)
    nbest = [{'text': '', 'probability': 0.6, 'start_logit': 1.0, 'end_logit': 1.0},
             {'text': 'b', 'probability': 0.4, 'start_logit': 0.5, 'end_logit': 0.75}]
    given = [squad.Prediction('1', '', nbest, 0.75, -1)]
    args = finetune_squad.parse_args(['--version_2'])
    finetune_squad.suggest_threshold(args, [question], given,
                                     finetune_squad.evaluate(args, [question], given))
    assert capsys.readouterr().out == ('answers withheld now would make it f1 100.00 with '
                                       '--null_score_diff_threshold 0.75\n')


def test_answers_from_a_bundle(program, whole, tmp_path):
    context = 'Caf\u00e9 \u5317\u4eac:  the old river ran slowly past the town. It cost 47\tcrowns. '
    context += 'A man sold bread and fish by the bridge. ' * 3
    line = program(SCRIPT, '--model_parameters', str(whole), '--predict', 'How much did it cost?',
                   context, check=0).stdout
    answer, probability, start, end = line.rstrip('\n').split('\t')
    assert answer == '47' == context[int(start):int(end)]
    assert 0 < float(probability) <= 1
    context = 'The old river ran slowly past the town.'
    result = program(SCRIPT, '--model_parameters', str(whole / 'model.params'), '--predict',
                     check=0, encoding='utf-8', input='How much did it cost?\t%s\r\n'
                     'What?\tIt cost 47 crowns.\nWho?\t\n' % context)
    lines = [row.split('\t') for row in result.stdout.splitlines()]
    assert [row[0] for row in lines] == ['(no answer)', '47', '(no answer)']
    assert lines[0][2:] == ['-', '-'] and lines[1][2:] == ['8', '10']
    result = program(SCRIPT, '--model_parameters', str(whole), '--predict', check=1,
                     input='Who?\tHe.\nno tab\n')
    assert 'standard input line 2' in result.stderr and result.stderr.count('\n') == 1


def test_one_answer_listed_and_another_given(program, whole):
    """"No answer" is the likeliest and fills the list, yet the threshold decides for the span."""
    line = program(SCRIPT, '--model_parameters', str(whole), '--n_best_size', '1',
                   '--null_score_diff_threshold', '1000', '--predict', 'How much did it cost?',
                   'The old river ran slowly past the town.', check=0).stdout
    answer, probability, start, end = line.rstrip('\n').split('\t')
    assert answer == 'The old river ran slowly past the town.'[int(start):int(end)]
    assert float(probability) < 0.5


def test_a_bundle_with_a_broken_setting(program, whole, tmp_path):
    shutil.copytree(str(whole), str(tmp_path / 'out'))
    path = tmp_path / 'out' / 'config.json'
    path.write_text(path.read_text(encoding='utf-8').replace('"doc_stride": 12',
                                                             '"doc_stride": "12"'),
                    encoding='utf-8')
    result = program(SCRIPT, '--model_parameters', str(tmp_path / 'out'), '--predict', check=1)
    assert "doc_stride is '12' where a number belongs" in result.stderr


def test_unlabelled_questions_are_answered_but_choose_no_epoch(program, data, whole, tmp_path):
    path = tmp_path / 'test.json'
    path.write_text(json.dumps({'data': [{'paragraphs': [
        {'context': 'It cost 47 crowns.', 'qas': [{'id': 'x', 'question': 'How much?'}]}]}]}),
        encoding='utf-8')
    program(SCRIPT, '--only_predict', '--model_parameters', str(whole), '--dev_file', str(path),
            '--output_dir', str(tmp_path / 'out'), check=0)
    assert answers(tmp_path / 'out') == {'x': '47'}
    assert not (tmp_path / 'out' / 'results.json').exists()
    result = program(SCRIPT, *flags(data, tmp_path / 'out', '--dev_file', str(path)), check=1)
    assert '--only_predict' in result.stderr and result.stderr.count('\n') == 1


def test_without_a_dev_set_the_last_epoch_counts(program, data, tmp_path):
    arguments = flags(data, tmp_path, '--epochs', '1')
    at = arguments.index('--dev_file')
    result = program(SCRIPT, *arguments[:at], *arguments[at + 2:], check=0)
    assert result.stdout.startswith('results: ')
    assert (tmp_path / 'model.params').exists() and not (tmp_path / 'predictions.json').exists()


# --- going on, and sharing the work

def test_a_stopped_run_goes_on_bit_equal(program, data, whole, tmp_path):
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, SCRIPT), *flags(data, tmp_path, '--log_interval', '1')],
        stderr=subprocess.PIPE, text=True, env=dict(os.environ, BERT_OFFLINE='1'))
    for line in process.stderr:
        if 'update 13/' in line:        # in the second epoch
            break
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 143
    assert '--resume' in said and 'Traceback' not in said
    program(SCRIPT, *flags(data, tmp_path, '--resume', '--plot', '--test_batch_size', '24'),
            check=0)
    for name in ('model.params', 'last.params'):
        assert_same(weights(whole, name), weights(tmp_path, name))
    for name in ('predictions', 'nbest_predictions', 'null_odds', 'results'):
        assert answers(tmp_path, name) == answers(whole, name)


PLAIN = ['--dropout', '0', '--epochs', '1']


@pytest.fixture(scope='module')
def one_worker(data, tmp_path_factory):
    """One worker, batch 16, no dropout: what every way of sharing the work must equal."""
    out = tmp_path_factory.mktemp('one') / 'out'
    run(*flags(data, out, *PLAIN, '--batch_size', '16'))
    return out


@pytest.mark.parametrize('more', [['--batch_size', '4', '--accumulate', '4'],
                                  ['--batch_size', '16', '--cpus', '2']])
def test_accumulation_and_devices_give_the_same_updates(program, data, one_worker, tmp_path, more):
    program(SCRIPT, *flags(data, tmp_path, *PLAIN, *more), check=0)
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)


def test_two_horovod_workers_give_the_same_updates(program, data, one_worker, tmp_path):
    pytest.importorskip('horovod', reason='needs Horovod: bash scripts/install_horovod.sh')
    if not shutil.which('mpirun'):
        pytest.skip('needs mpirun')
    program(SCRIPT, *flags(data, tmp_path, *PLAIN, '--batch_size', '8', '--comm', 'horovod'),
            launcher=['mpirun', '--allow-run-as-root', '--oversubscribe', '-np', '2'], check=0,
            env={'OMP_NUM_THREADS': '1'})
    assert_same(weights(one_worker), weights(tmp_path), 1e-5)
    assert answers(tmp_path) == answers(one_worker)
    assert read_json(str(tmp_path / 'results.json'))['dev']['f1'] == read_json(
        str(one_worker / 'results.json'))['dev']['f1']


# --- vocabulary and casing

def test_casing_follows_the_checkpoint_and_uncased_overrules(program, tmp_path):
    cased = tmp_path / 'cased'
    shutil.copytree(SAMPLE, str(cased), ignore=shutil.ignore_patterns('*.tsv', '*.txt.gz'))
    (cased / 'tokenizer_config.json').write_text('{"do_lower_case": false}', encoding='utf-8')
    for more, lower in ([], False), (['--uncased'], True):
        out = tmp_path / str(lower)
        program(SCRIPT, '--bert_model', str(cased), '--train_file',
                os.path.join(SAMPLE, 'squad', 'dev-v1.1.json'), '--epochs', '1', '--output_dir',
                str(out), *more, check=0)
        assert read_json(str(out / 'tokenizer_config.json'))['do_lower_case'] == lower


def test_a_sentencepiece_vocabulary(program, tmp_path):
    sentencepiece = pytest.importorskip('sentencepiece')
    sentences = [q.context for q in squad.read(os.path.join(SAMPLE, 'squad', 'train-v1.1.json'),
                                               train=True)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=str(tmp_path / 'own'), vocab_size=200,
        pad_id=3, minloglevel=2)
    out = tmp_path / 'out'
    program(SCRIPT, '--bert_model', 'sample', '--sentencepiece', str(tmp_path / 'own.model'),
            '--train_file', os.path.join(SAMPLE, 'squad', 'dev-v1.1.json'), '--epochs', '1',
            '--output_dir', str(out), check=0)
    assert (out / 'spm.model').read_bytes() == (tmp_path / 'own.model').read_bytes()
    assert not (out / 'vocab.txt').exists()
    assert read_json(str(out / 'tokenizer_config.json'))['do_lower_case'] is True
    context = 'Josiah Whitlock was the engineer in charge.'
    answer, _, start, end = program(SCRIPT, '--model_parameters', str(out), '--predict',
                                    'Who was the engineer?', context,
                                    check=0).stdout.rstrip('\n').split('\t')
    assert answer == context[int(start):int(end)]


def test_a_vocabulary_beside_weights_that_have_none(tmp_path):
    from bert import pretrained
    shutil.copy(os.path.join(SAMPLE, 'config.json'), str(tmp_path))
    shutil.copy(os.path.join(SAMPLE, 'model.safetensors'), str(tmp_path))
    vocab = os.path.join(SAMPLE, 'vocab.txt')
    with pytest.raises(DataError, match='no vocabulary'):
        pretrained.resolve(str(tmp_path), offline=True)
    for arguments in {'model': str(tmp_path)}, {'weights': str(tmp_path / 'model.safetensors')}:
        found = pretrained.resolve(offline=True, vocab=vocab, **arguments)
        assert (found.vocab, found.cased) == (vocab, None)
        assert found.config['vocab_size'] == 8000
    (tmp_path / 'tokenizer_config.json').write_text('{"do_lower_case": false}', encoding='utf-8')
    assert pretrained.resolve(str(tmp_path), offline=True, vocab=vocab).cased is True
