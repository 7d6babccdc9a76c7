"""The tasks that can be exported, as a table; importing it needs no MXNet."""
from typing import NamedTuple, Optional, Tuple

__all__ = ['TASKS', 'ExportTask']


class ExportTask(NamedTuple):
    """What is exported for a task."""
    head: Optional[str]             # the prefix of the head's parameters
    outputs: Tuple[str, ...]        # under the names that Transformers gives them
    by_token: Tuple[str, ...] = ()  # outputs whose second axis is the tokens
    classes: int = 2                # of a head with random weights


_SPAN = ('start_logits', 'end_logits')
TASKS = {
    'classification': ExportTask('classifier.1.', ('logits',)),
    'regression': ExportTask('classifier.1.', ('logits',), classes=1),
    'question_answering': ExportTask('span_classifier.', _SPAN, _SPAN),
    'ner': ExportTask('tag_classifier.1.', ('logits',), ('logits',), classes=9),
    'embedding': ExportTask(None, ('last_hidden_state', 'pooler_output'), ('last_hidden_state',)),
}
