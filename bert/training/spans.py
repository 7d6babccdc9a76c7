"""Predicting answers with a :class:`bert.model.heads.QuestionAnswering`."""
import itertools
from typing import Any, List, Sequence

import mxnet as mx

from ..data import squad_answers
from ..data.squad import Question
from ..data.squad_features import SpanFeature
from ..model.forward import unpack
from .distributed import Local
from .evaluation import Forward, score_rows

__all__ = ['logits', 'predict']


def logits(forward: Forward, features: Sequence[SpanFeature], device: mx.Context) -> mx.nd.NDArray:
    """Logits of each token as the first and last of the answer, (features, longest, 2) float32.

    Padding cannot be chosen: its logits are -1e9, so the loss of a feature does not depend on its
    batch.
    """
    ids = [feature.ids for feature in features]
    return unpack(forward(ids, [feature.token_types for feature in features], device),
                  [len(row) for row in ids], fill=-1e9)


def predict(forward: Forward, questions: Sequence[Question],
            windows: Sequence[Sequence[SpanFeature]], comm: Local, batch_size: int,
            **settings: Any) -> List[squad_answers.Prediction]:
    """The answer to each question, on every worker.

    ``windows`` are the features of each question, ``settings`` those of
    :func:`bert.data.squad_answers.predict`.  The work is divided among workers and devices.
    """
    features = list(itertools.chain.from_iterable(windows))
    rows = iter(score_rows(
        [feature.ids for feature in features], batch_size, comm,
        lambda part, device: logits(forward, [features[i] for i in part], device), by_token=True))
    out = []
    for question, own in zip(questions, windows):
        scores = list(itertools.islice(rows, len(own)))
        out.append(squad_answers.predict(question, own, [s[:, 0] for s in scores],
                                         [s[:, 1] for s in scores], **settings))
    return out
