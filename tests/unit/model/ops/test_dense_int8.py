"""Dense layers in 8 bits for inference: the operators against numpy, and the products of ops/int8.h
in each of its instruction sets against plain loops.

Sets that this CPU may lack are run all the same: with functions of C++ for their instructions.
"""
import os
import shutil
import subprocess

import mxnet as mx
import numpy as np
import pytest
from helpers import ROOT

from bert.model import native

SHAPES = [(1, 32, 16), (3, 33, 17), (65, 384, 40), (7, 1, 1), (300, 65, 130), (2, 7, 3)]
OPS = os.path.join(ROOT, 'bert', 'model', 'ops')
# what defines the macros of an instruction set, after the functions that stand for it
EMULATED = r'''
#include <immintrin.h>
#include <cstdint>
#include <cstring>
template <class To, class From> To cast(From from) {
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}
template <class V> V dot_bytes(V sums, V left, V right) {
  uint8_t a[sizeof(V)];
  int8_t b[sizeof(V)];
  int32_t c[sizeof(V) / 4];
  std::memcpy(a, &left, sizeof a);
  std::memcpy(b, &right, sizeof b);
  std::memcpy(c, &sums, sizeof c);
  for (unsigned i = 0; i < sizeof a; i++) c[i / 4] += a[i] * b[i];
  std::memcpy(&sums, c, sizeof c);
  return sums;
}
template <class From, int N> struct Many { From at[N]; };
__m512i add_pairs(__m512i left, __m512i right) {
  auto a = cast<Many<uint8_t, 64>>(left);
  auto b = cast<Many<int8_t, 64>>(right);
  Many<int16_t, 32> out;
  for (int i = 0; i < 32; i++) {
    int sum = a.at[2 * i] * b.at[2 * i] + a.at[2 * i + 1] * b.at[2 * i + 1];
    out.at[i] = sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum;
  }
  return cast<__m512i>(out);
}
__m512i add_halves(__m512i left, __m512i right) {
  auto a = cast<Many<int16_t, 32>>(left), b = cast<Many<int16_t, 32>>(right);
  Many<int32_t, 16> out;
  for (int i = 0; i < 16; i++)
    out.at[i] = a.at[2 * i] * b.at[2 * i] + a.at[2 * i + 1] * b.at[2 * i + 1];
  return cast<__m512i>(out);
}
__m512i set_halves(int16_t value) {
  Many<int16_t, 32> out;
  for (auto &each : out.at) each = value;
  return cast<__m512i>(out);
}
__m128i low_bytes(__m512i from) {
  auto words = cast<Many<uint32_t, 16>>(from);
  Many<uint8_t, 16> out;
  for (int i = 0; i < 16; i++) out.at[i] = words.at[i];
  return cast<__m128i>(out);
}
#define _mm512_dpbusd_epi32 dot_bytes<__m512i>
#define _mm256_dpbusd_avx_epi32 dot_bytes<__m256i>
#define _mm512_maddubs_epi16 add_pairs
#define _mm512_madd_epi16 add_halves
#define _mm512_set1_epi16 set_halves
#define _mm512_cvtepi32_epi8 low_bytes
'''
CHECK = r'''
#include "int8.h"
#include <cstdio>
#include <cstdlib>
#include <vector>
using namespace bert;
int main() {
  for (long rows : {1, 3, 17})
  for (long inputs : {1, 4, 33, 130})
  for (long outputs : {1, 16, 70}) {
    std::vector<float> x(rows * inputs), w(outputs * inputs), y(rows * outputs, -1),
        scales(outputs), bias(outputs);
    for (auto &each : x) each = rand() % 2001 - 1000;
    for (auto &each : w) each = rand() % 3 ? rand() % 2001 - 1000 : 1000;   // pairs that saturate
    for (auto &each : bias) each = rand() % 100;
    const long row = int8::stride(inputs), quads = int8::quads(inputs);
    const long panels = (outputs + int8::kColumns - 1) / int8::kColumns;
    std::vector<uint8_t> bytes(rows * row);
    std::vector<int8_t> weight(outputs * inputs);
    std::vector<int8::Scale> of_rows(rows);
    std::vector<int32_t> panel(int8::kColumns * quads), totals(int8::kColumns);
    for (long o = 0; o < outputs; o++)
      scales[o] = int8::quantize_weights(&w[o * inputs], inputs, &weight[o * inputs]);
    for (long i = 0; i < rows; i++)
      of_rows[i] = int8::quantize_activations(&x[i * inputs], inputs, &bytes[i * row]);
    for (long first = 0; first < panels * int8::kColumns; first += int8::kColumns) {
      int8::pack(&weight[first * inputs], inputs, std::min<long>(int8::kColumns, outputs - first),
                 panel.data(), totals.data());
      int8::column(rows, quads, bytes.data(), row, of_rows.data(), panel.data(),
                   {&y[first], outputs, outputs - first, &scales[first], &bias[first],
                    totals.data()});
    }
    for (long i = 0; i < rows; i++) for (long o = 0; o < outputs; o++) {
      long sum = 0;
      double exact = bias[o], size = 0;
      for (long k = 0; k < inputs; k++) {
        sum += (bytes[i * row + k] - of_rows[i].zero) * long(weight[o * inputs + k]);
        exact += double(x[i * inputs + k]) * w[o * inputs + k];
        size += std::fabs(x[i * inputs + k]) + std::fabs(w[o * inputs + k]);
      }
      const double expected = double(sum) * of_rows[i].scale * scales[o] + bias[o];
      const double error = std::fabs(y[i * outputs + o] - expected);
      // each factor is off by half a step at most: 2000 / 255 and 1000 / kLargest
      if (error > 1e-5 * std::fabs(expected) + 1 || std::fabs(exact - expected) > size * 9 + 1) {
        std::printf("%ld %ld %ld: row %ld, output %ld: %g, not %g\n", rows, inputs, outputs, i, o,
                    y[i * outputs + o], expected);
        return 1;
      }
    }
  }
  std::printf("lanes %d, weights to %d\n", kLanes, int8::kLargest);
}
'''


