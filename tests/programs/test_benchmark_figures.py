"""The figures of the benchmark, by hand: rates, ratios, shares of the peak, curves."""
import json

import pytest

from bert.model.config import BertConfig
from bert.utils.errors import DataError
from scripts.benchmarking import measure, report


def test_mean_rate_weighs_by_time():
    records = [{'type': 'train', 'update': 2, 'examples_per_second': 1000.0},
               {'type': 'dev', 'update': 2, 'accuracy': 1.0},
               {'type': 'train', 'update': 3, 'examples_per_second': 5.0},
               {'type': 'train', 'update': 5, 'examples_per_second': 2.0}]
    assert report.mean_rate(records, 1) == pytest.approx(3 / (1 / 5 + 2 / 2))
    assert report.mean_rate(records) == pytest.approx(5 / (2 / 1000 + 1 / 5 + 2 / 2))


def test_value_of_each_unit(tmp_path):
    def value(unit, output='', skip=0):
        return report.value(unit, 3.5, output, str(tmp_path), skip)

    assert value('s') == 3.5
    assert value('Mtokens/s', '1.5 million tokens a second\n2.25 million tokens a second') == 2.25
    assert value('texts/s', 'a line\n{"texts/s": 1}\n{"texts/s": 40.5}\n[warning]') == 40.5
    assert value('s/step', '{"examples/s": 16}') == 0.5
    for unit, output in (('texts/s', 'nothing'), ('texts/s', '{"examples/s": 1}'),
                         ('Mtokens/s', '')):
        with pytest.raises(DataError, match='no figure in ' + unit):
            value(unit, output)
    lines = [{'type': 'train', 'update': i, 'tokens_per_second': 10.0 * i} for i in (1, 2)]
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)), encoding='utf-8')
    assert value('tokens/s', '{"tokens/s": 1}', skip=1) == pytest.approx(20)
    with pytest.raises(DataError, match='no figure'):       # all steps are left out
        value('tokens/s', skip=2)


def test_a_ratio_is_the_median_of_the_rounds_and_above_1_is_better():
    figures = {'ours': [{'s': 1.0, 'x/s': 8.0, 'MB': 100.0}, {'s': 2.0, 'x/s': 4.0, 'MB': 120.0},
                        {'s': 4.0, 'x/s': 2.0, 'MB': 110.0}],
               'them': [{'s': 3.0, 'x/s': 4.0, 'MB': 200.0}, {'s': 2.0, 'x/s': 4.0, 'MB': 210.0},
                        {'s': 6.0, 'x/s': 4.0, 'MB': 220.0}]}
    seconds = report.result('r', 's', 'them', figures, {})
    assert seconds['ratios'] == [3.0, 1.0, 1.5]
    assert report.result('r', 'x/s', 'them', figures, {})['ratios'] == [2.0, 1.0, 0.5]
    line = report.line(seconds)
    assert line.split() == ['r', 's', '2.000', 'them', '3.000', '1.50', '110', '210']
    assert len(line) == len(report.HEADER)


def test_a_line_says_why_there_is_no_figure():
    alone = report.result('r', 's', None, {'ours': [{'s': 20.0, 'MB': 1.0}]}, {})
    assert report.line(alone).split() == ['r', 's', '20.0', '-', '-', '-', '1', '-']
    lost = report.result('r', 's', 'them', {'ours': [], 'them': []}, {'ours': 'no luck'})
    assert report.line(lost).split() == ['r', 's', '-', 'them', *'----', 'no', 'luck']


def test_training_flops_by_hand():
    config = BertConfig(hidden_size=2, intermediate_size=4, num_hidden_layers=3,
                        num_attention_heads=1, vocab_size=7)
    # a layer: 2 (4 * 4 + 2 * 2 * 4) = 64, and attention over 5 tokens 4 * 2 * 5 = 40
    assert measure.training_flops(config, 5) == 3 * 3 * 104 * 5
    # the last layer: keys and values 4 * 4 = 16 per token, the other 88 for one token in five
    assert measure.training_flops(config, 5, 1) == 3 * ((2 * 104 + 16) * 5 + 88)
    # the decoder: 2 (2 * 2 + 2 * 7) = 36 per masked token
    assert measure.training_flops(config, 5, 3, 2) == 3 * ((2 * 104 + 16) * 5 + 3 * 88 + 2 * 36)


def test_shares_of_the_peak(tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps(
        {'hidden_size': 2, 'intermediate_size': 4, 'num_hidden_layers': 3,
         'num_attention_heads': 1, 'vocab_size': 7}), encoding='utf-8')

    def row(name, ours, theirs):
        return {'row': name, 'unit': '', 'ours': ours, 'theirs': theirs, 'peer': 'them'}

    done = [row('gemm-fp32', [1.0, 3.0, 2.0], [4.0]), row('train-6l-fp32', [100.0], [50.0]),
            row('train-6l-bf16', [9.0], []), row('growth-data-1', [1.0], []),
            row('pretrain-6l-fp32', [128.0], [64.0])]
    share, pretraining = report.shares(done, {'model-6l': str(tmp_path)})
    layer = 64 + 4 * 2 * 128
    assert share['row'] == 'share-train-6l-fp32'
    assert share['theirs'] == [pytest.approx(100 * 3 * 3 * layer * 128 * 50 / 4e9)]
    assert share['ours'] == [pytest.approx(
        100 * 3 * (2 * layer + 16 + (layer - 16) / 128) * 128 * 100 / 2e9)]
    assert report.line(share)
    assert pretraining['row'] == 'share-pretrain-6l-fp32'       # 1 and 1/2 text per second
    assert pretraining['ours'] == [pytest.approx(
        100 * 3 * ((2 * layer + 16) * 128 + (layer - 16) * 21 + 20 * 36) / 2e9)]
    assert pretraining['theirs'] == [pytest.approx(
        100 * 3 * (3 * layer * 128 + 128 * 36) / 2 / 4e9)]


def test_curves_are_of_the_growth_rows():
    done = [{'row': 'growth-length-32', 'ours': [1.0, 3.0, 2.0], 'peer': 'them', 'theirs': [5.0]},
            {'row': 'growth-length-64', 'ours': [4.0], 'peer': 'them', 'theirs': []},
            {'row': 'squad', 'ours': [4.0], 'peer': None, 'theirs': []}]
    assert report.curves(done) == {
        'length': {'ours': {32: 2.0, 64: 4.0}, 'them': {32: 5.0}}}
