"""The flags that several programs share, and the values that they stand for.

Only this module, :mod:`.data_flags` and :mod:`bert.pretraining.flags` see an argparse namespace;
the rest of the package takes the dataclasses of :mod:`bert.training.settings`.
"""
import argparse
import logging
from typing import Any, Callable, Dict, NamedTuple, Optional

from ..checkpoint import output
from ..checkpoint.source import ModelSource
from ..utils import cli
from ..utils.errors import require
from ..utils.files import make_folder
from .settings import OPTIMIZERS, DeviceSettings, OutputSettings, Recipe

__all__ = ['SEED', 'add_model_flags', 'add_optimizer_flags', 'add_training_flags',
           'add_runtime_flags', 'add_device_flags', 'Defaults', 'fill_in', 'only_predicts',
           'each_seed', 'check_output', 'check_extras', 'model_source', 'recipe', 'device_settings',
           'output_settings']

SEED = 'the same seed gives the same result on the same kind of CPU with as many threads'
_log = logging.getLogger(__name__)

# flags that may change when a run continues: they decide nothing of its updates and dev scores, or
# (the size of an update, the training data) are checked by what they result in
_FREE = frozenset((
    'accumulate', 'batch_size', 'comm', 'cpus', 'data_dir', 'dev_batch_size', 'force_dtype', 'gpu',
    'gpus', 'log_interval', 'offline', 'output_dir', 'overwrite', 'plot', 'predict', 'resume',
    'save_interval', 'tensorboard', 'test_batch_size', 'test_file', 'test_path'))
# flags of files that may then be in another place
_PATHS = frozenset(('train_file', 'train_path', 'dev_file', 'dev_path'))


class Defaults(NamedTuple):
    """The defaults of a recipe: the original's, and those for the sample model, which is tiny."""
    lr: float
    epochs: int
    sample_lr: float
    sample_epochs: int
    batch_size: int = 32
    sample_batch_size: int = 32

    def help(self, name: str) -> str:
        """The default of a flag, as --help states it."""
        value, sample = getattr(self, name), getattr(self, f'sample_{name}')
        same = '' if value == sample else f'; {sample:g} for the sample model'
        return f'(default: {value:g}{same})'


def add_model_flags(parser: argparse.ArgumentParser,
                    dataset: str = 'book_corpus_wiki_en_uncased',
                    model: str = 'bert_12_768_12') -> None:
    """Which weights and vocabulary to use; ``dataset`` and ``model`` are the defaults that --help
    states."""
    group = parser.add_argument_group('model')
    group.add_argument('--bert_model', '--model', metavar='NAME',
                       help='bert_12_768_12, bert_24_1024_16 or sample; a folder with config.json, '
                            'vocabulary and weights; or a repository on the Hugging Face hub '
                            f'(owner/name) (default: {model})')
    group.add_argument('--bert_dataset', '--dataset_name', metavar='NAME',
                       help='the data that a named model was pre-trained on '
                            f'(default: {dataset})')
    group.add_argument('--pretrained_bert_parameters', '--params_path', type=cli.path,
                       metavar='FILE', help='load the encoder from this .params or .safetensors '
                                            'file or folder')
    group.add_argument('--model_parameters', type=cli.path, metavar='FILE',
                       help='load the whole model, including its head, from this result folder or '
                            'file')
    group.add_argument('--offline', action='store_true',
                       help='use local files only (same as BERT_OFFLINE=1)')


def add_optimizer_flags(group: Any) -> None:
    """``--optimizer`` and what all programs that train set of it alike."""
    group.add_argument('--optimizer', choices=OPTIMIZERS, default='bertadam',
                       help='bertadam has no bias correction, as in GluonNLP; adamw has, and is '
                            'better for small data (default: %(default)s)')
    group.add_argument('--epsilon', type=cli.positive_float, default=1e-6,
                       help="the optimizer's epsilon (default: %(default)s)")
    group.add_argument('--weight_decay', type=cli.number_from_0, default=0.01,
                       help='except on biases and LayerNorm (default: %(default)s)')
    group.add_argument('--clip', type=cli.positive_float, default=1.0, metavar='NORM',
                       help='bound on the global norm of the gradient (default: %(default)s)')


