import errno
import gzip
import json
import logging
import os

import numpy as np
import pytest

from bert.data import tables, tasks
from bert.data.table_files import open_table
from bert.data.tables import Example
from bert.data.tasks import Columns
from bert.utils import files
from bert.utils.errors import DataError


def write(path, *lines):
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return str(path)


def wrong(path, *args, **kwargs):
    """The message without the path at its head."""
    with pytest.raises(DataError) as error:
        tables.read_table(str(path), *args, **kwargs)
    message = str(error.value)
    assert message.startswith(str(path)) and '\n' not in message
    return message[len(str(path)):]


MNLI = 'index\tpromptID\tpairID\tgenre\tb1\tb2\tp1\tp2\tsentence1\tsentence2'
STSB = 'index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2'

# task, split, the file's lines, its first example
OFFICIAL = [
    ('MRPC', 'train', ['\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String',
                       '1\t7\t8\tHe said "so.\tSo he said.', '0\t9\t10\tc\td'],
     Example('He said "so.', 'So he said.', '1', '0')),
    ('MRPC', 'test', ['index\t#1 ID\t#2 ID\t#1 String\t#2 String', '5\t7\t8\ta\tb'],
     Example('a', 'b', None, '5')),
    ('QQP', 'dev', ['id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate', '3\t7\t8\ta?\t\t0'],
     Example('a?', '', '0', '3')),
    ('QQP', 'test', ['id\tquestion1\tquestion2', '0\ta?\tb?'], Example('a?', 'b?', None, '0')),
    ('QNLI', 'train', ['index\tquestion\tsentence\tlabel', '0\tq?\ts\tentailment'],
     Example('q?', 's', 'entailment', '0')),
    ('RTE', 'dev', ['index\tsentence1\tsentence2\tlabel', '4\ta\tb\tnot_entailment'],
     Example('a', 'b', 'not_entailment', '4')),
    ('STS-B', 'train', [STSB + '\tscore', '0\tg\tf\t2012\t1\tx\ty\ta\tb\t3.250'],
     Example('a', 'b', 3.25, '0')),
    ('STS-B', 'test', [STSB, '2\tg\tf\t2012\t1\tx\ty\ta\tb'], Example('a', 'b', None, '2')),
    ('CoLA', 'train', ['gj04\t1\t\tBill sings.', 'gj04\t0\t*\tSings bill.'],
     Example('Bill sings.', None, '1', '0')),
    ('CoLA', 'test', ['index\tsentence', '6\tBill sang.'], Example('Bill sang.', None, None, '6')),
    ('MNLI', 'train', [MNLI + '\tlabel1\tgold_label', '0\t' * 8 + 'a\tb\tentailment\tneutral'],
     Example('a', 'b', 'neutral', '0')),
    ('MNLI', 'dev_mismatched', [MNLI + '\tl1\tl2\tl3\tl4\tl5\tgold_label',
                                '9\t' + 'x\t' * 7 + 'a\tb' + '\tneutral' * 5 + '\tcontradiction'],
     Example('a', 'b', 'contradiction', '9')),
    ('MNLI', 'test_matched', [MNLI, '9\t' + 'x\t' * 7 + 'a\tb'], Example('a', 'b', None, '9')),
    ('WNLI', 'train', ['index\tsentence1\tsentence2\tlabel', '0\ta\tb\t1'],
     Example('a', 'b', '1', '0')),
    ('SST', 'dev', ['sentence\tlabel', 'good .\t1'], Example('good .', None, '1', '0')),
    ('SST-2', 'test', ['index\tsentence', '0\tgood .'], Example('good .', None, None, '0')),
    ('AX', 'test', ['index\tsentence1\tsentence2', '0\ta\tb'], Example('a', 'b', None, '0')),
    ('XNLI', 'train', ['premise\thypo\tlabel', '甲\t乙\tcontradictory'],
     Example('甲', '乙', 'contradiction', '0')),
    ('XNLI', 'test', ['premise\thypo', '甲\t乙'], Example('甲', '乙', None, '0')),
    ('LCQMC', 'dev', ['text_a\ttext_b\tlabel', '甲\t乙\t1'], Example('甲', '乙', '1', '0')),
    ('ChnSentiCorp', 'test', ['label\ttext_a', '0\t甲'], Example('甲', None, '0', '0')),
    ('sample', 'train', ['sentence\tlabel', 'a\tpositive'], Example('a', None, 'positive', '0')),
    ('sample-pairs', 'dev', ['sentence1\tsentence2\tlabel', 'a\tb\tparaphrase'],
     Example('a', 'b', 'paraphrase', '0')),
    ('sample-regression', 'dev', ['sentence1\tsentence2\tscore', 'a\tb\t4'],
     Example('a', 'b', 4., '0')),
]


