"""Vectors of words and of sentences from BERT: print them, write them, or compare texts by them.

    python bert/embedding.py --sentences "GluonNLP is a toolkit that enables easy text."
    python bert/embedding.py --file lines.txt --output words.npz
    python bert/embedding.py --file lines.txt --pooling mean --normalize --output sentences.npy
    python bert/embedding.py --file lines.txt --similarity "something to look for"
    python bert/embedding.py --file lines.txt --map map.png
    python bert/embedding.py --pooling mean --normalize --save_model FOLDER

Each line of a file is a text.  Add --model sample to try it without a download.
"""
if not __package__:     # run as a file: `bert` is the checkout's, not this folder's modules
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse
import itertools
import logging
from typing import Any, Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np

from bert.checkpoint import sentence_modules
from bert.checkpoint.sentence_modules import POOLINGS, SentenceModules
from bert.checkpoint.source import ModelSource
from bert.data import inputs, vectors
from bert.data.windows import OOV_WAYS, WindowEncoder, check_texts, merge_subwords
from bert.training import flags
from bert.utils import cli
from bert.utils.errors import DataError, require, run

__all__ = ['BertEmbedding']

_log = logging.getLogger('bert.embedding')      # __name__ may be __main__


class BertEmbedding:
    """Vectors of words and of sentences from the encoder of a BERT.

    Parameters
    ----------
    ctx : mxnet.Context or list of them, optional
        Where to run; None is the CPU.
    dtype : str
        float32, float16 (GPUs), bfloat16 or int8 (CPUs), or auto (float16 on GPUs, the faster of
        bfloat16 and float32 on CPUs), for the whole process.  Vectors are float32 whatever it is.
    model, dataset_name, params_path : str
        The flags ``--bert_model``, ``--bert_dataset`` and ``--pretrained_bert_parameters`` of the
        other programs: a model's name, folder or hub repository (or what ``result_folder.load``
        returned), what a named model was pre-trained on, and weights that replace the model's.
    max_seq_length : int, optional
        Tokens of a window, special ones included; None takes all the positions of the model.  A
        longer text is split into overlapping windows, with a warning; no text is cut.
    batch_size : int
        The most windows that go through the model at once; fewer where they are long.
    sentencepiece : str, optional
        A SentencePiece model that replaces the model's vocabulary.
    layers : iterable of int
        The layers to average, from 1, the lowest, up, or from -1, the highest, down.
    offline : bool
        Use local files only.
    path : 'auto', 'packed' or 'padded'
        The layout of batches; 'auto' is packed if possible.

    Raises DataError if there is no such model, or a value does not fit it.
    """

    def __init__(self, ctx: Any = None, dtype: str = 'float32',
                 model: Union[str, tuple] = 'bert_12_768_12',
                 dataset_name: str = 'book_corpus_wiki_en_uncased',
                 params_path: Optional[str] = None, max_seq_length: Optional[int] = None,
                 batch_size: int = 256, sentencepiece: Optional[str] = None,
                 layers: Iterable[int] = (-1,), offline: bool = False, path: str = 'auto'):
        import mxnet as mx

        from bert.checkpoint import result_folder
        from bert.model.forward import create_forward
        from bert.model.heads import TokenVectors, layer_numbers
        from bert.model.inference import prepare
        from bert.model.parameters import freeze, initialize, load_parameters
        from bert.training import evaluation, precision
        from bert.utils import memory
        devices = list(ctx) if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
        if not devices or not all(isinstance(device, mx.Context) for device in devices):
            raise TypeError(f'ctx is {ctx!r}, but must be an mxnet.Context, or a list of them')
        dtype, layout = precision.use(dtype, devices, path)
        loaded = model if isinstance(model, result_folder.LoadedModel) else result_folder.load(
            ModelSource(model, dataset_name, params_path, offline, vocab=sentencepiece))
        config, depth = loaded.config, loaded.config.num_hidden_layers
        positions = config.max_position_embeddings
        length = positions if max_seq_length is None else max_seq_length
        if not 3 <= length <= positions:
            raise DataError(f'--max_seq_length {length}: this model takes 3 to {positions} tokens; '
                            'longer texts are always split into windows')
        if batch_size < 1:
            raise DataError(f'--batch_size {batch_size}: must be 1 or more')
        layers = layer_numbers(layers, depth)
        unused = tuple(f'bert.encoder.transformer_cells.{i}.' for i in range(max(layers), depth))
        self._net = TokenVectors(config, layers)
        freeze(self._net)
        initialize(self._net, config, devices, random=False)
        load_parameters(self._net, {name: array for name, array in loaded.arrays.items()
                                    if not name.startswith(unused)}, loaded.source)
        prepare(self._net, layout, dtype)
        self.size = config.hidden_size       # of a vector of a token
        self.folder = loaded.folder          # of its weights
        self._encoder = WindowEncoder(
            loaded.tokenizer, create_forward(self._net, layout, dtype, loaded.tokenizer.pad_id),
            devices, self.size, length, batch_size, evaluation.BATCH_TOKENS[devices[0].device_type])
        _log.debug('model: %s, %d layers of %d', loaded.source, depth, self.size)
        del loaded      # its arrays are as large as the network
        memory.give_back()

    def __call__(self, sentences: Iterable[str],
                 oov_way: str = 'avg') -> List[Tuple[List[str], List[np.ndarray]]]:
        """A list of (tokens, vectors) for a list of sentences: see :meth:`words`.

        ``vectors`` is a list of float32 arrays (size,), one per token.
        """
        return [(tokens, list(rows)) for tokens, rows in self.words(sentences, oov_way)]

    embedding = __call__

    def words(self, texts: Iterable[str],
              oov_way: str = 'avg') -> Iterator[Tuple[List[str], np.ndarray]]:
        """The words of each text and their vectors, float32 (words, size), in constant memory.

        A word is what stands between spaces, a punctuation mark, or a Chinese character, in the
        tokenizer's form: lower-case where the model is, [UNK] where its vocabulary has no
        sub-words for it.  Invisible characters are no words.  ``oov_way`` says how the vectors of
        a word's sub-words become one: 'avg', their mean, 'sum', or 'last', the last one.
        """
        if oov_way not in OOV_WAYS:
            raise DataError(f"oov_way \"{oov_way}\" is not one of {', '.join(OOV_WAYS)}")
        for ids, rows in self.iterate(texts):
            yield merge_subwords(self._encoder.tokenizer, ids, rows[1:-1], oov_way)

    def modules(self, pooling: Optional[str] = None, normalize: bool = False) -> SentenceModules:
        """What :meth:`sentences` does with the vectors of a text, for these arguments."""
        return sentence_modules.choose(self.folder, pooling, normalize)

    def sentences(self, texts: Iterable[str], pooling: Optional[str] = None,
                  normalize: bool = False) -> Iterator[np.ndarray]:
        """One vector per text, float32 (size,), in constant memory.

        ``pooling``: 'cls', the vector of [CLS], or the 'mean' or 'max' over all tokens, [CLS] and
        [SEP] included; None follows the default prompt and the pooling, Dense and Normalize
        modules of a model of sentence-transformers, and is 'mean' for others.  ``normalize``:
        divide each vector by its length.
        """
        modules = self.modules(pooling, normalize)
        for _, rows in self.iterate(map(modules.prepare, check_texts(texts))):
            yield modules.vector(rows)

    def iterate(self, texts: Iterable[str]) -> Iterator[Tuple[List[int], np.ndarray]]:
        """Each text's ids, and float32 vectors of them between those of [CLS] and [SEP]."""
        return self._encoder(texts)


