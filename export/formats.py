"""A network -> files that run without this package: MXNet's symbol, or ONNX; float32, or int8.

Arrays here are numpy's.  A batch is (ids, segments, lengths) as in :mod:`bert.model.heads`: (batch,
length) int32 twice, (batch,) float32; the files name them data0, data1 and data2.
"""
import contextlib
import logging
import os
import time
import warnings
from typing import NamedTuple, Optional, Tuple
from unittest import mock

import mxnet as mx
import numpy as np

from bert.model.heads import Classifier, HiddenStates, QuestionAnswering, Tagger
from bert.model.parameters import initialize, load_parameters
from bert.utils.errors import DataError

__all__ = ['TASKS', 'FORMATS', 'INPUTS', 'TOLERANCE', 'Task', 'build', 'find_task', 'predictor',
           'check', 'differences', 'speed', 'size']

INPUTS = ('data0', 'data1', 'data2')
TOLERANCE = 1e-5
_OPSET = 13     # the newest that MXNet's converters are written for


class Task(NamedTuple):
    """What is exported for a task."""
    head: Optional[str]     # the prefix of the head's parameters
    outputs: Tuple[str, ...]
    classes: int = 0        # outputs of a head with random weights


TASKS = {
    'classification': Task('classifier.1.', ('scores',), 2),
    'regression': Task('classifier.1.', ('scores',), 1),
    'question_answering': Task('span_classifier.', ('start_scores', 'end_scores')),
    'ner': Task('tag_classifier.1.', ('tag_scores',), 9),
    'embedding': Task(None, ('encodings', 'pooled')),
}
# outputs whose second axis is the tokens
_BY_TOKEN = ('encodings', 'tag_scores', 'start_scores', 'end_scores')


def find_task(config, arrays):
    """The name of the task that weights have a head for, or None."""
    for name, task in TASKS.items():
        if task.head and task.head + 'weight' in arrays:
            if name == 'classification' and (config.problem_type == 'regression'
                                             or len(arrays['classifier.1.weight']) == 1):
                return 'regression'
            return name
    return None


def build(task, config, arrays, source, dropout=None, optional=()):
    """The network of a task with the weights found, as many classes as they have.

    ``optional`` as in :func:`~bert.model.parameters.load_parameters`.  Returns
    (net, names of what is random).
    """
    head = TASKS[task].head
    classes = len(arrays[head + 'weight']) if head and head + 'weight' in arrays \
        else TASKS[task].classes
    if task == 'embedding':
        net = HiddenStates(config, dropout, not arrays or 'bert.pooler.weight' in arrays)
    elif task == 'question_answering':
        net = QuestionAnswering(config, dropout)
    elif task == 'ner':
        net = Tagger(config, classes, dropout)
    else:
        net = Classifier(config, classes, dropout)
    initialize(net, config)
    fresh = load_parameters(net, arrays, source, optional)
    net.hybridize(static_alloc=True)
    return net, fresh


def predictor(net):
    """batch -> list of outputs, from a network of MXNet's."""
    def predict(batch):
        out = net(*(mx.nd.array(array, dtype=array.dtype) for array in batch))
        return [array.asnumpy() for array in (out if isinstance(out, (list, tuple)) else [out])]
    return predict


