"""The flags of the pre-training programs, and the settings that they stand for."""
import argparse
import logging
import os
from typing import TYPE_CHECKING, Tuple

from ..checkpoint import output
from ..training import flags as training_flags
from ..utils import cli
from ..utils.errors import DataError
from . import settings

if TYPE_CHECKING:
    from ..training.runtime import Runtime

# which --kvstore each --comm_backend of GluonNLP 0.10 is
BACKENDS = {'horovod': 'horovod', 'dist_sync_device': 'dist_device_sync', 'device': 'device'}
BATCH_SIZE, SAMPLE_BATCH_SIZE = 8, 32       # the sample model is tiny

__all__ = ['add_vocabulary_flags', 'add_masking_flags', 'add_run_flags', 'check',
           'vocabulary_settings', 'masking_settings', 'run_settings', 'start']

_log = logging.getLogger(__name__)
_COUNT = cli.whole_number(1, 1 << 16)       # tokens of an instance, micro-batches of an update
_BATCH = cli.whole_number(1, 1 << 20)       # instances or tokens
_SEED = cli.whole_number(0, 2 ** 32 - 1)


def add_vocabulary_flags(parser: cli.Parser) -> None:
    """Which vocabulary to take, and how."""
    group = parser.add_argument_group('vocabulary')
    group.add_argument('--dataset_name', '--bert_dataset', metavar='NAME',
                       help='the vocabulary of a model pre-trained on this (default: '
                            'book_corpus_wiki_en_uncased), or of the model sample')
    group.add_argument('--vocab', type=cli.path, metavar='PATH',
                       help='a vocabulary file, or the folder of a model')
    group.add_argument('--sentencepiece', type=cli.path, metavar='FILE',
                       help='a SentencePiece model')
    group.add_argument('--cased', action='store_true',
                       help='do not lower-case the text; for --sentencepiece, and for --vocab '
                            'where its files do not specify the casing')
    group.add_argument('--sp_nbest', type=cli.whole_number(-1), default=0, metavar='N',
                       help='SentencePiece: sample the sub-words of a word from its N best splits, '
                            'from all with -1 (default: always the best)')
    group.add_argument('--sp_alpha', type=cli.number_from_0, default=1.0,
                       help='SentencePiece: smoothing of the sampling (default: %(default)s)')
    group.add_argument('--offline', action='store_true',
                       help='use local files only (as does BERT_OFFLINE=1)')


def add_masking_flags(parser: cli.Parser, title: str):
    """How instances are made from text; returns the group."""
    group = parser.add_argument_group(title)
    group.add_argument('--max_seq_length', type=_COUNT, default=512, metavar='N',
                       help='tokens, special ones included (default: %(default)s)')
    group.add_argument('--max_predictions_per_seq', type=_COUNT, default=80, metavar='N',
                       help='maximum number of masked tokens (default: %(default)s)')
    group.add_argument('--masked_lm_prob', type=cli.fraction, default=0.15, metavar='SHARE',
                       help='share of the tokens to mask (default: %(default)s)')
    group.add_argument('--short_seq_prob', type=cli.fraction, default=0.1, metavar='SHARE',
                       help='share of the documents cut into shorter instances (default: '
                            '%(default)s)')
    group.add_argument('--whole_word_mask', action='store_true',
                       help='mask all sub-words of a word or none')
    return group


def add_run_flags(parser: cli.Parser) -> None:
    """All flags that run_pretraining.py and run_pretraining_hvd.py share."""
    _add_data_flags(parser.add_argument_group('data'))
    add_masking_flags(parser, 'instances made from text (--raw)')
    add_vocabulary_flags(parser)
    group = parser.add_argument_group('model')
    group.add_argument('--bert_model', '--model', default='bert_12_768_12', metavar='NAME',
                       help='bert_12_768_12, bert_24_1024_16 or sample; a folder with a '
                            'config.json; or any other size, bert_L_U_H or bert_L_U_H_F: '
                            'layers, units, heads, feed-forward units (4 U) (default: '
                            '%(default)s)')
    group.add_argument('--pretrained', action='store_true',
                       help='start from the weights of --model instead of random ones')
    group.add_argument('--dropout', type=cli.dropout_rate,
                       help="rate of all dropout (default: the model's own, usually 0.1)")
    _add_training_flags(parser.add_argument_group('training'))
    _add_running_flags(parser.add_argument_group('running'))
    _add_flags_of_010(parser)
    parser.set_defaults(dtype=None, cpus=None)
    dtype = parser.flags['--dtype']
    dtype.choices = [choice for choice in dtype.choices if choice != 'int8']    # does not train
    dtype.help = ('bfloat16 is for CPUs with AVX-512; auto: float16 on GPUs, the faster of '
                  'bfloat16 and float32 on CPUs (default: float16 on GPUs, float32 on CPUs)')


