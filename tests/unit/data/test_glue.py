import contextlib
import functools
import http.server
import os
import subprocess
import sys
import threading
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import ROOT

from bert.data import glue, tables, tasks
from bert.data.tables import Example
from bert.utils.errors import DataError, install
from bert.utils.files import SAMPLE

RTE = 'index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n'


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """No source but those that a test puts back, and an empty cache."""
    monkeypatch.setenv('MXNET_HOME', str(tmp_path))
    for name in '_GLUONNLP', '_ARCHIVES', '_HUB':
        monkeypatch.setattr(glue, name, {})
    for module in 'data.glue', 'utils.hosts':       # their libraries are replaced, too
        monkeypatch.setattr(f'bert.{module}.reach', lambda url: None)
    monkeypatch.setattr('bert.utils.download._BACKOFF', 0)


@pytest.fixture
def host(tmp_path):
    """(folder, address) of an HTTP server on this machine."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass
    folder = tmp_path / 'host'
    folder.mkdir()
    with http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{server.server_port}/'
        server.shutdown()


def fill(folder, task, text=RTE):
    folder.mkdir(parents=True, exist_ok=True)
    for split in task.splits:
        (folder / (split + '.tsv')).write_text(text, encoding='utf-8')
    return str(folder)


def zipped(path, task, inside):
    with zipfile.ZipFile(str(path), 'w') as archive:
        for split in task.splits:
            archive.writestr(f'{inside}/{split}.tsv', RTE)


def test_data_dir_is_the_tasks_folder_or_that_of_all_tasks(tmp_path):
    task = tasks.get('SST')
    fill(tmp_path / 'glue' / 'SST-2', task)
    assert glue.find(task, str(tmp_path / 'glue')) == str(tmp_path / 'glue' / 'SST-2')
    assert glue.find(task, str(tmp_path / 'glue' / 'SST-2')) == str(
        tmp_path / 'glue' / 'SST-2')


def test_data_dir_may_hold_one_split(tmp_path):
    (tmp_path / 'msr_paraphrase_test.txt').touch()
    assert glue.find(tasks.get('MRPC'), str(tmp_path)) == str(tmp_path)


def test_data_dir_is_the_only_place(tmp_path):
    task = tasks.get('MRPC')
    fill(tmp_path / 'datasets' / 'glue-official' / 'MRPC', task)
    with pytest.raises(DataError) as error:
        glue.find(task, str(tmp_path / 'mine'))
    assert str(error.value) == (
        f"--data_dir {tmp_path / 'mine'} has no files of MRPC, which are: train.tsv or "
        "msr_paraphrase_train.txt, "
        'dev.tsv or msr_paraphrase_test.txt, test.tsv or msr_paraphrase_test.txt')


def test_cache(tmp_path):
    task = tasks.get('RTE')
    with pytest.raises(DataError) as error:
        glue.find(task, offline=True)
    assert str(error.value) == (
        f"RTE is not in {tmp_path / 'datasets' / 'glue-official' / 'RTE'}, and this run is "
        "offline; put its files (train.tsv, dev.tsv, test.tsv) "
        'into a folder and name that with --data_dir')
    folder = fill(tmp_path / 'datasets' / 'glue-official' / 'RTE', task)
    assert glue.find(task, offline=True) == folder


def test_toys_come_with_the_package():
    for name, folder in (('sample', 'classification'), ('sample-pairs', 'pairs'),
                         ('sample-regression', 'regression')):
        assert glue.find(tasks.get(name), offline=True) == os.path.join(SAMPLE, folder)


def test_archive(tmp_path, monkeypatch, host):
    task = tasks.get('RTE')
    monkeypatch.setitem(glue._ARCHIVES, 'RTE', (host[1] + 'RTE.zip', 'RTE'))
    zipped(host[0] / 'RTE.zip', task, 'RTE')
    folder = glue.find(task)
    assert tables.read_official(task, 'train', folder) == [
        Example('a', 'b', 'entailment', '0')]
    assert os.listdir(os.path.dirname(folder)) == ['RTE']       # no archive, scratch or lock
    (host[0] / 'RTE.zip').unlink()
    assert glue.find(task) == folder   # now from the cache


def test_two_tasks_of_one_archive_at_once(tmp_path, monkeypatch, host):
    names, original = ('XNLI', 'ChnSentiCorp'), glue.extract
    with zipfile.ZipFile(str(host[0] / 'both.zip'), 'w') as archive:
        for name in names:
            monkeypatch.setitem(glue._ARCHIVES, name, (host[1] + 'both.zip', name))
            for split in tasks.get(name).splits:
                archive.writestr(f'{name}/{split}.tsv', RTE)
    both = threading.Barrier(2, timeout=0.5)

    def extract(path, folder):      # waits for the other, which must not come to this point
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
        return original(path, folder)
    monkeypatch.setattr(glue, 'extract', extract)
    with ThreadPoolExecutor(2) as threads:
        folders = list(threads.map(lambda name: glue.find(tasks.get(name)), names))
    assert both.broken
    assert [os.path.basename(folder) for folder in folders] == list(names)
    assert sorted(os.listdir(os.path.dirname(folders[0]))) == sorted(names)


def test_every_failed_source_is_told(tmp_path, monkeypatch, host):
    task = tasks.get('RTE')
    monkeypatch.setitem(glue._GLUONNLP, 'RTE', 'GlueRTE')
    monkeypatch.setitem(glue._ARCHIVES, 'RTE', (host[1] + 'RTE.zip', 'RTE'))
    monkeypatch.setitem(glue._HUB, 'RTE', ('nyu-mll/glue', 'rte', ('x', 'y')))

    def refuse(split, root):
        raise RuntimeError('Failed downloading\nurl')
    monkeypatch.setitem(sys.modules, 'gluonnlp', types.SimpleNamespace(
        data=types.SimpleNamespace(GlueRTE=refuse)))
    monkeypatch.setitem(sys.modules, 'pyarrow', None)

    def message():
        with pytest.raises(DataError) as error:
            glue.find(task)
        return str(error.value)
    failed = 'no source gave the data of RTE (GluonNLP: Failed downloading url; archive: %s; '
    hub = (f"hub: pyarrow is not installed ({install('hub')})); put its files "
           '(train.tsv, dev.tsv, test.tsv) into a folder and name that with --data_dir')
    assert message() == failed % (host[1] + 'RTE.zip: 404 Not Found') + hub

    zipped(host[0] / 'RTE.zip', task, 'elsewhere')
    assert message() == failed % (host[1] + 'RTE.zip lacks train, dev, test') + hub
    (host[0] / 'RTE.zip').write_bytes(b'<html>')
    assert message().startswith(failed.split('%')[0])
    zipped(host[0] / 'RTE.zip', task, 'RTE')        # what was broken is not kept
    assert glue.find(task).endswith('RTE')


def test_without_a_network_every_source_is_named_once(tmp_path):
    """In a process of its own: the other tests replace the libraries."""
    code = ('import logging, socket, sys, time\n'
            'logging.basicConfig(level=logging.INFO)\n'
            'def fail(*_, **__): raise socket.gaierror(-2, "Name or service not known")\n'
            'socket.getaddrinfo = fail\n'
            'import bert\n'
            'import gluonnlp, huggingface_hub\n'
            'from bert.data import glue, squad_files, tasks\n'
            'from bert.utils.errors import DataError\n'
            'start = time.monotonic()\n'
            'for find in (lambda: glue.find(tasks.get("RTE")),\n'
            '             lambda: squad_files.find("dev", "2.0")):\n'
            '    try: find()\n'
            '    except DataError as error: print(error, file=sys.stderr)\n'
            'print(time.monotonic() - start)\n')
    environment = {**os.environ, 'HF_HUB_CACHE': str(tmp_path)}
    for name in 'HF_HUB_OFFLINE', 'BERT_OFFLINE':
        environment.pop(name, None)
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=ROOT,
                            env=environment, capture_output=True, text=True, timeout=120)
    assert float(result.stdout) < 10        # nothing else is printed
    rte, squad = result.stderr.splitlines()
    assert rte.count('Name or service not known') + rte.count('not installed') == 3
    assert [rte.count(f'{name}: ') for name in ('GluonNLP', 'archive', 'hub')] == [1, 1, 1]
    assert squad.count('Name or service not known') == 2
    assert [squad.count(f'{name}: ') for name in ('GluonNLP', 'SQuAD')] == [1, 1]


def test_a_task_without_a_host(tmp_path):
    with pytest.raises(DataError, match=r'the data of LCQMC \(no public host is known\); put its '
                                        r'files \(train.tsv, dev.tsv, test.tsv\)'):
        glue.find(tasks.get('LCQMC'))


def test_gluonnlp_data_sets_download_themselves(tmp_path, monkeypatch):
    def fetch(split, root):
        with open(os.path.join(root, split + '.tsv'), 'w', encoding='utf-8') as f:
            f.write(RTE)
    monkeypatch.setitem(glue._GLUONNLP, 'RTE', 'GlueRTE')
    monkeypatch.setitem(sys.modules, 'gluonnlp', types.SimpleNamespace(
        data=types.SimpleNamespace(GlueRTE=fetch)))
    folder = glue.find(tasks.get('RTE'))
    assert sorted(os.listdir(folder)) == ['dev.tsv', 'test.tsv', 'train.tsv']


def test_mrpc_is_split_by_the_list_of_dev_ids(tmp_path, monkeypatch, host):
    monkeypatch.setattr(glue, '_MSR', host[1])
    monkeypatch.setattr(glue, '_GLUE', host[1])
    monkeypatch.setattr(glue, '_MSR_SHA1', {'train': None, 'test': None})
    header = '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n'
    for name, text in (('msr_paraphrase_train.txt', header + '1\t1\t2\ta\tb\n0\t3\t4\tc\td\n'),
                       ('msr_paraphrase_test.txt', header + '1\t5\t6\te\tf\n'),
                       ('mrpc_dev_ids.tsv', '3\t4\n2\t1\n')):
        (host[0] / name).write_text(text, encoding='utf-8')
    task = tasks.get('MRPC')
    folder = glue.find(task)
    assert [tables.read_official(task, split, folder) for split in task.splits] == [
        [Example('a', 'b', '1', '0')], [Example('c', 'd', '0', '0')],
        [Example('e', 'f', '1', '0')]]


def test_diagnostic_set(tmp_path, monkeypatch, host):
    monkeypatch.setattr(glue, '_GLUE', host[1])
    (host[0] / 'AX.tsv').write_text('index\tsentence1\tsentence2\n0\ta\tb\n', encoding='utf-8')
    folder = glue.find(tasks.get('AX'))
    assert tables.read_official(tasks.get('AX'), 'test', folder) == [
        Example('a', 'b', None, '0')]


# task, split, the hub's columns, the example they are
HUB = [
    ('CoLA', 'train', {'sentence': ['x\ty'], 'label': [1], 'idx': [8]},
     Example('x y', None, '1', '0')),
    ('CoLA', 'test', {'sentence': ['x'], 'label': [-1], 'idx': [8]}, Example('x', None, None, '8')),
    ('STS-B', 'dev', {'sentence1': ['x'], 'sentence2': ['y'], 'label': [3.8], 'idx': [2]},
     Example('x', 'y', 3.8, '2')),
    ('STS-B', 'test', {'sentence1': ['x'], 'sentence2': ['y'], 'label': [-1.], 'idx': [2]},
     Example('x', 'y', None, '2')),
    ('MNLI', 'dev_matched', {'premise': ['x'], 'hypothesis': ['y'], 'label': [2], 'idx': [3]},
     Example('x', 'y', 'contradiction', '3')),
    ('RTE', 'train', {'sentence1': ['x'], 'sentence2': ['y'], 'label': [0], 'idx': [3]},
     Example('x', 'y', 'entailment', '3')),
    ('XNLI', 'test', {'premise': ['甲'], 'hypothesis': ['乙'], 'label': [1]},
     Example('甲', '乙', 'neutral', '0')),
]
HUB_LABELS = {'MNLI': ('entailment', 'neutral', 'contradiction'),
              'XNLI': ('entailment', 'neutral', 'contradiction'),
              'RTE': ('entailment', 'not_entailment')}


@pytest.mark.parametrize('name,split,table,example', HUB)
def test_hub_tables_become_official_files(tmp_path, name, split, table, example):
    task = tasks.get(name)
    glue._write_official(str(tmp_path / (split + '.tsv')), task.columns_of(split), table,
                              HUB_LABELS.get(name))
    assert tables.read_official(task, split, str(tmp_path)) == [example]


def test_hub(tmp_path, monkeypatch):
    parquet = pytest.importorskip('pyarrow.parquet', reason='the extra hub is not installed')
    hub = pytest.importorskip('huggingface_hub', reason='the extra hub is not installed')
    import pyarrow
    monkeypatch.setitem(glue._HUB, 'MNLI', ('nyu-mll/glue', 'mnli', HUB_LABELS['MNLI']))
    asked = []

    def download(repository, name, repo_type, local_files_only, **_):
        if local_files_only:
            raise hub.utils.LocalEntryNotFoundError('the cache is empty')
        asked.append((repository, name, repo_type))
        parquet.write_table(pyarrow.table(
            {'premise': ['x'], 'hypothesis': ['y'], 'label': [1 - 2 * ('test' in name)],
             'idx': [7]}), str(tmp_path / 'table.parquet'))
        return str(tmp_path / 'table.parquet')
    monkeypatch.setattr(hub, 'hf_hub_download', download)
    task = tasks.get('MNLI')
    folder = glue.find(task)
    assert asked == [('nyu-mll/glue', f'mnli/{split}-00000-of-00001.parquet', 'dataset')
                     for split in ('train', 'validation_matched', 'validation_mismatched',
                                   'test_matched', 'test_mismatched')]
    assert tables.read_official(task, 'train', folder) == [Example('x', 'y', 'neutral', '7')]
    assert tables.read_official(task, 'test_matched', folder) == [Example('x', 'y', None, '7')]
