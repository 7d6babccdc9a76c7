"""Kill training runs at random moments, continue them, and compare with runs left in peace.

    python tests/torture/kills.py --kills 20 --seed 0

Prints a table of counts.  Exit code 1 where a bit differs, a process hangs or something is left.
"""
import argparse
import collections
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TINY, SAMPLE = ROOT / 'tests/data/tiny_bert', ROOT / 'bert/sample'
MARK = 'BERT_TORTURE'       # an environment variable: a process that has it is one of ours
COUNTS = ('kills', 'SIGTERM', 'runs', 'bits that differ', 'failures', 'hangs', 'leftovers')
FAULTS = COUNTS[3:]
FINE_TUNING = ['--bert_model', str(TINY), '--log_interval', '1', '--save_interval', '1',
               '--seed', '1', '--output_dir']
# program -> its command, which ends with the flag of the output folder
TRAINERS = {
    'classifier': ['scripts/finetune_classifier.py', '--task_name', 'sample', '--max_len', '16',
                   '--epochs', '2', *FINE_TUNING],
    'squad': ['scripts/finetune_squad.py', '--train_file', str(SAMPLE / 'squad/train-v1.1.json'),
              '--dev_file', str(SAMPLE / 'squad/dev-v1.1.json'), '--max_seq_length', '32',
              '--doc_stride', '12', '--max_query_length', '8', '--epochs', '1', *FINE_TUNING],
    'ner': ['scripts/finetune_ner.py', '--train_path', str(SAMPLE / 'conll/train.txt'),
            '--dev_path', str(SAMPLE / 'conll/dev.txt'), '--seq_len', '24', '--epochs', '3',
            '--batch_size', '16', *FINE_TUNING],
    'pretraining': ['scripts/run_pretraining.py', '--model', 'bert_1_16_2', '--dataset_name',
                    'sample', '--data', str(ROOT / 'sample_text.txt'), '--raw', '--lr', '1e-2',
                    '--max_seq_length', '32', '--num_steps', '40', '--batch_size', '8',
                    '--num_data_workers', '1', '--ckpt_interval', '1', '--log_interval', '1',
                    '--ckpt_dir'],
}


class Run:
    """A training program as a process, whose log is read while it runs."""

    def __init__(self, name, folder, log, resume):
        script, *flags = TRAINERS[name]
        self._log, self.started = log, time.monotonic()
        self.mark = f'{os.getpid()}-{time.monotonic_ns()}'
        command = [sys.executable, str(ROOT / script), *flags, str(folder)]
        with open(log, 'w', encoding='utf-8') as f:
            self.process = subprocess.Popen(
                command + ['--resume'] * resume, stdout=f, stderr=f, stdin=subprocess.DEVNULL,
                env=dict(os.environ, BERT_OFFLINE='1', **{MARK: self.mark}))

    def wait_for_update(self, seconds):
        """Wait for the log of an update, or for the end; whether an update was made."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if re.search(r'update \d+/', self.log()):
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
    """How many bits of the files of weights in one folder differ from those in another."""
    count = 0
    for path in other.glob('*.params'):
        mine = folder / path.name
        first, second = (np.frombuffer(p.read_bytes() if p.exists() else b'', np.uint8)
                         for p in (mine, path))
        common = min(len(first), len(second))
        count += int(np.unpackbits(first[:common] ^ second[:common]).sum())
        count += 8 * abs(len(first) - len(second))
    return count


class Torture:
    """One trainer: its run left in peace, and those that are killed."""

    def __init__(self, name, folder, draw, patience):
        self._name, self._folder, self._draw, self._patience = name, folder, draw, patience
        self.counts = collections.Counter()
        self._whole = folder / 'whole'
        run = self._start(self._whole, resume=False)
        made = run.wait_for_update(patience)
        self._before = time.monotonic() - run.started
        if not made or not run.ends(patience) or run.process.returncode:
            run.process.kill()
            raise SystemExit(f'{name}: the run left in peace failed\n{run.log()}')
        self._training = time.monotonic() - run.started - self._before
        self._runs, self._run = 0, None

    def _start(self, out, resume):
        return Run(self._name, out, self._folder / f'{out.name}.log', resume)

    def kill(self, count):
        """Kill ``count`` times, continue each time, and compare whenever a run has ended."""
        kills = 0
        out = self._next()
        while kills < count and not self.counts['failures']:
            if self._disturb(out):
                kills += 1
            else:                       # it had ended before
                self._compare(out)
                out = self._next()
        self._finish(out)
        return self.counts

    def _next(self):
        self.counts['runs'] += 1
        return self._folder / f'killed-{self.counts["runs"]}'

    def _disturb(self, out):
        """Start or continue a run and kill it; whether it was still there to be killed."""
        run = self._start(out, resume=True)
        if self._draw.random() < 0.8:   # at an update or when writing
            run.wait_for_update(self._patience)
            delay = self._draw.uniform(0, self._training / 2)
        else:                           # when starting
            delay = self._draw.uniform(0, self._before)
        gentle = self._draw.random() < 0.25
        if run.ends(delay):
            self._check_end(run)
            return False
        run.process.send_signal(signal.SIGTERM if gentle else signal.SIGKILL)
        if not run.ends(60 if gentle else 10):
            self._report('hangs', run, 'does not end')
            run.process.kill()
            run.process.wait()
        self.counts['kills'] += 1
        self.counts['SIGTERM'] += gentle
        self._count_survivors(run)
        return True

    def _finish(self, out):
        run = self._start(out, resume=True)
        if not run.ends(self._patience):
            self._report('hangs', run, 'does not end')
            run.process.kill()
            run.process.wait()
        self._check_end(run)
        self._compare(out)

    def _check_end(self, run):
        self._count_survivors(run)
        if run.process.returncode:
            self._report('failures', run, f'exit code {run.process.returncode}')

    def _count_survivors(self, run):
        left = run.survivors(30)
        if left:
            self._report('leftovers', run, f'processes {left}', len(left))

    def _compare(self, out):
        bits = differing_bits(out, self._whole)
        left = {p.name for p in out.glob('*')} - {p.name for p in self._whole.iterdir()}
        self.counts['bits that differ'] += bits
        self.counts['leftovers'] += len(left)
        if bits or left:
            print(f'{out}: {bits} bits differ; left: {sorted(left)}', file=sys.stderr)

    def _report(self, count, run, what, number=1):
        self.counts[count] += number
        print(f'{self._name}: {what}\n{run.log()[-2000:]}', file=sys.stderr)


def torture(names, kills, seed, patience=600):
    """{trainer: counts} of ``kills`` kills in all, shared among the trainers."""
    out = {}
    for i, name in enumerate(names):
        share = kills // len(names) + (i < kills % len(names))
        if share:
            with tempfile.TemporaryDirectory() as folder:
                draw = random.Random(f'{seed} {name}')
                out[name] = Torture(name, Path(folder), draw, patience).kill(share)
                print(table({name: out[name]}), file=sys.stderr, flush=True)
    return out


def table(counts):
    """The counts as lines of text, one per trainer and their sum."""
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
    parser.add_argument('--trainers', nargs='+', default=list(TRAINERS), choices=list(TRAINERS))
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    counts = torture(args.trainers, args.kills, args.seed)
    print(table(counts))
    return int(any(found[key] for found in counts.values()
                   for key in FAULTS))


if __name__ == '__main__':
    sys.exit(main())