def parse_args(argv: Optional[List[str]] = None) -> argparse.Namespace:
    parser = cli.Parser(description=__doc__)
    texts = parser.add_argument_group('texts').add_mutually_exclusive_group()
    texts.add_argument('--sentences', nargs='+', metavar='TEXT', help='each in quotes')
    texts.add_argument('--file', type=cli.path, help='one text per line, in UTF-8')
    group = parser.add_argument_group('vectors', 'One per word, or one per sentence with --pooling '
                                      'or an output that needs it.')
    group.add_argument('--oov_way', choices=OOV_WAYS,
                       help="a word's vector from those of its sub-words: their mean, their sum, "
                            'or the last (default: avg)')
    group.add_argument('--pooling', choices=POOLINGS,
                       help="a sentence's vector: that of [CLS], or the mean or maximum over its "
                            'tokens (default: that of a sentence-transformers model, with its '
                            'other modules; for others, if needed, mean)')
    group.add_argument('--normalize', action='store_true',
                       help='divide the vectors of sentences by their length')
    group.add_argument('--layers', type=cli.number_list, default=(-1,), metavar='N[,N]',
                       help='the layers to average, from 1 up, or from -1, the last, down: '
                            '-4,-3,-2,-1 are the last four (default: -1)')
    group.add_argument('--max_seq_length', type=cli.positive_int, metavar='TOKENS',
                       help='of a window; a longer text is split into overlapping windows, never '
                            "cut (default: the model's limit, mostly 512)")
    group.add_argument('--batch_size', type=cli.positive_int, default=256, metavar='N',
                       help='maximum number of texts at once; fewer if they are long '
                            '(default: %(default)s)')
    group.add_argument('--sentencepiece', type=cli.path, metavar='FILE',
                       help="a SentencePiece model that replaces the model's vocabulary")
    use = parser.add_argument_group('output', 'The vectors are printed, or one of:')
    one = use.add_mutually_exclusive_group()
    one.add_argument('--output', type=cli.path, metavar='FILE',
                     help='write them: .npz, .jsonl, or (sentences) .npy; they are not held in '
                          'memory, so there may be many')
    one.add_argument('--similarity', metavar='QUERY',
                     help='print the texts nearest to this one: cosine, number and text')
    one.add_argument('--map', type=cli.path, metavar='FILE.png',
                     help='draw the sentences in two dimensions, by PCA (extra: plot)')
    use.add_argument('--save_model', type=cli.path, metavar='FOLDER',
                     help='write the model, with its way from words to sentences, as a folder of '
                          'sentence-transformers; texts are not needed')
    use.add_argument('--top', type=cli.positive_int, metavar='N',
                     help='how many texts --similarity prints (default: 10)')
    flags.add_model_flags(parser)
    flags.add_device_flags(parser.add_argument_group('running'))
    parser.add_argument('--verbose', action='store_true', help='log every step')
    args = parser.parse_args(argv)
    kind = args.output and vectors.suffix(args.output)
    if args.output and kind not in vectors.FORMATS:
        parser.error(f"--output {args.output}: end the name in one of {', '.join(vectors.FORMATS)}")
    if args.sentences is None and args.file is None and not args.save_model:
        parser.error('one of the arguments --sentences --file is required')
    if args.save_model and (args.layers != (-1,) or args.sentencepiece):
        parser.error('--save_model is for WordPiece models and their last layer; leave out '
                     '--layers and --sentencepiece')
    args.by_text = bool(args.pooling or args.similarity is not None or args.map or kind == '.npy')
    if args.oov_way and args.by_text:
        parser.error('--oov_way is for vectors of words, and these are of sentences')
    if args.top and args.similarity is None:
        parser.error('--top needs --similarity')
    return args