def add_training_flags(parser: cli.Parser, defaults: Defaults, seed: int = 2) -> None:
    """The recipe of a fine-tuning run, with the program's defaults; see :func:`fill_in`."""
    group = parser.add_argument_group('training')
    group.add_argument('--epochs', type=cli.positive_int, help=defaults.help('epochs'))
    group.add_argument('--training_steps', type=cli.positive_int, metavar='N',
                       help='updates, instead of --epochs')
    group.add_argument('--batch_size', type=cli.positive_int,
                       help='examples that go through the model at once on each worker '
                            + defaults.help('batch_size'))
    group.add_argument('--accumulate', type=cli.positive_int, default=1, metavar='N',
                       help='make each update from N batches: a larger batch in the same memory '
                            '(default: %(default)s)')
    add_optimizer_flags(group)
    group.add_argument('--lr', type=cli.positive_float,
                       help='peak learning rate ' + defaults.help('lr'))
    group.add_argument('--warmup_ratio', type=cli.fraction, default=0.1,
                       help='fraction of the updates during which the learning rate increases '
                            '(default: %(default)s)')
    group.add_argument('--layer_decay', type=cli.number(1e-6, 2), default=1.0, metavar='FACTOR',
                       help='ratio of the learning rate of each layer to that of the layer above, '
                            'such as 0.9 for small data (default: %(default)s, all the same)')
    group.add_argument('--dropout', type=cli.dropout_rate,
                       help="rate of all dropout (default: the model's own, usually 0.1)")
    group.add_argument('--seed', type=int, default=seed,
                       help=f'{SEED} (default: %(default)s)')
    group.add_argument('--seeds', type=cli.distinct_ints, metavar='N,N,...',
                       help='train with each of these seeds, in seed-N of --output_dir; print '
                            'mean and standard deviation; keep the best in --output_dir')
    group.add_argument('--early_stop', type=cli.positive_int, metavar='N',
                       help='stop after N epochs without a better dev score')
    for flag in '--deploy', '--only_calibration':
        parser.explain(flag, 'to make and measure an int8 model use export/export.py --quantize '
                             'int8', refuse=True)
    for flag in '--model_prefix', '--num_calib_batches', '--quantized_dtype', '--calib_mode':
        parser.explain(flag, 'goes with --deploy and --only_calibration; see export/export.py', 1)
    parser.explain('--kvstore', 'is a flag of run_pretraining.py; several workers fine-tune by '
                   'Horovod: mpirun -np 2 python ... --comm horovod', 1, refuse=True)
    parser.explain('--round_to', 'not needed: batches on CPUs have no padding, on GPUs the length '
                                 'that their longest text needs', 1)


def add_runtime_flags(parser: cli.Parser) -> None:
    """Where to run, what to write, and how to resume."""
    group = parser.add_argument_group('running')
    group.add_argument('--output_dir', default='./output_dir', type=cli.path, metavar='DIR',
                       help='folder for the results (default: %(default)s)')
    add_device_flags(group)
    group.add_argument('--comm', choices=('local', 'horovod'), default='local',
                       help='horovod if mpirun or horovodrun starts several workers (default: '
                            '%(default)s)')
    parser.alias('--comm', '--comm_backend')
    group.add_argument('--horovod', dest='comm', action='store_const', const='horovod',
                       help='the same as --comm horovod')
    group.add_argument('--log_interval', type=cli.positive_int, default=10, metavar='N',
                       help='updates between log lines (default: %(default)s)')
    group.add_argument('--save_interval', type=cli.positive_int, metavar='N',
                       help='updates between checkpoints (default: one checkpoint per epoch)')
    group.add_argument('--resume', action='store_true',
                       help='continue from the last checkpoint in --output_dir')
    cli.add_overwrite_flag(group)
    group.add_argument('--tensorboard', action='store_true',
                       help='write TensorBoard events to --output_dir (extra: tensorboard)')
    group.add_argument('--plot', action='store_true',
                       help='draw the training curves as a picture (extra: plot)')


def add_device_flags(group: Any, default: str = 'the CPU') -> None:
    """Which devices to run on, and in which precision; ``group`` is a parser or a group of it.

    ``default`` says for --help where the program runs without these flags.
    """
    one = group.add_mutually_exclusive_group()
    one.add_argument('--gpu', type=cli.natural_int, nargs='?', const=0, metavar='ID',
                     help=f'the GPU to use, 0 without a number (default: {default})')
    one.add_argument('--gpus', metavar='ID,ID',
                     help='several GPUs of this machine; a batch is split among them')
    one.add_argument('--cpus', type=cli.whole_number(1, cli.MAX_DEVICES), default=1, metavar='N',
                     help='N CPU devices instead of one, to test what --gpus does')
    group.add_argument('--dtype', choices=('float32', 'float16', 'bfloat16', 'int8', 'auto'),
                       default='float32',
                       help='float16 for GPUs; bfloat16 for CPUs with AVX-512, with a warning if '
                            'it is slower than float32; int8 for predicting on CPUs, less exact; '
                            'auto: float16 on GPUs, the faster of bfloat16 and float32 on CPUs '
                            '(default: %(default)s)')
    group.add_argument('--force_dtype', action='store_true',
                       help=argparse.SUPPRESS)      # accepted for older commands, without effect
    group.add_argument('--path', choices=('auto', 'packed', 'padded'), default='auto',
                       help='layout of batches: packed has no padding and needs a CPU; its '
                            'operators are compiled on first use; padded runs on any device '
                            '(default: %(default)s, packed if possible)')


