"""The network that is exported for each task.

Arrays in this package are numpy's.  A batch is (ids, token types, lengths) as in
:mod:`bert.model.heads`: (batch, length) int32 twice, and (batch,) float32.
"""
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from bert.checkpoint.result_folder import LoadedModel
from bert.data.tasks import REGRESSION, SINGLE_LABEL, problem_of
from bert.model.config import BertConfig
from bert.model.heads import Classifier, HiddenStates, QuestionAnswering, Tagger
from bert.model.parameters import initialize, load_parameters

from .tasks import TASKS

__all__ = ['Batch', 'build', 'count_classes', 'find_task', 'predictor', 'problem_type']

Batch = Tuple[np.ndarray, np.ndarray, np.ndarray]


def find_task(model: LoadedModel) -> Optional[str]:
    """The name of the task that a model has a head for, or None.

    Raises DataError if its config contradicts the head.
    """
    for name, task in TASKS.items():
        if task.head and task.head + 'weight' in model.arrays:
            return 'regression' if problem_type(name, model) == REGRESSION else name
    return None


def problem_type(task: str, model: LoadedModel) -> Optional[str]:
    """What the head of ``model``, or a random one in its place, predicts for a text.

    It is one of the constants of :mod:`bert.data.tasks`; None if the task is not about whole texts.
    Raises DataError if the config contradicts the head.
    """
    head = TASKS[task].head
    if head != TASKS['classification'].head:
        return None
    if head + 'weight' in model.arrays:
        return problem_of(model.config.problem_type, count_classes(task, model.arrays),
                          model.source)
    return REGRESSION if task == 'regression' else SINGLE_LABEL


def count_classes(task: str, arrays: Dict[str, np.ndarray]) -> int:
    """The outputs of the head in ``arrays``, or of the random one that takes its place."""
    head = TASKS[task].head
    return len(arrays[head + 'weight']) if head and head + 'weight' in arrays \
        else TASKS[task].classes


def build(task: str, config: BertConfig, arrays: Dict[str, np.ndarray], source: str,
          dropout: Optional[float] = None,
          optional: Sequence[str] = ()) -> Tuple[HybridBlock, List[str]]:
    """The network of a task with the weights in ``arrays``, and as many classes as they have.

    ``optional`` as in :func:`~bert.model.parameters.load_parameters`.  Returns the network and the
    names of the parameters that are random.
    """
    if task == 'embedding':
        net = HiddenStates(config, dropout, not arrays or 'bert.pooler.weight' in arrays)
    elif task == 'question_answering':
        net = QuestionAnswering(config, dropout)
    else:
        head = Tagger if task == 'ner' else Classifier
        net = head(config, count_classes(task, arrays), dropout)
    initialize(net, config)
    fresh = load_parameters(net, arrays, source, optional)
    net.hybridize(static_alloc=True)
    return net, fresh


def predictor(net: Any) -> Callable[[Batch], List[np.ndarray]]:
    """A function, batch -> list of outputs, that runs an MXNet block."""
    def predict(batch):
        out = net(*(mx.nd.array(array, dtype=array.dtype) for array in batch))
        return [array.asnumpy() for array in (out if isinstance(out, (list, tuple)) else [out])]
    return predict
