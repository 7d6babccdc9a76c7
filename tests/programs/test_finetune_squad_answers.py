"""The answers of a trained model: their files and scores, the threshold, and --predict."""
import json
import shutil

import numpy as np
import pytest
from squad_runs import answers, flags

from bert.data import squad, squad_answers
from bert.metrics import squad as squad_metrics
from bert.utils.errors import DataError
from bert.utils.files import read_json
from scripts import finetune_squad


def test_printed_scores_are_those_of_the_files(squad_run, passages):
    questions = squad.read(str(passages / 'dev.json'), train=False)
    scores = squad_metrics.evaluate(questions, answers(squad_run), answers(squad_run, 'null_odds'))
    assert read_json(str(squad_run / 'results.json'))['dev'] == scores
    lines = (squad_run.parent / 'said.txt').read_text(encoding='utf-8').splitlines()
    assert lines[:5] == [
        f"dev: exact {scores['exact']:.2f}, f1 {scores['f1']:.2f} (24 questions)",
        f"HasAns: exact {scores['HasAns_exact']:.2f}, f1 {scores['HasAns_f1']:.2f} (16 questions)",
        f"NoAns: exact {scores['NoAns_exact']:.2f}, f1 {scores['NoAns_f1']:.2f} (8 questions)",
        f"best exact {scores['best_exact']:.2f} with "
        f"--null_score_diff_threshold={scores['best_exact_thresh']!r}",
        f"best f1 {scores['best_f1']:.2f} with "
        f"--null_score_diff_threshold={scores['best_f1_thresh']!r}"]
    # every answer is a number or nothing, so that exact match needs no normalization
    golds = {q.id: [a.text for a in q.answers] or [''] for q in questions}
    assert scores['exact'] == pytest.approx(
        100 * np.mean([answers(squad_run)[i] in golds[i] for i in golds]))


def test_the_answer_files_agree(squad_run, passages):
    contexts = {q.id: q.context for q in squad.read(str(passages / 'dev.json'), train=False)}
    chosen, odds = answers(squad_run), answers(squad_run, 'null_odds')
    for id_, entries in answers(squad_run, 'nbest_predictions').items():
        assert sum(entry['probability'] for entry in entries) == pytest.approx(1)
        assert '' in [entry['text'] for entry in entries] and len(entries) <= 21
        assert all(entry['text'] in contexts[id_] for entry in entries)
        spans = [entry for entry in entries if entry['text']]
        null = next(entry for entry in entries if not entry['text'])
        best, least = (e['start_logit'] + e['end_logit'] for e in (spans[0], null))
        assert odds[id_] == pytest.approx(least - best)
        assert chosen[id_] == ('' if odds[id_] > 0 else spans[0]['text'])


def test_the_threshold_decides(call_squad, squad_run, passages, tmp_path):
    def again(*more):
        call_squad('--only_predict', '--model_parameters', str(squad_run), '--dev_file',
                   str(passages / 'dev.json'), '--output_dir', str(tmp_path), *more)
        return read_json(str(tmp_path / 'results.json'))['dev'], answers(tmp_path)

    before = read_json(str(squad_run / 'results.json'))['dev']
    scores, same = again()
    assert same == answers(squad_run) and scores['f1'] == before['f1']
    scores, none = again('--null_score_diff_threshold', '-1000')
    assert set(none.values()) == {''} and scores['NoAns_exact'] == 100
    every_score, every = again('--null_score_diff_threshold', '1000')
    assert '' not in every.values() and every_score['f1'] < before['f1']
    # the threshold that it names gives the score that it promises (more where an answer of
    # punctuation alone, which the official search counts as wrong, is scored as none)
    best, _ = again(f"--null_score_diff_threshold={every_score['best_f1_thresh']!r}")
    assert best['f1'] >= every_score['best_f1'] - 1e-9 and best['f1'] >= before['f1'] - 1e-9


