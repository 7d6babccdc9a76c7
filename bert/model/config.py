"""The configuration of a BERT: its sizes, labels and what else config.json holds, checked once."""
import dataclasses
import json
import math
from typing import Any, Dict, Mapping, Optional, Tuple

from ..utils.errors import DataError
from .operators import ACTIVATIONS

__all__ = ['BertConfig', 'LARGEST', 'check_settings']

_REQUIRED = ('hidden_size', 'num_hidden_layers', 'num_attention_heads', 'intermediate_size')
# the largest plausible value of each size; a file with a larger one is damaged or not of a BERT
LARGEST = {'hidden_size': 1 << 16, 'num_hidden_layers': 1 << 10, 'num_attention_heads': 1 << 12,
           'intermediate_size': 1 << 18, 'vocab_size': 1 << 24, 'max_position_embeddings': 1 << 20,
           'type_vocab_size': 1 << 10}
_DROPOUTS = ('hidden_dropout_prob', 'attention_probs_dropout_prob', 'classifier_dropout')
_POSITIVE = ('layer_norm_eps', 'initializer_range')
# what this toolkit notes in 'gluon_bert' and reads again
_COUNTS = ('max_len', 'seq_len', 'max_seq_length', 'doc_stride', 'max_query_length',
           'max_answer_length', 'n_best_size')
_CHOICES = ('pair', 'multi_label', 'version_2')
_SCORES = ('null_score_diff_threshold',)


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT and what its outputs mean, under Hugging Face's names.

    ``vocab_size`` is None where only the vocabulary knows it.  A token type of ``type_vocab_size``
    or more counts as the last one: with 1, both texts of a pair have type 0.  ``labels`` are the
    names of the classes in the order of the logits, None without names (Transformers'
    placeholders LABEL_0, LABEL_1, ... are none).

    Dropout is that of Transformers: ``attention_probs_dropout_prob`` is the rate on the attention
    probabilities, ``hidden_dropout_prob`` that on embeddings and sub-layers' outputs,
    ``classifier_dropout`` that before the head of a classifier or tagger; None there stands for
    ``hidden_dropout_prob``.  The defaults are for keys that config.json lacks.

    ``settings`` is what this toolkit notes under ``gluon_bert``: the task, the length, and so on.
    ``other`` holds the remaining keys of config.json, kept as they are.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: Optional[int] = None
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = 'gelu'
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: Optional[float] = None
    initializer_range: float = 0.02
    architectures: Tuple[str, ...] = ()
    problem_type: Optional[str] = None
    labels: Optional[Tuple[str, ...]] = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Any, source: str = 'config.json') -> 'BertConfig':
        """The configuration that config.json holds.

        Raises :class:`~bert.utils.errors.DataError`, which names ``source`` and the key, where a
        value is missing, has the wrong type or range, or describes no BERT.
        """
        if not isinstance(values, dict):
            raise DataError(f'{source}: not a JSON object; use the config.json of a BERT model')
        if values.get('model_type', 'bert') != 'bert':
            raise DataError(f"{source}: not of a BERT model (model_type {values['model_type']!r}); "
                            'use a BERT checkpoint')
        if values.get('position_embedding_type', 'absolute') != 'absolute':
            raise DataError(f'{source}: position_embedding_type '
                            f'{json.dumps(values["position_embedding_type"])[:80]} is not '
                            'supported; use a model with "absolute" positions')
        for key in 'is_decoder', 'add_cross_attention':
            if values.get(key):
                raise DataError(f'{source}: {key} is not supported; use an encoder, in which each '
                                'token attends to all')
        for key in _REQUIRED:
            if values.get(key) is None:
                raise DataError(f"{source}: '{key}' is missing; it must describe a BERT model")
        checked = {key: _whole(values, key, largest, source) for key, largest in LARGEST.items()}
        checked.update({key: _number(values, key, source) for key in _DROPOUTS + _POSITIVE})
        settings = check_settings(values.get('gluon_bert') or {}, source)
        checked.update(
            hidden_act=_activation(values, source), labels=_labels(values, settings, source),
            architectures=tuple(_strings(values, 'architectures', source)),
            problem_type=_text(values, 'problem_type', source), settings=settings)
        units, heads = checked['hidden_size'], checked['num_attention_heads']
        if units % heads:
            raise DataError(f'{source}: hidden_size {units} is not a multiple of '
                            f'num_attention_heads {heads}')
        known = {field.name for field in dataclasses.fields(cls)}
        # 'dtype' and 'torch_dtype' are those of weights that are float32 here
        other = {key: value for key, value in values.items()
                 if key not in known | {'gluon_bert', 'id2label', 'label2id', 'num_labels',
                                        'dtype', 'torch_dtype'}}
        return cls(other=other, **{key: value for key, value in checked.items()
                                   if value is not None})

    def to_dict(self) -> Dict[str, Any]:
        """What config.json holds: Hugging Face's keys, and ``gluon_bert``."""
        out = dict({'model_type': 'bert'}, **self.other)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in ('labels', 'settings', 'other') and (
                    value is not None or field.name == 'classifier_dropout'):   # which may be null
                out[field.name] = list(value) if isinstance(value, tuple) else value
        if not self.architectures:
            del out['architectures']
        if self.labels is not None:
            out['id2label'] = {str(i): label for i, label in enumerate(self.labels)}
            out['label2id'] = {label: i for i, label in enumerate(self.labels)}
        if self.settings:
            out['gluon_bert'] = dict(self.settings)
        return out

    def replace(self, **changes: Any) -> 'BertConfig':
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def with_dropout(self, rate: Optional[float]) -> 'BertConfig':
        """A copy in which all dropout has this rate; with None the config as it is."""
        return self if rate is None else self.replace(**dict.fromkeys(_DROPOUTS, rate))


