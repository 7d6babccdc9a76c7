"""Make tests/data/tiny_bert: a BERT of random weights, and what Transformers computes with it.

    pip install torch transformers && python make_tiny_bert.py

The tests read what this has made and do not run it.  Embeddings are small, as those of a trained
BERT are, so that LayerNorm's epsilon shows; the other weights are large, so that everything else
does.  In expected.npz (batch 3, length 12):

- ids, segments: (batch, length) int32; lengths: (batch,) int32; rows are padded with 0
- encodings: (batch, length, 32), the last layer's; layers: (2, batch, length, 32), every layer's
- pooled: (batch, 32); nsp_scores: (batch, 2)
- positions: (batch, 2) int32; mlm_scores: (batch, 2, vocabulary), masked-LM scores there
- KIND_pooled, KIND_mlm_scores: the same with one value of config.json changed, see VARIANTS
"""
import os
import string

import numpy as np
import torch
from transformers import BertConfig, BertForPreTraining

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'tiny_bert')
WORDS = ('the of to and in is was it that for on with as at by not but be this have are or he she '
         'they you we film book good bad great never no ##ed ##ing ##ly ##er')
VOCAB = (['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + list(string.ascii_lowercase)
         + ['##' + letter for letter in string.ascii_lowercase] + list(string.digits)
         + list('.,;:!?\'"()-%$&/')
         + WORDS.split())
VARIANTS = {'gelu_new': {'hidden_act': 'gelu_new'}, 'relu': {'hidden_act': 'relu'},
            'eps': {'layer_norm_eps': 1e-5}}


def make_model(config):
    """A BERT with every parameter at random, biases and LayerNorm too."""
    generator = torch.Generator().manual_seed(1)
    net = BertForPreTraining._from_config(config, attn_implementation='eager').eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            gain = name.endswith('LayerNorm.weight')
            std = 0.02 if 'embeddings.weight' in name else 0.2
            parameter.copy_(gain + std * torch.randn(parameter.shape, generator=generator))
    return net


def make_inputs(rng):
    """(ids, segments, lengths): a full row, a pair, and a short row, padded to one length."""
    lengths = np.array([12, 9, 5], np.int32)
    ids, segments = np.zeros((3, 12), np.int32), np.zeros((3, 12), np.int32)
    for row, length in enumerate(lengths):
        ids[row, :length] = rng.integers(5, len(VOCAB), length)
        ids[row, 0], ids[row, length - 1] = VOCAB.index('[CLS]'), VOCAB.index('[SEP]')
    segments[1, 4:9] = 1
    return ids, segments, lengths


def main():
    config = BertConfig(
        vocab_size=len(VOCAB), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=40, layer_norm_eps=1e-12)
    net = make_model(config)
    net.save_pretrained(FOLDER)
    os.chmod(os.path.join(FOLDER, 'model.safetensors'), 0o644)
    with open(os.path.join(FOLDER, 'vocab.txt'), 'w', encoding='utf-8') as f:
        f.writelines(token + '\n' for token in VOCAB)
    with open(os.path.join(FOLDER, 'tokenizer_config.json'), 'w', encoding='utf-8') as f:
        f.write('{"do_lower_case": true}\n')

    ids, segments, lengths = make_inputs(np.random.default_rng(1))
    positions = np.array([[1, 7], [3, 8], [0, 2]], np.int32)
    rows = np.arange(3)[:, None]
    mask = np.arange(12)[None] < lengths[:, None]

    def run(net):
        with torch.no_grad():
            return net(torch.tensor(ids).long(), torch.tensor(mask).long(),
                       torch.tensor(segments).long(), output_hidden_states=True)

    def pooled(net, out):
        return net.bert.pooler(out.hidden_states[-1]).detach().numpy()

    out = run(net)
    layers = np.stack([layer.numpy() for layer in out.hidden_states[1:]])
    expected = {'ids': ids, 'segments': segments, 'lengths': lengths, 'positions': positions,
                'layers': layers, 'encodings': layers[-1], 'pooled': pooled(net, out),
                'nsp_scores': out.seq_relationship_logits.numpy(),
                'mlm_scores': out.prediction_logits.numpy()[rows, positions]}
    for kind, change in VARIANTS.items():
        other = BertForPreTraining.from_pretrained(
            FOLDER, config=BertConfig(**dict(config.to_dict(), **change)),
            attn_implementation='eager').eval()
        out = run(other)
        expected[kind + '_pooled'] = pooled(other, out)
        expected[kind + '_mlm_scores'] = out.prediction_logits.numpy()[rows, positions]
    np.savez(os.path.join(FOLDER, 'expected.npz'), **expected)


if __name__ == '__main__':
    main()
