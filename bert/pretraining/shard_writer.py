"""Text -> npz shards: made chunk by chunk by several processes, and written whole.

During a run, its folder has ``unfinished/``, where each chunk's instances wait in a file of their
own until the even shards can be cut; ``pretraining_data.json`` records what the run was asked to
make.  :mod:`bert.pretraining.shards` reads them.
"""
import contextlib
import datetime
import logging
import os
import shutil
import sys
import time
import zipfile
from typing import Any, Dict, List, Mapping, NamedTuple

import numpy as np

from ..checkpoint.output import SHARDS, SHARDS_DESCRIPTION, UNFINISHED, OutputFolder
from ..text.tokenizer import Tokenizer
from ..utils import cli, files
from ..utils.errors import DataError, brief
from . import corpus
from .masking import FIELDS, Masking, beyond
from .processes import unordered_map

__all__ = ['ShardJob', 'create']

_log = logging.getLogger(__name__)


class ShardJob(NamedTuple):
    """What to make shards from, and how."""
    paths: List[str]        # files as bert.pretraining.corpus reads them
    tok: Tokenizer
    masking: Masking
    copies: int             # how many times each text is used, with other masks and neighbours
    seed: int               # 0 or more; everything random follows from it alone
    sampled: bool           # whether tok samples its sub-words
    shards: int             # how many to write
    folder: str             # where to


_COMPRESSION = 1        # of zlib: 6 makes files 15 % smaller and takes six times as long
_ROWS = 1024            # at once from disk to disk
_LARGE = 50000          # instances: more make a large shard
_TOKENS = 4000000       # in about ten MB
_PAUSE = 10             # seconds between two lines of progress


def create(job: ShardJob, arguments: Mapping[str, Any], workers: int = 1,
           resume: bool = False, overwrite: bool = False) -> Dict[str, int]:
    """Make the shards ``part-000.npz``, ... of a corpus, the same with any number of workers.

    Parameters
    ----------
    job : ShardJob
    arguments : dict
        What else the result depends on, for the record and for ``resume``; for JSON.
    workers : int
        Processes; 1: this one.
    resume : bool
        Keep what an interrupted run with the same job has made, and make the rest.
    overwrite : bool
        Replace the shards of an earlier run, once all new ones are made.

    Returns
    -------
    dict
        The numbers of 'instances', 'tokens' (without padding) and 'shards'.

    Raises
    ------
    DataError
        For bad text, for a folder with other data in it, and when a worker dies.
    """
    state = dict(arguments, files=[[path, os.path.getsize(path), os.stat(path).st_mtime_ns]
                                   for path in job.paths])
    output = OutputFolder(job.folder, '--output_dir', SHARDS, resume, overwrite)
    job = job._replace(folder=output.path)
    with contextlib.closing(output):
        done = _prepare(job.folder, state, resume)
        if done:
            _log.info('%s: already complete', job.folder)
        else:
            done = _make(job, workers)
            files.write_json(os.path.join(job.folder, SHARDS_DESCRIPTION), dict(state, done=done))
        shutil.rmtree(os.path.join(job.folder, UNFINISHED))
        output.publish()
    return done


