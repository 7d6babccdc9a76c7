"""The benchmark: its table of rows, what it measures on, and runs with a made-up peer."""
import json
import os
import re
import statistics

import numpy as np
import pytest
from helpers import ROOT, SAMPLE, TEXT, TINY

from bert.data import conll, squad, tables
from bert.model.config import BertConfig
from bert.text import tokenizer
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts.benchmarking import measurements
from scripts.benchmarking.inputs import Inputs, make_model
from scripts.benchmarking.runner import Runner

SCRIPT = 'scripts/benchmark.py'


@pytest.fixture
def inputs(tmp_path):
    return Inputs(str(tmp_path / 'inputs'), TEXT, SAMPLE)


# the table

def test_rows_have_names_of_their_own_and_known_placeholders():
    table = measurements.all_measurements(cores=3)
    names = [row.name for row in table]
    assert len(set(names)) == len(names)
    assert names[-3:] == ['growth-threads-1', 'growth-threads-2', 'growth-threads-3']
    kinds = {'model', 'dense', 'pairs', 'mrpc', 'squad', 'ner', 'texts', 'corpus', 'out', 'warmup',
             'answerer', 'classifier', 'onnx'}
    programs = {name[:-3] for name in os.listdir(os.path.join(ROOT, 'scripts'))} | {'peer'}
    for row in table:
        for command in (row.ours, *(command for _, command in row.peers)):
            words = [word for word in command.split() if word != 'mpirun']
            program = next(word for word in words if '=' not in word)
            assert program in programs
            assert {key.split('-')[0] for key in re.findall(r'\{(.*?)\}', command)} <= kinds


def test_both_sides_of_a_step_do_the_same():
    ours, theirs = measurements.steps_of('base', 128, 8, 12, 'bfloat16')
    for flags in ('--batch_size 8', '{model-base}', '--dtype bfloat16'):
        assert flags in ours and flags in theirs
    assert '{dense-base-128-96}' in ours and '--max_len 128' in ours
    assert '--steps 12' in theirs and '--length 128' in theirs
    two, _ = measurements.steps_of('6l', 128, 16, 3, ranks=2)
    assert '{dense-6l-128-96}' in two and '--batch_size 16' in two


def test_a_row_is_named_by_the_beginning_of_its_name():
    assert measurements.is_named('squad-inference', 'squad')
    assert measurements.is_named('squad', 'squad')
    assert not measurements.is_named('squad', 'squad-inference')
    assert not measurements.is_named('train-6l-fp32', 'train-6')


# what is measured on

def read(path):
    with open(path, 'rb') as f:
        return f.read()


def test_data_look_as_documented_and_are_always_the_same(inputs, tmp_path):
    tok = tokenizer.load(SAMPLE)
    dense = tables.read_table(inputs['dense-6l-40-6'])
    assert len(dense) == 6 and {row.label for row in dense} == {'0', '1'}
    assert min(len(tok.ids(row.text_a)) for row in dense) >= 40
    pairs = tables.read_table(inputs['pairs-6l-200'])
    lengths = [len(tok.ids(row.text_a)) + len(tok.ids(row.text_b)) + 3 for row in pairs]
    assert 50 < statistics.mean(lengths) < 58       # MRPC: 53
    assert 9 < statistics.pstdev(lengths) < 17
    questions = squad.read(inputs['squad-6l-20'], True)
    assert len(questions) == 20
    for question in questions:
        answer, = question.answers
        assert question.context[answer.start:].startswith(answer.text)
    tagged = conll.read(inputs['ner-6l-30'])
    assert len(tagged) == 30
    assert {'O', 'B-PER'} <= {tag for sentence in tagged for tag in sentence.tags}
    assert len(read(inputs['texts-6l-7']).splitlines()) == 7
    assert read(inputs['corpus-6l-45']).count(b'\n\n') == 3
    again = Inputs(str(tmp_path / 'again'), TEXT, SAMPLE)
    for key in ('pairs-6l-200', 'squad-6l-20'):     # whatever was made before
        assert read(again[key]) == read(inputs[key])


