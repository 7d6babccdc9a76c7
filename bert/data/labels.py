"""Names of classes: those of a model beside those of a task or of the user's data.

A model's logits are in the order of its own labels, whose spelling may differ from the task's:
``ENTAILMENT`` and ``entailment``, ``not-entailment`` and ``Not Entailment`` are the same.
"""
import logging
import math
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..utils.errors import DataError
from ..utils.files import parse_json

__all__ = ['alike', 'as_word', 'class_ids', 'model_order', 'multiple', 'number', 'parse_order',
           'sort', 'translate', 'translator', 'truth']

_FLAGS = {'0', '1'}     # also the names of two classes
_TRUTH = {'true': '1.0', 'false': '0.0'}
_log = logging.getLogger(__name__)


def as_word(value: Any) -> str:
    """A label or an id of a file as one line of text; 1, 1.0 and true of JSON are one class."""
    if isinstance(value, (bool, float)) and float(value).is_integer():
        value = int(value)
    return '' if value is None else ' '.join(str(value).split())


def number(word: str) -> float:
    """The number that a text is, or nan."""
    try:
        return float(word)
    except ValueError:
        return math.nan


def truth(word: str) -> float:
    """1 and 0 for true and false, or the number that a text is, or nan."""
    return number(_TRUTH.get(word.casefold(), word))


def multiple(value: Any, order: Sequence[str] = ()) -> Tuple[str, ...]:
    """The labels of one text: of a list, of a JSON list as text, or separated by commas.

    As many numbers 0 and 1 as ``order`` has labels tell of each whether the text has it, unless
    these labels are 0 and 1.  Raises ValueError for what is none of them.
    """
    if isinstance(value, str) and value.lstrip().startswith('['):
        value = parse_json(value)
    if isinstance(value, dict):
        raise ValueError('neither labels separated by commas nor a list of labels')
    words = list(map(as_word, value if isinstance(value, list) else as_word(value).split(',')))
    if set(words) <= _FLAGS:
        if len(words) == len(order) and set(order) != _FLAGS:
            return tuple(label for label, word in zip(order, words) if word == '1')
        no_classes = bool(order) and _FLAGS.isdisjoint(order) and len(words) > 1
        if no_classes or len(words) > len(set(words)):
            raise ValueError(f'{len(words)} numbers 0 and 1, one for each label; ' + (
                f"but the labels are {len(order)}: {', '.join(order)}"
                if order and len(order) != len(words) else
                'name the labels, in the order of these, with --labels A,B,...'))
    return tuple(dict.fromkeys(word for word in words if word))


def sort(labels: Iterable[str]) -> Tuple[str, ...]:
    """Different labels in order; numbers are sorted as numbers."""
    labels = sorted(set(labels))
    if all(math.isfinite(number(label)) for label in labels):
        labels.sort(key=number)
    return tuple(labels)


def parse_order(text: Optional[str]) -> Optional[Tuple[str, ...]]:
    """The labels that ``--labels A,B,...`` names; ValueError if one is empty or named twice."""
    if text is None:
        return None
    labels = tuple(label.strip() for label in text.split(','))
    if not all(labels):
        raise ValueError(f'--labels {text} has an empty label in it')
    if len(set(labels)) < len(labels):
        raise ValueError(f'--labels {text} names a class twice')
    return labels


def class_ids(name: str, targets: Sequence[Any], labels: Optional[Sequence[str]]) -> List[Any]:
    """The labels of a set as class ids; None and the numbers of a regression stay as they are.

    A tuple of labels (multi-label) becomes a uint8 array of 0 and 1, one per class.  Raises
    DataError, with the ``name`` of the set, for a label that is not among ``labels``.
    """
    if labels is None:
        return list(targets)
    ids = {label: i for i, label in enumerate(labels)}

    def convert(target):
        several = isinstance(target, tuple)
        for label in target if several else (target,):
            if label not in ids:
                raise DataError(f'the {name} data have the label "{label}", which is not among: '
                                f"{', '.join(labels)}; if these are other names of the same, "
                                "state the order of the model's outputs in the labels of the "
                                'data: --labels A,B,...')
        if not several:
            return ids[target]
        row = np.zeros(len(labels), 'uint8')
        row[[ids[label] for label in target]] = 1
        return row

    return [None if target is None else convert(target) for target in targets]


def _key(label: str) -> str:
    """What is compared of a label: neither case nor ``_``, ``-`` and spaces; numbers as such, and
    true and false as 1 and 0."""
    if re.fullmatch(r'[+-]?\d+(\.\d*)?', label):
        return repr(float(label))
    word = re.sub(r'[\s_-]+', '', label).casefold()
    return _TRUTH.get(word, word)


def alike(labels: Iterable[str]) -> List[Tuple[str, ...]]:
    """The groups of labels that :func:`translator` would take for one another."""
    groups: Dict[str, List[str]] = {}
    for label in labels:
        groups.setdefault(_key(label), []).append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _by_key(labels: Iterable[str]) -> Dict[str, str]:
    """{key: label}, without the keys that two labels share."""
    out: Dict[str, Optional[str]] = {}
    for label in labels:
        key = _key(label)
        out[key] = None if key in out and out[key] != label else label
    return {key: label for key, label in out.items() if label is not None}


def translator(known: Iterable[str], aliases: Optional[Mapping[str, str]] = None
               ) -> Callable[[str], Optional[str]]:
    """A function: label -> the one of ``known`` that it means, or None.

    A label that is among ``known`` means itself; others are compared without regard to case,
    ``_``, ``-`` and spaces.  ``aliases`` are other names: {name: the label that it means}.
    """
    names = dict(aliases or {}, **{label: label for label in known})
    by_key = _by_key(names)
    return lambda label: names.get(label if label in names else by_key.get(_key(label)))


def translate(labels: Iterable[str], known: Iterable[str],
              aliases: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """{label: the one of ``known`` that it means}, for those that have one: :func:`translator`."""
    mean = translator(known, aliases)
    meant = {label: mean(label) for label in labels}
    return {label: name for label, name in meant.items() if name is not None}


def model_order(task: Sequence[str], model: Optional[Sequence[str]], count: int, source: str,
                stated: Optional[Sequence[str]] = None,
                aliases: Optional[Mapping[str, str]] = None) -> Tuple[str, ...]:
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
    aliases : dict, optional
        Other names of the task's labels: {name: label}.

    Raises
    ------
    DataError
        If the two lists cannot be matched; it shows both.
    """
    lists = f"the labels of the task are {', '.join(task)}; those of {source} are " + (
        ', '.join(model) if model else f'{count} without names')
    cure = ('state the order of its outputs in labels of the task, '
            f"--labels {','.join(task)} if it is this one")
    if count != len(task):
        raise DataError(f'{lists}: use a model with {len(task)} classes')
    if stated:
        meant = translate(stated, task, aliases)
        order = tuple(meant.get(label, label) for label in stated)
        if sorted(order) != sorted(task):
            raise DataError(f"--labels {','.join(stated)}: {lists}; name each label of the task "
                            'once')
        return order
    if not model:
        _log.warning("%s does not name its labels; assuming the task's order for its outputs: %s "
                     '(set another with --labels)', source, ', '.join(task))
        return tuple(task)
    meant = translate(model, task, aliases)
    order = tuple(meant.get(label, '') for label in model)
    if sorted(order) != sorted(task):
        raise DataError(f'{lists}; {cure}')
    return order