def test_a_withheld_answer_makes_a_suggestion(capsys):
    question = squad.Question('1', 'q', 'a b', [squad.Answer('b', 2)], False)
    nbest = [{'text': '', 'probability': 0.6, 'start_logit': 1.0, 'end_logit': 1.0},
             {'text': 'b', 'probability': 0.4, 'start_logit': 0.5, 'end_logit': 0.75}]
    given = [squad_answers.Prediction('1', '', nbest, 0.75, -1)]
    args = finetune_squad.parse_args(['--version_2'])
    finetune_squad.suggest_threshold(args, [question], given,
                                     finetune_squad.evaluate(args, [question], given))
    assert capsys.readouterr().out == (
        'with the answers that are now withheld, f1 would be 100.00 at '
        '--null_score_diff_threshold=0.75\n')


def test_answers_from_a_result_folder(call_squad, squad_run, passages):
    """Line by line the same as from the file, three batches of lines; and where they are."""
    questions = squad.read(str(passages / 'dev.json'), train=False)
    said = call_squad('--model_parameters', str(squad_run / 'model.params'), '--predict',
                      '--test_batch_size', '1',
                      text=''.join(f'{q.question}\t{q.context}\r\n' for q in questions))
    lines = [line.split('\t') for line in said.splitlines()]
    assert len(lines) == len(questions)
    for question, (answer, probability, start, end) in zip(questions, lines):
        expected = answers(squad_run)[question.id]
        entry = next(e for e in answers(squad_run, 'nbest_predictions')[question.id]
                     if e['text'] == expected)
        assert float(probability) == pytest.approx(entry['probability'], abs=1e-3)
        if expected:
            assert expected == question.context[int(start):int(end)]
            assert answer == ' '.join(expected.split())     # a line each, without tabs
        else:
            assert (answer, start, end) == ('(no answer)', '-', '-')
    one = next(q for q in questions if answers(squad_run)[q.id] and '\u4eac' in q.context)
    assert call_squad('--model_parameters', str(squad_run), '--predict', one.question,
                      one.context).split('\t')[0] == answers(squad_run)[one.id]


def test_bad_lines_to_answer(call_squad, squad_run):
    assert call_squad('--model_parameters', str(squad_run), '--predict',
                      text='Who?\t\n') == '(no answer)\t1.0000\t-\t-\n'
    with pytest.raises(DataError, match='standard input line 10: only one text'):
        call_squad('--model_parameters', str(squad_run), '--predict', '--test_batch_size', '1',
                   text='Who?\tHe.\n' * 9 + 'no tab\n')


def test_one_answer_listed_and_another_given(call_squad, squad_run):
    """"No answer" is the likeliest and fills the list, yet the threshold decides for the span."""
    line = call_squad('--model_parameters', str(squad_run), '--n_best_size', '1',
                      '--null_score_diff_threshold', '1000', '--predict', 'How much did it cost?',
                      'The old river ran slowly past the town.')
    answer, probability, start, end = line.rstrip('\n').split('\t')
    assert answer == 'The old river ran slowly past the town.'[int(start):int(end)]
    assert float(probability) < 0.5


def test_a_result_folder_with_a_broken_setting(call_squad, squad_run, tmp_path):
    shutil.copytree(str(squad_run), str(tmp_path / 'out'))
    path = tmp_path / 'out' / 'config.json'
    path.write_text(path.read_text(encoding='utf-8').replace('"doc_stride": 12',
                                                             '"doc_stride": "12"'),
                    encoding='utf-8')
    with pytest.raises(DataError, match="doc_stride is '12', but must be a whole number"):
        call_squad('--model_parameters', str(tmp_path / 'out'), '--predict')


def test_unlabelled_questions_are_answered_but_choose_no_epoch(call_squad, passages, squad_run,
                                                               tmp_path):
    document = read_json(str(passages / 'dev.json'))
    for paragraph in document['data'][0]['paragraphs']:
        del paragraph['qas'][0]['answers'], paragraph['qas'][0]['is_impossible']
    path = tmp_path / 'test.json'
    path.write_text(json.dumps(document), encoding='utf-8')
    call_squad('--only_predict', '--model_parameters', str(squad_run), '--dev_file', str(path),
               '--output_dir', str(tmp_path / 'out'))
    assert answers(tmp_path / 'out') == answers(squad_run)
    assert not (tmp_path / 'out' / 'results.json').exists()
    with pytest.raises(DataError, match='answer them with --only_predict'):
        call_squad(*flags(passages, tmp_path / 'out', '--dev_file', str(path)))
