"""The benchmark: its table, its figures, what it measures on, and runs with a made-up peer."""
import json
import os
import re
import statistics

import numpy as np
import pytest
from helpers import ROOT, SAMPLE, TEXT, TINY

from bert.data import conll, squad, tables
from bert.metrics import classification
from bert.metrics import squad as squad_metrics
from bert.model.config import BertConfig
from bert.text import tokenizer
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts.benchmarking import measure, measurements, report, scores
from scripts.benchmarking.inputs import Inputs, make_model
from scripts.benchmarking.runner import ProcessResult

SCRIPT = 'scripts/benchmark.py'


@pytest.fixture
def inputs(tmp_path):
    return Inputs(str(tmp_path / 'inputs'), TEXT, SAMPLE)


@pytest.fixture
def peer(tmp_path):
    """peer('echo ...') is an interpreter that knows its versions and runs that for all else."""
    def make(answer):
        path = tmp_path / 'peer'
        path.write_text(
            '#!/bin/sh\ncase "$3" in versions) echo \'{"torch": "1.0", "transformers": "2.0", '
            '"sentence-transformers": null, "onnxruntime": null, "onnx": null}\';;\n'
            f'*) {answer};; esac\n', encoding='utf-8')
        path.chmod(0o755)
        return str(path)
    return make


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


# the figures

def test_mean_rate_weighs_by_time():
    records = [{'type': 'train', 'update': 2, 'examples_per_second': 1000.0},
               {'type': 'dev', 'update': 2, 'accuracy': 1.0},
               {'type': 'train', 'update': 3, 'examples_per_second': 5.0},
               {'type': 'train', 'update': 5, 'examples_per_second': 2.0}]
    assert report.mean_rate(records, 1) == pytest.approx(3 / (1 / 5 + 2 / 2))
    assert report.mean_rate(records) == pytest.approx(5 / (2 / 1000 + 1 / 5 + 2 / 2))


def test_value_of_each_unit(tmp_path):
    def value(unit, output='', skip=0):
        return report.value(unit, 3.5, output, str(tmp_path), skip)

    assert value('s') == 3.5
    assert value('Mtokens/s', '1.5 million tokens a second\n2.25 million tokens a second') == 2.25
    assert value('texts/s', 'a line\n{"texts/s": 1}\n{"texts/s": 40.5}\n[warning]') == 40.5
    assert value('s/step', '{"examples/s": 16}') == 0.5
    for unit, output in (('texts/s', 'nothing'), ('texts/s', '{"examples/s": 1}'),
                         ('Mtokens/s', '')):
        with pytest.raises(DataError, match='no figure in ' + unit):
            value(unit, output)
    lines = [{'type': 'train', 'update': i, 'tokens_per_second': 10.0 * i} for i in (1, 2)]
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)), encoding='utf-8')
    assert value('tokens/s', '{"tokens/s": 1}', skip=1) == pytest.approx(20)
    with pytest.raises(DataError, match='no figure'):       # all steps are left out
        value('tokens/s', skip=2)


def test_a_ratio_is_the_median_of_the_rounds_and_above_1_is_better():
    figures = {'ours': [{'s': 1.0, 'x/s': 8.0, 'MB': 100.0}, {'s': 2.0, 'x/s': 4.0, 'MB': 120.0},
                        {'s': 4.0, 'x/s': 2.0, 'MB': 110.0}],
               'them': [{'s': 3.0, 'x/s': 4.0, 'MB': 200.0}, {'s': 2.0, 'x/s': 4.0, 'MB': 210.0},
                        {'s': 6.0, 'x/s': 4.0, 'MB': 220.0}]}
    seconds = report.result('r', 's', 'them', figures, {})
    assert seconds['ratios'] == [3.0, 1.0, 1.5]
    assert report.result('r', 'x/s', 'them', figures, {})['ratios'] == [2.0, 1.0, 0.5]
    line = report.line(seconds)
    assert line.split() == ['r', 's', '2.000', 'them', '3.000', '1.50', '110', '210']
    assert len(line) == len(report.HEADER)


def test_a_line_says_why_there_is_no_figure():
    alone = report.result('r', 's', None, {'ours': [{'s': 20.0, 'MB': 1.0}]}, {})
    assert report.line(alone).split() == ['r', 's', '20.0', '-', '-', '-', '1', '-']
    lost = report.result('r', 's', 'them', {'ours': [], 'them': []}, {'ours': 'no luck'})
    assert report.line(lost).split() == ['r', 's', '-', 'them', *'----', 'no', 'luck']


