"""Fixtures of several files: a server of models, and nothing else to take them from."""
import pytest
from http_server import Server
from published_models import ROW

from bert.checkpoint import catalogue
from bert.utils import download


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Caches of its own, no proxy, no waiting."""
    monkeypatch.setenv('MXNET_HOME', str(tmp_path / 'mxnet'))
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hf'))
    monkeypatch.setenv('MXNET_GLUON_REPO', 'http://127.0.0.1:9/')
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9/')
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    for name in ('BERT_OFFLINE', 'HF_HUB_OFFLINE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, '_BACKOFF', 0)


@pytest.fixture
def server(alone, monkeypatch):
    """A server that is both the Gluon repository and the hub."""
    with Server() as running:
        monkeypatch.setenv('MXNET_GLUON_REPO', running.url.rstrip('/'))
        monkeypatch.setenv('HF_ENDPOINT', running.url)
        yield running


@pytest.fixture
def row(monkeypatch):
    """One model in the catalogue, whose files are made here."""
    monkeypatch.setattr(catalogue, 'CATALOGUE', [ROW])
