"""Shards: the same with any number of workers, even, whole, gone on with, and read with care."""
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import refused

from bert.pretraining import corpus, processes, shard_writer
from bert.pretraining.masking import FIELDS, Masking
from bert.pretraining.shard_writer import ShardJob, create
from bert.pretraining.shards import read
from bert.text import tokenizer
from bert.utils.errors import DataError

TOK = tokenizer.WordPiece(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
                          + [f'w{i}' for i in range(300)], cased=True)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(corpus, '_SMALLEST', 2000)
    monkeypatch.setattr(corpus, '_LARGEST', 2000)


@pytest.fixture
def text(tmp_path):
    """Files of very different size: 120 documents, 10 sentences each."""
    rng = np.random.default_rng(0)
    paths = []
    for i, size in enumerate((3, 110, 7)):
        paths.append(str(tmp_path / (f'{i}.txt')))
        Path(paths[-1]).write_text('\n'.join(
            '\n'.join(' '.join(f'w{word}' for word in rng.integers(0, 300, rng.integers(2, 8)))
                      for _ in range(10)) + '\n' for _ in range(size)), encoding='utf-8')
    return paths


@pytest.fixture
def make(text, tmp_path):
    """make('out', shards=3, workers=2, ...) -> (what create returned, the folder)."""
    def call(name='out', workers=1, resume=False, paths=text, seed=1, shards=1, copies=2,
             arguments=None):
        folder = tmp_path / name
        job = ShardJob(paths, TOK, Masking(TOK, 32, 5), copies, seed, False, shards, str(folder))
        return create(job, arguments or {'seed': seed}, workers, resume), folder
    return call


def parts(folder):
    return [folder / name for name in sorted(os.listdir(str(folder))) if name.endswith('.npz')]


def rows(folder):
    """The instances of all shards, one string of bytes each, sorted."""
    shards = [read(str(path)) for path in parts(folder)]
    return sorted(b''.join(shard[name][i].tobytes() for name in FIELDS) for shard in shards
                  for i in range(len(shard['valid_lengths'])))


def test_shards_are_even_and_have_everything_once(make):
    done, one = make('one')
    assert done['shards'] == 1 and not (one / 'unfinished').exists()
    again, seven = make('seven', shards=7)
    assert dict(again, shards=1) == done
    assert [path.name for path in parts(seven)] == [f'part-00{i}.npz' for i in range(7)]
    sizes = [len(read(str(path))['valid_lengths']) for path in parts(seven)]
    assert max(sizes) - min(sizes) <= 1 and sum(sizes) == done['instances']
    assert rows(one) == rows(seven)
    shard = read(str(parts(one)[0]))
    assert done['tokens'] == shard['valid_lengths'].sum()
    assert json.loads((seven / 'pretraining_data.json').read_text('utf-8'))['done'] == again
    assert len(set(rows(one))) > 0.99 * done['instances']   # copies have other masks


@pytest.mark.parametrize('workers', [2, 5])
def test_workers_do_not_change_a_byte(make, workers):
    _, alone = make('alone', shards=3)
    _, shared = make('shared', shards=3, workers=workers)
    assert [path.read_bytes() for path in parts(alone)] == [path.read_bytes()
                                                            for path in parts(shared)]
    _, other = make('other', shards=3, seed=2)
    assert parts(other)[0].read_bytes() != parts(alone)[0].read_bytes()


def test_spawned_workers(make, monkeypatch):
    _, alone = make('alone')
    monkeypatch.setitem(processes.sys.modules, 'mxnet', object())    # spawns them
    _, shared = make('shared', workers=2)
    assert parts(alone)[0].read_bytes() == parts(shared)[0].read_bytes()


def test_chunks_are_mixed(make, text):
    """Each shard has text of all of the corpus, not of one stretch."""
    _, folder = make(shards=2)
    chunks = corpus.chunks(text)
    order = [chunk for slices in shard_writer._deal([10] * len(chunks), 2, 1)
             for chunk, _, _ in slices]
    assert sorted(set(order)) == list(range(len(chunks))) and order != sorted(order)


def test_the_same_text_is_not_masked_alike(make, text):
    chunk = os.path.join(os.path.dirname(text[0]), 'chunk.txt')
    Path(chunk).write_text(Path(text[1]).read_text('utf-8')[:1999] + '\n', encoding='utf-8')
    done, folder = make(paths=[chunk] * 4, copies=1)
    assert len(corpus.chunks([chunk] * 4)) == 4
    assert len(set(rows(folder))) > 0.95 * done['instances']


def test_deal():
    shards = shard_writer._deal([3, 0, 5, 2], 3, seed=0)
    assert [sum(end - first for _, first, end in slices) for slices in shards] == [3, 3, 4]
    taken = sorted((chunk, row) for slices in shards for chunk, first, end in slices
                   for row in range(first, end))
    assert taken == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (3, 0), (3, 1)]


