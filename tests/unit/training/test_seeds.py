"""Several seeds: what is printed and kept."""
import json

import pytest

from bert.training import seeds
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
    with pytest.raises(DataError, match='without a labelled dev set'):
        seeds.train_each((1,), str(tmp_path), lambda seed, folder: {'test': {'f1': 1.0}})


def test_other_workers_have_nothing_to_do(tmp_path):
    seeds.train_each((1, 2), str(tmp_path), lambda seed, folder: None)
    assert not list(tmp_path.iterdir())
