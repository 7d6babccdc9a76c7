"""Measure the programs of this toolkit, alone or compared with their peers, and print a table.

    python scripts/benchmark.py --quick
    python scripts/benchmark.py --rows train,ragged --model FOLDER
    python scripts/benchmark.py --peer_python peer/bin/python --plot
    python scripts/benchmark.py --scores --model FOLDER --data_dir DATA --peer_python PYTHON

Each measurement runs in its own process, so that its peak memory can be measured.  With
--peer_python, an interpreter that has torch and transformers (and sentence-transformers,
onnxruntime), the peers do the same work with the same weights and threads, alternating with ours in
every round.  A figure is the median over the rounds, and a ratio the median of the rounds' ratios,
above 1 if ours is better.  MB is the peak memory of the largest process.

Rates of train and pretrain leave out the first steps, those of embed and classify the loading; s is
a whole script from start to end.  OMP_NUM_THREADS sets the number of threads of both sides
(default: the number of cores).

--scores trains on MRPC, WNUT-17 and XQuAD instead, with our programs and with Transformers' Trainer
(random batches, and batches by length), and prints the dev scores of each seed, their mean and
standard deviation.  Finished runs are kept in scores.json; the same command later runs only the
missing ones.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    __package__ = 'scripts'

import argparse
import json
import os
import shutil
from typing import Dict, List, Optional

from bert.training.jobs import threads
from bert.utils import cli, files
from bert.utils.errors import run

from .benchmarking import report, scores
from .benchmarking.inputs import Inputs
from .benchmarking.measurements import all_measurements, is_named
from .benchmarking.runner import Runner

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def parse_args(argv: Optional[List[str]] = None) -> argparse.Namespace:
    parser = cli.Parser(description=__doc__)
    names = [row.name for row in all_measurements(cores=cores())]
    parser.add_argument('--rows', metavar='A,B', help='only these rows, by name or its beginning '
                        '(train-6l): ' + ', '.join(dict.fromkeys(n.split('-')[0] for n in names))
                        + '; with --scores, only these data: ' + ', '.join(scores.DATA))
    parser.add_argument('--rounds', type=cli.positive_int, metavar='N',
                        help='measurements of each row (default: 3, with --quick 1)')
    parser.add_argument('--quick', action='store_true', help='few steps and little data: to check '
                        'that all rows run, not for figures to quote')
    parser.add_argument('--model', type=cli.path, metavar='DIR', help='a model in the format of '
                        'Hugging Face that replaces the 6-layer one with random weights')
    parser.add_argument('--peer_python', type=cli.path, metavar='PATH',
                        help="the peers' Python interpreter")
    parser.add_argument('--data_dir', type=cli.path, metavar='DIR',
                        help="MRPC's official files, for ragged (default: made-up pairs); with "
                             '--scores, a folder with MRPC/msr_paraphrase_*.txt, '
                             'WNUT17/{train,dev}.conll and QA/xquad.en.json')
    text = os.path.join(ROOT, 'sample_text.txt')
    parser.add_argument('--text_file', default=text if os.path.exists(text) else None,
                        type=cli.path, metavar='FILE', help='text to make the data from (default: '
                        "the checkout's sample_text.txt)")
    parser.add_argument('--output_dir', default='./benchmark', type=cli.path, metavar='DIR',
                        help='for results.json or scores.json, growth.png, logs, models and data; '
                             'delete it afterwards (default: %(default)s)')
    parser.add_argument('--plot', action='store_true',
                        help='draw the growth rows as growth.png (extra: plot)')
    parser.add_argument('--scores', action='store_true',
                        help='compare the accuracy after training instead of the speed')
    parser.add_argument('--seeds', type=cli.distinct_ints, default=(1, 2, 3), metavar='N,N,...',
                        help='of --scores (default: 1,2,3)')
    inside = parser.add_argument_group('one measurement in this process, as benchmark.py runs it')
    inside.add_argument('--measure', choices=('gemm', 'tokens', 'sentences', 'pairs', 'operators',
                                               'precisions'))
    inside.add_argument('--texts', type=cli.path, metavar='FILE')
    inside.add_argument('--dtype', choices=('float32', 'bfloat16', 'int8'), default='float32')
    args = parser.parse_args(argv)
    args.rounds = args.rounds or (1 if args.quick else 3)
    if args.peer_python:
        found = shutil.which(args.peer_python)
        if not found:
            parser.error(f'--peer_python {args.peer_python}: there is no such program')
        args.peer_python = os.path.abspath(found)
    args.rows = args.rows.split(',') if args.rows else None
    if args.scores:
        names = list(scores.DATA)
        if not (args.model and args.data_dir):
            parser.error('--scores needs --model, real weights, and --data_dir')
    for wanted in args.rows or ():
        if not any(is_named(name, wanted) for name in names):
            parser.error(f'--rows: there is no row {wanted}')
    if not (args.measure or args.text_file):
        parser.error('--text_file is required: this installed package has no text of its own')
    if args.measure in ('tokens', 'sentences', 'pairs') and not (args.model and args.texts):
        parser.error(f'--measure {args.measure} needs --model and --texts')
    return args


def cores() -> int:
    return threads(os.environ, os.cpu_count() or 1)


def main(argv: Optional[List[str]] = None) -> int:
    args = parse_args(argv)
    os.environ['OMP_NUM_THREADS'] = str(cores())    # peers take a number, no list
    if args.measure:
        print(json.dumps(measure_here(args.measure, args.model, args.texts, args.dtype)))
        return 0
    folder = os.path.abspath(files.make_folder(args.output_dir, '--output_dir'))
    mrpc = os.path.join(args.data_dir, 'MRPC') if args.scores else args.data_dir
    inputs = Inputs(os.path.join(folder, 'inputs'), args.text_file, args.model, mrpc)
    runner = Runner(folder, inputs, args.peer_python, args.rounds, warmup=1 if args.quick else 2)
    about = report.about(runner.versions, runner.path)
    print('\n'.join(f'{name}: {text}' for name, text in about.items()), end='\n\n')
    if args.scores:
        return compare_scores(args, runner, folder, about)
    print(report.HEADER, flush=True)
    done, failed = [], False

    def record(results):
        done.extend(results)
        print('\n'.join(map(report.line, results)), flush=True)
        files.write_json(os.path.join(folder, 'results.json'), {'about': about, 'rows': done})

    for row in all_measurements(args.quick, cores()):
        if not args.rows or any(is_named(row.name, wanted) for wanted in args.rows):
            results, bad = runner.measure(row)
            record(results)
            failed |= bad
    shares = report.shares(done, inputs)
    if shares:
        record(shares)
    curves = report.curves(done)
    if args.plot and curves:
        from bert.training import plot
        print(f"picture: {plot.growth(os.path.join(folder, 'growth.png'), curves)}")
    return int(failed)


def compare_scores(args: argparse.Namespace, runner: Runner, folder: str,
                   about: Dict[str, str]) -> int:
    """Do the runs of --scores and print their table; returns the exit status."""
    names = args.rows or list(scores.DATA)
    source = {'model': os.path.abspath(args.model), 'data_dir': os.path.abspath(args.data_dir)}
    scores.prepare(names, runner.inputs, os.path.join(folder, 'inputs'), source['data_dir'])
    measured = runner.process('benchmark --measure precisions', 'precisions').output.splitlines()
    wanted = scores.jobs(names, json.loads(measured[0])['precisions'], args.seeds,
                         1 if args.quick else 3, bool(args.peer_python))
    done, failed = scores.measure(runner, wanted, os.path.join(folder, 'scores.json'), about,
                                  source)
    if done:
        print('\n' + scores.table(done, args.seeds))
    return int(failed)


def measure_here(kind: str, model: Optional[str], texts: Optional[str],
                 dtype: str) -> Dict[str, object]:
    """One measurement in this process, {unit: figure}."""
    from .benchmarking import measure
    if kind == 'operators':
        return measure.operators()
    if kind == 'precisions':
        return measure.precisions()
    if kind == 'gemm':
        return measure.gemm(dtype)
    if kind == 'pairs':
        return measure.classify(model, texts, dtype)
    return measure.embed(kind, model, texts, dtype)


def program() -> None:
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