pytestmark = pytest.mark.usefixtures('operators')


def data(rows, inputs, outputs):
    """Activations with an outlier and a row of zeros, a weight with a row of zeros, a bias."""
    rng = np.random.RandomState(rows + inputs)
    x, weight = rng.randn(rows, inputs), rng.randn(outputs, inputs)
    x[0, 0], x[1:2], weight[-1:] = 500, 0, 0 if outputs > 1 else 1
    return x.astype('float32'), weight.astype('float32'), rng.randn(outputs).astype('float32')


def dense(x, weight, bias):
    """bert_dense_int8 as numpy arrays in and out, and the int8 weight with its scales."""
    prepared = mx.nd.bert_int8(mx.nd.array(weight))
    y = mx.nd.bert_dense_int8(mx.nd.array(x), *prepared, mx.nd.array(bias))
    return y.asnumpy(), unpacked(prepared[0], *weight.shape), prepared[1].asnumpy()


def unpacked(panels, outputs, inputs):
    """The int8 matrix in panels: four inputs of each of some rows, the next four, ..."""
    columns = len(mx.nd.bert_int8(mx.nd.ones((1, 1)))[0])      # a single panel
    rows, width = panels.shape
    panels = panels.asnumpy().reshape((rows // columns, width // 4, columns, 4))
    matrix = panels.transpose((0, 2, 1, 3)).reshape((rows, width))
    assert not matrix[outputs:].any() and not matrix[:, inputs:].any()
    return matrix[:outputs, :inputs]


def expected(x, matrix, scales, bias):
    """The same quantization, with exact sums."""
    least, most = np.minimum(x.min(axis=1), 0), np.maximum(x.max(axis=1), 0)
    spread = most - least
    inverse = np.float32(255) / np.where(spread > 0, spread, np.float32(np.inf))
    zero = np.rint(-least * inverse).astype(int)
    levels = np.rint(x.astype('float64') * inverse[:, None] + zero[:, None])
    levels = np.clip(levels, 0, 255).astype(int) - zero[:, None]
    steps = spread[:, None].astype('float64') / 255 * scales
    return (levels @ matrix.T.astype(int)) * steps + bias


@pytest.mark.parametrize('shape', SHAPES)
def test_products_are_exact(shape):
    x, weight, bias = data(*shape)
    y, matrix, scales = dense(x, weight, bias)
    exact = expected(x, matrix, scales, bias)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-6 * abs(exact).max())


@pytest.mark.parametrize('shape', SHAPES)
def test_weights_are_rounded_to_nearest_in_each_row(shape):
    _, weight, _ = data(*shape)
    _, matrix, scales = dense(*data(*shape))
    assert matrix.dtype == np.int8
    limit = abs(matrix.astype(int)).max()
    assert limit in (63, 127)
    np.testing.assert_allclose(scales, abs(weight).max(axis=1) / limit, rtol=1e-6)
    assert (abs(matrix * scales[:, None] - weight) <= 0.5001 * scales[:, None]).all()


@pytest.mark.parametrize('sign', [1, -1])
def test_the_largest_products_do_not_saturate(sign):
    x, weight = np.full((6, 1024), 3, 'float32'), np.full((40, 1024), sign * 5, 'float32')
    y, *_ = dense(x, weight, np.zeros(40, 'float32'))
    np.testing.assert_allclose(y, sign * 15 * 1024, rtol=1e-5)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row(bad):
    x, weight, bias = data(4, 33, 17)
    clean = dense(x, weight, bias)[0]
    x[2, 5] = bad
    y = dense(x, weight, bias)[0]
    assert np.isnan(y[2]).all()
    np.testing.assert_array_equal(y[[0, 1, 3]], clean[[0, 1, 3]])


@pytest.mark.parametrize('rows, inputs, outputs', [(1, 32, (32, 32)), (70, 33, (65, 1, 128)),
                                                   (3, 384, (384, 384, 384))])
def test_layers_side_by_side_are_those_layers(rows, inputs, outputs):
    layers = [data(rows, inputs, each) for each in outputs]
    x = mx.nd.array(layers[0][0])
    layers = [[*mx.nd.bert_int8(mx.nd.array(weight)), mx.nd.array(bias)]
              for _, weight, bias in layers]
    y = mx.nd.bert_dense_int8(x, *sum(layers, []), n=len(layers)).asnumpy()
    parts = [mx.nd.bert_dense_int8(x, *layer).asnumpy() for layer in layers]
    np.testing.assert_array_equal(y, np.concatenate(parts, axis=1))


@pytest.mark.parametrize('activation', native.FUSED)
@pytest.mark.parametrize('rows, units, hidden', [(1, 32, 128), (70, 33, 65), (3, 384, 1536)])
def test_feed_forward_is_its_parts(activation, rows, units, hidden):
    x, up, first = data(rows, units, hidden)
    _, down, second = data(rows + 1, hidden, units)
    x[0, 0] = 5
    args = [mx.nd.array(each) for each in (x, up, first, down, second)]
    layers = [*mx.nd.bert_int8(args[1]), args[2], *mx.nd.bert_int8(args[3]), args[4]]
    y = mx.nd.bert_feed_forward_int8(args[0], *layers, activation=activation)
    inner = mx.nd.bert_dense_int8(args[0], *layers[:4])
    inner = (mx.nd.relu(inner) if activation == 'relu' else
             mx.nd.bert_gelu(inner, approx=int(activation != 'gelu')))
    parts = mx.nd.bert_dense_int8(inner, *layers[4:]).asnumpy()
    # GELU by a polynomial may round to the next of 255 levels
    np.testing.assert_allclose(y.asnumpy(), parts, atol=2e-3 * abs(parts).max())


def test_errors_say_what_is_wrong():
    x, weight, bias = map(mx.nd.array, data(3, 8, 4))
    prepared = panels, scales, totals = mx.nd.bert_int8(weight)

    def bad(function, *inputs, **attributes):
        with pytest.raises(mx.MXNetError) as caught:
            getattr(mx.nd, function)(*inputs, **attributes).asnumpy()
        return str(caught.value)
    assert 'a weight must be int8' in bad('bert_dense_int8', x, panels.astype('float32'), scales,
                                           totals, bias)
    assert 'x has 4 columns, a weight shape (' in bad('bert_dense_int8', x[:, :4], *prepared, bias)
    assert 'a bias has shape (3,), not (4,)' in bad('bert_dense_int8', x, *prepared, bias[:3])
    assert 'totals has shape' in bad('bert_dense_int8', x, panels, scales, totals[:1], bias)
    assert 'scales have shape (1, 4)' in bad('bert_dense_int8', x, panels, scales.reshape((1, 4)),
                                             totals, bias)
    assert 'n=0' in bad('bert_dense_int8', x, *prepared, bias, n=0)
    assert 'take those that bert_int8 made of (outputs, inputs)' in bad(
        'bert_dense_int8', x, *prepared, bias, *mx.nd.bert_int8(weight.T), mx.nd.zeros(8), n=2)
    assert 'not (outputs, inputs)' in bad('bert_int8', bias)
    back = [*mx.nd.bert_int8(weight.T), mx.nd.zeros(8)]
    assert 'swish is not known' in bad('bert_feed_forward_int8', x, *prepared, bias, *back,
                                       activation='swish')
    x.attach_grad()
    with mx.autograd.record():
        y = mx.nd.bert_dense_int8(x, *prepared, bias)
    with pytest.raises(mx.MXNetError, match='for inference'):
        y.backward()
        x.grad.wait_to_read()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('g++'), reason='needs g++')
