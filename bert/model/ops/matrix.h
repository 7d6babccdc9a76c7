// Dense products and transposes of float matrices that lie in cache.
// Rows are padded to whole vectors.
#pragma once
#include "vector.h"

namespace bert {

inline long padded(long n) { return (n + kLanes - 1) / kLanes * kLanes; }

// A tile of C that stays in registers: kTileRows rows of kTileVectors vectors.
#ifdef __AVX512F__
constexpr int kTileRows = 6, kTileVectors = 4;
#else
constexpr int kTileRows = 6, kTileVectors = 2;
#endif

// The left factor of a product, as stored or transposed: A[i][k] = data[i * row + k * column].
struct Left {
  const float *data;
  long row, column;
};

// A tile of C = start + A B; start(i, j) gives the vector that begins in row i and column j of it.
template <int ROWS, int VECTORS, class Start, class Lanes>
inline void multiply_tile(long depth, Left a, const float *b, long b_row, float *c, long c_row,
                          const Start &start, Lanes lanes) {
  Floats sums[ROWS][VECTORS];
  for (int i = 0; i < ROWS; i++)
    for (int v = 0; v < VECTORS; v++) sums[i][v] = start(i, v * kLanes);
  for (long k = 0; k < depth; k++) {
    Floats right[VECTORS];
    for (int v = 0; v < VECTORS; v++) right[v] = load(b + k * b_row + v * kLanes, lanes);
    for (int i = 0; i < ROWS; i++) {
      Floats left = broadcast(a.data[i * a.row + k * a.column]);
      for (int v = 0; v < VECTORS; v++) sums[i][v] += left * right[v];
    }
  }
  for (int i = 0; i < ROWS; i++)
    for (int v = 0; v < VECTORS; v++) store(c + i * c_row + v * kLanes, sums[i][v], lanes);
}

template <int ROWS, int VECTORS, bool ADD>
inline void multiply_tile(long depth, Left a, const float *b, long b_row, float *c, long c_row) {
  auto start = [&](long i, long j) { return ADD ? load(c + i * c_row + j, All()) : Floats{}; };
  multiply_tile<ROWS, VECTORS>(depth, a, b, b_row, c, c_row, start, All());
}

// The rows of one column of tiles; fewer than kTileRows are left at the end.
template <int ROWS, int VECTORS, bool ADD>
inline void multiply_last_rows(long rows, long depth, Left a, const float *b, long b_row, float *c,
                               long c_row) {
  if constexpr (ROWS > 0) {
    if (rows == ROWS) multiply_tile<ROWS, VECTORS, ADD>(depth, a, b, b_row, c, c_row);
    else multiply_last_rows<ROWS - 1, VECTORS, ADD>(rows, depth, a, b, b_row, c, c_row);
  }
}

template <int VECTORS, bool ADD>
void multiply_column(long rows, long depth, Left a, const float *b, long b_row, float *c,
                     long c_row) {
  for (; rows >= kTileRows; rows -= kTileRows) {
    multiply_tile<kTileRows, VECTORS, ADD>(depth, a, b, b_row, c, c_row);
    a.data += kTileRows * a.row;
    c += kTileRows * c_row;
  }
  multiply_last_rows<kTileRows - 1, VECTORS, ADD>(rows, depth, a, b, b_row, c, c_row);
}

template <int VECTORS, bool ADD>
void multiply_columns(long rows, long columns, long depth, Left a, const float *b, long b_row,
                      float *c, long c_row) {
  for (; columns >= VECTORS * kLanes; columns -= VECTORS * kLanes) {
    multiply_column<VECTORS, ADD>(rows, depth, a, b, b_row, c, c_row);
    b += VECTORS * kLanes;
    c += VECTORS * kLanes;
  }
  if constexpr (VECTORS > 1)
    multiply_columns<VECTORS / 2, ADD>(rows, columns, depth, a, b, b_row, c, c_row);
}

// C = A B, or C += A B with ADD.  C is rows x columns, columns a whole number of vectors.
template <bool ADD>
void multiply(long rows, long columns, long depth, Left a, const float *b, long b_row, float *c,
              long c_row) {
  multiply_columns<kTileVectors, ADD>(rows, columns, depth, a, b, b_row, c, c_row);
}

// to (rows x padded(columns)) = scale * from (rows x columns); the padding becomes 0
template <class T>
void copy(const T *from, long from_row, long rows, long columns, float scale, float *to) {
  long to_row = padded(columns);
  for (long i = 0; i < rows; i++)
    each(columns, [&](long c, auto lanes) {
      store(to + i * to_row + c, load(from + i * from_row + c, lanes) * scale, All());
    });
}

// Transpose kLanes vectors: swap the off-diagonal blocks of N x N, then the smaller ones in them.
template <int N = kLanes / 2>
inline void transpose_block(Floats *rows) {
  for (int i = 0; i < kLanes; i++) {
    if (i & N) continue;
    Floats upper = rows[i], lower = rows[i + N];
#ifdef __clang__
    for (int k = 0; k < kLanes; k++) {
      if (k & N) rows[i][k] = lower[k - N];
      else rows[i + N][k] = upper[k + N];
    }
#else
    Words lane = lane_numbers();
    rows[i] = __builtin_shuffle(upper, lower, (lane & N) != 0 ? lane - N + kLanes : lane);
    rows[i + N] = __builtin_shuffle(upper, lower, (lane & N) != 0 ? lane + kLanes : lane + N);
#endif
  }
  if constexpr (N > 1) transpose_block<N / 2>(rows);
}

// to (columns x padded(rows)) = the transpose of from, whose rows are padded to whole vectors; the
// padding becomes 0
inline void transpose(const float *from, long rows, long columns, float *to) {
  long from_row = padded(columns), to_row = padded(rows);
  for (long i = 0; i < rows; i += kLanes)
    for (long c = 0; c < columns; c += kLanes) {
      Floats block[kLanes];
      for (int k = 0; k < kLanes; k++)
        block[k] = i + k < rows ? load(from + (i + k) * from_row + c, All()) : Floats{};
      transpose_block(block);
      for (int k = 0; k < kLanes && c + k < columns; k++)
        store(to + (c + k) * to_row + i, block[k], All());
    }
}

}  // namespace bert
