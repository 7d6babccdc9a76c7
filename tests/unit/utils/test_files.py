"""Files that are written whole or not at all, and what killed processes leave."""
import bz2
import errno
import gc
import gzip
import lzma
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, refused

from bert.utils import files, hosts
from bert.utils.errors import DataError


def test_atomic(tmp_path):
    path = tmp_path / 'a.txt'
    with files.atomic(str(path)) as temporary:
        assert os.path.dirname(temporary) == str(tmp_path)
        with open(temporary, 'w', encoding='utf-8') as f:
            f.write('first')
        assert not path.exists()
    assert path.read_text() == 'first'
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert os.listdir(str(tmp_path)) == ['a.txt']


@pytest.mark.parametrize('error', [ValueError('x'), KeyboardInterrupt(), DataError('x')])
def test_an_error_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(type(error)), files.atomic(str(path)) as temporary:
        with open(temporary, 'w', encoding='utf-8') as f:
            f.write('half of the n')
        raise error
    assert path.read_text() == 'old'
    assert os.listdir(str(tmp_path)) == ['a.txt']


def test_an_error_of_the_system_is_one_line(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('old')

    def write():
        with files.atomic(str(path)):
            raise OSError(28, 'No space left on device')
    assert refused(write) == (f'{path}: cannot be written (No space left on device); the '
                              'previous file is intact')
    assert os.listdir(str(tmp_path)) == ['a.json']


def test_json(tmp_path):
    path = tmp_path / 'a.json'
    files.write_json(str(path), {'name': 'Zoë', 'sizes': [1, 2]})
    assert path.read_text(encoding='utf-8') == (
        '{\n  "name": "Zoë",\n  "sizes": [\n    1,\n    2\n  ]\n}\n')
    assert files.read_json(str(path)) == {'name': 'Zoë', 'sizes': [1, 2]}
    path.write_bytes(b'{"a": 1,\n b}')
    assert refused(files.read_json, str(path)) == (
        f'{path}: not JSON (Expecting property name enclosed in double quotes: line 2 column 2 '
        '(char 10)); correct it, or get another copy')
    assert refused(files.read_json, str(tmp_path)) == (
        f'{tmp_path}: cannot be read (Is a directory)')


def test_a_value_that_json_lacks_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.json'
    files.write_json(str(path), 1)
    with pytest.raises(TypeError):
        files.write_json(str(path), {'a': object()})
    assert files.read_json(str(path)) == 1
    assert os.listdir(str(tmp_path)) == ['a.json']


@pytest.mark.parametrize('content, message', [
    (b'{', 'not JSON'), (b'{\n\xff}', ':2: not UTF-8'), (b'[' * 100000, 'nested too deeply'),
    (b'[]', 'not an object'), (b'', 'not JSON')])
def test_damaged_json(tmp_path, content, message):
    path = tmp_path / 'x.json'
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        files.read_json(str(path), dict)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_json_with_a_byte_order_mark_and_odd_names(tmp_path):
    path = str(tmp_path / 'x.json')
    with open(path, 'wb') as f:
        f.write(b'\xef\xbb\xbf{"a": 1}')
    assert files.read_json(path, dict) == {'a': 1}
    value = {'name': 'caf\udce9', 'word': 'é'}      # an argument that is no UTF-8
    files.write_json(path, value)
    assert files.read_json(path) == value


def test_what_killed_processes_leave_is_removed_and_nothing_else(tmp_path):
    code = ('import bert, os, sys, time\nfrom bert.utils import files\n'
            'with files.atomic(sys.argv[1]):\n    print("writing", flush=True)\n'
            '    time.sleep(60)\n')

    def start(name):
        process = subprocess.Popen([sys.executable, '-c', code, str(tmp_path / name)], cwd=ROOT,
                                   stdout=subprocess.PIPE)
        assert process.stdout.readline() == b'writing\n'
        return process

    (tmp_path / '.mine.unfinished.txt').write_text('')
    killed, alive = start('one'), start('two')
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(os.listdir(tmp_path)) == 3
    files.make_folder(str(tmp_path), '--output_dir')
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 2 and left[0] == '.mine.unfinished.txt' and left[1].startswith('.two.')
    alive.kill()
    alive.wait()


def test_what_is_no_folder(tmp_path):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'link').symlink_to(tmp_path / 'nowhere')
    (tmp_path / 'other').symlink_to(tmp_path)
    for name in 'file', 'link':
        with pytest.raises(DataError, match='a file or a broken link, not a folder'):
            files.make_folder(str(tmp_path / name), '--output_dir')
    files.make_folder(str(tmp_path / 'other'), '--output_dir')


def compressed(path, content):
    opener = {'.gz': gzip.open, '.bz2': bz2.open, '.xz': lzma.open}[path.suffix]
    with opener(str(path), 'wb') as f:
        f.write(content)
    return str(path)


