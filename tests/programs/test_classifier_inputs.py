"""What a classifier is trained on: own tables, GLUE's files, long texts; what is refused."""
import mxnet as mx
import pytest
from classifier_runs import SCRIPT
from helpers import TINY

from bert.utils.files import read_json


def test_regression_on_own_data(program, tmp_path):
    rows = ['text,amount'] + [f'"word{i % 7}, again",{i % 7:.1f}' for i in range(40)]
    (tmp_path / 'train.csv').write_text('\n'.join(rows) + '\n', encoding='utf-8')
    out = tmp_path / 'out'
    program(SCRIPT, '--bert_model', 'sample', '--train_file', str(tmp_path / 'train.csv'),
            '--dev_file', str(tmp_path / 'train.csv'), '--label_column', 'amount', '--regression',
            '--epochs', '2', '--output_dir', str(out), check=0)
    assert set(read_json(str(out / 'results.json'))['dev']) == {'pearson', 'spearman'}
    said = program(SCRIPT, '--model_parameters', str(out), '--predict', 'word1, again', check=0)
    assert float(said.stdout.split('\t')[0]) == pytest.approx(3, abs=6)


def test_glue_files_in_and_out(program, tmp_path):
    head = 'index\tsentence1\tsentence2\tlabel\n'
    labels = ['entailment', 'not_entailment']
    for split in ('train', 'dev'):
        (tmp_path / (split + '.tsv')).write_text(head + ''.join(
            f'{i}\tIt is number {i}.\tIt is a number.\t{labels[i % 2]}\n'
            for i in range(12)), encoding='utf-8')
    (tmp_path / 'test.tsv').write_text('index\tsentence1\tsentence2\n7\tOne.\tTwo.\n',
                                       encoding='utf-8')
    out = tmp_path / 'out'
    program(SCRIPT, '--task_name', 'RTE', '--data_dir', str(tmp_path), '--bert_model', 'sample',
            '--epochs', '1', '--output_dir', str(out), check=0)
    rows = (out / 'RTE.tsv').read_text().splitlines()
    assert rows[0] == 'index\tprediction' and rows[1].split('\t')[0] == '7'
    assert rows[1].split('\t')[1] in labels


def test_long_texts_are_cut_with_a_count_or_taken_as_windows(program, tmp_path):
    # what decides stands at the end, where cutting loses it
    rows = [f"{'and so on ' * 6}{(word + ' ') * 12}\t{label}" for word, label in
            (('good', 'yes'), ('bad', 'no')) for _ in range(16)]
    (tmp_path / 'train.tsv').write_text('text\tlabel\n' + '\n'.join(rows) + '\n', encoding='utf-8')
    common = ['--bert_model', 'sample', '--train_file', str(tmp_path / 'train.tsv'), '--dev_file',
              str(tmp_path / 'train.tsv'), '--max_len', '16', '--epochs', '4', '--optimizer',
              'adamw']
    cut = program(SCRIPT, *common, '--output_dir', str(tmp_path / 'cut'), check=0)
    assert 'train: 32 of 32 texts are longer than --max_len 16 and were cut' in cut.stderr
    windows = program(SCRIPT, *common, '--windows', '--stride', '8', '--output_dir',
                      str(tmp_path / 'windows'), check=0)
    assert ('32 of 32 texts are longer than --max_len 16 and were split into windows'
            in windows.stderr)
    two = ''.join(row.split('\t')[0] + '\n' for row in (rows[0], rows[-1]))
    both = [{line.split('\t')[1] for line in program(
        SCRIPT, '--model_parameters', str(tmp_path / 'windows'), '--max_len', '16', *more,
        '--predict', input=two, check=0).stdout.splitlines()}
        for more in ([], ['--windows', '--stride', '8'])]
    assert len(both[0]) == 1 and len(both[1]) == 2


GOOD = 'sentence\tlabel\n' + 'A good day.\tyes\nA bad day.\tno\n' * 4


@pytest.mark.parametrize('text, message', [
    ('', 'no examples'),
    ('sentence\tlabel\n', 'no examples'),
    (GOOD + 'too\tmany\tcolumns\n', ':10: 3 column'),
    ('words\tlabel\na\tyes\nb\tno\n', '--text_columns'),
    ('sentence\tclass\na\tyes\nb\tno\n', '--label_column'),
    ('sentence\tlabel\na\tyes\nb\tyes\n', 'needs two classes'),
], ids=['empty', 'header', 'ragged', 'text', 'label', 'one-class'])
def test_bad_training_files(program, tmp_path, text, message):
    path = tmp_path / 'train.tsv'
    path.write_text(text, encoding='utf-8')
    result = program(SCRIPT, '--bert_model', 'sample', '--train_file', str(path), '--output_dir',
                     str(tmp_path / 'out'), check=1)
    assert message in result.stderr and (str(path) in result.stderr or 'classes' in message)
    lines = result.stderr.splitlines()      # the columns that were read may come first
    assert 'error: ' in lines[-1] and len(lines) <= 2


