"""Text -> tokens and ids: WordPiece | SentencePiece behind one interface; casing decided once.

The reference is the tokenizer that the published checkpoints were trained with,
google-research/bert ``tokenization.py`` of 2018, token for token.  Where Hugging Face's
``BertTokenizer`` differs, Google's counts: a word has up to 200 characters (not 100) before it
becomes [UNK], a special token typed in a text ('[MASK]') is text, and cased text is not composed
(NFC, in its Python version) and a final sigma is one (unlike in its Rust version).
"""
import contextlib
import functools
import logging
import os
import re
import string
from unicodedata import category, normalize

from ..utils import files
from . import vocabulary

__all__ = ['SentencePiece', 'Tokenizer', 'WordPiece', 'load']

# what str.split() splits at once control characters are gone: \t \n \r, Zs, U+2028 and U+2029
_SPACES = ' \t\n\r\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000'
# the ideographs (no kana, no Hangul) that tokenization.py makes words of one character
_HAN_BLOCKS = ('\u3400\u4dbf', '\u4e00\u9fff', '\uf900\ufa6f', '\ufa70\ufaff',
               '\U00020000\U0002a6df', '\U0002a700\U0002b73f', '\U0002b740\U0002b81f',
               '\U0002b820\U0002ceaf', '\U0002f800\U0002fa1f')


def _assigned(first, last):
    """A range for a regular expression without the unassigned end of a block."""
    while category(last) == 'Cn':
        last = chr(ord(last) - 1)
    return f'{first}-{last}'


_HAN = ''.join(_assigned(*block) for block in _HAN_BLOCKS)
_RUNS = {True: re.compile(f'[{_HAN}]|[^{_HAN}{_SPACES}]+'),
         False: re.compile(f'[^{_SPACES}]+')}

_PUNCTUATION = frozenset(string.punctuation)    # $ + < = > ^ ` | ~ too, to Unicode symbols
_MAX_WORD = 200         # characters; a longer word is [UNK]
_CACHED_RUNS = 1 << 16  # a few tens of MB at worst
_CACHED_LENGTH = 64     # characters; longer runs seldom come again


