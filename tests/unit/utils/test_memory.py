"""Freed memory goes back to the system when it is asked for."""
import subprocess
import sys

from helpers import ROOT

CODE = '''
import bert, numpy
from bert.utils import memory

def resident():
    with open('/proc/self/statm') as f:
        return int(f.read().split()[1]) * 4096 >> 20

arrays = [numpy.ones(1 << 17) for _ in range(200)]      # 1 MB each
kept = numpy.ones(1 << 17)                              # so that the heap cannot shrink at its end
before = resident()
del arrays
freed = resident()
memory.give_back()
print(before - freed, freed - resident())
'''


def test_freed_memory_is_given_back():
    shown = subprocess.run([sys.executable, '-c', CODE], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout
    freed, given_back = map(int, shown.split())
    assert freed < 20 and 180 < given_back < 220
