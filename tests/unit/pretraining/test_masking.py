"""Pairs, cuts and masks: exact on documents made by hand, and in distribution on large ones."""
import numpy as np
import pytest

from bert.pretraining import masking
from bert.pretraining.masking import Documents, Masking, collect_documents, pairs, truncate
from bert.text import tokenizer

SPECIALS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
PAD, UNK, CLS, SEP, MASK = range(5)
FIRST = 5       # the first id that is a word


class Script:
    """In place of a random generator: gives the numbers written down, in their order."""

    def __init__(self, *numbers, front=1.0):
        self.numbers, self.front = list(numbers), front

    def random(self, size):
        numbers = self.numbers.pop(0)
        return np.resize(np.array(numbers, float), size)

    def binomial(self, counts, share):
        assert share == 0.5
        return (counts * self.front).astype(int)

    def permutation(self, count):
        return np.arange(count)


def words(count, pieces=0):
    """A tokenizer with so many words, and after them so many pieces that begin none."""
    return tokenizer.WordPiece(SPECIALS + [f'w{i}' for i in range(count)]
                               + [f'##p{i}' for i in range(pieces)], cased=True)


def documents_of(*documents):
    """Documents given as the lengths of their sentences; its tokens are 5, 6, 7, ..."""
    sentences = np.cumsum([0] + [length for document in documents for length in document])
    starts = np.cumsum([0] + [len(document) for document in documents])
    return Documents(np.arange(FIRST, FIRST + sentences[-1], dtype=np.int32), sentences.tolist(),
                starts.tolist())


def joined(blocks):
    blocks = list(blocks)
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def test_documents_leave_out_what_is_empty():
    documents = collect_documents([[[7, 8], [], [9]], [], [[]], [[5]]])
    assert documents.tokens.tolist() == [7, 8, 9, 5] and documents.tokens.dtype == np.int32
    assert documents.sentences == [0, 2, 3, 4]
    assert documents.starts == [0, 2, 3]
    assert collect_documents([]).sentences == [0]


def test_pairs_of_two_documents():
    documents = documents_of([4, 3, 5], [6, 2])      # sentences at 0 4 7 | 12 18, end 20
    rng = Script([0.9,              # document 0: not short
                  0.7, 0.2,         # 3 sentences: 2 of them are A; the next is random
                  0.0, 0.6,         # of the other document; its second sentence
                  0.5, 0.0, 0.1,    # 1 sentence is left: no choice; document 1, first sentence
                  0.9,              # document 1
                  0.3, 0.8])        # 2 sentences: 1 is A; the next is the actual one
    assert list(pairs(documents, 10, 0.1, rng)) == [
        (0, 7, 18, 20, 1), (7, 12, 12, 18, 1), (12, 18, 18, 20, 0)]


def test_enough_sentences_for_the_target():
    documents = documents_of([3] * 6, [2] * 6)
    # 3 + 3 + 3 + 3 reach 10; A is 1 of the 4 sentences; B takes 2 + 2 + 2 + 2 for the missing 7
    assert next(pairs(documents, 10, 0, Script([0.9, 0.0, 0.4, 0.0, 0.2]))) == (0, 3, 20, 28, 1)
    assert next(pairs(documents, 10, 0, Script([0.9, 0.99, 0.5]))) == (0, 9, 9, 12, 0)
    # a short target is 2 + 0.4 * 9 = 5 of 2 to 10: 2 sentences
    assert next(pairs(documents, 10, 0.1, Script([0.09, 0.4, 0.99, 0.5]))) == (0, 3, 3, 6, 0)
    assert next(pairs(documents, 10, 1, Script([0.5, 0.999, 0.0, 0.5]))) == (0, 3, 3, 12, 0)


