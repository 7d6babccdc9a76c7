"""Text -> tokens and ids: WordPiece and SentencePiece behind one interface.

WordPiece gives the tokens of google-research/bert ``tokenization.py`` of 2018 and of Transformers'
``BertTokenizer`` (the library ``tokenizers``), and follows the latter where they differ: a word of
more than 100 characters is [UNK] (200 there), a special token typed in a text ('[MASK]') is that
token, and a capital sigma becomes σ at the end of a word too (ς there, and in Transformers' slow
tokenizer).  Like the former it does not compose cased text (NFC).
"""
import contextlib
import functools
import logging
import os
import re
from typing import Any, Iterable, List, Optional, Sequence, Tuple
from unicodedata import category, normalize

from ..utils import files
from . import added_tokens, vocabulary
from .added_tokens import AddedToken, AddedTokens
from .characters import REMOVED, RUNS, words

__all__ = ['MAX_WORD', 'SentencePiece', 'Tokenizer', 'WordPiece', 'load']

MAX_WORD = 100          # characters; a longer word is [UNK]
_CACHED_RUNS = 1 << 16  # at most a few tens of MB
_CACHED_LENGTH = 64     # characters; longer runs rarely recur


class Tokenizer:
    """What WordPiece and SentencePiece share: cleaning, casing, splitting into words, offsets.

    ``tokens`` is the vocabulary in the order of the ids; ``specials`` are the tokens for padding,
    unknown, [CLS], [SEP] and [MASK].  Unless ``cased``, text is lower-cased.  ``strip_accents``
    None removes accents from uncased text only.  ``split_han`` makes each Chinese character a
    word.  ``added`` are tokens that are whole wherever they occur in a text; those with ids beyond
    ``tokens`` follow each other.

    A text is split into *runs*: an ideograph, or the characters between two spaces.  No rule
    looks beyond a run, so the sub-words of a run are cached and most text is only looked up.
    """

    _class_name = None      # its name in tokenizer_config.json

    def __init__(self, tokens: Iterable[str], specials: Tuple[str, ...], cased: bool,
                 strip_accents: Optional[bool] = None, split_han: bool = True,
                 added: Sequence[AddedToken] = ()):
        self.cased = cased
        self._strip_accents = strip_accents
        self._split_han = split_han
        self.vocabulary = list(tokens)      # without added tokens that have ids beyond it
        self._tokens = self.vocabulary + [
            token.content for token in sorted(added, key=lambda token: token.id)
            if token.id >= len(self.vocabulary)]
        self._ids = {token: i for i, token in enumerate(self.vocabulary)}   # of equals, the last
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self._ids[token] for token in specials)
        self.added = AddedTokens(added, self._clean)
        self._start()

    def _start(self):
        self._run_pattern = RUNS[self._split_han]
        self._cached = functools.lru_cache(_CACHED_RUNS)(self._encode)

    def __getstate__(self):     # for worker processes: everything except the cache
        return {key: value for key, value in self.__dict__.items() if key != '_cached'}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start()

    def __len__(self):
        return len(self._tokens)

    def identity(self) -> Tuple[Any, ...]:
        """What its sub-words depend on, as a tuple whose ``repr`` is exact."""
        return (type(self).__name__, self._vocabulary_file(), self.cased, self._strip_accents,
                self._split_han, MAX_WORD, self.added.tokens)

    def tokens(self, ids: Iterable[int]) -> List[str]:
        """The tokens of ``ids``."""
        return [self._tokens[i] for i in ids]

    def tokenize(self, text: str) -> List[str]:
        """The sub-words of a text, all in the vocabulary, without [CLS] and [SEP]."""
        return self.tokens(self.ids(text))

    def ids(self, text: str) -> List[int]:
        """The ids of a text's sub-words, without [CLS] and [SEP]."""
        ids = []
        for first, last, token_id in self.added.split(text, self._clean):
            if token_id is not None:
                ids.append(token_id)
                continue
            for run in self._run_pattern.findall(text, first, last):
                ids += self._look_up(run)[0]
        return ids

    def ids_and_offsets(self, text: str) -> Tuple[List[int], List[int], List[int]]:
        """The ids of a text's sub-words, and where each starts and ends.

        A sub-word stands for text[start:end], in characters of the original text, removed accents
        included; [UNK] for the whole word.
        """
        ids, starts, ends = [], [], []
        for first, last, token_id in self.added.split(text, self._clean):
            if token_id is not None:
                ids.append(token_id)
                starts.append(first)
                ends.append(last)
                continue
            for match in self._run_pattern.finditer(text, first, last):
                origin = match.start()
                run = self._look_up(match.group())
                ids += run[0]
                starts += [origin + start for start in run[1]]
                ends += [origin + end for end in run[2]]
        return ids, starts, ends

    def _look_up(self, run):
        return self._cached(run) if len(run) <= _CACHED_LENGTH else self._encode(run)

    def _encode(self, run):
        """(ids, starts, ends) of a run, as three tuples."""
        text, starts, ends = self._clean(run)
        found = [(token_id, starts[first + start], ends[first + end - 1] if end > start
                  else starts[first + start])
                 for first, last in words(text)
                 for token_id, start, end in self._split(text[first:last])]
        return tuple(zip(*found)) or ((), (), ())

    def _clean(self, run):
        """A run without control characters, in the model's casing, with offsets: (text, starts,
        ends), where text[i] stands for run[starts[i]:ends[i]]."""
        if run.isascii() and run.isprintable():     # most text
            return run if self.cased else run.lower(), range(len(run)), range(1, len(run) + 1)
        origins = [i for i, char in enumerate(run)
                   if char != '\ufffd' and category(char) not in REMOVED]
        text = ''.join(run[i] for i in origins)
        strip_accents = not self.cased if self._strip_accents is None else self._strip_accents
        if not self.cased:
            # each character alone: lower-casing a whole word would end it in a final sigma
            lower = [char.lower() for char in text]
            origins = [i for i, chars in zip(origins, lower) for _ in chars]
            text = ''.join(lower)
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
                ends[-1] = i + 1    # a removed accent belongs to the character before it
        return ''.join(chars), starts, ends

    def _split(self, word):
        """The sub-words of a cleaned word: list of (id, start, end), offsets in the word."""
        raise NotImplementedError

    def is_first_subword(self, token: str) -> bool:
        """Whether a token starts a word."""
        raise NotImplementedError

    def _vocabulary_file(self):
        """(file name, content as bytes) of the vocabulary, as :func:`load` reads it."""
        raise NotImplementedError

    def save(self, folder: str, max_length: Optional[int] = None) -> None:
        """Write the vocabulary and tokenizer_config.json to ``folder``, each atomically.

        Files there that would contradict the vocabulary are removed.  ``max_length`` is the number
        of tokens at which Transformers cuts texts if it is asked to; without it, it does not.
        """
        os.makedirs(folder, exist_ok=True)
        name, content = self._vocabulary_file()
        config = {'do_lower_case': not self.cased, 'strip_accents': self._strip_accents,
                  'tokenize_chinese_chars': self._split_han, 'tokenizer_class': self._class_name}
        config.update(self.added.config())
        if max_length:
            config['model_max_length'] = max_length
        with files.atomic(os.path.join(folder, name)) as temporary, open(temporary, 'wb') as file:
            file.write(content)
        files.write_json(os.path.join(folder, vocabulary.CONFIG), config)
        for other in {*vocabulary.FILES} - {name}:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(folder, other))


