"""The names of parameters: Hugging Face's BERT <-> ours (GluonNLP's), both ways.

Ours are those of the networks in :mod:`bert.model.heads`: ``bert.`` and GluonNLP's names for the
encoder, pooler, decoder and next-sentence head, then the task heads ``classifier.1``,
``span_classifier`` and ``tag_classifier.1``; ``choice_classifier.1`` is that of a multiple-choice
model, for which there is no network.
"""
import re
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..utils.errors import DataError

__all__ = ['from_huggingface', 'to_huggingface', 'from_gluonnlp', 'check_tied', 'ARCHITECTURES']

# ours -> Hugging Face's, before the layer's own part
_LAYER = {
    'attention_cell.proj_query.': 'attention.self.query.',
    'attention_cell.proj_key.': 'attention.self.key.',
    'attention_cell.proj_value.': 'attention.self.value.',
    'proj.': 'attention.output.dense.',
    'layer_norm.': 'attention.output.LayerNorm.',
    'ffn.ffn_1.': 'intermediate.dense.',
    'ffn.ffn_2.': 'output.dense.',
    'ffn.layer_norm.': 'output.LayerNorm.',
}
_WHOLE = {
    'bert.word_embed.0.weight': 'bert.embeddings.word_embeddings.weight',
    'bert.token_type_embed.0.weight': 'bert.embeddings.token_type_embeddings.weight',
    'bert.encoder.position_weight': 'bert.embeddings.position_embeddings.weight',
    'bert.encoder.layer_norm.': 'bert.embeddings.LayerNorm.',
    'bert.pooler.': 'bert.pooler.dense.',
    'bert.decoder.0.': 'cls.predictions.transform.dense.',
    'bert.decoder.2.': 'cls.predictions.transform.LayerNorm.',
    'bert.decoder.3.bias': 'cls.predictions.bias',
    'bert.classifier.': 'cls.seq_relationship.',
}
# our task heads -> (Hugging Face's, the class that has it)
_HEADS = {
    'classifier.1.': ('classifier.', 'BertForSequenceClassification'),
    'tag_classifier.1.': ('classifier.', 'BertForTokenClassification'),
    'choice_classifier.1.': ('classifier.', 'BertForMultipleChoice'),
    'span_classifier.': ('qa_outputs.', 'BertForQuestionAnswering'),
}
# with (the masked-LM decoder, the next-sentence head) -> the class that has them
_PRETRAINED = {(False, False): 'BertModel', (True, False): 'BertForMaskedLM',
               (False, True): 'BertForNextSentencePrediction',
               (True, True): 'BertForPreTraining'}
ARCHITECTURES = {head: name for head, (_, name) in _HEADS.items()}


def _gain(name, ours):
    """LayerNorm's gain and bias are gamma and beta here, weight and bias there."""
    if ours:
        return re.sub(r'(LayerNorm\.)gamma$', r'\1weight', re.sub(
            r'(LayerNorm\.)beta$', r'\1bias', name))
    norm = re.search(r'(layer_norm|decoder\.2)\.(weight|bias)$', name)
    if not norm:
        return name
    return name[:norm.start(2)] + {'weight': 'gamma', 'bias': 'beta'}[norm.group(2)]


def _swap_prefix(name, table):
    """``name`` with the longest prefix in ``table`` replaced, or None."""
    for prefix in sorted(table, key=len, reverse=True):
        if name == prefix or (prefix.endswith('.') and name.startswith(prefix)):
            return table[prefix] + name[len(prefix):]
    return None


def to_huggingface(arrays: Mapping[str, Any]) -> Tuple[Dict[str, Any], str]:
    """Arrays under our names -> (arrays under Hugging Face's, the architecture's class name).

    The masked-LM decoder's weight is the word embedding and is left out, as Hugging Face does.
    Names that Hugging Face has no place for raise ``KeyError``.
    """
    out, architecture = {}, _PRETRAINED['bert.decoder.0.weight' in arrays,
                                        'bert.classifier.weight' in arrays]
    for name, array in arrays.items():
        if name == 'bert.decoder.3.weight':
            continue
        layer = re.match(r'bert\.encoder\.transformer_cells\.(\d+)\.(.*)', name)
        head = next((h for h in _HEADS if name.startswith(h)), None)
        if layer:
            inner = _swap_prefix(layer.group(2), _LAYER)
            theirs = inner and f'bert.encoder.layer.{layer.group(1)}.{inner}'
        elif head:
            theirs, architecture = _HEADS[head][0] + name[len(head):], _HEADS[head][1]
        else:
            theirs = _swap_prefix(name, _WHOLE)
        if theirs is None:
            raise KeyError(name)
        out[_gain(theirs, ours=True)] = array
    return out, architecture


