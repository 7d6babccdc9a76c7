"""Turns the measurements of scripts/benchmark.py into figures, ratios and lines of its table."""
import contextlib
import json
import os
import re
import statistics
import time
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from bert.model.config import BertConfig
from bert.utils import files, processors
from bert.utils.errors import DataError

from .measure import training_flops

__all__ = ['LENGTH', 'MASKED', 'STEP', 'value', 'mean_rate', 'result', 'HEADER', 'line', 'shares',
           'curves', 'about']

STEP = 8                        # texts in a step of the growth measurements
LENGTH, MASKED = 128, 20        # tokens of a text in a training step, and those that are masked
_LOWER = ('s', 's/step')        # units of which less is better


def value(unit: str, seconds: float, output: str, folder: str, skip: int = 0) -> float:
    """A process's figure in ``unit``.

    Parameters
    ----------
    unit : str
        's' is the process's own time, 's/step' that of :data:`STEP` texts; others are rates.
    seconds : float
        From its start to its end.
    output : str
        What it printed: a line of JSON {unit: figure}, or a program's log.
    folder : str
        What it wrote; the rates in metrics.jsonl count if it is there.
    skip : int
        Steps to leave out at the beginning.

    Raises DataError if there is no such figure.
    """
    if unit == 's':
        return seconds
    path = os.path.join(folder, 'metrics.jsonl')
    try:
        if unit == 'Mtokens/s':
            return float(re.findall(r'([\d.]+) million tokens (?:a|per) second', output)[-1])
        if os.path.exists(path):
            with open(path, encoding='utf-8') as f:
                rate = mean_rate([json.loads(text) for text in f], skip)
        else:
            figures = json.loads([text for text in output.splitlines() if text[:1] == '{'][-1])
            rate = figures['examples/s' if unit == 's/step' else unit]
        return STEP / rate if unit == 's/step' else rate
    except (IndexError, KeyError, StopIteration, ValueError, ZeroDivisionError):
        raise DataError(f'it gave no figure in {unit}') from None


def mean_rate(records: Iterable[Dict[str, Any]], skip: int = 0) -> float:
    """Examples (or tokens) per second over the records of metrics.jsonl but the first ``skip``."""
    updates, seconds, before = 0, 0.0, 0
    for i, record in enumerate(r for r in records if r['type'] == 'train'):
        rate = next(number for name, number in record.items() if name.endswith('_per_second'))
        if i >= skip:
            updates += record['update'] - before
            seconds += (record['update'] - before) / rate
        before = record['update']
    return updates / seconds


def result(name: str, unit: str, side: Optional[str], figures: Mapping[str, List[Dict[str, float]]],
           reasons: Mapping[str, str]) -> Dict[str, Any]:
    """The content of a line of the table, as a dict; its lists have one entry per round.

    Parameters
    ----------
    name, unit, side : str
        Of the measurement, its unit and the peer; ``side`` is None without a peer.
    figures : dict
        'ours' and each peer -> a list of {unit: figure, ..., 'MB': figure}, one per round.
    reasons : dict
        'ours' or a peer -> why it has no figures, or fewer.
    """
    ours, theirs = figures['ours'], figures.get(side, [])
    ratios = [b[unit] / a[unit] if unit in _LOWER else a[unit] / b[unit]
              for a, b in zip(ours, theirs)]
    return {'row': name, 'unit': unit, 'ours': [a[unit] for a in ours],
            'ours_mb': [a['MB'] for a in ours], 'peer': side, 'theirs': [b[unit] for b in theirs],
            'theirs_mb': [b['MB'] for b in theirs], 'ratios': ratios,
            'reason': reasons.get('ours') or reasons.get(side)}


_LINE = '{:<22} {:<10} {:>9}  {:<21} {:>9} {:>6} {:>7} {:>7}'
HEADER = _LINE.format('row', 'unit', 'ours', 'peer', "peer's", 'ratio', 'MB', "peer's")


