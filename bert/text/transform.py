"""Text -> ids and segments that fit ``max_len``: cut, in overlapping windows, or word by word."""
from collections import namedtuple

from ..utils.errors import DataError

__all__ = ['Encoded', 'owned_spans', 'pair', 'spans', 'windows', 'words']

# ids, segments: lists of int of one length, special tokens included, no padding
# truncated: bool, whether pieces of the text were left out
Encoded = namedtuple('Encoded', 'ids segments truncated')


def pair(tokenizer, text_a, text_b=None, max_len=128):
    """[CLS] a [SEP], or [CLS] a [SEP] b [SEP], cut to ``max_len`` tokens.

    The longer text loses its last pieces first, one at a time; b where both are equally long.
    As in google-research/bert, a ``text_b`` without any piece counts as no second text.

    Returns
    -------
    Encoded

    Raises DataError where ``max_len`` has no room for a piece of each text.
    """
    a = tokenizer.ids(text_a)
    b = tokenizer.ids(text_b) if text_b is not None else []
    room = _room(max_len, text_b is not None, bool(b))
    kept_a = min(len(a), max(room - len(b), (room + 1) // 2))
    kept_b = min(len(b), room - kept_a)
    return _join(tokenizer, a[:kept_a], b[:kept_b], kept_a < len(a) or kept_b < len(b))


def windows(tokenizer, text_a, text_b=None, max_len=128, stride=64):
    """Overlapping windows over a text, or a pair, that is longer than ``max_len``.

    Of a pair, b is windowed where a takes at most half of the room; otherwise the longer text is,
    and the other one is cut to half of the room.  Each window but a lone one is full.

    Parameters
    ----------
    stride : int, pieces from the start of a window to the start of the next; smaller where the
        windows are, so that every piece of the windowed text is in at least one of them

    Returns
    -------
    list of Encoded, in the order of the text; truncated tells that the other text was cut

    Raises DataError where ``max_len`` or ``stride`` cannot be met.
    """
    a = tokenizer.ids(text_a)
    b = tokenizer.ids(text_b) if text_b is not None else []
    room = _room(max_len, text_b is not None, bool(b))
    if not 1 <= stride <= room:
        raise DataError(f'--stride {stride} does not move on, or leaves gaps between the windows; '
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


def words(tokenizer, sentence):
    """The ids of each word's pieces: a list of lists of int, none of them empty.

    A word that tokenises to nothing (zero-width characters, control characters) is [UNK], so that
    every word has a first piece and keeps its place.
    """
    return [tokenizer.ids(word) or [tokenizer.unk_id] for word in sentence]


def spans(length, room, stride):
    """(start, end) of the windows of ``room`` over ``length`` items; the last ends at the end.

    Starts are ``stride`` apart (``room``, if that is less); the last window begins earlier than
    that where it would not be full.  One span where all items fit, even none.
    """
    starts = list(range(0, length - room, min(stride, room))) + [max(0, length - room)]
    return [(start, min(length, start + room)) for start in starts]


def owned_spans(length, room):
    """(start, end, first, last) of windows of ``room`` over ``length`` items.

    They overlap by half.  Of its items a window owns those from ``first`` to ``last``, which are
    nearer to its middle than to that of another window; every item has one owner.
    """
    seen = spans(length, room, max(1, room // 2))
    cuts = [(start + end + 1) // 2 for (_, end), (start, _) in zip(seen, seen[1:])]
    return [span + owned for span, owned in zip(seen, zip([0] + cuts, cuts + [length]))]


def _room(max_len, is_pair, has_b):
    """How many pieces fit beside the special tokens."""
    least = 5 if is_pair else 3
    if max_len < least:
        raise DataError(f"--max_len {max_len} is too short for a piece of "
                        f"{'each text' if is_pair else 'text'} and the special tokens; give "
                        f'{least} or more')
    return max_len - (3 if has_b else 2)


def _join(tokenizer, a, b, truncated):
    first = [tokenizer.cls_id] + a + [tokenizer.sep_id]
    second = b + [tokenizer.sep_id] if b else []
    return Encoded(first + second, [0] * len(first) + [1] * len(second), truncated)