def test_training_flops_by_hand():
    config = BertConfig(hidden_size=2, intermediate_size=4, num_hidden_layers=3,
                        num_attention_heads=1, vocab_size=7)
    # a layer: 2 (4 * 4 + 2 * 2 * 4) = 64, and attention over 5 tokens 4 * 2 * 5 = 40
    assert measure.training_flops(config, 5) == 3 * 3 * 104 * 5
    # the last layer: keys and values 4 * 4 = 16 per token, the other 88 for one token in five
    assert measure.training_flops(config, 5, 1) == 3 * ((2 * 104 + 16) * 5 + 88)
    # the decoder: 2 (2 * 2 + 2 * 7) = 36 per masked token
    assert measure.training_flops(config, 5, 3, 2) == 3 * ((2 * 104 + 16) * 5 + 3 * 88 + 2 * 36)


def test_shares_of_the_peak(tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps(
        {'hidden_size': 2, 'intermediate_size': 4, 'num_hidden_layers': 3,
         'num_attention_heads': 1, 'vocab_size': 7}), encoding='utf-8')

    def row(name, ours, theirs):
        return {'row': name, 'unit': '', 'ours': ours, 'theirs': theirs, 'peer': 'them'}

    done = [row('gemm-fp32', [1.0, 3.0, 2.0], [4.0]), row('train-6l-fp32', [100.0], [50.0]),
            row('train-6l-bf16', [9.0], []), row('growth-data-1', [1.0], []),
            row('pretrain-6l-fp32', [128.0], [64.0])]
    share, pretraining = report.shares(done, {'model-6l': str(tmp_path)})
    layer = 64 + 4 * 2 * 128
    assert share['row'] == 'share-train-6l-fp32'
    assert share['theirs'] == [pytest.approx(100 * 3 * 3 * layer * 128 * 50 / 4e9)]
    assert share['ours'] == [pytest.approx(
        100 * 3 * (2 * layer + 16 + (layer - 16) / 128) * 128 * 100 / 2e9)]
    assert report.line(share)
    assert pretraining['row'] == 'share-pretrain-6l-fp32'       # 1 and 1/2 text per second
    assert pretraining['ours'] == [pytest.approx(
        100 * 3 * ((2 * layer + 16) * 128 + (layer - 16) * 21 + 20 * 36) / 2e9)]
    assert pretraining['theirs'] == [pytest.approx(
        100 * 3 * (3 * layer * 128 + 128 * 36) / 2 / 4e9)]


def test_curves_are_of_the_growth_rows():
    done = [{'row': 'growth-length-32', 'ours': [1.0, 3.0, 2.0], 'peer': 'them', 'theirs': [5.0]},
            {'row': 'growth-length-64', 'ours': [4.0], 'peer': 'them', 'theirs': []},
            {'row': 'squad', 'ours': [4.0], 'peer': None, 'theirs': []}]
    assert report.curves(done) == {
        'length': {'ours': {32: 2.0, 64: 4.0}, 'them': {32: 5.0}}}


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


# accuracy beside the Trainer

@pytest.fixture
def data_dir(tmp_path):
    """A folder with a few examples of each data set of --scores."""
    for folder in 'MRPC', 'WNUT17', 'QA':
        (tmp_path / 'data' / folder).mkdir(parents=True)
    for name in 'train', 'test':
        rows = ''.join(f'{i % 2}\t5\t6\tIt is {"good" if i % 2 else "bad"}.\tIt is good.\n'
                       for i in range(8))
        (tmp_path / 'data' / 'MRPC' / f'msr_paraphrase_{name}.txt').write_text(
            'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n' + rows, encoding='utf-8')
    for name in 'train', 'dev':
        (tmp_path / 'data' / 'WNUT17' / f'{name}.conll').write_text('Rome\tB-LOC\n\t\nis\tO\n',
                                                                   encoding='utf-8')
    (tmp_path / 'data' / 'QA' / 'xquad.en.json').write_text(json.dumps({'data': [
        {'title': str(i), 'paragraphs': []} for i in range(scores.ARTICLES + 2)]}),
        encoding='utf-8')
    return str(tmp_path / 'data')


