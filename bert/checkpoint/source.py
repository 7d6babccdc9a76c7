"""Which model to load, as a value; and the settings in its folder, read before it is loaded."""
import dataclasses
import os
from typing import Any, Mapping, Optional

from ..model.config import check_settings
from ..utils.files import read_json

__all__ = ['ModelSource', 'read_settings']


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A model by name or path; see :func:`bert.checkpoint.resolve.resolve`.

    ``name``: a published model, folder, file or hub repository; ``dataset``: what a published
    model was pre-trained on; ``weights``: a file or folder whose weights replace those of
    ``name``; ``offline``: do not use the network; ``vocab``: a vocabulary file that replaces the
    model's; ``cased``: whether text keeps its case, None to follow the model's files.
    """

    name: Optional[str] = None
    dataset: Optional[str] = None
    weights: Optional[str] = None
    offline: bool = False
    vocab: Optional[str] = None
    cased: Optional[bool] = None


def read_settings(path: Optional[str], task: Optional[str] = None) -> Mapping[str, Any]:
    """The settings that a result folder of ``task`` records.

    ``path`` is the folder or a file in it; ``task`` None stands for any.  Empty if it is not a
    result folder of ``task``.  Errors as :func:`bert.model.config.check_settings`.
    """
    path = os.path.expanduser(path or '')
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    config = os.path.join(folder, 'config.json')
    if not path or not os.path.isfile(config):
        return {}
    saved = read_json(config)
    saved = saved.get('gluon_bert') if isinstance(saved, dict) else None
    if not isinstance(saved, dict) or task not in (None, saved.get('task')):
        return {}
    return check_settings(saved, config)
