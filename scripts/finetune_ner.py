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
from typing import List, NamedTuple

from bert.checkpoint.catalogue import DEFAULT, MODELS, datasets
from bert.data import conll, tagging, tags
from bert.data.labels import model_order, parse_order
from bert.metrics import tagging as tagging_metrics
from bert.training import data_flags, flags
from bert.utils import cli
from bert.utils.errors import DataError, run, show

DEFAULTS = flags.Defaults(lr=5e-5, epochs=4, sample_lr=1e-3, sample_epochs=10,
                          sample_batch_size=8)


class Data(NamedTuple):
    """A set: its sentences, how their tags stand to the labels, and the features."""
    sentences: List[conll.Sentence]
    tag_map: tagging.TagMap
    features: List[tagging.TaggingFeature]


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    data = parser.add_argument_group(
        'data', 'Files of CoNLL columns: one token per line, a blank line between sentences,\n'
        'columns separated by spaces or tabs.  Tags are in BIO (IOB1), BIO2, BIOES, BILOU, BMEWO\n'
        'or IO, as B-PER or PER-B; plain types (PER, O); or, without O, labels such as parts of\n'
        'speech.\n'
        'Without files, --bert_model sample uses the sample data.')
    data.add_argument('--train_path', type=cli.path, metavar='FILE', help='sentences to train on')
    data.add_argument('--dev_path', type=cli.path, metavar='FILE',
                      help='chooses the best epoch; without it, that is the last one')
    data.add_argument('--test_path', type=cli.path, metavar='FILE',
                      help='to tag at the end, and to score if it has tags')
    data_flags.add_conll_flags(data)
    data.add_argument('--scheme', choices=('BIO2', 'BIOES'),
                      help="scheme of the learned tags (default: the trained model's, or BIO2)")
    data.add_argument('--labels', metavar='A,B,...',
                      help="the tags in the order of a trained model's outputs, if it does not "
                           'name them')
    flags.add_model_flags(parser, 'book_corpus_wiki_en_cased; see --cased')
    parser.add_argument('--cased', nargs='?', const='true', type=str.lower,
                        choices=('true', 'false'),
                        help='use the model pre-trained on cased text; alone, it means true '
                             '(default: true for models by name, such as bert_12_768_12; others '
                             'as they were trained)')
    flags.add_training_flags(parser, DEFAULTS, seed=13531)
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
    flags.fill_in(parser, args, DEFAULTS)
    try:
        parse_order(args.labels)
    except ValueError as error:
        parser.error(str(error))
    if args.labels and not args.model_parameters:
        parser.error('--labels names the outputs of a trained model; add --model_parameters, or '
                     'leave it out: the tags are those of the data')
    args.bert_dataset = choose_dataset(parser, args)
    return args


def choose_dataset(parser, args):
    """What a published model was pre-trained on, with the case that --cased names."""
    name, published = args.bert_dataset, args.bert_model is None or args.bert_model in MODELS
    has_case = bool(name) and name.endswith(('_cased', '_uncased'))
    if args.cased is None and (has_case or not published):
        return name
    ending = '_uncased' if args.cased == 'false' else '_cased'
    if has_case and not name.endswith(ending):
        given = '--cased false' if args.cased == 'false' else '--cased'
        parser.error(f'{given} and --bert_dataset {name} contradict each other')
    if has_case:
        return name
    with_case = (name or 'book_corpus_wiki_en') + ending
    # without --cased, a name of which there is only the other case stays as it is
    return with_case if args.cased or with_case in datasets(args.bert_model or DEFAULT) else name


def main(argv=None):
    return flags.each_seed(parse_args(argv), fine_tune)


def fine_tune(args):
    """Train and evaluate as ``args`` specify; returns {set: {metric: value}}, or None."""
    from bert.checkpoint import result_folder
    from bert.model.heads import Tagger
    from bert.training import finetuning
    from bert.training.runtime import start
    runtime = start(flags.device_settings(args, args.comm))
    args.dtype = runtime.dtype
    flags.check_output(args, runtime.comm.rank)
    paths = {split: path for split, path in (
        ('train', args.train_path), ('dev', args.dev_path), ('test', args.test_path)) if path}
    sentences = read_sentences(args, paths)
    loaded = result_folder.load(flags.model_source(args))
    config, source = loaded.config, loaded.source
    if args.cased and loaded.tokenizer.cased != (args.cased == 'true'):
        flag, case = ('--cased', 'uncased') if args.cased == 'true' else ('--cased false', 'cased')
        raise DataError(f'{flag}: the model {source} is {case}; omit the flag, or use another '
                        'model')
    args.seq_len = tagging.choose_length(args.seq_len or config.settings.get('seq_len'),
                                         config.max_position_embeddings)
    labels, maps = resolve_labels(args, paths, sentences, loaded)
    if not args.model_parameters:
        loaded = loaded.without_head()
    model = finetuning.build(Tagger(config, len(labels), args.dropout), loaded, runtime, args.seed,
                             fresh=() if args.model_parameters else ('tag_classifier.',))
    del loaded      # its arrays are as large as the network
    sets = {}
    for split, rows in sentences.items():
        features = tagging.features(model.tokenizer, [row.words for row in rows], args.seq_len)
        sets[split] = Data(rows, maps[split], features)
        long = len({feature.sentence for feature in features if feature.word})
        windows = f', {long} of them longer than --seq_len {args.seq_len} and split into windows'
        scheme = '' if rows[0].tags is None else f', scheme: {maps[split].file}'
        logging.info('%s: %d sentences%s%s', split, len(rows), windows if long else '', scheme)
    logging.info('tags: %s; model: %s', ' '.join(labels), source)
    best = train(args, labels, model, sets)
    return report(args, labels, model, sets, best)


