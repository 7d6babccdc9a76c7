"""Fine-tune BERT to tag named entities; score and predict files of CoNLL columns.

    python finetune_ner.py --bert-model sample
    python finetune_ner.py --train-path train.txt --dev-path dev.txt --test-path test.txt \\
        --learning-rate 1e-5 --num-epochs 3 --save-checkpoint-prefix my_tagger

predict_ner.py then tags other files, and plain text, with --load-checkpoint-prefix my_tagger.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import collections
import logging
import os
import sys

from bert.data import sampling, tagging
from bert.training import flags
from bert.utils import cli
from bert.utils.errors import DataError, run

# sentences: list of bert.data.conll.Sentence; rows: list of bert.data.tagging.Row made from them
Data = collections.namedtuple('Data', 'sentences rows')
LR, EPOCHS = 5e-5, 50
SAMPLE_LR, SAMPLE_EPOCHS = 1e-3, 10     # the sample model is tiny


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    data = parser.add_argument_group(
        'data', 'Files of CoNLL columns: a token a line, a blank line between sentences, columns\n'
        'separated by spaces or tabs, tags in BIO, BIO2 or BIOES.  Without files,\n'
        '--bert_model sample takes the sample data.')
    data.add_argument('--train_path', metavar='FILE')
    data.add_argument('--dev_path', metavar='FILE',
                      help='to choose the best epoch by; without it the last one counts')
    data.add_argument('--test_path', metavar='FILE',
                      help='to tag at the end, and to score where it has tags')
    flags.add_conll_flags(data)
    data.add_argument('--scheme', choices=('BIO2', 'BIOES'),
                      help="to learn the tags in (default: the trained model's, or BIO2)")
    flags.add_model_flags(parser)
    parser.add_argument('--cased', action='store_true',
                        help='take the model pre-trained on cased text')
    flags.add_training_flags(parser, lr=LR, epochs=EPOCHS, batch_size=8, seed=13531)
    flags.add_runtime_flags(parser)
    parser.add_argument('--dev_batch_size', type=cli.positive_int, default=32, metavar='N',
                        help='sentences at once in evaluation (default: %(default)s)')
    for flag, other in (('--lr', '--learning_rate'), ('--epochs', '--num_epochs'),
                        ('--dropout', '--dropout_prob'),
                        ('--output_dir', '--save_checkpoint_prefix')):
        parser.alias(flag, other)
    args = parser.parse_args(argv)
    toy = args.bert_model == 'sample'
    if toy and not (args.train_path or args.dev_path or args.test_path):
        args.train_path, args.dev_path, args.test_path = (
            os.path.join(tagging.SAMPLE, name) for name in ('train.txt', 'dev.txt', 'test.txt'))
    if not args.train_path:
        parser.error('--train_path is missing; --bert_model sample alone works out of the box')
    args.epochs = args.epochs or (SAMPLE_EPOCHS if toy else EPOCHS)
    args.lr = args.lr or (SAMPLE_LR if toy else LR)
    if args.cased:
        name = args.bert_dataset or 'book_corpus_wiki_en'
        if name.endswith('_uncased'):
            parser.error(f'--cased and --bert_dataset {name} contradict each other')
        args.bert_dataset = name if name.endswith('_cased') else name + '_cased'
    return args


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import result_folder
    from bert.data import conll
    from bert.model.forward import create_forward
    from bert.training import runtime
    comm = runtime.start(args)
    sentences = {split: conll.read(path, args.token_column, args.tag_column) for split, path in
                 (('train', args.train_path), ('dev', args.dev_path), ('test', args.test_path))
                 if path}
    for split, path in ('train', args.train_path), ('dev', args.dev_path):
        if split in sentences and sentences[split][0].tags is None:
            raise DataError(f'{path}: one column, so no tags; each word needs its tag here')
    config, tok, arrays, source = result_folder.load(args)
    if args.cased and not tok.cased:
        raise DataError(f'--cased: the model {source} is uncased; leave the flag out, or take '
                        'another')
    args.seq_len = args.seq_len or config.settings.get('seq_len', tagging.SEQ_LEN)
    tagging.check_length(args.seq_len, config.max_position_embeddings)
    labels = settle(args, config, sentences)
    net = build(args, labels, config, arrays, source, comm)
    del arrays      # as large as the network
    forward = create_forward(net, args.path, args.dtype, tok.pad_id)
    sets = {split: Data(given, tagging.rows(tok, [s.words for s in given], args.seq_len))
            for split, given in sentences.items()}
    for split, (given, rows) in sets.items():
        long = len({row.sentence for row in rows if row.word})
        windows = f', {long} of them longer than --seq_len {args.seq_len} and taken as windows'
        logging.info('%s: %d sentences%s', split, len(given), windows if long else '')
    logging.info('tags: %s; model: %s', ' '.join(labels), source)
    known = train(args, labels, net, forward, tok, comm, config, sets)
    report(args, labels, forward, comm, sets, known)
    return 0


def settle(args, config, sentences):
    """The tags in the order of the model's outputs: of the data, or of a model trained before."""
    known = config.labels if args.model_parameters else None
    scheme = args.scheme or (tagging.scheme_of(known) if known else 'BIO2')
    found = tagging.find_labels(sentences['train'] + sentences.get('dev', []), scheme)
    if len(found) == 1:
        raise DataError(f'{args.train_path}: no word is tagged as an entity, all are O; is '
                        '--tag_column right?')
    new = [label for label in found if known and label not in known]
    if new:
        raise DataError(f"the data have the tag {new[0]}, which {args.model_parameters} does not "
                        f"know: {' '.join(known)}; train a fresh head "
                        f'with --pretrained_bert_parameters {args.model_parameters} instead of '
                        '--model_parameters')
    return known or found


