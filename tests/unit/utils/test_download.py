"""Downloads from a local server that misbehaves."""
import errno
import fcntl
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest
from helpers import ROOT
from http_server import Server

from bert.utils import download as downloading
from bert.utils.download import DownloadError, download, is_offline, sha1sum
from bert.utils.errors import DataError

BODY = bytes(range(256)) * 800          # 204800 bytes: several chunks
SHA1 = hashlib.sha1(BODY).hexdigest()
SILENCE = 2     # seconds; on a busy machine, a server that is well may be silent for one


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.setattr(downloading, '_BACKOFF', 0)


def left(folder):
    return sorted(os.listdir(str(folder)))


def read(path):
    with open(str(path), 'rb') as f:
        return f.read()


def test_a_good_answer(server, tmp_path):
    url = server.put('a/file.bin', BODY)
    path = str(tmp_path / 'new' / 'file.bin')
    assert download(url, path, SHA1) == path
    assert read(path) == BODY
    assert left(tmp_path / 'new') == ['file.bin']
    download(url, path, SHA1)
    assert server.gets('a/file.bin') == [None]      # the second call asked nobody


def test_a_file_of_the_wrong_hash_is_replaced_and_one_without_hash_stands(server, tmp_path):
    url = server.put('file', BODY)
    path = tmp_path / 'file'
    path.write_bytes(b'mine')
    download(url, str(path))
    assert read(path) == b'mine'
    download(url, str(path), SHA1)
    assert read(path) == BODY


def test_a_body_cut_once_is_resumed(server, tmp_path):
    url = server.put('file', BODY)
    server.fault('file', 'cut', None)
    assert read(download(url, str(tmp_path / 'file'), SHA1)) == BODY
    first, second = server.gets('file')
    assert first is None
    kept = int(second[len('bytes='):-1])
    assert len(BODY) // 2 - downloading._CHUNK <= kept <= len(BODY) // 2
    assert left(tmp_path) == ['file']


def test_every_attempt_that_brings_something_counts_as_a_first(server, tmp_path):
    # each cut or silence comes halfway through what was missing
    url = server.put('file', BODY * 10)
    server.fault('file', 'cut', 'cut', 500, 'cut', 'stall', 503, 429, 'cut', None)
    assert read(download(url, str(tmp_path / 'file'), timeout=SILENCE)) == BODY * 10
    assert len(server.gets('file')) == 9


@pytest.mark.parametrize('fault, requests', [('no range', 2), ('other range', 3)])
def test_a_server_without_ranges_is_begun_anew(server, tmp_path, fault, requests):
    url = server.put('file', BODY)
    server.fault('file', 'cut', fault)
    assert read(download(url, str(tmp_path / 'file'))) == BODY
    assert len(server.gets('file')) == requests


def test_a_body_that_is_always_cut_is_given_up(server, tmp_path, monkeypatch):
    url = server.put('file', BODY)
    server.fault('file', 'cut')
    monkeypatch.setattr(downloading, '_CHUNK', 1 << 20)  # a cut body brings nothing, then
    with pytest.raises(DownloadError) as error:
        download(url, str(tmp_path / 'file'), SHA1)
    assert str(error.value).startswith(url + ': ')
    assert str(error.value).endswith('run again: the download continues where it stopped')
    assert len(server.gets('file')) == downloading._TRIES
    assert 'file' not in left(tmp_path)


def test_a_cut_body_that_cannot_be_resumed_is_given_up(server, tmp_path):
    url = server.put('file', BODY, headers={'ETag': 'W/"weak"'})    # no good for a range
    server.fault('file', 'cut')
    with pytest.raises(DownloadError, match='run again: the download continues where it stopped$'):
        download(url, str(tmp_path / 'file'), SHA1)
    assert len(server.gets('file')) == 1 + downloading._TRIES    # the first brought something


@pytest.mark.parametrize('fault', ['stall', 'dribble'])
def test_slow_answers(server, tmp_path, fault):
    url = server.put('file', BODY)
    server.fault('file', fault, None)
    assert read(download(url, str(tmp_path / 'file'), SHA1, timeout=SILENCE)) == BODY
    # a body that comes slowly is waited for, one that stops coming is asked for again
    assert len(server.gets('file')) == {'stall': 2, 'dribble': 1}[fault]


def test_wrong_hash(server, tmp_path):
    url = server.put('file', BODY[:-1])
    with pytest.raises(DownloadError, match=f'SHA-1 is {hashlib.sha1(BODY[:-1]).hexdigest()} where '
                                            f'{SHA1} was expected; what came was removed'):
        download(url, str(tmp_path / 'file'), SHA1)
    assert left(tmp_path) == []


