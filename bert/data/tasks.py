"""The sentence tasks as a table, one row each: classes, metrics, files and their columns.

The order of a row's labels gives each label its class id.  It is the order of GluonNLP's
``scripts/bert`` (``not_entailment`` before ``entailment``; ``neutral, entailment, contradiction``),
so that a classifier trained there, whose ``.params`` file names no labels, keeps its meaning.  Any
other checkpoint has its own order in ``id2label``, which takes precedence.
"""
import difflib
import logging
import os
import re
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..utils.errors import DataError, brief

__all__ = ['SINGLE_LABEL', 'MULTI_LABEL', 'REGRESSION', 'problem_of', 'Columns', 'Task', 'TASKS',
           'get', 'custom', 'has', 'official']

# what a text is given, as Transformers' config.json calls it: a class, labels, or a number
SINGLE_LABEL = 'single_label_classification'
MULTI_LABEL = 'multi_label_classification'
REGRESSION = 'regression'

_log = logging.getLogger(__name__)


def problem_of(stated: Optional[str], outputs: int, source: str) -> str:
    """What a classifier of so many outputs predicts, whose config.json states a ``problem_type``.

    One output is a number, whatever its label is called.  Raises DataError, which names
    ``source``, if several are said to be numbers.
    """
    if stated == REGRESSION and outputs != 1:
        raise DataError(f'{source}: the problem_type in its config.json is "regression", but it '
                        f'has {outputs} outputs, and a regression has one; if these are classes, '
                        f'correct it to "{SINGLE_LABEL}"')
    if stated in (MULTI_LABEL, REGRESSION):
        return stated
    return REGRESSION if outputs == 1 else SINGLE_LABEL


class Columns(NamedTuple):
    """The columns of a table: each by its name, or by its number, counted from 1."""
    texts: Tuple[Any, ...] = ()     # one, or two for pairs; () and None: the usual names
    label: Any = None               # several, as a tuple, for texts with several labels
    index: Any = None               # the example's id; without it, its row, counted from 0
    header: bool = True


class Task(NamedTuple):
    """A row of the table; see :data:`TASKS`."""
    name: str
    columns: Columns = Columns()
    labels: Optional[Tuple[str, ...]] = ('0', '1')  # None: regression
    metrics: Tuple[str, ...] = ('accuracy',)        # the first one chooses the best epoch
    pair: Optional[bool] = True                     # None: one text or two, as they come
    aliases: Tuple[str, ...] = ()
    train: Tuple[str, ...] = ('train',)             # names of splits: none, one or several
    dev: Tuple[str, ...] = ('dev',)
    test: Tuple[str, ...] = ('test',)
    test_columns: Optional[Columns] = None          # if they differ from `columns`
    other_files: Mapping[str, Tuple[str, ...]] = {}     # split -> alternatives to SPLIT.tsv
    submissions: Mapping[str, str] = {}             # test split -> GLUE's file name
    label_aliases: Mapping[str, str] = {}           # other names of a label -> the one it means
    bounds: Optional[Tuple[float, float]] = None    # of a regression's predictions
    skip_ragged: bool = False                       # the official files have broken lines
    multi_label: bool = False                       # a text has any number of the labels
    positive: int = 1                               # the class whose F1 counts

    @property
    def problem_type(self) -> str:
        """:data:`SINGLE_LABEL`, :data:`MULTI_LABEL` or :data:`REGRESSION`."""
        return (REGRESSION if self.labels is None else
                MULTI_LABEL if self.multi_label else SINGLE_LABEL)

    @property
    def splits(self) -> Tuple[str, ...]:
        """All splits, training first."""
        return self.train + self.dev + self.test

    def files(self, split: str) -> Tuple[str, ...]:
        """The possible names of the split's file, the usual one first."""
        return (split + '.tsv',) + tuple(self.other_files.get(split, ()))

    def columns_of(self, split: str) -> Columns:
        """The :class:`Columns` of the split's file."""
        return self.test_columns if self.test_columns and split in self.test else self.columns

    def submission(self, split: str) -> str:
        """The name that GLUE requires for the predictions of a test split."""
        return self.submissions.get(split, self.name + '.tsv')


# the names that the hub's copy of GLUE gives to 0 and 1
_MRPC = {'not_equivalent': '0', 'equivalent': '1'}
_QQP = {'not_duplicate': '0', 'duplicate': '1'}
_COLA = {'unacceptable': '0', 'acceptable': '1'}
_SST = {'negative': '0', 'positive': '1'}

_RTE = ('not_entailment', 'entailment')
_NLI = ('neutral', 'entailment', 'contradiction')
_SENTENCES = ('sentence1', 'sentence2')
_MSR = {'train': ('msr_paraphrase_train.txt',), 'dev': ('msr_paraphrase_test.txt',),
        'test': ('msr_paraphrase_test.txt',)}

