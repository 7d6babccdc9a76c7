"""Getting a task's official files: from the user's folder, the cache, or the public hosts.

The hosts are asked in turn: GluonNLP's, which also check hashes; GLUE's own archives (Baidu's for
the Chinese tasks); the parquet copies on the Hugging Face hub, which are written out in the
official layout.  What they bring is kept under ``$MXNET_HOME/datasets/glue-official``.
"""
import contextlib
import io
import logging
import os
import re
import tempfile
from typing import Optional

from ..utils.archive import extract
from ..utils.download import download, is_offline, reach, why
from ..utils.errors import DataError, install
from ..utils.files import SAMPLE
from ..utils.hosts import gluon_repository, hub_file, mxnet_home
from ..utils.locks import locked
from .tasks import Task, has

__all__ = ['find']

_log = logging.getLogger(__name__)

_TOYS = {'sample': 'classification', 'sample-pairs': 'pairs', 'sample-regression': 'regression'}

# QNLI there is the obsolete first version, and MRPC needs a file from a host that is gone
_GLUONNLP = {'QQP': 'GlueQQP', 'RTE': 'GlueRTE', 'STS-B': 'GlueSTSB', 'CoLA': 'GlueCoLA',
             'MNLI': 'GlueMNLI', 'WNLI': 'GlueWNLI', 'SST': 'GlueSST2'}

_GLUE = 'https://dl.fbaipublicfiles.com/glue/data/'
_BAIDU = 'https://ernie.bj.bcebos.com/task_data_zh.tgz'
_MSR = 'https://dl.fbaipublicfiles.com/senteval/senteval_data/'
_MSR_SHA1 = {'train': '716e0f67af962f08220b7e97d229b293077ef41f',
             'test': '4265196c15cf75620b0b592b8b921f543bda7e6c'}

# task -> (archive, folder in it)
_ARCHIVES = {
    'QQP': (_GLUE + 'QQP-clean.zip', 'QQP'), 'QNLI': (_GLUE + 'QNLIv2.zip', 'QNLI'),
    'RTE': (_GLUE + 'RTE.zip', 'RTE'), 'STS-B': (_GLUE + 'STS-B.zip', 'STS-B'),
    'CoLA': (_GLUE + 'CoLA.zip', 'CoLA'), 'MNLI': (_GLUE + 'MNLI.zip', 'MNLI'),
    'WNLI': (_GLUE + 'WNLI.zip', 'WNLI'), 'SST': (_GLUE + 'SST-2.zip', 'SST-2'),
    'XNLI': (_BAIDU, 'task_data/xnli'), 'ChnSentiCorp': (_BAIDU, 'task_data/chnsenticorp')}

# task -> (repository, folder in it, labels in the order of its class ids; None: the ids or scores)
_NLI = ('entailment', 'neutral', 'contradiction')
_RTE = ('entailment', 'not_entailment')
_HUB = {name: ('nyu-mll/glue', folder, labels) for name, folder, labels in (
    ('MRPC', 'mrpc', None), ('QQP', 'qqp', None), ('QNLI', 'qnli', _RTE), ('RTE', 'rte', _RTE),
    ('STS-B', 'stsb', None), ('CoLA', 'cola', None), ('MNLI', 'mnli', _NLI),
    ('WNLI', 'wnli', None), ('SST', 'sst2', None), ('AX', 'ax', _NLI))}
_HUB['XNLI'] = ('facebook/xnli', 'zh', _NLI)


def find(task: Task, data_dir: Optional[str] = None, offline: bool = False) -> str:
    """The folder that holds the task's official files, fetched if need be.

    Parameters
    ----------
    task : Task
    data_dir : str, optional
        The user's folder: the task's own, or that of all GLUE tasks.  No other place is then
        looked at.
    offline : bool
        Don't ask the hosts (as BERT_OFFLINE=1 says for all programs).

    Raises
    ------
    DataError
        With the reason why each source failed, and the cure.
    """
    if data_dir:
        for folder in [os.path.join(data_dir, name) for name in (task.name,) + task.aliases] + [
                data_dir]:
            if len(_missing(task, folder)) < len(task.splits):
                return folder
        raise DataError(f'--data_dir {data_dir} has no files of {task.name}, which are: '
                        f'{_wanted(task)}')
    if task.name in _TOYS:
        return os.path.join(SAMPLE, _TOYS[task.name])
    folder = os.path.join(mxnet_home(), 'datasets', 'glue-official', task.name)
    cure = f'put its files ({_wanted(task)}) into a folder and name that with --data_dir'
    if not _missing(task, folder):
        return folder
    if is_offline(offline or None):
        raise DataError(f'{task.name} is not in {folder}, and this run is offline; {cure}')
    os.makedirs(folder, exist_ok=True)
    with locked(folder):
        failures = _fetch(task, folder)
    if _missing(task, folder):
        raise DataError(f"no source gave the data of {task.name} "
                        f"({'; '.join(failures) or 'no public host is known'}); {cure}")
    return folder


def _wanted(task):
    return ', '.join(' or '.join(task.files(split)) for split in task.splits)


def _missing(task, folder):
    """The splits without a file in ``folder``."""
    return [split for split in task.splits if not has(task, split, folder)]


