"""Flags that several scripts share, and the parser that reads them."""
import argparse
import re

__all__ = ['Parser', 'add_model_flags', 'add_training_flags', 'add_runtime_flags',
           'add_device_flags', 'positive_int', 'positive_float', 'fraction']


class Parser(argparse.ArgumentParser):
    """An ArgumentParser in which ``-`` and ``_`` are the same inside a flag's name."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
                         **kwargs)

    def alias(self, flag, other):
        """Let ``other`` be one more spelling of ``flag``."""
        action = self._option_string_actions[flag]
        action.option_strings.append(other)
        self._option_string_actions[other] = action

    def parse_known_args(self, args=None, namespace=None):
        if args is None:
            import sys
            args = sys.argv[1:]
        return super().parse_known_args([self._known(arg) for arg in args], namespace)

    def _known(self, arg):
        name, equals, value = arg.partition('=')
        spelled = re.sub('-', '_', name[2:])
        if name.startswith('--') and '--' + spelled in self._option_string_actions:
            return '--' + spelled + equals + value
        # argparse takes -1 for a value but -2,-1 for a flag, unless there is a space in it
        return ' ' + arg if re.fullmatch(r'-\d+(,-?\d+)+', arg) else arg


def positive_int(text):
    """argparse type: a whole number from 1 up."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a whole number from 1 up')
    return value


def fraction(text):
    """argparse type: a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


def positive_float(text):
    """argparse type: a number above 0."""
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a number above 0')
    return value


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
    group.add_argument('--epochs', type=positive_int,
                       help=f'(default: {epochs}, for the sample model more)')
    group.add_argument('--batch_size', type=positive_int, default=batch_size,
                       help='examples a worker takes through the model at once (default: '
                            '%(default)s)')
    group.add_argument('--accumulate', type=positive_int, default=1, metavar='N',
                       help='make one update from N batches: a larger batch in the same memory '
                            '(default: %(default)s)')
    group.add_argument('--optimizer', choices=('bertadam', 'adam', 'adamw', 'lamb'),
                       default='bertadam', help='(default: %(default)s)')
    group.add_argument('--lr', type=positive_float, help=f'peak learning rate (default: {lr:g}, '
                                                         'for the sample model more)')
    group.add_argument('--epsilon', type=positive_float, default=1e-6,
                       help="the optimizer's epsilon (default: %(default)s)")
    group.add_argument('--warmup_ratio', type=fraction, default=0.1,
                       help='share of the updates over which the learning rate rises '
                            '(default: %(default)s)')
    group.add_argument('--weight_decay', type=float, default=0.01,
                       help='not on biases and LayerNorm (default: %(default)s)')
    group.add_argument('--clip', type=positive_float, default=1.0, metavar='NORM',
                       help='bound on the global norm of the gradient (default: %(default)s)')
    group.add_argument('--layer_decay', type=positive_float, default=1.0, metavar='FACTOR',
                       help='learning rate of each layer over that of the layer above; 0.9, say, '
                            'for small data (default: %(default)s, the same for all)')
    group.add_argument('--dropout', type=fraction, help="(default: the model's own, 0.1)")
    group.add_argument('--seed', type=int, default=seed,
                       help='the same seed gives the same result (default: %(default)s)')
    group.add_argument('--early_stop', type=positive_int, metavar='N',
                       help='stop after N epochs without a better dev score')


def add_runtime_flags(parser):
    """Where to run, what to write, and how to go on."""
    group = parser.add_argument_group('running')
    group.add_argument('--output_dir', default='./output_dir', metavar='DIR',
                       help='where the results go (default: %(default)s)')
    add_device_flags(group)
    group.add_argument('--comm', choices=('local', 'horovod'), default='local',
                       help='horovod where mpirun or horovodrun starts several workers')
    group.add_argument('--log_interval', type=positive_int, default=10, metavar='N',
                       help='updates between two lines of the log (default: %(default)s)')
    group.add_argument('--save_interval', type=positive_int, metavar='N',
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
    group.add_argument('--cpus', type=positive_int, default=1, metavar='N',
                       help='N CPU devices in place of one, to try what --gpus does')
    group.add_argument('--dtype', choices=('float32', 'float16', 'bfloat16'), default='float32',
                       help='float16 on GPUs, bfloat16 on CPUs that have it (default: %(default)s)')
    group.add_argument('--force_dtype', action='store_true',
                       help='take bfloat16 on a CPU that is slower with it, too')
    group.add_argument('--path', choices=('auto', 'packed', 'padded'), default='auto',
                       help="packed: texts side by side, without padding, on operators that are "
                            'compiled at first use, on the CPU; padded: on any device (default: '
                            '%(default)s, packed where that works)')