def test_unused_sentences_come_again():
    documents = documents_of([3] * 6, [2] * 6)
    rng = Script([0.9, 0.0, 0.4, 0.0, 0.2, 0.0, 0.9] + [0.9] * 90)
    first, second = list(pairs(documents, 10, 0, rng))[:2]
    assert first[:2] == (0, 3) and first[4] == 1
    assert second == (3, 6, 6, 15, 0)


def test_one_document_takes_the_random_text_from_elsewhere_in_it():
    documents = documents_of([3] * 6)
    drawn = [next(pairs(documents, 6, 0, Script([0.9, 0.0, 0.4, place])))
             for place in (0, 0.3, 0.9)]
    assert drawn == [(0, 3, 6, 9, 1), (0, 3, 9, 12, 1), (0, 3, 15, 18, 1)]
    # before it, too, but not into it: sentence 2 alone, where 3 to 5 are the instance
    rng = Script([0.9, 0.0, 0.9, 0.0, 0.4, 0.9] + [0.9] * 90)
    assert list(pairs(documents, 7, 0, rng))[1] == (9, 12, 6, 9, 1)


def test_what_has_nothing_beside_it():
    # both sentences are taken: there is no other to be random, so the next is the actual one
    assert list(pairs(documents_of([3, 3]), 9, 0, Script([0.9, 0.0, 0.4]))) == [(0, 3, 3, 6, 0)]
    assert list(pairs(documents_of([3]), 9, 0, Script([0.9]))) == []
    assert list(pairs(documents_of(), 9, 0, Script([0.9]))) == []


@pytest.mark.parametrize('front', [0, 1])
def test_truncate(front):
    spans = np.array([(0, 10, 20, 23, 1), (0, 5, 10, 14, 0), (0, 3, 10, 12, 0), (0, 3, 3, 9, 1)])
    # 10 + 3 -> 3 + 3 -> 3 + 2; 5 + 4 -> 4 + 4 -> 4 + 3 -> 3 + 3 -> 3 + 2; fits; 3 + 6 -> 3 + 2
    expected = [[(0, 3, 20, 22, 1), (0, 3, 10, 12, 0), (0, 3, 10, 12, 0), (0, 3, 3, 5, 1)],
                [(7, 10, 21, 23, 1), (2, 5, 12, 14, 0), (0, 3, 10, 12, 0), (0, 3, 7, 9, 1)]]
    assert truncate(spans, 5, Script(front=front)).tolist() == [list(r) for r in expected[front]]
    assert spans[0].tolist() == [0, 10, 20, 23, 1]


def test_truncate_like_token_by_token():
    rng = np.random.default_rng(0)
    a, b, room = rng.integers(1, 60, 500), rng.integers(1, 60, 500), 37
    spans = np.stack([0 * a, a, 1000 + 0 * a, 1000 + b, 0 * a], axis=1)
    cut = truncate(spans, room, rng)
    for (start, end, next_start, next_end, _), left, right in zip(cut, a, b):
        while left + right > room:
            if left > right:
                left -= 1
            else:
                right -= 1
        assert (end - start, next_end - next_start) == (left, right)
    fronts = cut[:, 0].sum() / (a - cut[:, 1] + cut[:, 0]).sum()
    assert abs(fronts - 0.5) < 0.03     # 4 deviations


def test_an_instance_by_hand():
    tok = words(20)
    documents = Documents(np.arange(5, 25, dtype=np.int32), [0, 3, 7], [0, 2])
    maker = Masking(tok, 12, 4, masked_lm_prob=0.3, short_seq_prob=0)
    # [CLS] 5 6 7 [SEP] 8 9 10 11 [SEP]: 10 tokens, 3 to predict
    order = [.5, .9, .8, .2, .5, .3, .95, .1, .6, .5, .5, .5]    # the lowest: positions 7, 3, 5
    rng = Script([0.9, 0.0, 0.9], order, [0.79, 0.8, 0.9], [0.1, 0.2, 0.52])
    block, = maker.instances(documents, rng)
    # in the order of the positions: masked, kept, and word 0.52 of 25
    expected = {'input_ids': [[CLS, 5, 6, MASK, SEP, 8, 9, 13, 11, SEP, PAD, PAD]],
                'segment_ids': [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0]],
                'masked_lm_ids': [[7, 8, 10, PAD]], 'masked_lm_positions': [[3, 5, 7, 0]],
                'masked_lm_weights': [[1, 1, 1, 0]], 'next_sentence_labels': [0],
                'valid_lengths': [10]}
    assert {name: array.tolist() for name, array in block.items()} == expected
    for name, (dtype, _) in masking.FIELDS.items():
        assert block[name].dtype == dtype and block[name].shape[1:] == maker.shape(name)


