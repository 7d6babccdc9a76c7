"""Damage the inputs of every reader and count the outcomes.

    python tests/torture/fuzz.py --inputs 2000 --seed 0
    python tests/torture/fuzz.py --seed 0 --only 1234       (one input again, with its traceback)

Prints a table of counts.  Exit code 1 where a reader ends in a traceback, a crash or a hang, takes
much memory, or accepts what is known to be nonsense.
"""
import argparse
import collections
import contextlib
import io
import json
import logging
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == '__main__':
    sys.path[:1] = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tests/torture')]

SECONDS = 300           # for one input; generous, since machines are busy
MEMORY = 1 << 30        # bytes for one input, beyond what the process has when it starts
COUNTS = ('inputs', 'one line', 'accepted', 'nonsense', 'traceback', 'crash', 'hang', 'memory')
FAULTS = COUNTS[3:]


def attempt(reader, folder):
    """(what came of reading, a line about it)."""
    from bert.utils.errors import run
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(out):
            run(lambda: reader.read(folder))
    except SystemExit as end:
        if not end.code:
            return 'accepted', ''
        line = out.getvalue().strip()
        if 'not enough memory' in line:
            return 'memory', line
        if line.count('\n') or not line:
            return 'traceback', f'{line.count(chr(10)) + 1} lines: {line[:500]}'
        return 'one line', line
    except BaseException as error:      # whatever a reader may raise
        if type(error).__name__ == 'Nonsense':
            return 'nonsense', str(error)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return 'traceback', (f'{type(error).__name__}: {str(error)[:200]} '
                             f'({Path(frame.filename).name}:{frame.lineno})')
    return 'traceback', 'run() came back'


class Inputs:
    """The inputs of a seed, by their numbers, made in ``folder``."""

    def __init__(self, seed, names, folder):
        from readers import READERS
        self._seed, self._names = seed, names or list(READERS)
        self._readers, self._folder, self._made = READERS, folder, set()

    def make(self, number):
        """(name, reader, folder) of an input."""
        name = self._names[number % len(self._names)]
        place = self._folder / str(list(self._readers).index(name))
        if name not in self._made:
            (place / 'good').mkdir(parents=True)
            self._readers[name].make(place / 'good')
            self._made.add(name)
            self._copy(place)
            if name != 'flags':
                outcome = attempt(self._readers[name], place / 'bad')
                assert outcome == ('accepted', ''), f'{name}: the good input: {outcome}'
        self._copy(place)
        draw = random.Random(f'{self._seed} {number}')
        self._readers[name].spoil(draw, place / 'bad')
        return name, self._readers[name], place / 'bad'

    @staticmethod
    def _copy(place):
        shutil.rmtree(place / 'bad', ignore_errors=True)
        shutil.copytree(place / 'good', place / 'bad')


def child(first, end, seed, names, pipe):
    """Try inputs and write what came of them to a pipe, as JSON lines; a process of its own."""
    logging.disable(logging.CRITICAL)
    os.environ.update(BERT_OFFLINE='1', BERT_FEATURE_CACHE='0', MPLBACKEND='Agg')
    with tempfile.TemporaryDirectory() as folder, open(pipe, 'w', encoding='utf-8') as out:
        inputs = Inputs(seed, names, Path(folder))
        for number in range(first, end):
            name, reader, place = inputs.make(number)
            with open('/proc/self/statm', encoding='ascii') as f:
                size = int(f.read().split()[0]) * resource.getpagesize()
            limit = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, limit))
            print(json.dumps([number, name]), file=out, flush=True)
            outcome = attempt(reader, place)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            print(json.dumps([number, name, *outcome]), file=out, flush=True)


def fuzz(inputs, seed, names=(), seconds=None, log=None):
    """{reader: counts} of so many inputs, or of those that ``seconds`` allow."""
    counts = collections.defaultdict(collections.Counter)
    number, stop = 0, time.monotonic() + (seconds or 1e9)
    while number < inputs and time.monotonic() < stop:
        number = _run_child(number, inputs, seed, names, stop, counts, log)
    return counts


def _run_child(first, end, seed, names, stop, counts, log):
    """Start a process and take its results; returns the number of the input to try next."""
    reading, writing = os.pipe()
    command = [sys.executable, str(Path(__file__).resolve()), '--child', str(first), str(end),
               str(writing), '--seed', str(seed), '--readers', *names]
    process = subprocess.Popen(command, pass_fds=[writing], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
    os.close(writing)
    pending, next_number = None, first
    with open(reading, 'rb', buffering=0) as pipe:
        text = b''
        while time.monotonic() < stop:
            ready, _, _ = select.select([pipe], [], [], SECONDS)
            block = pipe.read(1 << 16) if ready else b''
            if not block:
                break
            *lines, text = (text + block).split(b'\n')
            for number, name, *outcome in map(json.loads, lines):
                if not outcome:
                    pending = number, name
                    continue
                pending, next_number = None, number + 1
                _count(counts, number, name, *outcome, log)
        else:
            pending, ready = None, True         # no time is left
    if not ready or time.monotonic() >= stop:
        process.kill()
    process.wait()
    if pending is not None:
        number, name = pending
        outcome = ('crash', f'exit code {process.returncode}') if ready else ('hang', '')
        _count(counts, number, name, *outcome, log)
        next_number = number + 1
    elif process.returncode and time.monotonic() < stop:
        raise RuntimeError(f'input {next_number} cannot be made (exit code {process.returncode})')
    return next_number


def _count(counts, number, name, outcome, line, log):
    counts[name]['inputs'] += 1
    counts[name][outcome] += 1
    if outcome in FAULTS:
        (log or sys.stderr.write)(f'input {number}, {name}: {outcome}: {line}\n')


def table(counts):
    """The counts as lines of text, one per reader and their sum."""
    rows = [('reader', *COUNTS)]
    rows += [(name, *(str(found[key]) for key in COUNTS)) for name, found in counts.items()]
    total = sum(counts.values(), collections.Counter())
    rows.append(('all', *(str(total[key]) for key in COUNTS)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join('  '.join(map(str.ljust, row, widths)).rstrip() for row in rows)


def again(number, seed, names):
    """Try one input in this process, which may crash, and show what came of it."""
    os.environ.update(BERT_OFFLINE='1', BERT_FEATURE_CACHE='0', MPLBACKEND='Agg')
    name, reader, folder = Inputs(seed, names, Path(tempfile.mkdtemp())).make(number)
    print(f'{name}: {folder} {getattr(reader, "given", "")}')
    print(*attempt(reader, folder))
    with contextlib.suppress(SystemExit):
        from bert.utils.errors import run
        run(lambda: reader.read(folder))


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--inputs', type=int, default=2000, help='(default: %(default)s)')
    parser.add_argument('--seconds', type=float, help='stop after so many')
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    parser.add_argument('--readers', nargs='*', default=[], help='(default: all)')
    parser.add_argument('--only', type=int, metavar='NUMBER', help='try this input alone')
    parser.add_argument('--child', nargs=3, type=int, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    if args.child:
        child(*args.child[:2], args.seed, args.readers, args.child[2])
        return 0
    if args.only is not None:
        again(args.only, args.seed, args.readers)
        return 0
    counts = fuzz(args.inputs, args.seed, args.readers, args.seconds)
    print(table(counts))
    return int(any(found[key] for found in counts.values() for key in FAULTS))


if __name__ == '__main__':
    sys.exit(main())
