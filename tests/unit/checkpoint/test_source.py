"""What a result folder says before its model is loaded."""
import json

import pytest

from bert.checkpoint.source import read_settings
from bert.utils.errors import DataError


def folder(tmp_path, content):
    (tmp_path / 'config.json').write_text(json.dumps(content), encoding='utf-8')
    return str(tmp_path)


def test_settings_of_a_folder_and_of_a_file_in_it(tmp_path, monkeypatch):
    settings = {'task': 'squad', 'doc_stride': 12}
    path = folder(tmp_path, {'gluon_bert': settings})
    for name in path, path + '/model.params':
        assert read_settings(name, 'squad', ['doc_stride', 'n_best_size']) == settings
    monkeypatch.setenv('HOME', str(tmp_path.parent))
    assert read_settings(f'~/{tmp_path.name}', 'squad', []) == settings
    assert read_settings(path, 'ner', []) == {} and read_settings(path, None, []) == settings


@pytest.mark.parametrize('content', [[], {}, {'gluon_bert': 7}, {'gluon_bert': {'task': 'other'}}])
def test_other_folders_have_none(tmp_path, content):
    assert read_settings(folder(tmp_path, content), 'squad', ['doc_stride']) == {}
    for path in None, '', str(tmp_path / 'nowhere'):
        assert read_settings(path, 'squad', ['doc_stride']) == {}


def test_a_setting_that_is_not_a_number(tmp_path):
    path = folder(tmp_path, {'gluon_bert': {'task': 'squad', 'doc_stride': '12'}})
    with pytest.raises(DataError, match="config.json: doc_stride is '12', but must be a number"):
        read_settings(path, 'squad', ['doc_stride'])
