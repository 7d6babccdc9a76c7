"""The tagger and its two programs: rows, loss, training, resume, workers, prediction, errors."""
import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers import TINY, assert_same, command_of, launcher, wait_for_update, weights

from bert.data import conll, tagging
from bert.metrics import tagging as tagging_metrics
from bert.utils.errors import DataError, run
from bert.utils.files import read_json
from scripts import finetune_ner, predict_ner

TRAIN, PREDICT = 'scripts/finetune_ner.py', 'scripts/predict_ner.py'
# easy to learn, so that tests may ask for the right answer
NAMES = {'ax': ('PER', 'z'), 'by': ('LOC', 'v'), 'cy': ('ORG', 'w')}


def make_sentences(count, seed, longest=12):
    """Yield (words, tags) with names of one or two words, those of NAMES."""
    rng = random.Random(seed)
    for _ in range(count):
        words, tags = [], []
        for _ in range(rng.randrange(1, longest)):
            word = rng.choice(['the', 'of', 'film', 'good', ',', '!', '\u200b', *NAMES])
            kind, second = NAMES.get(word, (None, None))
            words.append(word)
            tags.append('B-' + kind if kind else 'O')
            if kind and rng.random() < 0.4:
                words.append(second)
                tags.append('I-' + kind)
        yield words, tags


def write_conll(path, sentences):
    path.write_text(''.join(''.join(f'{word} X {tag}\n' for word, tag in zip(*sentence)) + '\n'
                            for sentence in sentences), encoding='utf-8')
    return str(path)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """train.txt, dev.txt and test.txt; the test set has what is hard to tokenize, and is long."""
    folder = tmp_path_factory.mktemp('data')
    write_conll(folder / 'train.txt', make_sentences(160, 1))
    write_conll(folder / 'dev.txt', make_sentences(30, 2))
    hard = [(['ax', '\u200b', '\U0001f600', 'z', '\u200d\ufe0f', 'by'],
             ['B-PER', 'O', 'O', 'O', 'O', 'B-LOC']), (['\u200b'], ['O'])]
    long = [(['the', 'cy', 'w', 'film'] * 12, ['O', 'B-ORG', 'I-ORG', 'O'] * 12)]
    write_conll(folder / 'test.txt', [*make_sentences(6, 3), *hard, *long])
    return folder


def flags(data, out, *more):
    return ['--bert_model', TINY, '--train_path', str(data / 'train.txt'), '--seq_len', '24',
            '--num-epochs', '4', '--batch-size', '8', '--learning-rate', '3e-3',
            '--save-checkpoint-prefix', str(out), *more]


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """The result folder of a run with all three sets."""
    out = tmp_path_factory.mktemp('trained') / 'deep' / 'tagger'
    assert finetune_ner.main(flags(data, out, '--dev-path', str(data / 'dev.txt'), '--test-path',
                                   str(data / 'test.txt'), '--num-epochs', '8', '--dropout',
                                   '0')) == 0
    return out


# flags

def test_the_historical_command_means_the_common_flags():
    given = (
        '--train-path train.txt --dev-path dev.txt --test-path test.txt --gpu 0 --learning-rate '
        '1e-5 --dropout-prob 0.2 --num-epochs 100 --batch-size 8 --optimizer bertadam --bert-model '
        'bert_24_1024_16 --save-checkpoint-prefix DIR/large_bert --seed 13 --seq-len 90 '
        '--warmup-ratio 0.2')
    args = finetune_ner.parse_args(given.split())
    assert (args.train_path, args.dev_path, args.test_path, args.gpu, args.lr, args.dropout,
            args.epochs, args.batch_size, args.optimizer, args.bert_model, args.output_dir,
            args.seed, args.seq_len, args.warmup_ratio, args.bert_dataset) == (
        'train.txt', 'dev.txt', 'test.txt', 0, 1e-5, 0.2, 100, 8, 'bertadam', 'bert_24_1024_16',
        'DIR/large_bert', 13, 90, 0.2, 'book_corpus_wiki_en_cased')
    given = ('--test-path t.txt --load-checkpoint-prefix DIR/large_bert --seq-len 180 --gpu 0 '
             '--batch-size 4')
    args = predict_ner.parse_args(given.split())
    assert (args.test_path, args.model_parameters, args.seq_len, args.gpu, args.batch_size) == (
        't.txt', 'DIR/large_bert', 180, 0, 4)