def fill_in(parser: cli.Parser, args: argparse.Namespace, defaults: Defaults) -> None:
    """Set the defaults that depend on the model; a usage error for --seeds without training, for
    --seeds or --early_stop without a dev set, for training in int8, and for --predict with
    several workers."""
    prefix = 'sample_' if args.bert_model == 'sample' else ''
    for name in ('lr', 'epochs', 'batch_size'):
        if getattr(args, name) is None:
            setattr(args, name, getattr(defaults, prefix + name))
    idle = only_predicts(args)
    if getattr(args, 'predict', None) is not None and args.comm != 'local':
        parser.error('--predict runs in one process: omit --comm')
    if args.seeds and idle:
        parser.error('--seeds is for training; omit it to predict')
    given = {flag for flag, value in vars(args).items() if value}
    unscored = given & {'train_file', 'train_path'} and not given & {'dev_file', 'dev_path'}
    by_score = '--early_stop' if args.early_stop else '--seeds' if args.seeds else None
    if by_score and unscored:
        dev = '--dev_path' if 'train_path' in given else '--dev_file'
        parser.error(f'{by_score} chooses by the scores on the dev set; add {dev}')
    if args.dtype == 'int8' and not idle:
        parser.error('--dtype int8 is for predicting; train in float32 or bfloat16')


def only_predicts(args: argparse.Namespace) -> bool:
    """Whether ``args`` ask a fine-tuning program to use a trained model, and not to train."""
    return (getattr(args, 'predict', None) is not None or getattr(args, 'only_inference', False)
            or getattr(args, 'only_predict', False))


def each_seed(args: argparse.Namespace,
              run: Callable[[argparse.Namespace], Optional[Dict[str, Any]]],
              metric: Optional[str] = None) -> int:
    """``run(args)``, once or for each of ``--seeds``; the program's exit status, 0.

    ``run`` returns {set: {metric: value}}, or None on workers other than the first; ``metric``
    chooses the best seed, by default the first one.
    """
    if args.seeds:
        from . import runtime, seeds
        comm = runtime.join(device_settings(args, args.comm))
        seeds.train_each(args.seeds, args.output_dir, lambda seed, folder: run(argparse.Namespace(
            **dict(vars(args), seed=seed, seeds=None, output_dir=folder))), metric, comm,
            args.resume, args.overwrite)
    else:
        run(args)
    return 0


def check_output(args: argparse.Namespace, rank: int, trains: bool = True) -> None:
    """Raise DataError if the run that ``args`` ask for would spoil an earlier result, or
    ModuleNotFoundError if it could not write all of its own.

    Only worker 0 checks, since it alone writes.  A run that does not train writes predictions.
    """
    if rank:
        return
    check_extras(args.tensorboard and trains, args.plot)
    if trains:
        output.check(args.output_dir, '--output_dir', output.FINE_TUNING, args.resume,
                     args.overwrite)
    else:
        output.check_predictions(args.output_dir, '--output_dir', args.model_parameters)
        make_folder(args.output_dir, '--output_dir')


def check_extras(tensorboard: bool, plot: bool) -> None:
    """Raise ModuleNotFoundError if --tensorboard or --plot lack the package of their extra."""
    for wanted, package in (tensorboard, 'tensorboardX'), (plot, 'matplotlib'):
        if wanted:
            require(package)


def model_source(args: argparse.Namespace) -> ModelSource:
    """The :class:`~bert.checkpoint.source.ModelSource` that :func:`add_model_flags` names."""
    if args.model_parameters and args.pretrained_bert_parameters:
        _log.warning('--pretrained_bert_parameters has no effect: --model_parameters has all '
                     'weights')
    return ModelSource(args.bert_model, args.bert_dataset,
                       args.model_parameters or args.pretrained_bert_parameters, args.offline)


def recipe(args: argparse.Namespace) -> Recipe:
    """The :class:`~bert.training.settings.Recipe` of :func:`add_training_flags`."""
    return Recipe(
        epochs=args.epochs, batch_size=args.batch_size, accumulate=args.accumulate,
        optimizer=args.optimizer, lr=args.lr, epsilon=args.epsilon,
        warmup_ratio=args.warmup_ratio, weight_decay=args.weight_decay, clip=args.clip,
        layer_decay=args.layer_decay, seed=args.seed, early_stop=args.early_stop,
        steps=args.training_steps)


def device_settings(args: argparse.Namespace, comm: Optional[str] = None,
                    fixed_length: bool = False) -> DeviceSettings:
    """The :class:`~bert.training.settings.DeviceSettings` of :func:`add_device_flags`.

    ``comm`` is how workers communicate, None in a program that only predicts; ``fixed_length`` is
    whether all batches are padded to the same length.
    """
    return DeviceSettings(gpu=args.gpu, gpus=args.gpus, cpus=args.cpus, dtype=args.dtype,
                          layout=args.path, comm=comm, fixed_length=fixed_length)


def output_settings(args: argparse.Namespace, layout: str) -> OutputSettings:
    """The :class:`~bert.training.settings.OutputSettings` of :func:`add_runtime_flags`.

    arguments.json records ``args``, with the ``layout`` that ``--path`` resulted in.
    """
    return OutputSettings(
        folder=args.output_dir, resume=args.resume, overwrite=args.overwrite,
        save_interval=args.save_interval, log_interval=args.log_interval,
        tensorboard=args.tensorboard, arguments=dict(vars(args), path=layout), free=_FREE,
        paths=_PATHS)
