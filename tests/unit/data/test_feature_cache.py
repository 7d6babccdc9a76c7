"""Features on disk: found again, by content; damage and obstacles only cost time; bounded."""
import errno
import fcntl
import hashlib
import logging
import os
import stat
import threading
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from bert.data import feature_cache, features, squad, squad_features
from bert.data.tables import Example
from bert.text import tokenizer, transform
from bert.utils import files
from bert.utils.errors import DataError
from bert.utils.locks import Lock

WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'b', 'c']
COLUMNS = {'ids': [[1, 2, 3], [4]], 'inside': [np.array([True, False]), np.array([True])],
           'owner': [0, 7], 'score': [0.5, 1.5], 'longer': [False, True]}
HASH = 'a16bcc0bcf8c'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache that keeps everything; the folder where its files will be."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('BERT_FEATURE_CACHE', raising=False)
    monkeypatch.setattr(feature_cache, 'SLOW', -1)
    return tmp_path / 'cache' / 'gluon-bert' / 'features'


class Maker:
    """Counts how often features are made."""

    def __init__(self, columns=COLUMNS):
        self.columns, self.calls = columns, 0

    def cached(self, content=('text',), tok=None):
        def make():
            self.calls += 1
            return self.columns
        return feature_cache.cached('train', tok or tokenizer.WordPiece(WORDS, False), content,
                                    make)


