"""Predict with an exported symbol: it takes MXNet, numpy and the folder, nothing else.

    python predict_symbol.py FOLDER "A text."
    python predict_symbol.py FOLDER "A question, or a first text" "A passage, or a second text"
"""
import json
import re
import sys
from pathlib import Path
from unicodedata import normalize

import numpy as np

np.bool = bool      # MXNet 1.9 asks for what numpy 1.24 dropped
import mxnet as mx  # noqa: E402


def pieces(word, first=''):
    """WordPiece: the longest piece first."""
    for end in range(len(word), 0, -1):
        if first + word[:end] in vocab:
            rest = pieces(word[end:], '##') if word[end:] else []
            return ['[UNK]'] if '[UNK]' in rest else [first + word[:end]] + rest
    return ['[UNK]']


folder, *texts = sys.argv[1:]
about = json.loads(Path(folder, 'config.json').read_text(encoding='utf-8'))
casing = json.loads(Path(folder, 'tokenizer_config.json').read_text(encoding='utf-8'))
vocab = {piece: i for i, piece in enumerate(
    Path(folder, 'vocab.txt').read_text(encoding='utf-8').split('\n'))}
if casing['do_lower_case']:     # accents go too
    texts = [re.sub('[\u0300-\u036f]', '', normalize('NFD', text.lower())) for text in texts]
words = re.findall(r'\[CLS\]|\[SEP\]|\w+|[^\w\s]', f"[CLS] {' [SEP] '.join(texts)} [SEP]")
tokens = [piece for word in words for piece in pieces(word)]
ids = [vocab[token] for token in tokens]
segments = np.cumsum([0] + [token == '[SEP]' for token in tokens[:-1]])
net = mx.gluon.SymbolBlock.imports(folder + '/model-symbol.json', ['data0', 'data1', 'data2'],
                                   folder + '/model-0000.params')
outputs = net(mx.nd.array([ids]), mx.nd.array([segments]), mx.nd.array([len(ids)]))
outputs = [array[0].asnumpy() for array in (outputs if isinstance(outputs, list) else [outputs])]

print(*tokens)
if 'id2label' in about:         # classes of the text, or of each token; or a score
    best = np.atleast_1d(outputs[0].argmax(axis=-1))
    print(*(about['id2label'][str(i)] for i in best), outputs[0])
elif about['gluon_bert']['export']['task'] == 'question_answering':
    start = outputs[0].argmax()
    print(*tokens[start:start + 1 + outputs[1][start:].argmax()])
else:                           # embedding: a vector for the text, after one for each token
    print(outputs[-1])
