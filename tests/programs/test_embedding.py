"""Vectors of words and sentences: against the stored and the plain model, files, the program."""
import itertools
import json
import logging
import os

import mxnet as mx
import numpy as np
import pytest
from helpers import TINY
from networks import Whole

from bert import embedding
from bert.checkpoint.weights import read_weights, write_params
from bert.data import vectors, windows
from bert.embedding import BertEmbedding, main
from bert.model.config import BertConfig
from bert.model.parameters import collect, initialize, load_parameters
from bert.utils.errors import DataError
from bert.utils.files import read_json

EXPECTED = dict(np.load(os.path.join(TINY, 'expected.npz')))            # by Transformers
SENTENCES = ['The film was booked, badly!', 'a', 'xyz never', '', 'good book good film']
# what is invisible, unknown, very long, of several scripts, or all punctuation
HARD = ['', ' \t ', '\u200b\ufeff', '\U0001f600', 'a\U0001f600b \U0001f468\u200d\U0001f467',
        'good\u200bfilm', 'x' * 201, 'ab' * 50, 'cafe\u0301 na\u00efve', '\u6771\u4eac film',
        '[MASK] [SEP] [PAD]', '...!?!', 'a\x00b\x07', '\u0301', 'the ' * 120, 'e\u0301' * 60,
        '\u2581 good', 'a\u2028b', '## #a']


@pytest.fixture(scope='module')
def bert():
    return BertEmbedding(model=TINY)


@pytest.fixture(scope='module')
def plain():
    """ids -> every layer's hidden states of [CLS] ids [SEP], (2, tokens, 32), one row at a time."""
    config = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
    net = Whole(config, pooler=False)
    initialize(net, config)
    load_parameters(net, read_weights(os.path.join(TINY, 'model.safetensors')),
                          'tiny')

    def encode(ids):
        row = mx.nd.array([[2] + ids + [3]], dtype='int32')
        layers = net(row, mx.nd.zeros(row.shape), mx.nd.array([row.shape[1]]))
        return np.stack([layer[0].asnumpy() for layer in layers])
    return encode


@pytest.fixture
def lines(tmp_path):
    """A file of 60 different texts."""
    words = ['the', 'film', 'was', 'good', 'and', 'bad', ',', 'a', 'booked', 'is', 'never', 'bad']
    texts = [' '.join(words[(i * k) % 12] for k in range(1, 2 + i % 9)) for i in range(60)]
    texts = [f'{text} {i}' for i, text in enumerate(texts)]
    path = tmp_path / 'lines.txt'
    path.write_text('\n'.join(texts) + '\n', encoding='utf-8')
    return str(path), texts


def close(a, b, tolerance=1e-5):
    assert np.shape(a) == np.shape(b)
    return np.abs(np.asarray(a) - b).max(initial=0) < tolerance


def watch(monkeypatch, bert):
    """A list that grows with the (rows, tokens) of each batch."""
    sizes, forward = [], bert._encoder.forward

    def watched(rows, token_types, device):
        sizes.append((len(rows), max(map(len, rows))))
        return forward(rows, token_types, device)
    monkeypatch.setattr(bert._encoder, 'forward', watched)
    return sizes


@pytest.mark.parametrize('layers, expected', [
    ((-1,), [1]), ((2,), [1]), ((1,), [0]), ((-2,), [0]), ((-2, -1), [0, 1]), ((1, 2), [0, 1])])
def test_equals_transformers(monkeypatch, layers, expected):
    bert = BertEmbedding(model=TINY, layers=layers)
    rows = {str(i): EXPECTED['ids'][i, :EXPECTED['lengths'][i]] for i in (0, 2)}     # no pairs
    monkeypatch.setattr(bert._encoder.tokenizer, 'ids', lambda text: rows[text][1:-1].tolist())
    for i, (ids, found) in zip((0, 2), bert.iterate(['0', '2'])):
        assert ids == rows[str(i)][1:-1].tolist()
        assert close(found, EXPECTED['layers'][expected, i, :len(rows[str(i)])].mean(axis=0))