@pytest.mark.parametrize('status, name', [(403, 'Forbidden'), (404, 'Not Found')])
def test_a_refusal_is_final(server, tmp_path, status, name):
    url = server.put('file', BODY)
    server.fault('file', status, None)
    path = str(tmp_path / 'file')
    with pytest.raises(DownloadError) as error:
        download(url, path)
    assert str(error.value) == (f'{url}: {status} {name}; the host does not serve it: get the file '
                                f'elsewhere and put it at {path}')
    assert error.value.reason == f'{url}: {status} {name}'
    assert isinstance(error.value, DataError)
    assert len(server.gets('file')) == 1
    assert left(tmp_path) == []


@pytest.mark.parametrize('status', [429, 503])
def test_a_busy_server_is_asked_again(server, tmp_path, status):
    url = server.put('file', BODY)
    server.fault('file', status, status, None)
    assert read(download(url, str(tmp_path / 'file'))) == BODY
    server.fault('file', status)
    with pytest.raises(DownloadError, match=f'file: {status} '):
        download(url, str(tmp_path / 'other'))
    assert len(server.gets('file')) == 3 + downloading._TRIES


def test_a_busy_server_says_when_to_ask_again(server, tmp_path):
    url = server.put('file', BODY, headers={'Retry-After': '1'})
    server.fault('file', 503, None)
    start = time.monotonic()
    assert read(download(url, str(tmp_path / 'file'))) == BODY
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize('lookup', ['stalls', 'fails'])
def test_a_host_that_cannot_be_reached_is_given_up_soon(tmp_path, monkeypatch, lookup):
    lookups = []

    def getaddrinfo(host, *_, **__):
        lookups.append(host)
        if lookup == 'stalls':
            time.sleep(3)
        raise socket.gaierror(-2, 'Name or service not known')
    monkeypatch.setattr(socket, 'getaddrinfo', getaddrinfo)
    monkeypatch.setattr(downloading, '_REACH', 0.3)
    start = time.monotonic()
    with pytest.raises(DownloadError, match='no connection to host.invalid within 0.3 seconds; '
                       if lookup == 'stalls' else 'Name or service not known; check the network'):
        download('https://host.invalid/file', str(tmp_path / 'file'))
    assert time.monotonic() - start < 2
    assert lookups == ['host.invalid']      # no second attempt


def test_three_hosts_are_given_up_within_ten_seconds():
    assert 3 * downloading._REACH < 10


def test_the_proxy_is_what_must_be_reached(server, tmp_path, monkeypatch):
    url = server.put('file', BODY)
    monkeypatch.delenv('NO_PROXY')
    monkeypatch.setenv('http_proxy', 'http://127.0.0.1:9')
    with pytest.raises(DownloadError, match='Connection refused; check the network .HTTPS_PROXY'):
        download(url, str(tmp_path / 'file'))
    monkeypatch.setenv('http_proxy', server.url)
    with pytest.raises(DownloadError, match='file: 404 Not Found'):     # it is asked, by the URL
        download('http://host.invalid/file', str(tmp_path / 'file'))


def test_nobody_listens_and_no_address(tmp_path):
    with Server() as gone:
        pass
    with pytest.raises(DownloadError, match=f'^{gone.url}file: Connection refused; check the '
                                            'network'):
        download(gone.url + 'file', str(tmp_path / 'file'))
    with pytest.raises(DownloadError, match='^nowhere/file: .*; correct the address$'):
        download('nowhere/file', str(tmp_path / 'file'))


def test_a_later_run_resumes(server, tmp_path):
    url = server.put('file', BODY)
    server.fault('file', 'cut', 404)
    with pytest.raises(DownloadError):
        download(url, str(tmp_path / 'file'))
    assert left(tmp_path) == ['file.part', 'file.part.etag']
    kept = os.path.getsize(str(tmp_path / 'file.part'))
    assert 0 < kept <= len(BODY) // 2
    server.fault('file', None)
    assert read(download(url, str(tmp_path / 'file'))) == BODY
    assert server.gets('file')[-1] == f'bytes={kept}-'
    assert left(tmp_path) == ['file']


def test_a_file_that_changed_meanwhile_is_begun_anew(server, tmp_path):
    url = server.put('file', BODY)
    server.fault('file', 'cut', 404)
    with pytest.raises(DownloadError):
        download(url, str(tmp_path / 'file'))
    server.put('file', b'x' * len(BODY))
    server.fault('file', None)
    assert read(download(url, str(tmp_path / 'file'))) == b'x' * len(BODY)


