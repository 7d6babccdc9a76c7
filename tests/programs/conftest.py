"""Tests that run a program as a process are slow: importing MXNet alone takes seconds."""
import pytest

# fixtures that start processes, and one that exports models
SLOW = {'program', 'whole', 'one_worker', 'exports'}


@pytest.hookimpl(tryfirst=True)     # before -m chooses
def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW & set(getattr(item, 'fixturenames', ())):
            item.add_marker(pytest.mark.slow)
