// Products of 8-bit numbers with exact 32-bit sums: rows of activations times the transpose of a
// weight, whose rows are outputs.
//
// A row of activations is quantized on the fly to 0..255, with a scale and a zero point of its own.
// A row of a weight becomes signed integers with a scale.
#pragma once
#include <algorithm>
#include <cstring>

#include "vector.h"
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace bert {
namespace int8 {

typedef int32_t Sums __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

// Each lane of `sums` plus the product of the four bytes in it, activations by weights.
//
// kLargest is what weights are rounded to.  Without VNNI, products are added in pairs to 16 bits:
// weights up to 63 keep 2 * 255 * 63 below 2^15, where the instruction would saturate.
#if defined(__AVX512VNNI__)
constexpr int kLargest = 127;
inline Sums dot(Sums sums, Sums left, Sums right) {
  return (Sums)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)left, (__m512i)right);
}
#elif defined(__AVX512BW__)
constexpr int kLargest = 63;
inline Sums dot(Sums sums, Sums left, Sums right) {
  __m512i pairs = _mm512_maddubs_epi16((__m512i)left, (__m512i)right);
  return sums + (Sums)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
}
#elif defined(__AVXVNNI__) && !defined(__AVX512F__)
constexpr int kLargest = 127;
inline Sums dot(Sums sums, Sums left, Sums right) {
  return (Sums)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)left, (__m256i)right);
}
#elif defined(__AVX2__) && !defined(__AVX512F__)
constexpr int kLargest = 63;
inline Sums dot(Sums sums, Sums left, Sums right) {
  __m256i pairs = _mm256_maddubs_epi16((__m256i)left, (__m256i)right);
  return sums + (Sums)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
constexpr int kLargest = 127;
inline Sums dot(Sums sums, Sums left, Sums right) {
  for (int byte = 0; byte < 32; byte += 8)
    sums += (left >> byte & 255) * (right << (24 - byte) >> 24);
  return sums;
}
#endif

// A tile of the result that stays in registers: kRows rows of kVectors vectors.
#ifdef __AVX512F__
constexpr int kRows = 6, kVectors = 4;
#else
constexpr int kRows = 5, kVectors = 2;
#endif
constexpr int kColumns = kLanes * kVectors;     // of a panel: the outputs that a tile has

inline long quads(long inputs) { return (inputs + 3) / 4; }

// From one row of activations to the next: not a power of two, which would crowd few sets of L1.
inline long stride(long inputs) { return 4 * quads(inputs) + 64; }

// The extremes of a row and 0, and whether all of it is finite: 0, or else NaN.
struct Range {
  float least, most, finite;
};

inline Range range(const float *row, long n) {
  Floats least{}, most{};
  Words not_finite{};
  each(n, [&](long i, auto lanes) {
    Floats x = load(row + i, lanes);
    least = x < least ? x : least;
    most = x > most ? x : most;
    not_finite |= (Words)(x - x);
  });
  return {-maximum(-least), maximum(most), sum((Floats)not_finite)};
}

// The low byte of each lane.
inline void narrow(Words from, void *to) {
#if defined(__AVX512F__)
  _mm_storeu_si128(static_cast<__m128i *>(to), _mm512_cvtepi32_epi8((__m512i)from));
#elif defined(__AVX2__)
  const __m256i fourth = _mm256_shuffle_epi8((__m256i)from, _mm256_set1_epi32(0x0c080400));
  _mm_storel_epi64(static_cast<__m128i *>(to),
                   _mm_unpacklo_epi32(_mm256_castsi256_si128(fourth),
                                      _mm256_extracti128_si256(fourth, 1)));
#else
  for (int i = 0; i < kLanes; i++) static_cast<uint8_t *>(to)[i] = uint8_t(from[i]);
#endif
}

inline void narrow(Words from, void *to, All) { narrow(from, to); }
inline void narrow(Words from, void *to, First lanes) {
  uint8_t buffer[kLanes];
  narrow(from, buffer);
  std::memcpy(to, buffer, lanes.count);
}

// A row times `factor` plus `zero` as integers from `low` to `high`: to nearest, ties to even.
template <class T>
inline void round_row(const float *row, long n, float factor, int zero, int low, int high, T *to) {
  const float shift = 12582912.f;     // adding 1.5 * 2^23 leaves the nearest integer in low bits
  const Floats floor = broadcast(shift + low), ceiling = broadcast(shift + high);
  each(n, [&](long i, auto lanes) {
    Floats x = load(row + i, lanes) * factor + (shift + zero);
    x = floor > x ? floor : x;
    x = ceiling < x ? ceiling : x;
    narrow((Words)x - 0x4b400000u, to + i, lanes);
  });
}

struct Scale {
  float scale;      // NaN for a row that is not all finite, so that its results are NaN
  int32_t zero;     // the integer that stands for 0
};

// A row of activations as bytes, filled up with zeros to whole quads.
inline Scale quantize_activations(const float *row, long n, uint8_t *to) {
  Range found = range(row, n);
  float spread = found.most - found.least;
  float inverse = spread > 1e-30f ? 255 / spread : 0;
  int zero = inverse > 0 ? int(std::nearbyint(-found.least * inverse)) : 0;
  round_row(row, n, inverse, zero, 0, 255, to);
  std::fill(to + n, to + 4 * quads(n), 0);
  return {spread / 255 + found.finite, zero};
}

// A row of a weight; gives its scale.
inline float quantize_weights(const float *row, long n, int8_t *to) {
  Range found = range(row, n);
  float most = std::max(found.most, -found.least);
  round_row(row, n, most > 1e-30f ? kLargest / most : 0, 0, -kLargest, kLargest, to);
  return most / kLargest + found.finite;
}

// A panel: kColumns rows of a weight side by side, the first quad of each, then the second, ...
// `count` rows are there, the others are zeros.  `totals` gets the sum of each row.
inline void pack(const int8_t *weight, long inputs, long count, int32_t *panel, int32_t *totals) {
  int8_t *bytes = reinterpret_cast<int8_t *>(panel);
  std::fill_n(panel, kColumns * quads(inputs), 0);
  std::fill_n(totals, kColumns, 0);
  for (long column = 0; column < count; column++)
    for (long k = 0; k < inputs; k++) {
      const int8_t value = weight[column * inputs + k];
      bytes[4 * (k / 4 * kColumns + column) + k % 4] = value;
      totals[column] += value;
    }
}

// Where a tile's results go, and what turns its sums into floats.
struct Outputs {
  float *data;
  long row, count;                      // from one row to the next; columns that are there
  const float *scales, *bias;
  const int32_t *totals;
};

// Store a vector of a tile, whose sums are those of the columns from `column` on.
template <class Lanes>
inline void put(Sums sums, Scale row, const Outputs &to, long column, float *at, Lanes lanes) {
  const Sums exact = sums - row.zero * *reinterpret_cast<const Sums *>(to.totals + column);
  const Floats scale = load(to.scales + column, lanes) * row.scale;
  store(at, __builtin_convertvector(exact, Floats) * scale + load(to.bias + column, lanes), lanes);
}

template <int ROWS>
inline void tile(long depth, const uint8_t *a, long a_row, const Scale *rows,
                 const int32_t *panel, const Outputs &to) {
  Sums sums[ROWS][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; v++) {
      sums[i][v] = Sums{};
      if (v * kLanes % 16 == 0) __builtin_prefetch(to.data + i * to.row + v * kLanes, 1);
    }
  for (long quad = 0; quad < depth; quad++, panel += kColumns) {
    Sums right[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; v++)
      right[v] = *reinterpret_cast<const Sums *>(panel + v * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      int32_t four;
      std::memcpy(&four, a + i * a_row + 4 * quad, 4);
      const Sums left = four - Sums{};
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v++) sums[i][v] = dot(sums[i][v], left, right[v]);
    }
  }
  // a lambda that captured the sums would send them through the stack
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; v++) {
    const long column = v * kLanes, left = to.count - column;
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      float *at = to.data + i * to.row + column;
      if (left >= kLanes) put(sums[i][v], rows[i], to, column, at, All());
      else if (left > 0) put(sums[i][v], rows[i], to, column, at, First{int(left)});
    }
  }
}

// The rows of one panel; fewer than kRows are left at the end.
template <int ROWS = kRows>
inline void column(long n, long depth, const uint8_t *a, long a_row, const Scale *rows,
                   const int32_t *panel, Outputs to) {
  for (; n >= ROWS; n -= ROWS) {
    tile<ROWS>(depth, a, a_row, rows, panel, to);
    a += ROWS * a_row;
    rows += ROWS;
    to.data += ROWS * to.row;
  }
  if constexpr (ROWS > 1)
    if (n) column<ROWS - 1>(n, depth, a, a_row, rows, panel, to);
}

}  // namespace int8
}  // namespace bert
