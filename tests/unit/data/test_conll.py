"""CoNLL files, read and written, against hand-made cases."""
import gzip
import logging
import subprocess
import sys

import pytest
from helpers import warnings

from bert.data import conll, tags
from bert.utils.errors import DataError


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'some.conll')


def write(path, text):
    with open(path, 'wb') as f:
        f.write(text.encode('utf-8') if isinstance(text, str) else text)
    return path


def test_importing_needs_no_mxnet():
    code = ('import sys, bert.data.conll; '
            'sys.exit("mxnet" in sys.modules or "seqeval" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


# reading

def test_read_four_columns_with_docstart(path):
    write(path, '-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ  B-VP O\n\n\n'
                'Peter NNP B-NP B-PER\n-DOCSTART- -X- -X- O\n\nLondon NNP B-NP B-LOC')
    first, second, third = conll.read(path)
    assert first == (['EU', 'rejects'], ['B-ORG', 'O'],
                     [['EU', 'NNP', 'B-NP'], ['rejects', 'VBZ', 'B-VP']], range(3, 5),
                     ['-DOCSTART- -X- -X- O'], ' ')
    assert (second.words, second.lines, second.before) == (['Peter'], range(7, 8), [])
    assert (third.words, third.tags, third.lines, third.before) == (
        ['London'], ['B-LOC'], range(10, 11), ['-DOCSTART- -X- -X- O'])


def test_equal_columns_are_in_memory_once(path):
    first, second = conll.read(write(path, 'the DT B-ORG\nBBC NN I-ORG\n\nthe DT B-ORG\n'))
    assert first.words[0] is second.words[0] and first.tags[0] is second.tags[0]
    assert first.columns[0][1] is second.columns[0][1]


def test_read_tabs_bom_crlf_and_spaces_inside_tokens(path):
    write(path, '\ufeffNew York\tB-LOC\r\n\t\r\n\u200b\tO\r\n\u00a0 \tO\r\nx\u2028y\tO\r\n')
    first, second = conll.read(path)
    assert (first.words, first.tags, first.separator) == (['New York'], ['B-LOC'], '\t')
    assert (second.words, second.lines) == (['\u200b', '\u00a0', 'x\u2028y'], range(3, 6))


def test_read_columns_by_number(path):
    write(path, '1\tEU\tB-ORG\tNNP\n2\tsays\tO\tVBZ\n')
    for token, tag in (1, 2), (-3, -2):
        (sentence,) = conll.read(path, token_column=token, tag_column=tag)
        assert sentence.words == ['EU', 'says']
        assert sentence.tags == ['B-ORG', 'O']
        assert sentence.columns == [['1', 'EU', 'NNP'], ['2', 'says', 'VBZ']]


def test_read_without_tags(path):
    (sentence,) = conll.read(write(path, 'EU\nsays\n'))
    assert (sentence.words, sentence.tags) == (['EU', 'says'], None)
    (sentence,) = conll.read(write(path, 'EU NNP\nsays VBZ\n'), tag_column=None)
    assert (sentence.tags, sentence.columns) == (None, [['EU', 'NNP'], ['says', 'VBZ']])


def test_comments_have_other_columns_than_the_file(path, caplog):
    caplog.set_level(logging.INFO)
    write(path, '# global\n# text = a b\n1\t#\tX\n2\tb\tO\n\n# a b\n1\tc\tX\n')
    first, second = conll.read(path, token_column=1)
    assert (first.words, first.lines) == (['#', 'b'], range(3, 5))
    assert (second.words, second.lines) == (['c'], range(7, 8))
    assert caplog.messages == [f'{path}: skipped 3 comments, the first is line 1']
    write(path, 'a B-X\n# a note here\nb O\n# another note here\nc X\n')
    with pytest.raises(DataError, match=f'^{path}:5: .X. is not a tag like'):
        conll.read(path)
    (sentence,) = conll.read(write(path, 'a B-X\n# a note here\n# and here\nb I-Y\n'))
    assert sentence.lines == [1, 4]
    assert caplog.messages[-1].startswith(f'{path}:4: I-Y, but BIO2 would have B-Y')
    (sentence,) = conll.read(write(path, '#tag B-X\n# O\n# id = 3\n'))
    assert sentence.words == ['#tag', '#']
    (sentence,) = conll.read(write(path, '# a\n#tag\nb\n'))
    assert sentence.words == ['#tag', 'b']


@pytest.mark.parametrize(('text', 'columns', 'message'), [
    ('a O\n\nb X O\n', (0, -1),
     ':3: 3 column(s) where line 1 has 2; write one token per line with the same columns, and '
     'a blank line between sentences'),
    ('', (0, -1),
     ': no sentences; write one token per line, and a blank line between sentences'),
    ('\n-DOCSTART- O\n\n', (0, -1),
     ': no sentences; write one token per line, and a blank line between sentences'),
    ('\n{"tokens": ["a", "b"], "ner_tags": [0, 1]}\n', (0, -1),
     ':2: a line of JSON; write one token per line, with its tag behind it, and a blank line '
     'between sentences'),
    (b'a O\ncaf\xe9 O\n', (0, -1),
     ':2: not UTF-8 (byte 0xe9); convert it: iconv -f ENCODING -t UTF-8'),
    (b'\xef\xbb\xbfa O\ncaf\xe9 O\n', (0, -1),
     ':2: not UTF-8 (byte 0xe9); convert it: iconv -f ENCODING -t UTF-8'),
    ('a O\nb\0 O\n', (0, -1),
     ':2: a NUL character; the file is not UTF-8 text: remove the NUL, or convert the file'),
    ('\na O\n', (0, 2),
     ':2: no column 2 for the tag, the file has 2; columns count from 0, or from -1 at the end'),
    ('a O\n', (-3, -1),
     ':1: no column -3 for the token, the file has 2; columns count from 0, or from -1 at the '
     'end'),
    ('a\n', (0, 1),
     ':1: no column 1 for the tag, the file has 1; columns count from 0, or from -1 at the end'),
    ('a O\n', (1, -1),
     ':1: column 1 cannot be both token and tag; name another for one of them'),
    ('a B-X\n\nEU NNP\n', (0, -1),
     ":3: 'NNP' is not a tag like O, B-PER, I-PER, E-PER or S-PER, as others here are; correct it, "
     'or name the column of the tags'),
    ('a X-B\n\nEU NNP\n', (0, -1),
     ":3: 'NNP' is not a tag like O, PER-B, PER-I, PER-E or PER-S, as others here are; correct it, "
     'or name the column of the tags'),
    ('a B-\n', (0, -1),
     ":1: 'B-' is not a tag like O, B-PER, I-PER, E-PER or S-PER, as others here are; correct it, "
     'or name the column of the tags'),
])
def test_read_errors(path, text, columns, message):
    write(path, text)
    with pytest.raises(DataError) as caught:
        conll.read(path, *columns)
    assert str(caught.value) == path + message


def test_read_warns_of_tags_that_break_the_scheme(path, caplog):
    write(path, 'a B-PER\nb I-PER\n\nc O\nd I-LOC\ne I-PER\n\nf B-LOC\ng B-LOC\n')
    with caplog.at_level(logging.WARNING):
        sentences = conll.read(path)
    assert caplog.messages == [
        path + ':5: I-LOC, but BIO2 would have B-LOC (2 such tags in the file): entities are read '
        'as conlleval reads them']
    assert tags.spans(sentences[1].tags) == [('LOC', 1, 2), ('PER', 2, 3)]


@pytest.mark.parametrize('spelling', ['b-LOC i-LOC O', 'B_LOC I_LOC O', 'b-loc o', 'LOC-b LOC-i O'])
def test_read_warns_of_tags_in_another_spelling(path, caplog, spelling):
    write(path, ''.join(f'x {tag}\n' for tag in spelling.split()))
    assert conll.read(path)[0].tags == spelling.split()
    message, = warnings(caplog)
    named = ', '.join(spelling.split()[:-1])
    assert message.startswith(f'{path}: the tags {named} are read as plain types')
    assert message.endswith('write them as B-PER, I-PER and O')


@pytest.mark.parametrize('tags', ['B-LOC I-LOC O', 'LOC PER O', 'b_cell LOC O', 'O O', 'NN VB'])
def test_read_does_not_warn_of_other_tags(path, caplog, tags):
    write(path, ''.join(f'x {tag}\n' for tag in tags.split()))
    conll.read(path)
    assert not warnings(caplog)


def test_read_warns_of_several_tags_in_one(path, caplog):
    with caplog.at_level(logging.WARNING):
        conll.read(write(path, 'a O\nb B-person,B-group\nc O\nd B-person,B-group\n'))
    assert caplog.messages == [
        path + ':2: B-person,B-group is more than one tag (2 such rows in the file): it is read '
        'as one type of that name; keep one tag per row']


# predictions

def test_write_predictions_keeps_columns_and_documents(path):
    sentences = conll.read(write(path, '-DOCSTART- -X- O\n\nEU NNP B-ORG\nsays VBZ O\n\n\nOh UH O'))
    conll.write_predictions(path, sentences, [['B-ORG', 'O'], ['B-PER']])
    with open(path, encoding='utf-8') as f:
        assert f.read() == ('-DOCSTART- -X- O O\n\nEU NNP B-ORG B-ORG\nsays VBZ O O\n\n'
                            'Oh UH O B-PER\n\n')
    again = conll.read(path)
    assert [s.tags for s in again] == [['B-ORG', 'O'], ['B-PER']]
    assert [s.words for s in again] == [['EU', 'says'], ['Oh']]


def test_write_predictions_puts_the_gold_tag_before_last(path):
    sentences = conll.read(write(path, 'New York\tB-LOC\tNNP\n\u200b\tO\tX\n'), tag_column=1)
    conll.write_predictions(path, sentences, [['O', 'B-LOC']])
    with open(path, 'rb') as f:
        assert f.read().decode() == 'New York\tNNP\tB-LOC\tO\n\u200b\tX\tO\tB-LOC\n\n'


def test_write_predictions_without_gold(path):
    sentences = conll.read(write(path, 'EU\nsays\n'))
    conll.write_predictions(path, sentences, [['B-ORG', 'O']])
    with open(path, encoding='utf-8') as f:
        assert f.read() == 'EU B-ORG\nsays O\n\n'


def test_write_predictions_refuses_a_mismatch_and_keeps_the_old_file(path, tmp_path):
    sentences = conll.read(write(path, 'EU O\nsays O\n'))
    for predicted in [['O']], [], [['O', 'O'], ['O']]:
        with pytest.raises(ValueError, match='word for word'):
            conll.write_predictions(path, sentences, predicted)
    with pytest.raises(TypeError):
        conll.write_predictions(path, sentences, [['O', None]])
    with open(path, encoding='utf-8') as f:
        assert f.read() == 'EU O\nsays O\n'
    assert [p.name for p in tmp_path.iterdir()] == ['some.conll']


def test_packed_files(tmp_path):
    path = str(tmp_path / 'some.conll.gz')
    with gzip.open(path, 'wb') as f:
        f.write('\ufeffBerlin B-LOC\n\nis O\n'.encode())
    assert [(s.words, s.tags) for s in conll.read(path)] == [(['Berlin'], ['B-LOC']),
                                                             (['is'], ['O'])]
