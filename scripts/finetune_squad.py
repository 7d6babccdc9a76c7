"""Fine-tune BERT to answer questions on a passage (SQuAD 1.1 and 2.0); evaluate; answer.

    python finetune_squad.py --bert_model sample
    python finetune_squad.py --optimizer adam --accumulate 2 --batch_size 6 --lr 3e-5 --epochs 2
    python finetune_squad.py --version_2 --train_file train.json --dev_file dev.json
    python finetune_squad.py --only_predict --model_parameters output_dir --dev_file dev.json
    python finetune_squad.py --model_parameters output_dir --predict "A question?" "A passage."

Without --train_file and --dev_file the data are the official SQuAD, which is downloaded, or with
--bert_model sample a toy set that comes with this program.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import itertools
import logging
import math
import os
import sys

from bert.data import sampling, squad
from bert.training import flags
from bert.training.evaluation import score_rows
from bert.utils import cli, files
from bert.utils.errors import DataError, run

# what a result folder remembers, so that answering from it needs none of these flags
SETTINGS = {'max_seq_length': 384, 'doc_stride': 128, 'max_query_length': 64, 'n_best_size': 20,
            'max_answer_length': 30, 'version_2': False, 'null_score_diff_threshold': 0.0}
SAMPLE_LR, SAMPLE_EPOCHS = 1e-3, 10     # the toy model is tiny
DEBUG_QUESTIONS = 100


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    data = parser.add_argument_group('data')
    data.add_argument('--train_file', metavar='FILE', help='your own data, in the json of SQuAD')
    data.add_argument('--dev_file', metavar='FILE', help='to choose the best epoch by, or answer')
    data.add_argument('--version_2', action='store_true', default=None,
                      help='SQuAD 2.0: some questions have no answer in their passage')
    data.add_argument('--max_seq_length', type=cli.positive_int, metavar='TOKENS',
                      help='of a question and a window of its passage, special tokens included '
                           '(default: 384)')
    data.add_argument('--doc_stride', type=cli.positive_int, metavar='TOKENS',
                      help='from one window of a long passage to the next (default: 128)')
    data.add_argument('--max_query_length', type=cli.positive_int, metavar='TOKENS',
                      help='longer questions are cut (default: 64)')
    data.add_argument('--uncased', action='store_true',
                      help='lower-case all text (default: as the model was trained)')
    data.add_argument('--sentencepiece', metavar='FILE',
                      help="take this SentencePiece model as the vocabulary, not the model's own")
    data.add_argument('--debug', action='store_true',
                      help=f'take only the first {DEBUG_QUESTIONS} questions of each file')
    flags.add_model_flags(parser)
    flags.add_training_flags(parser, lr=5e-5, epochs=3, batch_size=32, seed=6)
    flags.add_runtime_flags(parser)
    parser.set_defaults(log_interval=50)
    answers = parser.add_argument_group('answers')
    answers.add_argument('--only_predict', action='store_true',
                         help='no training: answer and score the questions of the dev set')
    answers.add_argument('--predict', nargs='*', metavar='TEXT',
                         help='answer this question on this passage, or else the lines of standard '
                              'input (question, tab, passage); prints the answer, its probability, '
                              'and where in the passage it starts and ends (characters)')
    answers.add_argument('--test_batch_size', type=cli.positive_int, default=24, metavar='N',
                         help='windows at once in evaluation (default: %(default)s)')
    answers.add_argument('--n_best_size', type=cli.positive_int, metavar='N',
                         help='answers in nbest_predictions.json (default: 20)')
    answers.add_argument('--max_answer_length', type=cli.positive_int, metavar='TOKENS',
                         help='no longer ones are given (default: 30)')
    answers.add_argument('--null_score_diff_threshold', type=float, metavar='X',
                         help='with --version_2: no answer is given where the score of "no answer" '
                              'less that of the best answer exceeds X (default: 0)')
    args = parser.parse_args(argv)
    saved = read_settings(args.model_parameters)
    for name, default in SETTINGS.items():
        if getattr(args, name) is None:
            setattr(args, name, saved.get(name, default))
    toy = args.bert_model == 'sample'
    args.epochs = args.epochs or (SAMPLE_EPOCHS if toy else 3)
    args.lr = args.lr or (SAMPLE_LR if toy else 5e-5)
    check(parser, args)
    return args


def read_settings(path):
    """The values of :data:`SETTINGS` in the result folder that ``path`` is or lies in."""
    folder = path if path and os.path.isdir(path) else os.path.dirname(path or '')
    config = os.path.join(folder, 'config.json')
    if not path or not os.path.isfile(config):
        return {}
    saved = files.read_json(config)
    saved = saved.get('gluon_bert') if isinstance(saved, dict) else None
    if not isinstance(saved, dict) or saved.get('task') != 'squad':
        return {}
    for name in SETTINGS:
        if not isinstance(saved.get(name, 0), (int, float)):
            raise DataError(f'{config}: {name} is {saved[name]!r} where a number belongs')
    return saved


def check(parser, args):
    """End the program where flags make no sense together."""
    if args.max_seq_length <= args.max_query_length + 3:
        parser.error(f'--max_seq_length {args.max_seq_length} must exceed --max_query_length + 3 '
                     f'({args.max_query_length + 3})')
    if args.doc_stride >= args.max_seq_length - 3:
        parser.error(f'--doc_stride {args.doc_stride} must be under --max_seq_length - 3 '
                     f'({args.max_seq_length - 3}), or windows do not overlap')
    if not math.isfinite(args.null_score_diff_threshold):
        parser.error(f'--null_score_diff_threshold {args.null_score_diff_threshold:g} is not a '
                     'finite number')
    if args.null_score_diff_threshold and not args.version_2:
        parser.error('--null_score_diff_threshold decides where questions may have no answer: add '
                     '--version_2')
    if (args.only_predict or args.predict is not None) and not args.model_parameters:
        parser.error('--only_predict and --predict need --model_parameters, a result folder')
    if args.predict is not None and len(args.predict) not in (0, 2):
        parser.error('--predict takes a question and a passage, each in quotes')
    if args.predict is not None and args.comm != 'local':
        parser.error('--predict runs in one process: leave --comm out')


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import result_folder
    from bert.model.forward import create_forward
    from bert.training import runtime
    comm = runtime.start(args)
    if args.predict is None:
        files.make_folder(args.output_dir, '--output_dir')
    questions = read_questions(args)
    config, tok, arrays, source = result_folder.load(args, args.sentencepiece,
                                              False if args.uncased else None)
    positions = config.max_position_embeddings
    if args.max_seq_length > positions:
        raise DataError(f'--max_seq_length {args.max_seq_length}: this model has positions for '
                        f'{positions} tokens; give that or less')
    net = build(args, config, arrays, source, comm)
    del arrays      # as large as the network
    forward = create_forward(net, args.path, args.dtype, tok.pad_id)
    if args.predict is not None:
        return answer_texts(args, forward, tok, comm)
    windows = {split: featurize(args, tok, rows, split) for split, rows in questions.items()}
    for split, rows in questions.items():
        logging.info('%s: %d questions in %d windows', split, len(rows),
                     sum(map(len, windows[split])))
    logging.info('model: %s, %s', source, 'cased' if tok.cased else 'uncased')
    known = None
    if not args.only_predict:
        known = train(args, net, forward, tok, comm, config, questions, windows)
    report(args, forward, comm, questions.get('dev'), windows.get('dev'), known)
    return 0


def read_questions(args):
    """{split: questions} of the user's files, the toy ones or the official ones."""
    from bert.data import squad_files
    from bert.utils.download import is_offline
    if args.predict is not None:
        return {}
    paths = {'train': args.train_file, 'dev': args.dev_file}
    if args.only_predict:
        del paths['train']
    if not any(paths.values()):
        version = '2.0' if args.version_2 else '1.1'
        for split in paths:
            paths[split] = (squad_files.sample(split, version) if args.bert_model == 'sample' else
                            squad_files.find(split, version,
                                            offline=is_offline(args.offline or None)))
    elif not args.only_predict and not args.train_file:
        raise DataError('--train_file is missing; to use a trained model add --only_predict')
    questions = {split: squad.read(path, split == 'train') for split, path in paths.items() if path}
    if args.debug:
        questions = {split: rows[:DEBUG_QUESTIONS] for split, rows in questions.items()}
    impossible = sum(question.impossible for question in questions.get('train', ()))
    if impossible and not args.version_2:
        raise DataError(f"{paths['train']}: {impossible} questions have no answer; add --version_2")
    if not args.only_predict and not is_labelled(questions.get('dev', ())):
        raise DataError(f"{paths['dev']}: has questions without labels, so no epoch can be the "
                        "best; leave out "
                        '--dev_file, or answer them with --only_predict')
    return questions