def _make(job, workers):
    """Make the missing chunks, then the missing shards; returns what :func:`create` returns."""
    chunks = corpus.chunks(job.paths)
    # from the end: compressed files, which may be damaged or too large, come first
    order = range(len(chunks))[::-1]
    sizes = [sum(span.end - span.start for span in chunks[index]) for index in order]
    with unordered_map((job, chunks), min(workers, len(chunks))) as run:
        counts = _in_order(run(_make_rows, order), sizes, 'text')[::-1]
        instances, tokens, random, read, long = (sum(column) for column in zip(*counts))
        if not instances:
            raise DataError(f"{', '.join(job.paths)}: no pair of sentences in it; documents need "
                            'one sentence per line')
        corpus.warn_of_lines(read, long, random == instances > 1)
        slices = _deal([count[0] for count in counts], min(job.shards, instances), job.seed)
        if len(slices) < job.shards:
            _log.warning('only %d instances, so there are only as many shards', len(slices))
        if instances > _LARGE * len(slices):
            _log.warning('each shard has %d instances, and training reads whole shards: '
                         '--num_outputs %d makes smaller ones', instances // len(slices),
                         max(-(-instances // _LARGE), -(-tokens // _TOKENS)))
        _in_order(run(_write_shard, range(len(slices)), slices),
                  [sum(end - first for _, first, end in shard) for shard in slices], 'shards')
    return {'instances': instances, 'tokens': tokens, 'shards': len(slices)}


def _prepare(folder, state, resume):
    """Prepare the folder; if the run is complete already, return what :func:`create` returns."""
    work, path = os.path.join(folder, UNFINISHED), os.path.join(folder, SHARDS_DESCRIPTION)
    files.make_folder(work, '--output_dir')
    if resume and os.path.exists(path):
        before = files.read_json(path, dict)
        for key, value in state.items():
            old = cli.recorded(before.get(key))
            if old != cli.recorded(value):
                raise DataError(_difference(folder, key, old, value))
        done = before.get('done')
        made = done.get('shards') if isinstance(done, dict) else None
        if isinstance(made, int) and made > 0 and all(os.path.exists(_part_path(folder, i))
                                                      for i in range(made)):
            return done
        return None
    files.write_json(path, state)
    return None


def _difference(folder, key, before, value):
    """Why a run with ``value`` does not continue one with ``before``."""
    if key == 'files' and isinstance(before, list):
        for entry, old in zip(value, before):
            if isinstance(old, list) and old[:1] == entry[:1] and old != entry:
                return (f'--resume: {entry[0]} has changed since the run in {folder} began; begin '
                        'again with --overwrite, or in another --output_dir')
        before = [old[0] if isinstance(old, list) and old else old for old in before]
    return (f'--resume: the run in {folder} had other {key} ({brief(before)}); give the same '
            'arguments, or another --output_dir')


def _record(masking):
    """The type of an instance in the file of a chunk: small, and of a fixed size."""
    number = np.min_scalar_type(max(masking.vocabulary_size, masking.max_seq_length))
    bits = ('segment_ids', 'masked_lm_weights', 'next_sentence_labels')
    return np.dtype([(name, np.uint8 if name in bits else number, masking.shape(name))
                     for name in FIELDS])


def _part_path(folder, index):
    return os.path.join(folder, f'part-{index:03}.npz')


def _rows_path(job, index):
    return os.path.join(job.folder, UNFINISHED, f'{index:06}.rows')


def _make_rows(job, chunks, index):
    """Write the instances of a chunk unless they exist; returns (instances, tokens, instances
    with a random second text, tokens of the text, those in lines beyond an instance); the last two
    are 0 where the instances exist."""
    path, record, read, long = _rows_path(job, index), _record(job.masking), 0, 0
    if not os.path.exists(path):
        rng = np.random.default_rng([job.seed, index])
        documents = corpus.read_documents(chunks[index], job.tok,
                                          int(rng.integers(1 << 31)) if job.sampled else None)
        read, long = len(documents.tokens), beyond(documents, job.masking.room)
        with files.atomic(path) as temporary, open(temporary, 'wb') as f:
            for block in job.masking.instances(documents, rng, job.copies):
                rows = np.empty(len(block['valid_lengths']), record)
                for name in FIELDS:
                    rows[name] = block[name]
                f.write(rows.tobytes())
    counts = np.zeros(3, np.int64)
    for rows in _rows(path, record):
        counts += [len(rows), int(rows['valid_lengths'].sum()),
                   int(rows['next_sentence_labels'].sum())]
    return (*counts.tolist(), read, long)


def _rows(path, record, first=0, end=None):
    """The rows ``first`` to ``end`` of a chunk's file, a block at a time."""
    if end is None:
        end = os.path.getsize(path) // record.itemsize
    for row in range(first, end, _ROWS):
        yield np.fromfile(path, record, min(_ROWS, end - row), offset=row * record.itemsize)


def _deal(counts, shards, seed):
    """Cut the instances of all chunks, in random order, into even shards.

    Returns for each shard the slices that make it, a list of (chunk, first row, end of the rows).
    """
    bounds = [sum(counts) * shard // shards for shard in range(shards + 1)]
    slices, position = [[] for _ in range(shards)], 0
    # a seed that none of the chunks has
    for chunk in np.random.default_rng([seed, len(counts)]).permutation(len(counts)).tolist():
        for shard, start, end in zip(slices, bounds, bounds[1:]):
            first, last = max(start - position, 0), min(end - position, counts[chunk])
            if first < last:
                shard.append((chunk, first, last))
        position += counts[chunk]
    return slices


def _write_shard(job, chunks, index, slices):
    """Write a shard, unless it exists, from its slices as :func:`_deal` makes them."""
    path, record = _part_path(job.folder, index), _record(job.masking)
    if os.path.exists(path):
        return
    rows = sum(end - first for _, first, end in slices)
    with files.atomic(path) as temporary, \
            zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED,
                            compresslevel=_COMPRESSION) as archive:
        for name, (dtype, _) in FIELDS.items():
            with archive.open(name + '.npy', 'w', force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {
                    'descr': np.dtype(dtype).str, 'fortran_order': False,
                    'shape': (rows,) + job.masking.shape(name)})
                for chunk, first, end in slices:
                    for block in _rows(_rows_path(job, chunk), record, first, end):
                        member.write(block[name].astype(dtype).tobytes())


def _in_order(results, sizes, what):
    """The results in the order of their index; logs the progress meanwhile.

    ``results`` yields (index, result); ``sizes`` are the shares of the work.
    """
    out, start, logged = [None] * len(sizes), time.monotonic(), time.monotonic()
    bar = None
    if sys.stderr.isatty():
        from tqdm import tqdm
        bar = tqdm(total=sum(sizes), desc=what, unit='B' if what == 'text' else ' instances',
                   unit_scale=True, dynamic_ncols=True)
    done = 0
    for index, result in results:
        out[index] = result
        done += sizes[index]
        now = time.monotonic()
        if bar is not None:
            bar.update(sizes[index])
        elif now > logged + _PAUSE:
            logged = now
            _log.info('%s: %d %% done, %s left', what, 100 * done // sum(sizes),
                      datetime.timedelta(seconds=int((now - start) * (sum(sizes) / done - 1))))
    if bar is not None:
        bar.close()
    return out
