"""The program that trains a tagger: flags, results, updates, resume, workers, errors."""
import json
import os
import shutil
import signal

import numpy as np
import pytest
from helpers import TINY, assert_same, command_of, launcher, wait_for_update, weights
from ner_runs import TRAIN, fails, flags, write_conll

from bert.data import conll, tagging
from bert.metrics import tagging as tagging_metrics
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts import finetune_ner

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


def test_sample_takes_its_own_data_where_none_is_given():
    args = finetune_ner.parse_args(['--bert-model', 'sample'])
    assert os.path.dirname(args.train_path) == os.path.dirname(args.dev_path) == tagging.SAMPLE
    args = finetune_ner.parse_args(['--bert-model', 'sample', '--train-path', 'mine.txt'])
    assert (args.train_path, args.dev_path, args.test_path) == ('mine.txt', None, None)


@pytest.mark.parametrize(('given', 'message'), [
    ([], '--train_path is missing; --bert_model sample alone works out of the box'),
    (['--train-path', 'x', '--cased', '--bert-dataset', 'wiki_cn_uncased'],
     '--cased and --bert_dataset wiki_cn_uncased contradict each other'),
    (['--train-path', 'x', '--cased', 'false', '--bert-dataset', 'x_cased'],
     '--cased false and --bert_dataset x_cased contradict each other'),
    (['--train-path', 'x', '--labels', 'O,O'], 'O,O names a class twice'),
    (['--train-path', 'x', '--labels', 'O,B-X'],
     '--labels names the outputs of a trained model; add --model_parameters'),
    (['--train-path', 'x', '--dtype', 'int8'], '--dtype int8 is for predicting'),
])
def test_usage_errors(capsys, given, message):
    with pytest.raises(SystemExit) as caught:
        finetune_ner.main(given)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


# training

@pytest.mark.slow
def test_a_run_leaves_a_result_folder_with_the_best_weights(tagger, tagged):
    assert set(os.listdir(str(tagger))) == {
        'model.params', 'last.params', 'config.json', 'vocab.txt', 'tokenizer_config.json',
        'arguments.json', 'metrics.jsonl', 'results.json', 'README.md', 'predictions-dev.txt',
        'predictions-test.txt'}
    config = read_json(str(tagger / 'config.json'))
    assert config['architectures'] == ['BertForTokenClassification']
    assert list(config['id2label'].values()) == ['O', 'B-LOC', 'I-LOC', 'B-ORG', 'I-ORG', 'B-PER',
                                                 'I-PER']
    assert read_json(str(tagger / 'arguments.json'))['lr'] == 3e-3
    with open(str(tagger / 'metrics.jsonl'), encoding='utf-8') as f:
        dev = [record for record in map(json.loads, f) if record['type'] == 'dev']
    assert [record['epoch'] for record in dev] == list(range(1, 9))
    results = read_json(str(tagger / 'results.json'))
    assert results['dev']['overall']['f1'] == max(record['f1'] for record in dev) > 0.9
    assert set(results['test']['types']) == {'LOC', 'ORG', 'PER'}


def test_every_word_has_its_prediction_in_its_place(tagger, tagged):
    given = conll.read(str(tagged / 'test.txt'))
    found = conll.read(str(tagger / 'predictions-test.txt'))
    assert [s.words for s in found] == [s.words for s in given]
    assert [[column[-1] for column in s.columns] for s in found] == [s.tags for s in given]
    assert found[0].columns[0][:2] == [given[0].words[0], 'X']
    assert found[-1].tags == ['O', 'B-ORG', 'I-ORG', 'O'] * 12      # over several windows
    assert found[-3].tags == ['B-PER', 'O', 'O', found[-3].tags[3], 'O', 'B-LOC']
    scores = tagging_metrics.entity_scores([s.tags for s in given], [s.tags for s in found])
    assert scores['overall'] == read_json(str(tagger / 'results.json'))['test']['overall']


def test_without_dev_and_test_the_last_epoch_counts(tagged, tmp_path):
    assert finetune_ner.main(flags(tagged, tmp_path, '--num-epochs', '2')) == 0
    best, last = weights(tmp_path), weights(tmp_path, 'last.params')
    assert_same(best, {name: last[name] for name in best})
    assert not list(tmp_path.glob('predictions*')) and not (tmp_path / 'results.json').exists()


