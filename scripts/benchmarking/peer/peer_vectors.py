"""Vectors with sentence-transformers and with ONNX Runtime, and classes with the latter.

Each function takes the flags that it needs by name, and ignores the others.
"""
import os
import time


def read_texts(path):
    with open(path, encoding='utf-8') as f:
        return [line.strip() for line in f]


def timed(encode, texts):
    """Texts per second, after a warm-up."""
    encode(texts[:64])
    start = time.perf_counter()
    count = len(encode(texts))
    return {'texts/s': count / (time.perf_counter() - start)}


def embed(model, kind, train, dtype, batch_size, **_):
    """Vectors of tokens or sentences with sentence-transformers, as it sorts and pads them."""
    from sentence_transformers import SentenceTransformer
    net = SentenceTransformer(model, device='cpu')
    net = net.bfloat16() if dtype == 'bfloat16' else net.float()
    value = {'tokens': 'token_embeddings', 'sentences': 'sentence_embedding'}[kind]
    return timed(lambda texts: net.encode(texts, batch_size=batch_size, output_value=value,
                                          show_progress_bar=False), read_texts(train))


def export(model, onnx, **_):
    """Write --model as ONNX, with PyTorch's exporter."""
    import torch
    from transformers import AutoModel
    net = AutoModel.from_pretrained(model, attn_implementation='eager').float().eval()

    class HiddenStates(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = net

        def forward(self, ids, mask, token_types):
            return self.model(ids, attention_mask=mask, token_type_ids=token_types)[0]

    names = ['input_ids', 'attention_mask', 'token_type_ids']
    ids = torch.ones((2, 16), dtype=torch.int64)
    axes = {name: {0: 'batch', 1: 'length'} for name in [*names, 'last_hidden_state']}
    torch.onnx.export(HiddenStates(), (ids, ids, torch.zeros_like(ids)), onnx,
                      input_names=names, output_names=['last_hidden_state'], dynamic_axes=axes,
                      opset_version=17, dynamo=False)
    return {}


def open_onnx(onnx):
    """A function: arrays by the names of inputs -> the first output, with ONNX Runtime."""
    import numpy as np
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get('OMP_NUM_THREADS', 0))
    session = onnxruntime.InferenceSession(onnx, options, ['CPUExecutionProvider'])
    return lambda given: session.run(None, {
        x.name: given[x.name].astype(np.int64) for x in session.get_inputs()})[0]


def batches(rows, batch_size):
    """Sorted by length, padded by batch: (indices, lengths, the arrays of a tokenizer)."""
    import numpy as np
    order = sorted(range(len(rows['input_ids'])), key=lambda i: -len(rows['input_ids'][i]))
    for at in range(0, len(order), batch_size):
        part = order[at:at + batch_size]
        lengths = np.array([len(rows['input_ids'][i]) for i in part])
        given = {name: np.zeros((len(part), lengths.max()), np.int64)
                 for name in ('input_ids', 'token_type_ids')}
        for name, array in given.items():
            for row, i, length in zip(array, part, lengths):
                row[:length] = rows[name][i]
        given['attention_mask'] = np.arange(lengths.max()) < lengths[:, None]
        yield part, lengths, given


def onnx_embed(model, onnx, kind, train, batch_size, **_):
    """Vectors of tokens or sentences with ONNX Runtime."""
    from transformers import AutoTokenizer
    tok, run = AutoTokenizer.from_pretrained(model), open_onnx(onnx)

    def encode(texts):
        rows, out = tok(texts, truncation=True, max_length=512), [None] * len(texts)
        for part, lengths, given in batches(rows, batch_size):
            vectors = run(given)
            if kind == 'sentences':
                mask = given['attention_mask']
                vectors = (vectors * mask[..., None]).sum(1) / lengths[:, None]
            for i, length, vector in zip(part, lengths, vectors):
                out[i] = vector if kind == 'sentences' else vector[:length]
        return out

    return timed(encode, read_texts(train))


def onnx_classify(model, onnx, dev, batch_size, **_):
    """The logits of pairs with ONNX Runtime."""
    from peer_models import read_table
    from transformers import AutoTokenizer
    tok, run = AutoTokenizer.from_pretrained(model), open_onnx(onnx)

    def encode(pairs):
        rows = tok([row['sentence1'] for row in pairs], [row['sentence2'] for row in pairs],
                   truncation=True, max_length=128)
        out = [None] * len(pairs)
        for part, _, given in batches(rows, batch_size):
            for i, logits in zip(part, run(given)):
                out[i] = logits
        return out

    return timed(encode, read_table(dev))
