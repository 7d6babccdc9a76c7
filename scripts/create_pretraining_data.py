"""Make pre-training data for BERT from plain text: pairs of sentences with masked words.

    python create_pretraining_data.py --input_file 'folder1/*.txt,folder2/*.txt' --output_dir out \\
        --dataset_name book_corpus_wiki_en_uncased --dupe_factor 10 --num_workers $(nproc)
    python create_pretraining_data.py --input_file sample_text.txt --output_dir out \\
        --dataset_name sample --max_seq_length 128 --max_predictions_per_seq 20

The text is UTF-8, with one sentence per line and a blank line between documents.  It may be larger
than memory.  The same seed gives the same shards with any number of workers.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import contextlib
import logging
import os
import signal
import threading
import time

from bert.pretraining import flags
from bert.utils import cli
from bert.utils.errors import run
from bert.utils.processors import available


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--input_file', required=True, nargs='+', metavar='FILES',
                        help='text files; wildcards and commas between them are fine')
    parser.add_argument('--output_dir', required=True, type=cli.path, metavar='DIR',
                        help='where part-000.npz, part-001.npz, ... go')
    flags.add_vocabulary_flags(parser)
    masking = flags.add_masking_flags(parser, 'instances')
    masking.add_argument('--dupe_factor', type=cli.whole_number(1, 10000), default=1, metavar='N',
                         help='use the text N times, with different masks (default: %(default)s)')
    masking.add_argument('--random_seed', type=int, default=12345, metavar='SEED',
                         help='0 or more (default: %(default)s)')
    running = parser.add_argument_group('running')
    running.add_argument('--num_outputs', type=cli.whole_number(1, 100000), default=1, metavar='N',
                         help='shards to write, of equal size (default: %(default)s)')
    running.add_argument('--num_workers', type=cli.whole_number(1, cli.MAX_WORKERS),
                         default=available(), metavar='N',
                         help='processes (default: one per CPU, %(default)s)')
    running.add_argument('--resume', action='store_true',
                         help='continue where an interrupted run in --output_dir stopped')
    cli.add_overwrite_flag(running)
    running.add_argument('--verbose', action='store_true', help='show an instance at the end')
    args = parser.parse_args(argv)
    if args.random_seed < 0:
        parser.error(f'--random_seed {args.random_seed} is below 0')
    return flags.check(parser, args)


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import output
    from bert.pretraining import corpus, shard_writer, shards, vocabulary
    from bert.pretraining.masking import Masking
    logging.basicConfig(level=logging.DEBUG if args.verbose else logging.INFO,
                        format='%(message)s')
    start, folder = time.monotonic(), args.output_dir
    wanted = flags.vocabulary_settings(args)
    tok, source = vocabulary.load_tokenizer(wanted)
    paths = corpus.expand(args.input_file)
    output.check(folder, '--output_dir', output.SHARDS, args.resume, args.overwrite)
    logging.info('%d files, %.1f MB; vocabulary: %s, %d tokens, %s', len(paths),
                 sum(map(os.path.getsize, paths)) / 1e6, source, len(tok),
                 'cased' if tok.cased else 'uncased')
    job = shard_writer.ShardJob(
        paths, tok, Masking(tok, **vars(flags.masking_settings(args))), copies=args.dupe_factor,
        seed=args.random_seed, sampled=vocabulary.draws_subwords(tok, wanted),
        shards=args.num_outputs, folder=folder)
    recorded = {key: value for key, value in vars(args).items() if key not in (
        'input_file', 'output_dir', 'num_workers', 'resume', 'overwrite', 'verbose', 'offline')}
    recorded['vocabulary_sha1'] = shards.vocabulary_sha1(tok)
    with say_how_to_go_on():
        made = shard_writer.create(job, recorded, args.num_workers, args.resume,
                                   args.overwrite)
    seconds = time.monotonic() - start
    logging.info('instances: %d, tokens: %d, shards: %d; %.1f s, %.2f million tokens per second',
                 made['instances'], made['tokens'], made['shards'], seconds,
                 made['tokens'] / seconds / 1e6)
    if args.verbose:
        show(tok, os.path.join(folder, 'part-000.npz'))
    return 0


@contextlib.contextmanager
def say_how_to_go_on():
    """Where Ctrl-C or SIGTERM ends the block, say how to continue."""
    said = 'stopped; the same command with --resume continues'

    def end(number, frame):
        os.write(2, f'{said}\n'.encode())       # the log may be within a line
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)            # at once: a chunk may take long

    is_main = threading.current_thread() is threading.main_thread()     # others get no signals
    before = signal.signal(signal.SIGTERM, end) if is_main else None
    try:
        yield
    except KeyboardInterrupt:
        logging.info(said)
        raise
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)


def show(tok, path):
    """Log the first instance of a shard."""
    from bert.pretraining import shards
    for name, array in shards.read(path).items():
        row = array[0]
        logging.debug('%s: %s', name, ' '.join(map(str, row.tolist() if row.ndim else [row])))
        if name in ('input_ids', 'masked_lm_ids'):
            logging.debug('  %s', ' '.join(tok.tokens(row)))


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
