"""The command-line parser of every program, and the types of its values."""
import argparse
import os
import re
import shlex
import sys
from typing import Any, Callable, Dict, Tuple

__all__ = ['Parser', 'command', 'console_command', 'path', 'recorded', 'whole_number',
           'positive_int', 'natural_int', 'positive_float', 'number_from_0', 'fraction',
           'dropout_rate', 'number', 'distinct_ints', 'number_list', 'add_overwrite_flag',
           'MAX_WORKERS', 'MAX_DEVICES']

MAX_WORKERS = max(256, 4 * (os.cpu_count() or 1))   # processes; more are a slip of the finger
MAX_DEVICES = 64                                    # on one host


# flags of Hugging Face's example scripts and of google-research/bert -> ours of the same meaning,
# in this order where a program has several
_ELSEWHERE = {
    'model_name_or_path': 'bert_model', 'init_checkpoint': 'bert_model',
    'config_name': 'bert_model', 'tokenizer_name': 'bert_model', 'vocab_file': 'vocab',
    'train_file': 'train_path', 'input_file': 'data', 'data_path': 'data_dir data',
    'validation_file': 'dev_file dev_path data_eval', 'dev_file': 'dev_path',
    'predict_file': 'dev_file test_path', 'test_file': 'test_path',
    'text_column_name': 'text_columns token_column', 'label_column_name': 'label_column tag_column',
    'do_predict': 'only_inference only_predict', 'version_2_with_negative': 'version_2',
    'max_seq_length': 'max_len seq_len', 'max_length': 'max_len max_seq_length seq_len',
    'max_len': 'seq_len max_seq_length', 'seq_len': 'max_len max_seq_length',
    'max_answer_len': 'max_answer_length',
    'per_device_train_batch_size': 'batch_size', 'train_batch_size': 'batch_size',
    'per_gpu_train_batch_size': 'batch_size',
    'per_device_eval_batch_size': 'dev_batch_size test_batch_size batch_size_eval',
    'eval_batch_size': 'dev_batch_size test_batch_size batch_size_eval',
    'predict_batch_size': 'test_batch_size batch_size',
    'gradient_accumulation_steps': 'accumulate', 'learning_rate': 'lr', 'adam_epsilon': 'epsilon',
    'num_train_epochs': 'epochs', 'num_epochs': 'epochs', 'max_steps': 'training_steps num_steps',
    'num_train_steps': 'num_steps training_steps', 'warmup_proportion': 'warmup_ratio',
    'max_grad_norm': 'clip', 'optim': 'optimizer', 'fp16': 'dtype', 'bf16': 'dtype',
    'use_fp16': 'dtype', 'logging_steps': 'log_interval',
    'save_steps': 'save_interval ckpt_interval',
    'save_checkpoints_steps': 'ckpt_interval save_interval', 'eval_steps': 'eval_interval',
    'early_stopping_patience': 'early_stop', 'overwrite_output_dir': 'overwrite',
    'resume_from_checkpoint': 'resume', 'output_file': 'output_dir output',
    'lowercase': 'uncased', 'do_lower_case': 'uncased',
}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser in which ``-`` and ``_`` are the same inside a flag's name.

    Flags are declared with ``_``.  ``flags`` maps each of their spellings to the action that
    ``add_argument`` made.  A usage error is one line.
    """

    def __init__(self, **kwargs: Any):
        self.flags: Dict[str, argparse.Action] = {}
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
                         **kwargs)

    def add_argument(self, *names, **options):
        return self._record(super().add_argument(*names, **options))

    def add_argument_group(self, *args, **kwargs):
        return self._recording(super().add_argument_group(*args, **kwargs))

    def add_mutually_exclusive_group(self, **kwargs):
        return self._recording(super().add_mutually_exclusive_group(**kwargs))

    def _record(self, action):
        self.flags.update((name, action) for name in action.option_strings)
        return action

    def _recording(self, group):
        """``group``, which now records the flags that are added to it."""
        add, nest = group.add_argument, group.add_mutually_exclusive_group
        group.add_argument = lambda *names, **options: self._record(add(*names, **options))
        group.add_mutually_exclusive_group = lambda **kwargs: self._recording(nest(**kwargs))
        return group

    def alias(self, flag: str, other: str) -> None:
        """Let ``other`` be one more spelling of ``flag``."""
        self.flags[flag].option_strings.append(other)
        self.flags[other] = self.flags[flag]

    def explain(self, flag: str, text: str, nargs: int = 0, refuse: bool = False) -> None:
        """Take ``flag``, with ``nargs`` values, which means nothing here: print ``text``.

        With ``refuse``, because the program would do something else than what the flag asks for,
        it is a usage error.
        """
        self.add_argument(flag, action=_Explained, nargs=nargs, const=(text, refuse),
                          dest=argparse.SUPPRESS, help=argparse.SUPPRESS)

    def parse_known_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._declared(arg) for arg in args], namespace)

    def _declared(self, arg):
        """``arg``, with a flag's name spelled as it was declared."""
        name, equals, value = arg.partition('=')
        action = self.flags.get('--' + name[2:].replace('-', '_'))
        if name.startswith('--') and action:
            if value == '--':       # for which argparse would take an empty list
                self.error(f'argument {name}: -- is not a value')
            return action.option_strings[0] + equals + value
        # argparse takes -1 for a value but -2,-1 for a flag, unless there is a space in it
        return ' ' + arg if re.fullmatch(r'-\d+(,-?\d+)+', arg) else arg

    def error(self, message):
        message = ' '.join(message.splitlines())        # a value may have several, or be long
        if message.startswith('unrecognized arguments'):
            message += _translation(message, self.flags)
        message = re.sub(r'\S{200,}', lambda word: word.group()[:80] + '...', message)
        self.exit(2, f'{self.prog}: error: {message} (see --help)\n')


