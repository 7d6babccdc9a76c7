"""Which updates are profiled."""
import types

import mxnet as mx
import pytest

from bert.pretraining.profile import Profile


@pytest.mark.parametrize('path, done, total, expected', [
    ('p.json', 0, 100, ['run at 10', 'stop at 20', 'dump']), ('p.json', 50, 54, [
        'run at 52', 'stop at 54', 'dump']),
    ('p.json', 7, 8, ['run at 7', 'stop at 8', 'dump']),        # a single one is left
    ('p.json', 8, 8, []), (None, 0, 100, [])])
def test_what_is_profiled(monkeypatch, path, done, total, expected):
    calls, update = [], done
    monkeypatch.setattr(mx, 'profiler', types.SimpleNamespace(
        set_config=lambda **_: None, set_state=lambda state: calls.append(f'{state} at {update}'),
        dump=lambda: calls.append('dump'), dumps=lambda: ''))
    profile = Profile(path, done, total)
    for update in range(done + 1, total + 1):
        profile.step(update)
    profile.close()
    assert calls == expected
