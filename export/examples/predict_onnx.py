"""Predict with an exported ONNX model: it takes onnxruntime, numpy and the folder, nothing else.

    python predict_onnx.py FOLDER "A text."
    python predict_onnx.py FOLDER "A question, or a first text" "A passage, or a second text"
"""
import json
import re
import sys
from pathlib import Path
from unicodedata import normalize

import numpy as np
import onnxruntime


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
session = onnxruntime.InferenceSession(folder + '/model.onnx', providers=['CPUExecutionProvider'])
outputs = session.run(None, {'data0': np.array([ids], np.int32),
                             'data1': segments[None].astype(np.int32),
                             'data2': np.array([len(ids)], np.float32)})
outputs = [array[0] for array in outputs]

print(*tokens)
if 'id2label' in about:         # classes of the text, or of each token; or a score
    best = np.atleast_1d(outputs[0].argmax(axis=-1))
    print(*(about['id2label'][str(i)] for i in best), outputs[0])
elif about['gluon_bert']['export']['task'] == 'question_answering':
    start = outputs[0].argmax()
    print(*tokens[start:start + 1 + outputs[1][start:].argmax()])
else:                           # embedding: a vector for the text, after one for each token
    print(outputs[-1])
