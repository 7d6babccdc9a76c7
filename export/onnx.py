"""A network as ONNX, with the inputs and outputs that Optimum and transformers.js expect."""
import contextlib
import os
from typing import Any, Callable, Iterator, List, Sequence

import mxnet as mx
import numpy as np

from bert.utils.errors import DataError, install

from .network import Batch
from .symbol import Symbol, last_line, quiet

__all__ = ['LARGEST', 'Onnx']

_OPSET = 13     # the newest that MXNet's converters are written for
LARGEST = 2 ** 31 - 2 ** 24    # bytes of weights: protobuf's limit on a file, less the graph


class Onnx:
    """``model.onnx``, opset 13, for ONNX Runtime and others."""

    files = ('model.onnx',)
    inputs = {'input_ids': 'int64', 'attention_mask': 'int64', 'token_type_ids': 'int64'}
    # its operators round differently: a 12-layer model with outputs up to 5 differed by 1.4e-5
    relative = True
    calibrated = False      # int8 takes the ranges of activations from each input

    @staticmethod
    def require_packages() -> None:
        """Raise ModuleNotFoundError or DataError if the packages for ONNX are missing or unfit."""
        import onnx
        import onnxruntime  # noqa: F401
        try:
            from onnx import mapping  # noqa: F401
        except ImportError:
            raise DataError(f'onnx {onnx.__version__} is too new for MXNet; install a compatible '
                            f"version: {install('onnx')}") from None

    @classmethod
    def write(cls, net: Any, folder: str, batch: Batch, outputs: Sequence[str]) -> None:
        """Write ``net`` in float32, its outputs under the names ``outputs``.

        See :meth:`Symbol.write`.  Raises DataError if the weights are too large for the format.
        """
        import onnx
        size = sum(4 * int(np.prod(parameter.shape))
                   for parameter in net.collect_params().values())
        if size > LARGEST:
            raise DataError(f'--format onnx: the weights take {size / 1e9:.1f} GB, but an ONNX '
                            'file holds at most 2 GB; use --format symbol')
        path = os.path.join(folder, *cls.files)
        Symbol.write(net, folder, batch)
        source = [os.path.join(folder, name) for name in Symbol.files]
        with _opset(), quiet():
            mx.onnx.export_model(
                *source, [array.shape for array in batch], [array.dtype for array in batch], path,
                dynamic=True, dynamic_input_shapes=[('batch', 'length')] * 2 + [('batch',)])
        for name in source:
            os.remove(name)
        model = onnx.load(path)
        _rename_outputs(model.graph, outputs)
        _replace_inputs(model.graph)
        _save(model, path)
        _fold(path)
        onnx.checker.check_model(path, full_check=True)

    @classmethod
    def load(cls, folder: str) -> Callable[[Batch], List[np.ndarray]]:
        """batch -> list of outputs, from the file in ``folder``."""
        import onnxruntime
        session = onnxruntime.InferenceSession(os.path.join(folder, *cls.files),
                                               providers=['CPUExecutionProvider'])

        def predict(batch):
            ids, token_types, lengths = batch
            mask = np.arange(ids.shape[1]) < lengths[:, None]
            return session.run(None, {name: array.astype(np.int64) for name, array
                                      in zip(cls.inputs, (ids, mask, token_types))})
        return predict

    @classmethod
    def quantize(cls, net: Any, folder: str, batch: Batch) -> None:
        """Replace the file by an int8 one, with one scale per row of a matrix."""
        from onnxruntime.quantization import QuantType, quantize_dynamic
        path = os.path.join(folder, *cls.files)
        with quiet():       # it advises to do what _fold has done
            quantize_dynamic(path, path + '.int8', per_channel=True, weight_type=QuantType.QInt8)
        os.replace(path + '.int8', path)


@contextlib.contextmanager
def _opset() -> Iterator[None]:
    """Let onnx report the opset of MXNet's converters as its newest, and check graphs as such.

    ``mx.onnx.export_model`` writes and checks for the newest opset and has no option for another.
    """
    import onnx
    context = onnx.checker.DEFAULT_CONTEXT
    newest, imports = onnx.defs.onnx_opset_version, context.opset_imports
    onnx.defs.onnx_opset_version, context.opset_imports = (lambda: _OPSET), {'': _OPSET}
    try:
        yield
    finally:
        onnx.defs.onnx_opset_version, context.opset_imports = newest, imports


def _rename_outputs(graph, names):
    """Rename the outputs of a graph to the first of ``names``."""
    new = {entry.name: name for entry, name in zip(graph.output, names)}
    for entry in graph.output:
        entry.name = new[entry.name]
    for node in graph.node:
        for field in node.input, node.output:
            field[:] = [new.get(name, name) for name in field]


def _replace_inputs(graph):
    """Compute MXNet's inputs (ids, token types, lengths) from those of Transformers."""
    from onnx import TensorProto, helper
    ids, token_types, lengths = (entry.name for entry in graph.input if entry.name in Symbol.inputs)
    nodes = [helper.make_node('Cast', ['input_ids'], [ids], to=TensorProto.INT32),
             helper.make_node('Cast', ['token_type_ids'], [token_types], to=TensorProto.INT32),
             helper.make_node('Cast', ['attention_mask'], ['mask'], to=TensorProto.FLOAT),
             helper.make_node('ReduceSum', ['mask', 'mask_axis'], [lengths], keepdims=0)]
    nodes += graph.node
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ('batch', 'length'))
              for name in Onnx.inputs]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    graph.initializer.append(helper.make_tensor('mask_axis', TensorProto.INT64, [1], [1]))


def _fold(path):
    """Let ONNX Runtime fold constants: half of the nodes compute shapes."""
    import onnx
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = path + '.folded'
    try:
        onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    except Exception as error:      # ONNX Runtime's exceptions have no common base class
        raise DataError(f'{path}: ONNX Runtime cannot rewrite it ({last_line(error)})') from None
    model = onnx.load(options.optimized_model_filepath)
    os.remove(options.optimized_model_filepath)
    _save(model, path)


def _save(model, path):
    """Write a model without unused inputs, weights and operator sets."""
    import onnx
    weights = {weight.name for weight in model.graph.initializer}
    used = {name for node in model.graph.node for name in node.input}
    domains = {node.domain for node in model.graph.node}
    for field, keep in ((model.graph.input, lambda entry: entry.name not in weights),
                        (model.graph.initializer, lambda entry: entry.name in used),
                        (model.opset_import, lambda entry: entry.domain in domains)):
        kept = [entry for entry in field if keep(entry)]
        del field[:]
        field.extend(kept)
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    onnx.save(model, path)