def test_historical_defaults():
    args = finetune_ner.parse_args(['--train-path', 'x'])
    assert (args.lr, args.epochs, args.batch_size, args.seed, args.optimizer, args.warmup_ratio,
            args.output_dir) == (5e-5, 4, 32, 13531, 'bertadam', 0.1, './output_dir')
    assert (args.token_column, args.tag_column, args.dropout) == (0, -1, None)


@pytest.mark.parametrize(('given', 'dataset'), [
    ([], 'book_corpus_wiki_en_cased'),
    (['--cased', 'false'], 'book_corpus_wiki_en_uncased'),
    (['--cased=True'], 'book_corpus_wiki_en_cased'),
    (['--bert_dataset', 'book_corpus_wiki_en_uncased'], 'book_corpus_wiki_en_uncased'),
    (['--bert_dataset', 'wiki_multilingual'], 'wiki_multilingual_cased'),
    (['--bert_dataset', 'wiki_cn'], 'wiki_cn_cased'),
    (['--bert_dataset', 'clinicalbert'], 'clinicalbert'),
    (['--bert_dataset', 'clinicalbert', '--cased'], 'clinicalbert_cased'),
    (['--bert_dataset', 'clinicalbert', '--cased', 'false'], 'clinicalbert_uncased'),
    (['--bert_model', TINY], None),
    (['--bert_model', 'sample'], None),
    (['--cased'], 'book_corpus_wiki_en_cased'),
    (['--cased', '--bert_dataset', 'wiki_multilingual'], 'wiki_multilingual_cased'),
    (['--cased', '--bert_dataset', 'wiki_cn_cased'], 'wiki_cn_cased'),
])
def test_casing_chooses_the_data_set(given, dataset):
    assert finetune_ner.parse_args(['--train-path', 'x', *given]).bert_dataset == dataset


def test_sample_takes_its_own_data_where_none_is_given(data):
    args = finetune_ner.parse_args(['--bert-model', 'sample'])
    assert os.path.dirname(args.train_path) == os.path.dirname(args.dev_path) == tagging.SAMPLE
    args = finetune_ner.parse_args(['--bert-model', 'sample', '--train-path', 'mine.txt'])
    assert (args.train_path, args.dev_path, args.test_path) == ('mine.txt', None, None)


@pytest.mark.parametrize(('main', 'given', 'message'), [
    (finetune_ner.main, [], '--train_path is missing; --bert_model sample alone works out of the '
     'box'),
    (finetune_ner.main, ['--train-path', 'x', '--cased', '--bert-dataset', 'wiki_cn_uncased'],
     '--cased and --bert_dataset wiki_cn_uncased contradict each other'),
    (finetune_ner.main, ['--train-path', 'x', '--cased', 'false', '--bert-dataset', 'x_cased'],
     '--cased false and --bert_dataset x_cased contradict each other'),
    (finetune_ner.main, ['--train-path', 'x', '--labels', 'O,O'], 'O,O names a class twice'),
    (finetune_ner.main, ['--train-path', 'x', '--labels', 'O,B-X'],
     '--labels names the outputs of a trained model; add --model_parameters'),
    (finetune_ner.main, ['--train-path', 'x', '--dtype', 'int8'], '--dtype int8 is for predicting'),
    (predict_ner.main, ['--text', 'x'], 'the following arguments are required: '
     '--load_checkpoint_prefix'),
    (predict_ner.main, ['--load-checkpoint-prefix', 'x', '--text', 'x', '--test-path', 'y'],
     'not allowed with argument'),
])
def test_usage_errors(capsys, main, given, message):
    with pytest.raises(SystemExit) as caught:
        main(given)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


# training

@pytest.mark.slow
def test_a_run_leaves_a_result_folder_with_the_best_weights(trained, data):
    assert set(os.listdir(str(trained))) == {
        'model.params', 'last.params', 'config.json', 'vocab.txt', 'tokenizer_config.json',
        'arguments.json', 'metrics.jsonl', 'results.json', 'README.md', 'predictions-dev.txt',
        'predictions-test.txt'}
    config = read_json(str(trained / 'config.json'))
    assert config['architectures'] == ['BertForTokenClassification']
    assert list(config['id2label'].values()) == ['O', 'B-LOC', 'I-LOC', 'B-ORG', 'I-ORG', 'B-PER',
                                                 'I-PER']
    assert read_json(str(trained / 'arguments.json'))['lr'] == 3e-3
    with open(str(trained / 'metrics.jsonl'), encoding='utf-8') as f:
        dev = [record for record in map(json.loads, f) if record['type'] == 'dev']
    assert [record['epoch'] for record in dev] == list(range(1, 9))
    results = read_json(str(trained / 'results.json'))
    assert results['dev']['overall']['f1'] == max(record['f1'] for record in dev) > 0.9
    assert set(results['test']['types']) == {'LOC', 'ORG', 'PER'}