@pytest.mark.parametrize('length,share,most,expected', [
    (10, 0.15, 80, 2),      # 1.5 is rounded to even, as Python does
    (10, 0.25, 80, 2), (10, 0.35, 80, 4), (10, 0.01, 80, 1), (10, 0.5, 3, 3), (10, 1, 80, 7)])
def test_how_many_are_predicted(length, share, most, expected):
    documents = documents_of([3, length - 6])
    block, = Masking(words(40), 16, most, share, 0).instances(documents, np.random.default_rng(0))
    assert block['valid_lengths'].tolist() == [length]
    assert block['masked_lm_weights'].sum() == expected


def test_whole_words_that_fit():
    # words: a (1 piece), b (3), c (2), d (1), chosen in the order b c a d
    begins = np.array([[0, 1, 1, 0, 0, 1, 0, 1, 0]], bool)
    is_text = np.array([[0, 1, 1, 1, 1, 1, 1, 1, 0]], bool)
    order = [.5, .3, .1, .5, .5, .2, .5, .4, .5]
    chosen = {wanted: np.nonzero(masking.choose(begins, is_text, np.array([wanted]),
                                                Script(order)))[1].tolist()
              for wanted in (1, 2, 3, 4, 5, 6, 7, 9)}
    assert chosen == {1: [1], 2: [5, 6], 3: [2, 3, 4], 4: [1, 2, 3, 4], 5: [2, 3, 4, 5, 6],
                      6: [1, 2, 3, 4, 5, 6], 7: [1, 2, 3, 4, 5, 6, 7], 9: [1, 2, 3, 4, 5, 6, 7]}


def test_a_cut_word_is_no_part_of_the_other_text():
    tok = words(1, 1)
    # [CLS] w0 [SEP] ##p0 [SEP], where a word has lost its front
    documents = collect_documents([[[5], [6]]])
    for seed in range(10):
        block, = Masking(tok, 8, 1, whole_word_mask=True).instances(
            documents, np.random.default_rng(seed))
        assert block['masked_lm_weights'].sum() == 1


def whole_words(row, ids, begins):
    """Whether the predicted positions of an instance are whole words of its text ``ids``."""
    length = row['valid_lengths']
    predicted = set(row['masked_lm_positions'][row['masked_lm_weights'] > 0].tolist())
    second = np.nonzero(row['segment_ids'])[0][0]
    starts = [i for i in range(1, length - 1) if i != second - 1
              and (i in (1, second) or begins[ids[i]])]
    found = []
    for start, end in zip(starts, starts[1:] + [length - 1]):
        word = set(range(start, end)) - {second - 1}
        found.append(len(word & predicted) in (0, len(word)))
    return all(found)


def restored(block, i):
    """An instance's text before it was masked."""
    ids, weights = block['input_ids'][i].copy(), block['masked_lm_weights'][i] > 0
    ids[block['masked_lm_positions'][i][weights]] = block['masked_lm_ids'][i][weights]
    return ids


