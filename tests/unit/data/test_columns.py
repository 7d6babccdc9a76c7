"""Which columns of a table are text, label and id: by their usual names, by flags; missing ones."""
import logging

import pytest
from written_tables import write, wrong

from bert.data import tables
from bert.data.tables import Example
from bert.data.tasks import REGRESSION, Columns


@pytest.mark.parametrize('header,texts', [
    ('sentence,label', ('a', None)), ('text,label', ('a', None)), ('question,label', ('a', None)),
    ('sentence1,sentence2,label', ('a', 'b')), ('question1,question2,label', ('a', 'b')),
    ('premise,hypothesis,label', ('a', 'b')), ('question,sentence,label', ('a', 'b')),
    ('question,answer,label', ('a', 'b')),
    ('label,text_a,text_b', ('b', '1'))])
def test_usual_column_names(tmp_path, header, texts):
    row = 'a,1' if header.count(',') == 1 else 'a,b,1'
    example, = tables.read_table(write(tmp_path / 'a.csv', header, row))
    assert example[:2] == texts


def test_named_columns_and_ids(tmp_path):
    path = write(tmp_path / 'a.csv', 'id,title,body,class', 'n1,A,B,x')
    columns = Columns(('title', 'body'), 'class', 'id')
    assert tables.read_table(path, columns) == [Example('A', 'B', 'x', 'n1')]


def test_score_or_label(tmp_path):
    path = write(tmp_path / 'a.csv', 'text,label,score', 'x,good,0.5')
    assert tables.read_table(path)[0].label == 'good'
    assert tables.read_table(path, problem_type=REGRESSION)[0].label == .5


def test_no_header(tmp_path):
    path = write(tmp_path / 'a.tsv', '0\tx', '1\ty')
    for columns in Columns((2,), 1, header=False), Columns(('2',), '1', header=False):
        assert tables.read_table(path, columns) == [Example('x', None, '0', '0'),
                                                       Example('y', None, '1', '1')]


@pytest.mark.parametrize('header,columns,message', [
    ('body,label', None,
     ': no column sentence1+sentence2 or question1+question2 or premise+hypothesis or '
     'question+sentence or question+answer or query+passage or text_a+text_b or text1+text2 or '
     'sentence_A+sentence_B or sentence or text or question; it has: body, label; name yours with '
     '--text_columns'),
    ('text,class', None, ': no column label or score; it has: text, class; name yours with '
                         '--label_column'),
    ('text,label', Columns(('body',)), ': no column "body"; it has: text, label; name another '
                                       'with --text_columns'),
    ('text,label', Columns(('a\nb',)), ': no column "a b"; it has: text, label; name another '
     'with --text_columns'),
    ('x,1', Columns(('\u00b2',), 1, header=False), ': no column "\u00b2"; it has no header, and '
     'columns 1 to 2; name another with --text_columns'),
    ('text,label', Columns(label='class'), ': no column "class"; it has: text, label; name '
                                           'another with --label_column'),
    ('text,label', Columns(index='id'), ': no column "id"; it has: text, label; name another with '
                                        '--index_column'),
    ('text,text', Columns(label='text'), ': more than one column "text"; it has: text, text; name '
                                         'another with --text_columns'),
    ('text;label', Columns(('text',)), ': no column "text"; it has: text;label (is it separated '
                                       'as its suffix says?); name another with --text_columns'),
    ('x,1', Columns((3,), 1, header=False), ': no column "3"; it has no header, and columns 1 to '
                                            '2; name another with --text_columns'),
    ('x,1', Columns(('0',), 1, header=False), ': --text_columns 0: columns are counted from 1'),
    ('x,1', Columns(('text',), 1, header=False), ': no column "text"; it has no header, and '
                                                 'columns 1 to 2; name another with '
                                                 '--text_columns'),
])
def test_missing_columns(tmp_path, header, columns, message):
    assert wrong(write(tmp_path / 'a.csv', header, header), columns) == message


def test_no_header_needs_numbers(tmp_path):
    path = write(tmp_path / 'a.csv', 'x,1')
    assert wrong(path, Columns(header=False)).endswith(
        'it has no header, and columns 1 to 2; name yours with --text_columns')


@pytest.mark.parametrize('name, lines, columns, message', [
    ('a.csv', ['question,answer,label', 'a,b,1'], Columns(),
     'text: question, answer; label: label'),
    ('a.csv', ['id,text', '1,a'], Columns(), 'text: text; label: none'),
    ('a.tsv', ['1\ta\tb'], Columns(('2', '3'), '1', header=False),
     'text: column 2, 3; label: column 1'),
])
def test_the_columns_that_are_read_are_logged(tmp_path, caplog, name, lines, columns, message):
    caplog.set_level(logging.INFO)
    path = write(tmp_path / name, *lines)
    tables.read_table(path, columns, optional=['label'])
    assert caplog.messages == [f'{path}: {message}']