def test_bad_bytes_and_unknown_dev_label(program, tmp_path):
    (tmp_path / 'train.tsv').write_text(GOOD, encoding='utf-8')
    (tmp_path / 'dev.tsv').write_bytes(b'sentence\tlabel\ncaf\xe9\tyes\n')
    common = ['--bert_model', 'sample', '--train_file', str(tmp_path / 'train.tsv'), '--dev_file',
              str(tmp_path / 'dev.tsv'), '--output_dir', str(tmp_path / 'out')]
    assert 'dev.tsv:2: not UTF-8 (byte 0xe9)' in program(SCRIPT, *common, check=1).stderr
    (tmp_path / 'dev.tsv').write_text('sentence\tlabel\nA day.\tmaybe\n', encoding='utf-8')
    assert 'unknown label "maybe"' in program(SCRIPT, *common, check=1).stderr


@pytest.mark.parametrize('arguments, code, message', [
    ([], 2, '--task_name sample works out of the box'),
    (['--task_name', 'sample', '--max_len', '4'], 2, '--max_len 4'),
    (['--task_name', 'sample', '--batch_size', '0'], 2, '--batch_size'),
    (['--train_file', 'x', '--labels', 'a,b,a'], 2, '--labels a,b,a names a class twice'),
    (['--task_name', 'sample', '--lr', '-1'], 2, '--lr'),
    (['--task_name', 'sample', '--optimizer', 'sgd'], 2, 'bertadam'),
    (['--task_name', 'sample', '--predict', 'x'], 2, '--model_parameters'),
    (['--task_name', 'sample', '--train_file', 'x.tsv'], 2, '--task_name'),
    (['--task_name', 'sampel'], 1, 'did you mean sample'),
    (['--task_name', 'sample', '--max_len', '600'], 1, '512'),
    (['--task_name', 'sample', '--bert_model', './nowhere'], 1, 'nowhere'),
    (['--task_name', 'sample', '--model_parameters', 'nowhere'], 1, 'nowhere'),
    (['--task_name', 'sample', '--seeds', '1,1'], 2, '1,1 has a number twice'),
    (['--task_name', 'sample', '--seeds', '1,2', '--only_inference'], 2, '--seeds is for training'),
    (['--train_file', 'x.tsv', '--test_file', 'y.tsv', '--seeds', '1,2'], 2,
     '--seeds chooses by the scores on the dev set; add --dev_file'),
    (['--train_file', 'x.tsv', '--early_stop', '2'], 2,
     '--early_stop chooses by the scores on the dev set; add --dev_file'),
    (['--model_parameters', 'x', '--only_inference'], 2, '--only_inference needs data'),
    (['--model_parameters', 'x', '--predict', '--comm', 'horovod'], 2,
     '--predict runs in one process: omit --comm'),
    (['--task_name', 'sample', '--regression'], 2, 'not --task_name'),
    (['--task_name', 'sample', '--label_column', 'x'], 2, 'not --task_name'),
    (['--task_name', 'sample', '--dtype', 'int8'], 2, '--dtype int8 is for predicting'),
    (['--task_name', 'sample', '--dtype', 'int8', '--only_inference', '--path', 'padded'], 1,
     '--dtype int8: needs packed batches; omit --path padded'),
    (['--task_name', 'sample', '--gpu', '--gpus', '0,1'], 2,
     '--gpus: not allowed with argument --gpu'),
    (['--task_name', 'sample', '--cpus', '2', '--gpu', '0'], 2,
     '--gpu: not allowed with argument --cpus'),

    (['--task_name', 'sample', '--gpus', '0,x'], 1, '--gpus 0,x'),
    (['--task_name', 'sample', '--dtype', 'float16'], 1, 'GPU'),
    (['--task_name', 'AX'], 1, '--only_inference'),
    (['--model_parameters', TINY, '--predict', 'x'], 1,
     '--model_parameters: this model has no classification head'),
    (['--train_file', 'nowhere.tsv', '--bert_model', 'sample'], 1, 'nowhere.tsv'),
    (['--task_name', 'sample', '--output_dir', '/proc/nowhere'], 1, '--output_dir /proc/nowhere'),
])
def test_bad_flags_are_one_line(program, tmp_path, arguments, code, message):
    result = program(SCRIPT, *arguments, check=code, cwd=str(tmp_path))
    assert message in result.stderr and 'Traceback' not in result.stderr
    assert len([line for line in result.stderr.splitlines() if 'error:' in line]) == 1


def test_gpu_without_cuda_is_one_line(program, tmp_path):
    if mx.runtime.Features().is_enabled('CUDA'):
        pytest.skip('this MXNet has CUDA')
    result = program(SCRIPT, '--task_name', 'sample', '--gpu', '0', check=1, cwd=str(tmp_path))
    assert result.stderr.count('\n') == 1
    assert '--gpu 0: this MXNet' in result.stderr and '[cu112]"' in result.stderr