class Tokenizer:
    """What WordPiece and SentencePiece share: cleaning, casing, splitting into words, offsets.

    Parameters
    ----------
    tokens : list of str, the vocabulary in the order of the ids
    specials : tuple of str, the tokens for padding, unknown, [CLS], [SEP] and [MASK]
    cased : bool; uncased text is lower-cased
    strip_accents : bool or None; None: uncased text loses its accents, cased text keeps them
    split_han : bool; a Chinese character is a word of its own

    A text is taken apart in *runs*: an ideograph, or the characters between two spaces.  No rule
    looks beyond its run, so the pieces of a run are remembered and most text is only looked up.
    """

    _class_name = None      # what tokenizer_config.json calls it

    def __init__(self, tokens, specials, cased, strip_accents=None, split_han=True):
        self.cased = cased
        self._strip_accents = strip_accents
        self._split_han = split_han
        self._tokens = list(tokens)
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self._ids[token] for token in specials)
        self._start()

    def _start(self):
        self._run_pattern = _RUNS[self._split_han]
        self._remembered = functools.lru_cache(_CACHED_RUNS)(self._encode)

    def __getstate__(self):     # for worker processes: everything but the memory
        return {key: value for key, value in self.__dict__.items() if key != '_remembered'}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start()

    def __len__(self):
        return len(self._tokens)

    def identity(self):
        """What its pieces follow from, as a tuple whose ``repr`` is exact."""
        return (type(self).__name__, self._vocabulary_file(), self.cased, self._strip_accents,
                self._split_han)

    def tokens(self, ids):
        """The tokens of ``ids``: list of str."""
        return [self._tokens[i] for i in ids]

    def tokenize(self, text):
        """The pieces of a text, without special tokens: list of str, all in the vocabulary."""
        return self.tokens(self.ids(text))

    def ids(self, text):
        """The ids of a text's pieces, without special tokens: list of int."""
        ids = []
        for run in self._run_pattern.findall(text):
            ids += self._look_up(run)[0]
        return ids

    def pieces(self, text):
        """The ids of a text's pieces, and the stretch of text that each one stands for.

        Returns
        -------
        (ids, starts, ends) : lists of int.  The stretch is text[start:end], in characters of the
            text as it was given, dropped accents included; for [UNK] it is the whole word.
        """
        ids, starts, ends = [], [], []
        for match in self._run_pattern.finditer(text):
            first = match.start()
            run = self._look_up(match.group())
            ids += run[0]
            starts += [first + start for start in run[1]]
            ends += [first + end for end in run[2]]
        return ids, starts, ends

    def _look_up(self, run):
        return self._remembered(run) if len(run) <= _CACHED_LENGTH else self._encode(run)

    def _encode(self, run):
        """(ids, starts, ends) of a run, as three tuples."""
        text, starts, ends = self._clean(run)
        pieces = [(piece, starts[first + start], ends[first + end - 1] if end > start
                   else starts[first + start])
                  for first, last in _words(text)
                  for piece, start, end in self._split(text[first:last])]
        return tuple(zip(*pieces)) or ((), (), ())

    def _clean(self, run):
        """A run without control characters, in the model's casing, and where its characters come
        from: (text, starts, ends), where text[i] stands for run[starts[i]:ends[i]]."""
        origins = [i for i, char in enumerate(run)
                   if char != '\ufffd' and not category(char).startswith('C')]
        text = ''.join(run[i] for i in origins)
        strip_accents = not self.cased if self._strip_accents is None else self._strip_accents
        if not self.cased:
            # the whole run at once, as the form of a final sigma depends on its neighbours
            origins = [i for i, char in zip(origins, text) for _ in char.lower()]
            text = text.lower()
        if not strip_accents:
            return text, origins, [i + 1 for i in origins]
        origins = [i for i, char in zip(origins, text) for _ in normalize('NFD', char)]
        chars, starts, ends = [], [], []
        for char, i in zip(normalize('NFD', text), origins):
            if category(char) != 'Mn':
                chars.append(char)
                starts.append(i)
                ends.append(i + 1)
            elif ends:
                ends[-1] = i + 1    # a dropped accent belongs to the character before it
        return ''.join(chars), starts, ends

    def _split(self, word):
        """A cleaned word's pieces: list of (id, start, end), offsets in the word."""
        raise NotImplementedError

    def is_first_subword(self, token):
        """Whether a token begins a word."""
        raise NotImplementedError

    def _vocabulary_file(self):
        """(file name, content as bytes) of the vocabulary, as :func:`load` reads it."""
        raise NotImplementedError

    def save(self, folder):
        """Write the vocabulary, ids unchanged, and tokenizer_config.json into ``folder``, each
        atomically; the other kind's vocabulary is removed there."""
        os.makedirs(folder, exist_ok=True)
        name, content = self._vocabulary_file()
        config = {'do_lower_case': not self.cased, 'strip_accents': self._strip_accents,
                  'tokenize_chinese_chars': self._split_han, 'tokenizer_class': self._class_name}
        with files.atomic(os.path.join(folder, name)) as temporary, open(temporary, 'wb') as file:
            file.write(content)
        files.write_json(os.path.join(folder, vocabulary.CONFIG), config)
        for other in {'vocab.txt', 'spm.model'} - {name}:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(folder, other))


class WordPiece(Tokenizer):
    """The longest piece of the vocabulary first, from a word's left to its right; see Tokenizer."""

    _class_name = 'BertTokenizer'

    def __init__(self, tokens, cased, strip_accents=None, split_han=True):
        super().__init__(tokens, vocabulary.SPECIALS, cased, strip_accents, split_han)
        self._longest = max(map(len, self._tokens))

    def _split(self, word):
        pieces, start = [], 0
        while start < len(word) <= _MAX_WORD:
            prefix = '##' if start else ''
            for end in range(min(len(word), start + self._longest), start, -1):
                piece = self._ids.get(prefix + word[start:end])
                if piece is not None:
                    pieces.append((piece, start, end))
                    start = end
                    break
            else:
                break
        return pieces if start == len(word) else [(self.unk_id, 0, len(word))]

    def is_first_subword(self, token):
        return not token.startswith('##')

    def _vocabulary_file(self):
        return 'vocab.txt', ''.join(token + '\n' for token in self._tokens).encode('utf-8')


