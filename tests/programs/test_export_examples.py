"""The programs in export/examples, and the tokenizer that they use."""
import ast
import os
import re
import shutil
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from exporting import LABELS, TASKS, live
from helpers import DATA_FOLDER, ROOT, TINY

from bert.checkpoint import result_folder
from bert.checkpoint.weights import read_params, write_params
from bert.text import tokenizer, transform
from bert.text.added_tokens import AddedToken
from bert.text.vocabulary import SPECIALS
from bert.utils.files import read_json, write_json
from export import tokenizer_json
from export.formats import FORMATS

EXAMPLES = os.path.join(ROOT, 'export', 'examples')


@pytest.mark.parametrize('form', FORMATS)
def test_examples_predict_from_text(models, exports, tmp_path, form):
    path = os.path.join(EXAMPLES, f'predict_{form}.py')
    with open(path, encoding='utf-8') as f:
        tree = ast.parse(f.read())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names} | {node.module for node in ast.walk(tree)
                                         if isinstance(node, ast.ImportFrom)}
    assert names == {'json', 'sys', 'pathlib', 'numpy', 'tokenizers',
                     {'symbol': 'mxnet', 'onnx': 'onnxruntime'}[form]}
    install = re.search('pip install (.*)', ast.get_docstring(tree)).group(1).split()
    assert install == {      # MXNet imports distutils, which Python 3.12 has only by setuptools
        'symbol': ['mxnet', 'tokenizers', '"numpy<2"', 'setuptools'],
        'onnx': ['onnxruntime', 'tokenizers']}[form]
    pytest.importorskip('tokenizers', reason='the examples take it (pip install tokenizers)')
    tok = tokenizer.load(TINY)
    text, second = 'Thé cat, the dog', 'a Cat?'
    ids, more = tok.ids(text), tok.ids(second)
    tokens = ['[CLS]', *tok.tokens(ids), '[SEP]', *tok.tokens(more), '[SEP]']
    arrays = (np.array([[tok.cls_id, *ids, tok.sep_id, *more, tok.sep_id]], 'int32'),
              np.array([[0] * (len(ids) + 2) + [1] * (len(more) + 1)], 'int32'),
              np.array([len(tokens)], 'float32'))
    for task in TASKS:
        result = subprocess.run([sys.executable, '-I', '-W', 'ignore', path, exports(task, form),
                                 text, second], cwd=str(tmp_path), stdout=subprocess.PIPE,
                                text=True, check=True)
        lines = result.stdout.split('\n')
        assert lines[0].split(' ') == tokens
        outputs = live(models[task], task)(arrays)
        if task == 'question_answering':
            start = outputs[0][0].argmax()
            end = start + outputs[1][0][start:].argmax()
            assert lines[1] == ' '.join(tokens[start:end + 1])
            continue
        if LABELS.get(task):
            best = np.atleast_1d(outputs[0][0].argmax(axis=-1))
            assert lines[1].startswith(' '.join(LABELS[task][i] for i in best) + ' [')
        numbers = np.array(result.stdout[result.stdout.index('[', result.stdout.index('\n')):]
                           .replace('[', ' ').replace(']', ' ').split(), 'float32')
        assert np.abs(numbers - outputs[-1][0].ravel()).max() < 1e-5


@pytest.mark.parametrize('form', FORMATS)
def test_examples_print_all_labels_of_a_text(program, models, tmp_path, form):
    """A head that gives one text two labels, and another text none."""
    pytest.importorskip('tokenizers', reason='the examples take it (pip install tokenizers)')
    for package in ('onnx', 'onnxruntime') if form == 'onnx' else ():
        pytest.importorskip(package, reason='the extra onnx is not installed')
    tok, pooled = tokenizer.load(TINY), live(models['embedding'], 'embedding')
    one, other = (pooled((np.array([ids], 'int32'), np.zeros((1, len(ids)), 'int32'),
                          np.array([len(ids)], 'float32')))[1][0]
                  for ids in (transform.pair(tok, text).ids for text in ('the cat', 'a dog')))
    slope = 2 * (one - other) / ((one - other) ** 2).sum()
    middle = slope.dot(one + other) / 2                 # logits are 1 and -1
    folder, out = tmp_path / 'model', tmp_path / 'out'
    shutil.copytree(models['classification'], str(folder))
    weights = str(folder / result_folder.WEIGHTS)
    head = {'classifier.1.weight': np.array([slope, 0 * slope, 2 * slope]),
            'classifier.1.bias': np.array([-middle, -1, -2 * middle])}
    write_params(weights, dict(read_params(weights), **{
        name: array.astype('float32') for name, array in head.items()}))
    config = read_json(str(folder / 'config.json'))
    write_json(str(folder / 'config.json'),
               dict(config, problem_type='multi_label_classification',
                    gluon_bert=dict(config['gluon_bert'], pair=False)))
    program('export/export.py', '--model_parameters', str(folder), '--output_dir', str(out),
            '--format', form, check=0)
    for text, names, logits in ('the cat', ['good', 'so', 'so'], [1, -1, 2]), (
            'a dog', [], [-1, -1, -2]):
        said = program(f'export/examples/predict_{form}.py', str(out), text, check=0).stdout
        words = said.split('\n')[1].replace('[', ' ').replace(']', ' ').split()
        assert words[:-3] == names
        np.testing.assert_allclose(np.array(words[-3:], float), logits, atol=1e-3)


