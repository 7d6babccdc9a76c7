"""Instances <-> npz shards: made chunk by chunk by several processes, written whole, and read.

A shard holds the arrays of :data:`bert.pretraining.masking.FIELDS`, an instance a row.  While a run
goes on, its folder has ``unfinished/``, where each chunk's instances wait in a file of their own
until the even shards can be cut; ``pretraining_data.json`` says what the run was asked to make.
"""
import collections
import contextlib
import datetime
import hashlib
import itertools
import logging
import multiprocessing
import os
import re
import shutil
import signal
import sys
import threading
import time
import zipfile
import zlib
from concurrent import futures

import numpy as np

from ..utils import files
from ..utils.errors import DataError
from . import corpus
from .masking import FIELDS

__all__ = ['Job', 'create', 'read', 'width', 'fingerprint', 'DESCRIPTION']

Job = collections.namedtuple('Job', 'paths tok masking copies seed sampled shards folder')
Job.__doc__ = """What to make shards of, and how.

- paths: list of str, files as :mod:`bert.pretraining.corpus` reads them
- tok: bert.text.tokenizer.Tokenizer
- masking: bert.pretraining.masking.Masking
- copies: int, how many times each text is taken, with other masks and neighbours
- seed: int, 0 or more; it alone decides on all that is random
- sampled: bool, whether ``tok`` draws its pieces at random
- shards: int, how many to write
- folder: str, where to
"""

DESCRIPTION = 'pretraining_data.json'    # in the folder: what the run was asked to make
_WORK = 'unfinished'
_PART = 'part-%03d.npz'
_COMPRESSION = 1        # of zlib: 6 makes files 15 % smaller and takes six times as long
_ROWS = 1024            # at once from disk to disk
_PAUSE = 10             # seconds between two lines of progress


def create(job, arguments, workers=1, resume=False):
    """Make the shards ``part-000.npz``, ... of a corpus, the same with any number of workers.

    Parameters
    ----------
    job : Job
    arguments : dict
        What JSON can hold: what else the result depends on, for people and for ``resume``.
    workers : int
        Processes; 1: this one.
    resume : bool
        Keep what an interrupted run with the same job has made, and make the rest.

    Returns
    -------
    dict
        How many 'instances', 'tokens' (padding left out) and 'shards' there are.

    Raises
    ------
    DataError
        For bad text, for a folder with other data in it, and when a worker dies.
    """
    state = dict(arguments, files=[[path, os.path.getsize(path), os.stat(path).st_mtime_ns]
                                   for path in job.paths])
    done = _begin(job.folder, state, resume)
    if done:
        logging.info('%s: complete already', job.folder)
    else:
        done = _make(job, workers)
        files.write_json(os.path.join(job.folder, DESCRIPTION), dict(state, done=done))
    shutil.rmtree(os.path.join(job.folder, _WORK))
    return done


def _make(job, workers):
    """Make what is missing of the chunks, then of the shards: what :func:`create` returns."""
    chunks = corpus.chunks(job.paths)
    sizes = [sum(span.end - span.start for span in chunk) for chunk in chunks]
    with _processes((job, chunks), min(workers, len(chunks))) as run:
        counts = _follow(run(_make_rows, range(len(chunks))), sizes, 'text')
        instances, tokens = (sum(column) for column in zip(*counts))
        if not instances:
            raise DataError(f"{', '.join(job.paths)}: no pair of sentences in it; a document has a "
                            "sentence a line")
        pieces = _deal([count for count, _ in counts], min(job.shards, instances), job.seed)
        if len(pieces) < job.shards:
            logging.warning('only %d instances, so as many shards', len(pieces))
        _follow(run(_write_shard, range(len(pieces)), pieces),
                [sum(end - first for _, first, end in piece) for piece in pieces], 'shards')
    return {'instances': instances, 'tokens': tokens, 'shards': len(pieces)}


