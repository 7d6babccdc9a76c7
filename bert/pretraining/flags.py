"""Flags of the pre-training programs, and the vocabulary and the masking that they name."""
import argparse
import logging
import os

from ..training import flags as training_flags
from ..utils import cli

__all__ = ['add_vocabulary_flags', 'add_masking_flags', 'add_run_flags', 'check', 'load_tokenizer',
           'make_masking']


def add_vocabulary_flags(parser):
    """Which vocabulary to take, and how."""
    group = parser.add_argument_group('vocabulary')
    group.add_argument('--dataset_name', '--bert_dataset', metavar='NAME',
                       help='that of a model pre-trained on this (default: '
                            'book_corpus_wiki_en_uncased), or of the model sample')
    group.add_argument('--vocab', metavar='PATH',
                       help='a vocabulary file, or the folder of a model')
    group.add_argument('--sentencepiece', metavar='FILE', help='a SentencePiece model')
    group.add_argument('--cased', action='store_true',
                       help='do not lower-case the text; for --sentencepiece, and for --vocab '
                            'where its files do not tell')
    group.add_argument('--sp_nbest', type=int, default=0, metavar='N',
                       help='SentencePiece: draw the pieces of a word from its N best splits, '
                            'from all with -1 (default: always the best)')
    group.add_argument('--sp_alpha', type=float, default=1.0,
                       help='SentencePiece: smoothing of these draws (default: %(default)s)')
    group.add_argument('--offline', action='store_true',
                       help='use local files only (as does BERT_OFFLINE=1)')


def add_masking_flags(parser, title):
    """How instances are made of text; returns the group."""
    group = parser.add_argument_group(title)
    group.add_argument('--max_seq_length', type=cli.positive_int, default=512, metavar='N',
                       help='tokens, special ones included (default: %(default)s)')
    group.add_argument('--max_predictions_per_seq', type=cli.positive_int, default=80,
                       metavar='N', help='masked tokens at most (default: %(default)s)')
    group.add_argument('--masked_lm_prob', type=cli.fraction, default=0.15, metavar='SHARE',
                       help='share of the tokens to mask (default: %(default)s)')
    group.add_argument('--short_seq_prob', type=cli.fraction, default=0.1, metavar='SHARE',
                       help='share of the documents taken in shorter pieces (default: '
                            '%(default)s)')
    group.add_argument('--whole_word_mask', action='store_true',
                       help='mask all pieces of a word or none')
    return group


def add_run_flags(parser):
    """All flags that run_pretraining.py and run_pretraining_hvd.py share, the above included."""
    data = parser.add_argument_group('data')
    data.add_argument('--data', nargs='+', metavar='FILES',
                      help='shards (.npz) of create_pretraining_data.py, or text with --raw; '
                           'wildcards and commas between files are fine')
    data.add_argument('--data_eval', nargs='+', metavar='FILES',
                      help='to evaluate on, in the same format as --data')
    data.add_argument('--raw', action='store_true',
                      help='--data are text: one sentence a line, a blank line between documents; '
                           'each pass over it has other masks')
    data.add_argument('--eval_use_npz', action='store_true',
                      help='with --raw: --data_eval are shards')
    data.add_argument('--num_data_workers', type=_natural, default=2, metavar='N',
                      help='processes that make data ready for each worker, 0 for a thread in its '
                           'own process (default: %(default)s)')
    data.add_argument('--num_buckets', type=cli.positive_int, default=10, metavar='N',
                      help='lengths to pad to; a batch has instances of like length (default: '
                           '%(default)s)')
    data.add_argument('--synthetic_data', action='store_true',
                      help='train on random tokens, to measure the speed')
    data.add_argument('--dummy_data_len', type=cli.positive_int, metavar='N',
                      help='length of the synthetic instances (default: --max_seq_length)')
    add_masking_flags(parser, 'instances made of text (--raw)')
    add_vocabulary_flags(parser)

    group = parser.add_argument_group('model')
    group.add_argument('--bert_model', '--model', default='bert_12_768_12', metavar='NAME',
                       help='bert_12_768_12, bert_24_1024_16 or sample; a folder with a '
                            'config.json; or a size of your own, bert_L_U_H or bert_L_U_H_F: '
                            'layers, units, heads, feed-forward units (4 U) (default: '
                            '%(default)s)')
    group.add_argument('--pretrained', action='store_true',
                       help='start from the weights of --model, not from random ones')
    group.add_argument('--dropout', type=cli.fraction, help="(default: the model's own, 0.1)")

    training = parser.add_argument_group('training')
    training.add_argument('--num_steps', type=cli.positive_int, default=20, metavar='N',
                          help='updates (default: %(default)s)')
    training.add_argument('--batch_size', type=cli.positive_int, default=32, metavar='N',
                          help='instances that a device takes through the model at once, or tokens '
                               'with --use_avg_len (default: %(default)s)')
    training.add_argument('--use_avg_len', action='store_true',
                          help='--batch_size counts tokens: short instances come in larger batches')
    training.add_argument('--accumulate', type=cli.positive_int, default=1, metavar='N',
                          help='make one update from N batches a device (default: %(default)s)')
    training.add_argument('--batch_size_eval', type=cli.positive_int, default=8, metavar='N',
                          help='instances at once in evaluation (default: %(default)s)')
    training.add_argument('--optimizer', choices=('bertadam', 'adam', 'adamw', 'lamb'),
                          default='bertadam', help='(default: %(default)s)')
    training.add_argument('--lr', type=cli.positive_float, default=1e-4,
                          help='peak learning rate (default: %(default)s)')
    training.add_argument('--warmup_ratio', type=cli.fraction, default=0.01,
                          help='share of the updates over which the learning rate rises '
                               '(default: %(default)s)')
    training.add_argument('--schedule', choices=('linear', 'poly'), default='linear',
                          help='how the learning rate falls: in a line, or to the --power '
                               '(default: %(default)s)')
    training.add_argument('--power', type=cli.positive_float, default=0.5,
                          help='of --schedule poly (default: %(default)s)')
    training.add_argument('--epsilon', type=cli.positive_float, default=1e-6,
                          help="the optimizer's epsilon (default: %(default)s)")
    training.add_argument('--weight_decay', type=float, default=0.01,
                          help='not on biases and LayerNorm (default: %(default)s)')
    training.add_argument('--clip', type=cli.positive_float, default=1.0, metavar='NORM',
                          help='bound on the global norm of the gradient (default: %(default)s)')
    training.add_argument('--seed', type=_natural, default=0,
                          help='the same seed gives the same result (default: %(default)s)')

    running = parser.add_argument_group('running')
    training_flags.add_device_flags(running)
    running.add_argument('--ckpt_dir', default='./ckpt_dir', metavar='DIR',
                         help='where the model and the checkpoints go (default: %(default)s)')
    running.add_argument('--ckpt_interval', type=cli.positive_int, default=25000, metavar='N',
                         help='updates between two checkpoints (default: %(default)s)')
    running.add_argument('--keep', type=cli.positive_int, default=3, metavar='N',
                         help='checkpoints to keep, the last ones (default: %(default)s)')
    running.add_argument('--resume', action='store_true',
                         help='go on from the last whole checkpoint in --ckpt_dir')
    running.add_argument('--start_step', type=_natural, default=0, metavar='N',
                         help='go on from the checkpoint of update N in --ckpt_dir')
    running.add_argument('--eval_interval', type=cli.positive_int, metavar='N',
                         help='updates between two evaluations (default: --ckpt_interval)')
    running.add_argument('--log_interval', type=cli.positive_int, default=250, metavar='N',
                         help='updates between two lines of the log (default: %(default)s)')
    running.add_argument('--tensorboard', action='store_true',
                         help='write TensorBoard events to --ckpt_dir (extra: tensorboard)')
    running.add_argument('--plot', action='store_true',
                         help='draw the training curves as a picture (extra: plot)')
    running.add_argument('--profile', metavar='FILE',
                         help="write MXNet's profile of ten updates (for chrome://tracing)")
    running.add_argument('--verbose', action='store_true', help='say more')
    parser.set_defaults(dtype=None, cpus=None)
    for action in parser._actions:
        if action.dest == 'dtype':
            action.help = 'default: float16 on GPUs, float32 on CPUs, of which some have bfloat16'