def read_sentences(args, paths):
    """{split: sentences} of the files; training and dev sentences have tags."""
    sentences = {split: conll.read(path, args.token_column, args.tag_column)
                 for split, path in paths.items()}
    for split in ('train', 'dev'):
        if split in sentences and sentences[split][0].tags is None:
            raise DataError(f'{paths[split]}: has one column, so no tags; each word needs its tag '
                            'here')
    return sentences


def resolve_labels(args, paths, sentences, loaded):
    """The tags in the order of the logits (the data's, or the trained model's); {split: TagMap}."""
    trained, head = None, loaded.arrays.get('tag_classifier.1.weight')
    if args.model_parameters:
        trained = parse_order(args.labels) or loaded.config.labels
        if trained and head is not None and len(trained) != len(head):
            raise DataError(f'{loaded.source} has {len(head)} outputs, but the tags are '
                            f"{len(trained)}: {' '.join(trained)}; --labels names them in order")
    file = tags.detect(sentences['train'])[0]
    scheme = (tags.scheme_of(trained) if trained else
              tags.Scheme(args.scheme or 'BIO2') if file.letters else file)
    if args.scheme and args.scheme != scheme.letters:
        owner = args.model_parameters if trained else args.train_path
        raise DataError(f'--scheme {args.scheme}: the tags of {owner} are in {scheme}; omit the '
                        'flag')
    maps = {split: tagging.tag_map(paths[split], rows, scheme, trained)
            for split, rows in sentences.items()}
    found = tagging.find_labels([(sentences[split], maps[split]) for split in ('train', 'dev')
                                 if split in sentences])
    if len(found) == 1:
        raise DataError(f'{args.train_path}: no word is tagged as an entity, all tags are O; is '
                        '--tag_column right?' if scheme.letters else
                        f'{args.train_path}: every word has the tag {found[0]}; is --tag_column '
                        'right?')
    new = [label for label in found if trained and label not in trained]
    if new:
        raise DataError(f'the data have the tag {new[0]}, which {args.model_parameters} does not '
                        f"know: {' '.join(trained)}; to train a new head, use "
                        f'--pretrained_bert_parameters {args.model_parameters} instead of '
                        '--model_parameters')
    if args.model_parameters and not trained and head is not None:
        return model_order(found, None, len(head), loaded.source), maps
    return trained or tuple(found), maps


def train(args, labels, model, sets):
    """Train, and evaluate after each epoch; the network ends with the best weights.

    Returns the tags of the dev set with these weights, or None.
    """
    import mxnet as mx
    from mxnet.gluon.loss import SoftmaxCrossEntropyLoss

    from bert.training import finetuning
    from bert.training.tagging import word_logits
    sentences, tag_map, features = sets['train']
    cross_entropy = SoftmaxCrossEntropyLoss()
    class_of = {label: i for i, label in enumerate(labels)}
    classes = [[class_of[label] for label in tag_map.labels(sentence.tags)]
               for sentence in sentences]

    def loss(indices, device):
        chosen = [features[i] for i in indices]
        targets = mx.nd.array(tagging.targets(chosen, classes), ctx=device)
        return cross_entropy(word_logits(model.forward, chosen, device), targets).sum()

    description = finetuning.Description('tag_classifier.1.', labels,
                                         {'task': 'ner', 'seq_len': args.seq_len})
    # the mean over words: each counts the same, however many are in its batch
    with finetuning.Run(flags.recipe(args), flags.output_settings(args, model.runtime.layout),
                        model, ([f.ids for f in features], [f.first for f in features], classes),
                        description, counts=[len(f.first) for f in features],
                        dev=[(row.words, row.tags) for row in sets['dev'].sentences]
                        if 'dev' in sets else ()) as training:
        for epoch in training.epochs():
            for update in epoch:
                training.update(update, loss)
            scores, best, predicted = {}, None, None
            if 'dev' in sets:
                rows, dev_map, _ = sets['dev']
                predicted = predict(args, labels, model, sets['dev'])
                scores['dev'] = tagging_metrics.main_scores(
                    tagging_metrics.score(rows, predicted, dev_map))
                best = next(iter(scores['dev'].values()))       # F1, or accuracy
            if training.end_epoch(scores, best, predicted):
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
    from bert.training import summary
    results = {}
    for split in [split for split in ('dev', 'test') if split in sets]:
        predicted = best if split == 'dev' else None
        predicted = predicted or predict(args, labels, model, sets[split])
        if model.runtime.comm.rank:
            continue
        sentences, tag_map, _ = sets[split]
        path = os.path.join(args.output_dir, f'predictions-{split}.txt')
        tagging.write(path, sentences, predicted, tag_map)
        if sentences[0].tags is not None:
            results[split] = tagging_metrics.score(sentences, predicted, tag_map)
            show(f'{split}:\n{tagging_metrics.table(results[split])}')
        show(f'predictions: {path}')
    if model.runtime.comm.rank:
        return None
    summary.write(args.output_dir, results, summary.Hint(
        'to predict', 'scripts/predict_ner.py', '--load-checkpoint-prefix',
        ('--text', 'Some text.')), curves=args.plot)
    return {split: tagging_metrics.main_scores(scores) for split, scores in results.items()}


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
