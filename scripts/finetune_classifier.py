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
import sys

from bert.data import features, inputs, tables, tasks
from bert.metrics import classification
from bert.training import flags
from bert.utils import cli, files
from bert.utils.errors import DataError, run

SAMPLE_LR, SAMPLE_EPOCHS = 3e-4, 5      # the sample model is tiny


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    add_data_flags(parser.add_argument_group('data'))
    flags.add_model_flags(parser)
    flags.add_training_flags(parser, lr=5e-5, epochs=3, batch_size=32)
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
        parser.error('--task_name names known data; omit it to use --train_file, --dev_file and '
                     '--test_file')
    if (args.only_inference or args.predict is not None) and not args.model_parameters:
        parser.error('--only_inference and --predict need --model_parameters, a result folder')
    if args.predict is not None and len(args.predict) > 2:
        parser.error('--predict takes one text or two; quote each text')
    if args.labels and args.regression:
        parser.error('--labels are for classes, --regression is for numbers')
    if args.labels and len(set(args.labels.split(','))) < len(args.labels.split(',')):
        parser.error(f'--labels {args.labels} names a class twice')
    if args.max_len < 8:
        parser.error(f'--max_len {args.max_len} leaves no room for text; use 8 or more')
    if args.bert_model is None and (args.task_name or '').lower().startswith('sample'):
        args.bert_model = 'sample'
    sample = args.bert_model == 'sample'
    args.epochs = args.epochs or (SAMPLE_EPOCHS if sample else 3)
    args.lr = args.lr or (SAMPLE_LR if sample else 5e-5)
    return args


def add_data_flags(group):
    """What to learn and predict."""
    group.add_argument('--task_name',
                       help=f"one of: {', '.join(task.name for task in tasks.TASKS)}")
    group.add_argument('--data_dir', metavar='DIR', help="the task's official files")
    group.add_argument('--train_file', metavar='FILE',
                       help='your own data: .csv, .tsv or .jsonl with named columns')
    group.add_argument('--dev_file', metavar='FILE', help='chooses the best epoch')
    group.add_argument('--test_file', metavar='FILE', help='to predict; needs no labels')
    group.add_argument('--text_columns', metavar='A[,B]',
                       help='columns of the text or the pair of texts (default: found by usual '
                            'names such as sentence, or sentence1 and sentence2)')
    group.add_argument('--label_column', metavar='NAME', help='(default: label or score)')
    group.add_argument('--no_header', action='store_true',
                       help='your files have no header; give columns by number, from 0')
    group.add_argument('--labels', metavar='A,B,...', help='the classes and their order (default: '
                       'those in the training data)')
    group.add_argument('--regression', action='store_true', help='the labels are numbers')
    group.add_argument('--max_len', type=cli.positive_int, default=128,
                       help='tokens, special ones included (default: %(default)s)')
    group.add_argument('--windows', action='store_true',
                       help='split longer texts into overlapping windows and average their logits, '
                            'instead of cutting them')
    group.add_argument('--stride', type=cli.positive_int, default=64, metavar='TOKENS',
                       help='from one window to the next (default: %(default)s)')
    group.add_argument('--pad', action='store_true', help='pad every batch to --max_len')


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import result_folder
    from bert.model.heads import Classifier
    from bert.training import finetuning
    from bert.training.runtime import start
    runtime = start(flags.device_settings(args, args.comm, fixed_length=args.pad))
    if not args.only_inference and args.predict is None:
        flags.check_output(args, runtime.comm.rank)
    task, examples = read_examples(args)
    loaded = result_folder.load(flags.model_source(args))
    task = resolve_labels(args, task, examples, loaded.config)
    positions = loaded.config.max_position_embeddings
    if args.max_len > positions:
        raise DataError(f'--max_len {args.max_len}: this model has positions for {positions} '
                        f'tokens; for longer texts use --max_len {positions} --windows')
    net = Classifier(loaded.config, len(task.labels or ('score',)), args.dropout)
    model = finetuning.build(
        net, loaded, runtime, args.seed,
        fresh=() if args.model_parameters else ('classifier.', 'bert.pooler.'),
        fixed_length=args.max_len if args.pad else None)
    source = loaded.source
    del loaded      # its arrays are as large as the network
    if args.predict is not None:
        predict_texts(args, task, model)
        return 0
    sets = {split: featurize(args, task, model, rows, split) for split, rows in examples.items()}
    sizes = ', '.join(f'{len(rows)} {split}' for split, rows in examples.items())
    logging.info('%s: %s examples; model: %s', task.name, sizes, source)
    best = None if args.only_inference else train(args, task, model, examples, sets)
    report(args, task, model, examples, sets, best or {})
    return 0


