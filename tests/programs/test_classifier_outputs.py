"""What the outputs of a classifier mean: labels, their order, scores, columns."""
import os

import numpy as np
import pytest

from bert.checkpoint import result_folder
from bert.checkpoint.weights import write_params
from bert.training import plot
from bert.utils.errors import DataError
from bert.utils.files import read_json, write_json
from scripts import finetune_classifier

# models of others, whose outputs are constant: the biases of a head of zeros

@pytest.fixture
def model(tmp_path):
    """A function that writes the sample encoder with a head of some biases and labels."""
    from bert.checkpoint.source import ModelSource

    def write(biases, labels, **config):
        loaded = result_folder.load(ModelSource('sample', offline=True))
        folder = str(tmp_path / 'model')
        os.makedirs(folder, exist_ok=True)
        result_folder.describe(folder, loaded.config, loaded.tokenizer, 'classifier.1.', (), {}, {})
        settings = read_json(os.path.join(folder, 'config.json'))
        settings.update(config, id2label=dict(enumerate(labels)))
        write_json(os.path.join(folder, 'config.json'), settings)
        units = loaded.config.hidden_size
        head = {'classifier.1.weight': np.zeros((len(biases), units), np.float32),
                'classifier.1.bias': np.array(biases, np.float32)}
        write_params(os.path.join(folder, 'model.params'), dict(loaded.arrays, **head))
        return folder

    return write


def run_main(capsys, *arguments):
    """What an inference prints."""
    assert finetune_classifier.main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def write_glue(folder, labels):
    rows = [f'{i}\tIt is {i}.\tIt is.' for i in range(len(labels))]
    head = 'index\tsentence1\tsentence2'
    for split, columns in ('dev', [head + '\tlabel', *map('\t'.join, zip(rows, labels))]), (
            'test', [head, *rows]):
        (folder / f'{split}.tsv').write_text('\n'.join(columns) + '\n', encoding='utf-8')


@pytest.mark.parametrize('names, more, prediction', [
    (['ENTAILMENT', 'NOT_ENTAILMENT'], [], 'entailment'),
    (['Not Entailment', 'Entailment'], [], 'not_entailment'),
    (['LABEL_0', 'LABEL_1'], [], 'not_entailment'),             # the order of the task
    (['yes', 'no'], ['--labels', 'entailment,not_entailment'], 'entailment'),
])
def test_outputs_are_in_the_models_own_order(tmp_path, capsys, model, names, more, prediction):
    folder = model([1., -1.], names)
    write_glue(tmp_path, ['entailment', 'entailment', 'not_entailment', 'entailment'])
    out = run_main(capsys, '--task_name', 'RTE', '--data_dir', tmp_path, '--only_inference',
                   '--model_parameters', folder, '--output_dir', tmp_path / 'out', *more)
    assert f"dev: accuracy {'0.7500' if prediction == 'entailment' else '0.2500'}" in out
    assert (tmp_path / 'out' / 'RTE.tsv').read_text().splitlines()[1] == f'0\t{prediction}'


@pytest.mark.parametrize('task', ['RTE', 'AX'])
def test_predicting_a_text_needs_the_labels_of_a_task_but_not_its_data(capsys, model, task):
    labels = ['entailment', 'not_entailment'] if task == 'RTE' else [
        'neutral', 'entailment', 'contradiction']
    folder = model(range(len(labels)), [label.upper() for label in labels])
    out = run_main(capsys, '--task_name', task, '--model_parameters', folder, '--offline',
                   '--predict', 'a', 'b')
    assert out.split('\t')[0] == labels[-1]


def test_labels_that_mean_nothing_to_the_task_are_refused(tmp_path, model):
    folder = model([1., -1.], ['paraphrase', 'not_paraphrase'])
    write_glue(tmp_path, ['entailment', 'not_entailment'])
    with pytest.raises(DataError, match='state the order of its outputs'):
        finetune_classifier.main(['--task_name', 'RTE', '--data_dir', str(tmp_path),
                                  '--only_inference', '--model_parameters', folder,
                                  '--output_dir', str(tmp_path / 'out')])
    assert os.listdir(str(tmp_path / 'out')) == []


def test_one_output_is_a_raw_score_of_one_text_or_two(tmp_path, capsys, model):
    folder = model([1.25], ['LABEL_0'])
    out = run_main(capsys, '--model_parameters', folder, '--predict', 'a', 'b')
    assert out == '1.2500\ta\tb\n'
    assert run_main(capsys, '--model_parameters', folder, '--predict', 'a') == '1.2500\ta\n'
    (tmp_path / 'dev.csv').write_text('query,passage,score\na,b,1.5\nc,d,0.5\n')
    out = run_main(capsys, '--model_parameters', folder, '--only_inference', '--dev_file',
                   tmp_path / 'dev.csv', '--output_dir', tmp_path / 'out')
    assert 'dev: pearson' in out


def test_scores_of_another_model_are_not_replaced(tmp_path, model):
    folder = model([1., -1.], ['no', 'yes'])
    (tmp_path / 'dev.csv').write_text('text,label\na,no\nb,yes\n')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'model.params').touch()
    with pytest.raises(DataError, match='out: holds another model.*; name another folder'):
        finetune_classifier.main(['--model_parameters', folder, '--only_inference', '--dev_file',
                                  str(tmp_path / 'dev.csv'), '--output_dir',
                                  str(tmp_path / 'out')])
    assert os.listdir(str(tmp_path / 'out')) == ['model.params']


