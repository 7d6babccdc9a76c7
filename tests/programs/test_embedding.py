"""The embedding program: what it prints and writes, its flags, maps and saved models."""
import os

import mxnet as mx
import numpy as np
import pytest
from embeddings import SENTENCES, close
from helpers import TINY, refused

from bert.checkpoint import result_folder, sentence_folder
from bert.checkpoint.weights import read_weights, write_params
from bert.embedding import BertEmbedding, main
from bert.model.config import BertConfig
from bert.utils.errors import DataError
from bert.utils.files import read_json


@pytest.fixture
def lines(tmp_path):
    """A file of 60 different texts."""
    words = ['the', 'film', 'was', 'good', 'and', 'bad', ',', 'a', 'booked', 'is', 'never', 'bad']
    texts = [' '.join(words[(i * k) % 12] for k in range(1, 2 + i % 9)) for i in range(60)]
    texts = [f'{text} {i}' for i, text in enumerate(texts)]
    path = tmp_path / 'lines.txt'
    path.write_text('\n'.join(texts) + '\n', encoding='utf-8')
    return str(path), texts


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


@pytest.mark.parametrize('options, message', [
    ({'dtype': 'fp32'}, '--dtype fp32: choose one of auto, float32, bfloat16, float16, int8'),
    ({'path': 'x'}, '--path x: choose one of auto, padded, packed'),
    ({'layers': ()}, '--layers: name one or more'),
    ({'layers': 3}, '--layers: there is no layer 3; they are 1 to 2, or -1 to -2 from the top'),
    ({'layers': (0.5,)}, '--layers: there is no layer 0.5; they are 1 to 2, or -1 to -2 from the '
                         'top'),
    ({'batch_size': 0}, '--batch_size 0: must be 1 or more'),
    ({'max_seq_length': 0}, '--max_seq_length 0: this model takes 3 to 40 tokens; longer texts are '
                            'always split into windows')])
def test_a_bad_argument_in_python(options, message):
    assert refused(lambda: BertEmbedding(model=TINY, **options)) == message


def test_bad_types_in_python(bert):
    with pytest.raises(TypeError, match="ctx is 'cpu', but must be an mxnet.Context"):
        BertEmbedding('cpu', model=TINY)
    for texts in ['a', None], ['a', b'b'], ['a', 3]:
        for call_ in bert, bert.sentences:
            with pytest.raises(TypeError, match='text 2 is not a string: '):
                list(call_(texts))
    assert len(list(BertEmbedding(model=TINY, layers=-2).sentences(['a']))) == 1


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
    assert call('--sentences', 'a\tgood\nfilm', '--similarity', 'film') == 0
    assert capsys.readouterr().out.split('\t', 2)[1:] == ['1', 'a good film\n']
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
    # with the folder's own pooling
    normalized = str(tmp_path / 'normalized')
    assert call('--pooling', 'max', '--save_model', normalized) == 0
    assert main(['--model', normalized, '--sentences', *texts, '--normalize', '--output',
                 str(out)]) == 0
    assert close(np.load(str(out))['vectors'], expected)
    capsys.readouterr()
    assert main(['--model', folder, '--sentences', 'a', '--oov_way', 'sum']) == 0
    assert 'Tokens: a' in capsys.readouterr().out
    with pytest.raises(DataError, match='add --pooling mean|Add --pooling mean'):
        call('--save_model', str(tmp_path / 'other'))


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_a_model_is_saved_whole_or_not_at_all(tmp_path, monkeypatch, error):
    files, original = [], sentence_folder.write_json

    def stop(path, value):
        files.append(os.path.basename(path))
        if len(files) == 3:
            raise error
        original(path, value)
    command = ['--pooling', 'mean', '--normalize', '--save_model', str(tmp_path / 'out')]
    with monkeypatch.context() as patch:
        patch.setattr(sentence_folder, 'write_json', stop)
        with pytest.raises(type(error)):
            call(*command)
    assert files[0] == 'config.json' and os.listdir(tmp_path) == []
    assert call(*command) == 0
    assert main(['--model', str(tmp_path / 'out'), '--sentences', 'a']) == 0


def test_a_model_is_read_once_and_only_if_it_can_be_saved(tmp_path, monkeypatch):
    read, original = [], result_folder.load
    monkeypatch.setattr(result_folder, 'load', lambda *args: read.append(args) or original(*args))
    command = ['--pooling', 'mean', '--save_model', str(tmp_path / 'out')]
    assert call(*command) == 0 and len(read) == 1
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    with pytest.raises(DataError, match=f'^--save_model {tmp_path}/out: holds an earlier result'):
        call(*command)
    assert len(read) == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before


@pytest.mark.parametrize('output', ['--similarity', '--map', '--output'])
def test_what_is_saved_does_not_follow_from_the_output(lines, tmp_path, output):
    use = ['--file', lines[0], output, 'good' if output == '--similarity' else
           str(tmp_path / ('map.png' if output == '--map' else 'v.npy'))]
    with pytest.raises(DataError, match='^--save_model is for vectors of sentences; add --pool'):
        call(*use, '--save_model', str(tmp_path / 'none'))
    assert os.listdir(tmp_path) == ['lines.txt']
    saved = {}
    for name, more in ('alone', []), ('beside', use):
        call('--pooling', 'mean', '--save_model', str(tmp_path / name), *more)
        saved[name] = {str(path.relative_to(tmp_path / name)):
                       path.suffix == '.json' and path.read_bytes()
                       for path in (tmp_path / name).rglob('*')}
    assert saved['alone'] == saved['beside']


@pytest.mark.parametrize('flags, message', [
    ([], 'one of the arguments --sentences --file is required'),
    (['--sentences', 'a', '--file', 'b'], 'not allowed with'),
    (['--oov_way', 'mean'], 'invalid choice'), (['--pooling', 'sum'], 'invalid choice'),
    (['--batch_size', '0'], 'from 1 up'), (['--max_seq_length', 'x'], 'x is not a whole number'),
    (['--dtype', 'int4'], 'invalid choice'), (['--layers', 'x'], '"x" is not a list such as -2,-1'),
    (['--layers', '1', '--save_model', 'x'], 'leave out --layers'),
    (['--top', '3'], 'needs --similarity'),
    (['--output', 'v.txt'], 'one of .npz, .npy, .jsonl'),
    (['--output', 'v.npz', '--map', 'm.png'], 'not allowed with'),
    (['--pooling', 'cls', '--oov_way', 'sum'], '--oov_way is for vectors of words')])
def test_wrong_flags(capsys, flags, message):
    if flags and flags[0] != '--sentences':
        flags = ['--sentences', 'a'] + flags
    with pytest.raises(SystemExit) as error:
        call(*flags)
    assert error.value.code == 2 and message in capsys.readouterr().err


def test_vectors_of_words_are_not_normalized(tmp_path):
    for flags in ['--output', str(tmp_path / 'v.npz')], ['--save_model', str(tmp_path / 'model')]:
        with pytest.raises(DataError, match='^--normalize is for vectors of sentences; add --pool'):
            call('--sentences', 'a', '--normalize', *flags)
    assert os.listdir(str(tmp_path)) == []


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
    (b'good\nb\xe9d\n', 'lines.txt:2: not UTF-8 (byte 0xe9); convert it: iconv -f ENCODING -t '
                        'UTF-8')])
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
