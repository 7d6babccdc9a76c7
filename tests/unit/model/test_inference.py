"""Inference with a real BERT: 8 bits beside float32."""
import os

import numpy as np
import pytest
from helpers import ROOT, needs_real_model, real_model

from bert.embedding import BertEmbedding
from bert.utils import files

pytestmark = pytest.mark.usefixtures('operators')


@needs_real_model
@pytest.mark.slow
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
