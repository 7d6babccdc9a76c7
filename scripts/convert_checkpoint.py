"""Convert a BERT between Hugging Face's format and ours, with its vocabulary, config and head.

    python convert_checkpoint.py bert-base-uncased-folder ours      # model.safetensors -> .params
    python convert_checkpoint.py output_dir theirs                  # .params -> model.safetensors

A folder with model.safetensors (or a name: sample, bert_12_768_12, owner/name on the hub) becomes
a folder with model.params, and the other way about; --to chooses otherwise.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import os

from bert import options
from bert.errors import DataError, run


def parse_args(argv=None):
    parser = options.Parser(description=__doc__)
    parser.add_argument('source', help='a model: folder, name or hub repository')
    parser.add_argument('target', help='the folder to write')
    parser.add_argument('--to', choices=('params', 'safetensors'),
                        help="ours or Hugging Face's (default: the one that the source is not)")
    parser.add_argument('--weights', metavar='FILE',
                        help='take the weights from this file in place of those of the source')
    parser.add_argument('--bert_dataset', '--dataset_name', metavar='NAME',
                        help='what a named model was pre-trained on')
    parser.add_argument('--offline', action='store_true', help='use local files only')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from bert import bundle, checkpoint, convert, files, pretrained, tokenizer
    found = pretrained.resolve(args.source, args.bert_dataset, args.weights, args.offline or None)
    config = dict(found.config)
    arrays = checkpoint.read_weights(found.weights, config.get('architectures', ()))
    tok = tokenizer.load(found.vocab, found.cased)
    config['vocab_size'] = len(arrays['bert.word_embed.0.weight'])
    to = args.to or ('safetensors' if found.weights.endswith('.params') else 'params')
    folder = files.make_folder(args.target, 'target')
    if os.path.exists(found.weights) and os.path.dirname(os.path.realpath(found.weights)) \
            == os.path.realpath(folder):
        raise DataError('target %s: it is the folder of the source; name another' % args.target)
    theirs, architecture = convert.to_huggingface(arrays)
    if to == 'safetensors':
        path = os.path.join(folder, 'model.safetensors')
        checkpoint.write_safetensors(path, theirs)
    else:
        path = os.path.join(folder, bundle.WEIGHTS)
        checkpoint.write_params(path, arrays)
    config.update(architectures=[architecture], model_type='bert')
    files.write_json(os.path.join(folder, 'config.json'), config)
    tok.save(folder)
    print('%s: %d parameters in %d arrays, from %s' % (
        path, sum(array.size for array in arrays.values()), len(arrays), found.source))
    return 0


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
