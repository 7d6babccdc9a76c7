"""Inference: the matrices of the encoder's layers take the form in which they are multiplied, once.

- float32: in the order in which ``ops/dense.cc`` reads them
- bfloat16: rounded, which in training is a part of every pass
- int8: 8 bits, with one scale per row; activations are quantized on the fly, one token at a time,
  and products are summed exactly, see ``ops/int8.h``

All else (embeddings, LayerNorm, attention, the residual stream, the heads) stays as it is.
"""
import mxnet as mx
from mxnet.gluon import Parameter

from .encoder import Layer
from .heads import Network

__all__ = ['prepare']


def prepare(net: Network, dtype: str) -> None:
    """Convert the matrices of the layers of an initialized ``net``, if they are not yet.

    ``dtype`` is float32, bfloat16 or int8.  ``bert.model.ops`` must be loaded.  After this, ``net``
    takes only packed batches, and can neither be trained nor load or save parameters.
    """
    for layer in net.bert.encoder.transformer_cells:
        if layer.prepared:
            continue
        layer.prepared = dtype
        for name, parameter in list(vars(layer).items()):
            if isinstance(parameter, Parameter) and len(parameter.shape) == 2:
                parameter.grad_req = 'null'
                _convert(layer, name, parameter)


def _convert(layer: Layer, name: str, parameter: Parameter) -> None:
    weight = parameter.list_data()[0]
    if layer.prepared == 'float32':
        parameter.set_data(mx.nd.bert_panels(weight))
    elif layer.prepared == 'bfloat16':
        _replace(parameter, mx.nd.bert_bfloat16(weight))
    else:
        matrix, scales = mx.nd.bert_int8(weight)
        _replace(parameter, matrix)
        name = name[:-len('weight')] + 'scales'
        layer.own(name, scales.shape, 'zeros')
        added = getattr(layer, name)
        added.grad_req = 'null'
        added.initialize(ctx=parameter.list_ctx())
        added.set_data(scales)


def _replace(parameter, data):
    """Give a parameter data of another type."""
    parameter.cast(data.dtype)
    parameter.set_data(data)
