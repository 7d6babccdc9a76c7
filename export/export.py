"""Export a BERT as files that run without this package, and check them against the live model.

    python export/export.py --model_parameters output_dir --output_dir exported
    python export/export.py --task classification --model_parameters ckpt.params \\
        --output_dir exported --seq_length 128
    python export/export.py --model_parameters output_dir --format onnx --quantize int8

The folder holds model-symbol.json and model-0000.params (for mx.gluon.SymbolBlock.imports), or
model.onnx, with config.json, the vocabulary, and labels.txt.  Batch size and length are free.  The
inputs are data0, data1 and data2: token ids and segments (batch, length), and the lengths (batch,).
export/examples/ shows how to predict with either format.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    __package__ = 'export'

import contextlib
import logging
import os
import shutil
import tempfile

import numpy as np

from bert.training import flags
from bert.utils import cli
from bert.utils.errors import DataError, run

TASKS = ('classification', 'regression', 'question_answering', 'ner', 'embedding')
LABELS = 'labels.txt'
TEXTS = 64      # of the text given, as many are used at most
HEADS = ('classifier.', 'tag_classifier.', 'span_classifier.', 'bert.pooler.')


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--task', choices=TASKS, help='(default: that of --model_parameters)')
    flags.add_model_flags(parser)
    parser.alias('--bert_model', '--model_name')
    parser.add_argument('--pretrained', action='store_true',
                        help='take the pre-trained weights of --model_name; without it and without '
                             '--model_parameters the weights are random')
    parser.add_argument('--dropout', type=cli.fraction, default=0.1,
                        help='for those who train the export further (default: %(default)s)')
    parser.add_argument('--seq_length', type=cli.positive_int, default=64, metavar='TOKENS',
                        help='where texts are cut; noted in config.json (default: %(default)s)')
    parser.add_argument('--format', choices=('symbol', 'onnx'), default='symbol',
                        help='(default: %(default)s; onnx needs the extra of that name)')
    parser.add_argument('--quantize', choices=('int8',),
                        help='8-bit matrix products; says what that does to results, size, speed')
    parser.add_argument('--text_file', metavar='FILE',
                        help='a text a line, or two with a tab between them, to check with and to '
                             'calibrate int8 by (default: sample text in English)')
    parser.add_argument('--output_dir', default='./output_dir', metavar='DIR',
                        help='replaces an earlier export there (default: %(default)s)')
    args = parser.parse_args(argv)
    if args.task is None and not args.model_parameters:
        parser.error('--task is missing; only --model_parameters, a result folder, tells it')
    if args.seq_length < 8:
        parser.error(f'--seq_length {args.seq_length} leaves no room for text; take 8 or more')
    return args


def main(argv=None):
    args = parse_args(argv)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    if args.format == 'onnx':
        check_onnx()
    from . import formats
    config, tok, arrays, source = load(args)
    task = settle(args, config, arrays, source)
    labels = find_labels(task, config, arrays, source)
    net = build(args, task, config, arrays, source)
    texts = text_batches(read_texts(args.text_file), tok, args.seq_length)
    noise = random_batches(config, args.seq_length)
    batches = texts[:4] + noise
    live = [formats.predictor(net)(batch) for batch in batches]
    form = formats.FORMATS[args.format]
    with staged(args.output_dir) as folder:
        form.write(net, folder, batches[0])
        worst = formats.check(form.load(folder), batches, live, form.scaled)
        print(f'{task}, {args.format}: largest difference from the live model {worst:.2g}, on '
              f'{len(batches) - len(noise)} batches of text and {len(noise)} '
              f'of random ids up to length {len(noise[-1][0][0])}')
        measured = {'outputs': formats.TASKS[task].outputs[:len(live[0])],    # no pooler, say
                    'largest_difference': worst}
        if args.quantize:
            measured['int8'] = quantize(task, form, net, folder, texts)
        describe(args, task, config, tok, labels, measured, folder)
        print(f"{', '.join(form.files)}: {formats.size(folder, form.files) / 1000000.0:.1f} MB")
    print(f'export: {args.output_dir}')
    return 0


def check_onnx():
    """A missing or unfit package is told before any work."""
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    try:
        from onnx import mapping  # noqa: F401
    except ImportError:
        raise DataError(f'onnx {onnx.__version__} is too new for MXNet; install a fitting one '
                        'with: pip install "gluon-bert[onnx]"') from None


def load(args):
    """(config, tokenizer, arrays, source) as ``result_folder.load``; no arrays: random weights."""
    from bert.checkpoint import result_folder
    from bert.checkpoint.resolve import resolve
    from bert.text import tokenizer
    if args.model_parameters or args.pretrained_bert_parameters or args.pretrained:
        return result_folder.load(args)
    found = resolve(args.bert_model, args.bert_dataset, False, args.offline or None)
    tok = tokenizer.load(found.vocab, found.cased)
    config = found.config
    if config.vocab_size is None:
        config = config.replace(vocab_size=len(tok))
    return config, tok, {}, found.source


def settle(args, config, arrays, source):
    """The task to export; DataError where the weights are of another one."""
    from .formats import find_task
    found = find_task(config, arrays)
    task = args.task or found
    if task is None:
        raise DataError(f'{source}: an encoder without a head; take --task embedding')
    if args.model_parameters and task not in (found, 'embedding'):
        raise DataError(f"--task {task}: {source} has "
                        f"{f'a head for {found}' if found else 'no head for a task'}; train one "
                        "first, or leave --task out")
    positions = config.max_position_embeddings
    if args.seq_length > positions:
        raise DataError(f'--seq_length {args.seq_length}: this model has positions for {positions} '
                        'tokens')
    return task


def find_labels(task, config, arrays, source):
    """The labels in the order of the outputs; None for a regression, () for what has no classes."""

    from .formats import TASKS
    if task not in ('classification', 'ner'):
        return None if task == 'regression' else ()
    head = TASKS[task].head + 'weight'
    count = len(arrays[head]) if head in arrays else TASKS[task].classes
    labels = config.labels if head in arrays else None
    if labels and len(labels) != count:
        raise DataError(f'{source}: config.json names {len(labels)} labels but the weights have '
                        f'{count}')
    return labels or tuple(f'LABEL_{i}' for i in range(count))


def build(args, task, config, arrays, source):
    """The network; warns where its weights are random."""
    from . import formats
    optional = () if args.model_parameters else HEADS if arrays else ('',)
    net, fresh = formats.build(task, config, arrays, source, args.dropout, optional)
    if fresh:
        logging.warning('warning: without --model_parameters %s random: the export predicts nothing'
                        ' of use', 'the head is' if arrays else 'all weights are')
    return net


def read_texts(path):
    """[(text, second text or None)] of a file of lines, or of the sample; TEXTS at most."""
    from bert.data import tables
    from bert.utils import files
    if path is None:
        path = os.path.join(files.SAMPLE, 'pairs', 'dev.tsv')
        return [(row.text_a, row.text_b) for row in tables.read_table(path)[:TEXTS]]
    rows = []
    try:
        with open(path, encoding='utf-8') as f:
            for line in f:
                if line.strip() and len(rows) < TEXTS:
                    texts = line.rstrip('\r\n').split('\t')
                    rows.append((texts[0], texts[1] if len(texts) > 1 else None))
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: not UTF-8 text ({error.reason})') from None
    if not rows:
        raise DataError(f'--text_file {path}: no text in it')
    return rows


def text_batches(texts, tok, length):
    """Batches of 1, 2, 4, 8, 8, ... of the texts, each as long as its longest."""
    from bert.model.inputs import pad
    from bert.text import transform
    rows, batches = [transform.pair(tok, a, b, length) for a, b in texts], []
    while rows:
        some, rows = rows[:min(8, 2 ** len(batches))], rows[min(8, 2 ** len(batches)):]
        ids, lengths = pad([row.ids for row in some], tok.pad_id)
        batches.append((ids, pad([row.token_types for row in some], 0)[0], lengths))
    return batches


def random_batches(config, length):
    """Random ids and segments: batches of 4, 2 and 1, the last of all the model's positions."""
    rng, batches = np.random.RandomState(0), []
    for rows, columns in (4, 7), (2, length), (1, config.max_position_embeddings):
        batches.append((rng.randint(config.vocab_size, size=(rows, columns)).astype(np.int32),
                        rng.randint(config.type_vocab_size,
                                    size=(rows, columns)).astype(np.int32),
                        np.append(columns, rng.randint(1, columns, rows - 1)).astype(np.float32)))
    return batches