class FakeRunner:
    """Instead of processes: a score for each seed, or an error."""

    def __init__(self, folder, answers):
        self.inputs, self.versions = {'out': str(folder / 'run')}, {'torch': '1.0'}
        self.answers, self.commands = answers, []

    def process(self, command, label):
        os.makedirs(self.inputs['out'])
        self.commands.append(command)
        seed = int(re.search(r'--seed (\d)', command).group(1))
        answer = self.answers[seed]
        if isinstance(answer, Exception):
            os.rmdir(self.inputs['out'])
            raise answer
        record = {'accuracy': answer, 'f1': answer / 2}
        if not command.startswith('peer'):
            with open(os.path.join(self.inputs['out'], 'metrics.jsonl'), 'w') as f:
                for line in ({'type': 'dev', 'accuracy': 0.9, 'f1': 0.9}, dict(record, type='dev'),
                             {'type': 'train', 'update': 3}):
                    f.write(json.dumps(line) + '\n')
        return ProcessResult(10.0 * seed, 9.0, 99.0, 'a line\n' + json.dumps(record))


def test_both_sides_of_the_scores_do_the_same():
    found = scores.jobs(['mrpc', 'wnut17', 'xquad'], ['fp32', 'bf16'], [1, 2])
    assert len(set(found)) == 3 * 2 * 2 * 3
    for ours, random, by_length in zip(*[iter(found)] * 3):
        assert [job.program for job in (ours, random, by_length)] == [
            'ours', 'Trainer, random batches', 'Trainer, by length']
        assert by_length.command.replace(' --by_length', '') == random.command
        common = {'batch_size', 'lr', 'epochs', 'warmup_ratio', 'epsilon', 'seed', 'dtype'}
        flags = [dict(re.findall(r'--(\w+) (\S+)', job.command)) for job in (ours, random)]
        assert common <= set(flags[0]) and {flags[0]['optimizer']} == {'adamw'}
        assert all(flags[0][name] == flags[1][name] for name in common)
        assert flags[1]['length'] in (flags[0].get('max_len'), flags[0].get('seq_len'),
                                      flags[0].get('max_seq_length'))
    assert {job.program for job in scores.jobs(['mrpc'], ['fp32'], [1], peer=False)} == {'ours'}


def test_finished_runs_are_not_repeated(tmp_path, capsys):
    path, source = str(tmp_path / 'scores.json'), {'model': 'm', 'data_dir': 'd'}
    wanted = scores.jobs(['mrpc'], ['fp32'], [1, 2])[::3]       # ours
    first = FakeRunner(tmp_path, {1: 0.75, 2: DataError('no luck')})
    runs, failed = scores.measure(first, wanted, path, {}, source)
    assert failed and [run['seed'] for run in runs] == [1]
    assert runs[0]['scores'] == {'accuracy': 75.0, 'f1': 37.5}      # of the last epoch
    again = FakeRunner(tmp_path, {1: 0.1, 2: 0.5})
    runs, failed = scores.measure(again, wanted, path, {}, source)
    assert not failed and [run['scores']['accuracy'] for run in runs] == [75.0, 50.0]
    assert [re.findall(r'--seed \d', command) for command in again.commands] == [['--seed 2']]
    assert len(read_json(path)['runs']) == 2 and not os.path.exists(again.inputs['out'])
    assert 'no luck' in capsys.readouterr().out
    other = FakeRunner(tmp_path, {1: 0.2})      # another model: another run
    runs, _ = scores.measure(other, wanted[:1], path, {}, dict(source, model='other'))
    assert runs[0]['scores']['accuracy'] == 20.0 and len(read_json(path)['runs']) == 3
    (tmp_path / 'scores.json').write_text('{"runs": 1}', encoding='utf-8')
    with pytest.raises(DataError, match='not a list of runs'):
        scores.measure(other, wanted, path, {}, source)


def test_what_the_peer_lacks_is_no_failure(tmp_path, capsys):
    runner = FakeRunner(tmp_path, {})
    runs, failed = scores.measure(runner, scores.jobs(['wnut17'], ['fp32'], [1])[1:],
                                  str(tmp_path / 'scores.json'), {}, {})
    assert (runs, failed, runner.commands) == ([], False, [])
    assert 'no seqeval for the peer' in capsys.readouterr().out


def test_the_table_of_scores_has_means_and_deviations():
    def run(program, seed, accuracy, dtype='fp32'):
        return {'data': 'mrpc', 'program': program, 'dtype': dtype, 'seed': seed,
                'scores': {'accuracy': accuracy, 'f1': 80.0}, 'seconds': 100.0 * seed,
                'cpu_seconds': 90.0}

    text = scores.table([run('ours', 1, 80.0), run('ours', 2, 82.0), run('ours', 3, 84.0),
                         run('ours', 2, 70.0, 'bf16')], (1, 2, 3))
    rule, head, _, *lines, last = text.splitlines()
    assert rule == last and set(rule) == {'=', ' '}
    assert re.split('  +', head) == ['data', 'score', 'program', 'seed 1', 'seed 2', 'seed 3',
                                     'mean', 'sd', 's', 'CPU s']
    cells = [[line[match.start():match.end()].strip() for match in re.finditer('=+', rule)]
             for line in lines]
    assert cells[0] == ['MRPC', 'accuracy', 'ours', '80.0', '82.0', '84.0', '82.0', '2.0', '200',
                        '90']
    assert cells[1] == ['MRPC', 'accuracy', 'ours, bf16', '-', '70.0', '-', '70.0', '-', '200',
                        '90']
    assert [line[:2] for line in cells[2:]] == [['MRPC', 'F1']] * 2


