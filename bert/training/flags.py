"""The flags that several programs share, and the values that they stand for.

This module and :mod:`bert.pretraining.flags` are the only ones in the package that see an argparse
namespace: everything else takes the dataclasses of :mod:`bert.training.settings`.
"""
from ..checkpoint.source import ModelSource
from ..data.tagging import SEQ_LEN
from ..utils import cli
from .settings import DeviceSettings, OutputSettings, Recipe

__all__ = ['add_model_flags', 'add_training_flags', 'add_runtime_flags', 'add_device_flags',
           'add_conll_flags', 'model_source', 'recipe', 'device_settings', 'output_settings']


def add_model_flags(parser):
    """Which weights and vocabulary to take."""
    group = parser.add_argument_group('model')
    group.add_argument('--bert_model', '--model', metavar='NAME',
                       help='bert_12_768_12, bert_24_1024_16 or sample; a folder with config.json, '
                            'vocabulary and weights; or a repository on the Hugging Face hub '
                            '(owner/name) (default: bert_12_768_12, or sample for a sample '
                            'task)')
    group.add_argument('--bert_dataset', '--dataset_name', metavar='NAME',
                       help='what a named model was pre-trained on '
                            '(default: book_corpus_wiki_en_uncased)')
    group.add_argument('--pretrained_bert_parameters', '--params_path', metavar='FILE',
                       help='take the encoder from this .params or .safetensors file or folder')
    group.add_argument('--model_parameters', metavar='FILE',
                       help='take the whole model, head included, from this result folder or file')
    group.add_argument('--offline', action='store_true',
                       help='use local files only (as does BERT_OFFLINE=1)')


def add_training_flags(parser, lr, epochs, batch_size, seed=2):
    """The recipe of a fine-tuning run; the defaults are the caller's."""
    group = parser.add_argument_group('training')
    group.add_argument('--epochs', type=cli.positive_int,
                       help=f'(default: {epochs}, for the sample model more)')
    group.add_argument('--batch_size', type=cli.positive_int, default=batch_size,
                       help='examples a worker takes through the model at once (default: '
                            '%(default)s)')
    group.add_argument('--accumulate', type=cli.positive_int, default=1, metavar='N',
                       help='make one update from N batches: a larger batch in the same memory '
                            '(default: %(default)s)')
    group.add_argument('--optimizer', choices=('bertadam', 'adam', 'adamw', 'lamb'),
                       default='bertadam', help='(default: %(default)s)')
    group.add_argument('--lr', type=cli.positive_float, help=f'peak learning rate (default: {lr:g}, '
                                                         'for the sample model more)')
    group.add_argument('--epsilon', type=cli.positive_float, default=1e-6,
                       help="the optimizer's epsilon (default: %(default)s)")
    group.add_argument('--warmup_ratio', type=cli.fraction, default=0.1,
                       help='share of the updates over which the learning rate rises '
                            '(default: %(default)s)')
    group.add_argument('--weight_decay', type=cli.number_from_0, default=0.01,
                       help='not on biases and LayerNorm (default: %(default)s)')
    group.add_argument('--clip', type=cli.positive_float, default=1.0, metavar='NORM',
                       help='bound on the global norm of the gradient (default: %(default)s)')
    group.add_argument('--layer_decay', type=cli.positive_float, default=1.0, metavar='FACTOR',
                       help='learning rate of each layer over that of the layer above; 0.9, say, '
                            'for small data (default: %(default)s, the same for all)')
    group.add_argument('--dropout', type=cli.fraction, help="(default: the model's own, 0.1)")
    group.add_argument('--seed', type=int, default=seed,
                       help='the same seed gives the same result (default: %(default)s)')
    group.add_argument('--early_stop', type=cli.positive_int, metavar='N',
                       help='stop after N epochs without a better dev score')


