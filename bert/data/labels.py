"""Names of classes: those of a model beside those of a task or of the user's data.

A model's logits are in the order of its own labels, whose spelling may differ from the task's:
``ENTAILMENT`` and ``entailment``, ``not-entailment`` and ``Not Entailment`` are the same.
"""
import logging
import re
from typing import Dict, Iterable, Optional, Sequence, Tuple

from ..utils.errors import DataError

__all__ = ['model_order', 'translate']

_log = logging.getLogger(__name__)


def _key(label: str) -> str:
    """What is compared of a label: neither case nor ``_``, ``-`` and spaces."""
    return re.sub(r'[\s_-]+', '', label).casefold()


def _by_key(labels: Iterable[str]) -> Dict[str, str]:
    """{key: label}, without the keys that two labels share."""
    out: Dict[str, Optional[str]] = {}
    for label in labels:
        key = _key(label)
        out[key] = None if key in out and out[key] != label else label
    return {key: label for key, label in out.items() if label is not None}


def translate(labels: Iterable[str], known: Sequence[str]) -> Dict[str, str]:
    """{label: the one of ``known`` that it means}, for those that have one.

    A label that is among ``known`` means itself; others are compared without regard to case,
    ``_``, ``-`` and spaces.
    """
    by_key = _by_key(known)
    out = {}
    for label in labels:
        meant = label if label in known else by_key.get(_key(label))
        if meant is not None:
            out[label] = meant
    return out


def model_order(task: Sequence[str], model: Optional[Sequence[str]], count: int, source: str,
                stated: Optional[Sequence[str]] = None) -> Tuple[str, ...]:
    """The labels of a task in the order of a model's logits.

    Parameters
    ----------
    task : sequence of str
        The labels of the task.
    model : sequence of str, optional
        The labels that the model's config.json names; None where it names none (LABEL_0, ...).
    count : int
        How many logits the model has.
    source : str
        Where the model is from, for messages.
    stated : sequence of str, optional
        The order that the user states with ``--labels``.

    Raises :class:`~bert.utils.errors.DataError`, which shows both lists, where they cannot be
    matched.
    """
    lists = f"the labels of the task are {', '.join(task)}; those of {source} are " + (
        ', '.join(model) if model else f'{count} without names')
    cure = ('state the order of its outputs in labels of the task, '
            f"--labels {','.join(task)} if it is this one")
    if count != len(task):
        raise DataError(f'{lists}: use a model with {len(task)} classes')
    if stated:
        meant = translate(stated, task)
        order = tuple(meant.get(label, label) for label in stated)
        if sorted(order) != sorted(task):
            raise DataError(f"--labels {','.join(stated)}: {lists}; name each label of the task "
                            'once')
        return order
    if not model:
        _log.warning("%s does not name its labels; assuming the task's order for its outputs: %s "
                     '(set another with --labels)', source, ', '.join(task))
        return tuple(task)
    meant = translate(model, task)
    order = tuple(meant.get(label, '') for label in model)
    if sorted(order) != sorted(task):
        raise DataError(f'{lists}; {cure}')
    return order
