"""What instances come from: made-up numbers, text, shards."""
import types
from pathlib import Path

import numpy as np
import pytest
from helpers import SAMPLE, TEXT, refused, warnings

from bert.pretraining import masking, shard_writer, shards
from bert.pretraining.settings import DataSettings, VocabularySettings
from bert.pretraining.sources import Shards, Synthetic, Text, content_checksum, open_sources
from bert.pretraining.stream import Stream, evaluation
from bert.text import tokenizer
from bert.utils.errors import DataError


def test_synthetic_instances():
    source = Synthetic(16, 3, 100, 0)
    one = source.read(0, 0)
    assert one.lengths.tolist() == [16] * 1024 and one.counts.tolist() == [3] * 1024
    assert one.ids.min() >= 0 and one.ids.max() < 100
    assert one.segments[:16].tolist() == [0] * 8 + [1] * 8
    columns = one.positions.reshape(-1, 3)
    assert (np.diff(columns, axis=1) > 0).all() and columns.max() == 15
    assert (source.read(1, 0).ids != one.ids).any()


@pytest.fixture(scope='module')
def tok():
    return tokenizer.load(SAMPLE)


def test_text_has_other_masks_in_each_pass(tok):
    source = Text([TEXT], tok, masking.Masking(tok, 32, 5), seed=3)
    one, same, other = source.read(0, 0), source.read(0, 0), source.read(1, 0)
    for first, second in zip(one, same):
        np.testing.assert_array_equal(first, second)
    assert len(one.ids) != len(other.ids) or (one.ids != other.ids).any()
    assert source.max_length == 32 and one.lengths.max() == 32
    with Stream(source, 8, 1) as stream:
        pool = [update for update, _ in zip(stream, range(3))]
    for update in pool:
        for batch in update.batches():
            assert all(row[0] == tok.cls_id and row[-1] == tok.sep_id for row in batch.ids)
            masked = np.concatenate(batch.ids)[batch.masked]
            assert (masked == tok.mask_id).mean() > 0.5


def make_shards(folder, tok, count=2):
    job = shard_writer.ShardJob([TEXT], tok, masking.Masking(tok, 32, 5), 1, 0, False, count,
                                str(folder))
    (folder / 'unfinished').mkdir()
    made = shard_writer.create(job, {}, 1)
    return [str(folder / (f'part-{i:03}.npz')) for i in range(count)], made


def test_shards(tok, tmp_path):
    paths, made = make_shards(tmp_path, tok)
    source = Shards(paths, len(tok))
    assert source.max_length == 32 and source.num_chunks == 2
    parts = [source.read(0, chunk) for chunk in range(2)]
    assert sum(len(part.lengths) for part in parts) == made['instances']
    assert sum(len(part.ids) for part in parts) == made['tokens']
    arrays = shards.read(paths[0])
    batch = next(evaluation(source, 4))
    found = arrays['input_ids'][:, :len(batch.ids[0])] == batch.ids[0]
    row = int(np.flatnonzero(found.all(axis=1))[0])
    count = int(arrays['masked_lm_weights'][row].sum())
    assert batch.labels[:count].tolist() == arrays['masked_lm_ids'][row, :count].tolist()
    assert batch.masked[:count].tolist() == arrays['masked_lm_positions'][row, :count].tolist()
    assert len(batch.ids[0]) == arrays['valid_lengths'][row]
    assert batch.segments[0].tolist() == arrays['segment_ids'][row, :len(batch.ids[0])].tolist()
    with pytest.raises(DataError, match='input_ids from .* only 0 to 99'):
        Shards(paths, 100).read(0, 0)
    (tmp_path / 'bad.npz').write_bytes(b'no archive')
    with pytest.raises(DataError, match='bad.npz: not a whole shard'):
        Shards([str(tmp_path / 'bad.npz')], 100)


@pytest.mark.parametrize('name, cure', [
    ('a.txt', 'for text add --raw'), ('a.json', 'make shards with create_pretraining_data.py'),
    ('a.hdf5', 'make shards with create_pretraining_data.py'),
    ('a.tfrecord.gz', 'make shards with create_pretraining_data.py')])
def test_files_that_are_no_shards(tok, tmp_path, name, cure):
    (tmp_path / name).write_text('x')

    def open_(pattern):
        data = DataSettings(files=(str(tmp_path / pattern),))
        return refused(open_sources, data, tok, VocabularySettings(), 0)
    assert open_('a.*') == f'{tmp_path / name}: not a shard (.npz); {cure}'
    (tmp_path / 'part-000.npz').write_text('x')
    assert open_('*') == (f'{tmp_path / name}: not a shard (.npz), as others are; name '
                          f"{tmp_path / '*.npz'}")


def test_a_chunk_is_checked(tok, tmp_path):
    paths, _ = make_shards(tmp_path, tok)
    source = Shards(paths, len(tok))
    assert source.check(0) and source.check(1)
    Path(paths[1]).write_bytes(b'PK')
    assert 'part-001.npz: not a whole shard' in refused(source.check, 1)
    text = tmp_path / 'text.txt'
    text.write_text('One sentence.\n')
    assert not Text([str(text)], tok, masking.Masking(tok, 32, 5), 0).check(0)


@pytest.mark.parametrize('place, counts', [
    (0, True), (4095, True), (4096, False), (195903, False), (195904, True), (-1, True)])
def test_a_checksum_of_the_ends(tmp_path, place, counts):
    path = tmp_path / 'file'
    content = bytearray(b'x' * 200000)
    path.write_bytes(content)
    source = types.SimpleNamespace(paths=[str(path)])
    before = content_checksum(source)
    assert content_checksum(types.SimpleNamespace(paths=())) == 0
    content[place] = 0
    path.write_bytes(content)
    assert (content_checksum(source) != before) == counts


@pytest.mark.parametrize('text, message', [
    ('w ' * 40 + '\n\n' + 'w ' * 40, '28 % of the text is beyond --max_seq_length and left out'),
    ('w\n\nw\n', 'put blank lines between documents'), ('w ' * 36 + '\nw\n\nw', None)])
def test_the_first_lines_of_text(tok, tmp_path, caplog, text, message):
    (tmp_path / 'text.txt').write_text(text)
    Text([str(tmp_path / 'text.txt')], tok, masking.Masking(tok, 32, 5), 0).warn_of_lines()
    found = warnings(caplog)
    assert len(found) == (message is not None) and all(message in line for line in found)
