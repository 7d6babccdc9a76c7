"""metrics.jsonl of a run that continues."""
import json

from bert.training.progress import Progress


def test_later_and_damaged_lines_are_dropped(tmp_path):
    kept = [json.dumps({'type': 'train', 'update': update}) + '\n' for update in (1, 2)]
    damaged = ['{"type": "train", "upd', '3\n', '[]\n', '{"update": "2"}\n', '{"update": NaN}\n',
               '{"update": null}\n', '{"type": "train"}\n', '[' * 100000 + '\n']
    later = json.dumps({'type': 'train', 'update': 3}) + '\n'
    path = tmp_path / 'metrics.jsonl'
    path.write_bytes(''.join([*kept, later, *damaged]).encode() + b'\xff\n')
    Progress(str(tmp_path), total=9, done=2).close()
    assert path.read_text(encoding='utf-8') == ''.join(kept)
