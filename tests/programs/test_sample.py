"""The embedded default: every file of ``bert/sample`` and ``sample_text.txt`` is well formed."""
import json
import re
import string
from collections import Counter
from pathlib import Path

import helpers
import pytest

ROOT = Path(helpers.ROOT)
SAMPLE = ROOT / 'bert' / 'sample'

TABLES = {      # folder: columns, and the least number of rows in train, dev and test
    'classification': (['sentence', 'label'], (800, 200, 100)),
    'pairs': (['sentence1', 'sentence2', 'label'], (400, 100, 50)),
    'regression': (['sentence1', 'sentence2', 'score'], (400, 100, 50)),
}
LABELS = {'classification': {'negative', 'positive'}, 'pairs': {'not_paraphrase', 'paraphrase'}}
SPLITS = ('train', 'dev', 'test')


def read(path):
    """The text of ``path``; strict UTF-8, LF line ends, no blanks at a line's end."""
    data = path.read_bytes()
    text = data.decode('utf-8')
    assert b'\r' not in data and not data.startswith(b'\xef\xbb\xbf'), path
    assert text.endswith('\n') and not re.search(r'[ \t]\n', text), path
    return text


def rows(task, split):
    header, *lines = read(SAMPLE / task / (split + '.tsv'))[:-1].split('\n')
    assert header.split('\t') == TABLES[task][0]
    return [line.split('\t') for line in lines]


def squad(name):
    """The file's version and its list of (context, question dictionary)."""
    document = json.loads(read(SAMPLE / 'squad' / (name + '.json')))
    found = []
    for article in document['data']:
        assert article['title'] and article['paragraphs']
        for paragraph in article['paragraphs']:
            assert paragraph['qas']
            found += [(paragraph['context'], qa) for qa in paragraph['qas']]
    return document['version'], found


def conll(split):
    """Sentences as lists of (token, part of speech, chunk, tag)."""
    blocks = read(SAMPLE / 'conll' / (split + '.txt')).strip('\n').split('\n\n')
    assert blocks[0] == '-DOCSTART- -X- -X- O'
    return [[tuple(line.split(' ')) for line in block.split('\n')]
            for block in blocks if not block.startswith('-DOCSTART-')]


def one_bio2(tags):
    """Whether each ``I-X`` follows ``B-X`` or ``I-X``."""
    return all(tag[:2] != 'I-' or before[2:] == tag[2:]
               for before, tag in zip(['O', *tags], tags))


@pytest.mark.parametrize('task', sorted(TABLES))
def test_tables_have_their_columns_and_no_row_twice(task):
    columns, least = TABLES[task]
    for split, count in zip(SPLITS, least):
        table = rows(task, split)
        assert len(table) >= count
        for row in table:
            assert len(row) == len(columns) and all(cell == cell.strip() != '' for cell in row), row
            assert '"' not in ''.join(row), f'a quotation mark would need quoting rules: {row!r}'
        pairs = [frozenset(row[:-1]) for row in table]
        assert len(set(pairs)) == len(pairs)
        assert all(len(pair) == len(columns) - 1 for pair in pairs), 'a sentence paired with itself'


@pytest.mark.parametrize('task', sorted(LABELS))
def test_labels_are_known_and_balanced(task):
    for split in SPLITS:
        counts = Counter(row[-1] for row in rows(task, split))
        assert set(counts) == LABELS[task]
        assert min(counts.values()) >= 0.4 * sum(counts.values())


def test_scores_cover_the_scale():
    for split in SPLITS:
        scores = [row[-1] for row in rows('regression', split)]
        assert all(re.match(r'\d\.\d$', score) and 0 <= float(score) <= 5 for score in scores)
        assert {round(float(score)) for score in scores} == {0, 1, 2, 3, 4, 5}


def leaks(contents):
    """Texts that stand in two of the splits, whatever their case and punctuation."""
    plain = [{re.sub(r'\W', '', text.lower()) for text in split} for split in contents]
    return (plain[0] & plain[1]) | (plain[0] & plain[2]) | (plain[1] & plain[2])


@pytest.mark.parametrize('task', sorted(TABLES))
def test_no_sentence_stands_in_two_splits(task):
    assert not leaks([text for row in rows(task, split) for text in row[:-1]] for split in SPLITS)


@pytest.mark.parametrize('version', ['1.1', '2.0'])
@pytest.mark.parametrize('split', ['train', 'dev'])
def test_squad_answers_stand_where_they_say(split, version):
    found_version, questions = squad(f'{split}-v{version}')
    assert found_version == ('v2.0' if version == '2.0' else version)
    ids = [qa['id'] for _, qa in questions]
    assert len(set(ids)) == len(ids)
    for context, qa in questions:
        impossible = qa.get('is_impossible', False)
        assert ('is_impossible' in qa) == (version == '2.0')
        assert ('plausible_answers' in qa) == impossible
        least, most = (0, 0) if impossible else (1, 1) if split == 'train' else (1, 3)
        assert least <= len(qa['answers']) <= most, qa['id']
        for answer in qa['answers'] + qa.get('plausible_answers', []):
            text, start = answer['text'], answer['answer_start']
            assert text == text.strip() != ''
            assert context[start:start + len(text)] == text, qa['id']
            around = context[:start][-1:] + text[0], text[-1] + context[start + len(text):][:1]
            assert not any(re.match('[A-Za-z0-9]{2}$', pair) for pair in around), (
                f'answer {text!r} starts or ends inside a word')


