"""Fine-tune BERT to answer questions about a passage (SQuAD 1.1 and 2.0); evaluate; answer.

    python finetune_squad.py --bert_model sample
    python finetune_squad.py --optimizer adam --accumulate 2 --batch_size 6 --lr 3e-5 --epochs 2
    python finetune_squad.py --version_2 --train_file train.json --dev_file dev.json
    python finetune_squad.py --only_predict --model_parameters output_dir --dev_file dev.json
    python finetune_squad.py --model_parameters output_dir --predict "A question?" "A passage."

Without --train_file and --dev_file the data are the official SQuAD, which is downloaded; with
--bert_model sample they are a small set that is part of this package.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import dataclasses
import itertools
import logging
import math
import os

from bert.checkpoint.source import read_settings
from bert.data import inputs, lengths, squad, squad_answers, squad_features
from bert.metrics import squad as squad_metrics
from bert.training import flags
from bert.utils import cli
from bert.utils.errors import DataError, run, show

# what a result folder remembers, so that it can answer without these flags
ANSWERS = {'n_best_size': 20, 'max_answer_length': 30, 'version_2': False,
           'null_score_diff_threshold': 0.0}
WINDOWS = tuple(lengths.SQUAD)      # their defaults also depend on the model
SETTINGS = (*WINDOWS, *ANSWERS)
DEFAULTS = flags.Defaults(lr=5e-5, epochs=3, sample_lr=1e-3, sample_epochs=10)
DEBUG_QUESTIONS = 100


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    data = parser.add_argument_group('data')
    data.add_argument('--train_file', type=cli.path, metavar='FILE',
                      help="your own data, in SQuAD's JSON format")
    data.add_argument('--dev_file', type=cli.path, metavar='FILE',
                      help='chooses the best epoch, or is answered')
    data.add_argument('--version_2', action='store_true', default=None,
                      help='SQuAD 2.0: some questions have no answer in their passage')
    data.add_argument('--max_seq_length', type=cli.positive_int, metavar='TOKENS',
                      help='of a question and a window of its passage, special tokens included '
                           "(default: 384, or the model's positions if fewer)")
    data.add_argument('--doc_stride', type=cli.positive_int, metavar='TOKENS',
                      help='from one window of a long passage to the next (default: 128, or a '
                           "third of the model's positions if these are the length)")
    data.add_argument('--max_query_length', type=cli.positive_int, metavar='TOKENS',
                      help='longer questions are cut (default: 64, or likewise a sixth)')
    data.add_argument('--uncased', action='store_true',
                      help='lower-case all text (default: as the model was trained)')
    data.add_argument('--sentencepiece', type=cli.path, metavar='FILE',
                      help='use this SentencePiece model as the vocabulary, from random weights '
                           'unless --bert_model is a folder that fits it')
    data.add_argument('--debug', action='store_true',
                      help=f'use only the first {DEBUG_QUESTIONS} questions of each file')
    flags.add_model_flags(parser)
    flags.add_training_flags(parser, DEFAULTS, seed=6)
    flags.add_runtime_flags(parser)
    parser.set_defaults(log_interval=50)
    answers = parser.add_argument_group('answers')
    answers.add_argument('--only_predict', action='store_true',
                         help='no training: answer and score the questions of the dev set')
    answers.add_argument('--predict', nargs='*', metavar='TEXT',
                         help='answer this question about this passage; without them, the lines of '
                              'standard input (question, tab, passage); prints the answer, its '
                              'probability, and where it starts and ends in the passage '
                              '(characters)')
    answers.add_argument('--test_batch_size', type=cli.positive_int, default=24, metavar='N',
                         help='windows at once in evaluation (default: %(default)s)')
    answers.add_argument('--n_best_size', type=cli.positive_int, metavar='N',
                         help='answers in nbest_predictions.json (default: 20)')
    answers.add_argument('--max_answer_length', type=cli.positive_int, metavar='TOKENS',
                         help='answers are not longer (default: 30)')
    answers.add_argument('--null_score_diff_threshold', type=float, metavar='X',
                         help='with --version_2: give no answer if the score of "no answer" minus '
                              'that of the best answer exceeds X (default: 0)')
    args = parser.parse_args(argv)
    saved = read_settings(args.model_parameters, 'squad')
    for name in SETTINGS:
        if getattr(args, name) is None:
            known = saved.get(name)
            setattr(args, name, ANSWERS.get(name) if known is None else known)
    flags.fill_in(parser, args, DEFAULTS)
    check(parser, args)
    return args


def check(parser, args):
    """Exit with a usage error if flags contradict each other."""
    length, query = (getattr(args, name) or lengths.SQUAD[name]
                     for name in ('max_seq_length', 'max_query_length'))
    if length <= query + 3:
        parser.error(f'--max_seq_length {length} must exceed --max_query_length + 3 ({query + 3}); '
                     'choose both')
    if not math.isfinite(args.null_score_diff_threshold):
        parser.error(f'--null_score_diff_threshold {args.null_score_diff_threshold:g} is not a '
                     'finite number')
    if args.null_score_diff_threshold and not args.version_2:
        parser.error('--null_score_diff_threshold is for data with unanswerable questions: add '
                     '--version_2')
    if (args.only_predict or args.predict is not None) and not args.model_parameters:
        parser.error('--only_predict and --predict need --model_parameters, a result folder')
    if args.predict is not None and len(args.predict) not in (0, 2):
        parser.error('--predict takes a question and a passage; quote each of them')
    if args.dev_file and not args.train_file and not flags.only_predicts(args):
        parser.error('--train_file is missing; to use a trained model add --only_predict')


def main(argv=None):
    return flags.each_seed(parse_args(argv), fine_tune, 'f1')


def fine_tune(args):
    """Train and evaluate as ``args`` specify; returns {set: {metric: value}}, or None."""
    from bert.checkpoint import result_folder
    from bert.model.heads import QuestionAnswering
    from bert.training import finetuning
    from bert.training.runtime import start
    runtime = start(flags.device_settings(args, args.comm))
    args.dtype = runtime.dtype
    if args.predict is None:
        flags.check_output(args, runtime.comm.rank, trains=not args.only_predict)
    questions = read_questions(args)
    source = dataclasses.replace(flags.model_source(args), vocab=args.sentencepiece,
                                 cased=False if args.uncased else None)
    loaded = result_folder.load(source, fresh=True)
    vars(args).update(lengths.squad_windows(loaded.config.max_position_embeddings,
                                            **{name: getattr(args, name) for name in WINDOWS}))
    model = finetuning.build(
        QuestionAnswering(loaded.config, args.dropout), loaded, runtime, args.seed,
        fresh=() if args.model_parameters else ('span_classifier.',) if loaded.arrays else ('',),
        inference=flags.only_predicts(args))
    source = loaded.source
    del loaded      # its arrays are as large as the network
    if args.predict is not None:
        return answer_texts(args, model)
    windows = {split: featurize(args, model, rows, split) for split, rows in questions.items()}
    for split, rows in questions.items():
        logging.info('%s: %d questions in %d windows', split, len(rows),
                     sum(map(len, windows[split])))
    squad_features.warn_of_gaps(itertools.chain(*windows.values()), args.doc_stride)
    logging.info('model: %s, %s', source, 'cased' if model.tokenizer.cased else 'uncased')
    best = None
    if not args.only_predict:
        rows = squad_features.training_rows(windows.pop('train'))
        best = train(args, model, rows, questions.get('dev'), windows.get('dev'))
    return report(args, model, questions.get('dev'), windows.get('dev'), best)


def read_questions(args):
    """{split: questions} of the user's files, the sample ones or the official ones."""
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
    questions = {split: squad.read(path, split == 'train') for split, path in paths.items() if path}
    if args.debug:
        questions = {split: rows[:DEBUG_QUESTIONS] for split, rows in questions.items()}
    for split, rows in questions.items():
        squad.check_version(paths[split], rows, args.version_2, split == 'train')
    if not args.only_predict and not squad.is_labelled(questions.get('dev', ())):
        raise DataError(f"{paths['dev']}: has questions without labels, so it cannot choose the "
                        'best epoch; omit --dev_file, or answer them with --only_predict')
    return questions


