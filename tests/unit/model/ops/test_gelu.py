"""GELU and its derivative, exact and by tanh, against their formulas."""
import mxnet as mx
import numpy as np
import pytest
from operator_cases import gradients

pytestmark = pytest.mark.usefixtures('operators')


def test_gelu():
    from scipy.special import ndtr
    x = mx.nd.array(np.linspace(-12, 12, 20011))
    one = mx.nd.ones_like(x)
    exact = x.asnumpy().astype('float64')
    density = np.exp(-exact ** 2 / 2) / np.sqrt(2 * np.pi)
    y, slope = gradients(lambda: mx.nd.bert_gelu(x), [x], one)
    np.testing.assert_allclose(y, exact * ndtr(exact), rtol=1e-5, atol=2e-7)
    np.testing.assert_allclose(slope, ndtr(exact) + exact * density, atol=4e-7)
    cdf = (1 + np.tanh(np.sqrt(2 / np.pi) * (exact + 0.044715 * exact ** 3))) / 2
    y, slope = gradients(lambda: mx.nd.bert_gelu(x, approx=1), [x], one)
    np.testing.assert_allclose(y, exact * cdf, atol=1e-6)
    inner = 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * exact ** 2)
    np.testing.assert_allclose(slope, cdf + exact * cdf * (1 - cdf) * inner, atol=4e-6)
