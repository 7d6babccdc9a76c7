"""Tag schemes, against hand-made cases and seqeval."""
import random

import pytest

from bert.data import conll
from bert.data import tags as schemes
from bert.text.words import split_words

SPANS = [('PER', 0, 2), ('PER', 2, 3), ('LOC', 4, 7), ('ORG', 7, 8)]
TAGS = {
    'BIO': 'I-PER I-PER B-PER O I-LOC I-LOC I-LOC I-ORG',
    'BIO2': 'B-PER I-PER B-PER O B-LOC I-LOC I-LOC B-ORG',
    'BIOES': 'B-PER E-PER S-PER O B-LOC I-LOC E-LOC S-ORG',
    'BILOU': 'B-PER L-PER U-PER O B-LOC I-LOC L-LOC U-ORG',
    'BMEWO': 'B-PER E-PER W-PER O B-LOC M-LOC E-LOC W-ORG',
}
Scheme = schemes.Scheme


@pytest.mark.parametrize('scheme', sorted(TAGS))
def test_every_scheme_is_read_detected_and_converted(tmp_path, caplog, scheme):
    tags = TAGS[scheme].split()
    assert schemes.spans(tags) == SPANS
    path = tmp_path / 'some.conll'
    path.write_text(''.join(f'w {tag}\n' for tag in tags), encoding='utf-8')
    sentences = conll.read(str(path))
    assert caplog.messages == []
    assert sentences[0].tags == tags
    assert schemes.detect(sentences) == (Scheme(scheme), [])
    for to in TAGS:
        assert schemes.convert(tags, Scheme(to)) == TAGS[to].split()
        assert schemes.tags_from(SPANS, 8, Scheme(to)) == TAGS[to].split()
    suffixed = [tag if tag == 'O' else f'{tag[2:]}-{tag[0]}' for tag in tags]
    other = Scheme(scheme, 'suffix')
    path.write_text(''.join(f'w {tag}\n' for tag in suffixed), encoding='utf-8')
    assert schemes.detect(conll.read(str(path))) == (other, [])
    assert schemes.convert(suffixed, Scheme('BIO2'), other) == TAGS['BIO2'].split()
    assert schemes.convert(TAGS['BIO2'].split(), other) == suffixed


@pytest.mark.parametrize(('tags', 'scheme', 'entities'), [
    ('I-PER I-PER O I-LOC', Scheme('IO'), [('PER', 0, 2), ('LOC', 3, 4)]),
    ('PER PER O LOC', Scheme('IO', 'plain'), [('PER', 0, 2), ('LOC', 3, 4)]),
    ('O ORG BRAND', Scheme('IO', 'plain'), [('ORG', 1, 2), ('BRAND', 2, 3)]),
    ('DT NN VBZ -LRB- ,', Scheme('', 'plain'),
     [('DT', 0, 1), ('NN', 1, 2), ('VBZ', 2, 3), ('-LRB-', 3, 4), (',', 4, 5)]),
    ('PER-B PER-I O', Scheme('BIO2', 'suffix'), [('PER', 0, 2)]),
    ('O O', Scheme('BIO2'), []),
    ('U-PER O', Scheme('BILOU'), [('PER', 0, 1)]),
])
def test_the_scheme_is_found_and_written_again(tags, scheme, entities):
    sentence = conll.Sentence([], tags.split(), [], range(len(tags.split())), [], ' ')
    assert schemes.detect([sentence]) == (scheme, [])
    assert schemes.spans(tags.split(), scheme) == entities
    assert schemes.tags_from(entities, len(tags.split()), scheme) == tags.split()


@pytest.mark.parametrize(('labels', 'scheme'), [
    ('O B-PER I-PER', Scheme('BIO2')), ('O I-PER I-LOC', Scheme('IO')),
    ('O PER LOC ORG', Scheme('IO', 'plain')), ('NN VB', Scheme('', 'plain')),
    ('O B-PER E-PER I-PER S-PER', Scheme('BIOES')), ('O U-PER B-PER L-PER', Scheme('BILOU')),
    ('O PER-B PER-I', Scheme('BIO2', 'suffix')), ('O B-PER I-PER X [CLS]', Scheme('BIO2')),
])
def test_the_scheme_of_a_models_labels(labels, scheme):
    assert schemes.scheme_of(labels.split()) == scheme


def test_labels_that_are_no_tags_count_as_o():
    assert schemes.spans(['[CLS]', 'B-PER', 'X']) == [('PER', 1, 2)]


def test_tags_without_types_and_types_with_dashes():
    assert schemes.spans(['B', 'I', 'O', 'B']) == [('_', 0, 2), ('_', 3, 4)]
    assert schemes.convert(['B', 'I', 'O', 'B'], Scheme('BIOES')) == ['B', 'E', 'O', 'S']
    assert schemes.spans(['B-creative-work', 'I-creative-work']) == [('creative-work', 0, 2)]
    assert schemes.spans([]) == schemes.spans(['O', 'O']) == []


@pytest.mark.parametrize(('tags', 'expected'), [
    ('O I-PER I-PER', [('PER', 1, 3)]),
    ('B-PER I-LOC', [('PER', 0, 1), ('LOC', 1, 2)]),
    ('B-PER O I-PER', [('PER', 0, 1), ('PER', 2, 3)]),
    ('S-PER I-PER E-PER E-PER', [('PER', 0, 1), ('PER', 1, 3), ('PER', 3, 4)]),
    ('I-PER E-PER S-PER', [('PER', 0, 2), ('PER', 2, 3)]),
])
def test_broken_sequences_have_one_meaning(tags, expected):
    assert schemes.spans(tags.split()) == expected


def test_spans_agree_with_seqeval_on_random_tags():
    labeling = pytest.importorskip('seqeval.metrics.sequence_labeling', reason='needs seqeval')
    rng = random.Random(7)
    labels = ['O'] + [a + b for a in 'BIES' for b in ('-X', '-Y-Z', '')]
    for n in range(1200):
        tags = [rng.choice(labels) for _ in range(n % 12 + 1)]
        assert schemes.spans(tags) == [(kind, start, end + 1)
                                     for kind, start, end in labeling.get_entities(tags)]
        assert schemes.spans(schemes.convert(tags, Scheme('BIO'))) == schemes.spans(tags)


def test_entities_have_offsets_in_the_text():
    text = 'Mr  J.K.  Rowling went to\tNew\u00a0York.'
    words, offsets = split_words(text)
    assert words == ['Mr', 'J.K.', 'Rowling', 'went', 'to', 'New', 'York', '.']
    found = ['O', 'B-PER', 'I-PER', 'O', 'O', 'B-LOC', 'I-LOC', 'O']
    assert schemes.entities(text, offsets, found) == [
        {'text': 'J.K.  Rowling', 'type': 'PER', 'start': 4, 'end': 17},
        {'text': 'New\u00a0York', 'type': 'LOC', 'start': 26, 'end': 34}]
    assert schemes.entities(text, offsets, ['O'] * 8) == []