def _begin(folder, state, resume):
    """Make ready for a run, or find out that it has been made: then what :func:`create` returns."""
    work, path = os.path.join(folder, _WORK), os.path.join(folder, DESCRIPTION)
    files.make_folder(work, '--output_dir')
    if resume and os.path.exists(path):
        before = files.read_json(path)
        for key, value in state.items():
            if before.get(key) != value:
                raise DataError(f'--resume: the run in {folder} had other {key} '
                                f'({before.get(key)}); give the same '
                                'arguments, or another --output_dir')
        done = before.get('done')
        if done and all(os.path.exists(os.path.join(folder, _PART % i))
                        for i in range(done['shards'])):
            return done
        return None
    made = [name for name in os.listdir(folder) + os.listdir(work)
            if re.fullmatch(r'part-\d+\.npz|\d+\.rows', name)]
    if made:
        raise DataError(f'--output_dir {folder}: holds the data of an earlier run ({min(made)}); '
                        'finish it with --resume, delete it, or name another folder')
    files.write_json(path, state)
    return None


def _record(masking):
    """The type of an instance in a chunk's file: small, and of a fixed size."""
    number = np.min_scalar_type(max(masking.vocabulary_size, masking.max_seq_length))
    bits = ('segment_ids', 'masked_lm_weights', 'next_sentence_labels')
    return np.dtype([(name, np.uint8 if name in bits else number, masking.shape(name))
                     for name in FIELDS])


def _rows_path(job, index):
    return os.path.join(job.folder, _WORK, f'{index:06}.rows')


def _make_rows(job, chunks, index):
    """Write the instances of a chunk, unless they are there: (instances, tokens)."""
    path, record = _rows_path(job, index), _record(job.masking)
    if not os.path.exists(path):
        rng = np.random.default_rng([job.seed, index])
        pool = corpus.read_pool(chunks[index], job.tok,
                                int(rng.integers(1 << 31)) if job.sampled else None)
        with files.atomic(path) as temporary, open(temporary, 'wb') as f:
            for block in job.masking.instances(pool, rng, job.copies):
                rows = np.empty(len(block['valid_lengths']), record)
                for name in FIELDS:
                    rows[name] = block[name]
                f.write(rows.tobytes())
    lengths = [rows['valid_lengths'] for rows in _rows(path, record)]
    return sum(map(len, lengths)), int(sum(length.sum() for length in lengths))


def _rows(path, record, first=0, end=None):
    """The rows ``first`` to ``end`` of a chunk's file, a block at a time."""
    if end is None:
        end = os.path.getsize(path) // record.itemsize
    for row in range(first, end, _ROWS):
        yield np.fromfile(path, record, min(_ROWS, end - row), offset=row * record.itemsize)


def _deal(counts, shards, seed):
    """Cut the instances of all chunks, in random order, into even shards: for each, a list of
    (chunk, first row, end of the rows)."""
    bounds = [sum(counts) * shard // shards for shard in range(shards + 1)]
    pieces, position = [[] for _ in range(shards)], 0
    # a seed that none of the chunks has
    for chunk in np.random.default_rng([seed, len(counts)]).permutation(len(counts)).tolist():
        for piece, start, end in zip(pieces, bounds, bounds[1:]):
            first, last = max(start - position, 0), min(end - position, counts[chunk])
            if first < last:
                piece.append((chunk, first, last))
        position += counts[chunk]
    return pieces


def _write_shard(job, chunks, index, piece):
    """Write a shard, unless it is there, from ``piece`` as :func:`_deal` makes it."""
    path, record = os.path.join(job.folder, _PART % index), _record(job.masking)
    if os.path.exists(path):
        return
    rows = sum(end - first for _, first, end in piece)
    with files.atomic(path) as temporary, \
            zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED,
                            compresslevel=_COMPRESSION) as archive:
        for name, (dtype, _) in FIELDS.items():
            with archive.open(name + '.npy', 'w', force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {
                    'descr': np.dtype(dtype).str, 'fortran_order': False,
                    'shape': (rows,) + job.masking.shape(name)})
                for chunk, first, end in piece:
                    for block in _rows(_rows_path(job, chunk), record, first, end):
                        member.write(block[name].astype(dtype).tobytes())