@pytest.mark.parametrize('kind', ['wordpiece', 'sentencepiece'])
def test_whole_word_masking(kind, request):
    if kind == 'wordpiece':
        tok = words(30, 30)
    else:
        tok = request.getfixturevalue('sentencepiece_tokenizer')
    rng = np.random.default_rng(1)
    begins = np.array([tok.is_first_subword(token) for token in tok.tokens(range(len(tok)))])
    usual = np.array([not token.startswith(('[', '<')) for token in tok.tokens(range(len(tok)))])
    first, others = np.nonzero(begins & usual)[0], np.nonzero(~begins & usual)[0]

    def word():
        return [rng.choice(first)] + rng.choice(others, rng.integers(3)).tolist()
    documents = [[sum((word() for _ in range(rng.integers(1, 8))), []) for _ in range(60)]
                 for _ in range(4)]
    whole = {}
    for flag in (False, True):
        block = joined(Masking(tok, 40, 8, 0.2, whole_word_mask=flag)
                       .instances(collect_documents(documents), rng))
        rows = [{name: array[i] for name, array in block.items()}
                for i in range(len(block['valid_lengths']))]
        whole[flag] = [whole_words(row, restored(block, i), begins) for i, row in enumerate(rows)]
        counts = block['masked_lm_weights'].sum(axis=1)
        most = np.clip(np.rint(block['valid_lengths'] * 0.2), 1, 8)
        assert (counts <= most).all() and counts.mean() > 0.9 * most.mean()
    assert len(whole[True]) > 50 and all(whole[True])
    assert sum(whole[False]) < 0.5 * len(whole[False])


@pytest.fixture
def sentencepiece_tokenizer(tmp_path):
    sentencepiece = pytest.importorskip('sentencepiece', reason='trains the model of this test')
    pytest.importorskip('gluonnlp', reason='numbers the special tokens')
    (tmp_path / 'text.txt').write_text(''.join(f'the sailor sails {i * i} boats of salt\n'
                                               for i in range(200)), encoding='utf-8')
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / 'text.txt'), model_prefix=str(tmp_path / 'tiny'), vocab_size=40,
        minloglevel=2)
    return tokenizer.load(str(tmp_path / 'tiny.model'), cased=False)


@pytest.fixture(scope='module')
def corpus():
    """80 documents of sentences of 4 to 12 tokens; the tokens show where they come from."""
    rng = np.random.default_rng(7)
    documents = [rng.integers(4, 13, 300).tolist() for _ in range(80)]
    documents = documents_of(*documents)
    tok = words(len(documents.tokens))
    return tok, documents


@pytest.mark.parametrize('generator', [np.random.default_rng, np.random.RandomState])
def test_every_instance_is_text_of_the_corpus(corpus, generator):
    tok, documents = corpus
    block = joined(Masking(tok, 64, 20).instances(documents, generator(3)))
    ends = np.array(documents.sentences)[documents.starts] + FIRST

    def document(token):
        return np.searchsorted(ends, token, side='right')
    count = len(block['valid_lengths'])
    assert count > 2500
    order = document(np.array([restored(block, i)[1] for i in range(count)]))
    assert 0.4 < (np.diff(order) > 0).mean() < 0.6      # shuffled
    for i in range(0, count, 7):
        ids, length = restored(block, i), block['valid_lengths'][i]
        second = np.nonzero(block['segment_ids'][i])[0]
        assert ids[0] == CLS and ids[length - 1] == SEP and ids[second[0] - 1] == SEP
        assert second[-1] == length - 1 and (np.diff(second) == 1).all()
        assert not ids[length:].any() and length <= 64
        a, b = ids[1:second[0] - 1], ids[second[0]:length - 1]
        assert (np.diff(a) == 1).all() and (np.diff(b) == 1).all() and len(a) and len(b)
        if block['next_sentence_labels'][i]:
            assert document(a[0]) != document(b[0])
        else:       # it follows, save for what was cut off
            assert document(a[0]) == document(b[0]) and 0 < b[0] - a[-1] < 64
        positions = block['masked_lm_positions'][i][block['masked_lm_weights'][i] > 0]
        assert (np.diff(positions) > 0).all()
        assert len(positions) == max(1, round(length * 0.15))
        assert not {0, second[0] - 1, length - 1} & set(positions.tolist())


