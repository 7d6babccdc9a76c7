"""Measure the programs of this toolkit, alone or beside their peers, and print a table.

    python scripts/benchmark.py --quick
    python scripts/benchmark.py --rows train,ragged --model FOLDER
    python scripts/benchmark.py --peer_python peer/bin/python --plot

Each measurement is a process of its own, so that its peak memory is its own.  With --peer_python,
an interpreter that has torch and transformers (and sentence-transformers, onnxruntime), the peers
do the same work with the same weights and threads, in turn with ours in every round.  A figure is
the median over the rounds and a ratio the median of the rounds' ratios, above 1 where ours is
better.  MB is the peak memory of the largest process.

Steps (train, pretrain) leave out the first ones, embed leaves out loading; s is a whole script
from start to end.  OMP_NUM_THREADS says how many threads both use (default: the cores).
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    __package__ = 'scripts'

import collections
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time

from bert.utils import cli, files
from bert.utils.errors import DataError, run

from .benchmarking import report, rows

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# what the peers' interpreter must have for what, if not torch and transformers
PACKAGES = {'versions': (), 'gemm': ('torch',), 'embed': ('sentence-transformers',),
            'onnx_embed': ('onnxruntime', 'transformers')}

# of one process
Measured = collections.namedtuple('Measured', 'seconds megabytes output')


class Missing(Exception):
    """Something optional that a measurement needs is not installed: no failure."""


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    names = [row.name for row in rows.table(cores=threads())]
    parser.add_argument('--rows', metavar='A,B', help='only these, or those whose names begin so '
                        '(train-6l): ' + ', '.join(dict.fromkeys(n.split('-')[0] for n in names)))
    parser.add_argument('--rounds', type=cli.positive_int, metavar='N',
                        help='(default: 3, with --quick 1)')
    parser.add_argument('--quick', action='store_true', help='few steps and little data: to try '
                        'whether all rows run, not for figures to quote')
    parser.add_argument('--model', metavar='DIR', help='a model in the format of Hugging Face to '
                        'take in place of the 6-layer one with random weights')
    parser.add_argument('--peer_python', metavar='PATH', help="the peers' Python interpreter")
    parser.add_argument('--data_dir', metavar='DIR',
                        help="MRPC's official files, for ragged (default: made-up pairs)")
    parser.add_argument('--text_file', default=os.path.join(ROOT, 'sample_text.txt'),
                        metavar='FILE', help='text to make the data of (default: %(default)s)')
    parser.add_argument('--output_dir', default='./benchmark', metavar='DIR',
                        help='for results.json, growth.png, logs, models and data; delete it '
                             'afterwards (default: %(default)s)')
    parser.add_argument('--plot', action='store_true',
                        help='draw the growth rows as growth.png (extra: plot)')
    inside = parser.add_argument_group('one measurement in this process, as benchmark.py runs it')
    inside.add_argument('--measure', choices=('gemm', 'tokens', 'sentences', 'operators'))
    inside.add_argument('--texts', metavar='FILE')
    inside.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
    args = parser.parse_args(argv)
    args.rounds = args.rounds or (1 if args.quick else 3)
    if args.peer_python:
        found = shutil.which(args.peer_python)
        if not found:
            parser.error(f'--peer_python {args.peer_python}: there is no such program')
        args.peer_python = os.path.abspath(found)
    if args.rows:
        for wanted in args.rows.split(','):
            if not any(rows.is_named(name, wanted) for name in names):
                parser.error(f'--rows: there is no row {wanted}')
    if args.measure in ('tokens', 'sentences') and not (args.model and args.texts):
        parser.error(f'--measure {args.measure} needs --model and --texts')
    return args


def threads():
    return int(os.environ['OMP_NUM_THREADS'].split(',')[0])


def main(argv=None):
    args = parse_args(argv)
    from bert.training import plot

    from .benchmarking import measure
    if args.measure:
        figures = (measure.operators() if args.measure == 'operators' else
                   measure.gemm(args.dtype) if args.measure == 'gemm' else
                   measure.embed(args.measure, args.model, args.texts, args.dtype))
        print(json.dumps(figures))
        return 0
    args.output_dir = os.path.abspath(files.make_folder(args.output_dir, '--output_dir'))
    inputs = measure.Inputs(os.path.join(args.output_dir, 'inputs'), args.text_file,
                                 args.model, args.data_dir)
    bench = Bench(args, inputs)
    about = report.about(bench.versions, bench.path)
    print('\n'.join('%s: %s' % item for item in about.items()), end='\n\n')
    print(report.HEADER, flush=True)
    done, failed = [], False

    def note(results):
        done.extend(results)
        print('\n'.join(map(report.line, results)), flush=True)
        files.write_json(os.path.join(args.output_dir, 'results.json'),
                         {'about': about, 'rows': done})

    for row in rows.table(args.quick, threads()):
        if not args.rows or any(rows.is_named(row.name, wanted)
                                for wanted in args.rows.split(',')):
            results, bad = bench.measure_row(row)
            note(results)
            failed |= bad
    shares = report.shares(done, inputs)
    if shares:
        note(shares)
    curves = report.curves(done)
    if args.plot and curves:
        print(f"picture: {plot.growth(os.path.join(args.output_dir, 'growth.png'), curves)}")
    return int(failed)


class Bench:
    """Runs the processes of the rows; ``versions`` are those of the peers' packages, ``path`` that
    which our programs take by themselves."""

    def __init__(self, args, inputs):
        self.args, self.inputs = args, inputs
        self._skip = 1 if args.quick else 2     # steps that warm up
        self.versions = {}
        if args.peer_python:
            self.versions = json.loads(self._process('peer versions', 'peer').output)
        # the first run on a machine builds the operators: no part of what is measured
        found = self._process('benchmark --measure operators', 'operators').output.splitlines()
        self.path = json.loads(found[0])['path']

    def __getitem__(self, name):
        """The path or number for ``{name}`` in a command."""
        if name == 'warmup':
            return self._skip
        if name in ('answerer', 'onnx') and name not in self.inputs:
            folder = files.make_folder(os.path.join(self.args.output_dir, 'inputs', name),
                                       '--output_dir')
            self.inputs[name + '-new'] = folder
            self.inputs[name] = getattr(self, '_' + name)(folder)
        return self.inputs[name]

    def _answerer(self, folder):
        """A trained model that answers questions, badly."""
        self._process('finetune_squad --bert_model {model-6l} --train_file {squad-6l-12} '
                      '--epochs 1 --output_dir {answerer-new}', 'answerer')
        return folder

    def _onnx(self, folder):
        """The 6-layer model as ONNX, by our export where onnx is installed, or by PyTorch's."""
        if all(importlib.util.find_spec(package) for package in ('onnx', 'onnxruntime')):
            self._process('export --task embedding --pretrained --bert_model {model-6l} --format '
                          'onnx --output_dir {onnx-new}', 'export')
        elif self.versions['onnx']:
            self._process('peer export --model {model-6l} --onnx {onnx-new}/model.onnx', 'export')
        else:
            raise Missing('no onnx to export with, neither here nor there')
        return os.path.join(folder, 'model.onnx')

    def _command(self, command):
        """(argv, environment) of a command of :mod:`scripts.benchmarking.rows`."""
        words = command.split()
        env = dict(os.environ, BERT_OFFLINE='1', HF_HUB_OFFLINE='1', TRANSFORMERS_VERBOSITY='error')
        launcher = []
        while '=' in words[0]:
            name, _, value = words.pop(0).partition('=')
            env[name] = value
        if words[0] == 'mpirun':
            words.pop(0)
            if not importlib.util.find_spec('horovod'):
                raise Missing('no Horovod')
            if not shutil.which('mpirun'):
                raise Missing('no mpirun')
            launcher = ['mpirun', '--allow-run-as-root', '--oversubscribe', '--bind-to', 'none',
                        '-np', '2']
        name, *flags = words
        if name == 'peer':
            for package in PACKAGES.get(flags[0], ('torch', 'transformers')):
                if not self.versions[package]:
                    raise Missing(f'no {package} there')
            # -I: neither PYTHONPATH nor our scripts' folder is for that interpreter
            program = [self.args.peer_python, '-I', os.path.join(HERE, 'benchmarking', 'peer.py')]
        elif __package__ == 'bert.scripts':     # installed
            program = [sys.executable, '-m', 'bert.export.export' if name == 'export'
                       else 'bert.scripts.' + name]
        else:
            program = [sys.executable, os.path.join(
                ROOT, 'export' if name == 'export' else 'scripts', name + '.py')]
        return launcher + program + [flag.format_map(self) for flag in flags], env

    def _process(self, command, label):
        """Run a command to its end: :class:`Measured`; DataError with its last line if it fails."""
        folder = os.path.join(self.args.output_dir, 'run')
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.inputs['out'] = folder
        argv, env = self._command(command)
        log = os.path.join(self.args.output_dir, 'logs', re.sub(r'\W+', '-', label))
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log + '.out', 'wb') as out, open(log + '.err', 'wb') as err:
            start = time.perf_counter()
            process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=err, cwd=folder)
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except KeyboardInterrupt:
                process.kill()
                raise
            seconds = time.perf_counter() - start
        process.returncode = 0 if status == 0 else 1    # it has been waited for
        with open(log + '.err', encoding='utf-8', errors='replace') as f:
            said = f.read()
        if status:
            lines = [text.strip() for text in said.splitlines() if text.strip()]
            raise DataError(f"{lines[-1] if lines else f'status {status}'} ({log}.err)")
        with open(log + '.out', encoding='utf-8', errors='replace') as f:
            return Measured(seconds, usage.ru_maxrss / (1024 if sys.platform != 'darwin' else
                                                        1 << 20), f.read() + said)

    def _figures(self, row, command, label):
        """One measurement of a row: its value in each unit, and 'MB'."""
        found = self._process(command, f'{row.name} {label}')
        skip = 0 if 's' in row.units else self._skip
        values = {unit: report.value(unit, found.seconds, found.output,
                                               self.inputs['out'], skip) for unit in row.units}
        shutil.rmtree(self.inputs['out'])       # checkpoints are large
        return dict(values, MB=found.megabytes)

    def measure_row(self, row):
        """Its results, a dict for each unit and peer; and whether a measurement failed."""
        sides = {'ours': row.ours}
        sides.update((label, command) for label, command in row.peers
                     if self.args.peer_python or 'peer' not in command.split()[0])
        figures, reasons, failed = {side: [] for side in sides}, {}, False
        for _ in range(self.args.rounds):
            for side, command in sides.items():
                if reasons.get('ours') or side in reasons:
                    continue
                try:
                    figures[side].append(self._figures(row, command, side))
                except (DataError, Missing) as error:
                    reasons[side] = ' '.join(str(error).split())
                    failed |= isinstance(error, DataError)
        return [report.result(row.name, unit, side, figures, reasons)
                for unit in row.units for side in list(sides)[1:] or [None]], failed


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
