"""Vectors with sentence-transformers and with ONNX Runtime.

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


def onnx_embed(model, onnx, kind, train, batch_size, **_):
    """Vectors of tokens or sentences with ONNX Runtime, sorted by length and padded by batch."""
    import numpy as np
    import onnxruntime
    from transformers import AutoTokenizer
    tok = AutoTokenizer.from_pretrained(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get('OMP_NUM_THREADS', 0))
    session = onnxruntime.InferenceSession(onnx, options, ['CPUExecutionProvider'])

    def encode(texts):
        rows, out = tok(texts, truncation=True, max_length=512)['input_ids'], [None] * len(texts)
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        for at in range(0, len(rows), batch_size):
            part = order[at:at + batch_size]
            lengths = np.array([len(rows[i]) for i in part])
            ids = np.zeros((len(part), lengths.max()), np.int64)
            for row, i in zip(ids, part):
                row[:len(rows[i])] = rows[i]
            mask = np.arange(ids.shape[1]) < lengths[:, None]
            given = {'input_ids': ids, 'attention_mask': mask, 'token_type_ids': ids * 0}
            vectors, = session.run(['last_hidden_state'], {
                x.name: given[x.name].astype(np.int64) for x in session.get_inputs()})
            if kind == 'sentences':
                vectors = (vectors * mask[..., None]).sum(1) / lengths[:, None]
            for i, vector in zip(part, vectors):
                out[i] = vector if kind == 'sentences' else vector[:len(rows[i])]
        return out

    return timed(encode, read_texts(train))
