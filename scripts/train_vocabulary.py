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

import io
import os
import re

from bert.text.vocabulary import CONFIG, FILES, SPECIALS
from bert.utils import cli
from bert.utils.errors import DataError, run

# a word of 1,000 letters or more (Chinese characters are words of their own): BERT's tokenizer
# makes it [UNK], and the time of the WordPiece trainer grows with the square of its length
LONG_WORD = re.compile('[^\\W\u3400-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]{1000,}')


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
    parser.add_argument('--character_coverage', type=cli.number(0.98, 1), default=0.9995,
                        metavar='SHARE', help='of SentencePiece: the share of the characters that '
                        'get a token; 1 for small alphabets (default: %(default)s)')
    parser.add_argument('--cased', action='store_true', help='do not lower-case the text')
    cli.add_overwrite_flag(parser)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from bert.checkpoint import output
    from bert.pretraining.corpus import expand
    from bert.text import tokenizer
    paths = expand(args.input_file)
    # None: that a folder holds a model is no reason to propose --overwrite
    with output.replacement(args.output_dir, '--output_dir', args.overwrite or None,
                            output.VOCABULARY) as folder:
        if not args.overwrite:
            check(args.output_dir)
        if args.kind == 'wordpiece':
            path = train_wordpiece(lines(paths), folder, args.vocab_size, args.cased)
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


def train_wordpiece(texts, folder, size, cased):
    """Write vocab.txt to ``folder``; returns its path.  DataError if there is no text."""
    from tokenizers import BertWordPieceTokenizer
    trainer = BertWordPieceTokenizer(lowercase=not cased)
    texts = (LONG_WORD.sub('', text) for text in texts)
    trainer.train_from_iterator(texts, vocab_size=size, special_tokens=list(SPECIALS),
                                show_progress=False)
    if trainer.get_vocab_size() <= len(SPECIALS):
        raise DataError('--input_file: there is no text in these files')
    ids = trainer.get_vocab()
    return write(os.path.join(folder, 'vocab.txt'), ''.join(
        token + '\n' for token in sorted(ids, key=ids.get)).encode('utf-8'))


def train_sentencepiece(texts, folder, args):
    """Write spm.model to ``folder``; returns its path.  DataError if the text does not allow it."""
    import sentencepiece
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=texts, model_writer=model, model_type=args.model_type,
            vocab_size=args.vocab_size - 3,     # [CLS], [SEP] and [MASK] are added to it
            character_coverage=args.character_coverage, pad_id=3, minloglevel=2,
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
