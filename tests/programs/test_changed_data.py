"""A run continues only with the data and the vocabulary that it began with."""
import gc
import json
import re
import shutil

import pytest
from helpers import TINY, refused

from scripts import finetune_classifier, finetune_ner, finetune_squad, run_pretraining

TABLE = 'text\tlabel\n' + 'a good film\tyes\na bad film\tno\n' * 4
TAGS = 'a O\ngood B-PER\n\nfilm O\n\n'


def squad(answer):
    context = 'the good film'
    questions = [{'id': '1', 'question': 'a film?', 'answers': [
        {'text': answer, 'answer_start': context.index(answer)}]}]
    return json.dumps({'data': [{'paragraphs': [{'context': context, 'qas': questions}]}]})


# the program, its flags, a file, and what it may not become
RUNS = {
    'classifier': (finetune_classifier, '--bert_model {model} --train_file {data} --max_len 32 '
                   '--epochs 1 --output_dir {out}', TABLE,
                   [TABLE + 'good\tno\n', TABLE.replace('good', 'bad', 1),
                    TABLE.replace('yes', 'no', 1)]),
    'tagger': (finetune_ner, '--bert_model {model} --train_path {data} --seq_len 24 '
               '--num_epochs 1 --save_checkpoint_prefix {out}', TAGS,
               [TAGS + TAGS, TAGS.replace('good', 'bad'), TAGS.replace('a O', 'a B-PER')]),
    'questions': (finetune_squad, '--bert_model {model} --train_file {data} --dev_file {data} '
                  '--max_seq_length 32 --doc_stride 8 --max_query_length 8 --epochs 1 '
                  '--output_dir {out}', squad('good'),
                  [squad('good').replace('a film', 'a the film'), squad('film')]),
    'pre-training': (run_pretraining, '--model bert_1_16_2 --vocab {model}/vocab.txt --raw '
                     '--data {data} --max_seq_length 32 --num_steps 2 --num_data_workers 0 '
                     '--ckpt_dir {out}', 'A good film.\nIt was good.\n\nA bad film.\nNo.\n' * 8,
                     ['A good film.\nIt was good.\n\nA bad film.\nNo.\n' * 9]),
}


@pytest.mark.parametrize('name', RUNS)
def test_a_run_continues_only_with_its_own_data(tmp_path, monkeypatch, name):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    monkeypatch.setenv('BERT_FEATURE_CACHE', '0')
    program, flags, content, others = RUNS[name]
    model, data, out = (tmp_path / part for part in ('model', 'data.txt', 'out'))
    if name == 'classifier':
        data = data.with_suffix('.tsv')
    shutil.copytree(TINY, model)
    data.write_text(content, encoding='utf-8')
    command = flags.format(model=model, data=data, out=out).split()
    assert not program.main(command)
    before = {path: path.read_bytes() for path in out.iterdir()}
    for other in others:
        data.write_text(other, encoding='utf-8')
        gc.collect()        # the run before holds the lock of the folder until it is gone
        message = refused(program.main, [*command, '--resume'])
        assert re.fullmatch(f'the run in {out} began with other training data or another '
                            'vocabulary; continue it .*', message)
    data.write_text(content, encoding='utf-8')
    vocabulary = (model / 'vocab.txt').read_text(encoding='utf-8')
    (model / 'vocab.txt').write_text(swapped(vocabulary, 'good', 'film'), encoding='utf-8')
    gc.collect()
    assert 'another vocabulary' in refused(program.main, [*command, '--resume'])
    assert {path: path.read_bytes() for path in out.iterdir() if path.name != '.lock'} == before
    (model / 'vocab.txt').write_text(vocabulary, encoding='utf-8')
    gc.collect()
    assert not program.main([*command, '--resume'])


@pytest.mark.parametrize('name, flag, other', [
    ('classifier', '--dev_file', TABLE.replace('yes', 'no', 1)),
    ('tagger', '--dev_path', TAGS.replace('film O', 'film B-PER')),
    ('questions', '--dev_file', squad('film'))])
def test_a_run_continues_only_with_its_own_dev_data(tmp_path, monkeypatch, name, flag, other):
    monkeypatch.setenv('BERT_OFFLINE', '1')
    program, flags, content, _ = RUNS[name]
    data, dev, moved, out = (tmp_path / part for part in ('a.tsv', 'b.tsv', 'c.tsv', 'out'))
    for path in data, dev, moved:
        path.write_text(content, encoding='utf-8')
    command = flags.replace(' --dev_file {data}', '').format(model=TINY, data=data, out=out).split()
    assert not program.main([*command, flag, str(dev)])
    gc.collect()
    dev.write_text(other, encoding='utf-8')
    assert refused(program.main, [*command, flag, str(dev), '--resume']) == (
        f'the run in {out} began with other dev data, whose scores cannot be compared; continue it '
        'with the same, or start a new run in another folder')
    gc.collect()
    assert not program.main([*command, flag, str(moved), '--resume'])


def swapped(text, first, second):
    """The text with two of its lines in each other's place."""
    lines = text.split('\n')
    one, other = lines.index(first), lines.index(second)
    lines[one], lines[other] = second, first
    return '\n'.join(lines)