def test_layers_above_the_highest_asked_for_are_not_built():
    names = collect(BertEmbedding(model=TINY, layers=(1,))._net)
    assert any('cells.0.' in name for name in names)
    assert not any('cells.1.' in name for name in names)


@pytest.mark.parametrize('oov_way', ['avg', 'sum', 'last'])
def test_words_by_hand(bert, plain, tok, oov_way):
    text = 'The film was booked, badly \U0001f600 xy!'
    assert tok.tokenize(text) == ['the', 'film', 'was', 'book', '##ed', ',', 'bad', '##ly', '[UNK]',
                                  'x', '##y', '!']
    (tokens, found), = bert([text], oov_way)
    assert tokens == ['the', 'film', 'was', 'booked', ',', 'badly', '[UNK]', 'xy', '!']
    h = plain(tok.ids(text))[-1][1:-1]
    merge = {'avg': lambda a, b: (a + b) / 2, 'sum': lambda a, b: a + b, 'last': lambda a, b: b}
    pair = merge[oov_way]
    expected = [h[0], h[1], h[2], pair(h[3], h[4]), h[5], pair(h[6], h[7]), h[8], pair(h[9], h[10]),
                h[11]]
    assert isinstance(found, list) and close(found, expected)
    assert {(v.dtype, v.shape) for v in found} == {(np.dtype('float32'), (32,))}


def test_the_historical_default_is_the_average(bert):
    text = ['xyz booked']
    assert close(bert(text)[0][1], bert(text, oov_way='avg')[0][1])
    assert close(bert.embedding(text)[0][1], bert(text, 'avg')[0][1])
    assert not close(bert(text)[0][1], bert(text, 'sum')[0][1])
    with pytest.raises(DataError, match='oov_way "mean" is not one of avg, sum, last'):
        bert(text, 'mean')
    with pytest.raises(TypeError, match='one string'):
        bert('a text')


@pytest.mark.parametrize('oov_way', ['avg', 'sum', 'last'])
def test_as_many_vectors_as_words(bert, tok, oov_way):
    found = bert(HARD, oov_way)
    assert len(found) == len(HARD)
    for text, (tokens, rows) in zip(HARD, found):
        firsts = [t for t in tok.tokenize(text) if tok.is_first_subword(t)]
        assert len(tokens) == len(rows) == len(firsts)
        assert all(np.isfinite(row).all() and row.shape == (32,) for row in rows)
        assert all(tokens)
    words = dict(zip(HARD, [tokens for tokens, _ in found]))
    assert words[''] == words[' \t '] == words['\u200b\ufeff'] == words['\u0301'] == []
    assert words['\U0001f600'] == words['x' * 201] == ['[UNK]']
    assert words['good\u200bfilm'] == ['goodfilm'] and words['ab' * 50] == ['ab' * 50]
    assert words['cafe\u0301 na\u00efve'] == ['cafe', 'naive']
    assert words['\u6771\u4eac film'] == ['[UNK]', '[UNK]', 'film']
    assert words['a\u2028b'] == ['a', 'b'] and words['the ' * 120] == ['the'] * 120
    assert bert([]) == []


def test_order_and_padding_change_nothing(bert, plain, tok):
    texts = [' '.join('good' for _ in range(n)) for n in (3, 30, 1, 0, 12, 30, 7)]
    for text, (_, rows) in zip(texts, bert(texts)):
        assert close(np.reshape(rows, (-1, 32)), plain(tok.ids(text))[-1][1:-1])


