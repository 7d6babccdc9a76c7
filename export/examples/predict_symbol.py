"""Predict with an exported symbol: it takes MXNet, tokenizers, numpy and the folder.

    pip install mxnet tokenizers "numpy<2" setuptools
    python predict_symbol.py FOLDER "A text."
    python predict_symbol.py FOLDER "A question, or a first text" "A passage, or a second text"
"""
import json
import sys
from pathlib import Path

import numpy as np
import tokenizers

np.bool = bool      # MXNet 1.9 uses the alias that numpy 1.24 removed
import mxnet as mx  # noqa: E402

if len(sys.argv) < 2:
    sys.exit(__doc__)
folder, *texts = sys.argv[1:]
config = json.loads(Path(folder, 'config.json').read_text(encoding='utf-8'))
about = config['gluon_bert']['export']

pair = None     # one text or two
if about['task'] == 'question_answering':
    pair = True
elif about['task'] in ('classification', 'regression'):
    pair = config['gluon_bert'].get('pair')
wanted = {None: '1 or 2', False: '1', True: '2'}[pair]
if str(len(texts)) not in wanted.split(' or '):
    print(f'{folder}: the number of texts, each in quotes, must be {wanted}, not {len(texts)}',
          file=sys.stderr)
    sys.exit(2)

tokenizer = tokenizers.Tokenizer.from_file(str(Path(folder, 'tokenizer.json')))
tokenizer.enable_truncation(about['seq_length'])
text = tokenizer.encode(*texts)
token_types = np.minimum(text.type_ids, config['type_vocab_size'] - 1)

net = mx.gluon.SymbolBlock.imports(str(Path(folder, 'model-symbol.json')),
                                   ['data0', 'data1', 'data2'],
                                   str(Path(folder, 'model-0000.params')))
outputs = net(mx.nd.array([text.ids]), mx.nd.array(token_types[None]), mx.nd.array([len(text)]))
outputs = [array[0].asnumpy() for array in (outputs if isinstance(outputs, list) else [outputs])]

print(*text.tokens)
if 'id2label' in config:        # classes of the text, or of each token; or a score
    if config.get('problem_type') == 'multi_label_classification':
        chosen = (outputs[0] > 0).nonzero()[0]      # any number of labels, or none
    else:
        chosen = np.atleast_1d(outputs[0].argmax(axis=-1))
    print(*(config['id2label'][str(i)] for i in chosen), outputs[0])
elif about['task'] == 'question_answering':
    start = outputs[0].argmax()
    print(*text.tokens[start:start + 1 + outputs[1][start:].argmax()])
else:                           # embedding: a vector for the text, after one for each token
    print(outputs[-1])
