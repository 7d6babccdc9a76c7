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

import collections
import functools
import itertools
import logging
import os
import sys

import numpy as np

from bert.data import sampling
from bert.training import flags
from bert.training.evaluation import score_rows
from bert.utils import cli
from bert.utils.errors import DataError, run

# The features of a set: parallel lists, one entry a window of text (mostly the whole text).
# owner: the index of the example each comes from
Features = collections.namedtuple('Features', 'ids segments labels owner')
SAMPLE_LR, SAMPLE_EPOCHS = 3e-4, 5      # the toy model is tiny


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    data = parser.add_argument_group('data')
    data.add_argument('--task_name', help='MRPC, QQP, QNLI, RTE, STS-B, CoLA, MNLI, WNLI, SST, AX, '
                      'XNLI, LCQMC, ChnSentiCorp, or the toys sample, sample-pairs and '
                      'sample-regression')
    data.add_argument('--data_dir', metavar='DIR', help="the task's official files")
    data.add_argument('--train_file', metavar='FILE',
                      help='your own data: .csv, .tsv or .jsonl with named columns')
    data.add_argument('--dev_file', metavar='FILE', help='to choose the best epoch by')
    data.add_argument('--test_file', metavar='FILE', help='to predict; needs no labels')
    data.add_argument('--text_columns', metavar='A[,B]',
                      help='columns of the text or the pair of texts (default: found by usual '
                           'names such as sentence, or sentence1 and sentence2)')
    data.add_argument('--label_column', metavar='NAME', help='(default: label or score)')
    data.add_argument('--no_header', action='store_true',
                      help='your files have no header; columns are then given by number, from 1')
    data.add_argument('--labels', metavar='A,B,...', help='the classes and their order (default: '
                      'those found in the training data)')
    data.add_argument('--regression', action='store_true', help='the labels are numbers')
    data.add_argument('--max_len', type=cli.positive_int, default=128,
                      help='tokens, special ones included (default: %(default)s)')
    data.add_argument('--windows', action='store_true',
                      help='take longer texts as overlapping windows and average their scores, '
                           'rather than cut them')
    data.add_argument('--stride', type=cli.positive_int, default=64, metavar='TOKENS',
                      help='from one window to the next (default: %(default)s)')
    data.add_argument('--pad', action='store_true', help='pad every batch to --max_len')
    flags.add_model_flags(parser)
    flags.add_training_flags(parser, lr=5e-5, epochs=3, batch_size=32)
    flags.add_runtime_flags(parser)
    parser.add_argument('--dev_batch_size', type=cli.positive_int, default=32, metavar='N',
                        help='examples at once in evaluation (default: %(default)s)')
    parser.add_argument('--only_inference', action='store_true',
                        help='no training: score the dev set and predict the test set')
    parser.add_argument('--predict', nargs='*', metavar='TEXT',
                        help='classify this text (or pair), or else the lines of standard input '
                             '(a tab between the texts of a pair)')
    args = parser.parse_args(argv)
    own = args.train_file or args.dev_file or args.test_file
    if args.task_name is None and not own and not args.model_parameters:
        parser.error('name a task with --task_name, or your own data with --train_file; '
                     '--task_name sample works out of the box')
    if own and args.task_name:
        parser.error('--task_name names known data; leave it out to use --train_file, --dev_file '
                     'and --test_file')
    if (args.only_inference or args.predict is not None) and not args.model_parameters:
        parser.error('--only_inference and --predict need --model_parameters, a result folder')
    if args.predict is not None and len(args.predict) > 2:
        parser.error('--predict takes one text or two; put a text in quotes')
    if args.labels and args.regression:
        parser.error('--labels are for classes, --regression is for numbers')
    if args.max_len < 8:
        parser.error(f'--max_len {args.max_len} leaves no room for text; take 8 or more')
    return args


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import result_folder
    from bert.data import glue, tasks
    from bert.model.forward import create_forward
    from bert.training import runtime
    comm = runtime.start(args)
    if args.bert_model is None and (args.task_name or '').lower().startswith('sample'):
        args.bert_model = 'sample'
    toy = args.bert_model == 'sample'
    args.epochs = args.epochs or (SAMPLE_EPOCHS if toy else 3)
    args.lr = args.lr or (SAMPLE_LR if toy else 5e-5)
    if args.task_name:
        task = tasks.get(args.task_name)
        if not task.train and not args.only_inference:
            raise DataError(f'--task_name {task.name} has no training data, it is predicted with a '
                            'model of MNLI: add --only_inference --model_parameters DIR')
        examples = read_official(task, args, glue.find(task, args.data_dir,
                                                            offline=args.offline))
    else:
        task, examples = None, read_own(args)
    config, tok, arrays, source = result_folder.load(args)
    task = settle(args, task, examples, config)
    positions = config.max_position_embeddings
    if args.max_len > positions:
        raise DataError(f'--max_len {args.max_len}: this model has positions for {positions} '
                        f'tokens; for longer texts take --max_len {positions} --windows')
    net = build(args, task, config, arrays, source, comm)
    del arrays      # as large as the network
    forward = create_forward(net, args.path, args.dtype, tok.pad_id,
                           args.max_len if args.pad else None)
    if args.predict is not None:
        return predict_texts(args, task, forward, tok, comm)
    sets = {split: featurize(tok, rows, task, args, split) for split, rows in examples.items()}
    logging.info('%s: %s examples; model: %s', task.name, ', '.join(
        f'{len(rows)} {split}' for split, rows in examples.items()), source)
    known = None
    if not args.only_inference:
        known = train(args, task, net, forward, tok, comm, config, examples, sets)
    report(args, task, forward, comm, examples, sets, known or {})
    return 0