def test_squad_splits_share_nothing_and_versions_agree():
    sets = {name: squad(name)[1] for name in ('train-v1.1', 'dev-v1.1', 'train-v2.0', 'dev-v2.0')}
    for version in ('v1.1', 'v2.0'):
        train, dev = sets['train-' + version], sets['dev-' + version]
        assert not {c for c, _ in train} & {c for c, _ in dev}
        assert not {qa['id'] for _, qa in train} & {qa['id'] for _, qa in dev}
        assert len({c for c, _ in train}) >= 40 and len({c for c, _ in dev}) >= 12
    for split in ('train', 'dev'):
        old = {qa['id']: qa['answers'] for _, qa in sets[split + '-v1.1']}
        new = {qa['id']: qa['answers'] for _, qa in sets[split + '-v2.0'] if qa['answers']}
        assert old == new
        assert 0.28 < 1 - len(old) / len(sets[split + '-v2.0']) < 0.38
        contexts = ''.join({c for c, _ in sets[split + '-v1.1']})
        assert re.search('[\u4e00-\u9fff]', contexts) and re.search('[À-ž]', contexts)
    assert '\u00a0' in ''.join(c for c, _ in sets['dev-v1.1'])


def test_conll_columns_and_tags():
    for split, least in zip(SPLITS, (250, 80, 60)):
        sentences = conll(split)
        assert len(sentences) >= least
        for sentence in sentences:
            assert all(len(row) == 4 and all(row) for row in sentence), sentence
            chunks, tags = ([row[i] for row in sentence] for i in (2, 3))
            assert all(re.match(r'O$|[BI]-(PER|LOC|ORG|MISC)$', tag) for tag in tags), sentence
            assert one_bio2(tags) and one_bio2(chunks), sentence
        found = {tag for sentence in sentences for *_, tag in sentence}
        assert {'B-PER', 'B-LOC', 'B-ORG', 'B-MISC'} <= found
    assert not leaks([' '.join(row[0] for row in s) for s in conll(split)] for split in SPLITS)


def test_conll_entities_recur_but_not_all():
    def entities(split):
        return {row[0] for s in conll(split) for row in s if row[3] != 'O'}
    train, dev = entities('train'), entities('dev')
    assert len(dev & train) > 0.6 * len(dev)
    assert dev - train


def test_vocabulary_fits_the_config():
    tokens = read(SAMPLE / 'vocab.txt')[:-1].split('\n')
    config = json.loads(read(SAMPLE / 'config.json'))
    assert len(tokens) == len(set(tokens)) == config['vocab_size'] == 8000
    assert tokens[:5] == ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    assert config['pad_token_id'] == 0
    assert all(token == token.lower() and not re.search(r'\s', token) for token in tokens[5:])
    characters = [c for c in map(chr, range(33, 127)) if c not in string.ascii_uppercase]
    assert {piece + c for c in characters for piece in ('', '##')} <= set(tokens)
    assert json.loads(read(SAMPLE / 'tokenizer_config.json')) == {'do_lower_case': True}


def test_weights_fit_the_config():
    numpy = pytest.importorskip('safetensors.numpy', reason='safetensors is not installed')
    weights = numpy.load_file(str(SAMPLE / 'model.safetensors'))
    config = json.loads(read(SAMPLE / 'config.json'))
    units, inner = config['hidden_size'], config['intermediate_size']

    def dense(outputs, inputs):
        return {'weight': (outputs, inputs), 'bias': (outputs,)}
    norm = {'weight': (units,), 'bias': (units,)}
    blocks = {
        'bert.embeddings.word_embeddings': {'weight': (config['vocab_size'], units)},
        'bert.embeddings.position_embeddings': {
            'weight': (config['max_position_embeddings'], units)},
        'bert.embeddings.token_type_embeddings': {'weight': (config['type_vocab_size'], units)},
        'bert.embeddings.LayerNorm': norm,
        'bert.pooler.dense': dense(units, units),
        'cls.predictions': {'bias': (config['vocab_size'],)},
        'cls.predictions.transform.dense': dense(units, units),
        'cls.predictions.transform.LayerNorm': norm,
        'cls.seq_relationship': dense(2, units),
    }
    for i in range(config['num_hidden_layers']):
        layer = f'bert.encoder.layer.{i}.'
        for name in ('self.query', 'self.key', 'self.value', 'output.dense'):
            blocks[layer + 'attention.' + name] = dense(units, units)
        blocks[layer + 'attention.output.LayerNorm'] = norm
        blocks[layer + 'intermediate.dense'] = dense(inner, units)
        blocks[layer + 'output.dense'] = dense(units, inner)
        blocks[layer + 'output.LayerNorm'] = norm
    expected = {f'{block}.{name}': shape
                for block, shapes in blocks.items() for name, shape in shapes.items()}
    assert {name: array.shape for name, array in weights.items()} == expected
    assert {str(array.dtype) for array in weights.values()} == {'float16'}
    for name, array in weights.items():
        assert abs(array.astype('float32')).max() < 100, name       # fails on NaN too


def test_sizes_stay_small():
    assert sum(p.stat().st_size for p in SAMPLE.rglob('*') if p.is_file()) < 5e6
    assert (SAMPLE / 'model.safetensors').stat().st_size < 4e6


def test_sample_text_is_documents_of_one_sentence_a_line():
    text = read(ROOT / 'sample_text.txt')
    assert len(text.encode('utf-8')) >= 120000
    documents = [document.split('\n') for document in text[:-1].split('\n\n')]
    sentences = [sentence for document in documents for sentence in document]
    assert len(documents) >= 40 and len(sentences) >= 1500
    assert all(len(document) >= 5 for document in documents)
    assert all(sentence == sentence.strip() != '' for sentence in sentences)
    assert all(re.search(r'[.?!:,]"?$', sentence) for sentence in sentences)
    assert [s for s, count in Counter(sentences).items() if count > 1] == []