def test_examples_cut_long_texts(models, exports, tmp_path):
    pytest.importorskip('tokenizers', reason='the examples take it (pip install tokenizers)')
    tok = tokenizer.load(TINY)
    for form, task, texts in (('symbol', 'embedding', ('cat ' * 700,)),
                              ('onnx', 'classification', ('a dog ' * 300, 'cat'))):
        result = subprocess.run(
            [sys.executable, '-I', '-W', 'ignore', os.path.join(EXAMPLES, f'predict_{form}.py'),
             exports(task, form), *texts], cwd=str(tmp_path), stdout=subprocess.PIPE,
            text=True, check=True)
        expected = transform.pair(tok, *texts, max_len=24).ids
        assert result.stdout.split('\n')[0].split(' ') == tok.tokens(expected)
        assert len(expected) == 24


@pytest.mark.parametrize('form', FORMATS)
def test_examples_refuse_a_wrong_number_of_texts(models, exports, tmp_path, form):
    pytest.importorskip('tokenizers', reason='the examples take it (pip install tokenizers)')
    out = tmp_path / 'out'
    shutil.copytree(exports('regression', form), str(out))
    config = read_json(str(out / 'config.json'))

    def call(*texts):
        result = subprocess.run(
            [sys.executable, '-I', '-W', 'ignore', os.path.join(EXAMPLES, f'predict_{form}.py'),
             str(out), *texts], cwd=str(tmp_path), capture_output=True, text=True)
        return result.returncode, result.stdout + result.stderr

    def refusal(wanted, given):
        return 2, f'{out}: the number of texts, each in quotes, must be {wanted}, not {given}\n'

    for pair, wanted in (True, '2'), (False, '1'), (None, '1 or 2'):
        write_json(str(out / 'config.json'), dict(
            config, gluon_bert=dict(config['gluon_bert'], pair=pair)))
        for count in 0, 1, 2, 3:
            if str(count) not in wanted.split(' or '):
                assert call(*['cat'] * count) == refusal(wanted, count)
    assert call('cat')[0] == 0 == call('cat', 'dog')[0]     # not known
    shutil.rmtree(str(out))
    shutil.copytree(exports('question_answering', form), str(out))
    assert call('cat') == refusal('2', 1)


def both_tokenizers(folder, ours):
    """Our tokenizer, and that of the examples from the tokenizer.json of an export."""
    tokenizers = pytest.importorskip('tokenizers',
                                     reason='the examples take it (pip install tokenizers)')
    ours.save(folder)
    tokenizer_json.write(folder, ours)
    theirs = tokenizers.Tokenizer.from_file(os.path.join(folder, 'tokenizer.json'))
    return ours, theirs


@pytest.mark.parametrize('case', ['uncased', 'cased'])
def test_the_tokenizer_of_the_examples_is_ours(tmp_path, case):
    hard = read_json(os.path.join(DATA_FOLDER, 'hard_strings.json'))
    specials = [AddedToken(token, hard['vocabulary'].index(token)) for token in SPECIALS]
    ours, theirs = both_tokenizers(str(tmp_path), tokenizer.WordPiece(
        hard['vocabulary'], case == 'cased', added=specials))
    assert theirs.normalizer.lowercase == (case == 'uncased')
    # Rust has no lone surrogates
    for text in (row['text'] for row in hard['strings']):
        if 'Cs' not in map(unicodedata.category, text):
            assert theirs.encode(text, add_special_tokens=False).ids == ours.ids(text)


def test_the_tokenizer_of_the_examples_cuts_pairs(tmp_path):
    """As ours, though with an odd number of tokens left it is the second text that keeps one more.
    """
    ours, theirs = both_tokenizers(str(tmp_path), tokenizer.load(TINY))
    for length in 16, 17:
        theirs.enable_truncation(length)
        for first in range(1, 30, 3):
            for second in range(1, 30):
                texts = 'a ' * first, 'b ' * second
                expected = transform.pair(ours, *texts, max_len=length)
                found = theirs.encode(*texts)
                assert len(found.ids) == len(expected.ids)
                more = sum(found.type_ids) - sum(expected.token_types)
                assert more in ((0, 1) if length % 2 == 0 else (0,))
