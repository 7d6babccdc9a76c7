"""What a run starts from: the vocabulary fits the weights, and the checkpoint is there."""
import shutil
from pathlib import Path

import pytest
from helpers import TINY, refused, warnings

from bert.pretraining import model
from bert.pretraining.settings import ModelSettings, VocabularySettings

TOKENS = Path(TINY, 'vocab.txt').read_text('utf-8').split('\n')[:-1]


def load(folder, **vocabulary):
    return model.load(ModelSettings(str(folder), True, vocabulary=VocabularySettings(**vocabulary)))


def write(path, tokens):
    path.write_text(''.join(token + '\n' for token in tokens), 'utf-8')
    return str(path)


def test_a_vocabulary_that_the_weights_do_not_know_is_refused(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(model, '_FEW', 0)
    folder, count = tmp_path / 'model', len(TOKENS)
    shutil.copytree(TINY, folder)
    write(folder / 'vocab.txt', [*TOKENS[:-1], '[unused7]'])
    own = str(tmp_path / 'own.txt')
    swapped = [*TOKENS[:-3], TOKENS[-2], TOKENS[-3], TOKENS[-1]]
    for tokens, found in ((swapped, f'2 of {count - 1}'), (swapped[:-2], f'1 of {count - 2}')):
        write(tmp_path / 'own.txt', tokens)
        message = refused(lambda: load(folder, path=own))
        assert message.startswith(f'--vocab {own}: {found} tokens have the ids of others in '
                                  f"{folder / 'vocab.txt'}, such as {TOKENS[-2]} that of "
                                  f'{TOKENS[-3]}, ')
        assert message.endswith('; leave out --vocab')
    # a few may have been replaced
    monkeypatch.setattr(model, '_FEW', 0.1)
    assert load(folder, path=own).vocabulary == own
    assert warnings(caplog) == [message[:-len('; leave out --vocab')]]
    # a word in place of an unused one
    write(tmp_path / 'own.txt', TOKENS)
    assert load(folder, path=own).tokenizer.tokens([count - 1]) == TOKENS[-1:]
    # the model has none of its own
    (folder / 'vocab.txt').unlink()
    write(tmp_path / 'own.txt', swapped)
    assert load(folder, path=own).vocabulary == own


@pytest.mark.parametrize('name, dataset, own, message', [
    (TINY, 'sample', None, f'--dataset_name sample is not used: the vocabulary is that of {TINY}'),
    (TINY, 'x', f'{TINY}/vocab.txt',
     f'--dataset_name x is not used: the vocabulary is {TINY}/vocab.txt'),
    (TINY, None, None, None), ('sample', 'sample', None, None)])
def test_a_dataset_that_is_not_used(caplog, name, dataset, own, message):
    load(name, dataset=dataset, path=own)
    assert warnings(caplog) == [message] * (message is not None)


@pytest.mark.parametrize('steps', [(), (2, 40)])
def test_a_checkpoint_that_is_gone(tmp_path, monkeypatch, steps):
    for step in steps:
        (tmp_path / f'step-{step:07}.params').write_text('')
    path = tmp_path / 'step-0000003.params'
    held = 'holds checkpoints of these updates: ' + (', '.join(map(str, steps)) or 'none')
    assert refused(load, path) == f'{path} is missing; {tmp_path} {held}'
    monkeypatch.chdir(tmp_path)     # not a repository on the hub
    assert refused(load, 'x/step-0000003.params') == (
        'x/step-0000003.params is missing; x holds checkpoints of these updates: none')
