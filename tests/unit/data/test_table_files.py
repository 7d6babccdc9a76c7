"""Kinds of tables -> rows: quotes, lines, encodings, JSON, and what is broken."""
import gzip
import json

import pytest
from helpers import refused
from written_tables import write, wrong

from bert.data import tables
from bert.data.table_files import open_table
from bert.data.tables import Example
from bert.data.tasks import REGRESSION, Columns
from bert.utils.errors import DataError


def test_csv_is_quoted(tmp_path):
    path = write(tmp_path / 'a.csv', 'text,label', '"one, ""two""\nthree",yes', 'four, no ', '')
    assert tables.read_table(path) == [Example('one, "two"\nthree', None, 'yes', '0'),
                                          Example('four', None, 'no', '1')]


def test_tsv_is_not_quoted(tmp_path):
    path = write(tmp_path / 'a.tsv', 'text\tlabel', '"one\tyes', 'two"\u2028\x0b!\tno')
    assert [example.text_a for example in tables.read_table(path)] == ['"one', 'two"\u2028\x0b!']


def test_windows_file(tmp_path):
    (tmp_path / 'a.csv').write_bytes(b'\xef\xbb\xbftext,label\r\nx,1\r\n\r\ny,0\r\n')
    assert tables.read_table(str(tmp_path / 'a.csv')) == [Example('x', None, '1', '0'),
                                                            Example('y', None, '0', '1')]


def test_json_lines(tmp_path):
    path = write(tmp_path / 'a.jsonl', '{"label": 1, "text": "x\\ty"}', '',
                 '{"text": "", "label": true, "more": [1]}')
    assert tables.read_table(path) == [Example('x\ty', None, '1', '0'),
                                          Example('', None, '1', '1')]
    path = write(tmp_path / 'b.json', '{"sentence1": "a", "sentence2": "b", "score": 0.5}')
    assert tables.read_table(path, problem_type=REGRESSION) == [Example('a', 'b', .5, '0')]


def test_nan_in_json_is_nothing_as_null_is(tmp_path):
    path = write(tmp_path / 'a.jsonl', '{"text": "x", "label": NaN}', '{"text": "y", "label": NaN}')
    assert [row.label for row in tables.read_table(path, optional=('label',))] == [None, None]
    assert refused(tables.read_table, path).endswith(
        ':1: column "label": empty; every example needs a label')
    path = write(tmp_path / 'b.json', '[{"text": NaN, "label": 1}]')
    assert refused(tables.read_table, path).endswith(':1: column "text": not a text')


def test_blank_lines_of_one_column_are_texts_but_at_the_end(tmp_path):
    path = write(tmp_path / 'a.tsv', '', 'text', 'x', '', 'y', '', '')
    assert [example.text_a for example in tables.read_table(path, optional=['label'])] == [
        'x', '', 'y']
    path = write(tmp_path / 'b.tsv', 'text\tlabel', '', 'x\t1', '  ', 'y\t0', '')
    assert [example.index for example in tables.read_table(path)] == ['0', '1']


@pytest.mark.parametrize('line,options,message', [
    ('x', {}, ':3: 1 column(s) where there should be 2; in a .csv file, put double '
              'quotes around a text that contains the separator'),
    ('x,y,1', {}, ':3: 3 column(s) where there should be 2; in a .csv file, put double '
                  'quotes around a text that contains the separator'),
    ('x,maybe', {'labels': ['no', 'yes']},
     ':3: column "label": unknown label "maybe"; the labels are: no, yes; correct it, or name all '
     'labels with --labels when you train on your own data'),
    ('x,', {}, ':3: column "label": empty; every example needs a label'),
    ('"x,no', {}, ':3: unexpected end of data; quote a text with quotation '
                  'marks like this: "say ""yes"", then go"'),
    ('"x" y,no', {}, ':3: \',\' expected after \'"\'; quote a text with quotation '
                     'marks like this: "say ""yes"", then go"'),
    ('x,no\ry,yes', {}, ':3: lines end with a carriage return, as on old Macs; convert them: '
                        "tr '\\r' '\\n'"),
    ('x\0,no', {}, ':3: a NUL character; save it as plain UTF-8 text'),
])
def test_bad_lines(tmp_path, line, options, message):
    path = write(tmp_path / 'a.csv', 'text,label', 'good,yes', line)
    assert wrong(path, **options) == message


def test_line_numbers_count_the_lines_of_quoted_fields(tmp_path):
    path = write(tmp_path / 'a.csv', 'text,label', '"one\ntwo\nthree",yes', 'four,no', '"x\ny",z')
    assert wrong(path, labels=['no', 'yes']).startswith(':6: ')


@pytest.mark.parametrize('line,message', [
    ('{"text": "x"', ":2: not JSON (Expecting ',' delimiter: line 2 column 1 (char 13)); write "
                     'one object per line'),
    ('[' * 100000, ':2: not JSON (it is nested too deeply); write one object per line'),
    ('["x", "1"]', ':2: not a JSON object; write one per line, such as {"text": "...", '
                   '"label": "..."}'),
    ('{"label": "1"}', ':2: column "text": not a text'),
    ('{"text": ["x"], "label": "1"}', ':2: column "text": not a text'),
    ('{"text": "x"}', ':2: column "label": empty; every example needs a label')])
