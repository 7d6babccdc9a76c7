"""Lengths that fit the model."""
import pytest
from helpers import refused

from bert.data import lengths


def test_a_length_that_is_given_must_fit(caplog):
    caplog.set_level('INFO')
    assert lengths.choose('--max_len', 16, 128, 16) == 16
    assert lengths.choose('--max_len', 300, 128, 512) == 300
    assert not caplog.messages
    assert refused(lambda: lengths.choose('--max_len', 17, 128, 16, 'use less')) == (
        '--max_len 17: this model has positions for 16 tokens; use less')


def test_a_default_becomes_what_the_model_has_room_for(caplog):
    caplog.set_level('INFO')
    assert lengths.choose('--max_len', None, 128, 128) == 128
    assert not caplog.messages
    assert lengths.choose('--max_len', None, 128, 16) == 16
    assert caplog.messages == ['--max_len 16 instead of 128: this model has no more positions']


@pytest.mark.parametrize('given, max_len, stride', [
    (None, 128, 64), (None, 67, 64), (None, 66, 33), (None, 16, 8), (None, 1, 1), (5, 128, 5)])
def test_the_stride_of_windows(given, max_len, stride):
    assert lengths.choose_stride(given, max_len) == stride


@pytest.mark.parametrize('positions, given, expected', [
    (512, (None, None, None), (384, 128, 64)), (384, (None, None, None), (384, 128, 64)),
    (192, (None, None, None), (192, 64, 32)), (16, (None, None, None), (16, 5, 2)),
    (5, (None, None, None), (5, 1, 1)), (16, (None, 9, 3), (16, 9, 3)),
    (512, (128, None, None), (128, 128, 64)), (512, (48, 384, 8), (48, 384, 8))])
def test_the_windows_of_squad(positions, given, expected):
    found = lengths.squad_windows(positions, *given)
    assert list(found) == ['max_seq_length', 'doc_stride', 'max_query_length']
    assert tuple(found.values()) == expected


@pytest.mark.parametrize('positions, given, message', [
    (16, (17, None, None), '--max_seq_length 17: this model has positions for 16 tokens; use that '
                           'or less'),
    (16, (None, None, 13), '--max_query_length 13: question, passage and 3 special tokens must fit '
                           'in 16 tokens; use 12 or less'),
    (4, (None, None, None), '--max_query_length 1: question, passage and 3 special tokens must fit '
                            'in 4 tokens; use a model of more positions')])
def test_windows_of_squad_that_do_not_fit(positions, given, message):
    assert refused(lambda: lengths.squad_windows(positions, *given)) == message
