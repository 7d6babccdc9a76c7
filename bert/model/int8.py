"""8-bit inference: the matrices of the encoder's layers become int8, with one scale per row.

Activations are quantized on the fly, one token at a time, and products are summed exactly: see
``ops/int8.h``.  All else (embeddings, LayerNorm, attention, the residual stream, the
heads) stays float32.
"""
import mxnet as mx
from mxnet.gluon import Parameter

from .encoder import Layer
from .heads import Network

__all__ = ['quantize']


def quantize(net: Network) -> None:
    """Make the matrices of the layers of an initialized ``net`` int8, if they are not yet.

    ``bert.model.ops`` must be loaded.  After this, ``net`` takes only packed batches, and can
    neither be trained nor load parameters.
    """
    for layer in net.bert.encoder.transformer_cells:
        for name, parameter in list(vars(layer).items()):
            if isinstance(parameter, Parameter) and len(parameter.shape) == 2 \
                    and parameter.dtype != 'int8':
                _quantize(layer, name, parameter)


def _quantize(layer: Layer, name: str, parameter: Parameter) -> None:
    devices = parameter.list_ctx()
    matrix, scales = mx.nd.bert_int8(parameter.data(devices[0]))
    parameter.grad_req = 'null'
    parameter.cast('int8')
    parameter.set_data(matrix)
    name = name[:-len('weight')] + 'scales'
    layer.own(name, scales.shape, 'zeros')
    added = getattr(layer, name)
    added.grad_req = 'null'
    added.initialize(ctx=devices)
    added.set_data(scales)