@pytest.mark.parametrize('stop', ['before the shards', 'between the shards', 'in a chunk'])
def test_interrupted_and_resumed(make, monkeypatch, stop):
    done, whole = make('whole', shards=3)
    name = '_make_rows' if stop == 'in a chunk' else '_write_shard'
    original, calls = getattr(shard_writer, name), []

    def interrupted(*args):
        if len(calls) == {'before the shards': 0, 'between the shards': 1, 'in a chunk': 4}[stop]:
            raise KeyboardInterrupt
        calls.append(args[2])
        return original(*args)
    monkeypatch.setattr(shard_writer, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(shards=3)
    monkeypatch.undo()
    monkeypatch.setattr(corpus, '_SMALLEST', 2000)
    monkeypatch.setattr(corpus, '_LARGEST', 2000)
    folder = whole.parent / 'out'
    assert len(parts(folder)) == (stop == 'between the shards')
    with pytest.raises(DataError, match=r'holds an unfinished run \(.*--resume'):
        make(shards=3)
    with pytest.raises(DataError, match=r'had other seed \(1\); give the same'):
        make(shards=3, arguments={'seed': 3}, resume=True)
    kept = {path: path.stat().st_mtime_ns for path in list(folder.glob('unfinished/*.rows'))
            + parts(folder)}
    assert len(kept) >= 4

    def unchanged(*args):
        assert not [path for path in kept if path.stat().st_mtime_ns != kept[path]]
        return original(*args)
    monkeypatch.setattr(shard_writer, name, unchanged)
    again, _ = make(shards=3, resume=True, workers=1)
    assert again == done
    assert [path.read_bytes() for path in parts(folder)] == [path.read_bytes()
                                                             for path in parts(whole)]
    assert not (folder / 'unfinished').exists()


def test_resume_of_what_is_finished_or_was_never_begun(make, text):
    done, folder = make(resume=True)
    before = parts(folder)[0].stat().st_mtime_ns
    assert make(resume=True) == (done, folder)
    assert parts(folder)[0].stat().st_mtime_ns == before
    assert not (folder / 'unfinished').exists()
    content = parts(folder)[0].read_bytes()
    parts(folder)[0].unlink()
    assert make(resume=True) == (done, folder) and parts(folder)[0].read_bytes() == content
    with open(text[0], 'a', encoding='utf-8') as f:
        f.write('\nw1\n')
    assert refused(lambda: make(resume=True)) == (
        f'--resume: {text[0]} has changed since the run in {folder} began; begin again with '
        '--overwrite, or in another --output_dir')
    message = refused(lambda: make(paths=text[1:], resume=True))
    assert message.startswith(f"--resume: the run in {folder} had other files (['{text[0][:9]}")
    assert message.endswith('); give the same arguments, or another --output_dir')
    assert len(message) < len(str(folder)) + 200
    with pytest.raises(DataError, match=r'earlier result \(part-000.npz\)'):
        make()


def test_bad_text_can_be_mended(make, tmp_path):
    path = tmp_path / 'bad.txt'
    path.write_bytes(b'w1\n\xff\n')
    for workers in (1, 2):
        with pytest.raises(DataError, match='bad.txt:2: not UTF-8'):
            make(paths=[str(path)] * 2, workers=workers)
    path.write_bytes(b'w1\nw2\nw3\n')
    done, folder = make(paths=[str(path)])
    assert done['instances'] == len(read(str(parts(folder)[0]))['valid_lengths']) > 0


def test_tiny_corpora(make, tmp_path):
    path = tmp_path / 'tiny.txt'
    path.write_text('w1 w2\nw3 w4\n', encoding='utf-8')
    done, folder = make(paths=[str(path)], shards=5)    # a pair: as many shards as instances
    assert done == {'instances': 2, 'tokens': 14, 'shards': 2} and len(parts(folder)) == 2
    path.write_text('w1 w2\n', encoding='utf-8')
    with pytest.raises(DataError, match='tiny.txt: no pair of sentences in it'):
        make('none', paths=[str(path)])


def test_a_worker_that_dies_ends_the_run(make, monkeypatch, capfd):
    monkeypatch.setattr(shard_writer, '_make_rows', die)
    with pytest.raises(DataError, match='a worker process was killed.*--resume and fewer'):
        make(workers=2)


def die(job, chunks, index):
    os._exit(9)


def test_gluonnlps_loader_reads_them(make):
    nlp = pytest.importorskip('gluonnlp', reason='the loader is its')
    _, folder = make()
    path = str(parts(folder)[0])
    data = nlp.data.NumpyDataset(path)
    assert data.keys == sorted(FIELDS)      # the order that its training loop unpacks
    assert len(data) == len(data.get_field('valid_lengths')) > 100
    pad = nlp.data.batchify.Pad
    batch = nlp.data.batchify.Tuple(
        pad(), pad(), pad(), pad(), nlp.data.batchify.Stack(), pad(),
        nlp.data.batchify.Stack())([data[i] for i in range(4)])
    assert [array.shape for array in batch] == [(4, 32), (4, 5), (4, 5), (4, 5), (4,), (4, 32),
                                                (4,)]
    expected = read(path)
    for name, array in zip(data.keys, batch):
        assert (array.asnumpy() == expected[name][:4]).all()


def test_read_types(make):
    _, folder = make()
    with np.load(str(parts(folder)[0]), allow_pickle=False) as content:
        plain = dict(content)
    shard = read(str(parts(folder)[0]))
    assert list(shard) == list(FIELDS) and set(plain) == set(FIELDS)
    for name, (dtype, length) in FIELDS.items():
        assert shard[name].dtype == dtype and (shard[name] == plain[name]).all()
        assert shard[name].shape[1:] == {'max_seq_length': (32,), None: (),
                                         'max_predictions_per_seq': (5,)}[length]


@pytest.fixture
def shard(make, tmp_path):
    """A function that writes a shard with some arrays changed, and returns its path."""
    good = read(str(parts(make()[1])[0]))

    def changed(**arrays):
        content = {name: array for name, array in dict(good, **arrays).items() if array is not None}
        np.savez(str(tmp_path / 'changed.npz'), **content)
        return str(tmp_path / 'changed.npz')
    changed.good = good
    return changed


@pytest.mark.parametrize('change,message', [
    (lambda good: {'segment_ids': None, 'valid_lengths': None},
     'no segment_ids, valid_lengths in it; is it made by create_pretraining_data.py'),
    (lambda good: {'input_ids': good['input_ids'].astype('int64')}, 'input_ids is int64'),
    (lambda good: {'segment_ids': good['segment_ids'][:, 1:]}, r'segment_ids is int32 \(\d+, 31\)'),
    (lambda good: {'masked_lm_ids': good['masked_lm_ids'][1:]}, 'masked_lm_ids is int32'),
    (lambda good: {'input_ids': good['valid_lengths']}, 'input_ids is int32'),
    (lambda good: {'valid_lengths': good['valid_lengths'] + 32},
     r'valid_lengths from \d+ to \d+, where only 1 to 32'),
    (lambda good: {'valid_lengths': good['valid_lengths'] * 0}, 'valid_lengths from 0 to 0'),
    (lambda good: {'valid_lengths': good['valid_lengths'] * 0 + 2},
     'masked_lm_positions beyond valid_lengths in row 0'),
    (lambda good: {'masked_lm_positions': good['masked_lm_positions'] + 32},
     'masked_lm_positions from 32 to'),
    (lambda good: {'masked_lm_positions': good['masked_lm_positions'] - 1},
     'masked_lm_positions from -1 to'),
])
def test_foreign_shards(shard, change, message):
    with pytest.raises(DataError, match=message):
        read(shard(**change(shard.good)))


def test_pickles_are_not_read(shard):
    ragged = np.empty(len(shard.good['valid_lengths']), object)
    for i, row in enumerate(shard.good['input_ids']):
        ragged[i] = row
    with pytest.raises(DataError, match='changed.npz: not a whole shard .pickled, as by GluonNLP'):
        read(shard(input_ids=ragged))


@pytest.mark.parametrize('content', [b'', b'some text', b'PK\x03\x04 and so on', b'\x93NUMPY\x01'])
def test_no_shards_at_all(tmp_path, content):
    path = tmp_path / 'part.npz'
    path.write_bytes(content)
    with pytest.raises(DataError, match='part.npz: not a whole shard'):
        read(str(path))
    np.save(str(tmp_path / 'array.npy'), np.arange(3))
    shutil.move(str(tmp_path / 'array.npy'), str(path))
    with pytest.raises(DataError, match='part.npz: not a whole shard'):
        read(str(path))
    with pytest.raises(DataError, match='none.npz: no such file'):
        read(str(tmp_path / 'none.npz'))


def test_damaged_shards(make):
    _, folder = make()
    path = parts(folder)[0]
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    with pytest.raises(DataError, match='not a whole shard'):
        read(str(path))
    middle = len(content) // 3
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1:])
    with pytest.raises(DataError, match='not a whole shard'):
        read(str(path))
    path.write_bytes(content)
    assert zipfile.ZipFile(str(path)).testzip() is None
    assert len(read(str(path))) == len(FIELDS)