def test_long_texts_are_windows_and_a_notice(bert, plain, tok, caplog):
    text = ' '.join('abcdefghij'[i % 10] for i in range(70))
    ids, room = tok.ids(text), 38
    with caplog.at_level(logging.WARNING):
        (_, short), (tokens, rows) = bert(['good', text])
    assert len(tokens) == len(rows) == 70
    assert [r.getMessage() for r in caplog.records] == [
        'text 2 has 70 tokens, 72 with [CLS] and [SEP]; it is split into overlapping windows of '
        '40, as are other texts of this length']
    starts = [0, 19, 32]                # of windows of 38, half of that apart, the last one full
    windows = [plain(ids[start:start + room])[-1] for start in starts]
    # between two windows the change is halfway through what both see: 19 to 38, and 32 to 57
    expected = [windows[0][1 + i] if i < 29 else windows[1][1 + i - 19] if i < 45
                else windows[2][1 + i - 32] for i in range(70)]
    assert close(rows, expected)
    assert close(short[0], plain(tok.ids('good'))[-1][1])
    # of a sentence: each token once, and the mean [CLS] and [SEP] of the windows
    cls, sep = (np.mean([window[i] for window in windows], axis=0) for i in (0, -1))
    everything = np.stack([cls] + expected + [sep])
    for pooling, pooled in (('cls', cls), ('mean', everything.mean(axis=0)),
                            ('max', everything.max(axis=0))):
        assert close(next(bert.sentences([text], pooling)), pooled)


def test_max_seq_length_bounds_the_windows(monkeypatch, plain, tok):
    text = 'the film was good and the book was bad'
    narrow = BertEmbedding(model=TINY, max_seq_length=6)
    sizes = watch(monkeypatch, narrow)
    (tokens, rows), = narrow([text])
    assert [width for _, width in sizes] == [6] and tokens == text.split()
    assert not close(rows, plain(tok.ids(text))[-1][1:-1], 1e-2)
    for wrong in 2, 41:
        with pytest.raises(DataError, match=f'max_seq_length {wrong}: .* 3 to 40 tokens'):
            BertEmbedding(model=TINY, max_seq_length=wrong)


def test_batch_size_bounds_a_batch(monkeypatch):
    sizes = {}
    for batch_size in (1, 4, 256):
        small = BertEmbedding(model=TINY, batch_size=batch_size)
        sizes[batch_size] = watch(monkeypatch, small)
        found = np.stack(list(small.sentences(['good ' * (i % 30) for i in range(200)])))
        if batch_size == 1:
            expected = found
        assert close(found, expected)
    assert {rows for rows, _ in sizes[1]} == {1} and max(sizes[4])[0] == 4
    assert max(sizes[256])[0] > 64
    assert max(rows * width for rows, width in sizes[256]) <= 2048      # on a CPU


def test_several_devices():
    texts = ['good ' * (i % 30) for i in range(50)]
    both = BertEmbedding([mx.cpu(0), mx.cpu(1)], model=TINY, batch_size=4)
    one = BertEmbedding(mx.cpu(), model=TINY, batch_size=4)
    assert close(list(both.sentences(texts)), list(one.sentences(texts)), 1e-6)


@pytest.mark.parametrize('pooling', ['cls', 'mean', 'max'])
@pytest.mark.parametrize('normalize', [False, True])
def test_sentences_by_hand(bert, plain, tok, pooling, normalize):
    for text, found in zip(SENTENCES, bert.sentences(SENTENCES, pooling, normalize)):
        h = plain(tok.ids(text))[-1]
        expected = {'cls': h[0], 'mean': h.mean(axis=0), 'max': h.max(axis=0)}[pooling]
        if normalize:
            expected = expected / np.sqrt((expected ** 2).sum())
        assert found.dtype == np.float32 and close(found, expected)
    with pytest.raises(DataError, match='pooling "sum" is not one of cls, mean, max'):
        next(bert.sentences(['a'], 'sum'))


def test_texts_are_taken_and_given_as_a_stream(bert, monkeypatch):
    monkeypatch.setattr(windows, '_CHUNK', 100)
    taken = []

    def source():
        for i in itertools.count():     # without an end
            taken.append(i)
            yield 'good ' * (i % 9)
    for make in bert.words, bert.sentences, bert.iterate:
        del taken[:]
        for given, _ in zip(range(1, 400), make(source())):
            assert given <= len(taken) <= given + 30
    del taken[:]
    for given, (text, _) in zip(range(400), embedding.embed(bert, source(), True, 'max')):
        assert text == 'good ' * (given % 9) and len(taken) <= given + 31


