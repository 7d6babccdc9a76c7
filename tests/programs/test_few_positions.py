"""Models with fewer positions than the default lengths: what is used is what is recorded."""
import os

import pytest
from helpers import SAMPLE, TINY

from bert.utils.files import read_json
from scripts import finetune_classifier, finetune_ner, finetune_squad, predict_ner

pytestmark = pytest.mark.slow


def recorded(folder, *names):
    """The values of arguments.json, which are those of config.json."""
    arguments = read_json(str(folder / 'arguments.json'))
    settings = read_json(str(folder / 'config.json'))['gluon_bert']
    found = [arguments[name] for name in names]
    assert found == [settings[name] for name in names]
    return found


@pytest.fixture(autouse=True)
def in_a_folder(monkeypatch, tmp_path, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('BERT_OFFLINE', '1')
    caplog.set_level('INFO')


def test_classifier(caplog, capsys, tmp_path):
    (tmp_path / 'train.csv').write_text(
        'text,label\n' + f'good {"and so on " * 20},yes\nbad,no\n' * 4, encoding='utf-8')
    train = ['--bert_model', TINY, '--train_file', 'train.csv', '--epochs', '1', '--windows',
             '--output_dir', 'out']
    finetune_classifier.main(train)
    assert '--max_len 40 instead of 128: this model has no more positions' in caplog.messages
    assert recorded(tmp_path / 'out', 'max_len') == [40]
    hint = '--windows --stride 20 --predict "A text."\n'
    assert f'--model_parameters out {hint}' in capsys.readouterr().out
    assert f'--model_parameters . {hint}' in (tmp_path / 'out/README.md').read_text('utf-8')
    finetune_classifier.main([*train, '--resume'])
    capsys.readouterr(), caplog.clear()
    finetune_classifier.main(['--model_parameters', 'out', '--predict', 'good\tand\nso on'])
    printed, = capsys.readouterr().out.splitlines()
    assert printed.split('\t')[0] in ('yes', 'no') and printed.split('\t')[2] == 'good and so on'
    assert not [text for text in caplog.messages if 'max_len' in text]


def test_question_answering(caplog, capsys, tmp_path):
    train = ['--bert_model', TINY, '--debug', '--epochs', '1', '--output_dir', 'out',
             '--train_file', os.path.join(SAMPLE, 'squad', 'dev-v1.1.json')]
    finetune_squad.main(train)
    assert '--max_seq_length 40 instead of 384: this model has no more positions' in caplog.messages
    assert recorded(tmp_path / 'out', 'max_seq_length', 'doc_stride', 'max_query_length') == [
        40, 13, 6]
    assert 'do not overlap' not in caplog.text
    finetune_squad.main([*train, '--resume'])
    capsys.readouterr()
    finetune_squad.main(['--model_parameters', 'out', '--predict', 'Who\twrote?', 'Ada\twrote it.'])
    answer, _, start, end = capsys.readouterr().out.rstrip('\n').split('\t')
    assert answer == 'Ada wrote it.'[int(start):int(end)]


def test_tagger(caplog, tmp_path):
    finetune_ner.main(['--bert_model', TINY, '--train_path', os.path.join(
        SAMPLE, 'conll', 'dev.txt'), '--epochs', '1', '--output_dir', 'out'])
    assert '--seq_len 40 instead of 180: this model has no more positions' in caplog.messages
    assert recorded(tmp_path / 'out', 'seq_len') == [40]
    caplog.clear()
    predict_ner.main(['--load-checkpoint-prefix', 'out', '--text', 'Ada lives in\tOxford.'])
    assert 'seq_len' not in caplog.text


def test_the_warning_of_windows_without_overlap_comes_once(caplog, give_input, tmp_path):
    finetune_squad.main(['--bert_model', TINY, '--debug', '--epochs', '1', '--output_dir', 'out',
                         '--max_seq_length', '40', '--max_query_length', '6', '--train_file',
                         os.path.join(SAMPLE, 'squad', 'dev-v1.1.json')])
    assert caplog.text.count('--doc_stride 128: the windows of') == 1
    caplog.clear()
    predict = ['--model_parameters', 'out', '--test_batch_size', '1', '--predict']
    finetune_squad.main([*predict, 'Who?', 'Ada.'])
    assert 'do not overlap' not in caplog.text
    give_input(f'Who?\t{"Ada wrote it. " * 30}\n'.encode() * 20)
    finetune_squad.main(predict)
    assert caplog.text.count('do not overlap') == 1