@contextlib.contextmanager
def _processes(common, workers):
    """A function run(function, *columns): like map, but the calls are made by worker processes, in
    any order, as function(*common, *row), and it yields (index, result)."""
    if workers == 1:
        yield lambda function, *columns: (
            (index, function(*common, *row)) for index, row in enumerate(zip(*columns)))
        return
    # a fork starts sooner, but is not safe once MXNet runs threads
    context = multiprocessing.get_context('spawn' if 'mxnet' in sys.modules else None)
    with futures.ProcessPoolExecutor(workers, context, _start_worker,
                                     (os.getpid(), common)) as pool:
        def run(function, *columns):
            rows = enumerate(zip(*columns))
            running = {}
            while True:
                # a few at a time, for an error or Ctrl-C to end the run soon
                for index, row in itertools.islice(rows, 2 * workers - len(running)):
                    running[pool.submit(_call, function, row)] = index
                if not running:
                    return
                for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        try:
            yield run
        except futures.process.BrokenProcessPool:
            raise DataError('a worker process was killed, perhaps for want of memory; go on with '
                            '--resume and fewer --num_workers') from None


_common = None


def _start_worker(parent, common):
    global _common
    _common = common
    signal.signal(signal.SIGINT, signal.SIG_DFL)    # Ctrl-C: end at once, without a traceback

    def follow_parent():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)
    threading.Thread(target=follow_parent, daemon=True).start()


def _call(function, row):
    return function(*_common, *row)


def _follow(results, sizes, what):
    """The results in the order of their index; meanwhile, say how far the work has come.

    ``results`` yields (index, result); ``sizes`` are the shares of the work.
    """
    out, start, told = [None] * len(sizes), time.time(), time.time()
    bar = None
    if sys.stderr.isatty():
        from tqdm import tqdm
        bar = tqdm(total=sum(sizes), desc=what, unit='B' if what == 'text' else ' instances',
                   unit_scale=True, dynamic_ncols=True)
    done = 0
    for index, result in results:
        out[index] = result
        done += sizes[index]
        now = time.time()
        if bar is not None:
            bar.update(sizes[index])
        elif now > told + _PAUSE:
            told = now
            logging.info('%s: %d %% done, %s left', what, 100 * done // sum(sizes),
                         datetime.timedelta(seconds=int((now - start) * (sum(sizes) / done - 1))))
    if bar is not None:
        bar.close()
    return out


def fingerprint(tok):
    """The SHA-1 of a tokenizer's vocabulary, as hexadecimal digits."""
    tokens = '\n'.join(tok.tokens(range(len(tok))))
    return hashlib.sha1(tokens.encode('utf-8')).hexdigest()


def width(path):
    """The tokens for which an instance of a shard has room; only the file's head is read."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open('input_ids.npy') as f:
            np.lib.format.read_magic(f)
            return np.lib.format.read_array_header_1_0(f)[0][1]
    except (zipfile.BadZipFile, OSError, KeyError, ValueError, IndexError):
        return read(path)['input_ids'].shape[1]     # which tells what is wrong with it


def read(path):
    """The instances of a shard: {name: array} as in :data:`bert.pretraining.masking.FIELDS`.

    Raises DataError where the file is damaged, or holds something else.
    """
    if not os.path.exists(path):
        raise DataError(f'{path}: no such file')
    try:
        with zipfile.ZipFile(path):     # else np.load takes it for one of other kinds
            content = np.load(path, allow_pickle=False)
        with content:
            missing = [name for name in FIELDS if name not in content]
            arrays = {name: content[name] for name in FIELDS if name not in missing}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if 'Object arrays' in str(error):
            error = 'pickled, as by GluonNLP, which is never read'
        raise DataError(f'{path}: not a whole shard ({error}); make it again with '
                        'create_pretraining_data.py') from None
    if missing:
        raise DataError(f"{path}: no {', '.join(missing)} in it; is it made by "
                        "create_pretraining_data.py?")
    rows, longest = len(arrays['valid_lengths']), (arrays['input_ids'].shape + (0,))[1]
    for name, (dtype, length) in FIELDS.items():
        like = arrays['input_ids' if length == 'max_seq_length' else 'masked_lm_ids']
        shape = (rows,) if length is None else (rows, (like.shape + (0,))[1])
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise DataError(f'{path}: {name} is {arrays[name].dtype} {arrays[name].shape}, not '
                            f'{dtype} {shape}; is it made by create_pretraining_data.py?')
    for name, low, high in (('valid_lengths', 1, longest), ('masked_lm_positions', 0, longest - 1)):
        values = arrays[name]
        if values.size and not low <= values.min() <= values.max() <= high:
            raise DataError(f'{path}: {name} from {values.min()} to {values.max()}, where only '
                            f'{low} to {high} can be')
    return arrays
