"""Result folders: a vocabulary that lost tokens is refused."""
import shutil

from helpers import TINY, refused

from bert.checkpoint import result_folder
from bert.checkpoint.source import ModelSource
from bert.utils.files import read_json, write_json


def test_a_vocabulary_that_lost_tokens(tmp_path):
    folder = tmp_path / 'model'
    shutil.copytree(TINY, str(folder))
    source, vocab = ModelSource(str(folder), offline=True), folder / 'vocab.txt'
    result_folder.load(source)
    lines = vocab.read_bytes().splitlines(keepends=True)
    vocab.write_bytes(b''.join(lines[:-3]) + lines[-3][:-2])        # cut inside a token
    assert f'has {len(lines) - 2} tokens but config.json has {len(lines)}' in refused(
        result_folder.load, source)
    # a folder of ours records how many there are
    vocab.write_bytes(b''.join(lines))
    config = read_json(str(folder / 'config.json'))
    settings = dict(config.get('gluon_bert', {}), vocabulary_size=len(lines))
    write_json(str(folder / 'config.json'), dict(config, gluon_bert=settings))
    assert len(result_folder.load(source).tokenizer) == len(lines)
    vocab.write_bytes(b''.join(lines[:-1]))
    assert 'damaged or of another model' in refused(result_folder.load, source)
