"""The 8-bit products of ops/int8.h in each of its instruction sets, against plain loops.

Sets that this CPU may lack are run all the same: with functions of C++ for their instructions.
"""
import os
import shutil
import subprocess

import pytest
from helpers import ROOT

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