def test_every_word_has_its_prediction_in_its_place(trained, data):
    given = conll.read(str(data / 'test.txt'))
    found = conll.read(str(trained / 'predictions-test.txt'))
    assert [s.words for s in found] == [s.words for s in given]
    assert [[column[-1] for column in s.columns] for s in found] == [s.tags for s in given]
    assert found[0].columns[0][:2] == [given[0].words[0], 'X']
    assert found[-1].tags == ['O', 'B-ORG', 'I-ORG', 'O'] * 12      # over several windows
    assert found[-3].tags == ['B-PER', 'O', 'O', found[-3].tags[3], 'O', 'B-LOC']
    scores = tagging_metrics.entity_scores([s.tags for s in given], [s.tags for s in found])
    assert scores['overall'] == read_json(str(trained / 'results.json'))['test']['overall']


def test_without_dev_and_test_the_last_epoch_counts(data, tmp_path):
    assert finetune_ner.main(flags(data, tmp_path, '--num-epochs', '2')) == 0
    best, last = weights(tmp_path), weights(tmp_path, 'last.params')
    assert_same(best, {name: last[name] for name in best})
    assert not list(tmp_path.glob('predictions*')) and not (tmp_path / 'results.json').exists()


@pytest.mark.slow
def test_schemes(data, tmp_path, capsys):
    text = '1 ax I-PER\n2 z I-PER\n3 by B-PER\n4 the O\n\n1 by I-LOC\n\n'
    (tmp_path / 'bio.txt').write_text(text, encoding='utf-8')
    common = ['--train_path', str(tmp_path / 'bio.txt'), '--test_path', str(tmp_path / 'bio.txt'),
              '--token_column', '1', '--num_epochs', '30', '--bert_model', TINY, '--seq_len', '24',
              '--lr', '3e-3', '--dropout', '0']
    for scheme, labels in ('BIO2', ['O', 'B-LOC', 'B-PER', 'I-PER']), (
            'BIOES', ['O', 'S-LOC', 'B-PER', 'E-PER', 'S-PER']):
        out = tmp_path / scheme
        finetune_ner.main([*common, '--scheme', scheme, '--output_dir', str(out), '--plot'])
        assert list(read_json(str(out / 'config.json'))['id2label'].values()) == labels
        assert capsys.readouterr().out.split('overall')[1].split()[:4] == ['1.0000'] * 3 + ['3']
        # in the scheme of the file, whatever the model's is
        assert (out / 'predictions-test.txt').read_text(encoding='utf-8') == (
            '1 ax I-PER I-PER\n2 z I-PER I-PER\n3 by B-PER B-PER\n4 the O O\n\n'
            '1 by I-LOC I-LOC\n\n')
        assert (out / 'curves.png').read_bytes().startswith(b'\x89PNG')
    # a trained model continues in its own scheme
    out = tmp_path / 'more'
    finetune_ner.main([*common, '--model_parameters', str(tmp_path / 'BIOES'), '--num_epochs', '1',
                       '--output_dir', str(out)])
    assert '1.0000         3' in capsys.readouterr().out
    # and gives its encoder to a fresh head, of other labels too
    finetune_ner.main([*common, '--pretrained_bert_parameters', str(tmp_path / 'BIOES'),
                       '--num_epochs', '1', '--output_dir', str(out), '--overwrite'])
    assert weights(out)['tag_classifier.1.weight'].shape == (4, 32)


@pytest.mark.slow
def test_parts_of_speech_have_an_accuracy(tmp_path, capsys):
    path = write_conll(tmp_path / 'pos.txt', [
        (['the', 'film'], ['DT', 'NN']), (['ax', 'of', 'the', 'film'], ['NN', 'IN', 'DT', 'NN'])])
    assert finetune_ner.main([
        '--train_path', path, '--dev_path', path, '--test_path', path, '--bert_model', TINY,
        '--seq_len', '24', '--num_epochs', '2', '--seeds', '1,2', '--output_dir',
        str(tmp_path / 'out')]) == 0
    said = capsys.readouterr().out
    assert said.count('test:\naccuracy ') == 2 and '(best dev accuracy)' in said
    assert set(read_json(str(tmp_path / 'out' / 'results.json'))['test']) == {'accuracy', 'words'}


