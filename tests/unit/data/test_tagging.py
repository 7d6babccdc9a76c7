"""Sentences -> rows of token ids -> targets of their words."""
import numpy as np

from bert.data import tagging


def test_rows_of_a_short_sentence(tok):
    (row,) = tagging.rows(tok, [['the', 'axe', '\u200b', 'of']], 24)
    assert tok.tokens(row.ids) == ['[CLS]', 'the', 'a', '##x', '##e', '[UNK]', 'of', '[SEP]']
    assert (row.first, row.sentence, row.word) == ([1, 2, 5, 6], 0, 0)


def test_rows_are_windows_in_which_every_word_has_one_place(tok):
    sentences = [['the'], [], ['ab', 'the', 'cd', 'of', 'ef', 'g'], ['\u200b', 'abcdefghijk']]
    rows = tagging.rows(tok, sentences, 8)      # six pieces, of which three may come again
    assert [(row.sentence, row.word, tok.tokens(row.ids[1:-1]), row.first) for row in rows] == [
        (0, 0, ['the'], [1]),
        (2, 0, ['a', '##b', 'the', 'c', '##d', 'of'], [1, 3, 4]),
        (2, 3, ['c', '##d', 'of', 'e', '##f', 'g'], [3, 4, 6]),
        (3, 0, ['[UNK]'], [1]),
        (3, 1, ['a', '##b', '##c', '##d', '##e', '##f'], [1])]
    assert all(row.ids[0] == tok.cls_id and row.ids[-1] == tok.sep_id for row in rows)


def test_targets_by_hand(tok):
    rows = tagging.rows(tok, [['ab', 'the'], ['of', 'a', 'cd', 'to', 'to', 'in', 'g']], 8)
    targets = tagging.targets(rows[:2], [[4, 0], [1, 2, 3, 0, 5, 6, 7]])
    assert targets.dtype == np.float32
    assert targets.tolist() == [4, 0, 1, 2, 3, 0]
    assert tagging.targets(rows[2:], [[], [1, 2, 3, 0, 5, 6, 7]]).tolist() == [
        5, 6, 7]                   # its first word belongs to the window before
