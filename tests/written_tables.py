"""Tables that a test writes, reads back, or finds refused."""
import pytest

from bert.data import tables
from bert.utils.errors import DataError


def write(path, *lines):
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return str(path)


def read(path):
    return path.read_bytes().decode('utf-8')


def wrong(path, *args, **kwargs):
    """The message without the path at its head."""
    with pytest.raises(DataError) as error:
        tables.read_table(str(path), *args, **kwargs)
    message = str(error.value)
    assert message.startswith(str(path)) and '\n' not in message
    return message[len(str(path)):]
