"""The command lines of GluonNLP's own tests (0.8 and 0.10) mean here what they meant there."""
import json
import os

import pytest
from helpers import SAMPLE, TEXT, TINY, records

from bert import embedding
from bert.pretraining import flags as pretraining_flags
from export import export
from scripts import (
    create_pretraining_data,
    finetune_classifier,
    finetune_ner,
    finetune_squad,
    predict_ner,
    run_pretraining,
    run_pretraining_hvd,
)

NAMED = ('--gpu 0 --model bert_12_768_12 --dataset_name book_corpus_wiki_en_uncased '
         '--max_seq_length 25 --batch_size 256 --oov_way avg --sentences jacksonville --verbose ')
MAKE = ('--input_file ./scripts/bert/sample_text.txt --output_dir test/bert/data --dataset_name '
        'book_corpus_wiki_en_uncased --max_seq_length 128 --max_predictions_per_seq 20 '
        '--dupe_factor 5 --masked_lm_prob 0.15 --verbose ')
NPZ = './test/bert/data/*.npz'
ALONE = (f'--log_interval 2 --data_eval {NPZ} --batch_size_eval 8 --ckpt_dir ./test/bert/ckpt '
         '--gpus 0 --num_steps 20 --num_buckets 1 --pretrained ')
HVD = ('--log_interval 2 --batch_size_eval 8 --ckpt_dir ./test/bert/ckpt --num_steps 20 '
       '--num_buckets 1 --pretrained ')
RAW = ('--raw --max_seq_length 128 --max_predictions_per_seq 20 --masked_lm_prob 0.15 '
       '--data ./scripts/bert/sample_text.txt --data_eval ./scripts/bert/sample_text.txt ')
TOTAL = ('--log_interval 2 --lr 2e-5 --warmup_ratio 0.5 --total_batch_size 32 '
         '--total_batch_size_eval 8 --ckpt_dir ./test/bert/ckpt --num_steps 20 --num_buckets 1 '
         '--pretrained ')
GLUE = '--log_interval 100 --epsilon 1e-8 --gpu 0 '
SQUAD = ('--optimizer adam --batch_size 32 --gpu --epochs 1 --debug --max_seq_length 32 '
         '--max_query_length 8 --doc_stride 384 ')
NER = ('--train-path train_sample.txt --dev-path validation_sample.txt --test-path '
       'test_sample.txt --gpu 0 --learning-rate 1e-5 --warmup-ratio 0 --batch-size 1 '
       '--num-epochs 1 --bert-model bert_24_1024_16 --save-checkpoint-prefix ./test_bert_ner')

