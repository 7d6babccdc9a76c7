"""CoNLL files, tag schemes, windows, scores and plain text, against hand-made cases."""
import logging
import random
import subprocess
import sys

import pytest

from bert.data import conll
from bert.utils.errors import DataError


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'some.conll')


def write(path, text):
    with open(path, 'wb') as f:
        f.write(text.encode('utf-8') if isinstance(text, str) else text)
    return path


def test_importing_needs_no_mxnet():
    code = ('import sys, bert.data.conll; '
            'sys.exit("mxnet" in sys.modules or "seqeval" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


# reading

def test_read_four_columns_with_docstart(path):
    write(path, '-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ  B-VP O\n\n\n'
                'Peter NNP B-NP B-PER\n-DOCSTART- -X- -X- O\n\nLondon NNP B-NP B-LOC')
    first, second, third = conll.read(path)
    assert first == (['EU', 'rejects'], ['B-ORG', 'O'],
                     [['EU', 'NNP', 'B-NP'], ['rejects', 'VBZ', 'B-VP']], 3,
                     ['-DOCSTART- -X- -X- O'], ' ')
    assert (second.words, second.line, second.before) == (['Peter'], 7, [])
    assert (third.words, third.tags, third.line, third.before) == (
        ['London'], ['B-LOC'], 10, ['-DOCSTART- -X- -X- O'])


def test_read_tabs_bom_crlf_and_spaces_inside_tokens(path):
    write(path, '\ufeffNew York\tB-LOC\r\n\t\r\n\u200b\tO\r\n\u00a0 \tO\r\nx\u2028y\tO\r\n')
    first, second = conll.read(path)
    assert (first.words, first.tags, first.separator) == (['New York'], ['B-LOC'], '\t')
    assert (second.words, second.line) == (['\u200b', '\u00a0', 'x\u2028y'], 3)


def test_read_columns_by_number(path):
    write(path, '1\tEU\tB-ORG\tNNP\n2\tsays\tO\tVBZ\n')
    for token, tag in (1, 2), (-3, -2):
        (sentence,) = conll.read(path, token_column=token, tag_column=tag)
        assert sentence.words == ['EU', 'says']
        assert sentence.tags == ['B-ORG', 'O']
        assert sentence.columns == [['1', 'EU', 'NNP'], ['2', 'says', 'VBZ']]


def test_read_without_tags(path):
    (sentence,) = conll.read(write(path, 'EU\nsays\n'))
    assert (sentence.words, sentence.tags) == (['EU', 'says'], None)
    (sentence,) = conll.read(write(path, 'EU NNP\nsays VBZ\n'), tag_column=None)
    assert (sentence.tags, sentence.columns) == (None, [['EU', 'NNP'], ['says', 'VBZ']])


@pytest.mark.parametrize(('text', 'columns', 'message'), [
    ('a O\n\nb X O\n', (0, -1),
     ':3: 3 column(s) where line 1 has 2; give every token a line with the same columns, and a '
     'blank line between sentences'),
    ('', (0, -1),
     ': no sentences; give every token a line, and a blank line between sentences'),
    ('\n-DOCSTART- O\n\n', (0, -1),
     ': no sentences; give every token a line, and a blank line between sentences'),
    (b'a O\ncaf\xe9 O\n', (0, -1),
     ':2: not UTF-8 (byte 0xe9); convert it: iconv -f ENCODING -t UTF-8'),
    (b'\xef\xbb\xbfa O\ncaf\xe9 O\n', (0, -1),
     ':2: not UTF-8 (byte 0xe9); convert it: iconv -f ENCODING -t UTF-8'),
    ('a O\nb\0 O\n', (0, -1),
     ':2: a NUL character; the file is not UTF-8 text: remove the NUL, or convert the file'),
    ('\na O\n', (0, 2),
     ':2: no column 2 for the tag where there are 2; columns count from 0, or from -1 at the end'),
    ('a O\n', (-3, -1),
     ':1: no column -3 for the token where there are 2; columns count from 0, or from -1 at the '
     'end'),
    ('a\n', (0, 1),
     ':1: no column 1 for the tag where there are 1; columns count from 0, or from -1 at the end'),
    ('a O\n', (1, -1),
     ':1: column 1 cannot be both token and tag; name another for one of them'),
    ('a O\n\nEU NNP\n', (0, -1),
     ":3: 'NNP' is not a tag like O, B-PER, I-PER, E-PER or S-PER; correct it, or name the column "
     'of the tags'),
    ('a B-\n', (0, -1),
     ":1: 'B-' is not a tag like O, B-PER, I-PER, E-PER or S-PER; correct it, or name the column "
     'of the tags'),
])
def test_read_errors(path, text, columns, message):
    write(path, text)
    with pytest.raises(DataError) as caught:
        conll.read(path, *columns)
    assert str(caught.value) == path + message


def test_read_warns_of_tags_that_break_the_scheme(path, caplog):
    write(path, 'a B-PER\nb I-PER\n\nc O\nd I-LOC\ne I-PER\n\nf B-LOC\ng B-LOC\n')
    with caplog.at_level(logging.WARNING):
        sentences = conll.read(path)
    assert caplog.messages == [
        path + ':5: I-LOC where BIO2 has B-LOC (2 such tags in the file): entities are read as '
        'conlleval reads them']
    assert conll.spans(sentences[1].tags) == [('LOC', 1, 2), ('PER', 2, 3)]


def test_read_warns_of_several_tags_in_one(path, caplog):
    with caplog.at_level(logging.WARNING):
        conll.read(write(path, 'a O\nb B-person,B-group\nc O\nd B-person,B-group\n'))
    assert caplog.messages == [
        path + ':2: B-person,B-group is more than one tag (2 such rows in the file): it is taken '
        'for one type of that name; keep one tag a row']


# tags

SPANS = [('PER', 0, 2), ('PER', 2, 3), ('LOC', 4, 7), ('ORG', 7, 8)]
TAGS = {
    'BIO': 'I-PER I-PER B-PER O I-LOC I-LOC I-LOC I-ORG',
    'BIO2': 'B-PER I-PER B-PER O B-LOC I-LOC I-LOC B-ORG',
    'BIOES': 'B-PER E-PER S-PER O B-LOC I-LOC E-LOC S-ORG',
    'BILOU': 'B-PER L-PER U-PER O B-LOC I-LOC L-LOC U-ORG',
    'BMEWO': 'B-PER E-PER W-PER O B-LOC M-LOC E-LOC W-ORG',
}


@pytest.mark.parametrize('scheme', sorted(TAGS))
def test_every_scheme_is_read_detected_and_converted(path, caplog, scheme):
    tags = TAGS[scheme].split()
    assert conll.spans(tags) == SPANS
    sentences = conll.read(write(path, ''.join(f'w {tag}\n' for tag in tags)))
    assert caplog.messages == []
    assert sentences[0].tags == tags
    plain = scheme if scheme.startswith('BIO') else 'BIOES'
    assert conll.detect(sentences) == (plain, [])
    for to in 'BIO', 'BIO2', 'BIOES':
        assert conll.convert(tags, to) == TAGS[to].split()
        assert conll.tags_from(SPANS, 8, to) == TAGS[to].split()


def test_tags_without_types_and_types_with_dashes():
    assert conll.spans(['B', 'I', 'O', 'B']) == [('_', 0, 2), ('_', 3, 4)]
    assert conll.convert(['B', 'I', 'O', 'B'], 'BIOES') == ['B', 'E', 'O', 'S']
    assert conll.spans(['B-creative-work', 'I-creative-work']) == [('creative-work', 0, 2)]
    assert conll.spans([]) == conll.spans(['O', 'O']) == []


@pytest.mark.parametrize(('tags', 'expected'), [
    ('O I-PER I-PER', [('PER', 1, 3)]),
    ('B-PER I-LOC', [('PER', 0, 1), ('LOC', 1, 2)]),
    ('B-PER O I-PER', [('PER', 0, 1), ('PER', 2, 3)]),
    ('S-PER I-PER E-PER E-PER', [('PER', 0, 1), ('PER', 1, 3), ('PER', 3, 4)]),
    ('I-PER E-PER S-PER', [('PER', 0, 2), ('PER', 2, 3)]),
])
def test_broken_sequences_have_one_meaning(tags, expected):
    assert conll.spans(tags.split()) == expected


def test_spans_and_score_agree_with_seqeval_on_random_tags():
    labeling = pytest.importorskip('seqeval.metrics.sequence_labeling', reason='needs seqeval')
    rng = random.Random(7)
    labels = ['O'] + [a + b for a in 'BIES' for b in ('-X', '-Y-Z', '')]
    gold, predicted = ([[rng.choice(labels) for _ in range(n % 12 + 1)] for n in range(600)]
                       for _ in range(2))
    correct = 0
    for tags, other in zip(gold, predicted):
        assert conll.spans(tags) == [(kind, start, end + 1)
                                     for kind, start, end in labeling.get_entities(tags)]
        assert conll.spans(conll.convert(tags, 'BIO')) == conll.spans(tags)
        correct += len(set(conll.spans(tags)) & set(conll.spans(other)))
    right, said, real = (float(n) for n in (
        correct, sum(len(conll.spans(t)) for t in predicted), sum(len(conll.spans(t)) for t in gold)
    ))
    overall = conll.score(gold, predicted)['overall']
    assert correct > 50
    assert overall['support'] == real
    assert overall['precision'] == pytest.approx(right / said, abs=1e-12)
    assert overall['recall'] == pytest.approx(right / real, abs=1e-12)
    assert overall['f1'] == pytest.approx(2 * right / (said + real), abs=1e-12)


# scores

def test_score_by_hand(recwarn):
    pytest.importorskip('seqeval', reason='needs seqeval')
    gold = [['B-PER', 'I-PER', 'O', 'B-LOC'], ['B-PER', 'O'], ['B-ORG']]
    predicted = [['B-PER', 'I-PER', 'O', 'B-PER'], ['O', 'B-LOC'], ['O']]
    scores = conll.score(gold, predicted)
    assert scores == {
        'overall': {'precision': 1 / 3, 'recall': 1 / 4, 'f1': pytest.approx(2 / 7), 'support': 4},
        'types': {'LOC': {'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'support': 1},
                  'ORG': {'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'support': 1},
                  'PER': {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'support': 2}},
        'accuracy': pytest.approx(3 / 7)}
    assert not recwarn.list


def test_score_reads_bilou_as_bioes():
    pytest.importorskip('seqeval', reason='needs seqeval')
    scores = conll.score([['B-PER', 'L-PER', 'U-LOC']], [['B-PER', 'E-PER', 'S-LOC']])
    assert (scores['overall']['f1'], scores['accuracy']) == (1.0, 1.0)


def test_score_without_entities(recwarn):
    pytest.importorskip('seqeval', reason='needs seqeval')
    assert conll.score([['O', 'O']], [['O', 'O']]) == {
        'overall': {'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'support': 0}, 'types': {},
        'accuracy': 1.0}
    assert not recwarn.list


# predictions

def test_write_predictions_keeps_columns_and_documents(path):
    sentences = conll.read(write(path, '-DOCSTART- -X- O\n\nEU NNP B-ORG\nsays VBZ O\n\n\nOh UH O'))
    conll.write_predictions(path, sentences, [['B-ORG', 'O'], ['B-PER']])
    with open(path, encoding='utf-8') as f:
        assert f.read() == ('-DOCSTART- -X- O O\n\nEU NNP B-ORG B-ORG\nsays VBZ O O\n\n'
                            'Oh UH O B-PER\n\n')
    again = conll.read(path)
    assert [s.tags for s in again] == [['B-ORG', 'O'], ['B-PER']]
    assert [s.words for s in again] == [['EU', 'says'], ['Oh']]


def test_write_predictions_puts_the_gold_tag_before_last(path):
    sentences = conll.read(write(path, 'New York\tB-LOC\tNNP\n\u200b\tO\tX\n'), tag_column=1)
    conll.write_predictions(path, sentences, [['O', 'B-LOC']])
    with open(path, 'rb') as f:
        assert f.read().decode() == 'New York\tNNP\tB-LOC\tO\n\u200b\tX\tO\tB-LOC\n\n'


def test_write_predictions_without_gold(path):
    sentences = conll.read(write(path, 'EU\nsays\n'))
    conll.write_predictions(path, sentences, [['B-ORG', 'O']])
    with open(path, encoding='utf-8') as f:
        assert f.read() == 'EU B-ORG\nsays O\n\n'


def test_write_predictions_refuses_a_mismatch_and_keeps_the_old_file(path, tmp_path):
    sentences = conll.read(write(path, 'EU O\nsays O\n'))
    for predicted in [['O']], [], [['O', 'O'], ['O']]:
        with pytest.raises(ValueError, match='word for word'):
            conll.write_predictions(path, sentences, predicted)
    with pytest.raises(TypeError):
        conll.write_predictions(path, sentences, [['O', None]])
    with open(path, encoding='utf-8') as f:
        assert f.read() == 'EU O\nsays O\n'
    assert [p.name for p in tmp_path.iterdir()] == ['some.conll']


# windows

def pieces(*lengths):
    return [list(range(n)) for n in lengths]


@pytest.mark.parametrize(('lengths', 'max_len', 'overlap', 'expected'), [
    ([], 4, 2, []),
    ([1, 2, 1], 4, 2, [(0, 3, 0, 3)]),
    ([1] * 6, 4, 2, [(0, 4, 0, 3), (2, 6, 3, 6)]),
    ([1] * 6, 4, 0, [(0, 4, 0, 4), (4, 6, 4, 6)]),
    ([1] * 5, 4, 3, [(0, 4, 0, 3), (1, 5, 3, 5)]),
    ([1, 9, 1], 4, 2, [(0, 1, 0, 1), (1, 2, 1, 2), (2, 3, 2, 3)]),  # 9 pieces are cut to 4
    ([2, 2, 2, 2], 5, 2, [(0, 2, 0, 2), (1, 3, 2, 3), (2, 4, 3, 4)]),
    ([2, 2, 2, 2], 5, 1, [(0, 2, 0, 2), (2, 4, 2, 4)]),             # no whole word fits the overlap
    ([1, 1, 1, 3], 4, 3, [(0, 3, 0, 3), (2, 4, 3, 4)]),             # less overlap, to move on
])
def test_windows_by_hand(lengths, max_len, overlap, expected):
    assert conll.windows(pieces(*lengths), max_len, overlap) == expected


def test_windows_own_every_word_once_where_its_context_is_largest():
    rng = random.Random(3)
    several = 0
    for _ in range(400):
        lengths = [rng.choice([0, 1, 1, 1, 2, 3, 7]) for _ in range(rng.randrange(1, 40))]
        max_len, overlap = rng.randrange(1, 16), rng.randrange(0, 18)
        cut = [min(n, max_len) for n in lengths]
        found = conll.windows(pieces(*lengths), max_len, overlap)
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


# plain text

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
    found, offsets = conll.split_words(text)
    assert found == (words.split('|') if words else [])
    assert [text[start:end] for start, end in offsets] == found


def test_split_words_loses_only_spaces_and_invisible_characters():
    rng = random.Random(5)
    for _ in range(300):
        text = ''.join(rng.choice("aB9é'’n.t-,:/@#_&$ \t北\u0301😀") for _ in range(20))
        _, offsets = conll.split_words(text)
        edges = [0] + [edge for offset in offsets for edge in offset] + [len(text)]
        assert edges == sorted(edges)
        gaps = ''.join(text[a:b] for a, b in zip(edges[::2], edges[1::2]))
        assert gaps.strip(' \t\u0301') == '' and set(gaps) <= set(' \t\u0301')


def test_entities_have_offsets_in_the_text():
    text = 'Mr  J.K.  Rowling went to\tNew\u00a0York.'
    words, offsets = conll.split_words(text)
    assert words == ['Mr', 'J.K.', 'Rowling', 'went', 'to', 'New', 'York', '.']
    tags = ['O', 'B-PER', 'I-PER', 'O', 'O', 'B-LOC', 'I-LOC', 'O']
    assert conll.entities(text, offsets, tags) == [
        {'text': 'J.K.  Rowling', 'type': 'PER', 'start': 4, 'end': 17},
        {'text': 'New\u00a0York', 'type': 'LOC', 'start': 26, 'end': 34}]
    assert conll.entities(text, offsets, ['O'] * 8) == []