def _translation(message, flags):
    """Which of these flags are those of other toolkits that a message names, as its last words."""
    found = {}
    for word in message.split():
        name = word.partition('=')[0][2:].replace('-', '_')
        own = [flag for flag in _ELSEWHERE.get(name, '').split() if '--' + flag in flags]
        if word.startswith('--') and own:
            found[name] = f'; --{name} is --{own[0]} here'
    return ''.join(found.values())


class _Explained(argparse.Action):
    """The action of :meth:`Parser.explain`."""

    def __call__(self, parser, namespace, values, option_string=None):
        text, refuse = self.const
        if refuse:
            parser.error(f'{option_string}: {text}')
        print(f'{parser.prog}: {option_string}: {text}', file=sys.stderr)


def command(script: str, *arguments: str) -> str:
    """A command to copy and paste: ``script`` of this package as the user runs it, and arguments.

    ``script`` is the path in a checkout.  Where this process is a console command of the installed
    package, it becomes another one: :func:`console_command`.  Arguments are quoted if need be.
    """
    if os.path.basename(sys.argv[0]).startswith('bert-'):
        return console_command(script, *arguments)
    sibling = os.path.join(os.path.dirname(sys.argv[0]), os.path.basename(script))
    program = sibling if os.path.exists(sibling) else script
    return ' '.join(map(_quoted, ('python', program, *arguments)))


def console_command(script: str, *arguments: str) -> str:
    """As :func:`command`, of the installed package (``bert-predict-ner``) wherever it is run."""
    name = os.path.basename(script)[:-len('.py')]
    return ' '.join(map(_quoted, ('bert-' + name.replace('_', '-'), *arguments)))


def _quoted(text):
    """``text`` for a shell, in double quotes where these do."""
    quoted = shlex.quote(text)
    return quoted if quoted == text or re.search(r'["$`\\!]', text) else f'"{text}"'


def add_overwrite_flag(group: Any, folder: str = '--output_dir') -> None:
    """Let a run replace the result in the folder that the flag ``folder`` names."""
    group.add_argument('--overwrite', action='store_true',
                       help=f'replace an earlier result in {folder}, once the new one is complete')


def _type(convert: Callable, accepts: Callable, wanted: str) -> Callable[[str], Any]:
    """An argparse type: ``convert(text)`` if ``accepts`` it; ``wanted`` completes 'x is not'."""
    def parse(text):
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not accepts(value):
            raise argparse.ArgumentTypeError(f'{text} is not {wanted}')
        return value
    return parse


def path(text: str) -> str:
    """The argparse type of files and folders: ``~`` at the start is the home folder.

    A shell replaces it in ``--file ~/x`` only, and not in ``--file=~/x``.
    """
    found = os.path.expanduser(text)
    if found == '~' or found.startswith('~/'):
        raise argparse.ArgumentTypeError(f'{text}: there is no home folder; set HOME')
    return found


def recorded(value: Any) -> Any:
    """A value of a flag, to compare that of a run with that of now: names of models, and versions
    before :func:`path`, have ``~/x`` as it was given."""
    return os.path.expanduser(value) if isinstance(value, str) else value


def whole_number(low: int, high: int = 2 ** 31 - 1) -> Callable[[str], int]:
    """The argparse type of the whole numbers from ``low`` to ``high``, both included."""
    return _type(int, lambda value: low <= value <= high,
                 f'a whole number from {low} up to {high}')


positive_int = whole_number(1)
natural_int = whole_number(0)
# in float32, beyond these, a number would be 0 or infinite
_SMALLEST, _LARGEST = 1e-37, 1e38
positive_float = _type(float, lambda value: _SMALLEST <= value <= _LARGEST,
                       f'a number above 0 ({_SMALLEST:g} to {_LARGEST:g})')
number_from_0 = _type(float, lambda value: 0 <= value <= _LARGEST,
                      f'a number from 0 up to {_LARGEST:g}')
fraction = _type(float, lambda value: 0 <= value <= 1, 'between 0 and 1')
dropout_rate = _type(float, lambda value: 0 <= value < 1, 'a number from 0 to below 1')


def number(low: float, high: float) -> Callable[[str], float]:
    """The argparse type of the numbers from ``low`` to ``high``, both included."""
    return _type(float, lambda value: low <= value <= high,
                 f'a number from {low:g} up to {high:g}')


def distinct_ints(text: str) -> Tuple[int, ...]:
    """The argparse type of whole numbers from 0 up that differ, separated by commas."""
    numbers = tuple(map(natural_int, text.split(',')))
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f'{text} has a number twice')
    return numbers


def number_list(text: str) -> Tuple[int, ...]:
    """The argparse type of whole numbers separated by commas."""
    try:
        return tuple(int(number) for number in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is not a list such as -2,-1') from None
