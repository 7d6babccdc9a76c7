"""Models from a Gluon repository and its cache."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from published_models import ROW, WEIGHTS, put_gluon, zipped

from bert.checkpoint import zoo
from bert.checkpoint.catalogue import MODELS
from bert.checkpoint.resolve import resolve
from bert.utils import download
from bert.utils.errors import DataError

pytestmark = pytest.mark.usefixtures('alone')


def test_gluon_repository_then_cache(tmp_path, server, row):
    paths = put_gluon(server, tmp_path)
    cache = tmp_path / 'mxnet' / 'models'
    found = resolve('bert_12_768_12')
    assert found == (str(cache / ROW.weights_file), str(cache / ROW.vocab_file),
                     MODELS['bert_12_768_12'].replace(vocab_size=3), False,
                     'bert_12_768_12 book_corpus_wiki_en_uncased from ' + server.url)
    assert Path(found.weights).read_bytes() == WEIGHTS
    assert sorted(os.listdir(str(cache))) == sorted([ROW.weights_file, ROW.vocab_file])
    again = resolve('bert_12_768_12', offline=True)
    assert again[:4] == found[:4] and again.source.endswith(str(cache))
    assert [server.gets(path) for path in paths] == [[None], [None]]


def test_a_broken_file_in_the_cache_is_fetched_again(tmp_path, server, row):
    put_gluon(server, tmp_path)
    found = resolve()
    Path(found.weights).write_bytes(b'broken')
    with pytest.raises(DataError, match=f'is broken: its SHA-1 is not {ROW.weights_sha1}'):
        resolve(offline=True)
    assert Path(resolve().weights).read_bytes() == WEIGHTS


@pytest.mark.parametrize('faults', [('cut', None), ('cut', 'no range'), ('stall', None),
                                    (503, 'cut', None)])
def test_gluon_repository_that_stumbles(tmp_path, server, row, faults, monkeypatch):
    weights, _ = put_gluon(server, tmp_path)
    server.fault(weights, *faults)
    monkeypatch.setattr(zoo, 'download', lambda url, path, offline:
                        download.download(url, path, offline=offline, timeout=0.5))
    assert Path(resolve().weights).read_bytes() == WEIGHTS


def test_gluon_repository_with_other_content(tmp_path, server, row):
    put_gluon(server, tmp_path, weights=b'evil')
    with pytest.raises(DataError) as error:
        resolve()
    assert (f"the SHA-1 of {ROW.weights_file} is {hashlib.sha1(b'evil').hexdigest()} where "
            f"{ROW.weights_sha1} was expected") in str(error.value)
    cache = tmp_path / 'mxnet' / 'models'
    assert os.listdir(str(cache)) == [ROW.vocab_file]
    server.put(f"gluon/models/{ROW.weights_file[:-len('.params')]}.zip", b'no zip')
    with pytest.raises(DataError, match='broken or not a zip or tar archive'):
        resolve()
    server.put(f"gluon/models/{ROW.weights_file[:-len('.params')]}.zip",
               zipped(tmp_path, 'other.params', WEIGHTS))
    with pytest.raises(DataError, match=f'{ROW.weights_file} is not in this archive'):
        resolve()
    assert os.listdir(str(cache)) == [ROW.vocab_file]


@pytest.mark.slow
def test_two_processes_at_once(tmp_path, server, monkeypatch):
    weights, vocab = put_gluon(server, tmp_path)
    server.fault(weights, 'dribble')
    code = ('from bert.checkpoint import catalogue, resolve\n'
            f'catalogue.CATALOGUE = [catalogue.PublishedModel(*{tuple(ROW)!r})]\n'
            'print(resolve.resolve().weights)')
    root = ROOT
    processes = [subprocess.Popen([sys.executable, '-c', code], cwd=root, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, universal_newlines=True)
                 for _ in range(2)]
    path = tmp_path / 'mxnet' / 'models' / ROW.weights_file
    assert [process.communicate(timeout=60)[0] for process in processes] == [f'{path}\n'] * 2
    assert path.read_bytes() == WEIGHTS
    assert [server.gets(weights), server.gets(vocab)] == [[None], [None]]
    assert sorted(os.listdir(str(path.parent))) == sorted([ROW.weights_file, ROW.vocab_file])
