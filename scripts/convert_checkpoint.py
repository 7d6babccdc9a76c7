"""Convert a BERT between Hugging Face's format and ours, with its vocabulary, config and head.

    python convert_checkpoint.py bert-base-uncased-folder ours      # model.safetensors -> .params
    python convert_checkpoint.py output_dir theirs                  # .params -> model.safetensors
    python convert_checkpoint.py uncased_L-12_H-768_A-12 ours       # bert_model.ckpt -> .params

A folder with model.safetensors (or a name: sample, bert_12_768_12, owner/name on the hub) becomes
a folder with model.params, and vice versa; --to overrides this.  TensorFlow checkpoints of
google-research/bert are read too (extra: tensorflow).
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import os

from bert.utils import cli
from bert.utils.errors import DataError, run


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    parser.add_argument('source', type=cli.path,
                        help='a model: a folder, a name or a hub repository')
    parser.add_argument('target', type=cli.path, help='the folder to write')
    parser.add_argument('--to', choices=('params', 'safetensors'),
                        help="our format or Hugging Face's (default: the one that the source does "
                             'not have)')
    parser.add_argument('--dtype', choices=('float32', 'float16'), default='float32',
                        help='precision of the written weights; float16 takes half the space '
                             '(default: %(default)s)')
    parser.add_argument('--weights', type=cli.path, metavar='FILE',
                        help='use the weights in this file instead of those of the source')
    parser.add_argument('--bert_dataset', '--dataset_name', metavar='NAME',
                        help='the data that a named model was pre-trained on')
    parser.add_argument('--offline', action='store_true', help='use local files only')
    cli.add_overwrite_flag(parser, 'TARGET')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import output, result_folder, sentence_modules
    from bert.checkpoint.names import check_tied, to_huggingface
    from bert.checkpoint.resolve import resolve, tensorflow_checkpoint
    from bert.checkpoint.weights import write_params, write_safetensors
    from bert.utils import files
    found = tensorflow_checkpoint(args.weights or args.source) or resolve(
        args.source, args.bert_dataset, args.weights, args.offline or None)
    to = args.to or ('safetensors' if found.weights.endswith('.params') else 'params')
    output.check_distinct(args.target, 'target', found.weights, found.vocab)
    output.check(args.target, 'target', overwrite=args.overwrite)
    config, tok, arrays = result_folder.read(found)
    check_fit(config, arrays, found)
    check_tied(arrays, found.weights)
    arrays = convert(arrays, args.dtype, found)
    try:
        theirs, architecture = to_huggingface(arrays)
    except KeyError as name:
        raise DataError(f'{found.weights}: {name} has no place in a BERT of Transformers; use '
                        '--to params') from None
    config = config.replace(architectures=(architecture,))
    outputs = theirs.get('classifier.bias', ())
    if config.labels is None and len(outputs):      # Transformers takes two outputs without names
        config = config.replace(labels=tuple(f'LABEL_{i}' for i in range(len(outputs))))
    name = {'params': result_folder.WEIGHTS, 'safetensors': 'model.safetensors'}[to]
    with output.replacement(args.target, 'target', args.overwrite) as folder:
        files.write_json(os.path.join(folder, 'config.json'), config.to_dict())
        tok.save(folder, config.max_position_embeddings)
        if to == 'safetensors':
            write_safetensors(os.path.join(folder, name), theirs)
        else:
            write_params(os.path.join(folder, name), arrays)
    print(f'{os.path.join(args.target, name)}: {sum(array.size for array in arrays.values())} '
          f'parameters in {len(arrays)} arrays, from {found.source}')
    if sentence_modules.root(os.path.dirname(found.weights)):
        print('its modules for vectors of sentences (pooling, Dense, Normalize) are left out; '
              'embedding.py --save_model writes a folder that has them')
    return 0


def convert(arrays, dtype, found):
    """The arrays in this dtype, which must be able to hold their values."""
    import numpy as np
    with np.errstate(over='ignore'):
        converted = {name: array.astype(dtype) for name, array in arrays.items()}
    for name, array in converted.items():
        if not np.isfinite(array).all():
            raise DataError(f'{found.weights}: {name} has values that {dtype} cannot hold; use '
                            '--dtype float32')
    return converted


def check_fit(config, arrays, found):
    """Check that the encoder's weights fit the config."""
    from mxnet.gluon import HybridBlock

    from bert.model.encoder import Bert
    from bert.model.parameters import check_parameters
    net = HybridBlock()
    net.bert = Bert(config, 0, *(f'bert.{part}.weight' in arrays for part in (
        'pooler', 'decoder.0', 'classifier')))
    check_parameters(net, arrays, found.weights)


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