def _add_data_flags(group):
    group.add_argument('--data', nargs='+', metavar='FILES',
                       help='shards (.npz) of create_pretraining_data.py, or text with --raw; '
                            'wildcards and commas between files are fine')
    group.add_argument('--data_eval', nargs='+', metavar='FILES',
                       help='to evaluate on, in the same format as --data')
    group.add_argument('--raw', action='store_true',
                       help='--data is text: one sentence per line, a blank line between '
                            'documents; each epoch has new masks')
    group.add_argument('--eval_use_npz', action='store_true',
                       help='with --raw: --data_eval names shards')
    group.add_argument('--num_data_workers', type=cli.whole_number(0, cli.MAX_WORKERS), default=2,
                       metavar='N', help='processes that prepare the data of each worker, 0 for a '
                                         'thread in its own process (default: %(default)s)')
    group.add_argument('--num_buckets', type=_COUNT, default=10, metavar='N',
                       help='number of lengths to pad to; the instances of a batch are similar in '
                            'length (default: %(default)s)')
    group.add_argument('--synthetic_data', action='store_true',
                       help='train on random tokens, to measure the speed')
    group.add_argument('--dummy_data_len', type=_COUNT, metavar='N',
                       help='length of the synthetic instances (default: --max_seq_length)')


def _add_training_flags(group):
    group.add_argument('--num_steps', type=cli.positive_int, default=20, metavar='N',
                       help='updates (default: %(default)s)')
    group.add_argument('--batch_size', type=_BATCH, metavar='N',
                       help='instances that go through the model at once on each device, or tokens '
                            f'with --use_avg_len (default: {BATCH_SIZE}; {SAMPLE_BATCH_SIZE} for '
                            'the sample model)')
    group.add_argument('--total_batch_size', type=_BATCH, metavar='N',
                       help='instances of an update, instead of --batch_size: --batch_size x '
                            '--accumulate x workers x devices')
    group.add_argument('--use_avg_len', action='store_true',
                       help='--batch_size counts tokens: short instances come in larger batches')
    group.add_argument('--accumulate', type=_COUNT, default=1, metavar='N',
                       help='make one update from N batches per device (default: %(default)s)')
    group.add_argument('--batch_size_eval', type=_BATCH, default=8, metavar='N',
                       help='instances at once in evaluation (default: %(default)s)')
    group.add_argument('--total_batch_size_eval', type=_BATCH, metavar='N',
                       help='the same of all workers and devices together')
    training_flags.add_optimizer_flags(group)
    group.add_argument('--lr', type=cli.positive_float, default=1e-4,
                       help='peak learning rate (default: %(default)s)')
    group.add_argument('--warmup_ratio', type=cli.fraction, default=0.01,
                       help='fraction of the updates during which the learning rate increases '
                            '(default: %(default)s)')
    group.add_argument('--schedule', choices=('linear', 'poly'), default='linear',
                       help='how the learning rate decays: linearly, or as a polynomial of degree '
                            '--power (default: %(default)s)')
    group.add_argument('--power', type=cli.number(1e-37, 100), default=0.5,
                       help='degree of --schedule poly (default: %(default)s)')
    group.add_argument('--seed', type=_SEED, default=0,
                       help=f'{training_flags.SEED} (default: %(default)s)')