def read_jsonl(path):
    with open(str(path), encoding='utf-8') as f:
        return [json.loads(line) for line in f]


def test_sentences_are_the_same_in_every_format(bert, tmp_path):
    texts = SENTENCES + ['say "yes"\\', '\u6771\u4eac\u2028']
    expected = np.stack(list(bert.sentences(texts)))
    for kind in vectors.FORMATS:
        path = str(tmp_path / ('v' + kind))
        assert vectors.write_sentences(path, zip(texts, bert.sentences(texts)), bert.size) == 7
    npy, npz = np.load(str(tmp_path / 'v.npy')), np.load(str(tmp_path / 'v.npz'))
    assert npy.dtype == npz['vectors'].dtype == np.float32 and npz.files == ['vectors']
    assert (npy == expected).all() and (npz['vectors'] == expected).all()
    assert (np.load(str(tmp_path / 'v.npy'), mmap_mode='r') == expected).all()
    rows = read_jsonl(tmp_path / 'v.jsonl')
    assert [row['text'] for row in rows] == texts
    assert (np.array([row['vector'] for row in rows], np.float32) == expected).all()
    assert sorted(os.listdir(str(tmp_path))) == ['v.jsonl', 'v.npy', 'v.npz']


def test_words_are_the_same_in_every_format(bert, tmp_path):
    items = [(text,) + item for text, item in zip(HARD, bert.words(HARD))]
    for kind in ('.npz', '.jsonl'):
        assert vectors.write_words(str(tmp_path / ('w' + kind)), items, bert.size) == len(HARD)
    npz = np.load(str(tmp_path / 'w.npz'))
    assert npz['vectors'].dtype == np.float32 and npz['offsets'].dtype == np.int64
    assert npz['offsets'][0] == 0 and npz['offsets'][-1] == len(npz['words']) == len(npz['vectors'])
    rows = read_jsonl(tmp_path / 'w.jsonl')
    assert len(npz['offsets']) - 1 == len(rows) == len(items)
    for row, start, end, (text, words, expected) in zip(rows, npz['offsets'], npz['offsets'][1:],
                                                        items):
        assert row['text'] == text and row['tokens'] == words == npz['words'][start:end].tolist()
        assert (npz['vectors'][start:end] == expected).all()
        assert (np.array(row['vectors'], np.float32).reshape(-1, 32) == expected).all()


# the program, in this process

def call(*args):
    return main(['--bert_model', TINY, '--offline'] + list(args))


def test_prints_as_the_original_did(bert, capsys):
    assert call('--sentences', *SENTENCES[:4]) == 0
    with np.printoptions(threshold=5):
        expected = ''.join(
            f"Text: {text}\nTokens: {' '.join(tokens)}\nTokens embedding: {rows}\n"
            for text, (tokens, rows) in zip(SENTENCES, bert(SENTENCES[:4])))
    assert capsys.readouterr().out == expected
    assert expected.startswith('Text: The film was booked, badly!\nTokens: the film was booked , '
                               'badly !\nTokens embedding: [array([')
    assert expected.endswith('\nText: \nTokens: \nTokens embedding: []\n')


def test_prints_sentences(bert, capsys):
    assert call('--sentences', 'a', 'good film', '--pooling', 'max', '--normalize') == 0
    with np.printoptions(threshold=5):
        expected = ''.join(f'Text: {text}\nSentence embedding: {vector}\n' for text, vector in zip(
            ['a', 'good film'], bert.sentences(['a', 'good film'], 'max', True)))
    assert capsys.readouterr().out == expected


def npy(path, *args):
    assert call('--output', str(path), *args) == 0
    return np.load(str(path))


