"""The parser: spellings of flags, errors in one line, and the types of values."""
import argparse
import os

import pytest

from bert.utils import cli


@pytest.fixture
def parser():
    parser = cli.Parser(prog='it.py')
    parser.add_argument('texts', nargs='*')
    parser.add_argument('--batch_size', type=cli.positive_int, default=8, help='the size')
    group = parser.add_argument_group('training')
    group.add_argument('--lr', '--peak_rate', type=cli.positive_float)
    one = group.add_mutually_exclusive_group()
    one.add_argument('--as_json', action='store_true')
    parser.add_mutually_exclusive_group().add_argument('--gpu_ids')
    return parser


def test_dashes_and_underscores_are_the_same(parser):
    args = parser.parse_args(['--batch-size', '3', '--peak-rate=0.5', '--as-json', 'a-b',
                              '--gpu-ids', '-2,-1'])
    assert (args.batch_size, args.lr, args.as_json, args.texts, args.gpu_ids) == (
        3, 0.5, True, ['a-b'], ' -2,-1')
    assert parser.parse_args(['--batch_size=4', '--lr', '1e-5']).batch_size == 4


def test_a_value_keeps_its_dashes(parser):
    assert parser.parse_args(['--gpu_ids=a-b=c-d']).gpu_ids == 'a-b=c-d'
    assert parser.parse_args(['a-text', '--', '--well-known']).texts == ['a-text', '--well-known']


def test_an_alias_is_a_spelling_like_any_other(parser):
    parser.alias('--lr', '--learning_rate')
    for spelling in ('--lr', '--learning_rate', '--learning-rate', '--peak_rate'):
        assert parser.parse_args([spelling, '2']).lr == 2
    assert '--learning_rate' in parser.format_help()


def test_flags_can_be_changed_by_name(parser):
    parser.flags['--batch_size'].help = 'another text'
    assert 'another text' in parser.format_help() and 'the size' not in parser.format_help()


@pytest.mark.parametrize('arguments, message', [
    (['--batch-size', '0'], 'argument --batch_size: 0 is not a whole number from 1 up'),
    (['--lr'], 'argument --lr/--peak_rate: expected one argument'),
    (['--no-such-flag'], 'unrecognized arguments: --no-such-flag'), (['--batch'], '--batch')])
def test_an_error_is_one_line(parser, capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args(arguments)
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and error.count('\n') == 1
    assert error.startswith('it.py: error: ') and message in error
    assert error.endswith(' (see --help)\n')


@pytest.mark.parametrize('type_, good, bad', [
    (cli.positive_int, {'1': 1, '2147483647': 2 ** 31 - 1}, ['0', '-1', '1.5', 'x', '2147483648']),
    (cli.natural_int, {'0': 0, '7': 7}, ['-1', '', 'nan', '9' * 30]),
    (cli.whole_number(-1, 5), {'-1': -1, '5': 5}, ['-2', '6']),
    (cli.positive_float, {'1e-5': 1e-5}, ['0', '-1', 'nan', 'inf', 'x']),
    (cli.number_from_0, {'0': 0, '0.01': 0.01}, ['-0.1', 'nan', 'inf', '']),
    (cli.fraction, {'0': 0, '1': 1, '.5': .5}, ['1.01', '-1', 'nan', 'x'])])
def test_types(type_, good, bad):
    assert {text: type_(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match='is not'):
            type_(text)


def test_paths_begin_at_home(monkeypatch):
    monkeypatch.setenv('HOME', '/home/it')
    for text, expected in (('~/x', '/home/it/x'), ('~', '/home/it'), ('a/~', 'a/~'),
                           ('~nobody-of-that-name.csv', '~nobody-of-that-name.csv')):
        assert cli.path(text) == expected
    monkeypatch.setattr(cli.os.path, 'expanduser', lambda text: text)       # no home folder
    with pytest.raises(argparse.ArgumentTypeError, match='~/x: there is no home folder; set HOME'):
        cli.path('~/x')


def test_a_bound_is_named():
    with pytest.raises(argparse.ArgumentTypeError, match='^99 is not .* from 2 up to 9$'):
        cli.whole_number(2, 9)('99')
    assert max(256, os.cpu_count()) <= cli.MAX_WORKERS


def test_a_flag_without_a_meaning_is_explained(parser, capsys):
    parser.explain('--round_to', 'not needed', 1)
    parser.explain('--deploy', 'see export.py', refuse=True)
    assert not hasattr(parser.parse_args(['--round-to', '8']), 'round_to')
    assert capsys.readouterr().err == 'it.py: --round_to: not needed\n'
    with pytest.raises(SystemExit):
        parser.parse_args(['--deploy'])
    assert capsys.readouterr().err == 'it.py: error: --deploy: see export.py (see --help)\n'


@pytest.mark.parametrize('text, numbers', [('1,2,3', (1, 2, 3)), ('7', (7,)), ('1,1', None),
                                           ('1,x', None), ('-1', None), ('', None)])
def test_distinct_ints(text, numbers):
    if numbers is None:
        with pytest.raises(argparse.ArgumentTypeError):
            cli.distinct_ints(text)
    else:
        assert cli.distinct_ints(text) == numbers


def test_a_command_to_copy(monkeypatch, tmp_path):
    given = 'scripts/predict_ner.py', '--text', 'A text.', 'a"b$', 'plain'
    rest = '--text "A text." \'a"b$\' plain'
    for program, expected in (('/usr/bin/bert-finetune-ner', 'bert-predict-ner'),
                              ('/x/pytest', 'python scripts/predict_ner.py'),
                              (str(tmp_path / 'finetune_ner.py'),
                               f"python {tmp_path / 'predict_ner.py'}")):
        (tmp_path / 'predict_ner.py').touch()
        monkeypatch.setattr('sys.argv', [program])
        assert cli.command(*given) == f'{expected} {rest}'


@pytest.mark.parametrize('given, clauses', [
    (['--learning_rate', '2e-5', '--do_train'], '; --learning_rate is --lr here'),
    (['--learning-rate=1', '--train_batch_size', '4', '--learning_rate', '2'],
     '; --learning_rate is --lr here; --train_batch_size is --batch_size here'),
    (['--num_train_epochs', '3'], '')])         # this parser has none
def test_flags_of_other_toolkits_are_translated(parser, capsys, given, clauses):
    with pytest.raises(SystemExit):
        parser.parse_args(given)
    error = capsys.readouterr().err
    assert error.startswith('it.py: error: unrecognized arguments: ' + given[0])
    assert error.count(' here') == clauses.count(' here') and f'{clauses} (see --help)' in error