def _fetch(task, folder):
    """Fill ``folder`` from the first source that can; a list of why each of the others could not.

    A source is called with the task and a scratch folder, and leaves SPLIT.tsv files in that.
    """
    failures = []
    for name, source, known in (('GluonNLP', _from_gluonnlp, _GLUONNLP),
                                ('archive', _from_archive, _ARCHIVES),
                                ('GLUE', _mrpc, ['MRPC']), ('GLUE', _diagnostic, ['AX']),
                                ('hub', _from_hub, _HUB)):
        if task.name not in known or not _missing(task, folder):
            continue
        try:
            with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as scratch:
                source(task, scratch)
                for split in task.splits:
                    os.replace(os.path.join(scratch, split + '.tsv'),
                               os.path.join(folder, split + '.tsv'))
        except Exception as error:      # of whatever kind: the next source may do better
            if isinstance(error, ModuleNotFoundError):
                reason = f"{error.name.split('.')[0]} is not installed" + (
                    f" ({install('hub')})" if name == 'hub' else '')
            else:
                reason = getattr(error, 'reason', None) or why(error)
            failures.append(f'{name}: {reason}')
        else:                           # otherwise the caller's error has the failures
            _log.info('%s: fetched from %s%s', task.name, name, ''.join(
                f'; {failure}' for failure in failures))
    return failures


def _from_gluonnlp(task, scratch):
    reach(gluon_repository())           # it would try for minutes
    import gluonnlp
    with contextlib.redirect_stdout(io.StringIO()):     # it prints a long line for every attempt
        for split in task.splits:       # constructing a data set downloads it
            getattr(gluonnlp.data, _GLUONNLP[task.name])(split, root=scratch)


def _from_archive(task, scratch):
    url, inside = _ARCHIVES[task.name]
    archive = os.path.join(os.path.dirname(scratch), os.path.basename(url))   # resumed next time
    with locked(archive + '.use'):      # two tasks are in one archive; download() locks its name
        download(url, archive)
        try:
            folder = os.path.join(extract(archive, os.path.join(scratch, 'all')), inside)
        finally:
            os.remove(archive)          # a broken one must not stay either
    if _missing(task, folder):
        raise DataError(f"{url} lacks {', '.join(_missing(task, folder))}")
    for split in task.splits:
        os.replace(os.path.join(folder, split + '.tsv'), os.path.join(scratch, split + '.tsv'))


def _diagnostic(task, scratch):
    download(_GLUE + 'AX.tsv', os.path.join(scratch, 'test.tsv'))


def _mrpc(task, scratch):
    """GLUE cuts its dev set out of the corpus's training file, by a list of id pairs."""
    msr, ids = os.path.join(scratch, 'msr'), os.path.join(scratch, 'ids')
    download(_MSR + 'msr_paraphrase_test.txt', os.path.join(scratch, 'test.tsv'), _MSR_SHA1['test'])
    download(_MSR + 'msr_paraphrase_train.txt', msr, _MSR_SHA1['train'])
    download(_GLUE + 'mrpc_dev_ids.tsv', ids)
    with open(ids, encoding='utf-8') as f:
        chosen = {tuple(line.split()) for line in f}
    with open(msr, encoding='utf-8-sig') as f:
        header, *lines = f
    in_dev = [tuple(line.split('\t')[1:3]) in chosen for line in lines]
    for split, wanted in ('train', False), ('dev', True):
        with open(os.path.join(scratch, split + '.tsv'), 'w', encoding='utf-8') as f:
            f.write(header)
            f.writelines(line for line, dev in zip(lines, in_dev) if dev == wanted)


def _from_hub(task, scratch):
    import pyarrow.parquet
    repository, folder, labels = _HUB[task.name]
    for split in task.splits:
        name = f"{folder}/{split.replace('dev', 'validation')}-00000-of-00001.parquet"
        path = (hub_file(repository, name, repo_type='dataset', local=True)
                or hub_file(repository, name, repo_type='dataset'))
        if not path:
            raise DataError(f'{repository} has no {name}')
        table = pyarrow.parquet.read_table(path)
        _write_official(os.path.join(scratch, split + '.tsv'), task.columns_of(split),
                        table.to_pydict(), labels)


def _write_official(path, columns, table, labels):
    """Write ``{column: values}`` of the hub as a file that has ``columns``.

    The hub's columns are the texts in order, ``label`` (negative: not public) and ``idx``.
    """
    texts = [values for name, values in table.items() if name not in ('label', 'idx')]
    fields = dict(zip(columns.texts, texts))
    if columns.label is not None and min(table['label']) >= 0:
        fields[columns.label] = [labels[label] if labels else label for label in table['label']]
    if columns.index is not None:
        fields[columns.index] = table['idx']
    names = list(fields)
    if not isinstance(names[0], str):   # known by number: fill up what stands between
        names = list(range(1, max(fields) + 1))
    empty = [''] * len(texts[0])
    with open(path, 'w', encoding='utf-8', newline='\n') as f:
        for row in ([names] if columns.header else []) + list(
                zip(*(fields.get(name, empty) for name in names))):
            f.write('\t'.join(re.sub(r'[\t\r\n]+', ' ', str(value)) for value in row) + '\n')