@pytest.mark.slow
def test_every_flag_has_its_effect(bert, lines, tmp_path, capsys):
    path, texts = lines
    out = tmp_path / 'out.npy'
    base = npy(out, '--file', path)
    assert capsys.readouterr().out == f'{out}: 60 texts, 32 numbers per vector\n'
    assert close(base, list(bert.sentences(texts)))
    for flags, options in ((['--pooling', 'cls'], {'pooling': 'cls'}),
                           (['--normalize'], {'normalize': True})):
        found = npy(out, '--file', path, *flags)
        assert close(found, list(bert.sentences(texts, **options))) and not close(found, base)
    for flags, options in ((['--layers', '-2'], {'layers': (1,)}),
                           (['--layers', '-2,-1'], {'layers': (1, 2)}),
                           (['--layers=1,2'], {'layers': (1, 2)}),
                           (['--max-seq-length', '4'], {'max_seq_length': 4})):
        found = npy(out, '--file', path, *flags)
        assert close(found, list(BertEmbedding(model=TINY, **options).sentences(texts)))
        assert not close(found, base)
    for flags in ['--batch_size', '1'], ['--cpus', '2']:
        assert close(npy(out, '--file', path, *flags), base)
    way = {way: np.load(str(tmp_path / 'w.npz'))['vectors'] for way in ('avg', 'sum', 'last')
           if call('--file', path, '--oov_way', way, '--output', str(tmp_path / 'w.npz')) == 0}
    assert not close(way['avg'], way['sum']) and not close(way['avg'], way['last'])


def test_params_path_and_model(lines, tmp_path):
    config = BertConfig.from_dict(read_json(os.path.join(TINY, 'config.json')))
    arrays = read_weights(os.path.join(TINY, 'model.safetensors'))
    arrays['bert.word_embed.0.weight'] = arrays['bert.word_embed.0.weight'] * 2
    write_params(str(tmp_path / 'other.params'), arrays)
    out = tmp_path / 'out.npy'
    base = npy(out, '--file', lines[0])
    other = npy(out, '--file', lines[0], '--params_path', str(tmp_path / 'other.params'))
    assert base.shape == other.shape == (60, config.hidden_size) and not close(base, other)
    assert close(other, npy(out, '--file', lines[0], '--pretrained_bert_parameters',
                            str(tmp_path / 'other.params')))
    assert main(['--model', 'sample', '--file', lines[0], '--output', str(out)]) == 0
    assert np.load(str(out)).shape == (60, 128)


def test_dataset_name_names_what_to_fetch(monkeypatch, tmp_path):
    monkeypatch.setenv('MXNET_HOME', str(tmp_path))
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path))
    with pytest.raises(DataError, match='^bert_12_768_12 wiki_multilingual_cased: every source'):
        main(['--offline', '--dataset_name', 'wiki_multilingual_cased', '--sentences', 'a'])
    with pytest.raises(DataError, match='^bert_24_1024_16 book_corpus_wiki_en_uncased: every'):
        main(['--offline', '--model', 'bert_24_1024_16', '--sentences', 'a'])


def test_sentencepiece(tmp_path, capsys):
    sentencepiece = pytest.importorskip('sentencepiece', reason='trains the model of this test')
    text = tmp_path / 'text.txt'
    text.write_text('the good film\nthe bad book\ngood books\n' * 20, encoding='utf-8')
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / 'm'), vocab_size=22, minloglevel=2, pad_id=3)
    assert call('--sentences', 'The good \U0001f600 films', '--sentencepiece',
                str(tmp_path / 'm.model')) == 0
    out = capsys.readouterr().out
    assert out.startswith('Text: The good \U0001f600 films\nTokens: the good <unk> films\n')
    assert out.count('array(') == 4


