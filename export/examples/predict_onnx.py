"""Predict with an exported ONNX model: it takes onnxruntime, tokenizers, numpy and the folder.

    pip install onnxruntime tokenizers
    python predict_onnx.py FOLDER "A text."
    python predict_onnx.py FOLDER "A question, or a first text" "A passage, or a second text"
"""
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import tokenizers

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

session = onnxruntime.InferenceSession(str(Path(folder, 'model.onnx')),
                                       providers=['CPUExecutionProvider'])
outputs = session.run(None, {'input_ids': np.array([text.ids], np.int64),
                             'attention_mask': np.array([text.attention_mask], np.int64),
                             'token_type_ids': token_types[None].astype(np.int64)})
outputs = [array[0] for array in outputs]

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
