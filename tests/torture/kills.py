"""Kill runs of programs at random moments, continue them, and compare with undisturbed runs.

    python tests/torture/kills.py --kills 20 --seed 0

The signal goes to the program (or its launcher) or to any process of the job.  Prints a table of
counts.  Exit code 1 where a bit differs, a process hangs or something is left.
"""
import argparse
import collections
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TINY, SAMPLE = ROOT / 'tests/data/tiny_bert', ROOT / 'bert/sample'
MARK = 'BERT_TORTURE'       # an environment variable: a process that has it is one of ours
FAULTS = ('bits that differ', 'failures', 'hangs', 'leftovers')
COUNTS = ('kills', 'SIGTERM', 'runs', *FAULTS)
BOUND = 300                 # seconds for all processes of a job to end in; machines are busy


class Program(NamedTuple):
    """A program to kill."""

    command: List[str]          # ends with the flag of the output folder
    share: int = 10             # of the kills in 100
    begun: str = r'update \d+/'     # in its log when it has begun its work


def _script(name, *flags):
    return [sys.executable, str(ROOT / 'scripts' / name), *flags]


def _pretraining(script, steps, *flags):
    return _script(script, '--model', 'bert_1_16_2', '--dataset_name', 'sample', '--data',
                   str(ROOT / 'sample_text.txt'), '--raw', '--lr', '1e-2', '--max_seq_length',
                   '32', '--num_steps', str(steps), '--batch_size', '8', '--num_data_workers', '1',
                   '--ckpt_interval', '1', '--log_interval', '1', *flags, '--ckpt_dir')


_FINE_TUNING = ['--bert_model', str(TINY), '--log_interval', '1', '--save_interval', '1',
                '--seed', '1', '--output_dir']
TRAINERS = {
    'classifier': Program(_script(
        'finetune_classifier.py', '--task_name', 'sample', '--max_len', '16', '--epochs', '2',
        *_FINE_TUNING)),
    'squad': Program(_script(
        'finetune_squad.py', '--train_file', str(SAMPLE / 'squad/train-v1.1.json'), '--dev_file',
        str(SAMPLE / 'squad/dev-v1.1.json'), '--max_seq_length', '32', '--doc_stride', '12',
        '--max_query_length', '8', '--epochs', '1', *_FINE_TUNING), 4),
    'ner': Program(_script(
        'finetune_ner.py', '--train_path', str(SAMPLE / 'conll/train.txt'), '--dev_path',
        str(SAMPLE / 'conll/dev.txt'), '--seq_len', '24', '--epochs', '3', '--batch_size', '16',
        *_FINE_TUNING)),
    'pretraining': Program(_pretraining('run_pretraining.py', 40)),
    'mpirun': Program([
        'mpirun', '--allow-run-as-root', '--oversubscribe', '-np', '2', '-mca', 'pml', 'ob1',
        '-mca', 'btl', '^openib', '-bind-to', 'none',
        *_pretraining('run_pretraining_hvd.py', 10)], 2),
    'horovodrun': Program([
        'horovodrun', '--gloo', '-np', '2', *_pretraining('run_pretraining_hvd.py', 10)], 2),
    'launch.py': Program(_script(
        'launch.py', '-n', '2', '-s', '1',
        *_pretraining('run_pretraining.py', 10, '--kvstore', 'dist_sync')), 2),
    'data': Program(_script(
        'create_pretraining_data.py', '--input_file',
        *[f'{ROOT}/{folder}/../sample_text.txt' for folder in ('bert', 'docs', 'tests')],
        '--dataset_name', 'sample', '--max_seq_length', '64', '--max_predictions_per_seq', '10',
        '--dupe_factor', '20', '--num_outputs', '3', '--num_workers', '2', '--output_dir'), 60,
        'files, .* MB'),
}


class Run:
    """A program as a process, whose log is read while it runs."""

    def __init__(self, program, folder, log, resume):
        self._log, self.started, self._begun = log, time.monotonic(), program.begun
        self.mark = f'{os.getpid()}-{time.monotonic_ns()}'
        with open(log, 'w', encoding='utf-8') as f:
            self.process = subprocess.Popen(
                [*program.command, str(folder)] + ['--resume'] * resume, stdout=f, stderr=f,
                stdin=subprocess.DEVNULL,
                # the same threads in each run: sums in another order have other bits
                env=dict(os.environ, BERT_OFFLINE='1', OMP_NUM_THREADS='1', **{MARK: self.mark}))

    def begins(self, seconds):
        """Wait until the log shows that work has begun, or for the end; whether it has."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if re.search(self._begun, self.log()):
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        return False

    def ends(self, seconds):
        """Whether the process ends by itself within so many seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log(self):
        """What the program has printed so far."""
        return Path(self._log).read_text(encoding='utf-8', errors='replace')

    def send(self, number, draw):
        """Send a signal to the process that was started, or, as often, to any one of the job."""
        others = sorted(_processes(self.mark))
        victim = draw.choice(others) if others and draw.random() < 0.5 else self.process.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, number)
        return victim

    def survivors(self, seconds):
        """The processes of this run that are there ``seconds`` after its end; they are killed."""
        limit = time.monotonic() + seconds
        while True:
            found = _processes(self.mark)
            if not found or time.monotonic() > limit:
                break
            time.sleep(0.2)
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return found


