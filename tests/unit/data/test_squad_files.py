"""Where the official SQuAD files come from, without the network."""
import hashlib
import os

import pytest
from http_server import Server

from bert.data import squad_files
from bert.utils.errors import DataError
from bert.utils.hosts import gluon_repository

BODY = b'{"data": []}'
NAME = 'dev-v2.0.json'


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv('MXNET_HOME', str(tmp_path))


@pytest.fixture
def server(monkeypatch):
    with Server() as server:
        monkeypatch.setattr(squad_files, '_SITE', server.url)
        monkeypatch.setattr(squad_files, '_SHA1', {NAME: [hashlib.sha1(BODY).hexdigest(), 'other']})
        yield server


@pytest.fixture
def gluonnlp(monkeypatch):
    """GluonNLP's host; it has the file where ``gluonnlp['body']`` is set."""
    host = {}

    def fetch(split, version, folder):
        if 'body' not in host:
            raise OSError('host is gone')
        with open(os.path.join(folder, f'{split}-v{version}.json'), 'wb') as f:
            f.write(host['body'])

    monkeypatch.setattr(squad_files, '_from_gluonnlp', fetch)
    return host


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def test_gluonnlp_is_asked_first(server, gluonnlp, tmp_path):
    gluonnlp['body'] = BODY
    path = squad_files.find('dev', '2.0')
    assert path == str(tmp_path / 'datasets' / 'squad' / NAME) and read(path) == BODY
    assert server.requests == []


@pytest.mark.parametrize('body', [None, b'half a fi'])
def test_the_site_is_asked_where_gluonnlp_fails(server, gluonnlp, tmp_path, body):
    if body:
        gluonnlp['body'] = body
    server.put(NAME, BODY)
    path = squad_files.find('dev', '2.0')
    assert read(path) == BODY
    assert os.listdir(os.path.dirname(path)) == [NAME]
    server.put(NAME, status=404)
    assert squad_files.find('dev', '2.0', offline=True) == path


def test_every_host_is_told_of(server, gluonnlp, tmp_path):
    server.put(NAME, status=403)
    with pytest.raises(DataError) as error:
        squad_files.find('dev', '2.0')
    assert 'GluonNLP: host is gone; SQuAD: ' in str(error.value) and '403' in str(error.value)
    assert '--dev_file' in str(error.value) and '\n' not in str(error.value)


def test_another_file_is_refused(server, gluonnlp, tmp_path):
    server.put(NAME, b'{"data": [1]}')
    with pytest.raises(DataError, match='its SHA-1 is'):
        squad_files.find('dev', '2.0')
    assert not (tmp_path / 'datasets' / 'squad' / NAME).exists()


def test_offline(server, gluonnlp, tmp_path):
    with pytest.raises(DataError, match='offline; name your copy with --dev_file'):
        squad_files.find('dev', '2.0', offline=True)
    assert server.requests == []


def test_gluonnlp_keeps_the_file_where_it_is_looked_for(monkeypatch, tmp_path):
    import gluonnlp
    asked = []
    monkeypatch.setattr(squad_files, 'reach', asked.append)
    monkeypatch.setattr(gluonnlp.data, 'SQuAD', lambda *args, **more: asked.append((args, more)))
    squad_files._from_gluonnlp('train', '1.1', str(tmp_path))
    assert asked == [gluon_repository(), (('train', '1.1'), {'root': str(tmp_path)})]


@pytest.mark.parametrize('split', ['train', 'dev'])
@pytest.mark.parametrize('version', ['1.1', '2.0'])
def test_sample_files_are_there(split, version):
    assert os.path.isfile(squad_files.sample(split, version))
