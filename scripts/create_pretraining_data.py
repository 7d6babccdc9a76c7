"""Make pre-training data for BERT of plain text: pairs of sentences with masked words.

    python create_pretraining_data.py --input_file folder1/*.txt,folder2/*.txt --output_dir out \\
        --dataset_name book_corpus_wiki_en_uncased --dupe_factor 10 --num_workers $(nproc)
    python create_pretraining_data.py --input_file sample_text.txt --output_dir out \\
        --dataset_name sample --max_seq_length 128 --max_predictions_per_seq 20

The text is UTF-8, one sentence a line, a blank line between documents.  It may be larger than the
memory.  The same seed gives the same shards with any number of workers.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import hashlib
import logging
import os
import time

from bert import options
from bert.errors import run


def parse_args(argv=None):
    parser = options.Parser(description=__doc__)
    parser.add_argument('--input_file', required=True, nargs='+', metavar='FILES',
                        help='text files; wildcards and commas between them are fine')
    parser.add_argument('--output_dir', required=True, metavar='DIR',
                        help='where part-000.npz, part-001.npz, ... go')
    vocabulary = parser.add_argument_group('vocabulary')
    vocabulary.add_argument('--dataset_name', '--bert_dataset', metavar='NAME',
                            help='that of a model pre-trained on this (default: '
                                 'book_corpus_wiki_en_uncased), or of the model sample')
    vocabulary.add_argument('--vocab', metavar='PATH',
                            help='a vocabulary file, or the folder of a model')
    vocabulary.add_argument('--sentencepiece', metavar='FILE', help='a SentencePiece model')
    vocabulary.add_argument('--cased', action='store_true',
                            help='do not lower-case the text; for --sentencepiece, and for --vocab '
                                 'where its files do not tell')
    vocabulary.add_argument('--sp_nbest', type=int, default=0, metavar='N',
                            help='SentencePiece: draw the pieces of a word from its N best splits, '
                                 'from all with -1 (default: always the best)')
    vocabulary.add_argument('--sp_alpha', type=float, default=1.0,
                            help='SentencePiece: smoothing of these draws (default: %(default)s)')
    vocabulary.add_argument('--offline', action='store_true',
                            help='use local files only (as does BERT_OFFLINE=1)')
    masking = parser.add_argument_group('instances')
    masking.add_argument('--max_seq_length', type=options.positive_int, default=512, metavar='N',
                         help='tokens, special ones included (default: %(default)s)')
    masking.add_argument('--max_predictions_per_seq', type=options.positive_int, default=80,
                         metavar='N', help='masked tokens at most (default: %(default)s)')
    masking.add_argument('--masked_lm_prob', type=options.fraction, default=0.15, metavar='SHARE',
                         help='share of the tokens to mask (default: %(default)s)')
    masking.add_argument('--short_seq_prob', type=options.fraction, default=0.1, metavar='SHARE',
                         help='share of the documents taken in shorter pieces (default: '
                              '%(default)s)')
    masking.add_argument('--whole_word_mask', action='store_true',
                         help='mask all pieces of a word or none')
    masking.add_argument('--dupe_factor', type=options.positive_int, default=5, metavar='N',
                         help='take the text N times, with other masks (default: %(default)s)')
    masking.add_argument('--random_seed', type=int, default=12345, metavar='SEED',
                         help='0 or more (default: %(default)s)')
    running = parser.add_argument_group('running')
    running.add_argument('--num_outputs', type=options.positive_int, default=1, metavar='N',
                         help='shards to write, of even size (default: %(default)s)')
    running.add_argument('--num_workers', type=options.positive_int, default=os.cpu_count(),
                         metavar='N', help='processes (default: a CPU each, %(default)s)')
    running.add_argument('--resume', action='store_true',
                         help='go on where an interrupted run in --output_dir stopped')
    running.add_argument('--verbose', action='store_true', help='show an instance at the end')
    args = parser.parse_args(argv)
    if args.max_seq_length < 5:
        parser.error('--max_seq_length %d leaves no room for two texts; take 5 or more'
                     % args.max_seq_length)
    if args.random_seed < 0:
        parser.error('--random_seed %d is below 0' % args.random_seed)
    if args.sentencepiece and args.vocab:
        parser.error('--sentencepiece and --vocab both name a vocabulary; give one')
    if args.cased and not (args.sentencepiece or args.vocab):
        parser.error('--cased is for --sentencepiece and --vocab; name a cased model with '
                     '--dataset_name book_corpus_wiki_en_cased')
    return args


def main(argv=None):
    args = parse_args(argv)
    from bert import corpus, files, pretraining_data
    from bert.masking import Masking
    from bert.tokenizer import SentencePiece
    logging.basicConfig(level=logging.DEBUG if args.verbose else logging.INFO,
                        format='%(message)s')
    start = time.time()
    tok, source = load_tokenizer(args)
    paths = corpus.expand(args.input_file)
    folder = files.make_folder(os.path.expanduser(args.output_dir), '--output_dir')
    logging.info('%d files, %.1f MB; vocabulary: %s, %d tokens, %s', len(paths),
                 sum(map(os.path.getsize, paths)) / 1e6, source, len(tok),
                 'cased' if tok.cased else 'uncased')
    masking = Masking(tok, args.max_seq_length, args.max_predictions_per_seq, args.masked_lm_prob,
                      args.short_seq_prob, args.whole_word_mask)
    sampled = isinstance(tok, SentencePiece) and args.sp_nbest not in (0, 1)
    job = pretraining_data.Job(paths, tok, masking, args.dupe_factor, args.random_seed, sampled,
                               args.num_outputs, folder)
    settings = {key: value for key, value in vars(args).items() if key not in (
        'input_file', 'output_dir', 'num_workers', 'resume', 'verbose', 'offline')}
    settings['vocabulary_sha1'] = hashlib.sha1(
        '\n'.join(tok.tokens(range(len(tok)))).encode('utf-8')).hexdigest()
    try:
        made = pretraining_data.create(job, settings, args.num_workers, args.resume)
    except KeyboardInterrupt:
        logging.info('stopped; the same command with --resume goes on')
        raise
    seconds = time.time() - start
    logging.info('instances: %d, tokens: %d, shards: %d; %.1f s, %.2f million tokens a second',
                 made['instances'], made['tokens'], made['shards'], seconds,
                 made['tokens'] / seconds / 1e6)
    if args.verbose:
        show(tok, os.path.join(folder, 'part-000.npz'))
    return 0


def load_tokenizer(args):
    """(tokenizer, where it comes from) as the flags of the vocabulary say."""
    from bert import pretrained, tokenizer
    own = args.sentencepiece or args.vocab
    if own:
        if args.dataset_name:
            logging.warning('--dataset_name %s is not used: the vocabulary is %s',
                            args.dataset_name, own)
        cased = args.cased if args.sentencepiece else args.cased or None
        return tokenizer.load(os.path.expanduser(own), cased, args.sp_nbest, args.sp_alpha), own
    toy = args.dataset_name == 'sample'
    found = pretrained.resolve('sample' if toy else None, None if toy else args.dataset_name,
                               weights=False, offline=args.offline or None)
    return tokenizer.load(found.vocab, found.cased), found.source


def show(tok, path):
    """Log the first instance of a shard."""
    from bert import pretraining_data
    for name, array in pretraining_data.read(path).items():
        row = array[0]
        logging.debug('%s: %s', name, ' '.join(map(str, row.tolist() if row.ndim else [row])))
        if name in ('input_ids', 'masked_lm_ids'):
            logging.debug('  %s', ' '.join(tok.tokens(row)))


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