def near(share, expected, count):
    return abs(share - expected) < 4 * (expected * (1 - expected) / count) ** 0.5


def test_shares(corpus):
    tok, documents = corpus
    block = joined(Masking(tok, 64, 20, short_seq_prob=0).instances(
        documents, np.random.default_rng(5), copies=2))
    count = len(block['valid_lengths'])
    # an end of a document has one sentence now and then, for which there is no choice
    assert near(block['next_sentence_labels'].mean(), 0.5, count)
    chosen = block['masked_lm_weights'] > 0
    labels = block['masked_lm_ids'][chosen]
    shown = block['input_ids'][np.nonzero(chosen)[0], block['masked_lm_positions'][chosen]]
    masked, kept = shown == MASK, shown == labels
    assert near(masked.mean(), 0.8, len(shown)) and near(kept.mean(), 0.1, len(shown))
    anything = shown[~masked & ~kept]
    assert near(len(anything) / len(shown), 0.1, len(shown))
    tenths = np.bincount(anything * 10 // len(tok), minlength=10) / len(anything)
    assert all(near(share, 0.1, len(anything)) for share in tenths)     # any token alike
    assert (chosen.sum(axis=1) == [max(1, round(length * 0.15))
                                   for length in block['valid_lengths'].tolist()]).all()
    assert 0.14 < chosen.sum() / block['valid_lengths'].sum() < 0.16
    # every position alike, in instances of full length
    full = block['valid_lengths'] == 64
    where = np.bincount(block['masked_lm_positions'][full][chosen[full]], minlength=64)
    second = 64 - block['segment_ids'][full].sum(axis=1)
    free = full.sum() - np.bincount(second - 1, minlength=64)   # not a [SEP] there
    share = where[1:63].sum() / free[1:63].sum()
    assert where[0] == where[63] == 0
    assert all(near(where[i] / free[i], share, free[i]) for i in range(1, 63))


@pytest.mark.slow
def test_lengths(corpus):
    tok, documents = corpus
    usual = joined(Masking(tok, 64, 20, short_seq_prob=0).instances(
        documents, np.random.default_rng(6)))
    room = 61
    # nothing falls short of its target save at the end of a document
    assert (usual['valid_lengths'] == room + 3).mean() > 0.9
    starts = [span for copy in range(60) for span in _first_targets(documents, room, copy)]
    short = np.mean([target < 50 for target in starts])
    assert near(short, 0.1 * 48 / 60, len(starts))      # 10 % of 2 to 61, each alike


def _first_targets(documents, room, seed):
    """For each document the length its first instance aimed at, rounded up to its sentences."""
    bounds = np.array(documents.sentences)[documents.starts]
    rng = np.random.default_rng(seed)
    one_token = Documents(documents.tokens, list(range(len(documents.tokens) + 1)), bounds.tolist())
    firsts = set(bounds.tolist())
    # with sentences of one token a pair is as long as its target
    return [a_end - a_start + b_end - b_start
            for a_start, a_end, b_start, b_end, _ in pairs(one_token, room, 0.1, rng)
            if a_start in firsts and b_end - b_start]


def test_copies_differ_and_seeds_repeat(corpus):
    tok, documents = corpus
    maker = Masking(tok, 64, 20)
    once = joined(maker.instances(documents, np.random.default_rng(1)))
    twice = joined(maker.instances(documents, np.random.default_rng(1), copies=2))
    assert 1.9 < len(twice['valid_lengths']) / len(once['valid_lengths']) < 2.1
    assert len({row.tobytes() for row in twice['input_ids']}) == len(twice['input_ids'])
    again = joined(maker.instances(documents, np.random.default_rng(1)))
    assert all((once[name] == again[name]).all() for name in once)
