"""Export a BERT as files that run without this package, and check them against the live model.

    python export/export.py --model_parameters output_dir --output_dir exported
    python export/export.py --task classification --model_parameters ckpt.params \\
        --output_dir exported --seq_length 128
    python export/export.py --model_parameters output_dir --output_dir int8 --format onnx \\
        --quantize int8

The folder holds model-symbol.json and model-0000.params (for mx.gluon.SymbolBlock.imports), or
model.onnx, with config.json, the vocabulary, tokenizer.json and, for classes, labels.txt.  Batch
size and length are free.  A symbol's inputs are data0, data1 and data2: token ids and token types
(batch, length), and the lengths (batch,).  The inputs and outputs of ONNX are named as in
Transformers, for Optimum and transformers.js.  export/examples/ shows how to predict with either
format.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    __package__ = 'export'

import argparse
import logging
import os
import re
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from bert.checkpoint.source import ModelSource
from bert.data.tasks import MULTI_LABEL
from bert.training import flags
from bert.utils import cli
from bert.utils.errors import DataError, run

from . import formats
from .tasks import TASKS

if TYPE_CHECKING:       # --help needs no MXNet
    from bert.checkpoint.result_folder import LoadedModel
    from bert.model.config import BertConfig

LABELS = 'labels.txt'
SEQ_LENGTH = 384
LENGTHS = ('max_len', 'max_seq_length', 'seq_len')      # in the settings of result folders
HEADS = ('bert.pooler.', *{task.head for task in TASKS.values() if task.head})


def parse_args(argv: Optional[List[str]] = None) -> argparse.Namespace:
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--task', choices=TASKS, help='(default: that of --model_parameters)')
    flags.add_model_flags(parser)
    parser.alias('--bert_model', '--model_name')
    parser.add_argument('--pretrained', action='store_true',
                        help='use the pre-trained weights of --model_name; without it and without '
                             '--model_parameters the weights are random')
    parser.add_argument('--dropout', type=cli.dropout_rate, default=0.1,
                        help='dropout rate if the export is trained further (default: %(default)s)')
    parser.add_argument('--seq_length', type=cli.positive_int, metavar='TOKENS',
                        help='where texts are cut; recorded in config.json (default: as in '
                             f'training, or {SEQ_LENGTH})')
    parser.add_argument('--format', choices=formats.FORMATS, default='symbol',
                        help='of the files (default: %(default)s; onnx needs the extra of that '
                             'name)')
    parser.add_argument('--quantize', choices=('int8',),
                        help='8-bit matrix products; prints the effect on results, size and speed')
    parser.add_argument('--text_file', type=cli.path, metavar='FILE',
                        help='one text per line, or two separated by a tab, for the check and '
                             'for calibrating int8; the first 64 are read (default: sample text '
                             'in English)')
    parser.add_argument('--output_dir', default='./output_dir', type=cli.path, metavar='DIR',
                        help='folder for the export (default: %(default)s)')
    cli.add_overwrite_flag(parser)
    args = parser.parse_args(argv)
    if args.task is None and not args.model_parameters:
        parser.error('--task is missing; it can only be omitted if --model_parameters '
                     'is a result folder')
    if args.seq_length is not None and args.seq_length < 8:
        parser.error(f'--seq_length {args.seq_length} leaves no room for text; use 8 or more')
    return args


def main(argv: Optional[List[str]] = None) -> int:
    args = parse_args(argv)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    form, trained = formats.find(args.format), bool(args.model_parameters)
    form.require_packages()
    from bert.checkpoint import output

    from . import batches, checks
    from .network import predictor, problem_type
    check_output(args)
    source = flags.model_source(args)
    model = load(source, bool(source.weights or args.pretrained))
    task, model = choose_task(args.task, model, trained)
    problem = problem_type(task, model)
    args.seq_length = choose_length(args.seq_length, model.config, trained)
    labels = find_labels(task, model)
    net = build(task, model, args.dropout, trained)
    texts = batches.text_batches(batches.read_texts(args.text_file), model.tokenizer,
                                 args.seq_length, model.config.type_vocab_size)
    noise = batches.random_batches(model.config, args.seq_length)
    given = texts[:4] + noise
    live = [predictor(net)(batch) for batch in given]
    outputs = TASKS[task].outputs[:len(live[0])]        # one less without a pooler
    with output.replacement(args.output_dir, '--output_dir', args.overwrite,
                            stale_files()) as folder:
        form.write(net, folder, given[0], outputs)
        worst = checks.check(form.load(folder), given, live, form.relative)
        print(f'{task}, {args.format}: largest difference from the live model {worst:.2g}, on '
              f'{len(given) - len(noise)} batches of text and {len(noise)} of random ids up to '
              f'length {len(noise[-1][0][0])}')
        about = {'task': task, 'format': args.format, 'quantize': args.quantize,
                 'seq_length': args.seq_length, 'inputs': form.inputs, 'outputs': outputs,
                 'largest_difference': worst}
        if args.quantize:
            about['int8'] = quantize(task, form, net, folder, texts, problem == MULTI_LABEL)
        describe(folder, model, TASKS[task].head, labels, problem, about, vars(args))
        print(f"{', '.join(form.files)}: {checks.size(folder, form.files) / 1e6:.1f} MB")
    print(f'export: {args.output_dir}')
    return 0


def load(source: ModelSource, with_weights: bool) -> 'LoadedModel':
    """The model in memory; without weights it has no arrays."""
    from bert.checkpoint import result_folder
    return (result_folder.load if with_weights else result_folder.without_weights)(source)


def choose_task(wanted: Optional[str], model: 'LoadedModel',
                trained: bool) -> Tuple[str, 'LoadedModel']:
    """The task to export, ``wanted`` or that of the weights; and the model without other heads.

    Raises DataError if there is none, or ``trained`` weights are of another one, or their head
    does not fit the config.
    """
    from .network import find_task
    if wanted == 'embedding':
        return wanted, model.without_head()
    found = find_task(model)
    task = wanted or found
    if task is None:
        raise DataError(f'{model.source}: an encoder without a head; use --task embedding')
    if task == found:
        return task, model
    if trained:
        has = f'a head for {found}' if found else 'no head for a task'
        raise DataError(f'--task {task}: {model.source} has {has}; train one first, or leave '
                        '--task out')
    return task, model.without_head()


def choose_length(wanted: Optional[int], config: 'BertConfig', trained: bool) -> int:
    """Where to cut texts: ``wanted``, or what the model was trained with, or GluonNLP's default.

    Raises DataError if the model has too few positions for ``wanted``.
    """
    positions = config.max_position_embeddings
    if wanted is None:
        saved = config.settings if trained else {}
        learned = next((saved[name] for name in LENGTHS if saved.get(name)), SEQ_LENGTH)
        return min(learned, positions)
    if wanted > positions:
        raise DataError(f'--seq_length {wanted}: this model has positions for {positions} tokens')
    return wanted


def find_labels(task: str, model: 'LoadedModel') -> Optional[Tuple[str, ...]]:
    """The labels in the order of the outputs; None for a regression, () if there are no classes."""
    from .network import count_classes
    if task not in ('classification', 'ner'):
        return None if task == 'regression' else ()
    count = count_classes(task, model.arrays)
    labels = model.config.labels if TASKS[task].head + 'weight' in model.arrays else None
    if labels and len(labels) != count:
        raise DataError(f'{model.source}: config.json names {len(labels)} labels but the weights '
                        f'have {count}; use the config.json that belongs to them')
    return labels or tuple(f'LABEL_{i}' for i in range(count))


def build(task: str, model: 'LoadedModel', dropout: float, trained: bool) -> Any:
    """The network; warns if weights are random."""
    from . import network
    optional = () if trained else HEADS if model.arrays else ('',)
    net, fresh = network.build(task, model.config, model.arrays, model.source, dropout, optional)
    if fresh:
        logging.warning('warning: without --model_parameters %s: the predictions of the export '
                        'are meaningless', 'the head is random' if model.arrays else
                        'and --pretrained all weights are random')
    return net


def check_output(args: argparse.Namespace) -> None:
    """Raise DataError if the export would spoil an earlier result in ``--output_dir``.

    ``--overwrite`` replaces an earlier export there, but not a model.
    """
    from bert.checkpoint import output
    from bert.utils import files
    output_dir, config = args.output_dir, os.path.join(args.output_dir, 'config.json')
    if os.path.exists(config):
        settings = files.read_json(config, dict).get('gluon_bert')
        if not isinstance(settings, dict) or 'export' not in settings:
            raise DataError(f'--output_dir {output_dir}: has the config.json of a model, which the '
                            'export would replace; name another folder')
    if os.path.isdir(output_dir):
        output.check(output_dir, '--output_dir', overwrite=args.overwrite)


def stale_files() -> str:
    """What an export replaces in its folder, as a regular expression of names; all else stays."""
    from bert.checkpoint.output import VOCABULARY
    names = {name for form in formats.FORMATS for name in formats.find(form).files}
    return '|'.join([VOCABULARY, *map(re.escape, names | {LABELS})])


def quantize(task: str, form: Any, net: Any, folder: str, texts: list,
             multi_label: bool) -> Dict[str, dict]:
    """Make the export int8; print the effect on texts that were not used for calibration.

    Returns what :func:`export.checks.differences` does.
    """
    from . import batches, checks
    from .network import predictor
    full = form.load(folder)
    full_size = checks.size(folder, form.files)
    calibration, held_out = (texts[::2], texts[1::2]) if len(texts) > 1 else (texts, texts)
    live = [predictor(net)(batch) for batch in held_out]
    calibration = batches.join(calibration)
    form.quantize(net, folder, calibration)
    small = form.load(folder)
    found = checks.differences(TASKS[task], small, held_out, live, multi_label)
    fast, slow = checks.speed([small, full], held_out)
    how = (f'calibrated on {len(calibration[0])} other texts' if form.calibrated
           else 'not calibrated: ranges come from each input')
    print(f'int8 beside float32, on {sum(len(batch[0]) for batch in held_out)} texts ({how}):')
    for name, row in found.items():
        same = '' if row['same'] is None else f", {row['same']:.1%} equal predictions"
        print(f"  {name}: largest difference {row['largest']:.3g}, mean {row['mean']:.3g}, cosine "
              f"{row['cosine']:.4f}{same}")
    note = ' (MXNet makes the weights int8 when it runs them)' if form.calibrated else ''
    print(f'  size: {checks.size(folder, form.files) / 1e6:.1f} MB, float32 '
          f'{full_size / 1e6:.1f} MB{note}')
    print(f'  speed: {fast:.1f} texts/s, float32 {slow:.1f} texts/s')
    return found


def describe(folder: str, model: 'LoadedModel', head: Optional[str],
             labels: Optional[Tuple[str, ...]], problem: Optional[str], about: Dict[str, Any],
             arguments: Dict[str, Any]) -> None:
    """Write config.json with ``about`` in it, arguments.json, the tokenizer and the labels."""
    from bert.checkpoint import result_folder
    from bert.text.tokenizer import WordPiece
    from bert.utils import files

    from . import tokenizer_json
    result_folder.describe(folder, model.config, model.tokenizer, head, labels,
                           dict(model.config.settings, export=about), arguments, problem)
    if isinstance(model.tokenizer, WordPiece):
        tokenizer_json.write(folder, model.tokenizer)
    if labels:
        with files.atomic_text(os.path.join(folder, LABELS)) as f:
            f.writelines(' '.join(label.split()) + '\n' for label in labels)


def program() -> None:
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