def line(r: Dict[str, Any]) -> str:
    """A line of the table; '-' stands for a missing figure, with the reason after it."""
    def middle(numbers, form):
        return format(statistics.median(numbers), form) if numbers else '-'

    def number(numbers):
        return middle(numbers, '.3f' if numbers and max(numbers) < 10 else '.1f')

    text = _LINE.format(
        r['row'], r['unit'], number(r['ours']), r['peer'] or '-', number(r['theirs']),
        middle(r['ratios'], '.2f'), middle(r['ours_mb'], '.0f'), middle(r['theirs_mb'], '.0f'))
    return text + ('  ' + r['reason'] if r['reason'] else '')


def shares(done: Sequence[Dict[str, Any]], inputs: Mapping[str, str]) -> List[Dict[str, Any]]:
    """The share of the GEMM peak that each training step reached, if both were measured.

    We compute only what the loss reads of the last layer, and logits only for masked tokens; the
    peer computes everything.  Each is counted accordingly.
    """
    peaks, out = {r['row']: r for r in done if r['row'].startswith('gemm-')}, []
    for r in done:
        kind, _, rest = r['row'].partition('-')
        size, _, short = rest.partition('-')
        peak = peaks.get('gemm-' + short)
        if kind not in ('train', 'pretrain') or not peak or not r['ours'] or not peak['ours']:
            continue
        path = os.path.join(inputs['model-' + size], 'config.json')
        config = BertConfig.from_dict(files.read_json(path), path)
        # tokens that are read and decoded per text, and texts per unit of the rate
        work = {'train': {'ours': (1, 0, 1), 'theirs': (None, 0, 1)},
                'pretrain': {'ours': (1 + MASKED, MASKED, 1 / LENGTH),
                             'theirs': (None, LENGTH, 1 / LENGTH)}}[kind]
        share = {}
        for side, (read, decoded, texts) in work.items():
            flops = training_flops(config, LENGTH, read, decoded) * texts
            share[side] = [100e-9 * flops * rate / statistics.median(peak[side])
                           for rate in r[side] if peak[side]]
        out.append({'row': f'share-{kind}-{rest}', 'unit': '% of peak', 'ours': share['ours'],
                    'ours_mb': [], 'peer': r['peer'], 'theirs': share['theirs'], 'theirs_mb': [],
                    'ratios': [], 'reason': None})
    return out


def curves(done: Sequence[Dict[str, Any]]) -> Dict[str, Dict[str, Dict[int, float]]]:
    """The growth measurements as {'length': {'ours': {32: seconds, ...}, ...}, ...}, medians."""
    out = {}
    for r in done:
        if r['row'].startswith('growth-'):
            _, against, at = r['row'].split('-')
            for name, numbers in ('ours', r['ours']), (r['peer'], r['theirs']):
                if numbers:
                    out.setdefault(against, {}).setdefault(name, {})[int(at)] = \
                        statistics.median(numbers)
    return out


def about(peers: Mapping[str, Optional[str]], path: str) -> Dict[str, str]:
    """Machine, date and versions: {name: text}.

    ``peers`` is {package: version or None}, ``path`` our programs' default choice of --path.
    """
    import platform
    from importlib import metadata

    from bert import __version__
    processor = (processors.describe().get('model name') or platform.processor()
                 or platform.machine())
    ours = ['gluon-bert ' + __version__, 'Python ' + platform.python_version()]
    for name in 'mxnet', 'gluonnlp', 'numpy':
        with contextlib.suppress(metadata.PackageNotFoundError):    # e.g. mxnet-cu112
            ours.append(f'{name} {metadata.version(name)}')
    out = {'machine': f"{processor}, {os.environ['OMP_NUM_THREADS']} threads",
           'date': time.strftime('%Y-%m-%d'), 'ours': ', '.join(ours + ['--path ' + path])}
    if peers:
        out['peers'] = ', '.join(f'{name} {version}' for name, version in peers.items() if version)
    return out