def build(args, labels, config, arrays, source, comm):
    """The network with the weights found; the head is fresh unless --model_parameters has it."""
    import mxnet as mx

    from bert.model.heads import Tagger
    from bert.model.parameters import initialize, load_parameters
    mx.random.seed(args.seed)
    net = Tagger(config, len(labels), args.dropout)
    initialize(net, config, comm.devices)
    if args.model_parameters:
        load_parameters(net, arrays, source)
    else:
        encoder = {name: array for name, array in arrays.items() if name.startswith('bert.')}
        load_parameters(net, encoder, source, optional=('tag_classifier.',))
    return net


def train(args, labels, net, forward, tok, comm, config, sets):
    """Epochs of updates, a dev score after each; the network ends with the best weights.

    Returns the tags of the dev set with these, or None.
    """
    import mxnet as mx
    from mxnet.gluon.loss import SoftmaxCrossEntropyLoss

    from bert.checkpoint import result_folder
    from bert.data import conll
    from bert.training import finetuning
    from bert.training.tagging import word_logits

    sentences, rows = sets['train']
    loss_of = SoftmaxCrossEntropyLoss()
    class_of = {label: i for i, label in enumerate(labels)}
    scheme = args.scheme or tagging.scheme_of(labels)
    classes = [[class_of[tag] for tag in conll.convert(sentence.tags, scheme)]
               for sentence in sentences]

    def describe():
        result_folder.describe(args.output_dir, config, tok, 'tag_classifier.1.', labels,
                        {'task': 'ner', 'seq_len': args.seq_len}, args)

    with finetuning.Run(args, net, comm, [len(row.ids) for row in rows], describe) as training:
        for epoch, updates in training.epochs():
            for indices in updates:
                for micro in training.share(indices):
                    with mx.autograd.record():
                        losses = []
                        for part, device in sampling.split(micro, comm.devices):
                            part = [rows[i] for i in part]
                            targets = mx.nd.array(tagging.targets(part, classes), ctx=device)
                            scores = word_logits(forward, part, device)
                            losses.append(loss_of(scores, targets).sum())
                    # a mean over words: each counts the same, however many are in its batch
                    training.stepper.backward(losses, sum(len(rows[i].first) for i in micro))
                training.step(len(indices))
            scores, tags = {}, None
            if 'dev' in sets:
                tags = predict(args, labels, forward, comm, sets['dev'])
                overall = tagging.score(sets['dev'].sentences, tags)['overall']
                scores['dev'] = {name: overall[name] for name in ('f1', 'precision', 'recall')}
            if training.end_epoch(scores, scores['dev']['f1'] if scores else epoch, tags):
                break
        return training.load_best()


def predict(args, labels, forward, comm, data):
    """The tags of every sentence of a set."""
    from bert.training.tagging import predict as predict_tags
    return predict_tags(forward, data.rows, len(data.sentences), labels, comm,
                        args.dev_batch_size)


def report(args, labels, forward, comm, sets, known):
    """Score the dev and test sets, write their predictions, and say where things lie.

    ``known`` are the tags of the dev set, or None.
    """
    from bert.training import plot
    from bert.utils import files
    results = {}
    for split in ('dev', 'test'):
        if split not in sets:
            continue
        tags = known if split == 'dev' else None
        tags = tags or predict(args, labels, forward, comm, sets[split])
        if comm.rank:
            continue
        sentences = sets[split].sentences
        path = os.path.join(args.output_dir, f'predictions-{split}.txt')
        tagging.write(path, sentences, tags, labels)
        if sentences[0].tags is not None:
            results[split] = tagging.score(sentences, tags)
            print(f'{split}:\n{tagging.table(results[split])}')
        print(f'predictions: {path}')
    if comm.rank:
        return
    if results:
        files.write_json(os.path.join(args.output_dir, 'results.json'), results)
    if args.plot:
        plot.training_curves(args.output_dir)
    print(f'results: {args.output_dir}')
    print('to predict: python %s --load-checkpoint-prefix %s --text "Some text."' % (
        os.path.join(os.path.dirname(sys.argv[0]), 'predict_ner.py') if __name__ == '__main__'
        else 'scripts/predict_ner.py', args.output_dir))


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
