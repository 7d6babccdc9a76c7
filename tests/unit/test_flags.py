"""Every numeric flag of every program with extreme values: accepted and finite, or one line."""
import importlib
import math

import pytest

from bert.utils import cli

# the arguments that each program requires
PROGRAMS = {
    'scripts.finetune_classifier': ['--task_name', 'sample'], 'scripts.finetune_squad': [],
    'scripts.finetune_ner': ['--train_path', 'x'],
    'scripts.predict_ner': ['--model_parameters', 'x'], 'scripts.run_pretraining': ['--data', 'x'],
    'scripts.run_pretraining_hvd': ['--data', 'x'],
    'scripts.create_pretraining_data': ['--input_file', 'x', '--output_dir', 'x'],
    'scripts.train_vocabulary': ['--input_file', 'x', '--output_dir', 'x'],
    'scripts.convert_checkpoint': ['x', 'y'], 'scripts.benchmark': [],
    'bert.embedding': ['--sentences', 'x'], 'export.export': ['--task', 'classification'],
    'scripts.launch': ['true', '-n1']}
EDGES = ['0', '-0', '-1', 'inf', '-inf', 'nan', '1e999', '1e308', '1e-308', '1e-400', '0.5', '1',
         '1' + '0' * 30, '2147483647', '2147483648', '9' * 5000, '', ' ', '0x10', '1,5']


def numeric_flags(program, monkeypatch):
    """The flags of a program that have a type, other than paths."""
    found = {}

    def record(parser, *names, **options):
        if options.get('type') not in (None, cli.path) and names[0].startswith('-'):
            found[names[0]] = options['type']
        return add(parser, *names, **options)
    add = cli.argparse._ActionsContainer.add_argument
    with monkeypatch.context() as patch:
        patch.setattr(cli.argparse._ActionsContainer, 'add_argument', record)
        given = PROGRAMS[program.__name__]
        program.parse_args(given[::-1] if program.__name__ == 'scripts.launch' else given)
    return sorted(found)


@pytest.mark.parametrize('name', PROGRAMS)
def test_numbers_at_the_edges(name, monkeypatch, capsys):
    program = importlib.import_module(name)
    flags = numeric_flags(program, monkeypatch)
    assert flags or name == 'scripts.convert_checkpoint'
    for flag in flags:
        for value in EDGES:
            given = [*PROGRAMS[name], f'{flag}={value}']
            try:        # the words after the command of launch.py are the command's
                args = program.parse_args(given[::-1] if name == 'scripts.launch' else given)
            except SystemExit as end:
                error = capsys.readouterr().err
                assert end.code == 2 and error.count('\n') == 1, (flag, value, error)
                assert flag in error and len(error) < 400, (flag, value, error)
                continue
            for number in vars(args).values():
                if isinstance(number, float):
                    assert math.isfinite(number) and abs(number) <= 1e38, (flag, value)
                elif isinstance(number, int):
                    assert abs(number) < 2 ** 63 or flag.endswith('seed'), (flag, value)
