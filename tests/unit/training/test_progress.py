"""The log of a run is continued, not repeated."""
import json

from bert.training.progress import Progress


def read(folder):
    lines = (folder / 'metrics.jsonl').read_text(encoding='utf-8').splitlines()
    return [tuple(json.loads(line).values()) for line in lines]


def test_what_an_earlier_part_has_recorded_is_not_recorded_again(tmp_path):
    first = Progress(str(tmp_path), 9)
    for update in 2, 4, 6:
        first.record('train', update, loss=update)
    first.record('dev', 4, set='dev', f1=0.5)
    first.record('dev', 6, set='dev', f1=0.6)
    before = read(tmp_path)
    second = Progress(str(tmp_path), 9, done=4)
    assert read(tmp_path) == [before[0], before[1], before[3]]
    second.record('dev', 4, set='dev', f1=0.7)
    second.record('dev', 4, set='test', f1=0.8)
    second.record('train', 6, loss=6)
    assert read(tmp_path) == [before[0], before[1], before[3], ('dev', 4, 'test', 0.8), before[2]]


def test_the_log_moves_with_its_folder(tmp_path):
    (tmp_path / 'old').mkdir()
    progress = Progress(str(tmp_path / 'old'), 9)
    progress.record('train', 1, loss=1)
    (tmp_path / 'old').rename(tmp_path / 'new')
    progress.move(str(tmp_path / 'new'))
    progress.record('train', 2, loss=2)
    assert len(read(tmp_path / 'new')) == 2
