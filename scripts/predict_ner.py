"""Find named entities with a model of finetune_ner.py: in CoNLL columns, or in plain text.

    python predict_ner.py --load-checkpoint-prefix my_tagger --test-path test.txt
    python predict_ner.py --load-checkpoint-prefix my_tagger --text "Ada Lovelace lived in London."
    python predict_ner.py --load-checkpoint-prefix my_tagger < notes.txt

Each line of plain text is tagged separately.  Each entity is printed as one line: its type, start,
end and text, separated by tabs; start and end count the characters of the whole input.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import codecs
import io
import itertools
import json
import logging
import os
import sys

from bert.data import conll, tagging, tags
from bert.data.labels import parse_order
from bert.metrics import tagging as tagging_metrics
from bert.text.words import split_words
from bert.training import data_flags, flags
from bert.utils import cli, files
from bert.utils.errors import DataError, run


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--load_checkpoint_prefix', '--model_parameters', dest='model_parameters',
                        type=cli.path, metavar='DIR', required=True,
                        help='the result folder of finetune_ner.py')
    data = parser.add_argument_group('data', 'One of the first three; otherwise standard input.')
    one = data.add_mutually_exclusive_group()
    one.add_argument('--test_path', type=cli.path, metavar='FILE',
                     help='CoNLL columns to tag, and to score if they have tags')
    one.add_argument('--text', help='plain text')
    one.add_argument('--text_path', type=cli.path, metavar='FILE', help='a file of plain text')
    data_flags.add_conll_flags(data)
    data.add_argument('--no_tags', action='store_true',
                      help='the file has no tags (a single column never has)')
    data.add_argument('--labels', metavar='A,B,...',
                      help="the tags in the order of the model's outputs, if it does not name them")
    parser.add_argument('--output_dir', default='./output_dir', type=cli.path, metavar='DIR',
                        help='folder for the predictions of --test_path (default: %(default)s)')
    parser.add_argument('--json', action='store_true',
                        help='print each entity as a JSON object, not as columns')
    parser.add_argument('--batch_size', type=cli.positive_int, default=32, metavar='N',
                        help='sentences at once (default: %(default)s)')
    flags.add_device_flags(parser)
    args = parser.parse_args(argv)
    try:
        parse_order(args.labels)
    except ValueError as error:
        parser.error(str(error))
    return args


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import output, result_folder
    from bert.checkpoint.source import ModelSource
    from bert.model.heads import Tagger
    from bert.training import finetuning
    from bert.training.runtime import start
    from bert.training.tagging import predict
    runtime = start(flags.device_settings(args))
    if args.test_path:
        output.check_predictions(args.output_dir, '--output_dir', args.model_parameters)
        files.make_folder(args.output_dir, '--output_dir')
    loaded = result_folder.load(ModelSource(weights=args.model_parameters, offline=True))
    config = loaded.config
    labels = parse_order(args.labels) or config.labels
    if labels is None:
        raise DataError(f'{loaded.source}: config.json names no tags such as O and B-PER '
                        '(id2label); use a folder that finetune_ner.py has written, or name the '
                        'tags in the order of its outputs with --labels')
    seq_len = tagging.choose_length(args.seq_len or config.settings.get('seq_len'),
                                    config.max_position_embeddings)
    model = finetuning.build(Tagger(config, len(labels)), loaded, runtime, seed=0, inference=True)
    del loaded      # its arrays are as large as the network

    def tag(sentences):
        """Lists of words -> lists of tags."""
        features = tagging.features(model.tokenizer, sentences, seq_len)
        return predict(model.forward, features, len(sentences), labels, runtime.comm,
                       args.batch_size)

    if args.test_path:
        predict_columns(args, tag, labels)
    else:
        predict_text(args, tag, tags.scheme_of(labels))
    return 0


def predict_columns(args, tag, labels):
    """Tag a CoNLL file, print its scores if it has tags, and write the predictions."""
    sentences = conll.read(args.test_path, args.token_column,
                           None if args.no_tags else args.tag_column)
    tag_map = tagging.tag_map(args.test_path, sentences, tags.scheme_of(labels), labels)
    predicted = tag([sentence.words for sentence in sentences])
    if sentences[0].tags is not None:
        logging.info('%s: scheme: %s', args.test_path, tag_map.file)
        print(tagging_metrics.table(tagging_metrics.score(sentences, predicted, tag_map)))
    name = os.path.splitext(os.path.basename(files.decompressed_name(args.test_path)))[0]
    path = os.path.join(args.output_dir, f'predictions-{name}.txt')
    tagging.write(path, sentences, predicted, tag_map)
    print(f'predictions: {path}')


def predict_text(args, tag, scheme):
    """Print the entities of every line of text, with their offsets in the whole text.

    A model of token labels, such as parts of speech, has one for every word.
    """
    start = 0       # of the line in the whole text
    source = read_lines(args)
    for lines in iter(lambda: list(itertools.islice(source, 8 * args.batch_size)), []):
        split = [split_words(line) for line in lines]
        for line, (_, offsets), predicted in zip(lines, split, tag([w for w, _ in split])):
            for entity in tags.entities(line, offsets, predicted, scheme):
                entity.update(start=start + entity['start'], end=start + entity['end'])
                print(as_json(entity) if args.json else as_columns(entity))
            start += len(line)


def read_lines(args):
    """The lines of the text, as an iterator; line ends are kept, so that offsets are right."""
    parts = [args.text] if args.text is not None else (
        text for _, text in files.read_lines(args.text_path or None))
    for part in parts:
        yield from io.StringIO(part, newline='')    # a carriage return ends a line, too


def as_json(entity):
    """One line of JSON: in ASCII, unless standard output is UTF-8."""
    utf8 = codecs.lookup(sys.stdout.encoding or 'utf-8').name == 'utf-8'
    return json.dumps(entity, ensure_ascii=not utf8)


def as_columns(entity):
    """One line of columns; a tab in one of them would begin another."""
    return '\t'.join(' '.join(str(entity[key]).split())
                     for key in ('type', 'start', 'end', 'text'))


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