@pytest.mark.slow
def test_the_sample_data_end_to_end(tmp_path, capsys):
    assert finetune_ner.main(['--bert-model', 'sample', '--epochs', '10', '--output_dir',
                              str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert 'dev:\n' in said and 'test:\n' in said and 'overall' in said
    assert f'predict_ner.py --load-checkpoint-prefix {tmp_path} --text' in said
    assert read_json(str(tmp_path / 'results.json'))['dev']['overall']['f1'] > 0.4


# the same update, however it is come by

@pytest.mark.slow
def test_accumulation_and_devices_make_the_update_of_the_whole_batch(data, tmp_path):
    losses = []
    for name, more in (('whole', ['--batch_size', '8']), ('devices', ['--cpus', '2']),
                       ('parts', ['--batch_size', '2', '--accumulate', '4'])):
        finetune_ner.main(flags(data, tmp_path / name, '--dropout', '0', '--num_epochs', '1',
                                '--lr', '1e-3', '--log_interval', '1', *more))
        assert_same(weights(tmp_path / 'whole'), weights(tmp_path / name), 1e-4)
        with open(str(tmp_path / name / 'metrics.jsonl'), encoding='utf-8') as f:
            losses.append([json.loads(line)['loss'] for line in f])
        # means over words, which are not spread evenly over the parts
        np.testing.assert_allclose(losses[0], losses[-1], rtol=1e-4)
    assert losses[0][0] == pytest.approx(np.log(7), rel=0.1)    # a fresh head knows nothing of 7


def test_two_workers_make_the_update_of_one(program, data, tmp_path):
    more = ['--dropout', '0', '--num_epochs', '1', '--lr', '1e-3', '--dev_path',
            str(data / 'dev.txt')]
    program(TRAIN, *flags(data, tmp_path / 'one', *more), check=0)
    program(TRAIN, *flags(data, tmp_path / 'two', *more, '--batch_size', '4', '--comm', 'horovod'),
            check=0, launcher=launcher('mpirun'))
    assert_same(weights(tmp_path / 'one'), weights(tmp_path / 'two'), 1e-4)
    one, two = (read_json(str(tmp_path / name / 'results.json')) for name in ('one', 'two'))
    assert one == two


def test_a_stopped_run_goes_on_bit_equal(program, start, data, tmp_path):
    given = flags(data, tmp_path / 'stopped', '--dev_path', str(data / 'dev.txt'))
    process = start(command_of(TRAIN, *given, '--log_interval', '1')['args'])
    wait_for_update(process.stdout, 13)
    process.send_signal(signal.SIGTERM)
    said = process.stdout.read()
    assert process.wait() == 143
    assert 'run the same command with --resume to continue' in said and 'Traceback' not in said
    program(TRAIN, *given, '--resume', check=0)
    program(TRAIN, *flags(data, tmp_path / 'whole', '--dev_path', str(data / 'dev.txt')), check=0)
    for name in 'model.params', 'last.params':
        assert_same(weights(tmp_path / 'whole', name), weights(tmp_path / 'stopped', name))


# prediction

def predict(trained, *given):
    assert predict_ner.main(['--load-checkpoint-prefix', str(trained), *given]) == 0


def test_predict_columns(trained, data, tmp_path, capsys):
    predict(trained, '--test-path', str(data / 'test.txt'), '--output_dir', str(tmp_path))
    first = (tmp_path / 'predictions-test.txt').read_bytes()
    assert first == (trained / 'predictions-test.txt').read_bytes()
    scores = read_json(str(trained / 'results.json'))['test']
    assert tagging_metrics.table(scores) in capsys.readouterr().out
    # words alone, more columns without a tag, and another seq_len
    words = ''.join(f"{line.split(' ')[0]}\n" for line in
                    (data / 'test.txt').read_text(encoding='utf-8').split('\n')[:-1])
    (tmp_path / 'words.txt').write_text(words, encoding='utf-8')
    (tmp_path / 'two.txt').write_text(words.replace('\n', ' N\n').replace('\n N\n', '\n\n'),
                                      encoding='utf-8')
    predict(trained, '--test-path', str(tmp_path / 'words.txt'), '--output_dir', str(tmp_path))
    predict(trained, '--test-path', str(tmp_path / 'two.txt'), '--no-tags', '--output_dir',
            str(tmp_path), '--seq_len', '30', '--batch-size', '3')
    assert 'overall' not in capsys.readouterr().out
    expected = [s.tags for s in conll.read(str(trained / 'predictions-test.txt'))]
    for name in 'predictions-words.txt', 'predictions-two.txt':
        found = [s.tags for s in conll.read(str(tmp_path / name))]
        assert [len(tags) for tags in found] == [len(tags) for tags in expected]
        assert found[:6] == expected[:6]


TEXT = 'the ax z film,  by!\r\n\n\u200b\U0001f600 of cy\rgood\nCY w'
ENTITIES = [('PER', 'ax z'), ('LOC', 'by'), ('ORG', 'cy'), ('ORG', 'CY w')]


def check_entities(lines):
    """The lines name ENTITIES, at the right places in TEXT."""
    found = [line.split('\t') for line in lines]
    assert [(kind, text) for kind, _, _, text in found] == ENTITIES
    assert [TEXT[int(start):int(end)] for _, start, end, _ in found] == [t for _, t in ENTITIES]


def test_predict_text_with_offsets_in_the_whole_of_it(trained, tmp_path, capsys, program):
    predict(trained, '--text', TEXT, '--batch-size', '1')
    check_entities(capsys.readouterr().out.splitlines())
    (tmp_path / 'bom.txt').write_bytes(b'\xef\xbb\xbf' + TEXT.encode('utf-8'))
    (tmp_path / 'bom.txt.gz').write_bytes(gzip.compress((tmp_path / 'bom.txt').read_bytes()))
    for name in 'bom.txt', 'bom.txt.gz':
        predict(trained, '--text-path', str(tmp_path / name))
        check_entities(capsys.readouterr().out.splitlines())
    predict(trained, '--text', 'the ax z, good', '--json')
    assert json.loads(capsys.readouterr().out) == {'text': 'ax z', 'type': 'PER', 'start': 4,
                                                   'end': 8}
    result = subprocess.run(**command_of(PREDICT, '--load-checkpoint-prefix', str(trained)),
                            input=TEXT.encode('utf-8'), stdout=subprocess.PIPE, check=True)
    check_entities(result.stdout.decode('utf-8').splitlines())


def test_entities_are_one_line_of_four_columns(trained, capsys):
    predict(trained, '--text', 'the ax\t z, of cy\x0bw\n')
    assert capsys.readouterr().out == 'PER\t4\t9\tax z\nORG\t14\t18\tcy w\n'
    predict(trained, '--text', 'the ax\t z', '--json')
    assert json.loads(capsys.readouterr().out)['text'] == 'ax\t z'


@pytest.fixture
def every_word(monkeypatch):
    """Models that take every word for an entity."""
    monkeypatch.setattr('bert.training.tagging.predict', lambda net, rows, count, *rest: [
        ['B-X'] * sum(len(row.first) for row in rows if row.sentence == i) for i in range(count)])


@pytest.mark.parametrize('encoding', ['utf-8', 'UTF8', 'ascii', 'latin-1'])
def test_json_whatever_the_locale(monkeypatch, trained, every_word, encoding):
    words = ['Zo\xeb', '\u4eac', '\U0001d7d8', '\udce9']       # the last: no UTF-8 in the shell
    out = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(    # as bert.utils.errors.run has it
        out, encoding, errors='backslashreplace', write_through=True))
    predict(trained, '--text', ' '.join(words), '--json')
    lines = out.getvalue().decode('utf-8').splitlines()
    assert [json.loads(line)['text'] for line in lines] == words
    assert ('Zo\xeb' in lines[0]) == (encoding in ('utf-8', 'UTF8'))


def test_offsets_go_on_over_many_lines(tmp_path, capsys, trained, every_word):
    text = ''.join(f'w{i} \u4eac\n' for i in range(50))
    (tmp_path / 'text.txt').write_text(text, encoding='utf-8')
    predict(trained, '--text-path', str(tmp_path / 'text.txt'), '--batch-size', '1')
    found = [line.split('\t') for line in capsys.readouterr().out.splitlines()]
    assert len(found) == 100
    assert all(text[int(start):int(end)] == word for _, start, end, word in found)
    assert [int(start) for _, start, _, _ in found] == sorted(
        {int(start) for _, start, _, _ in found})


# bad input

def fails(capsys, main, given):
    """The line that a program ends with, and its exit code is 1."""
    with pytest.raises(SystemExit) as caught:
        run(lambda: main(given))
    assert caught.value.code == 1
    said = [line for line in capsys.readouterr().err.splitlines() if ': error: ' in line]
    assert len(said) == 1
    return said[0].split(': error: ')[1]


@pytest.mark.parametrize(('train', 'more', 'message'), [
    ('a B-X\nb WHAT\n', [], "{}:2: 'WHAT' is not a tag like O, B-PER"),
    ('a NN\nb NN\n', [], '{}: every word has the tag NN; is --tag_column right?'),
    ('a B-X\nb\n', [], '{}:2: 1 column(s) where line 1 has 2'),
    ('', [], '{}: no sentences'),
    (b'a O\n\xe9 O\n', [], '{}:2: not UTF-8'),
    ('a O\n', [], '{}: no word is tagged as an entity, all tags are O; is --tag_column '
     'right?'),
    ('a\n', [], '{}: has one column, so no tags; each word needs its tag here'),
    ('a B-X\n', ['--tag_column', '4'], '{}:1: no column 4 for the tag'),
    ('a B-X\n', ['--seq_len', '41'], '--seq_len 41: this model takes 3 to 40 tokens'),
    ('a B-X\n', ['--cased'], f'--cased: the model {TINY} is uncased'),
    ('a B-X\n', ['--dev_path', '/no/dev.txt'], '/no/dev.txt: No such file or directory'),
    ('a B-X\n', ['--bert_model', '/no/model'], 'model /no/model: no such file or folder'),
])
def test_bad_training_data_are_told_in_one_line(capsys, tmp_path, train, more, message):
    path = tmp_path / 'train.txt'
    path.write_bytes(train if isinstance(train, bytes) else train.encode('utf-8'))
    said = fails(capsys, finetune_ner.main, [
        '--bert_model', TINY, '--train_path', str(path), '--seq_len', '24', '--output_dir',
        str(tmp_path / 'out'), *more])
    assert said.startswith(message.format(path))


def test_bad_models_and_texts_are_told_in_one_line(capsys, tmp_path, trained, data, give_input):
    write_conll(tmp_path / 'new.txt', [(['ax'], ['B-NEW'])])
    said = fails(capsys, finetune_ner.main, [
        '--model_parameters', str(trained), '--train_path', str(tmp_path / 'new.txt'),
        '--output_dir', str(tmp_path / 'out')])
    assert said.startswith(f'the data have the tag B-NEW, which {trained} does not know: O B-LOC')
    said = fails(capsys, predict_ner.main, ['--load_checkpoint_prefix', TINY, '--text', 'x'])
    assert said.startswith(f'{TINY}: config.json names no tags such as O and B-PER')
    said = fails(capsys, predict_ner.main, ['--load_checkpoint_prefix', '/no/where', '--text', 'x'])
    assert said == 'weights /no/where: no such file or folder; check the path'
    latin = 'not UTF-8 (byte 0xe9); convert it: iconv -f ENCODING -t UTF-8'
    for text, fault in ((b'the\ncaf\xe9\n', latin),
                        (b'the\nax \0\n', 'a NUL character; save it as plain UTF-8 text')):
        (tmp_path / 'bad.txt').write_bytes(text)
        given = ['--load_checkpoint_prefix', str(trained)]
        assert fails(capsys, predict_ner.main, [*given, '--text_path', str(tmp_path / 'bad.txt')]
                     ) == f"{tmp_path / 'bad.txt'}:2: {fault}"
        give_input(text)
        assert fails(capsys, predict_ner.main, given) == f'standard input:2: {fault}'


def test_an_error_leaves_the_last_good_checkpoint(program, data, trained, tmp_path):
    shutil.copytree(str(trained), str(tmp_path / 'out'))
    (tmp_path / 'bad.txt').write_text('a WHAT\nb B-PER\n', encoding='utf-8')
    result = program(TRAIN, *flags(data, tmp_path / 'out', '--dev-path', str(tmp_path / 'bad.txt'),
                                   '--overwrite'), check=1)
    assert result.stderr == (f"finetune_ner.py: error: {tmp_path / 'bad.txt'}:1: 'WHAT' is not a "
                             "tag like O, B-PER, I-PER, E-PER or S-PER, as others here are; "
                             'correct it, or name the column of the tags\n')
    assert_same(weights(tmp_path / 'out'), weights(trained))


def test_length_must_hold_text():
    for seq_len in 2, 513:
        with pytest.raises(DataError, match=f'--seq_len {seq_len}: this model takes 3 to 512'):
            tagging.check_length(seq_len, 512)
    tagging.check_length(3, 512)
    tagging.check_length(512, 512)
