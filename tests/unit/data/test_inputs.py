"""Lines to predict."""
import io
import sys

from bert.data import inputs


def test_given_texts_are_one_line():
    assert list(inputs.read_lines(['a text', 'another'], 8)) == [[('--predict', 'a text\tanother')]]


def test_standard_input_comes_in_lists_and_is_read_as_needed(monkeypatch):
    monkeypatch.setattr(sys, 'stdin', io.StringIO('a\r\n\nb\tc\nlast'))
    lists = inputs.read_lines([], 2)
    assert next(lists) == [('standard input line 1', 'a'), ('standard input line 2', '')]
    assert sys.stdin.read() == 'b\tc\nlast'


def test_the_end_of_standard_input(monkeypatch):
    monkeypatch.setattr(sys, 'stdin', io.StringIO('a\nb\nc\n'))
    assert [len(lines) for lines in inputs.read_lines([], 2)] == [2, 1]
    assert list(inputs.read_lines([], 2)) == []
