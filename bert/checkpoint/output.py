"""The folder that a program writes its result to: an earlier result there is never lost.

A folder that holds a result is refused, unless the run continues or replaces it.  A replacement is
written to the sub-folder ``.overwrite`` and moved into place once it is complete.
"""
import contextlib
import os
import re
import shutil
import weakref
from typing import Any, Iterator, Optional

from ..text import vocabulary
from ..utils.errors import DataError
from ..utils.files import make_folder, read_json, write_json
from ..utils.locks import Lock

__all__ = ['OutputFolder', 'check', 'check_distinct', 'check_predictions', 'replacement',
           'step_file', 'FINE_TUNING', 'LAST', 'PRETRAINING', 'SHARDS', 'SHARDS_DESCRIPTION',
           'UNFINISHED', 'VOCABULARY']

LAST = 'last.params'                            # the checkpoint of fine-tuning
SHARDS_DESCRIPTION = 'pretraining_data.json'    # beside shards: what the run was asked to make
UNFINISHED = 'unfinished'                       # folder of the rows of shards that are being made
# what a run of each kind continues from, as a regular expression of names
FINE_TUNING, PRETRAINING = re.escape(LAST), r'step-(\d{7,})\.params'
SHARDS = re.escape(SHARDS_DESCRIPTION)
# the files of a vocabulary that would contradict another one beside them
VOCABULARY = '|'.join(map(re.escape, vocabulary.FILES))

_CHECKPOINT = f'{FINE_TUNING}|{PRETRAINING}'
_RESULT = (r'model\.(params|safetensors|onnx)|pytorch_model\.bin|model-symbol\.json'
           r'|model-\d{4}\.params|part-\d+\.npz')
_BESIDE = (r'config\.json|arguments\.json|metrics\.jsonl|results\.json|labels\.txt'
           r'|tokenizer_config\.json|(nbest_)?predictions\.json|null_odds\.json'
           r'|seeds\.json|predictions-.+\.(tsv|txt)|(curves|precision-recall|confusion-.+)\.png'
           r'|events\.out\.tfevents\..+')
_ALL = '|'.join([_CHECKPOINT, _RESULT, _BESIDE, VOCABULARY, SHARDS, UNFINISHED])
_NEW, _COMPLETE = '.overwrite', '.overwrite-complete'
_STALE = '.stale.json'      # in both: the files of the earlier result that the new one lacks
_LOCK = '.lock'
PATIENCE = 5                # seconds to wait for a lock: a killed run's processes may be ending


def step_file(step: int) -> str:
    """The name of the checkpoint of pre-training after ``step`` updates."""
    return f'step-{step:07}.params'


def check(folder: str, flag: str, state: Optional[str] = None, resume: bool = False,
          overwrite: Optional[bool] = False) -> None:
    """Make the folder that ``flag`` names, and check that a run there would not spoil a result.

    Parameters
    ----------
    folder, flag : str
    state : str, optional
        What the program resumes from: :data:`FINE_TUNING`, :data:`PRETRAINING` or :data:`SHARDS`;
        None if it cannot resume.
    resume, overwrite : bool
        Whether the run may continue what is there, or replace it.  With ``overwrite`` None, for a
        program that never replaces it, the message does not name the flag.

    Raises
    ------
    DataError
        If the folder holds a result that the run may neither continue nor replace, or another run
        is writing to it.
    """
    lock = _claim(folder, flag)
    try:
        _check(folder, flag, state, resume, overwrite)
    finally:
        lock.release()


def _check(folder, flag, state, resume, overwrite):
    _finish(folder)
    name, whole = _earlier(folder)
    if name is None or overwrite or (resume and state and _resumable(folder, state)):
        return
    kind = 'an earlier result' if whole else 'an unfinished run'
    what = f'{flag} {folder}: holds {kind} ({name})'
    if overwrite is None:
        raise DataError(f'{what}; name another folder')
    if resume:
        raise DataError(f'{what}, but no checkpoint to --resume from; name another folder, or '
                        'replace it with --overwrite')
    cure = 'continue it with --resume, ' if state else ''
    raise DataError(f'{what}; name another folder, {cure}or replace it with --overwrite')


def check_distinct(folder: str, flag: str, *sources: Optional[str]) -> None:
    """Raise DataError if ``folder`` is one of ``sources``, files or folders, or contains it."""
    for source in filter(None, sources):
        if os.path.realpath(folder) == _folder_of(source):
            raise DataError(f'{flag} {folder}: this is the folder of the source; name another')


def check_predictions(folder: str, flag: str, model: Optional[str]) -> None:
    """Raise DataError if ``folder`` holds a model other than ``model``, a file or a folder, whose
    predictions and scores would replace those of the former."""
    if (_holds(folder, f'{_RESULT}|{_CHECKPOINT}')
            and not (model and _folder_of(model) == os.path.realpath(folder))):
        raise DataError(f'{flag} {folder}: holds another model, whose scores and predictions would '
                        'be replaced; name another folder')


def _folder_of(path):
    """The real path of a folder, or of that of a file."""
    path = os.path.expanduser(path)
    return os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path))


