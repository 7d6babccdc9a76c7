"""Setting, checking and collecting the parameters of a network."""
from typing import Dict, List, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon import Block, Parameter, nn

from ..utils.errors import DataError
from .config import BertConfig

__all__ = ['freeze', 'initialize', 'collect', 'check_parameters', 'load_parameters', 'as_float32']


def freeze(net: Block) -> None:
    """Have no gradients, for a network that is not trained: before :func:`initialize`, which would
    allocate one for each parameter."""
    net.collect_params().setattr('grad_req', 'null')


def initialize(net: Block, config: BertConfig,
               ctx: Optional[Sequence[mx.Context]] = None, random: bool = True) -> None:
    """Fresh parameters for what has none yet: N(0, initializer_range), as in the BERT paper.

    Without ``random`` matrices are zeros, for a network whose parameters are all loaded next: to
    draw those of a base model takes seconds.
    """
    net.initialize(mx.init.Normal(config.initializer_range) if random else mx.init.Zero(), ctx=ctx)


def collect(net: Block) -> Dict[str, Parameter]:
    """{name: parameter}, each parameter once, under the first of its names (weights are tied)."""
    out: Dict[str, Parameter] = {}
    seen = set()
    for name, parameter in _walk(net, ''):
        if id(parameter) not in seen:
            seen.add(id(parameter))
            out[name] = parameter
    return out


def _walk(block, prefix):
    """(name, parameter) of a block and then of its children: the names of attributes, or numbers
    in a sequence of blocks."""
    inside = list(vars(block).items())
    for name, value in inside:
        if isinstance(value, Parameter):
            yield prefix + name, value
    if isinstance(block, (nn.Sequential, nn.HybridSequential)):
        inside = enumerate(block)
    for name, value in inside:
        if isinstance(value, Block):
            yield from _walk(value, f'{prefix}{name}.')


def check_parameters(net: Block, arrays: Dict[str, np.ndarray], source: str,
                     optional: Sequence[str] = ()) -> List[str]:
    """Check that :func:`load_parameters`, with the same arguments and errors, could set ``net``.

    Returns
    -------
    list of str
        The names of the parameters of ``net`` that ``arrays`` lacks, all of them optional.
    """
    parameters = collect(net)
    fresh = [name for name in parameters if name not in arrays]
    missing = [name for name in fresh if not name.startswith(tuple(optional))]
    if missing:
        raise DataError(f'{source}: {len(missing)} of {len(parameters)} parameters of this model '
                        f'are missing, first {missing[0]}; these are the weights of another model '
                        'or task: name others, or train this model with --bert_model')
    beyond = [name for name in arrays if name.startswith('bert.encoder.')
              and name not in parameters]
    if beyond:
        raise DataError(f'{source}: has {beyond[0]}, which this model does not have; use '
                        'the config or the model name that belong to these weights')
    for name, parameter in parameters.items():
        if name in arrays and arrays[name].shape != parameter.shape:
            raise DataError(f'{source}: {name} has the shape {arrays[name].shape} but this model '
                            f'needs {parameter.shape}; use the config, '
                            'the labels or the model name that belong to these weights')
    return fresh


def load_parameters(net: Block, arrays: Dict[str, np.ndarray], source: str,
                    optional: Sequence[str] = ()) -> List[str]:
    """Set the parameters of an initialized ``net`` from numpy arrays of the same names.

    Parameters
    ----------
    net : Block
        A network of :mod:`bert.model.heads`.
    arrays : dict of str to numpy.ndarray
        As :func:`bert.checkpoint.weights.read_weights` returns them; what ``net`` has no place
        for is left out.
    source : str
        Where the arrays come from, for messages.
    optional : tuple of str
        Prefixes of names that may be missing; those keep their fresh values.

    Returns
    -------
    list of str
        The names that kept their fresh values.

    Raises
    ------
    DataError
        When a parameter is missing or of another shape; ``net`` is then as it was.
    """
    fresh = check_parameters(net, arrays, source, optional)     # before the first value changes
    for name, parameter in collect(net).items():
        if name in arrays:
            parameter.set_data(mx.nd.array(arrays[name], dtype=np.float32))
    return fresh


def as_float32(x: mx.nd.NDArray) -> mx.nd.NDArray:
    """``x`` as float32, whatever type mixed precision left it in."""
    return x if x.dtype == np.float32 else mx.nd.amp_cast(x, dtype='float32')