class WordPiece(Tokenizer):
    """From left to right, the longest sub-word that is in the vocabulary; see Tokenizer."""

    _class_name = 'BertTokenizer'

    def __init__(self, tokens: Iterable[str], cased: bool, strip_accents: Optional[bool] = None,
                 split_han: bool = True, added: Sequence[AddedToken] = ()):
        super().__init__(tokens, vocabulary.SPECIALS, cased, strip_accents, split_han, added)
        self._longest = max(map(len, self.vocabulary))

    def _split(self, word):
        found, start = [], 0
        while start < len(word) <= MAX_WORD:
            prefix = '##' if start else ''
            for end in range(min(len(word), start + self._longest), start, -1):
                token_id = self._ids.get(prefix + word[start:end])
                if token_id is not None:
                    found.append((token_id, start, end))
                    start = end
                    break
            else:
                break
        return found if start == len(word) else [(self.unk_id, 0, len(word))]

    def is_first_subword(self, token):
        return not token.startswith('##')

    def _vocabulary_file(self):
        return 'vocab.txt', ''.join(token + '\n' for token in self.vocabulary).encode('utf-8')


class SentencePiece(Tokenizer):
    """A SentencePiece model applied to each word, as in gluonnlp's BERTSPTokenizer; see Tokenizer.

    Unlike there, cased text keeps its accents.  With ``nbest`` above 1 (or below 0: no limit) the
    pieces of a word are drawn at random from its ``nbest`` best splits, with ``alpha`` for
    smoothing, by sentencepiece's generator (``sentencepiece.set_random_generator_seed``).
    """

    _class_name = 'SentencePiece'

    def __init__(self, processor: Any, tokens: List[str], cased: bool,
                 strip_accents: Optional[bool] = None, split_han: bool = True, nbest: int = 0,
                 alpha: float = 1.0):
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
            # a character that became several ('\ufb01' -> 'fi') belongs to each of them
            end = start if token == '\u2581' else next(
                (origins[i] for i in range(position, len(origins))
                 if origins[i] > origins[position - 1]), len(word))
            pieces.append((self._ids.get(token, self.unk_id), start, end))
        return pieces

    def is_first_subword(self, token):
        return token.startswith('\u2581')

    def _vocabulary_file(self):
        return 'spm.model', self._processor.serialized_model_proto()


def load(path: str, cased: Optional[bool] = None, nbest: int = 0,
         alpha: float = 1.0) -> Tokenizer:
    """The tokenizer of a model folder, or of a vocabulary file.

    ``path`` is a folder, or a file: vocab.txt (one token per line), Hugging Face's tokenizer.json,
    gluonnlp's vocabulary (``.vocab``, JSON) or a SentencePiece model (``.model``).  If ``cased`` is
    None, tokenizer_config.json or tokenizer.json beside the vocabulary decides; without them,
    capital letters in the vocabulary do, with a warning.  ``nbest`` and ``alpha`` are for
    :class:`SentencePiece`.  Raises DataError for a file that is missing, damaged or not of a BERT.
    """
    path = vocabulary.find(path)
    vocabulary.check_class(path)
    tokens, processor = vocabulary.read(path)
    lower, strip_accents, split_han = vocabulary.casing(path)
    if cased is None and lower is None:
        cased = any(token != token.lower() for token in tokens
                    if not re.match(r'\[.*\]$|<.*>$', token))
        logging.getLogger(__name__).warning(
            '%s: no %s says whether it is cased; assuming %s, since it has %s capital letters',
            path, vocabulary.CONFIG, *(('cased', 'some') if cased else ('uncased', 'no')))
    elif cased is None:
        cased = not lower
    if processor is not None:
        return SentencePiece(processor, tokens, cased, strip_accents, split_han, nbest, alpha)
    return WordPiece(tokens, cased, strip_accents, split_han, added_tokens.read(path, tokens))