def test_bad_json(tmp_path, line, message):
    assert wrong(write(tmp_path / 'a.jsonl', '{"text": "x", "label": "1"}', line)) == message


def test_empty_files(tmp_path):
    message = ': no examples; the file needs a header and one example per line'
    for suffix in 'csv', 'tsv', 'jsonl':
        (tmp_path / ('a.' + suffix)).touch()
        assert wrong(tmp_path / ('a.' + suffix)) == message
    assert wrong(write(tmp_path / 'b.csv', 'text,label', '')) == message
    assert wrong(write(tmp_path / 'b.csv', ''), Columns((1,), 2, header=False)) == (
        ': no examples; the file needs one example per line')


def test_encodings(tmp_path):
    (tmp_path / 'a.tsv').write_bytes('text\tlabel\nok\t1\ncafé\t0\n'.encode('latin-1'))
    cure = 'convert it: iconv -f ENCODING -t UTF-8'
    assert wrong(tmp_path / 'a.tsv') == ':3: not UTF-8 (byte 0xe9); ' + cure
    (tmp_path / 'b.csv').write_bytes('text,label\nx,1\n'.encode('utf-16'))
    assert wrong(tmp_path / 'b.csv') == ':1: not UTF-8 (byte 0xff); ' + cure
    (tmp_path / 'c.csv').write_bytes('text,label\nx,1\n'.encode('utf-16-le'))
    assert wrong(tmp_path / 'c.csv') == ':1: a NUL character; save it as plain UTF-8 text'


def test_unknown_suffix(tmp_path):
    assert wrong(tmp_path / 'a.xlsx') == (
        ': unknown kind of table ".xlsx"; the name must end in one of .csv, .tsv, .txt, .jsonl, '
        '.json')


def test_texts_of_any_length(tmp_path):
    path = write(tmp_path / 'a.csv', 'text,label', 'x' * 200000 + ',1')
    assert len(tables.read_table(path)[0].text_a) == 200000


@pytest.mark.parametrize('name, content', [
    ('a.csv.gz', 'text,label\n"a, b",0\n'), ('a.tsv.gz', 'text\tlabel\na, b\t0\n'),
    ('a.jsonl.gz', '\ufeff{"text": "a, b", "label": "0"}\n')])
def test_packed_tables(tmp_path, name, content):
    path = str(tmp_path / name)
    with gzip.open(path, 'wb') as f:
        f.write(content.encode())
    names, rows = open_table(path)
    assert names == ['text', 'label'] and [fields for _, fields in rows] == [['a, b', '0']]


@pytest.mark.parametrize('name', ['a.json', 'a.jsonl', 'a.json.gz'])
@pytest.mark.parametrize('indent', [None, 1])
def test_a_json_list_of_rows(tmp_path, name, indent):
    """As pandas (orient='records') writes them."""
    text = json.dumps([{'text': 'x', 'label': 1}, {'label': 0, 'text': 'y'}], indent=indent)
    with (gzip.open if name.endswith('.gz') else open)(str(tmp_path / name), 'wb') as file:
        file.write(text.encode())
    names, rows = open_table(str(tmp_path / name))
    assert names == ['text', 'label'] and list(rows) == [(1, ['x', 1]), (2, ['y', 0])]
    (tmp_path / 'b.json').write_text('[{"text": "x"}, 3]')
    with pytest.raises(DataError, match='b.json:2: not a JSON object'):
        list(open_table(str(tmp_path / 'b.json'))[1])


def test_keys_that_the_first_object_lacks(tmp_path):
    path = write(tmp_path / 'a.jsonl', '{"text": "x"}', '{"label": "1", "text": "y"}')
    names, rows = open_table(path)
    assert names == ['text', 'label'] and list(rows) == [(1, ['x', None]), (2, ['y', '1'])]


def test_rows_inside_an_object(tmp_path):
    path = write(tmp_path / 'a.json', '{"version": "1", "data": [{"text": "x"}, {"text": "y"}]}')
    names, rows = open_table(path)
    assert names == ['text'] and list(rows) == [(1, ['x']), (2, ['y'])]
    (tmp_path / 'b.json').write_text(json.dumps({'data': [{'text': 'x'}], 'version': 1}, indent=2))
    names, rows = open_table(str(tmp_path / 'b.json'))
    assert names == ['text'] and list(rows) == [(1, ['x'])]
    # a row that has lists alone
    names, rows = open_table(write(tmp_path / 'c.json', '{"tokens": ["a", "b"], "tags": [1]}'))
    assert names == ['tokens', 'tags']


@pytest.mark.parametrize('text', ['{"text": {"0": "x"}, "label": {"0": 1}}',
                                  '{"text": ["x", "y"], "label": [1, 0]}'])
def test_columns_in_json(tmp_path, text):
    with pytest.raises(DataError, match="a.json: columns, not rows; .* orient='records'"):
        open_table(write(tmp_path / 'a.json', text))