def is_labelled(questions):
    """Whether all of them can be scored."""
    return all(question.answers or question.impossible for question in questions)


def build(args, config, arrays, source, comm):
    """The network with the weights found; the head is fresh where they have none."""
    import mxnet as mx

    from bert.model.heads import QuestionAnswering
    from bert.model.parameters import initialize, load_parameters
    mx.random.seed(args.seed)
    net = QuestionAnswering(config, args.dropout)
    initialize(net, config, comm.devices)
    load_parameters(net, arrays, source,
                          optional=() if args.model_parameters else ('span_classifier.',))
    return net


def featurize(args, tok, questions, split):
    """The windows over the passage of each question: a list of lists of Feature."""
    from bert.data import feature_cache
    settings = args.max_seq_length, args.doc_stride, args.max_query_length
    fields = squad.Feature._fields[1:]      # all but the question's id

    def make():
        columns = {name: [] for name in fields}
        owner = []
        for index, question in enumerate(questions):
            for feature in squad.features(question, tok, *settings):
                owner.append(index)
                for name in fields:
                    columns[name].append(getattr(feature, name))
        return dict(columns, owner=owner)

    columns = feature_cache.cached(split, tok, itertools.chain([settings], questions), make)
    windows = [[] for _ in questions]
    for index, *values in zip(columns['owner'], *(columns[name] for name in fields)):
        windows[index].append(squad.Feature(questions[index].id, *values))
    return windows


