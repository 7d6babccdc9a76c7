"""What a result folder says before its model is loaded."""
import json

import pytest

from bert.checkpoint.source import read_settings
from bert.utils.errors import DataError


def folder(tmp_path, content):
    (tmp_path / 'config.json').write_text(json.dumps(content), encoding='utf-8')
    return str(tmp_path)


def test_settings_of_a_folder_and_of_a_file_in_it(tmp_path, monkeypatch):
    settings = {'task': 'squad', 'doc_stride': 12, 'null_score_diff_threshold': -0.5,
                'version_2': True}
    path = folder(tmp_path, {'gluon_bert': settings})
    for name in path, path + '/model.params':
        assert read_settings(name, 'squad') == settings
    monkeypatch.setenv('HOME', str(tmp_path.parent))
    assert read_settings(f'~/{tmp_path.name}', 'squad') == settings
    assert read_settings(path, 'ner') == {} and read_settings(path) == settings


@pytest.mark.parametrize('content', [[], {}, {'gluon_bert': 7}, {'gluon_bert': {'task': 'other'}}])
def test_other_folders_have_none(tmp_path, content):
    assert read_settings(folder(tmp_path, content), 'squad') == {}
    for path in None, '', str(tmp_path / 'nowhere'):
        assert read_settings(path, 'squad') == {}


@pytest.mark.parametrize('setting, value, message', [
    ('doc_stride', '12', "doc_stride is '12', but must be a whole number from 1"),
    ('max_len', 128.0, 'max_len is 128.0, but must be a whole number from 1'),
    ('seq_len', True, 'seq_len is True, but must be a whole number from 1'),
    ('max_query_length', -3, 'max_query_length is -3, but must be a whole number from 1'),
    ('null_score_diff_threshold', float('nan'), 'null_score_diff_threshold is nan, but must be a'),
    ('version_2', 'yes', "version_2 is 'yes', but must be true or false")])
def test_a_setting_of_the_wrong_kind(tmp_path, setting, value, message):
    path = folder(tmp_path, {'gluon_bert': {'task': 'squad', setting: value}})
    with pytest.raises(DataError, match='config.json: ' + message):
        read_settings(path, 'squad')