def _add_running_flags(group):
    training_flags.add_device_flags(group, 'the CPU; with Horovod GPUs, if any, unless --cpus')
    group.add_argument('--ckpt_dir', default='./ckpt_dir', type=cli.path, metavar='DIR',
                       help='where the model and the checkpoints go (default: %(default)s)')
    group.add_argument('--ckpt_interval', type=cli.positive_int, default=25000, metavar='N',
                       help='updates between two checkpoints (default: %(default)s)')
    group.add_argument('--keep', type=cli.positive_int, default=3, metavar='N',
                       help='how many of the latest checkpoints to keep (default: %(default)s)')
    group.add_argument('--resume', action='store_true',
                       help='continue from the last complete checkpoint in --ckpt_dir')
    group.add_argument('--start_step', type=cli.natural_int, default=0, metavar='N',
                       help='continue from the checkpoint of update N in --ckpt_dir')
    cli.add_overwrite_flag(group, '--ckpt_dir')
    group.add_argument('--eval_interval', type=cli.positive_int, metavar='N',
                       help='updates between two evaluations (default: --ckpt_interval)')
    group.add_argument('--log_interval', type=cli.positive_int, default=250, metavar='N',
                       help='updates between two lines of the log (default: %(default)s)')
    group.add_argument('--tensorboard', action='store_true',
                       help='write TensorBoard events to --ckpt_dir (extra: tensorboard)')
    group.add_argument('--plot', action='store_true',
                       help='draw the training curves as a picture (extra: plot)')
    group.add_argument('--profile', type=cli.path, metavar='FILE',
                       help="write MXNet's profile of ten updates (for chrome://tracing)")
    group.add_argument('--verbose', action='store_true', help='log more')


def _add_flags_of_010(parser):
    """The flags of GluonNLP 0.10 that earlier versions did not have."""
    parser.alias('--num_data_workers', '--num_dataset_workers')
    group = parser.add_argument_group('second phase')
    group.add_argument('--phase2', action='store_true',
                       help='start from the model in --ckpt_dir, and write to its folder phase2')
    group.add_argument('--phase1_num_steps', type=cli.natural_int, default=0, metavar='N',
                       help='updates of the first phase, which --start_step counts too')
    for flag, values in (('--no_compute_acc', 0), ('--num_batch_workers', 1), ('--repeat', 1),
                         ('--circle_length', 1), ('--dataset_cached', 0),
                         ('--num_max_dataset_cached', 1)):
        text = 'not needed: data and accuracies are prepared while the model computes'
        parser.explain(flag, text, values)


def check(parser: cli.Parser, args: argparse.Namespace) -> argparse.Namespace:
    """``args``, or the parser's error where two flags contradict each other."""
    if args.max_seq_length < 5:
        parser.error(f'--max_seq_length {args.max_seq_length} leaves no room for two texts; use 5 '
                     'or more')
    if args.sentencepiece and args.vocab:
        parser.error('--sentencepiece and --vocab both name a vocabulary; use only one')
    if args.cased and not (args.sentencepiece or args.vocab):
        parser.error('--cased is for --sentencepiece and --vocab; name a cased model with '
                     '--dataset_name book_corpus_wiki_en_cased')
    if not hasattr(args, 'num_steps'):
        return args
    training = bool(args.data) + args.synthetic_data
    if training > 1 or not (training or args.data_eval):
        parser.error('name your files with --data, or use random data with --synthetic_data; '
                     '--data_eval alone only evaluates')
    if args.resume and args.start_step:
        parser.error('--resume continues from the last checkpoint, --start_step from the one that '
                     'you name; use only one of them')
    if args.total_batch_size and (args.batch_size or args.use_avg_len):
        parser.error('--total_batch_size takes the place of --batch_size; give one, and no '
                     '--use_avg_len')
    args.batch_size = args.batch_size or (
        SAMPLE_BATCH_SIZE if args.bert_model == 'sample' else BATCH_SIZE)
    if args.phase2:
        args.bert_model, args.pretrained = args.ckpt_dir, True
        args.ckpt_dir = os.path.join(args.ckpt_dir, 'phase2')
        args.start_step = max(0, args.start_step - args.phase1_num_steps)
    if not training and (args.start_step or args.resume):
        # to evaluate a checkpoint is to evaluate its weights
        name = output.step_file(args.start_step) if args.start_step else ''
        args.bert_model, args.pretrained = os.path.join(args.ckpt_dir, name), True
    return args


