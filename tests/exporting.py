"""What the tests of exports have in common: models, inputs, the results to expect."""
import os

import numpy as np
import pytest

from bert.checkpoint import result_folder
from bert.checkpoint.weights import read_weights
from bert.model.config import BertConfig
from bert.model.heads import Classifier, HiddenStates, QuestionAnswering, Tagger
from bert.model.parameters import initialize, load_parameters
from bert.utils.errors import DataError
from bert.utils.files import read_json
from export import export, network

LABELS = {'classification': ('good', 'bad', 'so so'), 'regression': None,
          'question_answering': (), 'ner': ('O', 'B-PER', 'I-PER', 'B-LOC')}
TASKS = (*LABELS, 'embedding')


def batch(rows, length, seed=0):
    """Inputs of a shape that the export has not seen, with padding."""
    rng = np.random.RandomState(seed)
    lengths = np.append(length, rng.randint(1, length + 1, rows - 1))
    return (rng.randint(120, size=(rows, length)).astype('int32'),
            rng.randint(2, size=(rows, length)).astype('int32'), lengths.astype('float32'))


BATCHES = {'a': batch(5, 11), 'b': batch(1, 40), 'c': batch(3, 1)}


def live(folder, task):
    """batch -> outputs of the network made from a result folder, as the fine-tuning programs do."""
    config = BertConfig.from_dict(read_json(os.path.join(folder, 'config.json')))
    net = {'question_answering': lambda: QuestionAnswering(config),
           'ner': lambda: Tagger(config, 4),
           'regression': lambda: Classifier(config, 1),
           'classification': lambda: Classifier(config, 3),
           'embedding': lambda: HiddenStates(config)}[task]()
    initialize(net, config)
    weights = read_weights(os.path.join(folder, result_folder.WEIGHTS))
    load_parameters(net, weights, folder)
    return network.predictor(net)


def assert_equal(got, expected, tolerance=1e-5):
    assert [a.shape for a in got] == [b.shape for b in expected]
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, equal_nan=False)
    assert max(np.abs(b).max() for b in expected) > 0.01


def flags(models, out, *more, task='classification'):
    return ['--model_parameters', models[task], '--output_dir', str(out), '--seq_length', '16',
            *more]


def error(arguments):
    with pytest.raises(DataError) as info:
        export.main(arguments)
    assert '\n' not in str(info.value)
    return str(info.value)
