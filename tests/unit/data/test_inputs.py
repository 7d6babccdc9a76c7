"""Lines to predict."""
import sys

from helpers import refused

from bert.data import inputs


def test_given_texts_are_one_line():
    assert list(inputs.read_lines(['a text', 'another'], 8)) == [[('--predict', 'a text\tanother')]]


def test_white_space_in_a_given_text_does_not_end_it():
    assert list(inputs.read_lines(['two\nlines\tand\r\ntab', 'b'], 8)) == [
        [('--predict', 'two lines and  tab\tb')]]


def test_standard_input_comes_in_lists_and_is_read_as_needed(give_input):
    give_input(b'a\r\n\nb\tc\nlast')
    lists = inputs.read_lines([], 2)
    assert next(lists) == [('standard input line 1', 'a'), ('standard input line 2', '')]
    assert sys.stdin.buffer.read() == b'b\tc\nlast'


def test_the_end_of_standard_input(give_input):
    give_input(b'a\nb\nc\n')
    assert [len(lines) for lines in inputs.read_lines([], 2)] == [2, 1]
    assert list(inputs.read_lines([], 2)) == []


def test_standard_input_is_utf8_whatever_the_locale(give_input):
    give_input('\ufeffcaf\xe9\u2028!\n'.encode('utf-8'), encoding='latin-1')
    assert list(inputs.read_lines([], 2)) == [[('standard input line 1', 'caf\xe9\u2028!')]]
    give_input(b'good\nb\xe9d\n', encoding='latin-1')
    assert refused(lambda: list(inputs.read_lines([], 2))) == (
        'standard input:2: not UTF-8 (byte 0xe9); convert it: iconv -f ENCODING -t UTF-8')
