"""Flags of the fine-tuning programs -> values."""
import pytest
from helpers import warnings

from bert.training import flags
from bert.utils import cli


@pytest.mark.parametrize('given, weights', [
    ([], None), (['--pretrained_bert_parameters', 'encoder'], 'encoder'),
    (['--model_parameters', 'whole'], 'whole'),
    # GluonNLP's programs load one after the other
    (['--pretrained_bert_parameters', 'encoder', '--model_parameters', 'whole'], 'whole')])
def test_which_weights_are_loaded(caplog, given, weights):
    parser = cli.Parser(prog='it.py')
    flags.add_model_flags(parser)
    assert flags.model_source(parser.parse_args(given)).weights == weights
    assert warnings(caplog) == [
        '--pretrained_bert_parameters has no effect: --model_parameters has all weights'
    ] * (len(given) == 4)
