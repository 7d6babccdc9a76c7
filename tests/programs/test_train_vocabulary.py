"""Vocabularies made from text, which the programs of pre-training take."""
import os

import pytest
from helpers import TEXT, refused

from bert.text import tokenizer
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


@pytest.mark.parametrize('name', ['tokenizer.json', 'added_tokens.json', 'tokenizer_config.json',
                                  'config.json'])
def test_the_folder_of_a_model_is_kept(tmp_path, name):
    (tmp_path / name).write_text('{}')
    kind = ['--kind', 'sentencepiece', '--vocab_size', '500']
    assert refused(make, tmp_path, *kind) == (
        f'{tmp_path / name} exists; name another --output_dir, or add --overwrite')
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == '{}'


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
