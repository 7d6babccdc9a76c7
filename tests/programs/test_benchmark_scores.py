"""The scores of the benchmark: accuracy beside the Trainer's, with the same data and flags."""
import json
import os
import re

import numpy as np
import pytest
from helpers import ROOT, SAMPLE

from bert.data import conll
from bert.metrics import classification
from bert.metrics import squad as squad_metrics
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts.benchmarking import scores
from scripts.benchmarking.runner import ProcessResult

SCRIPT = 'scripts/benchmark.py'


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


def test_scores_of_a_run_and_its_continuation(program, peer, data_dir, tmp_path):
    python = peer('echo \'{"accuracy": 0.5, "f1": 0.25}\'')
    flags = ['--scores', '--quick', '--rows', 'mrpc', '--model', SAMPLE, '--data_dir', data_dir,
             '--peer_python', python, '--output_dir', str(tmp_path / 'out')]
    env = {'BERT_OPS': '0', 'OMP_NUM_THREADS': '1'}
    one = program(SCRIPT, *flags, '--seeds', '4', check=0, env=env).stdout
    two = program(SCRIPT, *flags, '--seeds', '4,2', check=0, env=env).stdout
    runs = read_json(str(tmp_path / 'out' / 'scores.json'))['runs']
    precisions = list(dict.fromkeys(run['dtype'] for run in runs))
    assert precisions in (['fp32'], ['fp32', 'bf16'])       # the latter if it is faster here
    assert [(run['program'], run['dtype'], run['seed']) for run in runs] == [
        (name, dtype, seed) for seed in (4, 2) for dtype in precisions
        for name in ('ours', 'Trainer, random batches', 'Trainer, by length')]
    assert {run['scores']['accuracy'] for run in runs if run['program'] != 'ours'} == {50.0}
    assert all(0 <= run['scores']['accuracy'] <= 100 and run['seconds'] > 0 for run in runs)
    assert 'MRPC, ours, fp32, seed 4' in one and 'from ' not in one
    assert two.count('from ' + str(tmp_path)) == 3 * len(precisions)
    assert re.search(r'^MRPC +F1 +Trainer, by length +25.0 +25.0 +25.0 +0.0 +\d+ +\d+$', two, re.M)
