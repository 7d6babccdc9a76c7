"""What tests of the tagger's two programs have in common: data, flags of a small run, errors."""
import random

import pytest
from helpers import TINY

from bert.utils.errors import run

TRAIN, PREDICT = 'scripts/finetune_ner.py', 'scripts/predict_ner.py'
# easy to learn, so that tests may ask for the right answer
NAMES = {'ax': ('PER', 'z'), 'by': ('LOC', 'v'), 'cy': ('ORG', 'w')}


def make_sentences(count, seed, longest=12):
    """Yield (words, tags) with names of one or two words, those of NAMES."""
    rng = random.Random(seed)
    for _ in range(count):
        words, tags = [], []
        for _ in range(rng.randrange(1, longest)):
            word = rng.choice(['the', 'of', 'film', 'good', ',', '!', '\u200b', *NAMES])
            kind, second = NAMES.get(word, (None, None))
            words.append(word)
            tags.append('B-' + kind if kind else 'O')
            if kind and rng.random() < 0.4:
                words.append(second)
                tags.append('I-' + kind)
        yield words, tags


def write_conll(path, sentences):
    path.write_text(''.join(''.join(f'{word} X {tag}\n' for word, tag in zip(*sentence)) + '\n'
                            for sentence in sentences), encoding='utf-8')
    return str(path)


def flags(tagged, out, *more):
    return ['--bert_model', TINY, '--train_path', str(tagged / 'train.txt'), '--seq_len', '24',
            '--num-epochs', '4', '--batch-size', '8', '--learning-rate', '3e-3',
            '--save-checkpoint-prefix', str(out), *more]


def fails(capsys, main, given):
    """The line that a program ends with, and its exit code is 1."""
    with pytest.raises(SystemExit) as caught:
        run(lambda: main(given))
    assert caught.value.code == 1
    said = [line for line in capsys.readouterr().err.splitlines() if ': error: ' in line]
    assert len(said) == 1
    return said[0].split(': error: ')[1]