TASKS = (
    Task('MRPC', Columns(('#1 String', '#2 String'), 'Quality', 'index'),
         metrics=('accuracy', 'f1'), other_files=_MSR, label_aliases=_MRPC),
    Task('QQP', Columns(('question1', 'question2'), 'is_duplicate', 'id'),
         metrics=('accuracy', 'f1'), skip_ragged=True, label_aliases=_QQP),
    Task('QNLI', Columns(('question', 'sentence'), 'label', 'index'), _RTE),
    Task('RTE', Columns(_SENTENCES, 'label', 'index'), _RTE),
    Task('STS-B', Columns(_SENTENCES, 'score', 'index'), None, ('pearson', 'spearman'),
         bounds=(0., 5.)),
    Task('CoLA', Columns((4,), 2, header=False), metrics=('matthews',), pair=False,
         test_columns=Columns(('sentence',), None, 'index'), label_aliases=_COLA),
    Task('MNLI', Columns(_SENTENCES, 'gold_label', 'index'), _NLI,
         dev=('dev_matched', 'dev_mismatched'), test=('test_matched', 'test_mismatched'),
         submissions={'test_matched': 'MNLI-m.tsv', 'test_mismatched': 'MNLI-mm.tsv'}),
    Task('WNLI', Columns(_SENTENCES, 'label', 'index')),
    Task('SST', Columns(('sentence',), 'label', 'index'), pair=False, aliases=('SST-2',),
         submissions={'test': 'SST-2.tsv'}, label_aliases=_SST),
    # GLUE's diagnostic set: predicted with a model of MNLI
    Task('AX', Columns(_SENTENCES, None, 'index'), _NLI, ('matthews',), aliases=('diagnostic',),
         train=(), dev=(), other_files={'test': ('AX.tsv', 'diagnostic.tsv')}),
    Task('XNLI', Columns((1, 2), 3), _NLI, label_aliases={'contradictory': 'contradiction'}),
    Task('LCQMC', Columns((1, 2), 3)),
    Task('ChnSentiCorp', Columns((2,), 1), pair=False),
    # the small data sets that are part of the package
    Task('sample', Columns(('sentence',), 'label'), ('negative', 'positive'), pair=False,
         aliases=('sample-classification',)),
    Task('sample-pairs', Columns(_SENTENCES, 'label'), ('not_paraphrase', 'paraphrase'),
         ('accuracy', 'f1')),
    Task('sample-regression', Columns(_SENTENCES, 'score'), None, ('pearson', 'spearman')),
)


def _key(name):
    return re.sub('[-_ ]', '', name).lower()


_BY_KEY = {_key(name): task for task in TASKS for name in (task.name,) + task.aliases}


def get(name: str) -> Task:
    """The task called ``name``; case, hyphens and underscores do not matter.

    Raises :class:`~bert.utils.errors.DataError` with the known names.
    """
    if _key(name) in _BY_KEY:
        return _BY_KEY[_key(name)]
    close = difflib.get_close_matches(_key(name), _BY_KEY, 1)
    hint = f', did you mean {_BY_KEY[close[0]].name}?' if close else ''
    raise DataError(f'unknown task "{brief(name)}"{hint}; the tasks are: '
                    f"{', '.join(task.name for task in TASKS)}; your own data need --train_file")


def custom(pair: Optional[bool], labels: Optional[Sequence[str]] = None, name: str = 'custom',
           multi_label: bool = False) -> Task:
    """A task on a user's own data; ``labels`` are the classes, None for a regression."""
    if multi_label:
        metrics = ('micro_f1', 'macro_f1', 'lrap')
    elif labels is None:
        metrics = ('pearson', 'spearman')
    else:
        metrics = ('accuracy', 'f1' if len(labels) == 2 else 'macro_f1')
    return Task(name, labels=None if labels is None else tuple(labels), metrics=metrics, pair=pair,
                multi_label=multi_label)


def has(task: Task, split: str, folder: str) -> bool:
    """Whether ``folder`` holds a file of the split."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in task.files(split))


def official(task: Task, split: str, folder: str) -> Tuple[str, Columns]:
    """``(path, columns)`` of a split's official file in ``folder``.

    Raises :class:`~bert.utils.errors.DataError` if the folder has no file of the split.
    """
    names = task.files(split)
    here = [name for name in names if os.path.isfile(os.path.join(folder, name))]
    if not here:
        raise DataError(f"{folder} has no {' or '.join(names)}, the {split} file of {task.name}; "
                        'put it there or name another folder with --data_dir')
    if here[0] != names[0]:
        _log.info('%s: %s has no %s; the %s set is %s', task.name, folder, names[0], split,
                  here[0])
    return os.path.join(folder, here[0]), task.columns_of(split)
