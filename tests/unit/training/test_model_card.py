"""The model card of a result folder."""
import json

import pytest

from bert.training import model_card

CONFIG = {'num_hidden_layers': 2, 'hidden_size': 32, 'id2label': {'0': 'no', '1': 'yes'}}


@pytest.mark.parametrize('task, pipeline', [
    ('MRPC', 'text-classification'), ('ner', 'token-classification'),
    ('squad', 'question-answering'), ('custom', 'text-classification')])
def test_what_it_says(tmp_path, task, pipeline):
    (tmp_path / 'config.json').write_text(json.dumps(dict(CONFIG, gluon_bert={'task': task})))
    (tmp_path / 'arguments.json').write_text(json.dumps(
        {'train_file': 'my train.tsv', 'lr': 0.1, 'resume': False, 'gpu': None}))
    scores = {'dev': {'f1': 0.5, 'types': {'PER': {'f1': 0.25}}}, 'test': {'f1': 1}}
    model_card.write(str(tmp_path), scores, 'bert-predict-ner --text "A text."')
    text = (tmp_path / 'README.md').read_text(encoding='utf-8')
    assert text.startswith(f'---\npipeline_tag: {pipeline}\n---\n\n# {task}\n\n<!-- Written by ')
    for part in ('Labels: no, yes', '- `train_file`: my train.tsv', '| dev | f1 | 0.5000 |',
                 '| dev | types PER f1 | 0.2500 |', '| test | f1 | 1.0000 |', '`lr=0.1 train_file',
                 '    bert-predict-ner --text "A text."\n', 'python predict_onnx.py',
                 '`bert-convert-checkpoint . transformers`',
                 '`bert-export --model_parameters . --format onnx --output_dir onnx`'):
        assert part in text
    assert 'resume' not in text and 'gpu' not in text.replace('gluon', '')


def test_a_model_without_labels_and_scores(tmp_path):
    (tmp_path / 'config.json').write_text('{"num_hidden_layers": 1, "hidden_size": 8}')
    (tmp_path / 'arguments.json').write_text('{}')
    model_card.write(str(tmp_path), {}, 'caf\udce9')     # of a command line that is not UTF-8
    text = (tmp_path / 'README.md').read_text(encoding='utf-8')
    assert 'Labels: none' in text and 'caf\\udce9' in text and 'no labelled dev or test set' in text


def test_a_file_of_the_user_is_kept(tmp_path):
    ours, users = tmp_path / 'ours', tmp_path / 'users'
    for folder in ours, users:
        folder.mkdir()
        (folder / 'config.json').write_text(json.dumps(CONFIG))
        (folder / 'arguments.json').write_text('{}')
    model_card.copy(str(ours), str(users))      # nothing is there to be copied
    text = '---\npipeline_tag: text-classification\n---\nMy own words.\n'
    (users / 'README.md').write_text(text)
    for score in 0.25, 0.75:            # the second card replaces the first
        for folder in ours, users:
            model_card.write(str(folder), {'dev': {'f1': score}}, 'x')
    assert '| dev | f1 | 0.7500 |' in (ours / 'README.md').read_text()
    model_card.copy(str(ours), str(users))
    assert (users / 'README.md').read_text() == text
    card = (ours / 'README.md').read_bytes()
    model_card.copy(str(users), str(ours))
    assert (ours / 'README.md').read_bytes() == card
    (users / 'README.md').unlink()
    model_card.copy(str(ours), str(users))
    assert (users / 'README.md').read_bytes() == card