class SentencePiece(Tokenizer):
    """A SentencePiece model applied to each word, as in gluonnlp's BERTSPTokenizer; see Tokenizer.

    Unlike there, cased text keeps its accents.  With ``nbest`` over 1 (or under 0: no limit) a
    word's pieces are drawn at random from its ``nbest`` best splits, with ``alpha`` for smoothing,
    by sentencepiece's own generator: ``sentencepiece.set_random_generator_seed`` repeats a run.
    """

    _class_name = 'SentencePiece'

    def __init__(self, processor, tokens, cased, strip_accents=None, split_han=True, nbest=0,
                 alpha=1.0):
        unk, pad = processor.unk_id(), processor.pad_id()
        specials = (tokens[unk if pad < 0 else pad], tokens[unk]) + vocabulary.SPECIALS[2:]
        super().__init__(tokens, specials, cased, strip_accents, split_han)
        self._processor = processor
        self._sampling = ({'enable_sampling': True, 'nbest_size': nbest, 'alpha': alpha}
                          if nbest not in (0, 1) else {})

    def _look_up(self, run):
        return self._encode(run) if self._sampling else super()._look_up(run)

    def _split(self, word):
        tokens = self._processor.encode(word, out_type=str, **self._sampling)
        normal, origins = self._processor.normalize(word, with_offsets=True)
        if ''.join(tokens) != normal:       # byte pieces have no characters of their own
            return [(self._ids.get(token, self.unk_id), 0, len(word)) for token in tokens]
        pieces, position = [], 0
        for token in tokens:
            start, position = min(origins[position], len(word) - 1), position + len(token)
            # a character that became several ('\ufb01' -> 'fi') is in the stretch of each of them
            end = start if token == '\u2581' else next(
                (i for i in origins[position:] if i > origins[position - 1]), len(word))
            pieces.append((self._ids.get(token, self.unk_id), start, end))
        return pieces

    def is_first_subword(self, token):
        return token.startswith('\u2581')

    def _vocabulary_file(self):
        return 'spm.model', self._processor.serialized_model_proto()


def load(path, cased=None, nbest=0, alpha=1.0):
    """The tokenizer of a model folder, or of a vocabulary file.

    Parameters
    ----------
    path : a folder, or a file: vocab.txt (a token a line), Hugging Face's tokenizer.json,
        gluonnlp's vocabulary (*.vocab, JSON) or a SentencePiece model (*.model)
    cased : bool or None.  None: what tokenizer_config.json or tokenizer.json beside the vocabulary
        says, else whether the vocabulary has capital letters, with a warning
    nbest, alpha : SentencePiece only, see :class:`SentencePiece`

    Raises DataError for a file that is missing or damaged, or is not a BERT vocabulary.
    """
    path = vocabulary.find(path)
    tokens, processor = vocabulary.read(path)
    lower, strip_accents, split_han = vocabulary.casing(path)
    if cased is None and lower is None:
        cased = any(token != token.lower() for token in tokens
                    if not re.match(r'\[.*\]$|<.*>$', token))
        logging.getLogger(__name__).warning(
            '%s: no %s says whether it is cased; taken as %s, since it has %s capital letters',
            path, vocabulary.CONFIG, *(('cased', 'some') if cased else ('uncased', 'no')))
    elif cased is None:
        cased = not lower
    if processor is not None:
        return SentencePiece(processor, tokens, cased, strip_accents, split_han, nbest, alpha)
    return WordPiece(tokens, cased, strip_accents, split_han)


def _words(text):
    """The (start, end) of the words of a cleaned run; a punctuation mark is a word."""
    start = 0
    for i, char in enumerate(text):
        if char in _PUNCTUATION or category(char).startswith('P'):
            if start < i:
                yield start, i
            yield i, i + 1
            start = i + 1
    if start < len(text):
        yield start, len(text)