def featurize(args, model, questions, name):
    """The windows over the passage of each question: a list of lists of SpanFeature."""
    return squad_features.featurize(name, model.tokenizer, questions,
                                    *(getattr(args, setting) for setting in WINDOWS))


def span_loss(forward, rows, device):
    """Sum over the rows of the mean cross entropy of the answer's first and last token, (1,)."""
    import mxnet as mx
    from mxnet.gluon.loss import SoftmaxCrossEntropyLoss

    from bert.training import spans
    positions = mx.nd.array([[row.answer_start, row.answer_end] for row in rows], ctx=device)
    return SoftmaxCrossEntropyLoss(axis=1)(spans.logits(forward, rows, device), positions).sum()


def train(args, model, rows, questions, windows):
    """Train, and evaluate after each epoch; the network ends with the best weights.

    Returns the answers to the dev set's ``questions`` with these weights, or None.
    """
    from bert.training import finetuning

    def loss(indices, device):
        return span_loss(model.forward, [rows[i] for i in indices], device)

    settings = {name: getattr(args, name) for name in SETTINGS}
    description = finetuning.Description('span_classifier.', (), dict(settings, task='squad'))
    with finetuning.Run(flags.recipe(args), flags.output_settings(args, model.runtime.layout),
                        model, squad_features.training_columns(rows), description,
                        dev=questions or ()) as training:
        for epoch in training.epochs():
            for update in epoch:
                training.update(update, loss)
            scores, f1, answers = {}, None, None
            if questions is not None:
                answers = predict(args, model, questions, windows)
                results = evaluate(args, questions, answers)
                f1 = results['f1']
                scores['dev'] = {'exact': results['exact'], 'f1': f1}
            if training.end_epoch(scores, f1, answers):
                break
        return training.load_best()