def add_runtime_flags(parser):
    """Where to run, what to write, and how to go on."""
    group = parser.add_argument_group('running')
    group.add_argument('--output_dir', default='./output_dir', metavar='DIR',
                       help='where the results go (default: %(default)s)')
    add_device_flags(group)
    group.add_argument('--comm', choices=('local', 'horovod'), default='local',
                       help='horovod where mpirun or horovodrun starts several workers')
    group.add_argument('--log_interval', type=cli.positive_int, default=10, metavar='N',
                       help='updates between two lines of the log (default: %(default)s)')
    group.add_argument('--save_interval', type=cli.positive_int, metavar='N',
                       help='updates between two checkpoints (default: one an epoch)')
    group.add_argument('--resume', action='store_true',
                       help='go on from the last checkpoint in --output_dir')
    group.add_argument('--tensorboard', action='store_true',
                       help='write TensorBoard events to --output_dir (extra: tensorboard)')
    group.add_argument('--plot', action='store_true',
                       help='draw the training curves as a picture (extra: plot)')


def add_device_flags(group):
    """Which devices to run on, and how precisely; ``group`` is one of a parser."""
    group.add_argument('--gpu', type=int, metavar='ID', help='the GPU to use (default: the CPU)')
    group.add_argument('--gpus', metavar='ID,ID',
                       help='several GPUs of this machine; a batch is split among them')
    group.add_argument('--cpus', type=cli.positive_int, default=1, metavar='N',
                       help='N CPU devices in place of one, to try what --gpus does')
    group.add_argument('--dtype', choices=('float32', 'float16', 'bfloat16'), default='float32',
                       help='float16 on GPUs, bfloat16 on CPUs that have it (default: %(default)s)')
    group.add_argument('--force_dtype', action='store_true',
                       help='take bfloat16 on a CPU that is slower with it, too')
    group.add_argument('--path', choices=('auto', 'packed', 'padded'), default='auto',
                       help="packed: texts side by side, without padding, on operators that are "
                            'compiled at first use, on the CPU; padded: on any device (default: '
                            '%(default)s, packed where that works)')


def add_conll_flags(group):
    """How CoNLL files are read and cut; ``group`` is one of a parser."""
    group.add_argument('--seq_len', type=cli.positive_int, metavar='TOKENS',
                       help='sub-words, special ones included; a longer sentence is taken as '
                            f"overlapping windows (default: the trained model's, or {SEQ_LEN})")
    group.add_argument('--token_column', type=int, default=0, metavar='N',
                       help='column of the words, from 0, or from -1 at the end '
                            '(default: %(default)s)')
    group.add_argument('--tag_column', type=int, default=-1, metavar='N',
                       help='column of the tags (default: %(default)s, the last)')


def model_source(args):
    """The :class:`~bert.checkpoint.source.ModelSource` that :func:`add_model_flags` names."""
    return ModelSource(args.bert_model, args.bert_dataset,
                       args.model_parameters or args.pretrained_bert_parameters, args.offline)


def recipe(args):
    """The :class:`~bert.training.settings.Recipe` of :func:`add_training_flags`."""
    return Recipe(
        epochs=args.epochs, batch_size=args.batch_size, accumulate=args.accumulate,
        optimizer=args.optimizer, lr=args.lr, epsilon=args.epsilon,
        warmup_ratio=args.warmup_ratio, weight_decay=args.weight_decay, clip=args.clip,
        layer_decay=args.layer_decay, seed=args.seed, early_stop=args.early_stop)


def device_settings(args, comm='local', fixed_length=False):
    """The :class:`~bert.training.settings.DeviceSettings` of :func:`add_device_flags`.

    ``comm`` says how workers talk to each other, ``fixed_length`` whether batches are padded to
    one length.
    """
    return DeviceSettings(gpu=args.gpu, gpus=args.gpus, cpus=args.cpus, dtype=args.dtype,
                          force_dtype=args.force_dtype, layout=args.path, comm=comm,
                          fixed_length=fixed_length)


def output_settings(args, arguments):
    """The :class:`~bert.training.settings.OutputSettings` of :func:`add_runtime_flags`.

    ``arguments`` is what arguments.json records and ``--resume`` compares.
    """
    return OutputSettings(
        folder=args.output_dir, resume=args.resume, save_interval=args.save_interval,
        log_interval=args.log_interval, tensorboard=args.tensorboard, arguments=arguments)
