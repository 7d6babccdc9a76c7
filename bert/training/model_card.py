"""The model card of a result folder: README.md, which says what the model is and how to use it."""
import numbers
import os
from typing import Any, Mapping, Sequence

from ..data.tasks import REGRESSION
from ..utils import cli, files

__all__ = ['NAME', 'copy', 'write']

NAME = 'README.md'
# a line of every card; a file without it is the user's own
_OURS = '<!-- Written by gluon-bert, which replaces this file as long as this line is here. -->'
# task of a result folder -> the pipeline of Transformers; all others are classifications
_PIPELINES = {'ner': 'token-classification', 'squad': 'question-answering'}
_SCORES = '## Scores'       # the heading of the section
_DATA = ('task_name', 'data_dir', 'train_file', 'train_path', 'dev_file', 'dev_path', 'test_file',
         'test_path')


def write(folder: str, scores: Mapping[str, Any], predict: str, texts: Sequence[str]) -> None:
    """Write README.md of a trained model from the config.json and arguments.json of its folder.

    A README.md that the user has written is kept.

    ``scores`` are {set: {metric: value}}; ``predict`` is the command that uses the model, run in
    its folder, and ``texts`` are the example texts in it, one or two.
    """
    if _is_users(folder):
        return
    config = files.read_json(os.path.join(folder, 'config.json'))
    arguments = files.read_json(os.path.join(folder, 'arguments.json'))
    task = config.get('gluon_bert', {}).get('task', 'custom')
    pipeline = _PIPELINES.get(task, 'text-classification')
    labels = [config['id2label'][str(i)] for i in range(len(config.get('id2label') or ()))]
    if config.get('problem_type') == REGRESSION:
        labels = []     # its output is a number
    data = [f'- `{name}`: {arguments[name]}' for name in _DATA if arguments.get(name)]
    flags = ' '.join(f'{name}={value}' for name, value in sorted(arguments.items())
                     if value is not None and value is not False)
    rows = [f'| {group} | {name} | {_shown(value)} |' for group, name, value in _numbers(scores)]
    text = f"""\
---
pipeline_tag: {pipeline}
---

# {task}

{_OURS}

A BERT of {config['num_hidden_layers']} layers and {config['hidden_size']} units, fine-tuned with
gluon-bert for {pipeline.replace('-', ' ')}{' (' + task + ')' if task != 'custom' else ''}.
{_paragraph('Labels: ' + ', '.join(labels)) if labels else ''}
## Data

{chr(10).join(data) or '- the official or sample data of the task'}

{_SCORES}
{_paragraph('`exact` and `f1` are in percent.') if task == 'squad' else ''}
| set | metric | value |
| --- | --- | --- |
{chr(10).join(rows) or '| - | - | no labelled dev or test set |'}

## Flags

`{flags}`

## Use

Run these in this folder; the commands `bert-...` come with gluon-bert (`pip install` in its
checkout).  With gluon-bert:

    {predict}
"""
    # Transformers and the examples of export/ have no tokenizer for SentencePiece
    if not os.path.exists(os.path.join(folder, 'spm.model')):
        text += _use_of_others(pipeline, texts)
    _write(folder, text.encode('utf-8', 'backslashreplace'))


def _paragraph(text):
    return f'\n{text}\n'


def _use_of_others(pipeline, texts):
    """How to use the model without this package."""
    convert = cli.console_command('scripts/convert_checkpoint.py', '.', 'transformers')
    export = cli.console_command('export/export.py', '--model_parameters', '.', '--format', 'onnx',
                                 '--output_dir', 'onnx')
    if pipeline == 'question-answering':    # of which Transformers 5 has no pipeline
        question, passage = texts
        lines = f"""\
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained('transformers')
    model = AutoModelForQuestionAnswering.from_pretrained('transformers')
    inputs = tokenizer({question!r}, {passage!r}, return_tensors='pt')
    outputs = model(**inputs)
    start = outputs.start_logits[0].argmax()
    end = start + outputs.end_logits[0, start:].argmax()
    print(tokenizer.decode(inputs['input_ids'][0, start:end + 1]))"""
    else:
        given = repr(texts[0]) if len(texts) == 1 else (
            f"{{'text': {texts[0]!r}, 'text_pair': {texts[1]!r}}}")
        lines = f"""\
    from transformers import pipeline
    pipe = pipeline('{pipeline}', 'transformers')
    print(pipe({given}))"""
    return f"""
With Transformers, after `{convert}`:

{lines}

With onnxruntime, after `{export}`,
by predict_onnx.py (in export/examples):

    python predict_onnx.py onnx {' '.join(f'"{text}"' for text in texts)}
"""


def copy(source: str, folder: str, note: str) -> None:
    """Give a folder the model card of another one, if there is one, with a ``note`` on its scores.

    A README.md that the user has written is neither copied nor replaced.
    """
    card = _read(source)
    if card is not None and _is_ours(card) and not _is_users(folder):
        heading = f'\n{_SCORES}\n'
        _write(folder, card.replace(heading.encode(), (heading + _paragraph(note)).encode(), 1))


def _read(folder):
    """The bytes of a folder's README.md, or None."""
    try:
        with open(os.path.join(folder, NAME), 'rb') as f:
            return f.read()
    except FileNotFoundError:
        return None


def _is_users(folder):
    """Whether a folder has a README.md that :func:`write` has not written."""
    card = _read(folder)
    return card is not None and not _is_ours(card)


def _is_ours(card):
    return _OURS.encode() in card.splitlines()


def _write(folder, content):
    with files.atomic(os.path.join(folder, NAME)) as temporary, open(temporary, 'wb') as f:
        f.write(content)


def _numbers(scores, path=()):
    """(set, metric, value) of the numbers in scores; the names of nested ones are joined."""
    for name, value in scores.items():
        if isinstance(value, dict):
            yield from _numbers(value, (*path, name))
        else:
            yield path[0], ' '.join((*path[1:], name)), value


def _shown(value):
    """A number for the table: a count as such, a score with four digits."""
    return str(value) if isinstance(value, numbers.Integral) else f'{value:.4f}'