@pytest.mark.parametrize('name,split,lines,first', OFFICIAL)
def test_official_layouts(tmp_path, name, split, lines, first):
    write(tmp_path / (split + '.tsv'), *lines)
    examples = tables.read_official(tasks.get(name), split, str(tmp_path))
    assert examples[0] == first
    assert len(examples) == len(lines) - (lines[0][:4] != 'gj04')


def test_every_task_has_a_layout_tested():
    assert {task.name for task in tasks.TASKS} == {tasks.get(row[0]).name for row in OFFICIAL}


def test_original_mrpc_files_with_labels_in_the_test_set(tmp_path):
    write(tmp_path / 'msr_paraphrase_test.txt',
          '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String', '0\t1\t2\ta\tb', '1\t3\t4\tc\td')
    for split in ('dev', 'test'):
        assert tables.read_official(tasks.get('MRPC'), split, str(tmp_path)) == [
            Example('a', 'b', '0', '0'), Example('c', 'd', '1', '1')]


def test_broken_lines_of_qqp_are_left_out_and_counted(tmp_path, caplog):
    path = write(tmp_path / 'train.tsv', 'id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate',
                 '0\t1\t2\ta\tb\t1', '1\t3\t4\tc', 'd\t0', '2\t5\t6\te\tf\t0')
    with caplog.at_level(logging.WARNING):
        examples = tables.read_official(tasks.get('QQP'), 'train', str(tmp_path))
    assert [example.text_a for example in examples] == ['a', 'e']
    assert f'{path}: skipped 2 broken line(s), the first is line 3' in caplog.text


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
    assert tables.read_table(path, regression=True) == [Example('a', 'b', .5, '0')]


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
    assert tables.read_table(path, regression=True)[0].label == .5


def test_no_header(tmp_path):
    path = write(tmp_path / 'a.tsv', '0\tx', '1\ty')
    for columns in Columns((2,), 1, header=False), Columns(('2',), '1', header=False):
        assert tables.read_table(path, columns) == [Example('x', None, '0', '0'),
                                                       Example('y', None, '1', '1')]


def test_unlabelled_test_file(tmp_path):
    optional = ['label']
    for lines in ['text', 'x'], ['text,label', 'x,']:
        path = write(tmp_path / 'a.csv', *lines)
        assert tables.read_table(path, optional=optional)[0] == Example('x', None, None, '0')
    path = write(tmp_path / 'a.csv', 'text,label', 'x,1')
    assert tables.read_table(path, optional=optional)[0].label == '1'
    path = write(tmp_path / 'a.json', '{"text": "x", "label": null}')
    assert tables.read_table(path, optional=optional)[0].label is None


def test_blank_lines_of_one_column_are_texts_but_at_the_end(tmp_path):
    path = write(tmp_path / 'a.tsv', '', 'text', 'x', '', 'y', '', '')
    assert [example.text_a for example in tables.read_table(path, optional=['label'])] == [
        'x', '', 'y']
    path = write(tmp_path / 'b.tsv', 'text\tlabel', '', 'x\t1', '  ', 'y\t0', '')
    assert [example.index for example in tables.read_table(path)] == ['0', '1']