def test_verbose_logs_more(capsys, caplog):
    for flags, expected in ([], False), (['--verbose'], True):
        caplog.clear()
        call('--sentences', 'a', 'b', *flags)
        assert ('2 texts, 2 windows, 1 batches' in caplog.text) is expected
        assert (f'model: {TINY}, 2 layers of 32' in caplog.text) is expected


def test_similarity(bert, lines, capsys):
    path, texts = lines
    assert call('--file', path, '--similarity', texts[17], '--top', '5', '--pooling', 'mean') == 0
    rows = [line.split('\t') for line in capsys.readouterr().out.splitlines()]
    normal = np.stack(list(bert.sentences(texts, normalize=True)))
    cosines = normal @ next(bert.sentences([texts[17]], normalize=True))
    order = np.argsort(-cosines)[:5]
    assert [int(number) for _, number, _ in rows] == (order + 1).tolist()
    assert rows[0] == ['1.0000', '18', texts[17]]
    assert [text for _, _, text in rows] == [texts[i] for i in order]
    assert close([float(score) for score, _, _ in rows], cosines[order], 1e-4)


def test_similarity_has_the_first_of_equals_first_and_ten_at_most(lines, capsys):
    assert call('--sentences', *(['film'] * 12), '--similarity', 'film') == 0
    rows = [line.split('\t') for line in capsys.readouterr().out.splitlines()]
    assert [row[1:] for row in rows] == [[str(i), 'film'] for i in range(1, 11)]


@pytest.mark.parametrize('count', [3, 60])
@pytest.mark.slow
def test_map(lines, tmp_path, capsys, count):
    pytest.importorskip('matplotlib', reason='draws the map (extra plot)')
    path = tmp_path / 'map.png'
    texts = ['$1 or $2 \u6771'] + lines[1][1:count]
    assert call('--sentences', *texts, '--map', str(path)) == 0
    assert path.read_bytes().startswith(b'\x89PNG') and path.stat().st_size > 5000
    assert capsys.readouterr().out == f'map: {path}\n'
    with pytest.raises(DataError, match='--map: 2 texts are too few'):
        call('--sentences', 'a', 'b', '--map', str(path))


def test_a_model_of_sentence_transformers(bert, tmp_path, capsys):
    folder, out = str(tmp_path / 'st'), tmp_path / 'v.npz'
    assert call('--pooling', 'max', '--normalize', '--save_model', folder) == 0
    assert capsys.readouterr().out == f'{folder}: a folder for SentenceTransformer\n'
    texts = ['a', 'good film']
    expected = list(bert.sentences(texts, 'max', True))
    assert main(['--model', folder, '--sentences', *texts, '--output', str(out)]) == 0
    assert close(np.load(str(out))['vectors'], expected)
    assert close(list(BertEmbedding(model=folder).sentences(texts)), expected)
    # flags go before what the folder says
    assert main(['--model', folder, '--sentences', *texts, '--pooling', 'cls', '--output',
                 str(out)]) == 0
    assert close(np.load(str(out))['vectors'], list(bert.sentences(texts, 'cls')))
    capsys.readouterr()
    assert main(['--model', folder, '--sentences', 'a', '--oov_way', 'sum']) == 0
    assert 'Tokens: a' in capsys.readouterr().out
    with pytest.raises(DataError, match='add --pooling mean|Add --pooling mean'):
        call('--save_model', str(tmp_path / 'other'))


@pytest.mark.parametrize('flags, message', [
    ([], 'one of the arguments --sentences --file is required'),
    (['--sentences', 'a', '--file', 'b'], 'not allowed with'),
    (['--oov_way', 'mean'], 'invalid choice'), (['--pooling', 'sum'], 'invalid choice'),
    (['--batch_size', '0'], 'from 1 up'), (['--max_seq_length', 'x'], 'x is not a whole number'),
    (['--dtype', 'int4'], 'invalid choice'), (['--layers', 'x'], '"x" is not a list such as -2,-1'),
    (['--layers', '1', '--save_model', 'x'], 'leave out --layers'),
    (['--normalize'], 'add --pooling mean'), (['--top', '3'], 'needs --similarity'),
    (['--output', 'v.txt'], 'one of .npz, .npy, .jsonl'),
    (['--output', 'v.npz', '--map', 'm.png'], 'not allowed with'),
    (['--pooling', 'cls', '--oov_way', 'sum'], '--oov_way is for vectors of words')])
