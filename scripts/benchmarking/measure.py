"""Our side of the measurements that no program makes: matrix products, embedding, predicting."""
import statistics
import time
from typing import Any, Dict, List, Optional

import numpy as np

from bert.model.config import BertConfig
from bert.utils import files

__all__ = ['classify', 'embed', 'gemm', 'operators', 'precisions', 'training_flops']

_GEMM = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 384, 1536), (1024, 768, 3072))


def training_flops(config: BertConfig, length: int, read: Optional[int] = None,
                   decoded: int = 0) -> float:
    """Floating-point operations of training on one text of ``length`` tokens.

    A product of (m, k) and (k, n) takes 2 m k n.  With U units and F feed-forward units, a layer
    takes 2 (4 U^2 + 2 U F) per token for its six matrices and 4 U ``length`` for attention.  With
    a vocabulary of V, the masked-LM decoder takes 2 (U^2 + U V) for each of ``decoded`` tokens.
    The backward pass takes twice as much as the forward pass.  Everything else (LayerNorm, GELU,
    softmax, dropout, embeddings, optimizer, pooler, classifier) is not counted.  If the head reads
    only ``read`` tokens of the last layer, the others need only keys and values there, 4 U^2 each.
    """
    units, ffn = config.hidden_size, config.intermediate_size
    layer = 2 * (4 * units ** 2 + 2 * units * ffn) + 4 * units * length
    keys, last = 4 * units ** 2, length if read is None else read
    decoder = decoded and decoded * 2 * units * (units + config.vocab_size)
    return 3 * (((config.num_hidden_layers - 1) * layer + keys) * length + (layer - keys) * last
                + decoder)


def operators() -> Dict[str, Any]:
    """Build the operators of bert/model/ops if needed; return what this CPU supports.

    ``path`` is the batch layout by default, ``bfloat16`` whether there are products of that type.
    """
    from bert.model import ops
    from bert.training import precision
    return {'path': 'packed' if ops.load() else 'padded',
            'bfloat16': precision.speeds().bfloat16 is not None}


def precisions() -> Dict[str, List[str]]:
    """The ``precisions`` to train in: fp32, and bf16 if it is faster on this CPU."""
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


def classify(model: str, table: str, dtype: str) -> Dict[str, float]:
    """Texts per second: the logits of the pairs in the first two columns of ``table``."""
    from bert.checkpoint import result_folder
    from bert.checkpoint.source import ModelSource
    from bert.data import features, tables
    from bert.model.heads import Classifier
    from bert.training import classification, finetuning, runtime
    from bert.training.settings import DeviceSettings
    loaded = result_folder.load(ModelSource(model, offline=True))
    net = Classifier(loaded.config, len(loaded.arrays['classifier.1.weight']))
    built = finetuning.build(net, loaded, runtime.start(DeviceSettings(dtype=dtype)), seed=0,
                             inference=True)
    lines = [(number, '\t'.join(text.rstrip('\n').split('\t')[:2]))
             for number, text in files.read_lines(table)][1:]

    def run(lines):
        rows = features.featurize('pairs', built.tokenizer, tables.from_lines(lines, True), None,
                                  128)
        return classification.predict(built.forward, rows, built.runtime.comm, 32)

    run(lines[:64])                     # warm up
    start = time.perf_counter()
    return {'texts/s': len(run(lines)) / (time.perf_counter() - start)}