@contextlib.contextmanager
def _quiet():
    """Leave out what libraries tell or warn of their own work."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def _last_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


class Symbol:
    """``model-symbol.json`` and ``model-0000.params``, for ``mx.gluon.SymbolBlock.imports``."""

    files = ('model-symbol.json', 'model-0000.params')
    scaled = False
    calibrated = True

    @classmethod
    def write(cls, net, folder, batch):
        """Write ``net`` in float32; ``batch`` is to run it once, its shape is not kept."""
        predictor(net)(batch)
        cls._save(net, folder)

    @classmethod
    def _save(cls, net, folder):
        try:
            net.export(os.path.join(folder, 'model'), epoch=0)
        except mx.MXNetError as error:
            raise DataError(f'{os.path.join(folder, cls.files[1])}: cannot be written '
                            f'({_last_line(error)})') from None

    @classmethod
    def load(cls, folder):
        """batch -> list of outputs, from the files in ``folder``."""
        symbol, params = (os.path.join(folder, name) for name in cls.files)
        try:
            with _quiet():      # it can't know the inputs' types, and need not
                net = mx.gluon.SymbolBlock.imports(symbol, list(INPUTS), params)
        except (mx.MXNetError, AssertionError, ValueError) as error:
            raise DataError(f'{params}: cannot be read back ({_last_line(error)}); is the disk '
                            'full?') from None
        net.hybridize(static_alloc=True)
        return predictor(net)

    @classmethod
    def quantize(cls, net, folder, batch):
        """Replace the files by int8 ones, with the ranges of activations that ``batch`` shows.

        The weights stay float32 in the file: MXNet makes them int8, a scale for each row, when
        they are used first.  (Its other way, one scale for a whole matrix, loses too much.)
        """
        from gluonnlp.calibration import BertLayerCollector
        from mxnet.contrib.quantization import quantize_net_v2
        if not mx.runtime.Features().is_enabled('MKLDNN'):
            raise DataError('--quantize int8: this build of MXNet has no int8 operators (oneDNN); '
                            'take --format onnx')
        data = mx.io.NDArrayIter({name: array.astype(np.float32)
                                  for name, array in zip(INPUTS, batch)},
                                 batch_size=min(8, len(batch[0])))
        logging.info('what follows from MXNet names the operators that stay float32:')
        try:
            with _quiet():
                # the other quantize_mode, 'full', takes residual sums too: cosine 0.57, not 0.96
                small = quantize_net_v2(
                    net, quantize_mode='smart', quantize_granularity='channel-wise',
                    calib_data=data, calib_mode='customize',
                    LayerOutputCollector=BertLayerCollector(clip_min=-50, clip_max=10))
            small.hybridize(static_alloc=True)
            before = predictor(small)(batch)
        except mx.MXNetError as error:
            raise DataError('--quantize int8: MXNet cannot do it for this model '
                            f'({_last_line(error)}); take --format onnx') from None
        cls._save(small, folder)
        check(cls.load(folder), [batch], [before])


class Onnx:
    """``model.onnx``, opset 13, for ONNX Runtime and others."""

    files = ('model.onnx',)
    # other operators round differently: 1.4e-5 on outputs up to 5 of a 12-layer model was seen
    scaled = True
    calibrated = False      # int8 takes the ranges of activations anew from every input

    @classmethod
    def write(cls, net, folder, batch):
        """Write ``net`` in float32; see :meth:`Symbol.write`."""
        import onnx
        path = os.path.join(folder, *cls.files)
        Symbol.write(net, folder, batch)
        source = [os.path.join(folder, name) for name in Symbol.files]
        # MXNet asks for the newest opset that onnx knows, and has its graph checked as such
        with mock.patch('onnx.defs.onnx_opset_version', lambda: _OPSET), \
                mock.patch('onnx.checker.check_graph'), _quiet():
            mx.onnx.export_model(
                *source, [array.shape for array in batch], [array.dtype for array in batch], path,
                dynamic=True, dynamic_input_shapes=[('batch', 'length')] * 2 + [('batch',)])
        for name in source:
            os.remove(name)
        graph = onnx.load(path)
        graph.opset_import[0].version = _OPSET
        cls._save(graph, path)
        cls._fold(path)
        onnx.checker.check_model(path, full_check=True)

    @classmethod
    def _fold(cls, path):
        """Let ONNX Runtime compute what is constant: half of the nodes are arithmetic on shapes."""
        import onnx
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = path + '.folded'
        try:
            onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        except Exception as error:      # its own kinds have no common base
            raise DataError(f'{path}: ONNX Runtime cannot rewrite it '
                            f'({_last_line(error)})') from None
        graph = onnx.load(options.optimized_model_filepath)
        os.remove(options.optimized_model_filepath)
        cls._save(graph, path)

    @staticmethod
    def _save(graph, path):
        """Write a model without what it does not use."""
        import onnx
        weights = {weight.name for weight in graph.graph.initializer}
        used = {name for node in graph.graph.node for name in node.input}
        domains = {node.domain for node in graph.graph.node}
        for field, keep in ((graph.graph.input, lambda entry: entry.name not in weights),
                            (graph.graph.initializer, lambda entry: entry.name in used),
                            (graph.opset_import, lambda entry: entry.domain in domains)):
            kept = [entry for entry in field if keep(entry)]
            del field[:]
            field.extend(kept)
        graph.ir_version = onnx.helper.find_min_ir_version_for(graph.opset_import)
        onnx.save(graph, path)

    @classmethod
    def load(cls, folder):
        """batch -> list of outputs, from the file in ``folder``."""
        import onnxruntime
        session = onnxruntime.InferenceSession(os.path.join(folder, *cls.files),
                                               providers=['CPUExecutionProvider'])
        return lambda batch: session.run(None, dict(zip(INPUTS, batch)))

    @classmethod
    def quantize(cls, net, folder, batch):
        """Replace the file by an int8 one, with a scale for each row of a matrix."""
        from onnxruntime.quantization import QuantType, quantize_dynamic
        path = os.path.join(folder, *cls.files)
        with _quiet():      # it advises what _fold has done
            quantize_dynamic(path, path + '.int8', per_channel=True, weight_type=QuantType.QInt8)
        os.replace(path + '.int8', path)


FORMATS = {'symbol': Symbol, 'onnx': Onnx}


def check(predict, batches, expected, scaled=False):
    """The largest difference of ``predict(batch)`` from what is expected, over all batches.

    Where ``scaled``, an output with values over 1 has its difference divided by the largest one.

    Raises
    ------
    DataError
        When it is over :data:`TOLERANCE`, or no number.
    """
    worst = 0.0
    for batch, outputs in zip(batches, expected):
        got = predict(batch)
        if [array.shape for array in got] != [array.shape for array in outputs]:
            raise DataError('the export gives outputs of the shapes '
                            f'{[array.shape for array in got]} where the model gives '
                            f'{[array.shape for array in outputs]}')
        for a, b in zip(got, outputs):
            difference = np.abs(a - b).max() / (max(1.0, np.abs(b).max()) if scaled else 1.0)
            worst = np.maximum(worst, difference)       # not a number stays that
    if not worst <= TOLERANCE:
        raise DataError(f'the export differs from the model by {worst:.3g} where {TOLERANCE:g} is '
                        'the limit; nothing was written')
    return float(worst)


def differences(task, predict, batches, expected):
    """How far ``predict`` is off, {name of output: {measure: value}}.

    Measures: largest, mean (of absolute values); cosine (of all values as one vector); same (the
    share of examples, or tokens, with the same best class; None where there are none).
    Padding does not count.
    """
    pairs = {name: ([], [], []) for name in TASKS[task].outputs}
    for batch, outputs in zip(batches, expected):
        real = np.arange(batch[0].shape[1]) < batch[2][:, None]
        for name, a, b in zip(pairs, outputs, predict(batch)):
            same = []
            if name in ('start_scores', 'end_scores'):
                same = np.equal(*(np.where(real, x, -np.inf).argmax(axis=1) for x in (a, b)))
            if name in _BY_TOKEN:
                a, b = a[real], b[real]
            if name in ('scores', 'tag_scores') and a.shape[-1] > 1:
                same = a.argmax(axis=-1) == b.argmax(axis=-1)
            for part, values in zip(pairs[name], (a.ravel(), b.ravel(), same)):
                part.append(values)
    out = {}
    for name, parts in pairs.items():
        if not parts[0]:
            continue            # no pooler
        a, b, same = (np.concatenate(part).astype(np.float64) for part in parts)
        if not np.isfinite(b).all():
            raise DataError(f'--quantize int8: {name} of the int8 model are no numbers')
        out[name] = {'largest': np.abs(a - b).max(), 'mean': np.abs(a - b).mean(),
                     'cosine': a.dot(b) / (np.linalg.norm(a) * np.linalg.norm(b) or 1.0),
                     'same': same.mean() if same.size else None}
    return out


def speed(predicts, batches, rounds=3):
    """Rows a second of several predictors, the best of ``rounds`` in turn: list of float."""
    best = [float('inf')] * len(predicts)
    for turn in range(rounds + 1):      # the first one warms up
        for i, predict in enumerate(predicts):
            start = time.perf_counter()
            for batch in batches:
                predict(batch)
            if turn:
                best[i] = min(best[i], time.perf_counter() - start)
    rows = sum(len(batch[0]) for batch in batches)
    return [rows / seconds for seconds in best]


def size(folder, files):
    """Bytes of files in a folder."""
    return sum(os.path.getsize(os.path.join(folder, name)) for name in files)
