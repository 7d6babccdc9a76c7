"""Vectors of words and of sentences from BERT: print them, write them, or compare texts by them.

    python bert/embedding.py --sentences "GluonNLP is a toolkit that enables easy text."
    python bert/embedding.py --file lines.txt --output words.npz
    python bert/embedding.py --file lines.txt --pooling mean --normalize --output sentences.npy
    python bert/embedding.py --file lines.txt --similarity "something to look for"
    python bert/embedding.py --file lines.txt --map map.png

A line of a file is a text.  Add --model sample to try it without a download.
"""
if not __package__:     # run as a file: `bert` is the checkout's, not this folder's modules
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse
import collections
import heapq
import itertools
import logging
import re

import numpy as np

from bert.data import vectors
from bert.training import flags
from bert.utils import cli
from bert.utils.errors import DataError, run

__all__ = ['BertEmbedding']

_log = logging.getLogger('bert.embedding')      # __name__ may be __main__

OOV_WAYS, POOLINGS = ('avg', 'sum', 'last'), ('cls', 'mean', 'max')
_CHUNK = 1 << 15                                # tokens that are sorted by length together
_MARK = re.compile('^(##|\u2581)')              # of a later WordPiece, of a first SentencePiece


class BertEmbedding:
    """Vectors of words and of sentences from the encoder of a BERT.

    Parameters
    ----------
    ctx : mxnet.Context or list of them, optional
        Where to run; None is the CPU.
    dtype : str
        float32; float16 on GPUs, bfloat16 on CPUs, for the whole process.  Vectors are float32
        whatever it is.
    model, dataset_name, params_path : str
        The flags ``--bert_model``, ``--bert_dataset`` and ``--pretrained_bert_parameters`` of the
        other programs: a model's name, folder or hub repository, what a named model was
        pre-trained on, and weights to take in place of the model's.
    max_seq_length : int, optional
        Tokens of a window, special ones included; None takes as many as the model has positions
        for.  A longer text is taken as overlapping windows, with a warning, and each token's
        vector from the window that shows most around it; no text is cut.
    batch_size : int
        Windows to take through the model at once, at most; fewer where they are long.
    sentencepiece : str, optional
        A SentencePiece model to take in place of the model's vocabulary.
    layers : sequence of int
        The layers to average, from 1, the lowest, up, or from -1, the highest, down.
    offline : bool
        Use local files only.
    path, force_dtype : str, bool
        The flags of these names: how batches are made, and whether bfloat16 is taken anyway.

    Raises DataError where there is no such model, or a value does not fit it.
    """

    def __init__(self, ctx=None, dtype='float32', model='bert_12_768_12',
                 dataset_name='book_corpus_wiki_en_uncased', params_path=None,
                 max_seq_length=None, batch_size=256, sentencepiece=None, layers=(-1,),
                 offline=False, path='auto', force_dtype=False):
        import mxnet as mx

        from bert.checkpoint import result_folder
        from bert.model.forward import choose_layout, create_forward
        from bert.model.heads import TokenVectors
        from bert.model.parameters import initialize, load_parameters
        from bert.training import runtime
        self._devices = list(ctx) if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
        self._batch_size = batch_size
        path = choose_layout(path, dtype, self._devices)
        runtime.set_precision(dtype, self._devices[0], path, force_dtype)
        config, self._tok, arrays, source = result_folder.load(argparse.Namespace(
            bert_model=model, bert_dataset=dataset_name, pretrained_bert_parameters=params_path,
            model_parameters=None, offline=offline), vocab=sentencepiece)
        positions, depth = config.max_position_embeddings, config.num_hidden_layers
        self._room = (max_seq_length or positions) - 2
        if not 3 <= self._room + 2 <= positions:
            raise DataError(f'--max_seq_length {max_seq_length}: this model takes 3 to {positions} '
                            'tokens; longer texts are taken as windows anyway')
        for layer in layers:
            if not 1 <= abs(layer) <= depth:
                raise DataError(f'--layers: there is no layer {layer}, they are 1 to {depth}, or '
                                f'from the highest down -1 to -{depth}')
        layers = [layer % (depth + 1) for layer in layers]
        unused = tuple(f'bert.encoder.transformer_cells.{i}.' for i in range(max(layers), depth))
        self._net = TokenVectors(config, layers)
        initialize(self._net, config, self._devices)
        load_parameters(self._net, {name: array for name, array in arrays.items()
                                    if not name.startswith(unused)}, source)
        self._forward = create_forward(self._net, path, dtype, self._tok.pad_id)
        self.size = config.hidden_size       # of a vector
        _log.debug('model: %s, %d layers of %d', source, depth, self.size)

    def __call__(self, sentences, oov_way='avg'):
        """A list of (tokens, vectors) for a list of sentences: see :meth:`words`.

        ``vectors`` is a list of float32 arrays (size,), one a token.
        """
        return [(tokens, list(rows)) for tokens, rows in self.words(sentences, oov_way)]

    embedding = __call__

    def words(self, texts, oov_way='avg'):
        """The words of each text and their vectors, as an iterator, in constant memory.

        A word is what stands between spaces, a punctuation mark, or a Chinese character.  It is
        given in the tokenizer's form, the pieces joined: lower-case where the model is, and [UNK]
        where its vocabulary has no pieces for it.  Invisible characters are no words.

        Parameters
        ----------
        texts : iterable of str
        oov_way : 'avg', 'sum' or 'last'
            How the vectors of a word's pieces become one: their mean, their sum, the last one.

        Yields
        ------
        (list of str, float32 array (words, size))
        """
        if oov_way not in OOV_WAYS:
            raise DataError(f"oov_way \"{oov_way}\" is not one of {', '.join(OOV_WAYS)}")
        for ids, rows in self.iterate(texts):
            yield self._merge(ids, rows[1:-1], oov_way)

    def sentences(self, texts, pooling='mean', normalize=False):
        """A vector for each text, as an iterator of float32 arrays (size,), in constant memory.

        Parameters
        ----------
        texts : iterable of str
        pooling : 'cls', 'mean' or 'max'
            The vector of [CLS], or the mean or maximum over all tokens, [CLS] and [SEP] included.
            The [CLS] and [SEP] of a text in windows are the mean of those of its windows.
        normalize : bool
            Divide each vector by its length.
        """
        if pooling not in POOLINGS:
            raise DataError(f"pooling \"{pooling}\" is not one of {', '.join(POOLINGS)}")
        for _, rows in self.iterate(texts):
            vector = rows[0] if pooling == 'cls' else getattr(rows, pooling)(axis=0)
            yield vector / np.linalg.norm(vector) if normalize else vector

    def iterate(self, texts):
        """The pieces of each text and their vectors, as an iterator, in constant memory.

        Yields
        ------
        (ids, vectors) : the ids of the pieces, a list, and a float32 array (pieces + 2, size), of
            which the first is of [CLS] and the last of [SEP]
        """
        if isinstance(texts, str):
            raise TypeError('texts is one string where a list of them is expected')
        warned, chunk, tokens = False, [], 0
        for number, text in enumerate(texts, 1):
            ids = self._tok.ids(text)
            if len(ids) > self._room:
                _log.log(logging.DEBUG if warned else logging.WARNING,
                         'text %d has %d tokens, %d with [CLS] and [SEP]; it is taken as '
                         'overlapping windows of %d%s', number, len(ids), len(ids) + 2,
                         self._room + 2, '' if warned else ', as other texts of such length are')
                warned = True
            chunk.append(ids)
            tokens += len(ids) + 2
            if tokens >= _CHUNK:
                yield from self._encode(chunk)
                chunk, tokens = [], 0
        yield from self._encode(chunk)

    def _encode(self, chunk):
        """(ids, vectors) of some texts, given as lists of ids."""
        from bert.data import sampling
        from bert.text import transform
        from bert.training.evaluation import BATCH_TOKENS
        found = [np.zeros((len(ids) + 2, self.size), np.float32) for ids in chunk]
        spans = [transform.owned_spans(len(ids), self._room) for ids in chunk]
        windows = [(index, span) for index, several in enumerate(spans) for span in several]
        rows = [[self._tok.cls_id] + chunk[index][start:end] + [self._tok.sep_id]
                for index, (start, end, _, _) in windows]

        def place(part, result):
            ends = np.cumsum([len(rows[window]) for window in part])
            for window, encodings in zip(part, np.split(result.asnumpy(), ends[:-1])):
                index, (start, end, first, last) = windows[window]
                found[index][0] += encodings[0] / len(spans[index])
                found[index][1 + first:1 + last] = encodings[1 + first - start:1 + last - start]
                found[index][-1] += encodings[1 + end - start] / len(spans[index])

        pending = collections.deque()
        parts = sampling.evaluation_batches([len(row) for row in rows], self._batch_size,
                                            BATCH_TOKENS[self._devices[0].device_type])
        # MXNet computes in the background: the next batches are under way while one is read
        for part, device in zip(parts, itertools.cycle(self._devices)):
            pending.append((part, self._forward([rows[i] for i in part],
                                                [[0] * len(rows[i]) for i in part], device)))
            if len(pending) > 2 * len(self._devices):
                place(*pending.popleft())
        while pending:
            place(*pending.popleft())
        _log.debug('%d texts, %d windows, %d batches', len(chunk), len(rows), len(parts))
        return zip(chunk, found)

    def _merge(self, ids, rows, oov_way):
        """The words that pieces make up, and their vectors."""
        pieces = self._tok.tokens(ids)
        starts = [i for i, piece in enumerate(pieces)
                  if i == 0 or self._tok.is_first_subword(piece)]
        if not starts:
            return [], rows
        ends = starts[1:] + [len(pieces)]
        words = [''.join(_MARK.sub('', piece) for piece in pieces[start:end]) or pieces[start]
                 for start, end in zip(starts, ends)]
        if oov_way == 'last':
            return words, rows[np.array(ends) - 1]
        total = np.add.reduceat(rows, starts, axis=0)
        if oov_way == 'avg':
            total /= np.subtract(ends, starts)[:, None]
        return words, total


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    texts = parser.add_argument_group('texts').add_mutually_exclusive_group(required=True)
    texts.add_argument('--sentences', nargs='+', metavar='TEXT', help='each in quotes')
    texts.add_argument('--file', help='a text a line, in UTF-8')
    group = parser.add_argument_group('vectors', 'One a word, unless --pooling asks for one a '
                                      'sentence, or what is done with them does.')
    group.add_argument('--oov_way', choices=OOV_WAYS,
                       help="a word's vector from those of its pieces: their mean, their sum, or "
                            'the last (default: avg)')
    group.add_argument('--pooling', choices=POOLINGS,
                       help="a sentence's vector: that of [CLS], or the mean or maximum over its "
                            'tokens (default, where it is needed: mean)')
    group.add_argument('--normalize', action='store_true',
                       help='divide the vectors of sentences by their length')
    group.add_argument('--layers', type=layer_list, default=(-1,), metavar='N[,N]',
                       help='the layers to average, from 1 up, or from -1, the last, down: '
                            '-4,-3,-2,-1 are the last four (default: -1)')
    group.add_argument('--max_seq_length', type=cli.positive_int, metavar='TOKENS',
                       help='of a window; a longer text is taken as overlapping windows, never '
                            "cut (default: the model's most, mostly 512)")
    group.add_argument('--batch_size', type=cli.positive_int, default=256, metavar='N',
                       help='texts at once, at most; fewer where they are long '
                            '(default: %(default)s)')
    group.add_argument('--sentencepiece', metavar='FILE',
                       help="a SentencePiece model in place of the model's vocabulary")
    use = parser.add_argument_group('what to do with them', 'They are printed, or one of:')
    one = use.add_mutually_exclusive_group()
    one.add_argument('--output', metavar='FILE',
                     help='write them: .npz, .jsonl, or (sentences) .npy; of any number, as they '
                          'are not held in memory')
    one.add_argument('--similarity', metavar='QUERY',
                     help='print the texts nearest to this one: cosine, number and text')
    one.add_argument('--map', metavar='FILE.png',
                     help='draw the sentences in two dimensions, by PCA (extra: plot)')
    use.add_argument('--top', type=cli.positive_int, metavar='N',
                     help='how many texts --similarity prints (default: 10)')
    flags.add_model_flags(parser)
    flags.add_device_flags(parser.add_argument_group('running'))
    parser.add_argument('--verbose', action='store_true', help='tell what is done, batch by batch')
    args = parser.parse_args(argv)
    kind = args.output and vectors.suffix(args.output)
    if args.output and kind not in vectors.FORMATS:
        parser.error(f"--output {args.output}: end its name in one of {', '.join(vectors.FORMATS)}")
    if args.similarity is not None or args.map or kind == '.npy':
        args.pooling = args.pooling or 'mean'
        args.normalize |= args.similarity is not None
    if args.normalize and not args.pooling:
        parser.error('--normalize is for vectors of sentences; add --pooling mean')
    if args.oov_way and args.pooling:
        parser.error('--oov_way is for vectors of words, and these are of sentences')
    if args.top and args.similarity is None:
        parser.error('--top goes with --similarity')
    return args