def read_official(task, args, folder):
    """{split: examples} of a known task; its test sets may be absent."""
    from bert.data import tables, tasks
    examples = {}
    for split in task.dev + task.test if args.only_inference else task.splits:
        if split in task.test and not tasks.has(task, split, folder):
            logging.info('%s has no %s file of %s: nothing to predict', folder, split, task.name)
            continue
        examples[split] = tables.read_official(task, split, folder)
    return examples


def read_own(args):
    """{split: examples} of the user's files; none of them for --predict."""
    from bert.data import tables, tasks
    files = {'train': args.train_file, 'dev': args.dev_file, 'test': args.test_file}
    if args.only_inference or args.predict is not None:
        del files['train']
    elif not args.train_file:
        raise DataError('--train_file is missing; to use a trained model add --only_inference or '
                        '--predict')
    columns = tasks.Columns(tuple(args.text_columns.split(',')) if args.text_columns else (),
                            args.label_column, None, not args.no_header)
    labels = tuple(args.labels.split(',')) if args.labels else None
    examples = {}
    for split, path in files.items():
        if path:
            examples[split] = tables.read_table(path, columns, labels, args.regression,
                                                   ('label',) if split == 'test' else ())
        if split == 'train' and not (labels or args.regression):
            labels = tables.find_labels(examples['train'])
    return examples


def settle(args, task, examples, config):
    """The task, made up for one's own data, with the labels in the order of the model's outputs."""
    from bert.data import tables, tasks
    known = config.labels if args.model_parameters else None
    saved = config.settings
    if task is not None:
        same = known and task.labels and set(known) == set(task.labels)
        return task._replace(labels=known) if same else task
    if args.regression or (args.model_parameters and config.problem_type == 'regression'):
        labels = None
    elif args.labels or known:
        labels = tuple(args.labels.split(',')) if args.labels else known
    elif 'train' in examples:
        labels = tables.find_labels(examples['train'])
    else:
        raise DataError(f'{args.model_parameters} does not name its labels: give them with '
                        '--labels, or the task with --task_name')
    first = next(iter(examples.values()))[0] if examples else None
    pair = first.text_b is not None if first else saved.get('pair', False)
    return tasks.custom(pair, labels, saved.get('task', 'custom'))


