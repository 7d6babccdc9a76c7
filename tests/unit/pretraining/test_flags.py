"""Flags -> settings: defaults filled in, what arguments.json records, and bounds."""
import os

import pytest

from bert.pretraining import flags, settings
from bert.utils import cli


def parse(*arguments):
    parser = cli.Parser(prog='it.py')
    flags.add_run_flags(parser)
    return flags.check(parser, parser.parse_args(arguments))


def test_settings_of_a_run():
    args = parse('--data', 'a', 'b', '--raw', '--data_eval', 'c', '--eval_use_npz', '--num_steps',
                 '50', '--use_avg_len', '--batch_size', '512', '--warmup_ratio', '0.2',
                 '--max_seq_length', '64', '--whole_word_mask', '--ckpt_interval', '7', '--model',
                 'bert_1_16_2', '--vocab', 'v', '--cased', '--seed', '3')
    before = dict(vars(args))
    run = flags.run_settings(args)
    assert run.data == settings.DataSettings(
        ('a', 'b'), ('c',), raw=True, dev_raw=False,
        masking=settings.MaskingSettings(64, whole_word_mask=True))
    assert run.model == settings.ModelSettings(
        'bert_1_16_2', vocabulary=settings.VocabularySettings(path='v', cased=True))
    assert run.training == settings.PretrainingSettings(50, 512, True, warmup_ratio=0.2, seed=3)
    assert (run.checkpoints.interval, run.log.eval_interval, run.log.interval) == (7, 7, 250)
    assert vars(args) == before == run.checkpoints.arguments


def test_the_schedule():
    linear, poly = (flags.run_settings(parse(
        '--synthetic_data', '--num_steps', '6', '--warmup_ratio', '0.5', '--lr', '1', '--schedule',
        name)).training for name in ('linear', 'poly'))
    assert [linear.learning_rate(i) for i in range(1, 7)] == pytest.approx(
        [1 / 3, 2 / 3, 1, .75, .5, .25])
    assert poly.learning_rate(5) == pytest.approx(.5 ** .5)


def test_synthetic_data():
    assert flags.run_settings(parse('--data', 'x')).data.synthetic_length is None
    assert flags.run_settings(parse('--synthetic_data')).data.synthetic_length == 512
    assert flags.run_settings(
        parse('--synthetic_data', '--dummy_data_len', '9')).data.synthetic_length == 9


def test_start_fills_in_what_arguments_json_records():
    args = parse('--data', 'x', '--path', 'padded', '--ckpt_dir', os.path.join('~', 'out'))
    before = dict(vars(args))
    run, machine = flags.start(args, 'local')
    assert vars(args) == before and (before['cpus'], before['dtype']) == (None, None)
    home = os.path.join(os.path.expanduser('~'), 'out')
    assert dict(before, cpus=1, dtype='float32', path='padded', comm='local',
                ckpt_dir=home) == run.checkpoints.arguments
    assert run.checkpoints.folder == home
    assert (machine.layout, machine.dtype, machine.comm.size) == ('padded', 'float32', 1)


@pytest.mark.parametrize('flag, value, bound', [
    ('--max_seq_length', '1000000000', 65536), ('--num_data_workers', '100000', cli.MAX_WORKERS),
    ('--seed', '4294967296', 2 ** 32 - 1), ('--num_buckets', '65537', 65536)])
def test_bounds(capsys, flag, value, bound):
    with pytest.raises(SystemExit):
        parse('--data', 'x', flag, value)
    error = capsys.readouterr().err
    assert f'argument {flag}' in error and f': {value} is not a whole number' in error
    assert f'up to {bound} ' in error
    assert error.count('\n') == 1


def test_the_help_of_dtype():
    parser = cli.Parser(prog='it.py')
    flags.add_run_flags(parser)
    assert 'float16 on GPUs, float32 on CPUs' in ' '.join(parser.format_help().split())