# program, its arguments, where their values belong
LINES = [
    (embedding, NAMED + '--dtype float32', {
        'gpu': 0, 'bert_model': 'bert_12_768_12', 'max_seq_length': 25, 'batch_size': 256,
        'bert_dataset': 'book_corpus_wiki_en_uncased', 'oov_way': 'avg', 'verbose': True,
        'dtype': 'float32', 'sentences': ['jacksonville']}),
    (embedding, NAMED + '--params_path ~/.mxnet/models/bert.params', {
        'pretrained_bert_parameters': os.path.expanduser('~/.mxnet/models/bert.params')}),
    (create_pretraining_data, MAKE + '--whole_word_mask --short_seq_prob 0.1', {
        'whole_word_mask': True, 'dupe_factor': 5, 'max_predictions_per_seq': 20}),
    (create_pretraining_data, MAKE + '--short_seq_prob 0', {
        'short_seq_prob': 0, 'whole_word_mask': False, 'masked_lm_prob': 0.15}),
    (run_pretraining, f'{ALONE}--dtype float32 --data {NPZ} --batch_size 32 --lr 2e-5 '
                      '--warmup_ratio 0.5', {
        'batch_size': 32, 'gpus': '0', 'data': [NPZ], 'data_eval': [NPZ], 'pretrained': True,
        'dtype': 'float32', 'num_steps': 20, 'batch_size_eval': 8}),
    (run_pretraining, ALONE + '--dtype float32', {'data': None, 'data_eval': [NPZ]}),
    (run_pretraining, f'{ALONE}--data {NPZ} --batch_size 4096 --use_avg_len --lr 2e-5 '
                      '--warmup_ratio 0.5', {'batch_size': 4096, 'use_avg_len': True}),
    (run_pretraining_hvd, f'{HVD}--dtype float32 --data {NPZ} --data_eval {NPZ} --batch_size 32 '
                          '--lr 2e-5 --eval_use_npz --warmup_ratio 0.5', {
        'eval_use_npz': True, 'warmup_ratio': 0.5}),
    (run_pretraining_hvd, HVD + RAW + '--dtype float32 --short_seq_prob 0.1 --batch_size 32 '
                          '--lr 2e-5 --warmup_ratio 0.5', {'raw': True, 'max_seq_length': 128}),
    (run_pretraining_hvd, f'{HVD}--dtype float32 --data_eval {NPZ} --eval_use_npz', {
        'data': None, 'data_eval': [NPZ]}),
    (run_pretraining_hvd, f'{HVD}--data {NPZ} --data_eval {NPZ} --batch_size 4096 --use_avg_len '
                          '--lr 2e-5 --warmup_ratio 0.5', {'batch_size': 4096}),
    *((run_pretraining, f'{TOTAL}--comm_backend {backend} --optimizer {optimizer} {more}', {
        'kvstore': backend, 'optimizer': optimizer, 'total_batch_size': 32,
        'total_batch_size_eval': 8})
      for backend, gpus in (('horovod', ''), ('device', '--gpus 0 '))
      for optimizer in ('bertadam', 'lamb')
      for more in (f'{gpus}--dtype float32 --data {NPZ} --data_eval {NPZ} --eval_use_npz',
                   gpus + RAW)),
    *((finetune_classifier, f'{GLUE}{adam}--max_len 80 --only_inference --task_name {task}', {
        'task_name': task, 'only_inference': True, 'max_len': 80, 'epsilon': 1e-8, 'gpu': 0})
      for adam in ('--optimizer adam ', '')
      for task in ('MNLI', 'STS-B', 'XNLI', 'ChnSentiCorp')),
    *((finetune_classifier, f'{GLUE}--optimizer adam --epochs 2 --dtype {dtype} --task_name WNLI '
                            f'--optimizer {optimizer}', {'optimizer': optimizer, 'dtype': dtype})
      for dtype in ('float32', 'float16') for optimizer in ('bertadam', 'adam')),
    *((finetune_classifier, f'{GLUE}--task_name WNLI --bert_model {model} --epochs {epochs} '
                            f'--dtype {dtype} {more}', {'epochs': epochs, 'bert_model': model})
      for dtype in ('float32', 'float16')
      for epochs, early in ((2, ''), (4, '--early_stop 2 '))
      for model, more in (
          ('bert_12_768_12', early),
          ('roberta_12_768_12', early + '--bert_dataset openwebtext_ccnews_stories_books_cased'))),
    (finetune_classifier, '--log_interval 1000000 --model_parameters '
                          'bert_base_uncased_sst-a628b1d4.params --gpu 0 --only_inference '
                          '--task_name SST --epochs 1', {
        'model_parameters': 'bert_base_uncased_sst-a628b1d4.params', 'task_name': 'SST'}),
    *((export, f'--task {task}', {'task': task, 'seq_length': None, 'dropout': 0.1})
      for task in ('classification', 'regression', 'question_answering')),
    *((finetune_squad, f'--optimizer adam --batch_size 12 --gpu 0 --epochs 2 --debug {more}', {
        'optimizer': 'adam', 'batch_size': 12, 'gpu': 0, 'epochs': 2, 'debug': True})
      for more in ('', '--sentencepiece test-682b5d15.bpe')),
    *((finetune_squad, SQUAD + more, {
        'gpu': 0, 'epochs': 1, 'max_seq_length': 32, 'max_query_length': 8, 'doc_stride': 384,
        'sentencepiece': 'test-682b5d15.bpe' if 'bpe' in more else None})
      for more in ('', '--sentencepiece test-682b5d15.bpe', '--round_to 8')),
    (finetune_ner, NER, {
        'train_path': 'train_sample.txt', 'dev_path': 'validation_sample.txt', 'gpu': 0,
        'test_path': 'test_sample.txt', 'lr': 1e-5, 'warmup_ratio': 0, 'batch_size': 1,
        'epochs': 1, 'bert_model': 'bert_24_1024_16', 'output_dir': './test_bert_ner'}),
    (predict_ner, '--test-path t.txt --seq-len 200 --load-checkpoint-prefix p --gpu 0 '
                  '--batch-size 32', {'model_parameters': 'p', 'seq_len': 200, 'gpu': 0}),
]


@pytest.mark.parametrize('script, line, expected', LINES,
                         ids=[f'{script.__name__}-{i}' for i, (script, *_) in enumerate(LINES)])
def test_a_line_is_taken(script, line, expected):
    args = vars(script.parse_args(line.split()))
    assert {name: args[name] for name in expected} == expected


def test_defaults_are_gluonnlps():
    ner = finetune_ner.parse_args(['--train-path', 'x'])
    assert (ner.batch_size, ner.epochs) == (32, 4)
    assert run_pretraining.parse_args(['--data', 'x']).batch_size == 8
    assert run_pretraining.parse_args(['--data', 'x', '--model', 'sample']).batch_size == 32


@pytest.mark.parametrize('script, line, words', [
    (finetune_squad, '--round_to 8', '--round_to: not needed'),
    (finetune_classifier, '--task_name WNLI --calib_mode naive', '--calib_mode: goes with'),
    (run_pretraining, '--data x --no_compute_acc --circle_length 2', '--circle_length: not')])
