"""Plain text -> words, against hand-made cases."""
import random

import pytest

from bert.text.words import split_words


@pytest.mark.parametrize(('text', 'words'), [
    ("The U.S. didn't win in Berlin's Hall.",
     "The|U.S.|did|n't|win|in|Berlin|'s|Hall|."),
    ('O’Brien\u00a0paid $2,000 (5%) at 5:30 p.m., on 1996-08-22...',
     'O’Brien|paid|$|2,000|(|5|%|)|at|5:30|p.m.|,|on|1996-08-22|...'),
    ('@bob_x saw https://t.co/a?b=1. #NER AT&T!!',
     '@bob_x|saw|https://t.co/a?b=1|.|#NER|AT&T|!!'),
    ('北京abc。', '北|京|abc|。'),
    ('हिन्दी में', 'हिन्दी|में'),
    ('cafe\u0301 co\u00adop \ufeff a\u200bb \u2764\ufe0f',
     'cafe\u0301|co\u00adop|a|b|\u2764\ufe0f'),
    ('word-like - thing', 'word-like|-|thing'),
    (' \n', None),
])
def test_split_words(text, words):
    found, offsets = split_words(text)
    assert found == (words.split('|') if words else [])
    assert [text[start:end] for start, end in offsets] == found


def test_split_words_loses_only_spaces_and_invisible_characters():
    rng = random.Random(5)
    for _ in range(300):
        text = ''.join(rng.choice("aB9é'’n.t-,:/@#_&$ \t北\u0301😀") for _ in range(20))
        _, offsets = split_words(text)
        edges = [0] + [edge for offset in offsets for edge in offset] + [len(text)]
        assert edges == sorted(edges)
        gaps = ''.join(text[a:b] for a, b in zip(edges[::2], edges[1::2]))
        assert gaps.strip(' \t\u0301') == '' and set(gaps) <= set(' \t\u0301')
