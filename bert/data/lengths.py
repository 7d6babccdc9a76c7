"""How many tokens a model takes at once: what the user says, or a default that fits the model."""
import logging
from typing import Dict, Optional

from ..utils.errors import DataError

__all__ = ['SQUAD', 'STRIDE', 'choose', 'choose_stride', 'squad_windows']

SQUAD = {'max_seq_length': 384, 'doc_stride': 128, 'max_query_length': 64}
STRIDE = 64     # of windows over the text of a classifier
_log = logging.getLogger(__name__)


def choose(flag: str, given: Optional[int], default: int, positions: int,
           cure: str = 'use that or less') -> int:
    """The length that is ``given``, or if None is, ``default`` or the ``positions`` of the model.

    Logs a length that is less than the default for want of positions.  Raises DataError, with the
    ``cure``, if the model has fewer positions than what is given.
    """
    if given is not None and given > positions:
        raise DataError(f'{flag} {given}: this model has positions for {positions} tokens; {cure}')
    if given is None and positions < default:
        _log.info('%s %d instead of %d: this model has no more positions', flag, positions, default)
    return min(default, positions) if given is None else given


def choose_stride(given: Optional[int], max_len: int) -> int:
    """From one window of a text to the next: by default 64, or half of a length too short."""
    return given or (STRIDE if max_len - 3 >= STRIDE else max(1, max_len // 2))


def squad_windows(positions: int, max_seq_length: Optional[int] = None,
                  doc_stride: Optional[int] = None,
                  max_query_length: Optional[int] = None) -> Dict[str, int]:
    """The lengths of :func:`bert.data.squad_features.featurize`, by name.

    The defaults are those of :data:`SQUAD`.  Where a model has too few ``positions`` for them, and
    no ``max_seq_length`` is given, that is ``positions``, and the others are as much smaller: a
    third and a sixth of it.  Raises DataError if what is given does not fit.
    """
    length = choose('--max_seq_length', max_seq_length, SQUAD['max_seq_length'], positions)
    scale = 1.0 if max_seq_length else length / SQUAD['max_seq_length']
    stride = doc_stride or max(1, int(SQUAD['doc_stride'] * scale))
    query = max_query_length or max(1, int(SQUAD['max_query_length'] * scale))
    if length <= query + 3:
        cure = f'{length - 4} or less' if length > 4 else 'a model of more positions'
        raise DataError(f'--max_query_length {query}: question, passage and 3 special tokens '
                        f'must fit in {length} tokens; use {cure}')
    return {'max_seq_length': length, 'doc_stride': stride, 'max_query_length': query}
