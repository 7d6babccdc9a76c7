"""Our side of the measurements that no program makes: matrix products and embedding."""
import statistics
import time
from typing import Dict, List

import numpy as np

from bert.model.config import BertConfig
from bert.utils import files

__all__ = ['embed', 'gemm', 'operators', 'precisions', 'training_flops']

_GEMM = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 384, 1536), (1024, 768, 3072))


def training_flops(config: BertConfig, length: int, first_only: bool = False) -> float:
    """Floating-point operations per token of training on rows of ``length`` tokens.

    A product of (m, k) and (k, n) takes 2 m k n.  Of U units and F feed-forward units, a layer
    takes 2 (4 U^2 + 2 U F) per token for its six matrices and 4 U ``length`` for attention; the
    backward pass takes twice as much.  All else (LayerNorm, GELU, softmax, dropout, embeddings,
    optimizer, the pooler and the classifier) is left out.  ``first_only``: the last layer is needed
    for the first token only, so the other tokens take only keys and values there, 4 U^2 each.
    """
    units, ffn = config.hidden_size, config.intermediate_size
    layer = 2 * (4 * units ** 2 + 2 * units * ffn) + 4 * units * length
    layers = config.num_hidden_layers
    if not first_only:
        return 3 * layers * layer
    keys = 4 * units ** 2
    return 3 * ((layers - 1) * layer + keys + (layer - keys) / length)


def operators() -> Dict[str, str]:
    """Build the operators of bert/model/ops if needed; returns the ``path`` that CPUs will take."""
    from bert.model import ops
    return {'path': 'packed' if ops.load() else 'padded'}


def precisions() -> Dict[str, List[str]]:
    """The ``precisions`` to train in: fp32, and bf16 where it is the faster one on this CPU."""
    from bert.training import precision
    return {'precisions': ['fp32', 'bf16'] if precision.speeds().gains else ['fp32']}


def gemm(dtype: str) -> Dict[str, float]:
    """GFLOP/s of FullyConnected at its best shape: the median of several runs."""
    import mxnet as mx
    best = 0
    for rows, inner, columns in _GEMM:
        x, weight = mx.nd.ones((rows, inner)), mx.nd.ones((columns, inner))
        if dtype == 'bfloat16':
            kind = np.dtype([('bfloat16', np.uint16)])      # MXNet's name for it
            x, weight = x.astype(kind), weight.astype(kind)
        times = []
        for _ in range(8):
            mx.nd.waitall()
            start = time.perf_counter()
            for _ in range(4):
                mx.nd.FullyConnected(x, weight, no_bias=True, num_hidden=columns)
            mx.nd.waitall()
            times.append((time.perf_counter() - start) / 4)
        best = max(best, 2e-9 * rows * inner * columns / statistics.median(times[2:]))
    return {'GFLOP/s': best}


def embed(kind: str, model: str, text_file: str, dtype: str) -> Dict[str, float]:
    """Texts per second: one vector per token (``kind`` 'tokens') or per text ('sentences')."""
    from bert.embedding import BertEmbedding
    texts = [text.strip() for _, text in files.read_lines(text_file)]
    embedding = BertEmbedding(dtype=dtype, model=model, offline=True)
    run = embedding.iterate if kind == 'tokens' else embedding.sentences
    for _ in run(texts[:64]):
        pass                            # warm up
    start = time.perf_counter()
    count = sum(1 for _ in run(texts))
    return {'texts/s': count / (time.perf_counter() - start)}