def predict(args, model, questions, windows):
    """The answer to each question: a list of :class:`bert.data.squad_answers.Prediction`."""
    from bert.training import spans
    return spans.predict(model.forward, questions, windows, model.runtime.comm,
                         args.test_batch_size, **{name: getattr(args, name) for name in ANSWERS})


def evaluate(args, questions, predictions):
    """The official scores of the predictions; with ``--version_2`` those of null_odds.json too."""
    texts, null_odds = squad_answers.texts_and_odds(predictions)
    return squad_metrics.evaluate(questions, texts, null_odds if args.version_2 else None)


def report(args, model, questions, windows, best):
    """Answer and evaluate the dev set, write the files, print the results.

    ``best`` are the answers, or None.
    """
    from bert.training import plot, summary
    folder, results, curves = args.output_dir, {}, None
    predictions = best or (predict(args, model, questions, windows) if questions else [])
    if model.runtime.comm.rank:
        return None
    if questions:
        squad_answers.write(folder, predictions)
    if questions and squad.is_labelled(questions):
        results['dev'] = evaluate(args, questions, predictions)
        show('\n'.join(squad_metrics.summary(results['dev'])))
        if args.version_2:
            suggest_threshold(args, questions, predictions, results['dev'])
            curves = squad_metrics.precision_recall(
                questions, *squad_answers.texts_and_odds(predictions))
    summary.write(
        folder, results, None if args.only_predict else summary.Hint(
            'to answer', 'scripts/finetune_squad.py', '--model_parameters',
            ('--predict', 'A question?', 'A passage.')), curves=args.plot)
    if args.plot and curves:
        plot.precision_recall(os.path.join(folder, 'precision-recall.png'), curves)
    return {split: {name: scores[name] for name in ('exact', 'f1')}
            for split, scores in results.items()}


def suggest_threshold(args, questions, predictions, scores):
    """Print a threshold above the present one, if it is better."""
    wider = evaluate(args, questions, squad_answers.without_threshold(predictions))
    if wider['best_f1'] > scores['best_f1']:
        show(f"with the answers that are now withheld, f1 would be {wider['best_f1']:.2f} at "
             f"--null_score_diff_threshold={wider['best_f1_thresh']!r}")


def answer_texts(args, model):
    """Print one line per question: the answer, its probability, and where it starts and ends."""
    warned = False
    for lines in inputs.read_lines(args.predict, 8 * args.test_batch_size):
        questions = squad.from_lines(lines)
        windows = featurize(args, model, questions, 'texts')
        warned = warned or squad_features.warn_of_gaps(windows, args.doc_stride)
        for prediction in predict(args, model, questions, windows):
            print(squad_answers.as_columns(prediction))


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