def read_examples(args):
    """(task, {split: examples}); the task is None for the user's own files."""
    if args.task_name:
        from bert.data import glue
        task = tasks.get(args.task_name)
        if not task.train and not args.only_inference:
            raise DataError(f'--task_name {task.name} has no training data; predict it with a '
                            'model of MNLI: add --only_inference --model_parameters DIR')
        splits = task.dev + task.test if args.only_inference else task.splits
        folder = glue.find(task, args.data_dir, offline=args.offline)
        return task, tables.read_task(task, splits, folder)
    paths = {'train': args.train_file, 'dev': args.dev_file, 'test': args.test_file}
    if args.only_inference or args.predict is not None:
        del paths['train']
    elif not args.train_file:
        raise DataError('--train_file is missing; to use a trained model add --only_inference or '
                        '--predict')
    columns = tasks.Columns(tuple(args.text_columns.split(',')) if args.text_columns else (),
                            args.label_column, None, not args.no_header)
    return None, tables.read_files(paths, columns, args.labels and tuple(args.labels.split(',')),
                                   args.regression)


def resolve_labels(args, task, examples, config):
    """The task with its labels in the order of the logits; a custom one for the user's files."""
    trained = config.labels if args.model_parameters else None
    if task is not None:
        same = trained and task.labels and set(trained) == set(task.labels)
        return task._replace(labels=trained) if same else task
    if args.regression or (args.model_parameters and config.problem_type == 'regression'):
        labels = None
    elif args.labels or trained:
        labels = tuple(args.labels.split(',')) if args.labels else trained
    elif 'train' in examples:
        labels = tables.find_labels(examples['train'])
    else:
        raise DataError(f'{args.model_parameters} does not name its labels: name them with '
                        '--labels, or the task with --task_name')
    first = next(iter(examples.values()))[0] if examples else None
    pair = first.text_b is not None if first else config.settings.get('pair', False)
    return tasks.custom(pair, labels, config.settings.get('task', 'custom'))


def featurize(args, task, model, examples, split):
    """The :class:`bert.data.features.SentenceFeatures` of a set."""
    return features.featurize(split, model.tokenizer, examples, task.labels, args.max_len,
                              args.stride if args.windows else None)


def train(args, task, model, examples, sets):
    """Train, and evaluate after each epoch; the network ends with the best weights.

    Returns {dev set: logits} with these weights, or None.
    """
    import mxnet as mx
    from mxnet.gluon.loss import L2Loss, SoftmaxCrossEntropyLoss

    from bert.training import finetuning
    from bert.training.classification import logits as logits_of
    rows = sets['train']
    loss_function = L2Loss() if task.labels is None else SoftmaxCrossEntropyLoss()

    def loss(indices, device):
        labels = mx.nd.array([rows.labels[i] for i in indices], ctx=device)
        return loss_function(logits_of(model.forward, rows, indices, device), labels).sum()

    description = finetuning.Description(
        'classifier.1.', task.labels,
        {'task': task.name, 'pair': task.pair, 'max_len': args.max_len})
    with finetuning.Run(flags.recipe(args), flags.output_settings(args, model.runtime.layout),
                        model, [len(ids) for ids in rows.ids], description) as training:
        for epoch in training.epochs():
            for update in epoch:
                training.update(update, loss)
            logits = {split: predict(args, model, sets[split])
                      for split in task.dev if split in sets}
            scores = {split: evaluate(task, examples[split], logits[split]) for split in logits}
            # the first metric of the first dev set chooses the best epoch
            first = next(iter(scores.values()))[task.metrics[0]] if scores else None
            if training.end_epoch(scores, first, logits):
                break
        return training.load_best()


