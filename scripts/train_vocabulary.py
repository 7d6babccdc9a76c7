"""Make a vocabulary for pre-training from scratch: WordPiece, or a SentencePiece model.

    python train_vocabulary.py --input_file 'text/*.txt' --output_dir vocabulary --vocab_size 30522
    python train_vocabulary.py --input_file 'text/*.txt' --output_dir vocabulary \\
        --kind sentencepiece --model_type bpe --vocab_size 30000

The text files are those of create_pretraining_data.py and run_pretraining.py --raw, which use the
result with --vocab vocabulary.  WordPiece needs the tokenizers library (extra: vocabulary).
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import collections
import io
import itertools
import logging
import os
import re

from bert.text.vocabulary import CONFIG, FILES, SPECIALS
from bert.utils import cli
from bert.utils.errors import DataError, run

# a word of 1,000 letters or more (Chinese characters are words of their own): BERT's tokenizer
# makes it [UNK], and the time of the WordPiece trainer grows with the square of its length
LONG_WORD = re.compile('[^\\W\u3400-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]{1000,}')
ALPHABET = 1000     # characters that a WordPiece vocabulary has at least, where the text has them

_log = logging.getLogger(__name__)


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    parser.add_argument('--input_file', nargs='+', required=True, metavar='FILES',
                        help='UTF-8 text; wildcards, and commas between files, are fine')
    parser.add_argument('--output_dir', required=True, type=cli.path, metavar='DIR',
                        help='gets vocab.txt or spm.model, and tokenizer_config.json')
    parser.add_argument('--kind', choices=('wordpiece', 'sentencepiece'), default='wordpiece',
                        help='(default: %(default)s, as the published models have)')
    parser.add_argument('--vocab_size', type=cli.whole_number(100, 1 << 24), default=30522,
                        metavar='N', help='tokens, special ones included (default: %(default)s)')
    parser.add_argument('--model_type', type=str.lower, default='unigram',
                        choices=('unigram', 'bpe', 'char', 'word'),
                        help='of SentencePiece (default: %(default)s)')
    parser.add_argument('--character_coverage', type=cli.number(0.98, 1), metavar='SHARE',
                        help='the share of the characters that get a token; 1 for small alphabets '
                             '(default: 0.9995; 0.9999 for WordPiece, but at least the '
                             f'{ALPHABET} most frequent characters)')
    parser.add_argument('--cased', action='store_true', help='do not lower-case the text')
    cli.add_overwrite_flag(parser)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import output
    from bert.pretraining import corpus
    from bert.text import tokenizer
    paths = corpus.expand(args.input_file)
    corpus.check_plain(paths)
    # None: that a folder holds a model is no reason to propose --overwrite
    with output.replacement(args.output_dir, '--output_dir', args.overwrite or None,
                            output.VOCABULARY) as folder:
        if not args.overwrite:
            check(args.output_dir)
        if args.kind == 'wordpiece':
            path = train_wordpiece(paths, folder, args)
        else:
            path = train_sentencepiece(lines(paths), folder, args)
        tok = tokenizer.load(path, args.cased)
        tok.save(folder)
    print(f'{args.output_dir}: {len(tok)} tokens, {args.kind}, '
          f"{'cased' if args.cased else 'lower-case'}")
    print(f'to use it: --vocab {args.output_dir}')
    return 0


def check(folder):
    """Raise DataError if ``folder`` holds a file of a vocabulary or a model."""
    for name in (*FILES, CONFIG, 'config.json'):
        if os.path.exists(os.path.join(folder, name)):
            raise DataError(f'{os.path.join(folder, name)} exists; name another --output_dir, or '
                            'add --overwrite')


def lines(paths):
    """The lines of text files, as an iterator."""
    from bert.utils import files
    for path in paths:
        for _, text in files.read_lines(path):
            if text.strip():
                yield text.strip()


def train_wordpiece(paths, folder, args):
    """Write vocab.txt to ``folder``; returns its path.  DataError if there is no text."""
    from tokenizers import BertWordPieceTokenizer

    def texts():
        return (LONG_WORD.sub('', text) for text in lines(paths))

    def train(alphabet):
        # else the trainer takes the ALPHABET most frequent ones, and breaks ties by chance
        trainer = BertWordPieceTokenizer(lowercase=not args.cased)
        trainer.train_from_iterator(
            texts(), vocab_size=args.vocab_size, special_tokens=list(SPECIALS),
            limit_alphabet=len(alphabet), initial_alphabet=alphabet, show_progress=False)
        return trainer.get_vocab()

    def joins(char):
        """Whether it makes words with others; Chinese ones and marks do not."""
        return len(split.pre_tokenize_str(normalize(f'a{char}a'))) == 1

    fresh = BertWordPieceTokenizer(lowercase=not args.cased)
    normalize, split = fresh.normalizer.normalize_str, fresh.pre_tokenizer
    counts = characters(texts(), normalize)
    if not counts:
        raise DataError('--input_file: there is no text in these files')
    order = sorted(counts, key=lambda char: (-counts[char], char))
    room = args.vocab_size - len(SPECIALS)
    alphabet = order[:min(room, wanted(order, counts, args.character_coverage or 0.9999))]
    ids = train(alphabet)
    # of a character it may have two tokens, c and ##c
    if len(ids) > args.vocab_size:
        needed = itertools.accumulate(1 + ('##' + char in ids) for char in alphabet)
        alphabet = order[:sum(size <= room for size in needed)]
        ids = train(alphabet)
    elif len(ids) < args.vocab_size and len(alphabet) < len(order):
        needed = itertools.accumulate(1 + joins(char) for char in order[len(alphabet):])
        free = args.vocab_size - len(ids)
        alphabet = order[:len(alphabet) + sum(size <= free for size in needed)]
        ids = train(alphabet)
    warn(counts, alphabet)
    return write(os.path.join(folder, 'vocab.txt'), ''.join(
        token + '\n' for token in sorted(ids, key=ids.get)).encode('utf-8'))


def characters(texts, normalize):
    """How often each character is in texts, once ``normalize`` has cleaned them."""
    counts, raw = collections.Counter(), collections.Counter()
    for text in texts:
        raw.update(text)
    for char, count in raw.items():
        for cleaned in normalize(char).split():
            for part in cleaned:
                counts[part] += count
    return counts


def wanted(order, counts, coverage):
    """How many of the characters in ``order``, the most frequent first, make up the share
    ``coverage`` of the text; at least ALPHABET."""
    covered = itertools.accumulate(counts[char] for char in order)
    share = coverage * sum(counts.values())
    return max(ALPHABET, 1 + sum(count < share for count in covered))


def warn(counts, alphabet):
    """Log how much of the text the vocabulary leaves out, if any."""
    left_out = set(counts) - set(alphabet)
    if left_out:
        share = sum(counts[char] for char in left_out) / sum(counts.values())
        _log.warning('%d of the %d characters of the text, %.2g %% of it, are not in the '
                     'vocabulary: words with them become [UNK]; a larger --vocab_size or '
                     '--character_coverage 1 takes more', len(left_out), len(counts), 100 * share)


def train_sentencepiece(texts, folder, args):
    """Write spm.model to ``folder``; returns its path.  DataError if the text does not allow it."""
    import sentencepiece
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=texts, model_writer=model, model_type=args.model_type,
            vocab_size=args.vocab_size - 3,     # [CLS], [SEP] and [MASK] are added to it
            character_coverage=args.character_coverage or 0.9995, pad_id=3, minloglevel=2,
            normalization_rule_name='nmt_nfkc' if args.cased else 'nmt_nfkc_cf')
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[-1]
        if 'sentences_.empty()' in reason:
            raise DataError('--input_file: there is no text in these files, or only in lines of '
                            'more than 4,192 bytes') from None
        raise DataError(f'SentencePiece cannot make {args.vocab_size} tokens of this text '
                        f'({reason}); use another --vocab_size, or more text') from None
    return write(os.path.join(folder, 'spm.model'), model.getvalue())


def write(path, content):
    """Write bytes to a file and return its path; DataError if the disk is full."""
    from bert.utils import files
    with files.atomic(path) as temporary, open(temporary, 'wb') as f:
        f.write(content)
    return path


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