def check_tied(arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Raise DataError where the masked-LM decoder's matrix is not the word embedding."""
    if not np.array_equal(arrays.get('bert.decoder.3.weight', arrays['bert.word_embed.0.weight']),
                          arrays['bert.word_embed.0.weight']):
        raise DataError(f'{source}: its masked-LM decoder has a matrix of its own, which would be '
                        'lost, since the decoder here uses the word embedding; use a model with '
                        'tied embeddings, or use this one for fine-tuning only')


def _unwrapped(arrays):
    """``arrays`` under their names without the prefixes of wrappers around the model."""
    arrays = {re.sub(r'^((module|model|auto_model|_orig_mod|0)\.)+', '', name): array
              for name, array in arrays.items()}
    if any(name.startswith('bert.bert.') for name in arrays):
        return {re.sub(r'^bert\.', '', name): array for name, array in arrays.items()}
    return arrays


def from_huggingface(arrays: Mapping[str, np.ndarray],
                     architectures: Optional[Sequence[str]] = ()) -> Dict[str, np.ndarray]:
    """Arrays under Hugging Face's names -> under ours; what BERT does not have is left out.

    ``architectures`` is the list in config.json, or None; it distinguishes the ``classifier`` of a
    tagger, or of a multiple-choice model, from a sentence classifier's.  Without it, a
    ``classifier`` beside no pooler is a tagger's.  A bare ``BertModel`` (names without ``bert.``),
    the older ``gamma`` and ``beta``, and the prefixes of wrappers (``module.``, ``model.``,
    ``bert.bert.``) are understood.  The masked-LM decoder's weight is left out where it is the word
    embedding.
    """
    arrays = _unwrapped(arrays)
    whole = {theirs: ours for ours, theirs in _WHOLE.items()}
    layer_names = {theirs: ours for ours, theirs in _LAYER.items()}
    head = next((head for head, (theirs, name) in _HEADS.items()
                 if theirs == 'classifier.' and name in (architectures or ())), 'classifier.1.')
    if not architectures and not any('pooler.dense.' in name for name in arrays):
        head = 'tag_classifier.1.'
    whole.update({'classifier.': head, 'qa_outputs.': 'span_classifier.',
                  'cls.predictions.decoder.weight': 'bert.decoder.3.weight',
                  'cls.predictions.decoder.bias': 'bert.decoder.3.bias'})
    bare = not any(name.startswith('bert.') for name in arrays)
    out = {}
    for name, array in arrays.items():
        name = _gain(name, ours=True)
        if bare and re.match(r'(embeddings|encoder|pooler)\.', name):
            name = 'bert.' + name
        layer = re.match(r'bert\.encoder\.layer\.(\d+)\.(.*)', name)
        if layer:
            inner = _swap_prefix(layer.group(2), layer_names)
            ours = inner and f'bert.encoder.transformer_cells.{layer.group(1)}.{inner}'
        else:
            ours = _swap_prefix(name, whole)
        if ours is not None:
            out[_gain(ours, ours=False)] = array
    decoder = out.pop('bert.decoder.3.weight', None)
    embedding = out.get('bert.word_embed.0.weight')
    if decoder is not None and embedding is not None and not np.array_equal(decoder, embedding):
        out['bert.decoder.3.weight'] = decoder
    return out


def from_gluonnlp(arrays: Mapping[str, Any]) -> Dict[str, Any]:
    """Arrays of a GluonNLP 0.8 to 0.10 ``.params`` file -> under our names.

    A file of the encoder alone gets ``bert.`` before each name; a classifier saved without
    dropout has its layer at 0 rather than 1; the tagger of GluonNLP's scripts calls its encoder
    ``bert_model``.
    """
    out = {}
    whole = any(name.startswith(('bert.', 'bert_model.')) for name in arrays)
    for name, array in arrays.items():
        name = re.sub(r'^bert_model\.', 'bert.', name) if whole else 'bert.' + name
        name = re.sub(r'^(classifier|tag_classifier)\.(0\.)?(weight|bias)$', r'\1.1.\3', name)
        out[name] = array
    return out