@pytest.mark.parametrize('suffix', ['.gz', '.bz2', '.xz'])
def test_compressed_files(tmp_path, suffix):
    text = compressed(tmp_path / f'a.txt{suffix}', '\ufeffone\nzwei \xfc\n'.encode() * 9999)
    lines = list(files.read_lines(text))
    assert lines[:2] == [(1, 'one\n'), (2, 'zwei \xfc\n')] and len(lines) == 2 * 9999
    assert files.decompressed_name(text) == str(tmp_path / 'a.txt') == files.decompressed_name(
        str(tmp_path / 'a.txt'))
    value = compressed(tmp_path / f'a.json{suffix}', '\ufeff{"a": [1]}'.encode())
    assert files.read_json(value) == {'a': [1]}
    whole = (tmp_path / f'a.json{suffix}').read_bytes()
    for content in (whole[:-5], whole[:-6] + bytes([whole[-6] ^ 255]) + whole[-5:], b'{"a": [1]}'):
        (tmp_path / f'a.json{suffix}').write_bytes(content)
        assert refused(files.read_json, value).startswith(f'{value}: a damaged archive (')
        assert refused(list, files.read_lines(value)).startswith(f'{value}: a damaged archive (')


@pytest.mark.parametrize('suffix', ['.gz', '.bz2', '.xz'])
def test_a_compressed_file_that_is_missing(tmp_path, suffix, monkeypatch):
    unraised = []
    monkeypatch.setattr(sys, 'unraisablehook', unraised.append)
    with pytest.raises(OSError, match='No such file'):
        files.open_binary(str(tmp_path / f'none{suffix}'))
    gc.collect()
    assert not unraised


def test_a_disk_that_refuses_modes(tmp_path, monkeypatch):
    def chmod(path, mode):
        raise PermissionError(errno.EPERM, 'Operation not permitted')
    monkeypatch.setattr(os, 'chmod', chmod)
    files.write_json(str(tmp_path / 'x.json'), [1])
    assert files.read_json(str(tmp_path / 'x.json')) == [1]


def test_no_home_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in 'XDG_CACHE_HOME', 'MXNET_HOME':
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, 'expanduser', lambda path: path)
    with pytest.raises(FileNotFoundError, match='there is no home folder'):
        files.cache_folder()
    assert 'set HOME, or MXNET_HOME' in refused(hosts.mxnet_home)
    assert os.listdir(tmp_path) == []


def test_a_home_folder_in_the_variables(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('XDG_CACHE_HOME', '~/mine')
    monkeypatch.setenv('MXNET_HOME', '~/models')
    assert files.cache_folder() == str(tmp_path / 'mine' / 'gluon-bert')
    assert hosts.mxnet_home() == str(tmp_path / 'models')
    monkeypatch.setenv('XDG_CACHE_HOME', '~nobody-here/mine')
    monkeypatch.setenv('MXNET_HOME', '~nobody-here/models')
    with pytest.raises(FileNotFoundError, match='there is no home folder'):
        files.cache_folder()
    assert '~nobody-here/models: there is no home folder' in refused(hosts.mxnet_home)


def test_the_cache_of_another_user(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    folder = files.cache_folder()
    monkeypatch.setattr(os, 'getuid', lambda: 4321)
    with pytest.raises(PermissionError, match=f'belongs to another user, number {os.geteuid()}; '
                       'remove it'):
        files.cache_folder()
    monkeypatch.undo()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    os.chmod(folder, 0o770)
    with pytest.raises(PermissionError, match='can be written by other users'):
        files.cache_folder()


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'real' / 'a').write_text('old')
    (tmp_path / 'link').symlink_to(tmp_path / 'real' / 'a')
    with files.atomic(str(tmp_path / 'link')) as temporary:
        Path(temporary).write_text('new')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'real' / 'a').read_text() == 'new'


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(str(tmp_path / 'pipe'))
    for name in 'pipe', '.':
        assert refused(files.atomic(str(tmp_path / name)).__enter__) == (
            f'{os.path.normpath(str(tmp_path / name))}: not a file; name another one')
    assert os.listdir(str(tmp_path)) == ['pipe']


@pytest.mark.parametrize('data', [gzip.compress(b'a'), bz2.compress(b'a'), lzma.compress(b'a'),
                                  b'PK\x03\x04\xff', b'\x28\xb5\x2f\xfd\xff'])
def test_compressed_text_under_another_name(tmp_path, data):
    (tmp_path / 'a.txt').write_bytes(data)
    assert refused(lambda: list(files.read_lines(str(tmp_path / 'a.txt')))) == (
        f"{tmp_path / 'a.txt'}: compressed: only .gz, .bz2 and .xz are read, by their names; "
        'decompress it')