def _natural(text):
    """argparse type: a whole number from 0 up."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f'{text} is not a whole number from 0 up')
    return value


def check(parser, args):
    """``args``, or the parser's error where two flags do not go together."""
    if args.max_seq_length < 5:
        parser.error(f'--max_seq_length {args.max_seq_length} leaves no room for two texts; take 5 '
                     'or more')
    if args.sentencepiece and args.vocab:
        parser.error('--sentencepiece and --vocab both name a vocabulary; give one')
    if args.cased and not (args.sentencepiece or args.vocab):
        parser.error('--cased is for --sentencepiece and --vocab; name a cased model with '
                     '--dataset_name book_corpus_wiki_en_cased')
    if not hasattr(args, 'num_steps'):
        return args
    if bool(args.data) == args.synthetic_data:
        parser.error('name your files with --data, or take random ones with --synthetic_data')
    if args.resume and args.start_step:
        parser.error('--resume goes on from the last checkpoint, --start_step from the one you '
                     'name; give one')
    return args


def load_tokenizer(args, model=None):
    """(tokenizer, where it comes from) as the flags of the vocabulary say.

    ``model`` is what --model names: where no flag names a vocabulary and this is the sample or a
    folder, its vocabulary is taken.
    """
    from ..checkpoint.resolve import resolve
    from ..text import tokenizer
    own = args.sentencepiece or args.vocab
    if own:
        if args.dataset_name:
            logging.warning('--dataset_name %s is not used: the vocabulary is %s',
                            args.dataset_name, own)
        cased = args.cased if args.sentencepiece else args.cased or None
        return tokenizer.load(os.path.expanduser(own), cased, args.sp_nbest, args.sp_alpha), own
    if args.dataset_name == 'sample':
        model, dataset = 'sample', None
    else:
        dataset = args.dataset_name
        if dataset or not (model == 'sample' or os.path.isdir(os.path.expanduser(model or ''))):
            model = None
    found = resolve(model, dataset, weights=False, offline=args.offline or None)
    return tokenizer.load(found.vocab, found.cased, args.sp_nbest, args.sp_alpha), found.source


def make_masking(args, tok):
    """The :class:`~bert.pretraining.masking.Masking` of the flags, and whether ``tok`` samples."""
    from ..text.tokenizer import SentencePiece
    from .masking import Masking
    sampled = isinstance(tok, SentencePiece) and args.sp_nbest not in (0, 1)
    return Masking(tok, args.max_seq_length, args.max_predictions_per_seq, args.masked_lm_prob,
                   args.short_seq_prob, args.whole_word_mask), sampled
