"""Vocabularies made from text, which the programs of pre-training take."""
import gzip
import os

import pytest
from helpers import TEXT, refused, warnings

from bert.checkpoint.output import OutputFolder
from bert.text import tokenizer
from bert.utils import files
from scripts import train_vocabulary

SENTENCE = 'The bread is warm, and Mila likes it.'


def make(folder, *more):
    return train_vocabulary.main(['--input_file', TEXT, '--output_dir', str(folder), *more])


@pytest.mark.parametrize('kind, size, more', [
    ('wordpiece', 2000, ()), ('wordpiece', 2000, ('--cased',)),
    ('sentencepiece', 1000, ()), ('sentencepiece', 800, ('--model_type', 'BPE', '--cased'))])
def test_a_vocabulary_of_the_size_that_was_asked_for(tmp_path, capsys, kind, size, more):
    if kind == 'wordpiece':
        pytest.importorskip('tokenizers', reason='needs the extra vocabulary')
    assert make(tmp_path, '--kind', kind, '--vocab_size', str(size), *more) == 0
    assert f'{size} tokens' in capsys.readouterr().out
    tok = tokenizer.load(str(tmp_path))
    assert len(tok) == size
    ids = tok.ids(SENTENCE)
    assert tok.unk_id not in ids
    assert any('T' in token for token in tok.tokens(ids)) == ('--cased' in more)
    assert {'vocab.txt', 'spm.model'} & set(os.listdir(str(tmp_path)))
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith('.')]


def test_an_earlier_vocabulary_is_kept_and_a_size_that_cannot_be_is_refused(tmp_path):
    kind = ['--kind', 'sentencepiece', '--vocab_size']
    assert 'Vocabulary size too high' in refused(make, tmp_path, *kind, '90000')
    assert os.listdir(str(tmp_path)) == []
    make(tmp_path, *kind, '500')
    before = (tmp_path / 'spm.model').read_bytes()
    assert 'exists; name another --output_dir' in refused(make, tmp_path, *kind, '600')
    assert (tmp_path / 'spm.model').read_bytes() == before
    make(tmp_path, *kind, '600', '--overwrite')
    assert len(tokenizer.load(str(tmp_path))) == 600


@pytest.mark.parametrize('name, message', [
    *((name, f'{{}}/{name} exists; name another --output_dir, or add --overwrite')
      for name in ('tokenizer.json', 'added_tokens.json', 'tokenizer_config.json', 'vocab.txt')),
    *((name, f'--output_dir {{}}: holds an earlier result ({name}); name another folder')
      for name in ('config.json', 'model.safetensors', 'model.params'))])
def test_the_folder_of_a_model_is_kept(tmp_path, name, message):
    (tmp_path / name).write_text('{}')
    kind = ['--kind', 'sentencepiece', '--vocab_size', '500']
    assert refused(make, tmp_path, *kind) == message.format(tmp_path)
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == '{}'


def test_only_the_vocabulary_is_replaced(tmp_path):
    others = ['arguments.json', 'config.json', 'model.params', 'notes.txt']
    for name in (*others, 'vocab.txt', 'tokenizer.json', 'added_tokens.json'):
        (tmp_path / name).write_text('{}')
    make(tmp_path, '--kind', 'sentencepiece', '--vocab_size', '500', '--overwrite')
    assert sorted(os.listdir(tmp_path)) == sorted([*others, 'spm.model', 'tokenizer_config.json'])
    assert all((tmp_path / name).read_text() == '{}' for name in others)


@pytest.mark.parametrize('killed', [False, True])
def test_a_run_that_stops_half_way_leaves_the_earlier_vocabulary(tmp_path, monkeypatch, killed):
    def content():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    def stop(path, value):
        raise KeyboardInterrupt
    command = [tmp_path, '--kind', 'sentencepiece', '--vocab_size', '500']
    for flags in [], ['--cased', '--overwrite']:
        before = content()
        with monkeypatch.context() as patch:
            patch.setattr(files, 'write_json', stop)    # of tokenizer_config.json
            if killed:
                patch.setattr(OutputFolder, 'discard', lambda self: None)
            with pytest.raises(KeyboardInterrupt):
                make(*command, *flags)
        assert content() == before
        make(*command, *flags)
        assert tokenizer.load(str(tmp_path)).cased == ('--cased' in flags)
        assert sorted(os.listdir(tmp_path)) == ['spm.model', 'tokenizer_config.json']


