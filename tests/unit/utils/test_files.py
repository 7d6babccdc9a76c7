"""Files: JSON of any condition, and what killed processes leave behind."""
import os
import signal
import subprocess
import sys

import pytest
from helpers import ROOT

from bert.utils import files
from bert.utils.errors import DataError


@pytest.mark.parametrize('content, message', [
    (b'{', 'not JSON'), (b'\xff{}', 'not UTF-8 text'), (b'[' * 100000, 'sensible depth'),
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
