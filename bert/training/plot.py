"""Pictures of a run, drawn with matplotlib (extra ``plot``)."""
import contextlib
import logging
import os
import warnings
from typing import Any, Mapping, Optional, Sequence

from ..utils.files import atomic, parse_json

__all__ = ['training_curves', 'confusion', 'precision_recall', 'sentence_map', 'growth']

# the curves of bert.metrics.squad.precision_recall
_CURVES = {'exact': 'exact match', 'f1': 'F1 of the words',
           'oracle': 'all answers right, the best that this confidence allows'}
# most texts that a map lists, and numbers; most classes that a confusion matrix lists
_LISTED, _NUMBERED = 40, 150


def _figure(*shape, **size):
    import matplotlib
    matplotlib.use('Agg')               # needs no screen
    logging.getLogger('matplotlib').setLevel(logging.WARNING)
    import matplotlib.pyplot as plt
    return plt.subplots(*shape, layout='constrained', **size)


def _save(figure, path):
    import matplotlib.pyplot as plt
    with atomic(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph')      # a box is drawn if the font has none
        figure.savefig(temporary, format='png', dpi=120)
    plt.close(figure)


def _plain(text):
    """A text to draw as it is: a dollar sign would start a formula, and bytes that are not UTF-8
    cannot be drawn."""
    return text.encode('utf-8', 'backslashreplace').decode().replace('$', r'\$')


def training_curves(folder: str) -> str:
    """Draw metrics.jsonl of ``folder`` as curves.png: losses, learning rate and scores."""
    records = _records(os.path.join(folder, 'metrics.jsonl'))
    train = [r for r in records if r.get('type') == 'train']
    dev = [r for r in records if r.get('type') == 'dev' and isinstance(r.get('set'), str)]
    figure, (left, right) = _figure(1, 2, figsize=(10, 4))
    losses, scores = _metrics(train)        # pre-training also has the parts of its loss
    unit = 'epoch' if scores == [] and all('epoch' in r for r in dev) else 'update'
    for metric in losses or ['loss']:
        _curve(left, train, 'update', metric, metric)
    for metric in scores:
        _curve(right, train, unit, metric, metric)
    for name in dict.fromkeys(r['set'] for r in dev):
        mine = [r for r in dev if r['set'] == name]
        losses, scores = _metrics(mine)
        for panel, x, metrics in (left, 'update', losses), (right, unit, scores):
            for metric in metrics:
                _curve(panel, mine, x, metric, f'{name} {metric}', marker='o')
    rate = left.twinx()
    _curve(rate, train, 'update', 'lr', 'learning rate', color='tab:gray', linestyle=':')
    rate.set_ylabel('learning rate (dotted)')
    left.set(xlabel='update', ylabel='loss', title='Losses')
    right.set(xlabel=unit, ylabel='score', title='Scores')
    for panel in left, right:
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if panel.lines:
            panel.legend(loc='upper center', bbox_to_anchor=(0.5, -0.15), ncol=2)
    path = os.path.join(folder, 'curves.png')
    _save(figure, path)
    return path


def _records(path):
    """The objects in metrics.jsonl, without damaged lines."""
    records = []
    with open(path, encoding='utf-8', errors='replace') as f:
        for line in f:
            with contextlib.suppress(ValueError):
                records.append(parse_json(line))
    return [record for record in records if isinstance(record, dict)]


def _is_number(value):
    return isinstance(value, (int, float)) and -1e30 < value < 1e30


def _metrics(records):
    """Names of the losses and of the scores among the values of the records."""
    other = {'type', 'update', 'epoch', 'set', 'loss', 'lr', 'gradient_norm'}
    names = [name for name, value in (records[0].items() if records else ())
             if name not in other and not name.endswith('_per_second') and _is_number(value)]
    losses = [name for name in names if name.endswith('loss')]
    return losses, [name for name in names if name not in losses]


def _curve(panel, records, x, y, label, **style):
    points = [(r[x], r[y]) for r in records if _is_number(r.get(x)) and _is_number(r.get(y))]
    if len(points) == 1:        # a line needs two points
        style['marker'] = 'o'
    panel.plot([place for place, _ in points], [value for _, value in points],
               label=_plain(label.replace('_', ' ')), **style)


def confusion(path: str, counts: Any, labels: Sequence[str]) -> str:
    """Draw a confusion matrix: counts (classes, classes), one row per true class.

    Of more than 40 classes, only some have their label, and no cell has its number.
    """
    shown = range(0, len(labels), -(-len(labels) // _LISTED))
    side = max(4, 1 + 0.7 * min(len(labels), _LISTED))
    figure, axes = _figure(figsize=(side + 1, side))
    image = axes.imshow(counts, cmap='Blues')
    axes.set(xticks=shown, yticks=shown, xlabel='predicted', ylabel='true')
    names = [_plain(labels[i]) for i in shown]
    axes.set_xticklabels(names, rotation=45, ha='right')
    axes.set_yticklabels(names)
    for row, values in enumerate(counts if len(labels) <= _LISTED else ()):
        for column, value in enumerate(values):
            axes.text(column, row, int(value), ha='center', va='center',
                      color='white' if value > counts.max() / 2 else 'black')
    figure.colorbar(image, label='examples')
    _save(figure, path)
    return path


def precision_recall(path: str, curves: Mapping[str, Any]) -> str:
    """Draw precision over recall: {name: :class:`bert.metrics.squad.Curve`}."""
    figure, axes = _figure(figsize=(6, 5))
    for name, curve in curves.items():
        axes.step(curve.recalls, curve.precisions, where='post',
                  label=f'{_CURVES.get(name, name)}: average precision '
                        f'{curve.average_precision:.3f}')
    axes.set(xlabel='recall: share of the answerable questions that are answered',
             ylabel='precision: score of the answers given', xlim=(0, 1), ylim=(0, 1.05),
             title='Answers by confidence, as the threshold for "no answer" rises')
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.15))
    _save(figure, path)
    return path


def growth(path: str, curves: Mapping[str, Any]) -> str:
    """Draw how times grow: {'length': {'ours': {tokens: seconds}, ...}, 'data': .., 'threads': ..}.
    """
    titles = {'length': ('Step of 8 texts', 'tokens per text'),
              'data': ('Whole script', 'times the data'),
              'threads': ('Step of 8 texts of 128 tokens', 'threads')}
    figure, axes = _figure(1, len(curves), figsize=(4.5 * len(curves), 4), squeeze=False)
    for panel, (against, series) in zip(axes[0], curves.items()):
        for name, points in series.items():
            panel.plot(list(points), list(points.values()), marker='o', label=name)
        title, label = titles[against]
        panel.set(title=title, xlabel=label, ylabel='seconds',
                  xticks=sorted({at for points in series.values() for at in points}))
        panel.set_ylim(bottom=0)
        panel.legend()
    _save(figure, path)
    return path


def sentence_map(path: str, points: Any, texts: Sequence[str], shares: Sequence[float],
                 numbers: Optional[Sequence[int]] = None) -> str:
    """Draw texts as numbered points, with a legend if there are few.

    ``points`` is (texts, 2); ``shares`` are the fractions of the variance that the two axes show;
    ``numbers`` are those of the texts, by default from 1.
    """
    numbers = numbers or range(1, len(texts) + 1)
    listed = len(texts) <= _LISTED
    figure, axes = _figure(figsize=(12 if listed else 8, 7))
    axes.scatter(points[:, 0], points[:, 1], s=30 if listed else 8,
                 alpha=1 if listed else 0.5)
    axes.set(title=f'{len(texts)} texts',
             xlabel=f'component 1 ({100 * shares[0]:.0f} % of the variance)',
             ylabel=f'component 2 ({100 * shares[1]:.0f} %)')
    if listed:
        rows = [f"{number}  {' '.join(text.split())[:60]}"
                for number, text in zip(numbers, texts)]
        axes.text(1.02, 1, _plain('\n'.join(rows)), transform=axes.transAxes, fontsize=8, va='top',
                  linespacing=1.4)
    if len(texts) <= _NUMBERED:
        _label(axes, points, [str(number) for number in numbers])
    _save(figure, path)
    return path


def _label(axes, points, labels):
    """Write labels beside points (n, 2), where they cover no other label and, if there is room, no
    point; those that are not close get a line to their point."""
    import numpy as np
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph')
        axes.figure.canvas.draw()               # from here on the axes keep their place
    axes.figure.set_layout_engine('none')
    pixels = axes.figure.dpi / 72               # per unit of the sizes below
    places = axes.transData.transform(points)
    taken = np.zeros((0, 2, 2))                 # of each label: lower left, upper right
    angles = np.pi / 4 + np.arange(0, 2, 0.125) * np.pi
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    ways = np.concatenate([radius * circle for radius in range(7, 250, 4)])
    for point, place, label in zip(points, places, labels):
        half = np.array([2.7 * len(label) + 0.5, 5]) * pixels     # of digits of 8 points
        middles = place + ways * pixels
        boxes = np.stack([middles - half, middles + half], 1)
        inside = ((boxes[:, 0] > axes.bbox.min) & (boxes[:, 1] < axes.bbox.max)).all(1)
        free = inside & ~_overlap(boxes, taken).any(1)
        best = free & ~_overlap(boxes, np.stack([places, places], 1)).any(1)
        way = int((best if best.any() else free).argmax())
        taken = np.concatenate([taken, boxes[way:way + 1]])
        far = np.hypot(*ways[way]) > 12
        axes.annotate(label, point, ways[way], textcoords='offset points', fontsize=8, ha='center',
                      va='center', annotation_clip=False, arrowprops={
                          'arrowstyle': '-', 'color': 'tab:gray', 'lw': 0.5} if far else None)


def _overlap(first, second):
    """Which boxes (n, 2, 2) overlap which (m, 2, 2): (n, m) bool."""
    return ((first[:, None, 0] < second[None, :, 1])
            & (first[:, None, 1] > second[None, :, 0])).all(2)