def test_mrpc_is_the_official_one_where_it_is_given(tmp_path):
    for name in 'train', 'test':
        (tmp_path / (f'msr_paraphrase_{name}.txt')).write_text(
            f'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t5\t6\tSay "a\tOne {name}.\n',
            encoding='utf-8')
    inputs = Inputs(str(tmp_path / 'inputs'), TEXT, SAMPLE, str(tmp_path))
    row, = tables.read_table(inputs['mrpc-6l-dev-99'])
    assert row[:3] == ('Say "a', 'One test.', '1')
    assert len(tables.read_table(inputs['pairs-6l-9'])) == 9


def test_a_text_that_is_too_short_is_an_error(tmp_path):
    (tmp_path / 'text.txt').write_text('A few words.\n', encoding='utf-8')
    with pytest.raises(DataError, match='text.txt: 3 words'):
        Inputs(str(tmp_path / 'inputs'), str(tmp_path / 'text.txt'))


def test_a_random_model_is_a_whole_encoder(tmp_path):
    from bert.checkpoint.names import to_huggingface
    from bert.checkpoint.weights import read_weights
    from bert.model.heads import Classifier
    from bert.model.parameters import initialize, load_parameters
    folder = str(tmp_path / 'model')
    make_model(folder, 2, 8, 2)
    config = BertConfig.from_dict(read_json(os.path.join(folder, 'config.json')))
    assert len(tokenizer.load(folder)) == config.vocab_size == 30522
    arrays = read_weights(os.path.join(folder, 'model.safetensors'), config.architectures)
    net = Classifier(config, 2)
    initialize(net, config)
    fresh = load_parameters(net, arrays, folder, optional=('classifier.',))
    assert sorted(fresh) == ['classifier.1.bias', 'classifier.1.weight']
    assert set(to_huggingface(arrays)[0]) and len(arrays) == 5 + 2 * 16 + 2
    query = arrays['bert.encoder.transformer_cells.1.attention_cell.proj_query.weight']
    assert 0.01 < query.std() < 0.03 and not np.allclose(query, query[0])


# whole runs

def run_benchmark(program, tmp_path, *flags, **kwargs):
    out = tmp_path / 'out'
    # the operators of bert/model/ops are not built here: that takes a while
    env = dict({'BERT_OPS': '0', 'OMP_NUM_THREADS': '1'}, **kwargs.pop('env', {}))
    result = program(SCRIPT, '--quick', '--model', SAMPLE, '--output_dir', str(out), *flags,
                     env=env, **kwargs)
    return result, read_json(str(out / 'results.json'))['rows'] if out.exists() else None


def test_rows_run_in_turn_with_a_peer(program, peer, tmp_path):
    pytest.importorskip('matplotlib', reason='needs the extra: plot')
    calls = tmp_path / 'calls'
    python = peer(f'echo "$OMP_NUM_THREADS $*" >> {calls}; echo \'{{"examples/s": 2.0}}\'')
    result, rows = run_benchmark(
        program, tmp_path, '--rows', 'growth-length-32,embed-tokens-fp32,data', '--rounds', '2',
        '--plot', '--peer_python', python, check=0, env={'OMP_NUM_THREADS': '1,1'})
    assert 'peers: torch 1.0, transformers 2.0\n' in result.stdout
    assert ', --path padded\n' in result.stdout
    growth = next(row for row in rows if row['row'] == 'growth-length-32')
    assert len(growth['ours']) == len(growth['ratios']) == 2
    assert growth['theirs'] == [4.0, 4.0]                   # 8 texts at 2 per second
    assert growth['ratios'] == [4.0 / seconds for seconds in growth['ours']]
    assert min(growth['ours_mb']) > 50 > max(growth['theirs_mb'])
    asked = calls.read_text(encoding='utf-8').splitlines()
    assert len(asked) == 2 and all(line.startswith('1 -I ') for line in asked)
    assert '--length 32 --batch_size 8 --steps 3 --warmup 1' in asked[0]
    missing = [row for row in rows if row['row'] == 'embed-tokens-fp32']
    assert [row['reason'] for row in missing] == ['no sentence-transformers for the peer',
                                                  'no onnxruntime for the peer']
    assert all(row['ours'][0] > 0 and not row['theirs'] for row in missing)
    data = next(row for row in rows if row['row'] == 'data')
    assert data['peer'] is None and len(data['ours']) == 2
    lines = result.stdout.splitlines()
    assert sum(line.startswith(('growth', 'embed', 'data')) for line in lines) == len(rows) == 4
    assert os.path.getsize(str(tmp_path / 'out' / 'growth.png')) > 1000


