"""Names of files, chunks that end with documents, and the documents in them."""
import bz2
import gzip
import lzma
import os
import zipfile
from pathlib import Path

import pytest
from helpers import refused

from bert.pretraining import corpus
from bert.pretraining.corpus import Span, check, chunks, expand, first_documents, read_documents
from bert.text import tokenizer
from bert.utils.errors import DataError

WORDS = [f'w{i}' for i in range(200)]
TOK = tokenizer.WordPiece(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + WORDS, cased=True)


def write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode('utf-8'))
    return str(path)


def documents(read):
    """Documents, as the words they were made from."""
    return [[' '.join(TOK.tokens(read.tokens[read.sentences[i]:read.sentences[i + 1]]))
             for i in range(first, end)] for first, end in zip(read.starts, read.starts[1:])]


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(corpus, '_SMALLEST', 100)
    monkeypatch.setattr(corpus, '_LARGEST', 100)


@pytest.mark.parametrize('patterns,expected', [
    (['one/*.txt,two/*.txt'], ['one/a.txt', 'one/b.txt', 'two/a.txt']),
    (['two/*.txt,one/*.txt,'], ['two/a.txt', 'one/a.txt', 'one/b.txt']),
    (['one/a.txt', 'one/b.txt', 'two/a.txt'], ['one/a.txt', 'one/b.txt', 'two/a.txt']),
    (['one/a.txt,', 'one/*.txt'], ['one/a.txt', 'one/b.txt']),
    (['one/b.txt, two/a.txt ,'], ['one/b.txt', 'two/a.txt']),
    (['**/a.txt'], ['one/a.txt', 'two/a.txt']),
    (['odd/x[1],y.txt'], ['odd/x[1],y.txt']),
    (['*/*'], ['odd/x[1],y.txt', 'one/a.txt', 'one/b.txt', 'one/c.md', 'two/a.txt']),
    (['~/one/c.md'], ['{home}/one/c.md'])])
def test_expand(tmp_path, monkeypatch, patterns, expected):
    for name in ('one/b.txt', 'one/a.txt', 'one/c.md', 'two/a.txt', 'odd/x[1],y.txt'):
        write(tmp_path / name, 'x')
    (tmp_path / 'one' / 'folder.txt').mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert expand(patterns) == [path.format(home=tmp_path) for path in expected]


@pytest.mark.parametrize('patterns,message', [
    (['*.txt'], r'\*.txt: no such file'), (['a.txt,no.txt'], 'no.txt: no such file'),
    ([','], '"," names no file'), (['/dev/null'], 'null: a pipe or a device'),
    (['sub'], 'sub: a folder; name its files, with sub.\\* for all'),
    (['s128'], 's128: a folder; name its files, with s128.\\*.npz for all'),
    (['s1*'], 's1.: a folder; name its files, with s1.*.\\*.npz for all')])
def test_expand_nothing(tmp_path, monkeypatch, patterns, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'a.txt' if 'a.txt' in patterns[0] else tmp_path / 'b.md', 'x')
    (tmp_path / 'sub').mkdir()
    write(tmp_path / 's128' / 'part-000.npz', 'x')
    write(tmp_path / 's128' / 'pretraining_data.json', 'x')
    with pytest.raises(DataError, match=message):
        expand(patterns)


def test_documents_of_files(tmp_path):
    one = write(tmp_path / 'one', '\ufeffw1 w2\r\n  w3 \r\n \r\n\n\n\nw4\nnothing\u200b\n\x07\n')
    two = write(tmp_path / 'two', 'w5\n\nw6 w7')
    empty = write(tmp_path / 'empty', '')
    assert chunks([one, empty, two]) == [[Span(one, 0, os.path.getsize(one)),
                                          Span(two, 0, os.path.getsize(two))]]
    assert documents(read_documents(chunks([one, empty, two])[0], TOK)) == [
        ['w1 w2', 'w3'], ['w4', '[UNK]'], ['w5'], ['w6 w7']]
    with pytest.raises(DataError, match='empty: empty'):
        chunks([empty])


