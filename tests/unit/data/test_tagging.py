"""Sentences -> windows of token ids -> targets of their words."""
import random

import numpy as np
import pytest

from bert.data import conll, tagging
from bert.data.tags import Scheme
from bert.utils.errors import DataError


def test_rows_of_a_short_sentence(tok):
    (row,) = tagging.features(tok, [['the', 'axe', '\u200b', 'of']], 24)
    assert tok.tokens(row.ids) == ['[CLS]', 'the', 'a', '##x', '##e', '[UNK]', 'of', '[SEP]']
    assert (row.first, row.sentence, row.word) == ([1, 2, 5, 6], 0, 0)


def test_rows_are_windows_in_which_every_word_has_one_place(tok):
    sentences = [['the'], [], ['ab', 'the', 'cd', 'of', 'ef', 'g'], ['\u200b', 'abcdefghijk']]
    rows = tagging.features(tok, sentences, 8)      # six sub-words, of which three may be repeated
    assert [(row.sentence, row.word, tok.tokens(row.ids[1:-1]), row.first) for row in rows] == [
        (0, 0, ['the'], [1]),
        (2, 0, ['a', '##b', 'the', 'c', '##d', 'of'], [1, 3, 4]),
        (2, 3, ['c', '##d', 'of', 'e', '##f', 'g'], [3, 4, 6]),
        (3, 0, ['[UNK]'], [1]),
        (3, 1, ['a', '##b', '##c', '##d', '##e', '##f'], [1])]
    assert all(row.ids[0] == tok.cls_id and row.ids[-1] == tok.sep_id for row in rows)


def test_targets_by_hand(tok):
    rows = tagging.features(tok, [['ab', 'the'], ['of', 'a', 'cd', 'to', 'to', 'in', 'g']], 8)
    targets = tagging.targets(rows[:2], [[4, 0], [1, 2, 3, 0, 5, 6, 7]])
    assert targets.dtype == np.float32
    assert targets.tolist() == [4, 0, 1, 2, 3, 0]
    assert tagging.targets(rows[2:], [[], [1, 2, 3, 0, 5, 6, 7]]).tolist() == [
        5, 6, 7]                   # its first word belongs to the window before


@pytest.mark.parametrize(('lengths', 'max_len', 'overlap', 'expected'), [
    ([], 4, 2, []),
    ([1, 2, 1], 4, 2, [(0, 3, 0, 3)]),
    ([1] * 6, 4, 2, [(0, 4, 0, 3), (2, 6, 3, 6)]),
    ([1] * 6, 4, 0, [(0, 4, 0, 4), (4, 6, 4, 6)]),
    ([1] * 5, 4, 3, [(0, 4, 0, 3), (1, 5, 3, 5)]),
    ([1, 9, 1], 4, 2, [(0, 1, 0, 1), (1, 2, 1, 2), (2, 3, 2, 3)]),  # 9 sub-words are cut to 4
    ([2, 2, 2, 2], 5, 2, [(0, 2, 0, 2), (1, 3, 2, 3), (2, 4, 3, 4)]),
    ([2, 2, 2, 2], 5, 1, [(0, 2, 0, 2), (2, 4, 2, 4)]),             # no whole word fits the overlap
    ([1, 1, 1, 3], 4, 3, [(0, 3, 0, 3), (2, 4, 3, 4)]),             # less overlap, to move on
])
def test_windows_by_hand(lengths, max_len, overlap, expected):
    assert tagging.windows(lengths, max_len, overlap) == expected