def test_find_labels():
    def found(*labels):
        return tables.find_labels([Example('', None, label, '') for label in labels])
    assert found('b', 'a', 'b') == ('a', 'b')
    assert found('10', '2', '-1') == ('-1', '2', '10')
    assert found('10', '2', 'x', 'nan') == ('10', '2', 'nan', 'x')
    assert found('nan', '2', '1', '10') == ('1', '10', '2', 'nan')
    with pytest.raises(DataError, match='every training example has the label "a"; .*label_column'):
        found('a', 'a')


@pytest.mark.parametrize('line,options,message', [
    ('x', {}, ':3: 1 column(s) where there should be 2; in a .csv file, put double '
              'quotes around a text that contains the separator'),
    ('x,y,1', {}, ':3: 3 column(s) where there should be 2; in a .csv file, put double '
                  'quotes around a text that contains the separator'),
    ('x,maybe', {'labels': ['no', 'yes']},
     ':3: column "label": unknown label "maybe"; the labels are: no, yes'),
    ('x,', {}, ':3: column "label": empty; every example needs a label'),
    ('"x,no', {}, ':3: unexpected end of data; quote a text with quotation '
                  'marks like this: "say ""yes"", then go"'),
    ('"x" y,no', {}, ':3: \',\' expected after \'"\'; quote a text with quotation '
                     'marks like this: "say ""yes"", then go"'),
    ('x,no\ry,yes', {}, ':3: lines end with a carriage return, as on old Macs; convert them: '
                        "tr '\\r' '\\n'"),
    ('x\0,no', {}, ':3: a NUL character; save the file as plain UTF-8 text'),
])
def test_bad_lines(tmp_path, line, options, message):
    path = write(tmp_path / 'a.csv', 'text,label', 'good,yes', line)
    assert wrong(path, **options) == message


@pytest.mark.parametrize('score', ['high', '', 'nan', 'inf'])
def test_bad_scores(tmp_path, score):
    path = write(tmp_path / 'a.tsv', 'text\tscore', 'x\t1', 'y\t' + score)
    assert wrong(path, regression=True) == f':3: column "score": "{score}" is not a number'


def test_line_numbers_count_the_lines_of_quoted_fields(tmp_path):
    path = write(tmp_path / 'a.csv', 'text,label', '"one\ntwo\nthree",yes', 'four,no', '"x\ny",z')
    assert wrong(path, labels=['no', 'yes']).startswith(':6: ')


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
    assert wrong(tmp_path / 'a.tsv') == ':3: byte 0xe9 is not UTF-8; save the file as UTF-8'
    (tmp_path / 'b.csv').write_bytes('text,label\nx,1\n'.encode('utf-16'))
    assert wrong(tmp_path / 'b.csv') == ':1: byte 0xff is not UTF-8; save the file as UTF-8'
    (tmp_path / 'c.csv').write_bytes('text,label\nx,1\n'.encode('utf-16-le'))
    assert wrong(tmp_path / 'c.csv') == ':1: a NUL character; save the file as plain UTF-8 text'


def test_unknown_suffix(tmp_path):
    assert wrong(tmp_path / 'a.xlsx') == (
        ': unknown kind of table ".xlsx"; the name must end in one of .csv, .tsv, .txt, .jsonl, '
        '.json')


def read(path):
    return path.read_bytes().decode('utf-8')


def test_submissions(tmp_path):
    path = tmp_path / 'out.tsv'
    tables.write_submission(str(path), tasks.get('RTE'), ['0', '1', '2'], np.array([0, 1, 0]))
    assert read(path) == 'index\tprediction\n0\tnot_entailment\n1\tentailment\n2\tnot_entailment\n'
    tables.write_submission(str(path), tasks.get('STS-B'), ['0', '1', '2'],
                               np.array([-.25, 5.5, 3.14159], dtype='float32'))
    assert read(path) == 'index\tprediction\n0\t0.000\n1\t5.000\n2\t3.142\n'
    tables.write_submission(str(path), tasks.get('sample-regression'), ['0'], [-7.])
    assert read(path) == 'index\tprediction\n0\t-7.000\n'
    assert os.listdir(str(tmp_path)) == ['out.tsv']