def span_scores(forward, rows, device):
    """Scores of each token as the first and as the last of the answer: (rows, longest, 2) float32.

    Padding is no choice: it has -1e9, so a row's loss does not depend on the batch it is in.
    """
    from bert.model.forward import unpack
    ids = [row.ids for row in rows]
    return unpack(forward(ids, [row.segments for row in rows], device), [len(row) for row in ids],
                  fill=-1e9)


def span_loss(forward, rows, device):
    """Sum over the rows of the mean cross entropy of the answer's first and last token, (1,)."""
    import mxnet as mx
    from mxnet.gluon.loss import SoftmaxCrossEntropyLoss
    places = mx.nd.array([[row.answer_start, row.answer_end] for row in rows], ctx=device)
    return SoftmaxCrossEntropyLoss(axis=1)(span_scores(forward, rows, device), places).sum()


def train(args, net, forward, tok, comm, config, questions, windows):
    """Epochs of updates, a dev score after each; the network ends with the best weights.

    Returns the answers to the dev set's questions with these, or None.
    """
    import mxnet as mx

    from bert.checkpoint import result_folder
    from bert.training import finetuning
    # training needs only the ids, segments and places of the answers
    rows = [row._replace(starts=None, ends=None, max_context=None)
            for row in itertools.chain.from_iterable(windows.pop('train'))]

    def describe():
        settings = {name: getattr(args, name) for name in SETTINGS}
        result_folder.describe(args.output_dir, config, tok, 'span_classifier.', (),
                        dict(settings, task='squad'), args)

    with finetuning.Run(args, net, comm, [len(row.ids) for row in rows], describe) as training:
        for epoch, updates in training.epochs():
            for indices in updates:
                for micro in training.share(indices):
                    with mx.autograd.record():
                        losses = [span_loss(forward, [rows[i] for i in part], device)
                                  for part, device in sampling.split(micro, comm.devices)]
                    training.stepper.backward(losses, len(micro))
                training.step(len(indices))
            scores, best, answers = {}, epoch, None     # without a dev set the last is the best
            if 'dev' in questions:
                answers = predict(args, forward, comm, questions['dev'], windows['dev'])
                everything = evaluate(args, questions['dev'], answers)
                scores['dev'] = {name: everything[name] for name in ('exact', 'f1')}
                best = everything['f1']
            if training.end_epoch(scores, best, answers):
                break
        return training.load_best()


