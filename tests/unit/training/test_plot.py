"""What goes into the pictures of a run."""
import json

import numpy as np
import pytest

from bert.metrics.squad import Curve

plot = pytest.importorskip('bert.training.plot')
pyplot = pytest.importorskip('matplotlib.pyplot', reason='needs the extra plot')

TRAIN = {'type': 'train', 'update': 10, 'epoch': 1, 'loss': 3.5, 'lr': 1e-3, 'gradient_norm': 1.0}
FINE_TUNING = [dict(TRAIN, examples_per_second=9.0),
               {'type': 'dev', 'update': 20, 'epoch': 1, 'set': 'dev', 'accuracy': 0.75, 'f1': 0.5}]
PRE_TRAINING = [dict(TRAIN, tokens_per_second=9.0, MLM_loss=3.0, NSP_loss=0.5, MLM_accuracy=0.25),
                {'type': 'dev', 'update': 20, 'set': 'dev', 'MLM_loss': 2.5, 'MLM_accuracy': 0.5}]


@pytest.mark.parametrize('records, unit, losses, scores', [
    (FINE_TUNING, 'epoch', {'loss': (10, 3.5)},
     {'dev accuracy': (1, 0.75), 'dev f1': (1, 0.5)}),
    (PRE_TRAINING, 'update', {'MLM loss': (10, 3.0), 'NSP loss': (10, 0.5),
                              'dev MLM loss': (20, 2.5)},
     {'MLM accuracy': (10, 0.25), 'dev MLM accuracy': (20, 0.5)})])
def test_training_curves(records, unit, losses, scores, tmp_path, monkeypatch):
    with open(str(tmp_path / 'metrics.jsonl'), 'w') as f:
        f.writelines(json.dumps(record) + '\n' for record in records)
    drawn = []
    monkeypatch.setattr(plot, '_save', lambda figure, path: drawn.append((figure, path)))
    assert plot.training_curves(str(tmp_path)) == drawn[0][1] == str(tmp_path / 'curves.png')
    left, right, rate = drawn[0][0].axes
    for panel, expected in (left, losses), (right, scores):
        assert {line.get_label(): tuple(point[0] for point in line.get_data())
                for line in panel.lines} == expected
    assert right.get_xlabel() == unit
    assert [list(line.get_ydata()) for line in rate.lines] == [[1e-3]]
    assert {line.get_marker() for line in left.lines + rate.lines} == {'o'}     # single points
    drawn[0][0].canvas.draw()
    for panel in left, right:
        assert all(tick == int(tick) for tick in panel.get_xticks())
    pyplot.close(drawn[0][0])


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, which are not written."""
    figures = []
    monkeypatch.setattr(plot, '_save', lambda figure, path: figures.append(figure))
    yield figures
    for figure in figures:
        pyplot.close(figure)


def test_precision_recall_explains_its_lines(drawn):
    curve = Curve([0.0, 0.5], [1.0, 0.75], 0.6)
    plot.precision_recall('x.png', {'exact': curve, 'oracle': curve})
    axes, = drawn[0].axes
    assert 'confidence' in axes.get_title()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == 'exact match: average precision 0.600'
    assert labels[1].startswith('all answers right, the best ')


@pytest.mark.parametrize('classes, numbers, listed', [(3, 9, 3), (40, 1600, 40), (300, 0, 38)])
def test_confusion_of_many_classes_is_bounded(drawn, classes, numbers, listed):
    plot.confusion('x.png', np.eye(classes), [str(i) for i in range(classes)])
    axes = drawn[0].axes[0]
    assert len(axes.texts) == numbers and max(drawn[0].get_size_inches()) <= 30
    for axis in axes.xaxis, axes.yaxis:
        assert len(axis.get_ticklabels()) == listed
        assert [label.get_text() for label in axis.get_ticklabels()] == [
            str(place) for place in axis.get_ticklocs()]


def test_labels_are_drawn_as_they_are(tmp_path, recwarn):
    """Dollar signs, which begin formulas elsewhere, characters without a glyph, odd bytes."""
    path = tmp_path / 'confusion.png'
    plot.confusion(str(path), np.eye(4), ['$\\a$', 'US$_a$', '\u5317\u4eac', '\udce9'])
    assert path.read_bytes().startswith(b'\x89PNG') and not recwarn.list


def test_the_map_keeps_the_numbers_of_texts(drawn):
    plot.sentence_map('x.png', np.eye(3)[:, :2], ['a', 'b', 'c\udce9'], (0.5, 0.25), (1, 3, 4))
    listed, *labels = [text.get_text() for text in drawn[0].axes[0].texts]
    assert labels == ['1', '3', '4'] and listed == '1  a\n3  b\n4  c\\udce9'


@pytest.mark.parametrize('kind', ['spread', 'close', 'equal'])
@pytest.mark.parametrize('count', [3, 40, 150])
@pytest.mark.slow
def test_labels_of_the_map_do_not_overlap(drawn, kind, count):
    points = np.random.RandomState(0).randn(count, 2) * (kind != 'equal')
    if kind == 'close':
        points[3:] *= 0.01
    plot.sentence_map('x.png', points, ['text'] * count, (0.5, 0.25))
    figure, axes = drawn[0], drawn[0].axes[0]
    figure.canvas.draw()
    # a number's text, without the line to its point
    boxes = [pyplot.Text.get_window_extent(text) for text in axes.texts
             if text.get_text().isdigit()]
    assert len(boxes) == count
    assert not any(first.overlaps(second) for i, first in enumerate(boxes) for second in boxes[:i])
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0
               and box.y1 <= axes.bbox.y1 for box in boxes)
    places = axes.transData.transform(points)
    if kind == 'spread' and count < 150:
        assert not any(box.contains(*place) for box in boxes for place in places)


def test_damaged_lines_are_left_out(tmp_path):
    lines = [json.dumps(record) for record in FINE_TUNING]
    lines += ['{"type": "tr', '[]', '1', '[' * 100000, '{"type": "dev", "update": 3, "set": []}',
              '{"type": "train", "update": "x", "loss": null}',
              '{"type": "train", "update": 1' + '0' * 400 + ', "loss": NaN}']
    (tmp_path / 'metrics.jsonl').write_bytes('\n'.join(lines).encode() + b'\n\xff\n')
    assert (tmp_path / 'curves.png').samefile(plot.training_curves(str(tmp_path)))