def test_the_data_of_the_scores(data_dir, tmp_path):
    paths = {}
    scores.prepare(list(scores.DATA), paths, str(tmp_path), data_dir)
    first, last = (read_json(paths[f'xquad-{split}'])['data'] for split in ('train', 'dev'))
    assert [a['title'] for a in first + last] == [str(i) for i in range(scores.ARTICLES + 2)]
    assert len(last) == 2 and len(conll.read(paths['wnut17-train'])) == 2
    os.remove(os.path.join(data_dir, 'WNUT17', 'dev.conll'))
    with pytest.raises(DataError, match='has no WNUT17/dev.conll'):
        scores.prepare(['wnut17'], paths, str(tmp_path), data_dir)
    (tmp_path / 'data' / 'QA' / 'xquad.en.json').write_text('{"data": [1]}', encoding='utf-8')
    with pytest.raises(DataError, match='more than 36 articles'):
        scores.prepare(['xquad'], paths, str(tmp_path), data_dir)


def test_the_peers_scores_are_ours(monkeypatch):
    monkeypatch.syspath_prepend(os.path.join(ROOT, 'scripts', 'benchmarking', 'peer'))
    import peer_scores
    gold, guesses = [1, 1, 0, 0, 1], [1, 0, 1, 0, 1]
    assert peer_scores.class_scores(gold, guesses) == pytest.approx(classification.compute(
        ('accuracy', 'f1'), np.array(gold), np.eye(2)[guesses], 1))
    asked = {'a': ['The cat', 'dog'], 'b': ['in Rome'], 'c': ['x y'], 'd': ['never']}
    answers = {'a': 'cat!', 'b': 'Rome', 'c': 'z'}
    for name, golds in asked.items():
        given = answers.get(name, '')
        found = peer_scores.answer_scores({name: golds}, {name: given})
        assert found == {'exact': 100 * max(squad_metrics.exact_match(g, given) for g in golds),
                         'f1': pytest.approx(100 * max(squad_metrics.f1(g, given)
                                                       for g in golds))}
    assert peer_scores.answer_scores(asked, answers)['exact'] == 25
    logits = np.array([9.0, 0, 3, 1]), np.array([9.0, 2, 1, 3])
    assert peer_scores.best_span(*logits, [1, 2, 3]) == (6.0, 2, 3)
    assert peer_scores.best_span(*logits, []) is None


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
        '--plot', '--peer_python', python, check=0)
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


def test_scores_of_a_run_and_its_continuation(program, peer, data_dir, tmp_path):
    python = peer('echo \'{"accuracy": 0.5, "f1": 0.25}\'')
    flags = ['--scores', '--quick', '--rows', 'mrpc', '--model', SAMPLE, '--data_dir', data_dir,
             '--peer_python', python, '--output_dir', str(tmp_path / 'out')]
    env = {'BERT_OPS': '0', 'OMP_NUM_THREADS': '1'}
    one = program(SCRIPT, *flags, '--seeds', '4', check=0, env=env).stdout
    two = program(SCRIPT, *flags, '--seeds', '4,2', check=0, env=env).stdout
    runs = read_json(str(tmp_path / 'out' / 'scores.json'))['runs']
    assert [(run['program'], run['seed']) for run in runs] == [
        (name, seed) for seed in (4, 2)
        for name in ('ours', 'Trainer, random batches', 'Trainer, by length')]
    assert {run['scores']['accuracy'] for run in runs if run['program'] != 'ours'} == {50.0}
    assert all(0 <= run['scores']['accuracy'] <= 100 and run['seconds'] > 0 for run in runs)
    assert 'MRPC, ours, fp32, seed 4' in one and 'from ' not in one
    assert two.count('from ' + str(tmp_path)) == 3
    assert re.search(r'^MRPC +F1 +Trainer, by length +25.0 +25.0 +25.0 +0.0 +\d+ +\d+$', two, re.M)


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
