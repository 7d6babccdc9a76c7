"""The program that tags with a trained model: columns, entities of texts, errors."""
import gzip
import io
import json
import shutil
import subprocess
import sys

import pytest
from helpers import TINY, command_of
from ner_runs import PREDICT, fails

from bert.data import conll
from bert.metrics import tagging as tagging_metrics
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts import predict_ner

TEXT = 'the ax z film,  by!\r\n\n\u200b\U0001f600 of cy\rgood\nCY w'
ENTITIES = [('PER', 'ax z'), ('LOC', 'by'), ('ORG', 'cy'), ('ORG', 'CY w')]


def predict(tagger, *given):
    assert predict_ner.main(['--load-checkpoint-prefix', str(tagger), *given]) == 0


def test_the_historical_command_means_the_common_flags():
    given = ('--test-path t.txt --load-checkpoint-prefix DIR/large_bert --seq-len 180 --gpu 0 '
             '--batch-size 4')
    args = predict_ner.parse_args(given.split())
    assert (args.test_path, args.model_parameters, args.seq_len, args.gpu, args.batch_size) == (
        't.txt', 'DIR/large_bert', 180, 0, 4)


@pytest.mark.parametrize(('given', 'message'), [
    (['--text', 'x'], 'the following arguments are required: --load_checkpoint_prefix'),
    (['--load-checkpoint-prefix', 'x', '--text', 'x', '--test-path', 'y'],
     'not allowed with argument'),
])
def test_usage_errors(capsys, given, message):
    with pytest.raises(SystemExit) as caught:
        predict_ner.main(given)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_predict_columns(tagger, tagged, tmp_path, capsys):
    predict(tagger, '--test-path', str(tagged / 'test.txt'), '--output_dir', str(tmp_path))
    first = (tmp_path / 'predictions-test.txt').read_bytes()
    assert first == (tagger / 'predictions-test.txt').read_bytes()
    scores = read_json(str(tagger / 'results.json'))['test']
    assert tagging_metrics.table(scores) in capsys.readouterr().out
    # words alone, more columns without a tag, and another seq_len
    words = ''.join(f"{line.split(' ')[0]}\n" for line in
                    (tagged / 'test.txt').read_text(encoding='utf-8').split('\n')[:-1])
    (tmp_path / 'words.txt').write_text(words, encoding='utf-8')
    (tmp_path / 'two.txt').write_text(words.replace('\n', ' N\n').replace('\n N\n', '\n\n'),
                                      encoding='utf-8')
    predict(tagger, '--test-path', str(tmp_path / 'words.txt'), '--output_dir', str(tmp_path))
    predict(tagger, '--test-path', str(tmp_path / 'two.txt'), '--no-tags', '--output_dir',
            str(tmp_path), '--seq_len', '30', '--batch-size', '3')
    assert 'overall' not in capsys.readouterr().out
    expected = [s.tags for s in conll.read(str(tagger / 'predictions-test.txt'))]
    for name in 'predictions-words.txt', 'predictions-two.txt':
        found = [s.tags for s in conll.read(str(tmp_path / name))]
        assert [len(tags) for tags in found] == [len(tags) for tags in expected]
        assert found[:6] == expected[:6]


def check_entities(lines):
    """The lines name ENTITIES, at the right places in TEXT."""
    found = [line.split('\t') for line in lines]
    assert [(kind, text) for kind, _, _, text in found] == ENTITIES
    assert [TEXT[int(start):int(end)] for _, start, end, _ in found] == [t for _, t in ENTITIES]


def test_predict_text_with_offsets_in_the_whole_of_it(tagger, tmp_path, capsys, program):
    predict(tagger, '--text', TEXT, '--batch-size', '1')
    check_entities(capsys.readouterr().out.splitlines())
    (tmp_path / 'bom.txt').write_bytes(b'\xef\xbb\xbf' + TEXT.encode('utf-8'))
    (tmp_path / 'bom.txt.gz').write_bytes(gzip.compress((tmp_path / 'bom.txt').read_bytes()))
    for name in 'bom.txt', 'bom.txt.gz':
        predict(tagger, '--text-path', str(tmp_path / name))
        check_entities(capsys.readouterr().out.splitlines())
    predict(tagger, '--text', 'the ax z, good', '--json')
    assert json.loads(capsys.readouterr().out) == {'text': 'ax z', 'type': 'PER', 'start': 4,
                                                   'end': 8}
    result = subprocess.run(**command_of(PREDICT, '--load-checkpoint-prefix', str(tagger)),
                            input=TEXT.encode('utf-8'), stdout=subprocess.PIPE, check=True)
    check_entities(result.stdout.decode('utf-8').splitlines())