class OutputFolder:
    """An output folder while a program runs.

    Parameters
    ----------
    folder, flag, state, resume, overwrite
        As for :func:`check`, which the constructor calls.
    comm : a communicator of :mod:`bert.training.distributed`, optional
        Worker 0 decides and works on the disk; all must construct it together.
    staged : bool
        Always write to a sub-folder first.

    Attributes
    ----------
    path : str, the folder to write to: ``folder`` or, until :meth:`publish`, one in it
    close : callable, unlocks the folder, to which no other run can write until then
    """

    def __init__(self, folder: str, flag: str, state: Optional[str] = None, resume: bool = False,
                 overwrite: Optional[bool] = False, comm: Any = None, staged: bool = False):
        self._folder, self._leads = folder, comm is None or comm.rank == 0
        new = os.path.join(folder, _NEW)
        self.close = weakref.finalize(self, lambda: None)
        if self._leads:
            self.close = weakref.finalize(self, _claim(folder, flag).release)
            try:
                _check(folder, flag, state, resume, overwrite)
                staged = self._stage(new, state, resume, overwrite, staged)
            except BaseException:
                self.close()
                raise
        if comm is not None:
            staged = comm.sum([float(self._leads and staged)])[0] > 0
        self.path = new if staged else folder

    def _stage(self, new, state, resume, overwrite, staged):
        """Make the sub-folder ``new`` if the run needs one; returns whether there is one."""
        continues = resume and state and (overwrite or _holds(new, state))
        if not (continues and os.path.isdir(new)):
            shutil.rmtree(new, ignore_errors=True)
            if staged or (overwrite and _earlier(self._folder)[0]
                          and not (resume and state and _resumable(self._folder, state))):
                os.mkdir(new)
        return os.path.isdir(new)

    def publish(self, stale: str = _ALL) -> None:
        """Replace the earlier result by what was written, which must be complete now.

        Of its other files those go whose names ``stale``, a regular expression, matches.  Raises
        DataError, and moves nothing, if a folder is in the place of a file.
        """
        if self.path == self._folder:
            return
        if self._leads:
            fresh = set(os.listdir(self.path))
            _check_places(self.path, self._folder)
            old = [name for name in os.listdir(self._folder) if name not in fresh
                   and re.fullmatch(stale, name)]
            write_json(os.path.join(self.path, _STALE), old)
            os.rename(self.path, os.path.join(self._folder, _COMPLETE))
            _finish(self._folder)
        self.path = self._folder

    def discard(self) -> None:
        """Remove what was written to the sub-folder, unless it was published."""
        if self._leads and self.path != self._folder:
            shutil.rmtree(self.path, ignore_errors=True)


@contextlib.contextmanager
def replacement(folder: str, flag: str, overwrite: Optional[bool] = False,
                stale: str = _ALL) -> Iterator[str]:
    """A sub-folder whose files replace the earlier result in ``folder`` if the block ends well.

    ``overwrite`` is that of :func:`check`, whose DataErrors it raises, and ``stale`` that of
    :meth:`OutputFolder.publish`.  After any error ``folder`` is as it was.
    """
    new = not os.path.exists(folder)
    output = OutputFolder(folder, flag, overwrite=overwrite, staged=True)
    try:
        yield output.path
        output.publish(stale)
        new = False
    finally:
        output.discard()
        output.close()
        if new:
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _claim(folder, flag):
    """Make a folder, and lock it."""
    make_folder(folder, flag)
    try:
        return Lock(os.path.join(folder, _LOCK), PATIENCE)
    except TimeoutError:
        raise DataError(f'{flag} {folder}: another run is writing to this folder; name another '
                        'one, or wait until it ends') from None
    except PermissionError:
        raise DataError(f'{flag} {folder}: another user is writing to this folder, or was when the '
                        f'run was killed ({_LOCK}); name another one') from None
    except OSError as error:
        raise DataError(f'{flag} {folder}: cannot be written ({error.strerror})') from None


def _earlier(folder):
    """(name, whether it is whole) of a result in a folder, or (None, False)."""
    names = sorted(os.listdir(folder))
    rows = os.path.join(folder, UNFINISHED)
    if os.path.isdir(rows) and any(name.endswith('.rows') for name in os.listdir(rows)):
        return UNFINISHED, False
    for pattern, whole in (_RESULT, True), (_CHECKPOINT, False):
        found = [name for name in names if re.fullmatch(pattern, name)]
        if found:
            return found[0], whole
    if 'config.json' in names and 'arguments.json' not in names:    # a model that we did not write
        return 'config.json', True
    if _holds(os.path.join(folder, _NEW), f'{_CHECKPOINT}|{SHARDS}'):
        return _NEW, False
    return None, False


def _holds(folder, state):
    return os.path.isdir(folder) and any(re.fullmatch(state, name) for name in os.listdir(folder))


def _resumable(folder, state):
    return _holds(folder, state) or _holds(os.path.join(folder, _NEW), state)


def _check_places(new, folder):
    """Raise DataError if the move of what is in ``new`` to ``folder`` would stop half way."""
    for name in os.listdir(new):
        place = os.path.join(folder, name)
        if os.path.lexists(place) and (
                os.path.isdir(os.path.join(new, name))
                or os.path.isdir(place) and not os.path.islink(place)):
            raise DataError(f'{place}: in the place of a new result; remove it, or name another '
                            'folder')


def _finish(folder):
    """Move a complete new result into place; if killed, the next process finishes the move."""
    complete = os.path.join(folder, _COMPLETE)
    if not os.path.isdir(complete):
        return
    if os.path.exists(os.path.join(complete, _STALE)):
        for name in read_json(os.path.join(complete, _STALE), list):
            if os.path.basename(name) == name and re.fullmatch(_ALL, name):
                path = os.path.join(folder, name)
                is_folder = os.path.isdir(path) and not os.path.islink(path)
                with contextlib.suppress(FileNotFoundError):
                    (shutil.rmtree if is_folder else os.remove)(path)
    for name in os.listdir(complete):
        if name != _STALE:
            os.replace(os.path.join(complete, name), os.path.join(folder, name))
    shutil.rmtree(complete)
