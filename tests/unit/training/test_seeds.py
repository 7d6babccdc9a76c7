"""Several seeds: what is printed and kept."""
import json
import shutil

import pytest
from helpers import refused

from bert.checkpoint import output
from bert.training import model_card, seeds
from bert.utils.errors import DataError

SCORES = {1: 0.7, 2: 0.9, 3: 0.8}


@pytest.fixture
def trained(tmp_path):
    """train(seed, folder), which leaves a file with the number of the seed."""
    def train(seed, folder):
        out = tmp_path / f'seed-{seed}'
        assert folder == str(out)
        out.mkdir()
        for name in 'model.params', 'last.params':
            (out / name).write_text(str(seed))
        return {'dev': {'accuracy': SCORES[seed], 'f1': 1 - SCORES[seed]}}
    return train


@pytest.mark.parametrize('metric, best', [(None, 2), ('f1', 1)])
def test_the_best_seed_is_the_result(trained, tmp_path, capsys, metric, best):
    seeds.train_each((1, 2, 3), str(tmp_path), trained, metric)
    assert (tmp_path / 'model.params').read_text() == str(best)
    assert not (tmp_path / 'last.params').exists() and (tmp_path / 'seed-3').is_dir()
    printed = capsys.readouterr().out
    assert 'dev accuracy: mean 0.8000, standard deviation 0.1000, best 0.9000' in printed
    assert f'the model of seed {best} ' in printed
    summary = json.loads((tmp_path / 'seeds.json').read_text())
    assert summary['best_seed'] == best and set(summary['scores']) == {'1', '2', '3'}


def test_one_seed_has_no_deviation():
    assert seeds.summarize({5: {'dev': {'f1': 0.5}}})['dev f1']['deviation'] == 0


def test_without_a_dev_set_none_is_the_best(tmp_path):
    with pytest.raises(DataError, match='the dev set has no labels'):
        seeds.train_each((1,), str(tmp_path), lambda seed, folder: {'test': {'f1': 1.0}})


def test_other_workers_have_nothing_to_do(tmp_path):
    seeds.train_each((1, 2), str(tmp_path), lambda seed, folder: None)
    assert not list(tmp_path.iterdir())


def test_one_run_at_a_time_writes_to_the_folder_of_all_seeds(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(output, 'PATIENCE', 0)

    def train(seed, folder):
        for other in {}, {'overwrite': True}, {'resume': True}:
            assert 'another run is writing to this folder' in refused(
                lambda other: seeds.train_each((1,), str(tmp_path), None, **other), other)
        return trained(seed, folder)
    seeds.train_each((1, 2), str(tmp_path), train)
    output.check(str(tmp_path), '-', overwrite=True)        # unlocked


class Worker:
    """The communicator of worker 0 or 1, where a temporary folder is used."""

    def __init__(self, rank):
        self.rank = rank

    def sum(self, values):
        return [1.0]


def test_only_worker_0_locks_the_folder(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(output, 'PATIENCE', 0)

    def train(seed, folder):        # the other worker is there meanwhile
        seeds.train_each((1, 2), str(tmp_path), lambda *args: None, comm=Worker(1))
        return trained(seed, folder)
    seeds.train_each((1, 2), str(tmp_path), train, comm=Worker(0))
    assert (tmp_path / 'model.params').read_text() == '2'


def test_an_earlier_result_stays_until_the_seeds_are_trained(trained, tmp_path):
    for name in 'model.params', 'predictions-test.tsv':
        (tmp_path / name).write_text('old')
    for resume in False, True:
        assert 'an earlier result' in refused(
            lambda resume: seeds.train_each((1,), str(tmp_path), None, resume=resume), resume)

    def train(seed, folder):
        assert (tmp_path / 'model.params').read_text() == 'old'
        if seed == 2 and not stopped:
            stopped.append(seed)
            raise KeyboardInterrupt
        (tmp_path / f'seed-{seed}').exists() or trained(seed, folder)
        return {'dev': {'accuracy': SCORES[seed]}}
    stopped = []
    with pytest.raises(KeyboardInterrupt):
        seeds.train_each((1, 2), str(tmp_path), train, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        'model.params', 'predictions-test.tsv', 'seed-1'}
    seeds.train_each((1, 2), str(tmp_path), train, resume=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        'model.params', 'seeds.json', 'seed-1', 'seed-2'}
    assert (tmp_path / 'model.params').read_text() == '2'


def test_the_card_of_the_best_seed_does_not_replace_the_users_own(trained, tmp_path):
    (tmp_path / 'config.json').write_text('{"num_hidden_layers": 1, "hidden_size": 8}')
    (tmp_path / 'arguments.json').write_text('{}')

    def train(seed, folder):
        scores = trained(seed, folder)
        for name in 'config.json', 'arguments.json':
            shutil.copy(str(tmp_path / name), folder)
        model_card.write(folder, scores, 'x', ('A text.',))
        return scores
    card = tmp_path / 'README.md'
    card.write_text('My words.\n')
    seeds.train_each((1, 2), str(tmp_path), train)
    assert card.read_text() == 'My words.\n'
    card.unlink()
    for seed in 1, 2:
        shutil.rmtree(str(tmp_path / f'seed-{seed}'))
    seeds.train_each((1, 2), str(tmp_path), train, overwrite=True)
    assert card.read_text() == (tmp_path / 'seed-2' / 'README.md').read_text().replace(
        '## Scores\n', '## Scores\n\nThe best of 2 seeds by dev accuracy: mean 0.8000, standard '
        'deviation 0.1414 (seeds.json).\n')