@pytest.mark.parametrize('flags, macros, expected', [
    (['-march=native'], '', 'lanes'),
    (['-march=x86-64'], '', 'lanes 4, weights to 127'),
    (['-mavx2', '-mfma'], '', 'lanes 8, weights to 63'),
    (['-mavx2', '-mfma'], '__AVXVNNI__', 'lanes 8, weights to 127'),
    (['-mavx2', '-mfma'], '__AVX512F__ __AVX512BW__', 'lanes 16, weights to 63'),
    (['-mavx2', '-mfma'], '__AVX512F__ __AVX512BW__ __AVX512VNNI__', 'lanes 16, weights to 127'),
], ids=['native', 'x86-64', 'avx2', 'avx-vnni', 'avx512bw', 'avx512-vnni'])
def test_every_instruction_set(tmp_path, flags, macros, expected):
    if '-mavx2' in flags:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            if ' avx2 ' not in f.read():
                pytest.skip('needs AVX2')
    defined = ''.join(f'#define {name} 1\n' for name in macros.split())
    (tmp_path / 'check.cc').write_text((EMULATED + defined if macros else '') + CHECK)
    program = str(tmp_path / 'check')
    subprocess.run(['g++', *flags, '-O1', '-std=c++17', '-w', '-I', OPS, str(tmp_path / 'check.cc'),
                    '-o', program], check=True, timeout=300)
    done = subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and done.stdout.startswith(expected), done.stdout + done.stderr