def _refuse(source, key, value, wanted):
    raise DataError(f'{source}: {key} is {repr(value)[:80]}, but must be {wanted}; use the '
                    'config.json that belongs to the model')


def _whole(values, key, largest, source):
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        _refuse(source, key, value, f'a whole number from 1 to {largest}')
    return value


def _number(values, key, source):
    value = values.get(key)
    if value is None:
        return None
    rate = key in _DROPOUTS
    if isinstance(value, bool) or not isinstance(value, (int, float)) \
            or not (0 <= value < 1 if rate else 0 < value < 1000):
        _refuse(source, key, value, 'a number from 0 to below 1' if rate else 'a number above 0')
    return float(value)


def _text(values, key, source):
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        _refuse(source, key, value, 'a string')
    return value


def _strings(values, key, source):
    value = values.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        _refuse(source, key, value, 'a list of strings')
    return value


def _activation(values, source):
    value = _text(values, 'hidden_act', source)
    if value is not None and value not in ACTIVATIONS:
        raise DataError(f'{source}: hidden_act {json.dumps(value)} is not supported; choose one '
                        f"of: {', '.join(sorted(ACTIVATIONS))}")
    return value


def check_settings(settings: Any, source: str) -> Mapping[str, Any]:
    """``settings``, if they are what this toolkit may have noted in the config.json ``source``.

    Raises DataError if not.
    """
    if not isinstance(settings, dict):
        _refuse(source, 'gluon_bert', settings, 'a JSON object')
    for key in _COUNTS:
        _whole(settings, key, 2 ** 31 - 1, source)
    for key in _CHOICES:
        if not isinstance(settings.get(key), (bool, type(None))):
            _refuse(source, key, settings[key], 'true or false')
    for key in _SCORES:
        value = settings.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) \
                or not math.isfinite(value):
            _refuse(source, key, value, 'a finite number')
    return settings


def _labels(values, settings, source):
    """``id2label`` as a tuple in the order of its ids, None where it names nothing.

    LABEL_0, ... are names if a run of this toolkit, which notes its task, took them from the data.
    """
    trained = settings.get('task') not in (None, 'pretraining', 'squad')
    by_id = values.get('id2label') or {}
    if not isinstance(by_id, dict) or not all(
            str(key).isdigit() and isinstance(label, (str, int, float))
            for key, label in by_id.items()):
        _refuse(source, 'id2label', by_id, 'an object such as {"0": "no", "1": "yes"}')
    ids = sorted(by_id, key=int)
    if [int(key) for key in ids] != list(range(len(ids))):
        _refuse(source, 'id2label', by_id, f'one label for each of the ids 0 to {len(ids) - 1}')
    labels = tuple(str(by_id[key]) for key in ids)
    named = trained or any(label != f'LABEL_{i}' for i, label in enumerate(labels))
    return labels if labels and named else None