def test_predictions_with_probabilities(tmp_path):
    path = tmp_path / 'out.tsv'
    tables.write_predictions(str(path), ['n1', 'n2'], [1, 0], ('no', 'yes'),
                                np.array([[.25, .75], [1, 0]]))
    assert read(path) == ('index\tprediction\tno\tyes\nn1\tyes\t0.250000\t0.750000\n'
                          'n2\tno\t1.000000\t0.000000\n')
    tables.write_predictions(str(path), ['n1'], [1], ('no', 'yes'))
    assert read(path) == 'index\tprediction\nn1\tyes\n'
    tables.write_predictions(str(path), ['n1'], [1.5])
    assert read(path) == 'index\tprediction\nn1\t1.5\n'


def test_lengths_that_differ_are_not_cut(tmp_path):
    with pytest.raises(ValueError, match=r'columns of lengths \[2, 1\]'):
        tables.write_submission(str(tmp_path / 'a'), tasks.get('SST'), ['0', '1'], [1])
    with pytest.raises(ValueError, match=r'columns of lengths \[2, 2, 1, 1\]'):
        tables.write_predictions(str(tmp_path / 'a'), '01', [1, 0], 'ab', [[.5, .5]])
    assert not os.listdir(str(tmp_path))


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'out.tsv'
    path.write_text('old', encoding='utf-8')

    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(files.os, 'fsync', full)
    with pytest.raises(DataError, match='out.tsv: cannot be written .No space left on device'):
        tables.write_predictions(str(path), ['0'], [1.])
    assert path.read_text(encoding='utf-8') == 'old'
    assert os.listdir(str(tmp_path)) == ['out.tsv']


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match='cannot be written'):
        tables.write_predictions(str(tmp_path / 'no' / 'out.tsv'), ['0'], [1.])


def test_examples_from_lines():
    assert tables.from_lines([('line 1', 'a b')], pair=False) == [
        Example('a b', None, None, 'line 1')]
    assert tables.from_lines([('line 1', 'a\t')], pair=True) == [Example('a', '', None, 'line 1')]
    with pytest.raises(DataError, match='line 2: the model takes one text, not 2'):
        tables.from_lines([('line 1', 'a'), ('line 2', 'a\tb')], pair=False)
    with pytest.raises(DataError, match='line 1: the model takes two texts, separated by a tab'):
        tables.from_lines([('line 1', 'a')], pair=True)
    assert tables.from_lines([('1', 'a'), ('2', 'a\tb')]) == [
        Example('a', None, None, '1'), Example('a', 'b', None, '2')]
    with pytest.raises(DataError, match='1: the model takes one text, or two, separated by a tab'):
        tables.from_lines([('1', 'a\tb\tc')])


def test_files_of_the_user(tmp_path):
    train = write(tmp_path / 'train.csv', 'text,label', 'x,1', 'y,0')
    test = write(tmp_path / 'test.csv', 'text', 'z')
    paths = {'train': train, 'dev': None, 'test': test}
    examples = tables.read_files(paths, Columns())
    assert [(split, len(rows)) for split, rows in examples.items()] == [('train', 2), ('test', 1)]
    with pytest.raises(DataError, match='unknown label "2"; the labels are: 0, 1'):
        tables.read_files(dict(paths, dev=write(tmp_path / 'dev.csv', 'text,label', 'x,2')),
                          Columns())