def _processes(mark):
    """The processes whose environment has the mark."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            if f'{MARK}={mark}\0'.encode() in (folder / 'environ').read_bytes():
                found.append(int(folder.name))
        except OSError:         # of another user, or gone
            continue
    return found


def differing_bits(folder, other):
    """How many bits of the weights or shards in one folder differ from those in another."""
    count = 0
    for path in (*other.glob('*.params'), *other.glob('*.npz')):
        mine = folder / path.name
        first, second = (np.frombuffer(p.read_bytes() if p.exists() else b'', np.uint8)
                         for p in (mine, path))
        common = min(len(first), len(second))
        count += int(np.unpackbits(first[:common] ^ second[:common]).sum())
        count += 8 * abs(len(first) - len(second))
    return count


class Torture:
    """One program: its undisturbed run, and those that are killed."""

    def __init__(self, name, folder, draw, patience):
        self._name, self._folder, self._draw, self._patience = name, folder, draw, patience
        self.counts = collections.Counter()
        self._whole = folder / 'whole'
        run = self._start(self._whole, resume=False)
        made = run.begins(patience)
        self._before = time.monotonic() - run.started
        if not made or not run.ends(patience) or run.process.returncode:
            run.process.kill()
            raise SystemExit(f'{name}: the run left in peace failed\n{run.log()}')
        self._working = time.monotonic() - run.started - self._before
        self._out = self._next()

    def _start(self, out, resume):
        return Run(TRAINERS[self._name], out, self._folder / f'{out.name}.log', resume)

    def _next(self):
        self.counts['runs'] += 1
        return self._folder / f'killed-{self.counts["runs"]}'

    def kill(self):
        """Kill a process once; compare the runs that end before."""
        while not self._disturb():
            self._compare()
            self._out = self._next()

    def _disturb(self):
        """Start or continue a run and kill it; whether it was still there to be killed."""
        run = self._start(self._out, resume=True)
        if self._draw.random() < 0.8:   # at an update or when writing
            run.begins(self._patience)
            delay = self._draw.uniform(0, self._working / 2)
        else:                           # when starting
            delay = self._draw.uniform(0, self._before)
        gentle = self._draw.random() < 0.25
        if run.ends(delay):
            self._check_end(run)
            return False
        victim = run.send(signal.SIGTERM if gentle else signal.SIGKILL, self._draw)
        killed = time.monotonic()
        self._wait(run, BOUND, f'does not end after the end of {victim}')
        self._count_survivors(run)
        self.counts['kills'] += 1
        self.counts['SIGTERM'] += gentle
        seconds = time.monotonic() - killed
        print(f'{self._name}: {"SIGTERM" if gentle else "SIGKILL"} after {delay:.1f} s; exit code '
              f'{run.process.returncode}, the last process ended {seconds:.1f} s later')
        return True

    def finish(self):
        """Let the run that was killed last end, and compare it."""
        run = self._start(self._out, resume=True)
        self._wait(run, self._patience, 'does not end')
        self._check_end(run)
        self._compare()
        return self.counts

    def _wait(self, run, seconds, what):
        if not run.ends(seconds):
            self._report('hangs', run, what)
            run.process.kill()
            run.process.wait()

    def _check_end(self, run):
        self._count_survivors(run)
        if run.process.returncode:
            self._report('failures', run, f'exit code {run.process.returncode}')

    def _count_survivors(self, run):
        left = run.survivors(BOUND)
        if left:
            self._report('leftovers', run, f'processes {left}', len(left))

    def _compare(self):
        bits = differing_bits(self._out, self._whole)
        left = {p.name for p in self._out.glob('*')} - {p.name for p in self._whole.iterdir()}
        self.counts['bits that differ'] += bits
        self.counts['leftovers'] += len(left)
        if bits or left:
            print(f'{self._out}: {bits} bits differ; left: {sorted(left)}', file=sys.stderr)
        elif self._out.exists():
            shutil.rmtree(self._out)

    def _report(self, count, run, what, number=1):
        self.counts[count] += number
        print(f'{self._name}: {what}\n{run.log()[-2000:]}', file=sys.stderr, flush=True)


def torture(names, kills, seed, patience=600, seconds=1e9):
    """{program: counts} of ``kills`` kills in all, shared among the programs."""
    stop = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        found, draw = {}, random.Random(seed)
        for number in range(kills):
            if number and number % 20 == 0:
                print(table({name: one.counts for name, one in found.items()}), file=sys.stderr,
                      flush=True)
            if time.monotonic() > stop:
                break
            name, = draw.choices(names, [TRAINERS[name].share for name in names])
            if name not in found:
                (Path(folder) / name).mkdir()
                found[name] = Torture(name, Path(folder, name), random.Random(f'{seed} {name}'),
                                      patience)
            found[name].kill()
        return {name: one.finish() for name, one in found.items()}


def table(counts):
    """The counts as lines of text, one per program and their sum."""
    rows = [('program', *COUNTS)]
    rows += [(name, *(str(found[key]) for key in COUNTS)) for name, found in counts.items()]
    if len(counts) > 1:
        total = sum(counts.values(), collections.Counter())
        rows.append(('all', *(str(total[key]) for key in COUNTS)))
    return '\n'.join('  '.join(cell.ljust(max(12, len(head))) for cell, head in zip(row, rows[0]))
                     .rstrip() for row in rows)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=20, help='(default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=1e9, help='no further kills after so many')
    parser.add_argument('--trainers', nargs='+', default=list(TRAINERS), choices=list(TRAINERS))
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    counts = torture(args.trainers, args.kills, args.seed, seconds=args.seconds)
    print(table(counts))
    return int(any(found[key] for found in counts.values()
                   for key in FAULTS))


if __name__ == '__main__':
    sys.exit(main())
