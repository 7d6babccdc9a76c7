"""What the outputs of a classifier stand for: a task's labels, the data's, a trained model's."""
import logging
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..utils.errors import DataError
from . import labels as names
from . import tasks
from .tables import Example, find_labels

__all__ = ['Outputs', 'resolve']

Examples = Dict[str, List[Example]]
_log = logging.getLogger(__name__)


class Outputs(NamedTuple):
    """The outputs of a trained classifier, as its weights and its config.json have them."""
    count: int
    labels: Optional[Tuple[str, ...]]       # None: config.json names none
    stated_type: Optional[str]              # config.json's problem_type
    settings: Mapping[str, Any]             # what this toolkit noted: 'task', 'pair', ...
    source: str                             # where the model is from, for messages

    @property
    def problem_type(self) -> str:
        """What it predicts; see :func:`bert.data.tasks.problem_of`."""
        return tasks.problem_of(self.stated_type, self.count, self.source)


def resolve(task: Optional[tasks.Task], examples: Examples, outputs: Optional[Outputs],
            stated: Optional[Sequence[str]] = None,
            problem_type: str = tasks.SINGLE_LABEL) -> Tuple[tasks.Task, Examples]:
    """The task, with its labels in the order of the logits, and the examples in these labels.

    Parameters
    ----------
    task : bert.data.tasks.Task, optional
        A known task; None for the user's own data.
    examples : {split: list of Example}
    outputs : Outputs, optional
        Those of a trained model; None if a new head is to be trained.
    stated : sequence of str, optional
        The order of the outputs that the user states.
    problem_type : str
        What is predicted, or learned by a new head; see :attr:`bert.data.tasks.Task.problem_type`.

    Raises
    ------
    DataError
        Showing both lists, if the labels of a model cannot be those of the task or the data.
    """
    if task is not None:
        return _known(task, outputs, stated), examples
    labels = None
    if problem_type != tasks.REGRESSION:
        labels = tuple(stated) if stated else _labels(examples, outputs)
        if outputs and len(labels) != outputs.count:
            raise DataError(f"the labels are {', '.join(labels)}, but {outputs.source} has "
                            f'{outputs.count} outputs; name one label for each with --labels')
    elif stated:
        raise DataError(f'--labels: {outputs.source} has one output, a score; omit the flag')
    elif outputs and outputs.count != 1:
        raise DataError(f'--regression: {outputs.source} has {outputs.count} outputs, so it is a '
                        'classifier; omit the flag')
    settings = outputs.settings if outputs else {}
    task = tasks.custom(_pair(examples, settings.get('pair')), labels,
                        settings.get('task', 'custom'), problem_type == tasks.MULTI_LABEL)
    if labels is None:
        return task, examples
    return task, {split: _respell(rows, labels) for split, rows in examples.items()}


def _pair(examples, trained):
    """Whether the examples are pairs: all alike, and as the model was ``trained``, if known."""
    pair, like = (None, '') if examples.get('train') else (trained, 'those of the trained model')
    for split, rows in examples.items():
        for row in rows:
            if pair is None:
                pair, like = row.text_b is not None, f'the {split} data'
            elif pair != (row.text_b is not None):
                counts = ('one text', 'two') if pair else ('two texts', 'one')
                raise DataError(f'the {split} data have {counts[0]} per example, not {counts[1]} '
                                f'like {like}; name the columns with --text_columns')
    return pair


def _known(task, outputs, stated):
    if task.labels is None:
        if outputs and outputs.count != 1:
            raise DataError(f'{task.name} is a regression, but {outputs.source} has '
                            f'{outputs.count} outputs; take a model with one')
        return task
    if not (outputs or stated):
        return task
    count, own, source = (outputs.count, outputs.labels, outputs.source) if outputs else (
        len(task.labels), None, 'the new head')
    order = names.model_order(task.labels, own, count, source, stated, task.label_aliases)
    return task._replace(labels=order, positive=order.index(task.labels[1]))


def _labels(examples, outputs):
    """The labels of the user's own data: of a trained model, or those that occur."""
    if outputs and outputs.labels:
        return outputs.labels
    if not outputs:
        if 'train' not in examples:
            raise DataError('--model_parameters: this model has no classification head, so it '
                            'cannot predict; train one with --bert_model and --train_file first')
        return find_labels(examples['train'])
    rows = examples.get('train') or [row for split in examples.values() for row in split]
    found = names.sort(label for row in rows for label in _all(row.label))
    if not found:
        labels = tuple(f'LABEL_{i}' for i in range(outputs.count))
        _log.warning('%s does not name its labels: they are called %s (--labels names them)',
                     outputs.source, ', '.join(labels))
        return labels
    if len(found) != outputs.count:
        raise DataError(f'{outputs.source} does not name its labels: name them with --labels, or '
                        'the task with --task_name')
    return names.model_order(found, None, outputs.count, outputs.source)


def _all(label):
    """The labels of one text, none or several."""
    return label if isinstance(label, tuple) else () if label is None else (label,)


def _respell(rows, labels):
    """The examples with the labels that theirs mean, whatever the spelling."""
    meant = names.translate({label for row in rows for label in _all(row.label)}, labels)

    def respell(label):
        if isinstance(label, tuple):
            return tuple(meant.get(one, one) for one in label)
        return meant.get(label, label)

    return [row._replace(label=respell(row.label)) for row in rows]