def same(a, b):
    """Whether two values are equal in value, type and dtype, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


def test_made_once_and_read_the_same(folder, caplog):
    caplog.set_level(logging.INFO, 'bert.data.feature_cache')
    maker = Maker()
    made = maker.cached()
    assert not caplog.messages
    read = maker.cached()
    assert maker.calls == 1
    assert same(made, read)
    assert same(read, {
        'ids': [np.array([1, 2, 3], 'int32'), np.array([4], 'int32')],
        'inside': [np.array([True, False]), np.array([True])],
        'owner': [0, 7], 'score': [0.5, 1.5], 'longer': [False, True]})
    path, = folder.iterdir()
    assert caplog.messages == [f'train: features from the cache, {path}']
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_features(folder):
    maker = Maker({'ids': [], 'owner': []})
    assert maker.cached() == maker.cached() == {'ids': [], 'owner': []}


def test_key(folder):
    tok = tokenizer.WordPiece
    keys = [(('text',), tok(WORDS, False)), (('text ',), tok(WORDS, False)),
            (('te', 'xt'), tok(WORDS, False)), (('text', 1), tok(WORDS, False)),
            (('text', '1'), tok(WORDS, False)), (('text', None), tok(WORDS, False)),
            (('te\ud800xt',), tok(WORDS, False)), (('text',), tok(WORDS + ['d'], False)),
            (('text',), tok(WORDS, True)), (('text',), tok(WORDS, False, strip_accents=False)),
            (('text',), tok(WORDS, False, split_han=False))]
    maker = Maker()
    for content, tok in keys:
        maker.cached(content, tok)
    assert maker.calls == len(keys) == len(list(folder.iterdir()))
    for content, tok in keys:
        maker.cached(iter(content), tok)
    assert maker.calls == len(keys)


def test_the_vocabulary_is_hashed_once_for_all_chunks_of_a_text(folder, monkeypatch):
    asked, identity = [], tokenizer.WordPiece.identity
    monkeypatch.setattr(tokenizer.WordPiece, 'identity',
                        lambda tok: asked.append(tok) or identity(tok))
    tok, maker = tokenizer.WordPiece(WORDS, False), Maker()
    for i in range(5):
        maker.cached(('text', i), tok)
    parts = [feature_cache.VERSION, identity(tok), unicodedata.unidata_version, 'text', 4]
    key = hashlib.sha256(''.join(f'{part!r}\n' for part in parts).encode()).hexdigest()
    assert (folder / f'{key}.npz').exists()
    assert asked == [tok] and maker.calls == 5


def test_another_version_makes_new_features(folder, monkeypatch):
    maker = Maker()
    maker.cached()
    monkeypatch.setattr(feature_cache, 'VERSION', feature_cache.VERSION + 1)
    maker.cached()
    assert maker.calls == 2


def test_the_version_is_of_these_features():
    """Where this fails, text gives other features than before: raise VERSION, take the new hash."""
    words = WORDS + ['##b', '##c', 'e', '\u4e2d', '.', "'", '1']
    text = "Ab, caf\xe9 \u4e2d\u6587 abc's e\u0301 . 1\u0663 b\u200bc \xa0 \ufb01 a\ud800 " * 3
    question = squad.Question('x', 'a?', text, [squad.Answer('abc', 14)], False)
    rows = []
    for lower in True, False:
        tok = tokenizer.WordPiece(words, lower)
        rows += [transform.pair(tok, text, text, 20), *transform.windows(tok, text, None, 12, 4),
                 *transform.windows(tok, text, 'a b', 16, 4),
                 *squad_features.features(question, tok, 24, 8, 6)]
    plain = [np.asarray(value).tolist() for row in rows for value in row]
    digest = hashlib.sha256(repr((feature_cache.VERSION, plain)).encode()).hexdigest()
    assert digest[:12] == HASH


def test_quick_features_are_not_kept(folder, monkeypatch):
    monkeypatch.setattr(feature_cache, 'SLOW', 3.0)
    Maker().cached()
    assert list(folder.iterdir()) == []


def test_turned_off(folder, monkeypatch):
    monkeypatch.setenv('BERT_FEATURE_CACHE', '0')
    maker = Maker()
    maker.cached()
    maker.cached()
    assert maker.calls == 2
    assert not folder.exists()


@pytest.mark.parametrize('damage', [
    lambda content: b'', lambda content: b'nonsense', lambda content: content[:len(content) // 2],
    lambda content: content.replace(b'\x02\0\0\0\x03', b'\x02\0\0\0\x09'),
    lambda content: content.replace(b"'<i4'", b"'|O' ")])
def test_damaged_file_is_made_anew(folder, caplog, damage):
    caplog.set_level(logging.DEBUG, 'bert.data.feature_cache')
    maker = Maker()
    made = maker.cached()
    path, = folder.iterdir()
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert path.read_bytes() != good
    assert same(maker.cached(), made)
    assert maker.calls == 2
    message, = caplog.messages
    assert 'made again' in message
    assert same(maker.cached(), made)
    assert maker.calls == 2


def test_a_cache_that_cannot_be_used(folder, caplog, monkeypatch, tmp_path):
    caplog.set_level(logging.DEBUG, 'bert.data.feature_cache')
    maker = Maker()
    folder.parent.mkdir(parents=True)
    folder.write_text('a file in the place of the folder')
    assert maker.cached()['owner'] == [0, 7]
    folder.parent.chmod(0o777)
    assert maker.cached()['owner'] == [0, 7]
    assert 'can be written by other users' in caplog.messages[-1]
    monkeypatch.setenv('XDG_CACHE_HOME', str(folder))
    assert maker.cached()['owner'] == [0, 7]
    assert maker.calls == 3


def test_a_cache_that_can_only_be_read(folder, monkeypatch):
    maker = Maker()
    made = maker.cached()

    def refuse(path, *args):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
    for name in 'utime', 'open':
        monkeypatch.setattr(os, name, refuse)
    assert same(maker.cached(), made)
    assert maker.calls == 1


def test_full_disk(folder, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, 'bert.data.feature_cache')

    def full(*args, **kwargs):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(np, 'savez', full)
    assert Maker().cached()['owner'] == [0, 7]
    assert 'No space left' in caplog.messages[-1]
    assert list(folder.iterdir()) == []


def test_the_least_recently_used_go(folder, monkeypatch):
    maker = Maker()
    for i in range(3):
        maker.cached(('text', i))
        path, = [path for path in folder.iterdir() if path.stat().st_mtime > 1000]
        os.utime(path, (i, i))
        size = path.stat().st_size
    maker.cached(('text', 0))                   # used: the oldest is now number 1
    monkeypatch.setattr(feature_cache, 'LIMIT', 3 * size)
    maker.cached(('text', 3))
    assert len(list(folder.iterdir())) == 3
    assert maker.calls == 4
    for i in (0, 2, 3):
        maker.cached(('text', i))
    assert maker.calls == 4
    maker.cached(('text', 1))
    assert maker.calls == 5


def test_too_large_to_keep(folder, monkeypatch):
    monkeypatch.setattr(feature_cache, 'LIMIT', 10)
    Maker().cached()
    assert list(folder.iterdir()) == []


def test_many_at_once(folder):
    makers = [Maker() for _ in range(8)]
    out = []
    threads = [threading.Thread(target=lambda m=m: out.extend(m.cached() for _ in range(5)))
               for m in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(out) == 40
    assert all(same(columns, out[0]) for columns in out)
    assert len(list(folder.iterdir())) == 1     # and no temporary file


def waiting(monkeypatch):
    """A semaphore with the number of threads that have come to wait for another."""
    count = threading.Semaphore(0)

    def counted(path, patience=None):
        if patience is None:
            count.release()
            return Lock(path)
        return Lock(path, patience)
    monkeypatch.setattr(feature_cache, 'Lock', counted)
    return count


@pytest.mark.parametrize('kept', [True, False])
def test_one_makes_them_and_others_wait(folder, monkeypatch, kept):
    """Where they are not kept, the others make them at the same time."""
    monkeypatch.setattr(feature_cache, 'SLOW', -1 if kept else 60)
    count, together, made, out = waiting(monkeypatch), threading.Barrier(3), [], []

    def wanted(make):
        out.append(feature_cache.cached('train', tokenizer.WordPiece(WORDS, False), ['text'], make))

    def other():
        made.append(together.wait(60))
        return COLUMNS

    others = [threading.Thread(target=wanted, args=(other,)) for _ in range(3)]

    def first():
        for thread in others:
            thread.start()
        assert all(count.acquire(timeout=60) for _ in others)
        assert not made
        return COLUMNS

    wanted(first)
    for thread in others:
        thread.join()
    assert len(made) == (0 if kept else 3)
    assert len(out) == 4 and all(same(columns, out[0]) for columns in out)
    assert len(list(folder.iterdir())) == kept


def test_who_fails_lets_the_others_go_on(folder, monkeypatch):
    count, maker, out = waiting(monkeypatch), Maker(), []
    other = threading.Thread(target=lambda: out.append(maker.cached()))

    def first():
        other.start()
        assert count.acquire(timeout=60)
        raise DataError('a label that is wrong')

    with pytest.raises(DataError):
        feature_cache.cached('train', tokenizer.WordPiece(WORDS, False), ['text'], first)
    other.join()
    assert maker.calls == 1 and out[0]['owner'] == [0, 7]
    assert len(list(folder.iterdir())) == 1


def test_a_disk_without_locks(folder, monkeypatch):
    def none(file, how):
        raise OSError(errno.ENOLCK, 'No locks available')
    monkeypatch.setattr(fcntl, 'flock', none)
    maker = Maker()
    assert same(maker.cached(), maker.cached())
    assert maker.calls == 1 and len(list(folder.iterdir())) == 1


def test_files_that_others_write_are_left_to_them(folder, monkeypatch):
    maker = Maker()
    maker.cached()
    size = next(folder.iterdir()).stat().st_size
    (folder / '.a.npz.killed.unfinished').write_bytes(b'x' * size)
    monkeypatch.setattr(feature_cache, 'LIMIT', 2 * size)
    with files.atomic(str(folder / 'b.npz')) as temporary:
        Path(temporary).write_bytes(b'x' * 9 * size)
        maker.cached(('another text',))
        assert os.path.exists(temporary) and len(list(folder.iterdir())) == 3
    maker.cached()
    assert maker.calls == 2


def test_squad(folder):
    tok = tokenizer.WordPiece(WORDS, False)
    questions = [
        squad.Question('x', 'a?', 'a b c a b c c', [squad.Answer('b c', 2)], False),
        squad.Question('y', 'c', '', [], True),
        squad.Question('z', 'b', 'b\xa0a', [squad.Answer('a', 2)], False)]
    fresh = [squad_features.features(question, tok, 8, 2, 2) for question in questions]
    assert [len(windows) for windows in fresh] == [3, 1, 1]
    for _ in range(2):
        assert same(squad_features.featurize('dev', tok, questions, 8, 2, 2), fresh)
    assert len(list(folder.iterdir())) == 1
    moved = [questions[0]._replace(answers=[squad.Answer('b c', 8)])] + questions[1:]
    assert not same(squad_features.featurize('dev', tok, moved, 8, 2, 2), fresh)


@pytest.mark.parametrize('stride', [None, 2])
def test_sentences(folder, caplog, stride):
    caplog.set_level(logging.INFO)
    tok, labels = tokenizer.WordPiece(WORDS, False), ('no', 'yes')
    examples = [Example('a b', None, 'yes', '0'), Example('a b c a b c', None, 'no', '1')]
    made, read = (features.featurize('dev', tok, examples, labels, 6, stride) for _ in range(2))
    assert same(made, read)
    assert made.ids[0].tolist() == [2, 5, 6, 3]
    assert made.owner == ([0, 1, 1] if stride else [0, 1])
    assert made.labels == ([1, 0, 0] if stride else [1, 0])
    assert sum('1 of 2 texts are longer' in message for message in caplog.messages) == 2
    # labels are no part of what is kept
    other = [example._replace(label='no') for example in examples]
    assert set(features.featurize('dev', tok, other, labels, 6, stride).labels) == {0}
    assert len(list(folder.iterdir())) == 1
