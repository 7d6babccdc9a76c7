"""Inference: the matrices of the encoder's layers take the form in which they are multiplied, once.

- float32: the panels of ``ops/dense.cc``
- bfloat16: rounded, which in training is a part of every pass
- int8: the panels of ``ops/int8.h``, with one scale per row; activations are quantized on the fly,
  one token at a time, and products are summed exactly

All else (embeddings, LayerNorm, attention, the residual stream, the heads) stays as it is.
"""
import mxnet as mx
from mxnet.gluon import Parameter

from .encoder import Layer
from .heads import Network
from .operators import PREPARED

__all__ = ['prepare']


def prepare(net: Network, layout: str, dtype: str) -> None:
    """Convert the matrices of the layers of ``net``, which has its final parameters.

    ``layout`` is a result of :func:`bert.model.forward.choose_layout`; for 'padded' the matrices
    stay as they are.  ``dtype`` is float32, bfloat16 or int8.  After this, ``net`` takes only
    packed batches and cannot be trained.  The parameters have other names, those of
    :data:`bert.model.operators.PREPARED`.

    Raises ValueError if the matrices were converted before.
    """
    if layout == 'padded':
        return
    convert = {'float32': mx.nd.bert_panels, 'bfloat16': mx.nd.bert_bfloat16,
               'int8': mx.nd.bert_int8}[dtype]
    for layer in net.bert.encoder.transformer_cells:
        if layer.prepared:
            raise ValueError(f'the matrices are prepared for {layer.prepared}')
        layer.prepared = dtype
        for name, parameter in list(vars(layer).items()):
            if isinstance(parameter, Parameter) and len(parameter.shape) == 2:
                arrays = convert(parameter.list_data()[0])
                if isinstance(arrays, mx.nd.NDArray):
                    arrays = [arrays]
                _replace(layer, name, arrays)


def _replace(layer: Layer, name: str, arrays) -> None:
    """Exchange the matrix of this name for what was made of it."""
    devices = getattr(layer, name).list_ctx()
    layer.disown(name)
    for part, array in zip(PREPARED[layer.prepared], arrays):
        part = name[:-len('weight')] + part
        layer.own(part, array.shape, 'zeros')
        added = getattr(layer, part)
        added.grad_req = 'null'
        added.initialize(ctx=devices)
        added.cast(array.dtype)
        added.set_data(array)