def test_a_row_that_fails_is_reported_and_the_rest_runs(program, peer, tmp_path):
    result, rows = run_benchmark(
        program, tmp_path, '--rows', 'growth-length-32,growth-length-64', '--peer_python',
        peer('case "$*" in *"--length 32"*) echo one >&2; echo "Error: two" >&2; exit 3;; '
             '*) echo "{\\"examples/s\\": 8}";; esac'), check=1)
    assert rows[0]['reason'].startswith('Error: two (') and rows[0]['ours']
    assert 'Error: two' in result.stdout and 'Traceback' not in result.stderr
    assert [row['theirs'] for row in rows] == [[], [1.0]]


def test_rows_that_set_the_threads_need_no_peer(program, tmp_path):
    result, rows = run_benchmark(program, tmp_path, '--rows', 'growth-threads', check=0)
    row, = rows
    assert row['row'] == 'growth-threads-1' and row['peer'] is None and row['ours'][0] > 0


@pytest.mark.slow
def test_a_second_run_makes_its_models_again(tmp_path, monkeypatch):
    pytest.importorskip('onnx', reason='the extra onnx is not installed')
    pytest.importorskip('onnxruntime', reason='the extra onnx is not installed')
    monkeypatch.setenv('BERT_OPS', '0')
    runner = Runner(str(tmp_path), Inputs(str(tmp_path / 'inputs'), TEXT, SAMPLE))
    for name, result in (('answerer', 'model.params'), ('classifier', 'model.params'),
                         ('onnx-embedding-fp32', 'model.onnx')):
        path = tmp_path / 'inputs' / name / result
        path.parent.mkdir()
        path.write_text('of the first run', encoding='utf-8')
        assert runner[name].startswith(str(path.parent)) and path.stat().st_size > 1000


def test_classifying_gives_a_rate(program, tmp_path):
    result, rows = run_benchmark(program, tmp_path, '--rows', 'classify', check=0,
                                 env={'BERT_OPS': '1'})
    assert [(row['row'], row['unit']) for row in rows] == [('classify-fp32', 'texts/s'),
                                                           ('classify-int8', 'texts/s')]
    assert all(row['ours'][0] > 0 for row in rows), result.stdout


def test_our_own_failure_leaves_its_reason(program, tmp_path):
    result, rows = run_benchmark(program, tmp_path, '--rows', 'embed-sentences-fp32', '--model',
                                 os.path.join(ROOT, 'scripts'), check=1)
    assert rows is None or rows[0]['ours'] == []
    assert 'Traceback' not in result.stderr and 'scripts' in result.stdout + result.stderr


def test_what_is_not_installed_is_no_failure(program, tmp_path):
    result, rows = run_benchmark(program, tmp_path, '--rows', 'horovod', check=0,
                                 env={'PATH': str(tmp_path)})
    row, = rows
    assert row['reason'] in ('no mpirun', 'no Horovod') and row['ours'] == []
    assert row['reason'] in result.stdout


@pytest.mark.parametrize('flags, message', [
    (['--rows', 'train,nothing'], 'no row nothing'),
    (['--scores', '--model', SAMPLE], 'needs --model, real weights, and --data_dir'),
    (['--scores', '--model', SAMPLE, '--data_dir', '.', '--rows', 'squad'], 'no row squad'),
    (['--peer_python', 'no/such/python'], 'there is no such program'),
    (['--measure', 'tokens'], 'needs --model and --texts'),
    (['--measure', 'pairs', '--model', TINY], 'needs --model and --texts'),
])
def test_wrong_flags(program, flags, message):
    assert message in program(SCRIPT, *flags, check=2).stderr


def test_one_measurement(program, inputs):
    printed = program(SCRIPT, '--measure', 'sentences', '--model', SAMPLE, '--texts',
                      inputs['texts-6l-9'], check=0, env={'BERT_OPS': '0'}).stdout
    assert json.loads(printed)['texts/s'] > 0
