"""Fixtures of several files: the operators in C++."""
import pytest

from bert.model import ops


@pytest.fixture(scope='module')
def operators():
    """The compiled operators, or a skip."""
    if not ops.load():
        pytest.skip('the operators cannot be built here')