def layer_list(text):
    """argparse type: whole numbers with commas between them."""
    try:
        return tuple(int(number) for number in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is not a list such as -2,-1') from None


def main(argv=None):
    args = parse_args(argv)
    from bert.training import runtime
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    logging.getLogger('bert').setLevel(logging.DEBUG if args.verbose else logging.INFO)
    _log.debug('%s', vars(args))
    texts = read_texts(args)
    embedding = BertEmbedding(
        runtime.devices(args), args.dtype, args.bert_model, args.bert_dataset,
        args.model_parameters or args.pretrained_bert_parameters, args.max_seq_length,
        args.batch_size, args.sentencepiece, args.layers, args.offline, args.path,
        args.force_dtype)
    if args.similarity is not None:
        for score, number, text in nearest(embedding, texts, args):
            print(f'{score:.4f}\t{number}\t{text}')
    elif args.map:
        draw(embedding, texts, args)
    elif args.output:
        write = vectors.write_sentences if args.pooling else vectors.write_words
        count = write(args.output, progress(embed(embedding, texts, args)), embedding.size)
        print(f'{args.output}: {count} texts, {embedding.size} numbers a vector')
    else:
        with np.printoptions(threshold=5):
            for text, *item in embed(embedding, texts, args):
                if args.pooling:
                    print(f'Text: {text}\nSentence embedding: {item[0]}')
                else:
                    print(f"Text: {' '.join(item[0])}\nTokens embedding: {list(item[1])}")
    return 0


def read_texts(args):
    """The texts, as an iterator; DataError or OSError now where there are none."""
    if args.sentences:
        return iter(args.sentences)
    from bert.utils import files
    lines = (text.strip() for _, text in files.read_lines(args.file))
    try:
        first = next(lines)
    except StopIteration:
        raise DataError(f'{args.file}: empty; write a text a line') from None
    return itertools.chain([first], lines)


def embed(embedding, texts, args):
    """(text, vector) with ``--pooling``, else (text, words, vectors), of each text."""
    texts, ahead = itertools.tee(texts)     # holds no more than a chunk of texts
    if args.pooling:
        return zip(texts, embedding.sentences(ahead, args.pooling, args.normalize))
    return ((text,) + item
            for text, item in zip(texts, embedding.words(ahead, args.oov_way or 'avg')))


def progress(items):
    """``items``, counted on the screen where there is one."""
    from tqdm import tqdm
    return tqdm(items, unit=' texts', disable=None)


def nearest(embedding, texts, args):
    """The ``--top`` texts nearest to ``--similarity``: list of (cosine, number from 1, text)."""
    query = next(embedding.sentences([args.similarity], args.pooling, args.normalize))
    scored = ((float(np.dot(vector, query)), -number, text) for number, (text, vector)
              in enumerate(progress(embed(embedding, texts, args)), 1))
    return [(score, -number, text)
            for score, number, text in heapq.nlargest(args.top or 10, scored)]


def draw(embedding, texts, args):
    """Write a picture of the texts, at the two principal components of their vectors."""
    from bert.training import plot
    labels, rows = zip(*progress(embed(embedding, texts, args)))
    if len(rows) < 3:
        raise DataError(f'--map: {len(rows)} texts are too few for a map; give 3 or more')
    from sklearn.decomposition import PCA
    pca = PCA(2, random_state=0)
    points = pca.fit_transform(np.stack(rows))
    print(f'map: {plot.sentence_map(args.map, points, labels, pca.explained_variance_ratio_)}')


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