def test_a_part_of_unknown_origin(server, tmp_path):
    url = server.put('file', BODY, etag=False)
    part = tmp_path / 'file.part'
    part.write_bytes(BODY[:1000])
    assert read(download(url, str(tmp_path / 'file'), SHA1)) == BODY    # the hash vouches for it
    part.write_bytes(b'y' * 1000)
    assert read(download(url, str(tmp_path / 'other'))) == BODY
    part.rename(tmp_path / 'third.part')
    assert read(download(url, str(tmp_path / 'third'))) == BODY         # nothing does
    assert server.gets('file') == ['bytes=1000-', None, None]


def test_a_part_that_is_too_long_is_begun_anew(server, tmp_path):
    url = server.put('file', BODY)
    (tmp_path / 'file.part').write_bytes(BODY + b'more')
    assert read(download(url, str(tmp_path / 'file'), SHA1)) == BODY
    assert server.gets('file') == [f'bytes={len(BODY) + 4}-', None]


def test_offline(server, tmp_path, monkeypatch):
    url = server.put('file', BODY)
    path = tmp_path / 'file'
    with pytest.raises(DownloadError, match=f'this run is offline; put the file at {path}'):
        download(url, str(path), offline=True)
    path.write_bytes(BODY)
    assert download(url, str(path), SHA1, offline=True) == str(path)
    assert server.requests == []
    for name in ('BERT_OFFLINE', 'HF_HUB_OFFLINE'):
        monkeypatch.delenv('BERT_OFFLINE', raising=False)
        monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)
        assert is_offline() is False
        monkeypatch.setenv(name, '1')
        assert is_offline() is True
        assert is_offline(False) is False


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(DownloadError, match='can\'t be written .*choose another folder'):
        download(server.put('x', BODY), str(tmp_path / 'file' / 'x'))


def test_a_large_file_is_announced_where_no_bar_can_be(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(downloading, '_LARGE', 1000)
    url = server.put('file', BODY)
    download(url, str(tmp_path / 'file'))
    assert capsys.readouterr() == ('', f'downloading file (0 MB) from {url}\n')


def start(code, *arguments, **keywords):
    """Another Python process that runs ``code``."""
    root = ROOT
    keywords.setdefault('stderr', subprocess.PIPE)
    return subprocess.Popen([sys.executable, '-c', code] + list(arguments), cwd=root,
                            universal_newlines=True, **keywords)


FETCH = 'import sys; from bert.utils.download import download; download(*sys.argv[1:])'


def test_a_bar_on_a_terminal(server, tmp_path):
    url = server.put('file', BODY)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    process = start(FETCH, url, str(tmp_path / 'file'), stderr=theirs)
    os.close(theirs)
    shown = b''
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:                 # the other end is closed
            break
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert b'file: 100%' in shown and b'205k/205k' in shown


@pytest.mark.slow
def test_two_processes_at_once(server, tmp_path):
    url = server.put('file', BODY)
    server.fault('file', 'dribble')
    processes = [start(FETCH, url, str(tmp_path / 'file'), SHA1) for _ in range(2)]
    assert [(process.communicate(timeout=60), process.returncode)[1] for process in processes] == [
        0, 0]
    assert read(tmp_path / 'file') == BODY
    assert left(tmp_path) == ['file']
    assert server.gets('file') == [None]            # one fetched, the other took what it brought


def test_a_killed_process_leaves_no_lock(server, tmp_path):
    url = server.put('file', BODY)
    server.fault('file', 'stall', None)
    process = start(FETCH, url, str(tmp_path / 'file'), SHA1)
    deadline = time.monotonic() + 60
    while not (tmp_path / 'file.part').exists() or not os.path.getsize(str(tmp_path / 'file.part')):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / 'file').exists()
    assert read(download(url, str(tmp_path / 'file'), SHA1)) == BODY
    assert server.gets('file')[1] is not None
    assert left(tmp_path) == ['file']


@pytest.mark.parametrize('number', [errno.ENOLCK, errno.ENOSYS])
def test_a_disk_without_locks(server, tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(fcntl, 'flock', flock)
    assert read(download(server.put('file', BODY), str(tmp_path / 'file'))) == BODY
    assert left(tmp_path) == ['file']


def test_sha1sum(tmp_path):
    (tmp_path / 'x').write_bytes(b'abc')
    assert sha1sum(str(tmp_path / 'x')) == 'a9993e364706816aba3e25717850c26c9cd0d89d'
