"""The command-line parser of every program, and the types of its values."""
import argparse
import re

__all__ = ['Parser', 'positive_int', 'positive_float', 'fraction']


class Parser(argparse.ArgumentParser):
    """An ArgumentParser in which ``-`` and ``_`` are the same inside a flag's name."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
                         **kwargs)

    def alias(self, flag, other):
        """Let ``other`` be one more spelling of ``flag``."""
        action = self._option_string_actions[flag]
        action.option_strings.append(other)
        self._option_string_actions[other] = action

    def parse_known_args(self, args=None, namespace=None):
        if args is None:
            import sys
            args = sys.argv[1:]
        return super().parse_known_args([self._known(arg) for arg in args], namespace)

    def _known(self, arg):
        name, equals, value = arg.partition('=')
        spelled = re.sub('-', '_', name[2:])
        if name.startswith('--') and '--' + spelled in self._option_string_actions:
            return '--' + spelled + equals + value
        # argparse takes -1 for a value but -2,-1 for a flag, unless there is a space in it
        return ' ' + arg if re.fullmatch(r'-\d+(,-?\d+)+', arg) else arg


def positive_int(text):
    """argparse type: a whole number from 1 up."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a whole number from 1 up')
    return value


def fraction(text):
    """argparse type: a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


def positive_float(text):
    """argparse type: a number above 0."""
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a number above 0')
    return value
