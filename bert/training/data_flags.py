"""The flags that describe a user's data, CoNLL files and tables, and the values they stand for."""
import argparse
from typing import Any, Optional

from ..data.tagging import SEQ_LEN
from ..data.tasks import MULTI_LABEL, REGRESSION, Columns
from ..utils import cli

__all__ = ['add_conll_flags', 'add_table_flags', 'problem_type', 'table_columns']

_COLUMN = cli.whole_number(-9999, 9999)


def add_conll_flags(group: Any) -> None:
    """How CoNLL files are read and cut; ``group`` is a parser or a group of it."""
    group.add_argument('--seq_len', type=cli.positive_int, metavar='TOKENS',
                       help='sub-words, special tokens included; longer sentences are split into '
                            f"overlapping windows (default: the trained model's, or {SEQ_LEN}, or "
                            "the model's positions if fewer)")
    group.add_argument('--token_column', type=_COLUMN, default=0, metavar='N',
                       help='column of the words, counted from 0, or from -1 at the end '
                            '(default: %(default)s)')
    group.add_argument('--tag_column', type=_COLUMN, default=-1, metavar='N',
                       help='column of the tags (default: %(default)s, the last)')


def add_table_flags(group: Any) -> None:
    """A user's own tables of sentences and labels; ``group`` is a parser or a group of it."""
    group.add_argument('--train_file', type=cli.path, metavar='FILE',
                       help='your own data: .csv, .tsv, .json or .jsonl with named columns')
    group.add_argument('--dev_file', type=cli.path, metavar='FILE', help='chooses the best epoch')
    group.add_argument('--test_file', type=cli.path, metavar='FILE',
                       help='to predict; needs no labels')
    group.add_argument('--text_columns', metavar='A[,B]',
                       help='columns of the text or the pair of texts (default: found by usual '
                            'names such as sentence, or sentence1 and sentence2)')
    group.add_argument('--label_column', metavar='NAME',
                       help='(default: label or score); with --multi_label also several, A,B,..., '
                            'of 0 and 1')
    group.add_argument('--no_header', action='store_true',
                       help='your files have no header; give columns by number, counted from 1')
    group.add_argument('--labels', metavar='A,B,...',
                       help="the classes in the order of the model's outputs (default: those that "
                            'a trained model names, or else of the task or the training data)')
    group.add_argument('--regression', action='store_true', help='the labels are numbers')
    group.add_argument('--multi_label', action='store_true',
                       help='a text has any number of labels: separated by commas, a JSON list of '
                            'names or (with --labels) of 0 and 1, or several --label_column; '
                            'scored by F1 and LRAP')


def problem_type(args: argparse.Namespace) -> Optional[str]:
    """The ``problem_type`` that the flags state, of :mod:`bert.data.tasks`; None if none."""
    return REGRESSION if args.regression else MULTI_LABEL if args.multi_label else None


def table_columns(args: argparse.Namespace) -> Columns:
    """The :class:`~bert.data.tasks.Columns` that :func:`add_table_flags` names.

    Raises ValueError where the flags contradict each other.
    """
    if args.regression and (args.labels or args.multi_label):
        raise ValueError('--labels and --multi_label are for classes, --regression is for numbers')
    if args.task_name and args.multi_label:
        raise ValueError('--multi_label is for your own data; a text of --task_name has one label')
    texts, labels = (tuple(name.strip() for name in text.split(',')) if text else ()
                     for text in (args.text_columns, args.label_column))
    if len(texts) > 2:
        raise ValueError(f'--text_columns {args.text_columns}: name one column or two')
    if args.no_header and '0' in texts + labels:
        raise ValueError('--no_header: columns are counted from 1, there is no column 0')
    several = args.multi_label and len(labels) > 1
    if several and args.no_header:
        raise ValueError('several columns in --label_column need a header, which names the labels')
    return Columns(texts, labels if several else args.label_column, None, not args.no_header)