def build(args, task, config, arrays, source, comm):
    """The network with the weights found; the head is fresh unless --model_parameters has it."""
    import mxnet as mx

    from bert.model.heads import Classifier
    from bert.model.parameters import initialize, load_parameters
    mx.random.seed(args.seed)
    net = Classifier(config, len(task.labels or ('score',)), args.dropout)
    initialize(net, config, comm.devices)
    fresh = load_parameters(net, arrays, source, optional=() if args.model_parameters
                                  else ('classifier.', 'bert.pooler.'))
    if 'bert.pooler.weight' in fresh:
        logging.warning('%s has no pooler: a fresh one is trained', source)
    return net


def featurize(tok, examples, task, args, split):
    """Examples -> :data:`Features`; says how many texts were cut, or taken as windows."""
    from bert.data import feature_cache
    from bert.text import transform
    classes = {label: i for i, label in enumerate(task.labels or ())}
    labels = [example.label for example in examples]
    if classes:
        for label in labels:
            if label is not None and label not in classes:
                raise DataError('the %s data have the label "%s", which is not among: %s'
                                % (split, label, ', '.join(classes)))
        labels = [classes.get(label) for label in labels]

    def make():
        ids, segments, owner, longer = [], [], [], []
        for index, example in enumerate(examples):
            if args.windows:
                pieces = transform.windows(tok, example.text_a, example.text_b, args.max_len,
                                           args.stride)
            else:
                pieces = [transform.pair(tok, example.text_a, example.text_b, args.max_len)]
            longer.append(len(pieces) > 1 or pieces[0].truncated)
            ids += [piece.ids for piece in pieces]
            segments += [piece.segments for piece in pieces]
            owner += [index] * len(pieces)
        return {'ids': ids, 'segments': segments, 'owner': owner, 'longer': longer}

    settings = args.max_len, args.windows and args.stride
    columns = feature_cache.cached(split, tok, itertools.chain(
        [settings], ((example.text_a, example.text_b) for example in examples)), make)
    ids, segments, owner = (columns[name] for name in ('ids', 'segments', 'owner'))
    features = Features(ids, segments, [labels[index] for index in owner], owner)
    longer = sum(columns['longer'])
    if longer:
        logging.info('%s: %d of %d texts are longer than --max_len %d and were %s', split, longer,
                     len(examples), args.max_len,
                     'taken as windows' if args.windows else 'cut; --windows takes all of them')
    return features


def scores_of(forward, features, indices, device):
    """The network's scores for the chosen rows, (rows, classes)."""
    return forward([features.ids[i] for i in indices], [features.segments[i] for i in indices],
                   device)


def train(args, task, net, forward, tok, comm, config, examples, sets):
    """Epochs of updates, a dev score after each; the network ends with the best weights.

    Returns {dev set: scores} with these, or None.
    """
    import mxnet as mx
    from mxnet.gluon.loss import L2Loss, SoftmaxCrossEntropyLoss

    from bert.checkpoint import result_folder
    from bert.training import finetuning

    features = sets['train']
    loss_of = L2Loss() if task.labels is None else SoftmaxCrossEntropyLoss()

    def describe():
        result_folder.describe(args.output_dir, config, tok, 'classifier.1.', task.labels,
                        {'task': task.name, 'pair': task.pair, 'max_len': args.max_len}, args)

    with finetuning.Run(args, net, comm, [len(row) for row in features.ids], describe) as training:
        for epoch, updates in training.epochs():
            for indices in updates:
                for micro in training.share(indices):
                    with mx.autograd.record():
                        losses = []
                        for part, device in sampling.split(micro, comm.devices):
                            labels = mx.nd.array([features.labels[i] for i in part], ctx=device)
                            scores = scores_of(forward, features, part, device)
                            losses.append(loss_of(scores, labels).sum())
                    training.stepper.backward(losses, len(micro))
                training.step(len(indices))
            predicted = {split: score(args, forward, comm, sets[split])
                         for split in task.dev if split in sets}
            scores = {split: evaluate(task, examples[split], predicted[split])
                      for split in predicted}
            # the first dev set chooses the best epoch; without one it is the last
            if training.end_epoch(scores, next(iter(scores.values()))[task.metrics[0]]
                                  if scores else epoch, predicted):
                break
        return training.load_best()