def test_windows_own_every_word_once_where_its_context_is_largest():
    rng = random.Random(3)
    several = 0
    for _ in range(400):
        lengths = [rng.choice([0, 1, 1, 1, 2, 3, 7]) for _ in range(rng.randrange(1, 40))]
        max_len, overlap = rng.randrange(1, 16), rng.randrange(0, 18)
        cut = [min(n, max_len) for n in lengths]
        found = tagging.windows(lengths, max_len, overlap)
        several += len(found) > 2
        assert [w for window in found for w in range(window.owned_first, window.owned_end)] == list(
            range(len(lengths)))
        for window in found:
            assert window.first <= window.owned_first < window.owned_end <= window.end
            assert sum(cut[window.first:window.end]) <= max_len
            for word in range(window.owned_first, window.owned_end):
                context, best = (max(min(sum(cut[w.first:word]), sum(cut[word + 1:w.end]))
                                     for w in candidates)
                                 for candidates in ([window], [w for w in found
                                                               if w.first <= word < w.end]))
                assert context == best
        for before, after in zip(found, found[1:]):
            if not set(range(before.first, before.end)).isdisjoint(range(after.first, after.end)):
                assert sum(cut[after.first:before.end]) <= overlap
    assert several > 100


def sentence(tags):
    return conll.Sentence([f'w{i}' for i in range(len(tags.split()))], tags.split(),
                          [['w']] * len(tags.split()), range(len(tags.split())), [], ' ')


@pytest.mark.parametrize(('tags', 'labels', 'learned', 'written'), [
    # tags of the file; labels of the model; the tags as the model's labels; PER O O LOC in the file
    ('I-PER I-PER B-PER O', 'O B-PER I-PER B-LOC I-LOC', 'B-PER I-PER B-PER O', 'I-PER O O I-LOC'),
    ('B-PER L-PER U-PER O', 'O B-PER I-PER B-LOC I-LOC', 'B-PER I-PER B-PER O', 'U-PER O O U-LOC'),
    ('per-B per-I O O', 'O B-PER I-PER B-LOC I-LOC', 'B-PER I-PER O O', 'per-B O O LOC-B'),
    ('PER PER O O', 'O B-PER I-PER B-LOC I-LOC', 'B-PER I-PER O O', 'PER O O LOC'),
    ('B-PER I-PER B-LOC O', 'O PER LOC', 'PER PER LOC O', 'B-PER O O B-LOC'),
])
def test_tags_of_a_file_and_labels_of_a_model(tmp_path, tags, labels, learned, written):
    labels, rows = labels.split(), [sentence(tags)]
    model = tagging.schemes.scheme_of(labels)
    found = tagging.tag_map('some.txt', rows, model, labels)
    assert found.labels(rows[0].tags) == learned.split()
    predicted = ['PER' if 'PER' in labels else 'B-PER', 'O', 'O', labels[2 if 'LOC' in labels
                                                                         else 3]]
    tagging.write(str(tmp_path / 'out'), rows, [predicted], found)
    lines = (tmp_path / 'out').read_text(encoding='utf-8').split('\n')[:4]
    assert [line.split()[-1] for line in lines] == written.split()
    assert found.predicted(learned.split()) == found.gold(rows[0].tags)


def test_labels_are_in_the_order_of_their_types():
    sets = []
    for tags in 'I-PER I-PER', 'I-LOC I-LOC B-LOC':         # IOB1, and no O
        rows = [sentence(tags)]
        sets.append((rows, tagging.tag_map('some.txt', rows, Scheme('BIO2'))))
    assert tagging.find_labels(sets) == ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    rows = [sentence('B I')]
    untyped = tagging.tag_map('some.txt', rows, Scheme('BIO2'))
    assert tagging.find_labels([(rows, untyped)]) == ('O', 'B', 'I')


def test_token_labels_form_no_entities():
    rows = [sentence('DT NN'), sentence('NN')]
    model = Scheme('', 'plain')
    found = tagging.tag_map('some.txt', rows, model)
    assert tagging.find_labels([(rows, found)]) == ('DT', 'NN')
    assert found.gold(['DT', 'NN']) == found.predicted(['DT', 'NN']) == ['DT', 'NN']
    # the same plain tags without O beside a model of entities
    assert tagging.tag_map('some.txt', rows, Scheme('BIO2')).labels(['DT', 'DT']) == [
        'B-DT', 'I-DT']
    with pytest.raises(DataError, match='some.txt: the tags are BIO2, where the model has'):
        tagging.tag_map('some.txt', [sentence('B-X O')], model)