@pytest.mark.parametrize('shape', ['many documents', 'many files', 'mixed', 'no blank line'])
def test_chunks_hold_everything_once(tmp_path, small_chunks, shape):
    lines = {'many documents': 3, 'many files': 5, 'mixed': 4, 'no blank line': 10 ** 9}[shape]
    texts, number = [], 0
    for size in {'many documents': [600], 'many files': [20] * 30, 'mixed': [7, 300, 0, 1, 90],
                 'no blank line': [400]}[shape]:
        text = ''
        for i in range(1, size + 1):
            text += WORDS[number % 200] + '\n' + '\n' * (i % lines == 0)
            number += 1
        texts.append(text)
    paths = [write(tmp_path / str(i), text) for i, text in enumerate(texts)]
    cut = chunks(paths)
    total = sum(map(len, texts))
    assert len(cut) == pytest.approx(total / 100, abs=2)
    sizes = [sum(span.end - span.start for span in spans) for spans in cut]
    assert sum(sizes) == total and max(sizes) < 300
    if shape == 'many documents':
        assert max(sizes[:-1]) - min(sizes[:-1]) < 40
    joined = b''.join(Path(span.path).read_bytes()[span.start:span.end]
                      for spans in cut for span in spans)
    assert joined == ''.join(texts).encode()
    whole = documents(read_documents([Span(path, 0, os.path.getsize(path)) for path in paths], TOK))
    pieces = [documents(read_documents(spans, TOK)) for spans in cut]
    if shape == 'no blank line':        # cut where lines end
        assert sum(sum(pieces, []), []) == whole[0] and len(pieces) > 5
    else:
        assert sum(pieces, []) == whole


