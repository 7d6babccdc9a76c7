"""What the tests of scripts/convert_checkpoint.py share."""
import helpers

from scripts import convert_checkpoint


def convert(*args):
    """The program's exit status."""
    return convert_checkpoint.main([str(arg) for arg in args] + ['--offline'])


def refused(*args):
    """The message of the DataError that a conversion raises, which is one line."""
    return helpers.refused(convert, *args)
