"""Which model to load, as a value."""
import dataclasses
from typing import Optional

__all__ = ['ModelSource']


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A model by name or path; see :func:`bert.checkpoint.resolve.resolve`.

    ``name``: a published model, folder, file or hub repository; ``dataset``: what a published
    model was pre-trained on; ``weights``: a file or folder whose weights replace those of
    ``name``; ``offline``: use no network; ``vocab``: a vocabulary file that replaces the model's;
    ``cased``: whether text keeps its case, None as the model's files say.
    """

    name: Optional[str] = None
    dataset: Optional[str] = None
    weights: Optional[str] = None
    offline: bool = False
    vocab: Optional[str] = None
    cased: Optional[bool] = None