def test_a_multi_label_model_has_sigmoids(tmp_path, capsys, model):
    folder = model([2., -2., 0.5], ['toxic', 'spam', 'rude'],
                   problem_type='multi_label_classification')
    out = run_main(capsys, '--model_parameters', folder, '--predict', 'a')
    assert out == 'toxic,rude\t0.8808,0.6225\ta\n'
    (tmp_path / 'dev.csv').write_text('text,labels\na,"Rude,toxic"\nb,spam\n')
    out = run_main(capsys, '--model_parameters', folder, '--only_inference', '--dev_file',
                   tmp_path / 'dev.csv', '--test_file', tmp_path / 'dev.csv', '--output_dir',
                   tmp_path / 'out')
    # toxic and rude: a hit and a false alarm each; spam: a miss
    assert 'dev: micro_f1 0.5714, macro_f1 0.4444, lrap 0.6667' in out
    assert (tmp_path / 'out' / 'predictions-test.tsv').read_text().splitlines()[1] == (
        '0\ttoxic,rude\t0.880797\t0.119203\t0.622459')


def test_lists_of_0_and_1_are_in_the_order_of_the_model(tmp_path, capsys, model):
    folder = model([2., -2.], ['toxic', 'spam'], problem_type='multi_label_classification')
    (tmp_path / 'test.jsonl').write_text('{"text": "a", "labels": [1, 0]}\n')
    out = run_main(capsys, '--model_parameters', folder, '--only_inference', '--test_file',
                   tmp_path / 'test.jsonl', '--output_dir', tmp_path / 'out')
    assert 'test: micro_f1 1.0000' in out


@pytest.mark.slow
def test_training_with_several_labels(tmp_path, capsys):
    rows = [f'{"good " * good}{"cheap " * cheap}thing,{good},{cheap}'
            for good in (0, 1) for cheap in (0, 1) for _ in range(12)]
    (tmp_path / 'train.csv').write_text('text,good,cheap\n' + '\n'.join(rows) + '\n')
    out = run_main(capsys, '--bert_model', 'sample', '--train_file', tmp_path / 'train.csv',
                   '--dev_file', tmp_path / 'train.csv', '--multi_label', '--label_column',
                   'good,cheap', '--epochs', '6', '--lr', '1e-3', '--batch_size', '8',
                   '--seeds', '1,2', '--output_dir', tmp_path / 'out')
    assert 'dev micro_f1: mean ' in out and 'labels' not in out.split('dev micro_f1: ')[1]
    scores = read_json(str(tmp_path / 'out' / 'results.json'))['dev']
    assert set(scores) == {'micro_f1', 'macro_f1', 'lrap', 'labels'} and scores['micro_f1'] > .9
    config = read_json(str(tmp_path / 'out' / 'config.json'))
    assert config['problem_type'] == 'multi_label_classification'
    assert list(config['id2label'].values()) == ['good', 'cheap']
    out = run_main(capsys, '--model_parameters', tmp_path / 'out', '--predict', 'good cheap thing')
    assert out.startswith('good,cheap\t')


def test_columns_without_a_header_count_from_1(tmp_path, capsys):
    with pytest.raises(SystemExit):
        finetune_classifier.parse_args(['--train_file', 'x.csv', '--no_header', '--text_columns',
                                        '0', '--label_column', '1'])
    assert 'columns are counted from 1, there is no column 0' in capsys.readouterr().err
    for flags_, message in (['--labels', 'a,a'], 'names a class twice'), (
            ['--task_name', 'sample', '--multi_label'], '--multi_label is for your own data'):
        with pytest.raises(SystemExit):
            finetune_classifier.parse_args(['--model_parameters', 'x', *flags_])
        assert message in capsys.readouterr().err


def test_a_trained_model_keeps_its_length(tmp_path):
    write_json(str(tmp_path / 'config.json'), {'gluon_bert': {'task': 'sst', 'max_len': 16}})
    for more, length in ((), 16), (('--max_len', '32'), 32):
        args = finetune_classifier.parse_args(['--model_parameters', str(tmp_path), '--predict',
                                               'x', *more])
        assert args.max_len == length
    # of which fine_tune makes 128, or what the model has positions for
    assert finetune_classifier.parse_args(['--task_name', 'sample']).max_len is None


def test_a_picture_that_fails_loses_no_result(tmp_path, monkeypatch, model):
    def confusion(*args):
        raise MemoryError
    monkeypatch.setattr(plot, 'confusion', confusion)
    (tmp_path / 'data.csv').write_text('text,label\na,yes\nb,no\n')
    with pytest.raises(MemoryError):
        finetune_classifier.main([
            '--model_parameters', model([2., -2.], ['yes', 'no']), '--only_inference', '--plot',
            '--dev_file', str(tmp_path / 'data.csv'), '--test_file', str(tmp_path / 'data.csv'),
            '--output_dir', str(tmp_path / 'out')])
    assert set(os.listdir(str(tmp_path / 'out'))) == {'results.json', 'predictions-test.tsv'}
