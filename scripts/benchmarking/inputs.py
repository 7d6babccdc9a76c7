"""What scripts/benchmark.py measures on: models with random weights, data made from plain text.

All of it follows from fixed seeds, so it is the same in every run and for every program measured.
Lengths are counted in tokens of the model at hand and are drawn to look like those of MRPC, SQuAD
and WNUT-17.
"""
import json
import multiprocessing
import os
import zlib
from typing import Optional

import numpy as np

from bert.model.config import BertConfig
from bert.text import tokenizer
from bert.utils import files
from bert.utils.errors import DataError

__all__ = ['SHAPES', 'Inputs', 'make_model']

SHAPES = {'6l': (6, 384, 12), 'base': (12, 768, 12)}      # layers, units, heads
_VOCABULARY = 30522     # as large as that of the uncased English models


def make_model(folder: str, layers: int, units: int, heads: int) -> None:
    """Write a BERT in Hugging Face's format: weights from N(0, 0.02), the sample's vocabulary.

    The vocabulary is filled up with unused entries to a usual size.
    """
    from safetensors.numpy import save_file
    rng = np.random.default_rng(0)
    matrices = {'embeddings.word_embeddings': (_VOCABULARY, units),
                'embeddings.position_embeddings': (512, units),
                'embeddings.token_type_embeddings': (2, units), 'pooler.dense': (units, units)}
    norms = ['embeddings.LayerNorm']
    for layer in (f'encoder.layer.{i}.' for i in range(layers)):
        for name in 'self.query', 'self.key', 'self.value', 'output.dense':
            matrices[layer + 'attention.' + name] = (units, units)
        matrices[layer + 'intermediate.dense'] = (4 * units, units)
        matrices[layer + 'output.dense'] = (units, 4 * units)
        norms += [layer + 'attention.output.LayerNorm', layer + 'output.LayerNorm']
    arrays = {}
    for name, shape in matrices.items():
        arrays[name + '.weight'] = rng.standard_normal(shape, np.float32) * np.float32(0.02)
        if not name.startswith('embeddings.'):
            arrays[name + '.bias'] = np.zeros(shape[0], np.float32)
    for name in norms:
        arrays[name + '.weight'] = np.ones(units, np.float32)
        arrays[name + '.bias'] = np.zeros(units, np.float32)
    files.make_folder(folder, '--output_dir')
    with open(os.path.join(files.SAMPLE, 'vocab.txt'), encoding='utf-8') as f:
        tokens = f.read().splitlines()
    tokens += [f'[unused{i}]' for i in range(len(tokens), _VOCABULARY)]
    with open(os.path.join(folder, 'vocab.txt'), 'w', encoding='utf-8') as f:
        f.writelines(token + '\n' for token in tokens)
    files.write_json(os.path.join(folder, 'tokenizer_config.json'),
                     {'do_lower_case': True, 'tokenizer_class': 'BertTokenizer'})
    config = BertConfig(units, layers, heads, 4 * units, vocab_size=_VOCABULARY,
                        architectures=('BertModel',), other={'pad_token_id': 0})
    files.write_json(os.path.join(folder, 'config.json'), config.to_dict())
    with files.atomic(os.path.join(folder, 'model.safetensors')) as temporary:
        save_file(arrays, temporary, metadata={'format': 'pt'})


