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

import logging
import os
import sys
from typing import List, NamedTuple

from bert.data import conll, tagging, tags
from bert.training import flags
from bert.utils import cli
from bert.utils.errors import DataError, run

LR, EPOCHS = 5e-5, 50
SAMPLE_LR, SAMPLE_EPOCHS = 1e-3, 10     # the sample model is tiny


class Data(NamedTuple):
    """A set: its sentences, and the features made from them."""
    sentences: List[conll.Sentence]
    features: List[tagging.TaggingFeature]


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    data = parser.add_argument_group(
        'data', 'Files of CoNLL columns: one token per line, a blank line between sentences,\n'
        'columns separated by spaces or tabs, tags in BIO, BIO2 or BIOES.  Without files,\n'
        '--bert_model sample uses the sample data.')
    data.add_argument('--train_path', metavar='FILE')
    data.add_argument('--dev_path', metavar='FILE',
                      help='chooses the best epoch; without it, that is the last one')
    data.add_argument('--test_path', metavar='FILE',
                      help='to tag at the end, and to score if it has tags')
    flags.add_conll_flags(data)
    data.add_argument('--scheme', choices=('BIO2', 'BIOES'),
                      help="scheme of the learned tags (default: the trained model's, or BIO2)")
    flags.add_model_flags(parser)
    parser.add_argument('--cased', action='store_true',
                        help='use the model pre-trained on cased text')
    flags.add_training_flags(parser, lr=LR, epochs=EPOCHS, batch_size=8, seed=13531)
    flags.add_runtime_flags(parser)
    parser.add_argument('--dev_batch_size', type=cli.positive_int, default=32, metavar='N',
                        help='sentences at once in evaluation (default: %(default)s)')
    for flag, other in (('--lr', '--learning_rate'), ('--epochs', '--num_epochs'),
                        ('--dropout', '--dropout_prob'),
                        ('--output_dir', '--save_checkpoint_prefix')):
        parser.alias(flag, other)
    args = parser.parse_args(argv)
    sample = args.bert_model == 'sample'
    if sample and not (args.train_path or args.dev_path or args.test_path):
        args.train_path, args.dev_path, args.test_path = (
            os.path.join(tagging.SAMPLE, name) for name in ('train.txt', 'dev.txt', 'test.txt'))
    if not args.train_path:
        parser.error('--train_path is missing; --bert_model sample alone works out of the box')
    args.epochs = args.epochs or (SAMPLE_EPOCHS if sample else EPOCHS)
    args.lr = args.lr or (SAMPLE_LR if sample else LR)
    if args.cased:
        name = args.bert_dataset or 'book_corpus_wiki_en'
        if name.endswith('_uncased'):
            parser.error(f'--cased and --bert_dataset {name} contradict each other')
        args.bert_dataset = name if name.endswith('_cased') else name + '_cased'
    return args


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import result_folder
    from bert.model.heads import Tagger
    from bert.training import finetuning
    from bert.training.runtime import start
    runtime = start(flags.device_settings(args, args.comm))
    flags.check_output(args, runtime.comm.rank)
    sentences = read_sentences(args)
    loaded = result_folder.load(flags.model_source(args))
    config, source = loaded.config, loaded.source
    if args.cased and not loaded.tokenizer.cased:
        raise DataError(f'--cased: the model {source} is uncased; omit the flag, or use another '
                        'model')
    seq_len = args.seq_len or config.settings.get('seq_len', tagging.SEQ_LEN)
    tagging.check_length(seq_len, config.max_position_embeddings)
    labels = resolve_labels(args, config, sentences)
    if not args.model_parameters:       # the head is of other labels
        loaded = loaded._replace(arrays={
            name: array for name, array in loaded.arrays.items() if name.startswith('bert.')})
    model = finetuning.build(Tagger(config, len(labels), args.dropout), loaded, runtime, args.seed,
                             fresh=() if args.model_parameters else ('tag_classifier.',))
    del loaded      # its arrays are as large as the network
    sets = {}
    for split, rows in sentences.items():
        features = tagging.features(model.tokenizer, [row.words for row in rows], seq_len)
        sets[split] = Data(rows, features)
        long = len({feature.sentence for feature in features if feature.word})
        windows = f', {long} of them longer than --seq_len {seq_len} and split into windows'
        logging.info('%s: %d sentences%s', split, len(rows), windows if long else '')
    logging.info('tags: %s; model: %s', ' '.join(labels), source)
    best = train(args, seq_len, labels, model, sets)
    report(args, labels, model, sets, best)
    return 0