def predict(args, forward, comm, questions, windows):
    """The answer to each question: a list of :class:`bert.data.squad.Prediction`."""
    rows = list(itertools.chain.from_iterable(windows))
    logits = iter(score_rows(
        [len(row.ids) for row in rows], args.test_batch_size, comm,
        lambda part, device: span_scores(forward, [rows[i] for i in part], device), by_token=True))
    out = []
    for question, mine in zip(questions, windows):
        scores = list(itertools.islice(logits, len(mine)))
        out.append(squad.predict(question, mine, [s[:, 0] for s in scores],
                                 [s[:, 1] for s in scores], args.n_best_size,
                                 args.max_answer_length, args.null_score_diff_threshold,
                                 args.version_2))
    return out


def evaluate(args, questions, predictions):
    """The official scores of ``predictions``; with ``--version_2`` those of null_odds.json too."""
    from bert.metrics import squad as squad_metrics
    texts, null_odds = texts_and_odds(predictions)
    return squad_metrics.evaluate(questions, texts, null_odds if args.version_2 else None)


def texts_and_odds(predictions):
    """What predictions.json and null_odds.json hold."""
    return {p.id: p.text for p in predictions}, {p.id: p.null_odds for p in predictions}


def report(args, forward, comm, questions, windows, known):
    """Answer and score the dev set, write the files, and say where things lie.

    ``known`` are the answers, or None.
    """
    from bert.metrics import squad as squad_metrics
    from bert.training import plot
    folder = args.output_dir
    predictions = known or (predict(args, forward, comm, questions, windows) if questions else [])
    if comm.rank:
        return
    if questions:
        squad.write(folder, predictions)
    if questions and is_labelled(questions):
        scores = evaluate(args, questions, predictions)
        files.write_json(os.path.join(folder, 'results.json'), {'dev': scores})
        print('\n'.join(squad_metrics.summary(scores)))
        if args.version_2:
            suggest_threshold(args, questions, predictions, scores)
            curves = squad_metrics.precision_recall(questions, *texts_and_odds(predictions))
            if args.plot and curves:
                plot.precision_recall(os.path.join(folder, 'precision-recall.png'), curves)
    if args.plot and not args.only_predict:
        plot.training_curves(folder)
    print(f'results: {folder}')
    if not args.only_predict:
        print('to answer: python %s --model_parameters %s --predict "A question?" "A passage."'
              % (sys.argv[0] if __name__ == '__main__' else 'scripts/finetune_squad.py', folder))


def suggest_threshold(args, questions, predictions, scores):
    """Say which threshold is best where it is one above the present one.

    The official search sees the answers given, not those that the present threshold withheld.
    """
    given = [p._replace(text=next((entry['text'] for entry in p.nbest if entry['text']), ''))
             for p in predictions]
    wider = evaluate(args, questions, given)
    if wider['best_f1'] > scores['best_f1']:
        print(f"answers withheld now would make it f1 {wider['best_f1']:.2f} with "
              f"--null_score_diff_threshold {wider['best_f1_thresh']!r}")


def answer_texts(args, forward, tok, comm):
    """Print a line a question: the answer, its probability, and where it starts and ends."""
    args.n_best_size = max(2, args.n_best_size)     # "no answer" and the best one are both listed
    source = iter(['\t'.join(args.predict)] if args.predict else sys.stdin)
    numbers = itertools.count(1)
    while True:
        lines = list(itertools.islice(source, 8 * args.test_batch_size))
        if not lines:
            return 0
        questions = []
        for line, number in zip(lines, numbers):
            question, tab, passage = line.rstrip('\r\n').partition('\t')
            if not tab:
                raise DataError(f'standard input line {number}: one text where a question and a '
                                'passage belong, with a tab between them')
            questions.append(squad.Question(str(number), question, passage, [], False))
        for p in predict(args, forward, comm, questions, featurize(args, tok, questions, 'texts')):
            likely = next(entry['probability'] for entry in p.nbest if entry['text'] == p.text)
            if p.text:
                text, end = ' '.join(p.text.split()), p.start + len(p.text)
                print(f'{text}\t{likely:.4f}\t{p.start}\t{end}')
            else:
                print(f'(no answer)\t{likely:.4f}\t-\t-')


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
