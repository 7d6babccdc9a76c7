"""The model card of a result folder."""
import json

import pytest

from bert.training import model_card, summary

CONFIG = {'num_hidden_layers': 2, 'hidden_size': 32, 'id2label': {'0': 'no', '1': 'yes'}}


@pytest.fixture
def card(tmp_path):
    """card(texts, config, arguments, scores) -> the card of a folder with these."""
    def make(texts=('A text.',), config=CONFIG, arguments=None, scores=None, predict='x'):
        (tmp_path / 'config.json').write_text(json.dumps(config))
        (tmp_path / 'arguments.json').write_text(json.dumps(arguments or {}))
        model_card.write(str(tmp_path), scores or {}, predict, texts)
        return (tmp_path / 'README.md').read_text(encoding='utf-8')
    return make


@pytest.mark.parametrize('task, pipeline', [
    ('MRPC', 'text-classification'), ('ner', 'token-classification'),
    ('custom', 'text-classification')])
def test_what_it_says(card, task, pipeline):
    text = card(config=dict(CONFIG, gluon_bert={'task': task}),
                arguments={'train_file': 'my train.tsv', 'lr': 0.1, 'resume': False, 'gpu': None},
                scores={'dev': {'f1': 0.5, 'types': {'PER': {'f1': 0.25, 'support': 20}}},
                        'test': {'f1': 1.0}},
                predict='bert-predict-ner --text "A text."')
    assert text.startswith(f'---\npipeline_tag: {pipeline}\n---\n\n# {task}\n\n<!-- Written by ')
    for part in ('\n\nLabels: no, yes\n\n## Data\n\n', '- `train_file`: my train.tsv',
                 '\n\n## Scores\n\n| set |', '| dev | f1 | 0.5000 |',
                 '| dev | types PER f1 | 0.2500 |', '| dev | types PER support | 20 |',
                 '| test | f1 | 1.0000 |', '`lr=0.1 train_file',
                 '    bert-predict-ner --text "A text."\n',
                 f"    pipe = pipeline('{pipeline}', 'transformers')\n    print(pipe('A text.'))\n",
                 '\n    python predict_onnx.py onnx "A text."\n',
                 '`bert-convert-checkpoint . transformers`',
                 '`bert-export --model_parameters . --format onnx --output_dir onnx`'):
        assert part in text
    assert 'resume' not in text and 'gpu' not in text.replace('gluon', '')
    assert 'percent' not in text and '\n\n\n' not in text


def test_of_question_answering(card):
    config = {'num_hidden_layers': 2, 'hidden_size': 32, 'gluon_bert': {'task': 'squad'}}
    text = card(('A question?', 'A passage.'), config,
                scores={'dev': {'exact': 50.0, 'f1': 62.5, 'total': 43}})
    assert text.startswith('---\npipeline_tag: question-answering\n---\n\n# squad\n')
    for part in ('(squad).\n\n## Data\n',
                 '\n## Scores\n\n`exact` and `f1` are in percent.\n\n| set',
                 '| dev | f1 | 62.5000 |\n| dev | total | 43 |\n',
                 "inputs = tokenizer('A question?', 'A passage.', return_tensors='pt')\n",
                 '\n    python predict_onnx.py onnx "A question?" "A passage."\n'):
        assert part in text
    assert 'Labels' not in text and 'pipeline(' not in text and '\n\n\n' not in text


def test_of_a_regression_on_pairs(card):
    text = card(('A text.', 'Another text.'),
                dict(CONFIG, id2label={'0': 'score'}, problem_type='regression'))
    assert "print(pipe({'text': 'A text.', 'text_pair': 'Another text.'}))\n" in text
    assert 'predict_onnx.py onnx "A text." "Another text."\n' in text and 'Labels' not in text


def test_only_we_have_a_tokenizer_for_sentencepiece(card, tmp_path):
    (tmp_path / 'spm.model').write_text('')
    text = card(predict='bert-predict-ner')
    assert text.endswith('With gluon-bert:\n\n    bert-predict-ner\n')
    assert 'Transformers' not in text and 'onnx' not in text


def test_a_model_without_labels_and_scores(card):
    text = card(config={'num_hidden_layers': 1, 'hidden_size': 8},
                predict='caf\udce9')    # of a command line that is not UTF-8
    assert 'Labels' not in text and 'caf\\udce9' in text and 'no labelled dev or test set' in text


def test_the_texts_of_a_hint():
    for texts in ('A text.',), ('A text.', 'Another text.'):
        arguments = ('--windows', '--stride', '64', '--predict', *texts)
        assert summary.Hint('to predict', 'x.py', '--model', arguments).texts == texts


def test_a_file_of_the_user_is_kept(tmp_path):
    ours, users = tmp_path / 'ours', tmp_path / 'users'
    for folder in ours, users:
        folder.mkdir()
        (folder / 'config.json').write_text(json.dumps(CONFIG))
        (folder / 'arguments.json').write_text('{}')
    model_card.copy(str(ours), str(users), '')      # nothing is there to be copied
    text = '---\npipeline_tag: text-classification\n---\nMy own words.\n'
    (users / 'README.md').write_text(text)
    for score in 0.25, 0.75:            # the second card replaces the first
        for folder in ours, users:
            model_card.write(str(folder), {'dev': {'f1': score}}, 'x', ('A text.',))
    assert '| dev | f1 | 0.7500 |' in (ours / 'README.md').read_text()
    model_card.copy(str(ours), str(users), 'The best.')
    assert (users / 'README.md').read_text() == text
    card = (ours / 'README.md').read_bytes()
    model_card.copy(str(users), str(ours), 'The best.')
    assert (ours / 'README.md').read_bytes() == card
    (users / 'README.md').unlink()
    model_card.copy(str(ours), str(users), 'The best.')
    assert (users / 'README.md').read_bytes() == card.replace(
        b'\n## Scores\n\n', b'\n## Scores\n\nThe best.\n\n')