@contextlib.contextmanager
def staged(output_dir):
    """A folder to write to; its files go to ``output_dir`` if the block ends well, or else away."""
    from bert.utils import files

    from . import formats
    config = os.path.join(output_dir, 'config.json')
    if os.path.exists(config) and 'export' not in files.read_json(config).get('gluon_bert', {}):
        raise DataError(f'--output_dir {output_dir}: has the config.json of a model, which the '
                        'export would replace; name another folder')
    new = not os.path.exists(output_dir)
    files.make_folder(output_dir, '--output_dir')
    folder = tempfile.mkdtemp(dir=output_dir, prefix='.export.')
    try:
        yield folder
        earlier = {name for form in formats.FORMATS.values() for name in form.files}
        for name in earlier | {LABELS, 'vocab.txt', 'spm.model'}:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(output_dir, name))
        for name in os.listdir(folder):
            os.replace(os.path.join(folder, name), os.path.join(output_dir, name))
        new = False
    finally:
        shutil.rmtree(folder)
        if new:
            os.rmdir(output_dir)


def quantize(task, form, net, folder, texts):
    """Make the export int8; print what that does on texts that it was not calibrated with.

    Returns what :func:`export.formats.differences` does.
    """
    from . import formats
    full = form.load(folder)
    bytes_before = formats.size(folder, form.files)
    calibration, held_out = (texts[::2], texts[1::2]) if len(texts) > 1 else (texts, texts)
    live = [formats.predictor(net)(batch) for batch in held_out]
    form.quantize(net, folder, join(calibration))
    small = form.load(folder)
    found = formats.differences(task, small, held_out, live)
    fast, slow = formats.speed([small, full], held_out)
    print('int8 beside float32, on %d texts (%s):' % (rows(held_out), (
        f'calibrated on {rows(calibration)} others' if form.calibrated
        else 'nothing to calibrate, each input sets its own ranges')))
    for name, row in found.items():
        print('  %s: largest difference %.3g, mean %.3g, cosine %.4f%s' % (
            name, row['largest'], row['mean'], row['cosine'],
            '' if row['same'] is None else f", {100 * row['same']:.1f} % the same choice"))
    print('  size: %.1f MB, float32 %.1f MB%s' % (
        formats.size(folder, form.files) / 1e6, bytes_before / 1e6,
        ' (MXNet makes the weights int8 when it runs them)' if form.calibrated else ''))
    print(f'  speed: {fast:.1f} texts/s, float32 {slow:.1f} texts/s')
    return found


def rows(batches):
    return sum(len(batch[0]) for batch in batches)


def join(batches):
    """Several batches as one, padded with zeros."""
    width = max(batch[0].shape[1] for batch in batches)
    ids, segments = (np.concatenate([np.pad(batch[i], ((0, 0), (0, width - batch[i].shape[1])))
                                     for batch in batches]) for i in (0, 1))
    return ids, segments, np.concatenate([batch[2] for batch in batches])


def describe(args, task, config, tok, labels, measured, folder):
    """Write config.json, the vocabulary and the labels."""
    from bert.checkpoint import result_folder
    from bert.utils import files

    from . import formats
    about = {'task': task, 'format': args.format, 'quantize': args.quantize,
             'seq_length': args.seq_length,
             'inputs': dict(zip(formats.INPUTS, ('int32', 'int32', 'float32'))), **measured}
    result_folder.describe(folder, config, tok, formats.TASKS[task].head, labels,
                    dict(config.settings, export=about), args)
    if labels:
        with files.atomic(os.path.join(folder, LABELS)) as temporary, \
                open(temporary, 'w', encoding='utf-8') as f:
            f.writelines(label + '\n' for label in labels)


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