def score(args, forward, comm, features):
    """Scores of every example, (examples, classes): the mean over its windows."""
    rows = score_rows([len(row) for row in features.ids], args.dev_batch_size, comm,
                               functools.partial(scores_of, forward, features))
    owner = np.asarray(features.owner)
    total = np.zeros((owner[-1] + 1, rows.shape[1]))
    np.add.at(total, owner, rows)
    return total / np.bincount(owner)[:, None]


def evaluate(task, examples, scores):
    """{metric: value} over a whole set."""
    from bert.metrics import classification
    if task.labels is None:
        return classification.compute(task.metrics, [e.label for e in examples], scores[:, 0])
    return classification.compute(task.metrics, [task.labels.index(e.label) for e in examples],
                                  scores)


def softmax(scores):
    """(rows, classes) scores -> probabilities."""
    exp = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def report(args, task, forward, comm, examples, sets, known):
    """Score what has labels, write the predictions of the test sets, and say where things lie.

    ``known`` has the scores of some sets, as :func:`score` gives them.
    """
    from bert.metrics import classification
    from bert.training import plot
    from bert.utils import files
    folder = files.make_folder(args.output_dir, '--output_dir')
    results = {}
    for split in sets:
        if split == 'train':
            continue
        scores = known[split] if split in known else score(args, forward, comm, sets[split])
        if comm.rank:
            continue
        if all(example.label is not None for example in examples[split]):
            results[split] = evaluate(task, examples[split], scores)
            print('%s: %s' % (split, ', '.join('%s %.4f' % item
                                               for item in results[split].items())))
            if args.plot and task.labels:
                counts = classification.confusion(
                    [task.labels.index(e.label) for e in examples[split]],
                    scores.argmax(axis=1), len(task.labels))
                plot.confusion(os.path.join(folder, f'confusion-{split}.png'), counts,
                               task.labels)
        if split not in task.dev:
            write_predictions(args, task, split, [e.index for e in examples[split]], scores)
    if comm.rank:
        return
    if results:
        files.write_json(os.path.join(folder, 'results.json'), results)
    if args.plot and not args.only_inference:
        plot.training_curves(folder)
    print(f'results: {folder}')
    if not args.only_inference:
        print('to predict: python %s --model_parameters %s --predict "%s"%s' % (
            sys.argv[0] if __name__ == '__main__' else 'scripts/finetune_classifier.py', folder,
            'A text.', ' "Another text."' if task.pair else ''))


def write_predictions(args, task, split, indices, scores):
    """A test set's predictions: GLUE's submission file, or a table with probabilities."""
    from bert.data import tables
    chosen = scores[:, 0] if task.labels is None else scores.argmax(axis=1)
    if args.task_name and not args.task_name.lower().startswith('sample'):
        path = os.path.join(args.output_dir, task.submission(split))
        tables.write_submission(path, task, indices, chosen)
    else:
        path = os.path.join(args.output_dir, f'predictions-{split}.tsv')
        tables.write_predictions(path, indices, chosen, task.labels,
                                    None if task.labels is None else softmax(scores))
    print(f'predictions: {path}')


def predict_texts(args, task, forward, tok, comm):
    """Print a line a text: its label and probability, or its score, and the text."""
    from bert.data.tables import Example
    source = iter(['\t'.join(args.predict)] if args.predict else sys.stdin)
    number = 0
    while True:
        lines = [line.rstrip('\r\n') for line in itertools.islice(source, 8 * args.dev_batch_size)]
        if not lines:
            return 0
        examples = []
        for line in lines:
            number += 1
            texts = line.split('\t')
            if len(texts) != 1 + task.pair:
                raise DataError('%s: %d texts where the model takes %s' % (
                    '--predict' if args.predict else f'standard input line {number}', len(texts),
                    'two, in a line with a tab between them' if task.pair else 'one'))
            examples.append(Example(texts[0], texts[1] if task.pair else None, None, str(number)))
        scores = score(args, forward, comm, featurize(tok, examples, task, args, 'texts'))
        for line, row, likely in zip(lines, scores, softmax(scores).max(axis=1)):
            if task.labels is None:
                print(f'{row[0]:.4f}\t{line}')
            else:
                print(f'{task.labels[row.argmax()]}\t{likely:.4f}\t{line}')


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
