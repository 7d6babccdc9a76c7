"""Fine-tune BERT for sentence (pair) classification or regression; evaluate; predict.

    python finetune_classifier.py --task_name sample
    python finetune_classifier.py --task_name MRPC --data_dir MRPC
    python finetune_classifier.py --train_file train.csv --dev_file dev.csv --output_dir mine
    python finetune_classifier.py --model_parameters mine --predict "A text to classify."
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import logging
import os

from bert.checkpoint.source import read_settings
from bert.data import features, inputs, labels, lengths, outputs, tables, tasks
from bert.metrics import classification
from bert.training import data_flags, flags
from bert.utils import cli
from bert.utils.errors import DataError, run, show

DEFAULTS = flags.Defaults(lr=5e-5, epochs=3, sample_lr=3e-4, sample_epochs=5)


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    add_data_flags(parser.add_argument_group('data'))
    flags.add_model_flags(parser, model='bert_12_768_12, or sample for a sample task')
    flags.add_training_flags(parser, DEFAULTS)
    flags.add_runtime_flags(parser)
    parser.add_argument('--dev_batch_size', type=cli.positive_int, default=32, metavar='N',
                        help='examples at once in evaluation (default: %(default)s)')
    parser.add_argument('--only_inference', action='store_true',
                        help='no training: evaluate the dev set and predict the test set')
    parser.add_argument('--predict', nargs='*', metavar='TEXT',
                        help='classify this text (or pair); without a text, the lines of standard '
                             'input (with a tab between the texts of a pair)')
    args = parser.parse_args(argv)
    own = args.train_file or args.dev_file or args.test_file
    if args.task_name is None and not own and not args.model_parameters:
        parser.error('name a task with --task_name, or your own data with --train_file; '
                     '--task_name sample works out of the box')
    if own and args.task_name:
        parser.error('--task_name names known data; omit it to use your own files')
    if not args.model_parameters and (args.predict is not None or own and args.only_inference):
        parser.error('--only_inference and --predict need --model_parameters, a result folder')
    if args.only_inference and args.predict is None and not (own or args.task_name):
        parser.error('--only_inference needs data: add --test_file, --dev_file or --task_name')
    about_own = args.regression or args.label_column or args.text_columns or args.no_header
    if args.task_name and about_own:
        parser.error('--regression and flags of columns are for your own data, not --task_name')
    if len(args.predict or ()) > 2:
        parser.error('--predict takes one text or two; quote each text')
    try:
        data_flags.table_columns(args)
        labels.parse_order(args.labels)
    except ValueError as error:
        parser.error(str(error))
    if not (args.task_name or args.train_file or flags.only_predicts(args)):
        parser.error('--train_file is missing; to predict add --only_inference or --predict')
    args.max_len = args.max_len or read_settings(args.model_parameters).get('max_len')
    if args.max_len and args.max_len < 8:
        parser.error(f'--max_len {args.max_len} leaves no room for text; use 8 or more')
    if args.bert_model is None and (args.task_name or '').lower().startswith('sample'):
        args.bert_model = 'sample'
    flags.fill_in(parser, args, DEFAULTS)
    return args


def add_data_flags(group):
    """What to learn and predict."""
    group.add_argument('--task_name',
                       help=f"one of: {', '.join(task.name for task in tasks.TASKS)}")
    group.add_argument('--data_dir', type=cli.path, metavar='DIR', help="the task's official files")
    data_flags.add_table_flags(group)
    group.add_argument('--max_len', type=cli.positive_int,
                       help="tokens, special ones included (default: the trained model's, or "
                            "128, or the model's positions if fewer)")
    group.add_argument('--windows', action='store_true',
                       help='split longer texts into overlapping windows and average their logits, '
                            'instead of cutting them')
    group.add_argument('--stride', type=cli.positive_int, metavar='TOKENS',
                       help='from one window to the next (default: 64, or half of a --max_len '
                            'too short for that)')
    group.add_argument('--pad', action='store_true', help='pad every batch to --max_len')


def main(argv=None):
    return flags.each_seed(parse_args(argv), fine_tune)


def fine_tune(args):
    """Train and evaluate as ``args`` specify; returns {set: {metric: value}}, or None."""
    from bert.checkpoint import result_folder
    from bert.model.heads import Classifier
    from bert.training import finetuning
    from bert.training.runtime import start
    runtime = start(flags.device_settings(args, args.comm, fixed_length=args.pad))
    args.dtype = runtime.dtype
    if args.predict is None:
        flags.check_output(args, runtime.comm.rank, trains=not args.only_inference)
    # what a trained model predicts decides how the data are read
    loaded = result_folder.load(flags.model_source(args)) if args.model_parameters else None
    task, examples = read_examples(args, outputs_of(loaded))
    loaded = loaded or result_folder.load(flags.model_source(args)).without_head()
    positions = loaded.config.max_position_embeddings
    args.max_len = lengths.choose('--max_len', args.max_len, 128, positions, 'for longer texts '
                                  f'use --max_len {positions} --windows')
    args.stride = (lengths.choose_stride(args.stride, args.max_len) if args.windows else
                   args.stride or lengths.STRIDE)     # without effect, but --resume compares it
    net = Classifier(loaded.config, len(task.labels or ('score',)), args.dropout)
    model = finetuning.build(
        net, loaded, runtime, args.seed,
        fresh=() if args.model_parameters else ('classifier.', 'bert.pooler.'),
        fixed_length=args.max_len if args.pad else None, inference=flags.only_predicts(args))
    source, loaded = loaded.source, None    # its arrays are as large as the network
    if args.predict is not None:
        predict_texts(args, task, model)
        return None
    sets = {split: featurize(args, task, model, rows, split) for split, rows in examples.items()}
    logging.info('%s: %s examples; model: %s', task.name, ', '.join(
        f'{len(rows)} {split}' for split, rows in examples.items()), source)
    if args.only_inference and not args.model_parameters:
        logging.warning('without --model_parameters the head is random: so are the predictions')
    best = None if args.only_inference else train(args, task, model, examples, sets)
    return report(args, task, model, examples, sets, best or {})


def outputs_of(loaded):
    """The :class:`bert.data.outputs.Outputs` of a trained classifier; None without one."""
    if loaded is None or 'classifier.1.weight' not in loaded.arrays:
        return None
    config = loaded.config
    return outputs.Outputs(len(loaded.arrays['classifier.1.weight']), config.labels,
                           config.problem_type, config.settings, loaded.source)


def read_examples(args, trained):
    """(task, {split: examples}), with labels in the order of the logits.

    ``trained`` are the outputs of a trained model, or None.
    """
    stated = labels.parse_order(args.labels)
    if args.task_name:
        from bert.data import glue
        task = tasks.get(args.task_name)
        if args.predict is not None:
            return outputs.resolve(task, {}, trained, stated)
        if not task.train and not args.only_inference:
            raise DataError(f'--task_name {task.name} has no training data; predict it with a '
                            'model of MNLI: add --only_inference --model_parameters DIR')
        splits = task.dev + task.test if args.only_inference else task.splits
        folder = glue.find(task, args.data_dir, offline=args.offline)
        return outputs.resolve(task, tables.read_task(task, splits, folder), trained, stated)
    paths = {'train': args.train_file, 'dev': args.dev_file, 'test': args.test_file}
    if args.only_inference or args.predict is not None:
        del paths['train']
    problem_type = data_flags.problem_type(args) or (
        trained.problem_type if trained else tasks.SINGLE_LABEL)
    columns = data_flags.table_columns(args)
    if isinstance(columns.label, tuple) and not trained:
        stated = stated or columns.label    # in the order of the columns
    examples = tables.read_files(paths, columns, stated, problem_type,
                                 stated or trained and trained.labels)
    return outputs.resolve(None, examples, trained, stated, problem_type)


def featurize(args, task, model, examples, split):
    """The :class:`bert.data.features.SentenceFeatures` of a set."""
    return features.featurize(split, model.tokenizer, examples, task.labels, args.max_len,
                              args.stride if args.windows else None)


def train(args, task, model, examples, sets):
    """Train, and evaluate after each epoch; the network ends with the best weights.

    Returns {dev set: logits} with these weights, or None.
    """
    import mxnet as mx
    from mxnet.gluon.loss import L2Loss, SigmoidBinaryCrossEntropyLoss, SoftmaxCrossEntropyLoss

    from bert.training import finetuning
    from bert.training.classification import logits as logits_of
    rows = sets['train']
    loss_function = (L2Loss() if task.labels is None else SigmoidBinaryCrossEntropyLoss()
                     if task.multi_label else SoftmaxCrossEntropyLoss())

    def loss(indices, device):
        labels = mx.nd.array([rows.labels[i] for i in indices], ctx=device)
        return loss_function(logits_of(model.forward, rows, indices, device), labels).sum()

    description = finetuning.Description(
        'classifier.1.', task.labels,
        {'task': task.name, 'pair': task.pair, 'max_len': args.max_len}, task.problem_type)
    with finetuning.Run(flags.recipe(args), flags.output_settings(args, model.runtime.layout),
                        model, (rows.ids, rows.token_types, rows.labels), description,
                        dev=[row for split in task.dev for row in examples.get(split, ())]
                        ) as training:
        for epoch in training.epochs():
            for update in epoch:
                training.update(update, loss)
            logits = {split: predict(args, model, sets[split])
                      for split in task.dev if split in sets}
            scores = {split: evaluate(task, split, examples[split], logits[split])
                      for split in logits}
            # the first metric of the first dev set chooses the best epoch
            first = next(iter(scores.values()))[task.metrics[0]] if scores else None
            if training.end_epoch(scores, first, logits):
                break
        return training.load_best()


def predict(args, model, rows):
    """The logits of every example, (examples, classes)."""
    from bert.training.classification import predict as predict_logits
    return predict_logits(model.forward, rows, model.runtime.comm, args.dev_batch_size)


def evaluate(task, split, examples, logits, each=False):
    """{metric: value} over a whole set; ``each`` adds the F1 of each of several labels."""
    ids = labels.class_ids(split, [example.label for example in examples], task.labels)
    if task.multi_label:
        return classification.compute_multi_label(ids, logits, task.labels if each else ())
    return classification.compute(task.metrics, ids, logits[:, 0] if task.labels is None
                                  else logits, task.positive)


def report(args, task, model, examples, sets, best):
    """Evaluate the sets with labels, write the predictions of the test sets, print the results.

    ``best`` has the logits of some sets already.
    """
    from bert.training import plot, summary
    results, confusions = {}, {}
    for split in [split for split in sets if split != 'train']:
        logits = best[split] if split in best else predict(args, model, sets[split])
        if model.runtime.comm.rank:
            continue
        if all(example.label is not None for example in examples[split]):
            results[split] = evaluate(task, split, examples[split], logits, each=True)
            shown = ', '.join(f'{name} {results[split][name]:.4f}' for name in task.metrics)
            show(f'{split}: {shown}')
            for name, f1 in results[split].get('labels', {}).items():
                show(f'  {name}: f1 {f1:.4f}')
            if args.plot and task.labels and not task.multi_label:
                ids = labels.class_ids(split, [e.label for e in examples[split]], task.labels)
                confusions[split] = classification.confusion(
                    ids, logits.argmax(axis=1), len(task.labels))
        if split not in task.dev:
            write_predictions(args, task, split, [e.index for e in examples[split]], logits)
    if model.runtime.comm.rank:
        return None
    windows = ('--windows', '--stride', str(args.stride)) if args.windows else ()
    summary.write(
        args.output_dir, results, None if args.only_inference else summary.Hint(
            'to predict', 'scripts/finetune_classifier.py', '--model_parameters',
            (*windows, '--predict', 'A text.', *['Another text.'] * bool(task.pair))), args.plot)
    for split, counts in confusions.items():    # last: nothing is lost if one fails
        path = os.path.join(args.output_dir, f'confusion-{split}.png')
        plot.confusion(path, counts, task.labels)
    return {split: {name: scores[name] for name in task.metrics}
            for split, scores in results.items()}


def write_predictions(args, task, split, indices, logits):
    """Write the predictions of a test set: GLUE's submission file, or a table of probabilities."""
    chosen, probabilities = classification.decide(logits, task.labels, task.multi_label)
    if args.task_name and not args.task_name.lower().startswith('sample'):
        path = os.path.join(args.output_dir, task.submission(split))
        tables.write_submission(path, task, indices, chosen)
    else:
        path = os.path.join(args.output_dir, f'predictions-{split}.tsv')
        tables.write_predictions(path, indices, chosen, task.labels, probabilities)
    show(f'predictions: {path}')


def predict_texts(args, task, model):
    """Print one line per text: its label (or labels) and probability, or its score; the text."""
    for lines in inputs.read_lines(args.predict, 8 * args.dev_batch_size):
        examples = tables.from_lines(lines, task.pair)
        logits = predict(args, model, featurize(args, task, model, examples, 'texts'))
        chosen, probabilities = classification.decide(logits, task.labels, task.multi_label)
        for i, (_, line) in enumerate(lines):
            if task.labels is None:
                print(f'{chosen[i]:.4f}\t{line}')
            else:
                ids = chosen[i] if task.multi_label else [chosen[i]]
                print(','.join(task.labels[k] for k in ids),
                      ','.join(f'{probabilities[i][k]:.4f}' for k in ids), line, sep='\t')


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