class Inputs(dict):
    """Paths of models and data by name, each made at its first use.

    - ``model-SIZE``: a folder; SIZE is of :data:`SHAPES`, and '6l' may be the user's own model
    - ``dense-SIZE-LENGTH-COUNT``: a table of COUNT labelled texts of LENGTH tokens or more
    - ``pairs-SIZE-COUNT``: a table of pairs, as long as MRPC's
    - ``mrpc-SIZE-SPLIT-COUNT``: MRPC's own pairs if their folder is given, else the same
    - ``squad-SIZE-COUNT``: questions on passages; ``ner-SIZE-COUNT``: tagged sentences
    - ``texts-SIZE-COUNT``: one sentence per line; ``corpus-SIZE-COUNT``: in documents of 20

    Parameters
    ----------
    folder : str
        Where they go.
    text_file : str
        Plain text to take the words from; DataError if it has too few.
    model : str, optional
        The folder of a model that replaces '6l'.
    mrpc : str, optional
        A folder with MRPC's official files.
    """

    def __init__(self, folder: str, text_file: str, model: Optional[str] = None,
                 mrpc: Optional[str] = None):
        super().__init__()
        self._folder, self._mrpc_folder = files.make_folder(folder, '--output_dir'), mrpc
        self._words = ' '.join(text for _, text in files.read_lines(text_file)).split()
        if len(self._words) < 1000:
            raise DataError(f'{text_file}: {len(self._words)} words; give a text of 1000 or more')
        self._lengths, self._tokenizers = {}, {}
        if model:
            self['model-6l'] = os.path.abspath(model)

    def __missing__(self, key: str) -> str:
        kind, *rest = key.split('-')
        if kind == 'model':
            path = os.path.join(self._folder, key)
            if not os.path.exists(os.path.join(path, 'model.safetensors')):
                # in a process of its own: on Linux, the most memory this one ever held would
                # count as that of the processes it starts
                maker = multiprocessing.Process(target=make_model, args=(path, *SHAPES[rest[0]]))
                maker.start()
                maker.join()
                if maker.exitcode:
                    raise DataError(f'{path}: could not be made, see above')
        else:
            path = os.path.join(self._folder, key + ('.json' if kind == 'squad' else '.tsv'
                                                     if kind in ('dense', 'pairs', 'mrpc')
                                                     else '.txt'))
            self._rng = np.random.RandomState(zlib.crc32(key.encode()))
            self._use(rest[0])
            with files.atomic(path) as temporary, open(temporary, 'w', encoding='utf-8') as f:
                getattr(self, '_' + kind)(f, *[int(n) if n.isdigit() else n for n in rest[1:]])
        self[key] = path
        return path

    def _use(self, size):
        """Count tokens as the model of this size does."""
        if size not in self._tokenizers:
            tok = tokenizer.load(self['model-' + size])
            cost = {word: len(tok.tokenize(word)) for word in set(self._words)}
            self._tokenizers[size] = [cost[word] for word in self._words]
        self._lengths = self._tokenizers[size]

    def _text(self, tokens):
        """A stretch of the text, a list of words, of ``tokens`` tokens or just above."""
        at, out = self._rng.randint(len(self._words)), []
        while tokens > 0:
            out.append(self._words[at])
            tokens -= self._lengths[at]
            at = (at + 1) % len(self._words)
        return out

    def _draw(self, mean, deviation, low, high):
        return int(np.clip(self._rng.normal(mean, deviation), low, high))

    def _dense(self, f, length, count):
        f.write('sentence\tlabel\n')
        for i in range(count):
            f.write(f"{' '.join(self._text(length))}\t{i % 2}\n")

    def _pairs(self, f, count):
        f.write('sentence1\tsentence2\tlabel\n')
        for i in range(count):
            tokens = self._draw(50, 13, 15, 100)
            pair = [' '.join(self._text(n)) for n in (tokens // 2, tokens - tokens // 2)]
            f.write('\t'.join([*pair, str(i % 2)]) + '\n')

    def _mrpc(self, f, split, count):
        if not self._mrpc_folder:
            self._pairs(f, count)
            return
        from bert.data import tables, tasks
        f.write('sentence1\tsentence2\tlabel\n')
        for row in tables.read_official(tasks.get('MRPC'), split, self._mrpc_folder):
            f.write('\t'.join(row[:3]) + '\n')

    def _squad(self, f, count):
        paragraphs = []
        for i in range(count):
            words = self._text(self._draw(155, 65, 30, 330))
            start = self._rng.randint(len(words) - 3)
            answer = {'text': ' '.join(words[start:start + 3]),
                      'answer_start': len(' '.join(words[:start])) + (start > 0)}
            paragraphs.append({'context': ' '.join(words), 'qas': [
                {'id': str(i), 'question': ' '.join(self._text(self._draw(12, 4, 5, 30))) + '?',
                 'answers': [answer]}]})
        json.dump({'version': '1.1', 'data': [{'title': 'text', 'paragraphs': paragraphs}]}, f)

    def _ner(self, f, count):
        for _ in range(count):
            for word in self._text(self._draw(22, 11, 4, 80)):
                tag = 'B-' + ('PER', 'LOC', 'ORG')[len(word) % 3] if word.istitle() else 'O'
                f.write(f'{word} {tag}\n')
            f.write('\n')

    def _texts(self, f, count):
        for _ in range(count):
            f.write(' '.join(self._text(self._draw(25, 8, 5, 60))) + '\n')

    def _corpus(self, f, count):
        for start in range(0, count, 20):
            self._texts(f, min(20, count - start))
            f.write('\n')