def test_wrong_flags(capsys, flags, message):
    if flags and flags[0] != '--sentences':
        flags = ['--sentences', 'a'] + flags
    with pytest.raises(SystemExit) as error:
        call(*flags)
    assert error.value.code == 2 and message in capsys.readouterr().err


def test_wrong_layers():
    for layer in 0, 3, -3:
        with pytest.raises(DataError, match=f'no layer {layer}; they are 1 to 2'):
            BertEmbedding(model=TINY, layers=(-1, layer))


# the program, as a process

def test_both_files_are_the_program(program, bert, tmp_path):
    command = ['--model', TINY, '--sentences', 'The film was booked.']
    results = [program(script, *command, check=0, cwd=str(tmp_path))
               for script in ('bert/embedding.py', 'scripts/embedding.py')]
    (tokens, rows), = bert(['The film was booked.'])
    with np.printoptions(threshold=5):
        expected = ('Text: The film was booked.\nTokens: the film was booked .\n'
                    f'Tokens embedding: {rows}\n')
    assert [result.stdout for result in results] == [expected] * 2
    assert tokens == ['the', 'film', 'was', 'booked', '.'] and results[0].stderr == ''


@pytest.mark.parametrize('content, message', [
    (None, 'lines.txt: No such file or directory'),
    (b'', 'lines.txt: empty; write one text per line'),
    (b'good\nb\xe9d\n', 'lines.txt:2: byte 0xe9 is not UTF-8; save the file as UTF-8')])
def test_wrong_files_are_one_line_errors(program, tmp_path, content, message):
    if content is not None:
        (tmp_path / 'lines.txt').write_bytes(content)
    result = program('bert/embedding.py', '--model', TINY, '--file', 'lines.txt', '--output',
                     'v.npz', check=1, cwd=str(tmp_path))
    assert result.stderr == f'embedding.py: error: {message}\n'
    assert not (tmp_path / 'v.npz').exists()


def test_gpu_names_a_device(program, tmp_path):
    if mx.runtime.Features().is_enabled('CUDA'):
        pytest.skip('this MXNet has CUDA')
    result = program('scripts/embedding.py', '--model', TINY, '--sentences', 'a', '--gpu', '0',
                     check=1)
    assert result.stderr.startswith('embedding.py: error: --gpu 0: this MXNet')
    assert result.stderr.count('\n') == 1


def test_dtype(program, lines, tmp_path):
    """Mixed precision is the whole process's, so it has one of its own."""
    with open('/proc/cpuinfo') as f:
        if 'avx512bw' not in f.read():
            pytest.skip('bfloat16 needs a CPU with AVX-512')
    results = {}
    for dtype in 'float32', 'bfloat16':
        program('bert/embedding.py', '--model', TINY, '--file', lines[0], '--dtype', dtype,
                '--output', str(tmp_path / 'v.npy'), check=0)
        results[dtype] = np.load(str(tmp_path / 'v.npy'))
        assert results[dtype].dtype == np.float32
    apart = np.abs(results['float32'] - results['bfloat16']).max()
    assert 1e-4 < apart < 0.1
    result = program('bert/embedding.py', '--model', TINY, '--sentences', 'a', '--dtype', 'float16',
                     check=1)
    assert '--dtype float16 needs a GPU' in result.stderr


def test_a_reader_that_goes_away(program, lines):
    result = program('bert/embedding.py', '--model', TINY, '--file', lines[0], check=0,
                     launcher=['sh', '-c', '"$@" 2>&1 | head -n 1', 'sh'])
    assert result.stdout.count('\n') == 1 and result.stdout.startswith('Text: the')