def predict(args, model, rows):
    """The logits of every example, (examples, classes)."""
    from bert.training.classification import predict as predict_logits
    return predict_logits(model.forward, rows, model.runtime.comm, args.dev_batch_size)


def class_ids(task, examples):
    """The labels of examples as class ids, or as numbers for a regression."""
    return [example.label if task.labels is None else task.labels.index(example.label)
            for example in examples]


def evaluate(task, examples, logits):
    """{metric: value} over a whole set."""
    return classification.compute(task.metrics, class_ids(task, examples),
                                  logits[:, 0] if task.labels is None else logits)


def report(args, task, model, examples, sets, best):
    """Evaluate the sets with labels, write the predictions of the test sets, print the results.

    ``best`` has the logits of some sets already.
    """
    from bert.training import finetuning, plot
    folder = files.make_folder(args.output_dir, '--output_dir')
    results = {}
    for split in [split for split in sets if split != 'train']:
        logits = best[split] if split in best else predict(args, model, sets[split])
        if model.runtime.comm.rank:
            continue
        if all(example.label is not None for example in examples[split]):
            results[split] = evaluate(task, examples[split], logits)
            shown = ', '.join(f'{name} {value:.4f}' for name, value in results[split].items())
            print(f'{split}: {shown}')
            if args.plot and task.labels:
                counts = classification.confusion(class_ids(task, examples[split]),
                                                  logits.argmax(axis=1), len(task.labels))
                plot.confusion(os.path.join(folder, f'confusion-{split}.png'), counts, task.labels)
        if split not in task.dev:
            write_predictions(args, task, split, [e.index for e in examples[split]], logits)
    if model.runtime.comm.rank == 0:
        script = sys.argv[0] if __name__ == '__main__' else 'scripts/finetune_classifier.py'
        texts = '"A text." "Another text."' if task.pair else '"A text."'
        finetuning.report(
            folder, results, None if args.only_inference else
            f'to predict: python {script} --model_parameters {folder} --predict {texts}',
            curves=args.plot and not args.only_inference)


def write_predictions(args, task, split, indices, logits):
    """Write the predictions of a test set: GLUE's submission file, or a table of probabilities."""
    chosen = logits[:, 0] if task.labels is None else logits.argmax(axis=1)
    if args.task_name and not args.task_name.lower().startswith('sample'):
        path = os.path.join(args.output_dir, task.submission(split))
        tables.write_submission(path, task, indices, chosen)
    else:
        path = os.path.join(args.output_dir, f'predictions-{split}.tsv')
        tables.write_predictions(path, indices, chosen, task.labels, None if task.labels is None
                                 else classification.softmax(logits))
    print(f'predictions: {path}')


def predict_texts(args, task, model):
    """Print one line per text: its label and probability, or its score, and the text."""
    for lines in inputs.read_lines(args.predict, 8 * args.dev_batch_size):
        examples = tables.from_lines(lines, task.pair)
        logits = predict(args, model, featurize(args, task, model, examples, 'texts'))
        probabilities = classification.softmax(logits).max(axis=1)
        for (_, line), row, probability in zip(lines, logits, probabilities):
            if task.labels is None:
                print(f'{row[0]:.4f}\t{line}')
            else:
                print(f'{task.labels[row.argmax()]}\t{probability:.4f}\t{line}')


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