def read_sentences(args):
    """{split: sentences} of the files; training and dev sentences have tags."""
    paths = {'train': args.train_path, 'dev': args.dev_path, 'test': args.test_path}
    sentences = {split: conll.read(path, args.token_column, args.tag_column)
                 for split, path in paths.items() if path}
    for split in ('train', 'dev'):
        if split in sentences and sentences[split][0].tags is None:
            raise DataError(f'{paths[split]}: has one column, so no tags; each word needs its tag '
                            'here')
    return sentences


def resolve_labels(args, config, sentences):
    """The tags in the order of the logits: those of the data, or of the trained model."""
    trained = config.labels if args.model_parameters else None
    scheme = args.scheme or (tagging.scheme_of(trained) if trained else 'BIO2')
    found = tagging.find_labels(sentences['train'] + sentences.get('dev', []), scheme)
    if len(found) == 1:
        raise DataError(f'{args.train_path}: no word is tagged as an entity, all tags are O; is '
                        '--tag_column right?')
    new = [label for label in found if trained and label not in trained]
    if new:
        raise DataError(f'the data have the tag {new[0]}, which {args.model_parameters} does not '
                        f"know: {' '.join(trained)}; to train a new head, use "
                        f'--pretrained_bert_parameters {args.model_parameters} instead of '
                        '--model_parameters')
    return trained or found


def train(args, seq_len, labels, model, sets):
    """Train, and evaluate after each epoch; the network ends with the best weights.

    Returns the tags of the dev set with these weights, or None.
    """
    import mxnet as mx
    from mxnet.gluon.loss import SoftmaxCrossEntropyLoss

    from bert.training import finetuning
    from bert.training.tagging import word_logits
    sentences, features = sets['train']
    cross_entropy = SoftmaxCrossEntropyLoss()
    class_of = {label: i for i, label in enumerate(labels)}
    scheme = args.scheme or tagging.scheme_of(labels)
    classes = [[class_of[tag] for tag in tags.convert(sentence.tags, scheme)]
               for sentence in sentences]

    def loss(indices, device):
        chosen = [features[i] for i in indices]
        targets = mx.nd.array(tagging.targets(chosen, classes), ctx=device)
        return cross_entropy(word_logits(model.forward, chosen, device), targets).sum()

    description = finetuning.Description('tag_classifier.1.', labels,
                                         {'task': 'ner', 'seq_len': seq_len})
    output = flags.output_settings(args, model.runtime.layout, {'seq_len': seq_len})
    # the mean over words: each counts the same, however many are in its batch
    with finetuning.Run(flags.recipe(args), output, model, [len(f.ids) for f in features],
                        description, counts=[len(f.first) for f in features]) as training:
        for epoch in training.epochs():
            for update in epoch:
                training.update(update, loss)
            scores, f1, predicted = {}, None, None
            if 'dev' in sets:
                predicted = predict(args, labels, model, sets['dev'])
                overall = tagging.score(sets['dev'].sentences, predicted)['overall']
                f1 = overall['f1']
                scores['dev'] = {name: overall[name] for name in ('f1', 'precision', 'recall')}
            if training.end_epoch(scores, f1, predicted):
                break
        return training.load_best()


def predict(args, labels, model, data):
    """The tags of every sentence of a set."""
    from bert.training.tagging import predict as predict_tags
    return predict_tags(model.forward, data.features, len(data.sentences), labels,
                        model.runtime.comm, args.dev_batch_size)


def report(args, labels, model, sets, best):
    """Score the dev and test sets, write their predictions, print the results.

    ``best`` are the tags of the dev set, or None.
    """
    from bert.training import finetuning
    results = {}
    for split in [split for split in ('dev', 'test') if split in sets]:
        predicted = best if split == 'dev' else None
        predicted = predicted or predict(args, labels, model, sets[split])
        if model.runtime.comm.rank:
            continue
        sentences = sets[split].sentences
        path = os.path.join(args.output_dir, f'predictions-{split}.txt')
        tagging.write(path, sentences, predicted, labels)
        if sentences[0].tags is not None:
            results[split] = tagging.score(sentences, predicted)
            print(f'{split}:\n{tagging.table(results[split])}')
        print(f'predictions: {path}')
    if model.runtime.comm.rank == 0:
        script = sys.argv[0] if __name__ == '__main__' else 'scripts/finetune_ner.py'
        script = os.path.join(os.path.dirname(script), 'predict_ner.py')
        finetuning.report(args.output_dir, results, curves=args.plot, next_step=(
            f'to predict: python {script} --load-checkpoint-prefix {args.output_dir} '
            '--text "Some text."'))


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