@pytest.mark.slow
def test_schemes(tagged, tmp_path, capsys):
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
def test_accumulation_and_devices_make_the_update_of_the_whole_batch(tagged, tmp_path):
    losses = []
    for name, more in (('whole', ['--batch_size', '8']), ('devices', ['--cpus', '2']),
                       ('parts', ['--batch_size', '2', '--accumulate', '4'])):
        finetune_ner.main(flags(tagged, tmp_path / name, '--dropout', '0', '--num_epochs', '1',
                                '--lr', '1e-3', '--log_interval', '1', *more))
        assert_same(weights(tmp_path / 'whole'), weights(tmp_path / name), 1e-4)
        with open(str(tmp_path / name / 'metrics.jsonl'), encoding='utf-8') as f:
            losses.append([json.loads(line)['loss'] for line in f])
        # means over words, which are not spread evenly over the parts
        np.testing.assert_allclose(losses[0], losses[-1], rtol=1e-4)
    assert losses[0][0] == pytest.approx(np.log(7), rel=0.1)    # a fresh head knows nothing of 7


def test_two_workers_make_the_update_of_one(program, tagged, tmp_path):
    more = ['--dropout', '0', '--num_epochs', '1', '--lr', '1e-3', '--dev_path',
            str(tagged / 'dev.txt')]
    program(TRAIN, *flags(tagged, tmp_path / 'one', *more), check=0)
    program(TRAIN, *flags(tagged, tmp_path / 'two', *more, '--batch_size', '4', '--comm',
                          'horovod'), check=0, launcher=launcher('mpirun'))
    assert_same(weights(tmp_path / 'one'), weights(tmp_path / 'two'), 1e-4)
    one, two = (read_json(str(tmp_path / name / 'results.json')) for name in ('one', 'two'))
    assert one == two


def test_a_stopped_run_goes_on_bit_equal(program, start, tagged, tmp_path):
    dev = ['--dev_path', str(tagged / 'dev.txt')]
    given = flags(tagged, tmp_path / 'stopped', *dev)
    process = start(command_of(TRAIN, *given, '--log_interval', '1')['args'])
    wait_for_update(process.stdout, 13)
    process.send_signal(signal.SIGTERM)
    said = process.stdout.read()
    assert process.wait() == 143
    assert 'run the same command with --resume to continue' in said and 'Traceback' not in said
    program(TRAIN, *given, '--resume', check=0)
    program(TRAIN, *flags(tagged, tmp_path / 'whole', *dev), check=0)
    for name in 'model.params', 'last.params':
        assert_same(weights(tmp_path / 'whole', name), weights(tmp_path / 'stopped', name))


# bad input

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


def test_a_tag_that_the_model_does_not_know(capsys, tmp_path, tagger):
    write_conll(tmp_path / 'new.txt', [(['ax'], ['B-NEW'])])
    said = fails(capsys, finetune_ner.main, [
        '--model_parameters', str(tagger), '--train_path', str(tmp_path / 'new.txt'),
        '--output_dir', str(tmp_path / 'out')])
    assert said.startswith(f'the data have the tag B-NEW, which {tagger} does not know: O B-LOC')


def test_an_error_leaves_the_last_good_checkpoint(program, tagged, tagger, tmp_path):
    shutil.copytree(str(tagger), str(tmp_path / 'out'))
    (tmp_path / 'bad.txt').write_text('a WHAT\nb B-PER\n', encoding='utf-8')
    result = program(TRAIN, *flags(tagged, tmp_path / 'out', '--dev-path',
                                   str(tmp_path / 'bad.txt'), '--overwrite'), check=1)
    assert result.stderr == (f"finetune_ner.py: error: {tmp_path / 'bad.txt'}:1: 'WHAT' is not a "
                             "tag like O, B-PER, I-PER, E-PER or S-PER, as others here are; "
                             'correct it, or name the column of the tags\n')
    assert_same(weights(tmp_path / 'out'), weights(tagger))


def test_length_must_hold_text():
    for seq_len in 2, 513:
        with pytest.raises(DataError, match=f'--seq_len {seq_len}: this model takes 3 to 512'):
            tagging.choose_length(seq_len, 512)
    assert [tagging.choose_length(given, 512) for given in (3, 512, None)] == [3, 512, 180]