def test_a_flag_without_a_meaning_is_explained(script, line, words, capsys):
    script.parse_args(line.split())
    assert words in capsys.readouterr().err


@pytest.mark.parametrize('flag', ['--deploy', '--only_calibration'])
def test_a_flag_for_another_program_is_refused(flag, capsys):
    with pytest.raises(SystemExit):
        finetune_squad.parse_args([flag])
    error = capsys.readouterr().err
    assert f'{flag}: to make and measure an int8 model use export' in error
    assert error.count('\n') == 1


def test_total_batch_size_and_the_second_phase(tmp_path):
    args = run_pretraining.parse_args([
        '--data', 'x', '--total_batch_size', '48', '--total_batch_size_eval', '8', '--cpus', '2',
        '--accumulate', '3', '--phase2', '--phase1_num_steps', '900', '--start_step', '950',
        '--ckpt_dir', str(tmp_path)])
    run, _ = pretraining_flags.start(args, 'local')
    assert (run.training.batch_size, run.training.eval_batch_size) == (8, 4)
    assert (run.model.name, run.model.pretrained) == (str(tmp_path), True)
    assert run.checkpoints.folder == str(tmp_path / 'phase2') and run.checkpoints.start_step == 50


def test_training_steps_and_horovod():
    args = finetune_classifier.parse_args(['--task_name', 'WNLI', '--training_steps', '7',
                                           '--horovod'])
    assert (args.training_steps, args.comm) == (7, 'horovod')
    assert finetune_squad.parse_args(['--comm_backend', 'horovod']).comm == 'horovod'


# Lines that run, with a local model in place of the download.

@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run a program in an empty folder: call(script, line, *more)."""
    monkeypatch.setenv('BERT_OFFLINE', '1')
    monkeypatch.chdir(tmp_path)

    def run(script, line, *more):
        assert script.main([*line.split(), *more]) == 0
    return run


@pytest.mark.slow
def test_pretraining_lines_run(call, caplog, tmp_path):
    caplog.set_level('INFO')
    call(create_pretraining_data, MAKE + '--short_seq_prob 0 --num_workers 1', '--input_file', TEXT,
         '--dataset_name', 'sample', '--dupe_factor', '1')
    assert os.listdir('test/bert/data')
    line = TOTAL.replace('--num_steps 20', '--num_steps 2') + f'--comm_backend device --data {NPZ}'
    call(run_pretraining, f'{line} --data_eval {NPZ} --eval_use_npz', '--model', 'sample')
    assert len(records(tmp_path / 'test' / 'bert' / 'ckpt', 'dev')) == 1
    before = sorted(os.listdir('test/bert/ckpt'))
    caplog.clear()
    call(run_pretraining, ALONE.replace('--gpus 0', ''), '--model', 'sample')
    assert 'the sample model, a toy, dev: MLM loss ' in caplog.text
    trained = [record.getMessage() for record in caplog.records]
    call(run_pretraining, ALONE.replace('--gpus 0', ''), '--start_step', '2')
    assert 'step-0000002.params, dev: MLM loss ' in caplog.text.replace('\n', '')
    assert trained and sorted(os.listdir('test/bert/ckpt')) == before


@pytest.mark.slow
def test_only_inference_without_a_model(call, caplog, tmp_path):
    call(finetune_classifier, '--log_interval 100 --epsilon 1e-8 --max_len 40 --only_inference '
                              '--task_name sample', '--bert_model', TINY)
    assert 'the head is random' in caplog.text
    results = json.loads((tmp_path / 'output_dir' / 'results.json').read_text(encoding='utf-8'))
    assert 0 <= results['dev']['accuracy'] <= 1


@pytest.mark.slow
def test_squad_from_a_vocabulary_alone(call, caplog, capsys, tmp_path):
    sentencepiece = pytest.importorskip('sentencepiece')
    data = os.path.join(SAMPLE, 'squad')
    sentencepiece.SentencePieceTrainer.train(
        input=TEXT, model_prefix=str(tmp_path / 'own'), vocab_size=300, pad_id=3, minloglevel=2)
    line = SQUAD.replace('--gpu ', '').replace('32', '48') + '--training_steps 2 --round_to 8'
    call(finetune_squad, line, '--bert_model', 'sample', '--sentencepiece', 'own.model',
         '--train_file', os.path.join(data, 'dev-v1.1.json'))
    assert 'so they are random' in caplog.text and 'do not overlap' in caplog.text
    assert '--round_to: not needed' in capsys.readouterr().err
    config = json.loads((tmp_path / 'output_dir' / 'config.json').read_text(encoding='utf-8'))
    assert config['vocab_size'] == 303
    call(finetune_squad, '--model_parameters output_dir --predict Who?', 'He was here.')
