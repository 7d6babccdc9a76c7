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

from bert.utils import cli
from bert.utils.errors import DataError, run


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    parser.add_argument('source', help='a model: folder, name or hub repository')
    parser.add_argument('target', help='the folder to write')
    parser.add_argument('--to', choices=('params', 'safetensors'),
                        help="ours or Hugging Face's (default: the one that the source is not)")
    parser.add_argument('--dtype', choices=('float32', 'float16'), default='float32',
                        help='of the weights written; float16 takes half the space '
                             '(default: %(default)s)')
    parser.add_argument('--weights', metavar='FILE',
                        help='take the weights from this file in place of those of the source')
    parser.add_argument('--bert_dataset', '--dataset_name', metavar='NAME',
                        help='what a named model was pre-trained on')
    parser.add_argument('--offline', action='store_true', help='use local files only')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import result_folder
    from bert.checkpoint.names import to_huggingface
    from bert.checkpoint.resolve import resolve
    from bert.checkpoint.weights import write_params, write_safetensors
    from bert.utils import files
    found = resolve(args.source, args.bert_dataset, args.weights, args.offline or None)
    to = args.to or ('safetensors' if found.weights.endswith('.params') else 'params')
    path = open_target(args.target, found, to)
    folder = os.path.dirname(path)
    config, tok, arrays = result_folder.read(found)
    check_fit(config, arrays, found)
    arrays = {name: array.astype(args.dtype) for name, array in arrays.items()}
    try:
        theirs, architecture = to_huggingface(arrays)
    except KeyError as name:
        raise DataError(f'{found.weights}: {name} has no place in a BERT of Transformers') from None
    if to == 'safetensors':
        write_safetensors(path, theirs)
    else:
        write_params(path, arrays)
    other = {key: value for key, value in config.other.items()
             if key not in ('dtype', 'torch_dtype')}      # of what was read
    config = config.replace(architectures=(architecture,), other=other)
    files.write_json(os.path.join(folder, 'config.json'), config.to_dict())
    tok.save(folder)
    print(f'{path}: {sum((array.size for array in arrays.values()))} parameters in {len(arrays)} '
          f'arrays, from {found.source}')
    return 0


def open_target(target, found, to):
    """The file of weights to write in the folder ``target``, which this makes."""
    from bert.checkpoint import result_folder
    from bert.utils import files
    folder = os.path.realpath(files.make_folder(target, 'target'))
    for source in (found.weights, found.vocab):
        if folder == os.path.realpath(source if os.path.isdir(source)
                                      else os.path.dirname(source)):
            raise DataError(f'target {target}: it is the folder of the source; name another')
    names = {'params': result_folder.WEIGHTS, 'safetensors': 'model.safetensors'}
    path = os.path.join(target, names.pop(to))
    for other in names.values():    # whoever reads the folder could take one for the other
        if os.path.exists(os.path.join(target, other)):
            raise DataError(f'target {target}: holds {other} already; name another folder')
    return path


def check_fit(config, arrays, found):
    """See that the encoder's weights and the config belong together."""
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
