"""Text -> token ids and token types within ``max_len``: cut, in windows, or word by word."""
from typing import List, NamedTuple, Optional, Sequence, Tuple

from ..utils.errors import DataError
from .tokenizer import Tokenizer

__all__ = ['Encoded', 'owned_spans', 'pair', 'spans', 'windows', 'words']


class Encoded(NamedTuple):
    """Token ids and token types of equal length, special tokens included, without padding."""
    ids: List[int]
    token_types: List[int]
    truncated: bool         # whether sub-words of the text were left out


def pair(tokenizer: Tokenizer, text_a: str, text_b: Optional[str] = None,
         max_len: int = 128) -> Encoded:
    """[CLS] a [SEP], or [CLS] a [SEP] b [SEP], cut to ``max_len`` tokens.

    The longer text loses its last sub-words first, one at a time; b if both are equally long.
    As in google-research/bert, a ``text_b`` without any sub-word counts as no second text.

    Raises DataError if ``max_len`` has no room for one sub-word of each text.
    """
    a = tokenizer.ids(text_a)
    b = tokenizer.ids(text_b) if text_b is not None else []
    room = _room(max_len, text_b is not None, bool(b))
    kept_a = min(len(a), max(room - len(b), (room + 1) // 2))
    kept_b = min(len(b), room - kept_a)
    return _join(tokenizer, a[:kept_a], b[:kept_b], kept_a < len(a) or kept_b < len(b))


def windows(tokenizer: Tokenizer, text_a: str, text_b: Optional[str] = None, max_len: int = 128,
            stride: int = 64) -> List[Encoded]:
    """Overlapping windows over a text, or a pair, that is longer than ``max_len``, in order.

    In a pair, b is windowed if a takes at most half of the room; otherwise the longer text is,
    and the other one is cut to half of the room.  Every window is full unless it is the only one.

    Parameters
    ----------
    stride : int
        Sub-words from the start of a window to the start of the next; fewer if the windows are
        shorter, so that every sub-word of the windowed text is in at least one of them.

    Returns
    -------
    list of Encoded
        ``truncated`` means that the other text was cut.

    Raises
    ------
    DataError
        If ``max_len`` or ``stride`` is impossible.
    """
    a = tokenizer.ids(text_a)
    b = tokenizer.ids(text_b) if text_b is not None else []
    room = _room(max_len, text_b is not None, bool(b))
    if not 1 <= stride <= room:
        raise DataError(f'--stride {stride} would leave gaps between the windows or never advance; '
                        f'with --max_len {max_len} give 1 to {room}')
    half, truncated = room // 2, False
    if len(a) + len(b) > room and len(a) > half and len(b) > half:
        truncated = True
        a, b = (a[:half], b) if len(b) >= len(a) else (a, b[:half])
    if len(b) >= len(a):
        return [_join(tokenizer, a, b[start:end], truncated)
                for start, end in spans(len(b), room - len(a), stride)]
    return [_join(tokenizer, a[start:end], b, truncated)
            for start, end in spans(len(a), room - len(b), stride)]


def words(tokenizer: Tokenizer, sentence: Sequence[str]) -> List[List[int]]:
    """The sub-word ids of each word; no list is empty.

    A word without any sub-word (zero-width characters, control characters) is [UNK], so that
    every word has a first sub-word and keeps its place.
    """
    return [tokenizer.ids(word) or [tokenizer.unk_id] for word in sentence]


def spans(length: int, room: int, stride: int) -> List[Tuple[int, int]]:
    """(start, end) of the windows of ``room`` over ``length`` items; the last ends at the end.

    Starts are ``stride`` apart (``room``, if that is less); the last window starts earlier than
    that if it would not be full.  One span if all items fit, even if there are none.
    """
    starts = list(range(0, length - room, min(stride, room))) + [max(0, length - room)]
    return [(start, min(length, start + room)) for start in starts]


def owned_spans(length: int, room: int) -> List[Tuple[int, int, int, int]]:
    """(start, end, first, last) of windows of ``room`` over ``length`` items.

    They overlap by half.  A window owns its items from ``first`` to ``last``, which are nearer to
    its middle than to that of another window; every item has one owner.
    """
    seen = spans(length, room, max(1, room // 2))
    cuts = [(start + end + 1) // 2 for (_, end), (start, _) in zip(seen, seen[1:])]
    return [span + owned for span, owned in zip(seen, zip([0] + cuts, cuts + [length]))]


def _room(max_len, is_pair, has_b):
    """How many sub-words fit beside the special tokens."""
    least = 5 if is_pair else 3
    if max_len < least:
        raise DataError(f'--max_len {max_len} has no room for the special tokens and one sub-word '
                        f"of {'each text' if is_pair else 'the text'}; give {least} or more")
    return max_len - (3 if has_b else 2)


def _join(tokenizer, a, b, truncated):
    first = [tokenizer.cls_id] + a + [tokenizer.sep_id]
    second = b + [tokenizer.sep_id] if b else []
    return Encoded(first + second, [0] * len(first) + [1] * len(second), truncated)
