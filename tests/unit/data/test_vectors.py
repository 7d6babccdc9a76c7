"""Files of vectors."""
import json
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


# line ends, which an added token may have, and a byte that was not UTF-8 on the command line
ODD = ['a\nb', '\r', '\r\n', '\x85\u2028\x1c', 'caf\udce9', '"\\', '\U0001f600']


def test_words_with_line_ends_and_lone_surrogates(tmp_path):
    items = [('caf\udce9\n', ODD[:4], np.arange(8.).reshape(4, 2)), ('', [], np.zeros((0, 2))),
             ('x', ODD[4:], np.ones((3, 2)))]
    for name in 'w.npz', 'w.jsonl':
        assert vectors.write_words(str(tmp_path / name), items, 2) == 3
    npz = np.load(str(tmp_path / 'w.npz'))
    assert npz['words'].tolist() == ODD and npz['offsets'].tolist() == [0, 4, 4, 7]
    assert npz['vectors'].tolist() == [*items[0][2].tolist(), *items[2][2].tolist()]
    lines = (tmp_path / 'w.jsonl').read_bytes().decode('utf-8').split('\n')
    assert [json.loads(line) for line in lines[:-1]] == [
        {'text': text, 'tokens': words, 'vectors': rows.tolist()} for text, words, rows in items]


def test_texts_with_line_ends_and_lone_surrogates(tmp_path):
    rows = np.arange(14, dtype=np.float32).reshape(7, 2)
    for name in 'v.npy', 'v.npz', 'v.jsonl':
        assert vectors.write_sentences(str(tmp_path / name), zip(ODD, rows), 2) == 7
    assert (np.load(str(tmp_path / 'v.npy')) == rows).all()
    lines = (tmp_path / 'v.jsonl').read_bytes().decode('utf-8').split('\n')
    assert [json.loads(line) for line in lines[:-1]] == [
        {'text': text, 'vector': row.tolist()} for text, row in zip(ODD, rows)]


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


def test_blank_texts_are_never_the_nearest():
    items = list(zip(('a', '', ' ', 'b'), np.array([[1.0], [9.0], [9.0], [2.0]])))
    assert vectors.nearest(np.array([1.0]), items, 10) == [(2.0, 4, 'b'), (1.0, 1, 'a')]