def test_splits_of_a_task_that_are_there(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    task = tasks.get('sample')
    write(tmp_path / 'train.tsv', 'sentence\tlabel', 'a\tpositive')
    assert list(tables.read_task(task, ('train', 'test'), str(tmp_path))) == ['train']
    assert caplog.messages == [f'{tmp_path} has no test file of sample: nothing to predict']
    with pytest.raises(DataError, match='has no dev.tsv'):
        tables.read_task(task, ('dev',), str(tmp_path))


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


def test_one_class_however_json_spells_it(tmp_path):
    path = write(tmp_path / 'a.jsonl', *(f'{{"text": 1.0, "label": {label}}}'
                                         for label in ('1', '1.0', '"1"', 'true', '0', 'false')))
    examples = tables.read_table(path)
    assert [example.label for example in examples] == ['1'] * 4 + ['0'] * 2
    assert examples[0].text_a == '1.0'


def test_labels_are_read_in_the_spelling_that_is_allowed(tmp_path):
    path = write(tmp_path / 'a.csv', 'text,label', 'x,NOT ENTAILMENT', 'y,Entailment')
    examples = tables.read_table(path, labels=('entailment', 'not_entailment'))
    assert [example.label for example in examples] == ['not_entailment', 'entailment']
    path = write(tmp_path / 'b.csv', 'text,label', 'x,1.0', 'y,equivalent')
    task = tasks.get('MRPC')
    examples = tables.read_table(path, labels=task.labels, aliases=task.label_aliases)
    assert [example.label for example in examples] == ['1', '1']


def test_minus_one_in_a_test_file_is_no_label(tmp_path):
    def found(rows, **options):
        path = write(tmp_path / 'a.csv', 'text,label', *rows)
        return [row.label for row in tables.read_table(path, optional=['label'], **options)]
    assert found(['x,-1', 'y,-1.0']) == [None, None]
    assert found(['x,-1', 'y,1'], labels=['0', '1']) == [None, '1']
    assert found(['x,-1', 'y,1'], labels=['-1', '1']) == ['-1', '1']
    assert found(['x,-1', 'y,1']) == ['-1', '1']
    assert found(['x,-1', 'y,-1'], regression=True) == [None, None]
    assert found(['x,-1', 'y,2'], regression=True) == [-1., 2.]


def test_texts_of_any_length(tmp_path):
    path = write(tmp_path / 'a.csv', 'text,label', 'x' * 200000 + ',1')
    assert len(tables.read_table(path)[0].text_a) == 200000


def test_several_labels_of_a_text(tmp_path):
    path = write(tmp_path / 'a.tsv', 'text\tlabels', 'x\tb, a', 'y\t["a"]', 'z\t')
    examples = tables.read_table(path, multi_label=True)
    assert [example.label for example in examples] == [('b', 'a'), ('a',), ()]
    assert tables.find_labels(examples) == ('a', 'b')
    path = write(tmp_path / 'a.jsonl', '{"text": "x", "label": ["a", "b"]}',
                 '{"text": "x", "label": []}')
    assert [row.label for row in tables.read_table(path, multi_label=True)] == [('a', 'b'), ()]
    columns = Columns(label=('toxic', 'rude'))
    path = write(tmp_path / 'a.csv', 'text,toxic,rude', 'x,1,0', 'y,0,1.0', 'z,0,0')
    assert [row.label for row in tables.read_table(path, columns, multi_label=True)] == [
        ('toxic',), ('rude',), ()]
    path = write(tmp_path / 'b.csv', 'text,toxic,rude', 'x,1,2')
    assert wrong(path, columns, multi_label=True) == (
        ':2: column "toxic", "rude": not 0 or 1; several label columns hold these')
    path = write(tmp_path / 'c.csv', 'text,toxic,rude', 'x,-1,-1')
    assert tables.read_table(path, columns, multi_label=True, optional=['label'])[0].label is None
    tables.write_predictions(str(tmp_path / 'out.tsv'), ['1', '2'], [[0, 1], []], ('a', 'b'))
    assert read(tmp_path / 'out.tsv') == 'index\tprediction\n1\ta,b\n2\t\n'


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
