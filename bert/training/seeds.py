"""Training with several seeds: their scores' mean and spread, and the best model as the result."""
import contextlib
import logging
import os
import shutil
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

import numpy as np

from ..checkpoint.output import FINE_TUNING, LAST, OutputFolder
from ..utils import files
from ..utils.errors import DataError, show
from . import model_card

__all__ = ['train_each', 'summarize']

_log = logging.getLogger(__name__)

SUMMARY = 'seeds.json'


def train_each(seeds: Sequence[int], folder: str, train: Callable[[int, str], Optional[Mapping]],
               metric: Optional[str] = None, comm: Any = None, resume: bool = False,
               overwrite: bool = False) -> None:
    """Train with each seed in its own folder; print a summary; copy the best result to ``folder``.

    Meanwhile ``folder`` is locked: no other run can write to it.

    Parameters
    ----------
    seeds : sequence of int
    folder : str
        Gets the folders seed-N, seeds.json and the files of the best of them.
    train : callable
        ``train(seed, folder)`` returns {set: {metric: value}}, or None on workers other than
        worker 0, which alone writes the result.
    metric : str, optional
        The metric of the first dev set that chooses the best seed; by default its first one.
    comm : a communicator of :mod:`bert.training.distributed`, optional
    resume, overwrite : bool
        Whether to continue with the seeds in ``folder``, or to replace an earlier result there.

    Raises
    ------
    DataError
        If there is no dev set to compare the seeds on, if ``folder`` holds an earlier result, or
        if another run is writing to it.
    """
    folders = {seed: os.path.join(folder, f'seed-{seed}') for seed in seeds}
    begun = resume and any(map(os.path.isdir, folders.values()))
    output = OutputFolder(folder, '--output_dir', None if resume else FINE_TUNING, resume,
                          overwrite or begun, comm, staged=True)
    with contextlib.closing(output):
        try:
            _train_each(seeds, folders, output, train, metric)
        finally:
            output.discard()


def _train_each(seeds, folders, output, train, metric):
    scores, folder = {}, os.path.dirname(folders[seeds[0]])
    for seed in seeds:
        _log.info('seed %d (%s)', seed, ', '.join(map(str, seeds)))
        scores[seed] = train(seed, folders[seed])
    if scores[seeds[0]] is None:
        return
    dev = next((name for name in scores[seeds[0]] if name.startswith('dev')), None)
    if dev is None:
        raise DataError('--seeds: the dev set has no labels, so the best seed cannot be chosen; '
                        f'name another dev set, or use a model of {folder}/seed-...')
    metric = metric or next(iter(scores[seeds[0]][dev]))
    best = max(seeds, key=lambda seed: scores[seed][dev][metric])
    summary = summarize(scores)
    for name, row in summary.items():
        values = scores[best][name.split(' ', 1)[0]]
        show(f"{name}: mean {row['mean']:.4f}, standard deviation {row['deviation']:.4f}, best "
             f"{row['best']:.4f}; seed {best} {values[name.split(' ', 1)[1]]:.4f}")
    for name in os.listdir(folders[best]):
        if (name not in (LAST, model_card.NAME)
                and os.path.isfile(os.path.join(folders[best], name))):
            shutil.copyfile(os.path.join(folders[best], name), os.path.join(output.path, name))
    files.write_json(os.path.join(output.path, SUMMARY), {
        'best_seed': best, 'chosen_by': f'{dev} {metric}', 'summary': summary,
        'scores': {str(seed): values for seed, values in scores.items()}})
    output.publish()
    row = summary[f'{dev} {metric}']
    model_card.copy(folders[best], folder,
                    f"The best of {len(seeds)} seeds by {dev} {metric}: mean {row['mean']:.4f}, "
                    f"standard deviation {row['deviation']:.4f} ({SUMMARY}).")
    show(f'results: {folder}, the model of seed {best} (best {dev} {metric})')


def summarize(scores: Mapping[int, Mapping[str, Mapping[str, float]]]) -> Dict[str, Dict[str, Any]]:
    """{'set metric': {'mean', 'deviation', 'best'}} of {seed: {set: {metric: value}}}.

    The deviation is that of a sample (n - 1), 0 for a single seed.
    """
    summary = {}
    for group, values in next(iter(scores.values())).items():
        for name in values:
            each = np.array([found[group][name] for found in scores.values()], float)
            summary[f'{group} {name}'] = {
                'mean': float(each.mean()), 'best': float(each.max()),
                'deviation': float(each.std(ddof=1)) if len(each) > 1 else 0.0}
    return summary
