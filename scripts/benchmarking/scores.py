"""Accuracy beside Transformers' Trainer: what scripts/benchmark.py --scores trains and prints.

Both follow the same recipe (AdamW with weight decay, linear warm-up and decay, clipped gradients)
and are scored after the last epoch.  --data_dir holds

- ``MRPC/msr_paraphrase_train.txt`` and ``..._test.txt``, which is the dev set
- ``WNUT17/train.conll`` and ``dev.conll``
- ``QA/xquad.en.json``, XQuAD's English part, which has no training set: its first 36 articles are
  trained on, the other 12 are the dev set
"""
import json
import os
import shutil
import statistics
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from bert.utils import files
from bert.utils.errors import DataError

from .measurements import DTYPES
from .runner import Missing, Runner

__all__ = ['ARTICLES', 'DATA', 'Job', 'jobs', 'measure', 'prepare', 'table']

ARTICLES = 36                   # of XQuAD, to train on
_PROGRAMS = {'ours': None, 'Trainer, random batches': '', 'Trainer, by length': ' --by_length'}
_METRICS = {'accuracy': 'accuracy', 'f1': 'F1', 'exact': 'exact match'}


class DataSet(NamedTuple):
    """What is trained on a data set: commands as in :mod:`.measurements`."""
    title: str
    metrics: Tuple[str, ...]    # of our dev scores, and of what the peer prints
    scale: int                  # from them to percent
    recipe: str                 # flags of both
    ours: str
    peer: str
    package: Optional[str] = None       # that the peer needs to score it


DATA = {
    'mrpc': DataSet(
        'MRPC', ('accuracy', 'f1'), 100, '--batch_size 32 --lr 2e-4',
        'finetune_classifier --task_name MRPC --data_dir {mrpc} --max_len 128',
        'peer classify --train {mrpc-6l-train-0} --dev {mrpc-6l-dev-0} --length 128'),
    'wnut17': DataSet(
        'WNUT-17', ('f1',), 100, '--batch_size 32 --lr 3e-4',
        'finetune_ner --train_path {wnut17-train} --dev_path {wnut17-dev} --seq_len 180',
        'peer tag --train {wnut17-train} --dev {wnut17-dev} --length 180', 'seqeval'),
    'xquad': DataSet(
        'XQuAD (en)', ('exact', 'f1'), 1, '--batch_size 12 --lr 3e-4',
        'finetune_squad --train_file {xquad-train} --dev_file {xquad-dev} --max_seq_length 384',
        'peer squad --train {xquad-train} --dev {xquad-dev} --length 384')}


class Job(NamedTuple):
    """A run: of a data set of :data:`DATA`, a program, a precision of DTYPES and a seed."""
    data: str
    program: str
    dtype: str
    seed: int
    command: str

    def __str__(self) -> str:
        return f'{DATA[self.data].title}, {self.program}, {self.dtype}, seed {self.seed}'


def jobs(names: Sequence[str], dtypes: Sequence[str], seeds: Sequence[int], epochs: int = 3,
         peer: bool = True) -> List[Job]:
    """The runs in their order: each data set, each precision, each seed, each program."""
    found = []
    for name in names:
        data = DATA[name]
        for short in dtypes:
            for seed in seeds:
                for program, flags in list(_PROGRAMS.items())[:None if peer else 1]:
                    command = (data.ours + ' --bert_model {model-6l} --optimizer adamw'
                               if flags is None else data.peer + ' --model {model-6l}' + flags)
                    found.append(Job(name, program, short, seed, (
                        f'{command} {data.recipe} --epochs {epochs} --warmup_ratio 0.1 '
                        f'--epsilon 1e-6 --seed {seed} --dtype {DTYPES[short]} '
                        '--output_dir {out}')))
    return found


def prepare(names: Sequence[str], inputs: Dict[str, str], folder: str, data_dir: str) -> None:
    """Set the paths that the commands of :data:`DATA` name; XQuAD's parts go to ``folder``.

    Raises DataError for a file that is missing or has other content.
    """
    wanted = {'mrpc': [('mrpc', 'MRPC')],
              'wnut17': [(f'wnut17-{part}', f'WNUT17/{part}.conll') for part in ('train', 'dev')],
              'xquad': [('xquad', 'QA/xquad.en.json')]}
    for name in names:
        for key, path in wanted[name]:
            inputs[key] = os.path.join(data_dir, *path.split('/'))
            if not os.path.exists(inputs[key]):
                raise DataError(f'--data_dir {data_dir}: has no {path}')
    if 'xquad' in names:
        content = files.read_json(inputs['xquad'], dict)
        articles = content.get('data')
        if not isinstance(articles, list) or len(articles) <= ARTICLES:
            raise DataError(f"{inputs['xquad']}: needs more than {ARTICLES} articles in \"data\"")
        for split, part in ('train', articles[:ARTICLES]), ('dev', articles[ARTICLES:]):
            inputs[f'xquad-{split}'] = os.path.join(folder, f'xquad-{split}.json')
            files.write_json(inputs[f'xquad-{split}'], dict(content, data=part))


