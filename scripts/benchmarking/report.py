"""From the measurements of scripts/benchmark.py to figures, ratios and lines of its table."""
import contextlib
import json
import os
import re
import statistics
import time

from bert.utils import files
from bert.utils.errors import DataError

from . import measure

__all__ = ['value', 'mean_rate', 'result', 'HEADER', 'line', 'shares', 'curves', 'about']

STEP = 8                        # texts in a step of the growth rows
_LOWER = ('s', 's/step')        # units of which less is better


def value(unit, seconds, output, folder, skip=0):
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
        What it wrote; the rates in metrics.jsonl count where it is there.
    skip : int
        Steps to leave out at the beginning.
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
            said = json.loads([text for text in output.splitlines() if text[:1] == '{'][-1])
            rate = said['examples/s' if unit == 's/step' else unit]
        return STEP / rate if unit == 's/step' else rate
    except (IndexError, KeyError, StopIteration, ValueError, ZeroDivisionError):
        raise DataError(f'it gave no figure in {unit}') from None


def mean_rate(records, skip=0):
    """Examples (or tokens) a second over the records of metrics.jsonl, ``skip`` left out."""
    updates, seconds, before = 0, 0.0, 0
    for i, record in enumerate(r for r in records if r['type'] == 'train'):
        rate = next(number for name, number in record.items() if name.endswith('_per_second'))
        if i >= skip:
            updates += record['update'] - before
            seconds += (record['update'] - before) / rate
        before = record['update']
    return updates / seconds


def result(name, unit, side, figures, reasons):
    """What a line of the table says, as a dict; its lists have an entry a round.

    Parameters
    ----------
    name, unit, side : str
        Of the row, its unit and the peer; ``side`` is None where there is none.
    figures : dict
        'ours' and each peer -> a list of {unit: figure, ..., 'MB': figure}, one a round.
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


LINE = '%-22s %-10s %9s  %-21s %9s %6s %7s %7s'
HEADER = LINE % ('row', 'unit', 'ours', 'peer', "peer's", 'ratio', 'MB', "peer's")


def line(r):
    """A line of the table; '-' where there is no figure, with the reason behind it."""
    def middle(numbers, form):
        return form % statistics.median(numbers) if numbers else '-'

    def number(numbers):
        return middle(numbers, '%.3f' if numbers and max(numbers) < 10 else '%.1f')

    text = LINE % (r['row'], r['unit'], number(r['ours']), r['peer'] or '-', number(r['theirs']),
                   middle(r['ratios'], '%.2f'), middle(r['ours_mb'], '%.0f'),
                   middle(r['theirs_mb'], '%.0f'))
    return text + ('  ' + r['reason'] if r['reason'] else '')


def shares(done, inputs):
    """The share of the measured GEMM peak that each train row reached, where both are there.

    Of the last layer, ours needs only [CLS]; the peer computes all of it, and is counted so.
    """
    peaks, out = {r['row']: r for r in done if r['row'].startswith('gemm-')}, []
    for r in done:
        kind, _, rest = r['row'].partition('-')
        size, _, short = rest.partition('-')
        peak = peaks.get('gemm-' + short)
        if kind != 'train' or not peak or not r['ours'] or not peak['ours']:
            continue
        config = files.read_json(os.path.join(inputs['model-' + size], 'config.json'))
        share = {}
        for side in 'ours', 'theirs':
            work = measure.training_flops(config, 128, side == 'ours') * 128e-9
            share[side] = [100 * work * rate / statistics.median(peak[side])
                           for rate in r[side] if peak[side]]
        out.append({'row': 'share-' + rest, 'unit': '% of peak', 'ours': share['ours'],
                    'ours_mb': [], 'peer': r['peer'], 'theirs': share['theirs'], 'theirs_mb': [],
                    'ratios': [], 'reason': None})
    return out


def curves(done):
    """The growth rows as {'length': {'ours': {32: seconds, ...}, ...}, ...}, medians."""
    out = {}
    for r in done:
        if r['row'].startswith('growth-'):
            _, against, at = r['row'].split('-')
            for name, numbers in ('ours', r['ours']), (r['peer'], r['theirs']):
                if numbers:
                    out.setdefault(against, {}).setdefault(name, {})[int(at)] = \
                        statistics.median(numbers)
    return out


def about(peers, path):
    """Machine, date and versions: {name: text}.

    ``peers`` is {package: version or None}, ``path`` is our programs' own choice of --path.
    """
    import platform
    from importlib import metadata

    from .. import __version__
    processor = platform.processor() or platform.machine()
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            processor = next((text.split(':', 1)[1].strip() for text in f
                              if text.startswith('model name')), processor)
    ours = ['gluon-bert ' + __version__, 'Python ' + platform.python_version()]
    for name in 'mxnet', 'gluonnlp', 'numpy':
        with contextlib.suppress(metadata.PackageNotFoundError):    # mxnet-cu112, say
            ours.append(f'{name} {metadata.version(name)}')
    out = {'machine': f"{processor}, {os.environ['OMP_NUM_THREADS']} threads",
           'date': time.strftime('%Y-%m-%d'), 'ours': ', '.join(ours + ['--path ' + path])}
    if peers:
        out['peers'] = ', '.join('%s %s' % item for item in peers.items() if item[1])
    return out