def test_entities_are_one_line_of_four_columns(tagger, capsys):
    predict(tagger, '--text', 'the ax\t z, of cy\x0bw\n')
    assert capsys.readouterr().out == 'PER\t4\t9\tax z\nORG\t14\t18\tcy w\n'
    predict(tagger, '--text', 'the ax\t z', '--json')
    assert json.loads(capsys.readouterr().out)['text'] == 'ax\t z'


@pytest.fixture
def every_word(monkeypatch):
    """Models that take every word for an entity."""
    monkeypatch.setattr('bert.training.tagging.predict', lambda net, rows, count, *rest: [
        ['B-X'] * sum(len(row.first) for row in rows if row.sentence == i) for i in range(count)])


@pytest.mark.parametrize('encoding', ['utf-8', 'UTF8', 'ascii', 'latin-1'])
def test_json_whatever_the_locale(monkeypatch, tagger, every_word, encoding):
    words = ['Zo\xeb', '\u4eac', '\U0001d7d8', '\udce9']       # the last: no UTF-8 in the shell
    out = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(    # as bert.utils.errors.run has it
        out, encoding, errors='backslashreplace', write_through=True))
    predict(tagger, '--text', ' '.join(words), '--json')
    lines = out.getvalue().decode('utf-8').splitlines()
    assert [json.loads(line)['text'] for line in lines] == words
    assert ('Zo\xeb' in lines[0]) == (encoding in ('utf-8', 'UTF8'))


def test_offsets_go_on_over_many_lines(tmp_path, capsys, tagger, every_word):
    text = ''.join(f'w{i} \u4eac\n' for i in range(50))
    (tmp_path / 'text.txt').write_text(text, encoding='utf-8')
    predict(tagger, '--text-path', str(tmp_path / 'text.txt'), '--batch-size', '1')
    found = [line.split('\t') for line in capsys.readouterr().out.splitlines()]
    assert len(found) == 100
    assert all(text[int(start):int(end)] == word for _, start, end, word in found)
    assert [int(start) for _, start, _, _ in found] == sorted(
        {int(start) for _, start, _, _ in found})


def test_bad_models_and_texts_are_told_in_one_line(capsys, tmp_path, tagger, give_input):
    said = fails(capsys, predict_ner.main, ['--load_checkpoint_prefix', TINY, '--text', 'x'])
    assert said.startswith(f'{TINY}: config.json names no tags such as O and B-PER')
    said = fails(capsys, predict_ner.main, ['--load_checkpoint_prefix', '/no/where', '--text', 'x'])
    assert said == 'weights /no/where: no such file or folder; check the path'
    latin = 'not UTF-8 (byte 0xe9); convert it: iconv -f ENCODING -t UTF-8'
    for text, fault in ((b'the\ncaf\xe9\n', latin),
                        (b'the\nax \0\n', 'a NUL character; save it as plain UTF-8 text')):
        (tmp_path / 'bad.txt').write_bytes(text)
        given = ['--load_checkpoint_prefix', str(tagger)]
        assert fails(capsys, predict_ner.main, [*given, '--text_path', str(tmp_path / 'bad.txt')]
                     ) == f"{tmp_path / 'bad.txt'}:2: {fault}"
        give_input(text)
        assert fails(capsys, predict_ner.main, given) == f'standard input:2: {fault}'


def test_the_predictions_of_another_model_are_not_replaced(tagger, tagged, tmp_path):
    shutil.copytree(str(tagger), str(tmp_path / 'other'))
    before = (tmp_path / 'other' / 'predictions-test.txt').read_bytes()
    with pytest.raises(DataError, match='holds another model, whose scores and predictions would'):
        predict(tagger, '--test-path', str(tagged / 'test.txt'), '--output_dir',
                str(tmp_path / 'other'))
    assert (tmp_path / 'other' / 'predictions-test.txt').read_bytes() == before
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match='file: a file or a broken link, not a folder'):
        predict('/no/model', '--test-path', str(tagged / 'test.txt'), '--output_dir',
                str(tmp_path / 'file'))
