"""Files of vectors."""
import os
import tracemalloc

import numpy as np
import pytest

from bert.data import vectors
from bert.utils.errors import DataError
from bert.utils.files import atomic


@pytest.mark.parametrize('name', ['v.npy', 'v.npz', 'v.jsonl', 'words.npz'])
@pytest.mark.slow
def test_writing_takes_no_memory(tmp_path, name):
    def texts():
        for i in range(4000):           # 16 MB of vectors
            vector = np.full(1000, i, np.float32)
            yield ('text', ['word'], vector[None]) if 'words' in name else ('text', vector)
    write = vectors.write_words if 'words' in name else vectors.write_sentences
    tracemalloc.start()
    try:
        assert write(str(tmp_path / name), texts(), 1000) == 4000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6
    if not name.endswith('.jsonl'):
        found = np.load(str(tmp_path / name))
        found = found['vectors'] if name.endswith('npz') else found
        assert found.shape == (4000, 1000) and (found == np.arange(4000)[:, None]).all()


def test_files_without_any_row(tmp_path):
    for name in ('a.npy', 'a.npz', 'a.jsonl'):
        assert vectors.write_sentences(str(tmp_path / name), [], 5) == 0
    assert np.load(str(tmp_path / 'a.npy')).shape == np.load(str(tmp_path / 'a.npz'))[
        'vectors'].shape == (0, 5)
    assert vectors.write_words(str(tmp_path / 'b.npz'), [('', [], np.zeros((0, 5)))], 5) == 1
    npz = np.load(str(tmp_path / 'b.npz'))
    assert npz['vectors'].shape == (0, 5) and npz['words'].shape == (0,)
    assert npz['offsets'].tolist() == [0, 0]


@pytest.mark.parametrize('name', ['v.npy', 'v.npz', 'v.jsonl'])
def test_a_failure_leaves_what_was_there(tmp_path, name):
    def broken():
        yield 'a', np.zeros(3, np.float32)
        raise DataError('broken')
    path = tmp_path / name
    path.write_text('before')
    with pytest.raises(DataError, match='broken'):
        vectors.write_sentences(str(path), broken(), 3)
    assert path.read_text() == 'before' and os.listdir(str(tmp_path)) == [name]


@pytest.mark.parametrize('write', [vectors.write_sentences, vectors.write_words])
def test_what_killed_runs_left_of_the_file_is_removed(tmp_path, write):
    for name in ('.v.npz.abcd1234.unfinished', '.w.npz.abcd1234.unfinished', '.v.npz', 'v.npy'):
        (tmp_path / name).write_text('left')
    path = str(tmp_path / 'v.npz')
    with atomic(path) as running:       # another run
        write(path, [], 5)
        assert sorted(os.listdir(str(tmp_path))) == sorted([
            os.path.basename(running), '.w.npz.abcd1234.unfinished', '.v.npz', 'v.npy', 'v.npz'])