def test_no_text(tmp_path):
    (tmp_path / 'empty.txt').write_text('\n\n')
    assert 'no such file' in refused(train_vocabulary.main, [
        '--input_file', str(tmp_path / 'x'), '--output_dir', str(tmp_path / 'out')])
    pytest.importorskip('tokenizers', reason='needs the extra vocabulary')
    assert 'no text' in refused(train_vocabulary.main, [
        '--input_file', str(tmp_path / 'empty.txt'), '--output_dir', str(tmp_path / 'out')])


def test_a_word_of_a_million_letters(tmp_path):
    pytest.importorskip('tokenizers', reason='needs the extra vocabulary')
    (tmp_path / 'text.txt').write_text(f"A word: {'x' * 1000000}\n{'北' * 2000}\n", 'utf-8')
    train_vocabulary.main(['--input_file', str(tmp_path / 'text.txt'), '--output_dir',
                           str(tmp_path / 'out'), '--vocab_size', '100'])
    tokens = (tmp_path / 'out' / 'vocab.txt').read_text('utf-8').split('\n')
    assert '北' in tokens and 'x' not in tokens


HAN = [chr(0x4e00 + i) for i in range(1500)]


@pytest.mark.parametrize('size, flags, kept', [
    (1600, (), 1500), (1300, (), 1295), (1500, ('--character_coverage', '0.98'), 1495)])
def test_more_characters_than_an_alphabet_of_the_west(tmp_path, caplog, size, flags, kept):
    """Character i is in the last 15 - i // 100 of 15 lines; the most frequent get a token."""
    pytest.importorskip('tokenizers', reason='needs the extra vocabulary')
    text = tmp_path / 'text.txt'
    text.write_text('\n'.join(''.join(HAN[:end]) for end in range(100, 1501, 100)), 'utf-8')
    train_vocabulary.main(['--input_file', str(text), '--output_dir', str(tmp_path / 'out'),
                           '--vocab_size', str(size), *flags])
    tokens = (tmp_path / 'out' / 'vocab.txt').read_text('utf-8').split()
    assert tokens[:5] == ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    assert sorted(tokens[5:]) == HAN[:kept] and len(tokens) <= size
    left = 1500 - kept
    share = 100 * (100 * 1 + 100 * 2 + (left - 200) * 3 if left > 200 else left) / 12000
    assert warnings(caplog) == [
        f'{left} of the 1500 characters of the text, {share:.2g} % of it, are not in the '
        'vocabulary: words with them become [UNK]; a larger --vocab_size or --character_coverage 1 '
        'takes more'] * (left > 0)


def test_a_character_within_words_takes_two_tokens(tmp_path, caplog):
    """60 syllables, each in front and within a word, do not fit into 95 tokens."""
    pytest.importorskip('tokenizers', reason='needs the extra vocabulary')
    text, syllables = tmp_path / 'text.txt', [chr(0xac00 + i) for i in range(60)]
    text.write_text('\n'.join(first + second for first, second in zip(
        syllables, syllables[1:] + syllables[:1])) + '\n' + ' '.join(syllables[:50]), 'utf-8')
    train_vocabulary.main(['--input_file', str(text), '--output_dir', str(tmp_path / 'out'),
                           '--vocab_size', '100', '--cased'])
    tokens = (tmp_path / 'out' / 'vocab.txt').read_text('utf-8').split()
    assert sorted(tokens[5:]) == sorted(prefix + char for char in syllables[:47]
                                        for prefix in ('', '##'))
    assert warnings(caplog)[0].startswith('13 of the 60 characters of the text, 17 % of it')


def test_compressed_text_under_another_name(tmp_path):
    with gzip.open(tmp_path / 'text.txt', 'wb') as f:
        f.write(b'a sentence\n')
    assert refused(train_vocabulary.main, [
        '--input_file', str(tmp_path / 'text.txt'), '--output_dir', str(tmp_path / 'out')]
    ) == (f"{tmp_path / 'text.txt'}: compressed: only .gz, .bz2 and .xz are read, by their names; "
          'decompress it')