def test_larger_chunks_of_larger_corpora(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, '_SMALLEST', 1000)
    monkeypatch.setattr(corpus, '_LARGEST', 4000)
    monkeypatch.setattr(corpus, '_MANY', 10)
    counts = {}
    for size in (500, 5000, 25000, 80000):
        counts[size] = len(chunks([write(tmp_path / str(size), 'w1 w2 w3\n\n' * (size // 10))]))
    assert counts == {500: 1, 5000: 5, 25000: 10, 80000: 20}


def test_bad_text_is_told_with_its_line(tmp_path, small_chunks, monkeypatch):
    path = write(tmp_path / 'a', b'w1\n\n' * 100 + b'caf\xe9\n')
    with pytest.raises(DataError, match='a:201: not UTF-8; convert it'):
        read_documents(chunks([path])[-1], TOK)
    monkeypatch.setattr(corpus, '_LONGEST_LINE', 1000)
    path = write(tmp_path / 'b', 'w1\n\n' * 100 + 'prose \u00e9 ' * 200 + '\nw2\n')
    long = next(spans for spans in chunks([path]) if spans[0].end > 900)
    with pytest.raises(DataError, match='b:201: longer than 1000 bytes; put each sentence'):
        read_documents(long, TOK)


def test_drawn_pieces_repeat_with_the_seed(tmp_path):
    sentencepiece = pytest.importorskip('sentencepiece', reason='trains the model of this test')
    pytest.importorskip('gluonnlp', reason='numbers the special tokens')
    text = write(tmp_path / 'text', ''.join(
        f'the sailor sails {i * i} boats of salt\n' for i in range(200)))
    sentencepiece.SentencePieceTrainer.train(input=text, model_prefix=str(tmp_path / 'tiny'),
                                             vocab_size=40, minloglevel=2)
    tok = tokenizer.load(str(tmp_path / 'tiny.model'), False, nbest=-1, alpha=0.1)
    drawn = [read_documents(chunks([text])[0], tok, seed).tokens.tolist() for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_compressed_file_is_a_chunk(tmp_path, small_chunks, monkeypatch):
    text = ''.join(f'w{i}\nw{i + 1}\n\n' for i in range(0, 100, 2)).encode()
    plain, path = write(tmp_path / 'a.txt', text), str(tmp_path / 'b.txt.xz')
    with lzma.open(path, 'wb') as f:
        f.write(text)
    found = chunks([path, plain])
    assert found[:-1] == chunks([plain]) and [span.path for span in found[-1]] == [path]
    assert documents(read_documents(found[-1], TOK)) == documents(
        read_documents([Span(plain, 0, len(text))], TOK))
    assert chunks([path]) == found[-1:]
    monkeypatch.setattr(corpus, '_LARGEST_COMPRESSED', 1 << 8)
    assert 'b.txt.xz: more than 0 MB of text; decompress' in refused(read_documents, found[-1], TOK)
    monkeypatch.undo()
    with lzma.open(path, 'wb') as f:
        f.write(b'a\nb\xff\n')
    assert refused(read_documents, chunks([path])[0], TOK).startswith(f'{path}:2: not UTF-8')
    write(tmp_path / 'b.txt.xz', b'no archive')
    assert 'a damaged archive' in refused(read_documents, chunks([path])[0], TOK)


def packed(name):
    """What a program has packed."""
    if name == 'zip':
        with zipfile.ZipFile('made.zip', 'w') as archive:
            archive.writestr('text.txt', 'w1\n')
        return Path('made.zip').read_bytes()
    if name == 'zstd':
        return b'\x28\xb5\x2f\xfd\x04\x58'
    return {'gzip': gzip, 'bz2': bz2, 'xz': lzma}[name].compress(b'w1\n')


@pytest.mark.parametrize('name', ['gzip', 'zip', 'zstd', 'bz2', 'xz'])
def test_compressed_files_under_other_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content = packed(name)
    path, plain = write(tmp_path / 'a.txt', content), write(tmp_path / 'b.txt', 'BZh PK w1\n')
    assert refused(chunks, [plain, path]) == (
        f'{path}: compressed: only .gz, .bz2 and .xz are read, by their names; decompress it')
    assert len(chunks([plain])) == 1
    if name == 'zip':
        assert refused(chunks, [write(tmp_path / 'a.npz', content)]).endswith(
            'a.npz: a shard, not text; name files of text')


def test_a_compressed_file_is_known_to_be_too_large_from_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, '_LARGEST_COMPRESSED', 100)
    small = write(tmp_path / 'small.gz', gzip.compress(b'w1\n' * 33))
    large = write(tmp_path / 'large.GZ', gzip.compress(b'w1\n' * 34))
    assert len(chunks([small])) == 1
    assert refused(chunks, [small, large]).startswith(f'{large}: more than 0 MB of text; decompr')
    other = write(tmp_path / 'large.xz', lzma.compress(os.urandom(101)))
    assert refused(chunks, [other]).startswith(f'{other}: more than 0 MB of text')
    cut = write(tmp_path / 'cut.gz', gzip.compress(os.urandom(50))[:60])
    assert 'a damaged archive' in refused(chunks, [cut])


def test_a_chunk_is_checked_without_its_instances(tmp_path):
    two = chunks([write(tmp_path / 'two', 'w1\n\n\u200b\nw2\n')])[0]
    one = chunks([write(tmp_path / 'one', 'w1\n\n\u200b\n\x07\n')])[0]
    assert check(two, TOK) and not check(one, TOK) and check(one + one, TOK)
    bad = chunks([write(tmp_path / 'bad', b'w1\n' * 100 + b'caf\xe9\n')])[0]
    assert 'bad:101: not UTF-8' in refused(check, bad, TOK)


def test_the_first_documents_of_a_chunk(tmp_path, monkeypatch):
    files = [write(tmp_path / name, text) for name, text in (
        ('a', 'w1\nw2'), ('b', 'w3\n\nw4'), ('c', b'w5\n\xff\n'))]
    monkeypatch.setattr(corpus, '_FIRST', 8)
    assert documents(first_documents(chunks(files)[0], TOK)) == [['w1', 'w2'], ['w3'], ['w4']]