def vocabulary_settings(args: argparse.Namespace) -> settings.VocabularySettings:
    """What :func:`add_vocabulary_flags` stands for."""
    return settings.VocabularySettings(
        dataset=args.dataset_name, path=args.vocab, sentencepiece=args.sentencepiece,
        cased=args.cased, nbest=args.sp_nbest, alpha=args.sp_alpha, offline=args.offline)


def masking_settings(args: argparse.Namespace) -> settings.MaskingSettings:
    """What :func:`add_masking_flags` stands for."""
    return settings.MaskingSettings(
        args.max_seq_length, args.max_predictions_per_seq, args.masked_lm_prob,
        args.short_seq_prob, args.whole_word_mask)


def run_settings(args: argparse.Namespace) -> settings.RunSettings:
    """What :func:`add_run_flags` stands for, once :func:`start` has filled in the defaults."""
    synthetic = (args.dummy_data_len or args.max_seq_length) if args.synthetic_data else None
    return settings.RunSettings(
        data=settings.DataSettings(
            files=tuple(args.data or ()), dev_files=tuple(args.data_eval or ()), raw=args.raw,
            dev_raw=args.raw and not args.eval_use_npz, synthetic_length=synthetic,
            masking=masking_settings(args), num_workers=args.num_data_workers,
            num_buckets=args.num_buckets),
        model=settings.ModelSettings(args.bert_model, args.pretrained, args.dropout,
                                     vocabulary_settings(args)),
        training=settings.PretrainingSettings(
            num_steps=args.num_steps, batch_size=args.batch_size, by_tokens=args.use_avg_len,
            accumulate=args.accumulate, eval_batch_size=args.batch_size_eval,
            optimizer=args.optimizer, lr=args.lr, warmup_ratio=args.warmup_ratio,
            power=args.power if args.schedule == 'poly' else 1.0, epsilon=args.epsilon,
            weight_decay=args.weight_decay, clip=args.clip, seed=args.seed),
        checkpoints=settings.CheckpointSettings(
            folder=args.ckpt_dir, arguments=vars(args), interval=args.ckpt_interval,
            keep=args.keep, resume=args.resume, overwrite=args.overwrite,
            start_step=args.start_step),
        log=settings.LogSettings(
            interval=args.log_interval, eval_interval=args.eval_interval or args.ckpt_interval,
            tensorboard=args.tensorboard, plot=args.plot, profile=args.profile,
            verbose=args.verbose))


def start(args: argparse.Namespace, comm: str) -> Tuple[settings.RunSettings, 'Runtime']:
    """Set up logging, devices and workers; the settings of the run and what it runs on.

    ``comm`` says how workers talk to each other, as in
    :class:`~bert.training.settings.DeviceSettings`; ``args`` stays as it is.
    """
    from mxnet.context import num_gpus

    from ..training import runtime
    args = argparse.Namespace(**vars(args))
    args.comm = comm
    if args.gpu is None and args.gpus is None:
        # each worker of Horovod takes a GPU of its own
        if comm == 'horovod' and args.cpus is None and num_gpus():
            args.gpu = 0
        args.cpus = args.cpus or 1
    on_gpu = args.gpu is not None or args.gpus is not None
    args.dtype = args.dtype or ('float16' if on_gpu else 'float32')
    running = runtime.start(training_flags.device_settings(args, comm))
    if args.dummy_data_len and not args.synthetic_data:
        _log.warning('--dummy_data_len has no effect without --synthetic_data')
    args.path, args.dtype = running.layout, running.dtype
    parts = running.comm.size * len(running.comm.devices)
    if args.total_batch_size:
        args.batch_size, rest = divmod(args.total_batch_size, parts * args.accumulate)
        if rest or not args.batch_size:
            raise DataError(f'--total_batch_size {args.total_batch_size} is not a multiple of '
                            f'workers x devices x --accumulate, {parts * args.accumulate}')
    if args.total_batch_size_eval:
        args.batch_size_eval = max(1, args.total_batch_size_eval // parts)
    if running.comm.rank == 0 and (args.data or args.synthetic_data):
        training_flags.check_extras(args.tensorboard, args.plot)
        output.check(args.ckpt_dir, '--ckpt_dir', output.PRETRAINING,
                     args.resume or args.start_step > 0, args.overwrite)
    return run_settings(args), running