def measure(runner: Runner, wanted: Sequence[Job], path: str, about: Mapping[str, str],
            source: Mapping[str, str]) -> Tuple[List[Dict[str, Any]], bool]:
    """Do the runs that the file ``path`` does not have yet, and add each to it as it ends.

    Parameters
    ----------
    runner : scripts.benchmarking.runner.Runner
    wanted : sequence of Job
    path : str
        scores.json: {'about', 'runs': [the fields of a Job and of ``source``, and 'scores' in
        percent, 'seconds', 'cpu_seconds', 'MB', 'date']}.
    about : dict
        Machine and versions, for that file.
    source : dict
        Model and data: runs with others stay in the file, but are not used.

    Returns (the wanted runs that have ended, whether one failed).
    """
    runs = files.read_json(path, dict).get('runs') if os.path.exists(path) else []
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise DataError(f'{path}: not a list of runs; delete it')
    done, failed = [], False
    for job in wanted:
        fields = dict(job._asdict(), **source)
        known = next((run for run in runs if {**run, **fields} == run), None)
        if known is None:
            try:
                known = dict(fields, **_train(runner, job))
            except (DataError, Missing) as error:
                failed |= isinstance(error, DataError)
                print(f"{job}: {' '.join(str(error).split())}", flush=True)
                continue
            runs.append(known)
            files.write_json(path, {'about': about, 'runs': runs})
            print(f"{job}: {_shown(known['scores'])}, {known['seconds']:.0f} s", flush=True)
        else:
            print(f"{job}: {_shown(known['scores'])}, from {path}", flush=True)
        done.append(known)
    return done, failed


def _train(runner, job):
    """Do a run; returns its scores, seconds, memory and date."""
    data = DATA[job.data]
    if job.program != 'ours' and data.package and not runner.versions.get(data.package):
        raise Missing(f'no {data.package} for the peer')
    found = runner.process(job.command, str(job))
    log = os.path.join(runner.inputs['out'], 'metrics.jsonl')
    try:
        if job.program == 'ours':       # the last epoch, as the peers': the best one is kept
            with open(log, encoding='utf-8') as f:
                figures = [r for r in map(json.loads, f) if r['type'] == 'dev'][-1]
        else:
            figures = json.loads([text for text in found.output.splitlines()
                                  if text[:1] == '{'][-1])
        scores = {metric: data.scale * figures[metric] for metric in data.metrics}
    except (OSError, IndexError, KeyError, TypeError, ValueError):
        raise DataError('no scores in its output') from None
    shutil.rmtree(runner.inputs['out'])         # checkpoints are large
    return {'scores': scores, 'seconds': found.seconds, 'cpu_seconds': found.cpu_seconds,
            'MB': found.megabytes, 'date': time.strftime('%Y-%m-%d')}


def _shown(scores):
    return ', '.join(f'{_METRICS[name]} {value:.1f}' for name, value in scores.items())


def table(runs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> str:
    """The runs as a table in reStructuredText, as docs/results.rst has it.

    A line has the scores of a program with each seed in percent ('-' for those that are missing),
    their mean and sample standard deviation (n - 1), and the medians of the runs' seconds and
    seconds of processor time.
    """
    groups = {}
    for run in runs:
        program = run['program'] + ('' if run['dtype'] == 'fp32' else ', ' + run['dtype'])
        for metric, score in run['scores'].items():
            group = groups.setdefault((DATA[run['data']].title, _METRICS[metric], program), {})
            group[run['seed']] = score, run['seconds'], run['cpu_seconds']
    lines = [('data', 'score', 'program', *(f'seed {seed}' for seed in seeds), 'mean', 'sd', 's',
              'CPU s')]
    kinds = list(dict.fromkeys(names[:2] for names in groups))       # the programs of each together
    for names, found in sorted(groups.items(), key=lambda group: kinds.index(group[0][:2])):
        scores, *seconds = zip(*found.values())
        lines.append((
            *names, *(f'{found[seed][0]:.1f}' if seed in found else '-' for seed in seeds),
            f'{statistics.mean(scores):.1f}',
            f'{statistics.stdev(scores):.1f}' if len(scores) > 1 else '-',
            *(f'{statistics.median(each):.0f}' for each in seconds)))
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = '  '.join('=' * width for width in widths)
    text = ['  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in lines]
    return '\n'.join([rule, text[0], rule, *text[1:], rule])