def main(argv: Optional[List[str]] = None) -> int:
    args = parse_args(argv)
    from tqdm import tqdm

    from bert.checkpoint import sentence_folder
    from bert.training import runtime
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    logging.getLogger('bert').setLevel(logging.DEBUG if args.verbose else logging.INFO)
    _log.debug('%s', vars(args))
    if args.map:
        require('matplotlib')
    texts = inputs.read_texts(args.file) if args.file else args.sentences or []
    source = flags.model_source(args)
    loaded = args.save_model and sentence_folder.load(args.save_model, source)
    bert = BertEmbedding(
        runtime.devices(flags.device_settings(args)), args.dtype, loaded or source.name,
        source.dataset, source.weights, args.max_seq_length, args.batch_size, args.sentencepiece,
        args.layers, source.offline, args.path)
    named = args.pooling or (not args.oov_way and sentence_modules.root(bert.folder) is not None)
    by_text = args.by_text or bool(named)
    normalize = args.normalize or args.similarity is not None
    for flag, fits in ('normalize', by_text), ('save_model', named):
        if getattr(args, flag) and not fits:
            raise DataError(f'--{flag} is for vectors of sentences; add --pooling mean')
    if args.save_model:
        sentence_folder.save(args.save_model, loaded, bert.modules(args.pooling, args.normalize),
                             args.max_seq_length)
        print(f'{args.save_model}: a folder for SentenceTransformer')
        del loaded      # before the texts
    items = embed(bert, texts, by_text, args.pooling, normalize, args.oov_way or 'avg')
    if args.similarity is not None or args.map or args.output:
        items = tqdm(items, unit=' texts', disable=None)
    if args.similarity is not None:
        query = next(bert.sentences([args.similarity], args.pooling, normalize))
        for score, number, text in vectors.nearest(query, items, args.top or 10):
            print(f'{score:.4f}\t{number}\t{" ".join(text.split())}')
    elif args.map:
        draw(args.map, items)
    elif args.output:
        size = bert.modules(args.pooling).size(bert.size) if by_text else bert.size
        write = vectors.write_sentences if by_text else vectors.write_words
        count = write(args.output, items, size)
        print(f'{args.output}: {count} texts, {size} numbers per vector')
    else:
        vectors.print_vectors(items)
    return 0


def embed(bert: BertEmbedding, texts: Iterable[str], by_text: bool,
          pooling: Optional[str] = None, normalize: bool = False,
          oov_way: str = 'avg') -> Iterator[tuple]:
    """(text, vector) of each text if ``by_text``, else (text, words, vectors)."""
    texts, ahead = itertools.tee(texts)     # holds no more than a chunk of texts
    if by_text:
        return zip(texts, bert.sentences(ahead, pooling, normalize))
    return ((text, *item) for text, item in zip(texts, bert.words(ahead, oov_way)))


def draw(path: str, items: Iterable[Tuple[str, np.ndarray]]) -> None:
    """Draw the texts that are not blank, at the two principal components of their vectors."""
    from bert.training import plot
    kept = [(number, *item) for number, item in enumerate(items, 1) if item[0].strip()]
    if len(kept) < 3:
        raise DataError(f'--map: {len(kept)} texts are too few for a map; give 3 or more')
    from sklearn.decomposition import PCA
    pca, (numbers, labels, rows) = PCA(2, random_state=0), zip(*kept)
    points = pca.fit_transform(np.stack(rows))
    plot.sentence_map(path, points, labels, pca.explained_variance_ratio_, numbers)
    print(f'map: {path}')


def program() -> None:
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
