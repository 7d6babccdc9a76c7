// A register of floats at a time, by GCC's vector extensions.  float and bfloat16 memory are read
// and written alike; arithmetic is always float.
#pragma once
#include <cmath>
#include <cstdint>

namespace bert {

// GCC generates slow code for vectors that are wider than the CPU's.
#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Floats __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef uint16_t Halves __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

struct Bfloat16 {       // the upper half of a float
  uint16_t bits;
};

// What a load or store touches: all lanes, or the first few at the end of a row.
struct All {};
struct First {
  int count;
};

inline Floats broadcast(float value) { return value - Floats{}; }

inline Words lane_numbers() {
  Words numbers;
  for (int i = 0; i < kLanes; i++) numbers[i] = i;
  return numbers;
}

inline Floats load(const float *from, All) { return *reinterpret_cast<const Floats *>(from); }

inline Floats load(const Bfloat16 *from, All) {
  return (Floats)(__builtin_convertvector(*reinterpret_cast<const Halves *>(from), Words) << 16);
}

inline void store(float *to, Floats value, All) { *reinterpret_cast<Floats *>(to) = value; }

inline void store(Bfloat16 *to, Floats value, All) {
  Words bits = (Words)value;
  Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;     // to nearest, ties to even
  rounded = value == value ? rounded : (bits >> 16) | 0x40u;        // a NaN stays one
  *reinterpret_cast<Halves *>(to) = __builtin_convertvector(rounded, Halves);
}

template <class T>
inline Floats load(const T *from, First lanes) {
  T buffer[kLanes] = {};
  for (int i = 0; i < lanes.count; i++) buffer[i] = from[i];
  return load(buffer, All());
}

template <class T>
inline void store(T *to, Floats value, First lanes) {
  T buffer[kLanes];
  store(buffer, value, All());
  for (int i = 0; i < lanes.count; i++) to[i] = buffer[i];
}

// The lanes that do not count become `rest`.
inline Floats only(Floats value, All, float = 0) { return value; }
inline Floats only(Floats value, First lanes, float rest = 0) {
  return lane_numbers() < uint32_t(lanes.count) ? value : broadcast(rest);
}

// Call body(i, lanes) for i = 0, kLanes, 2 * kLanes, ... below n.
template <class Body>
inline void each(long n, Body body) {
  long i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, All());
  if (i < n) body(i, First{int(n - i)});
}

// Lane i gets what lane i + N has, cyclically.
template <int N>
inline Floats rotate(Floats value) {
#ifdef __clang__
  Floats rotated;
  for (int i = 0; i < kLanes; i++) rotated[i] = value[(i + N) % kLanes];
  return rotated;
#else
  return __builtin_shuffle(value, (lane_numbers() + N) % kLanes);
#endif
}

// The sum of all lanes, and the largest, in steps that halve how many are left.
template <int N = kLanes / 2>
inline float sum(Floats value) {
  value += rotate<N>(value);
  if constexpr (N > 1) return sum<N / 2>(value);
  return value[0];
}

template <int N = kLanes / 2>
inline float maximum(Floats value) {
  const Floats other = rotate<N>(value);
  value = other > value ? other : value;
  if constexpr (N > 1) return maximum<N / 2>(value);
  return value[0];
}

// e^x for x up to 88 with a relative error of about 1e-7; below -87 it is e^-87.  2^n times a
// polynomial in what is left of x (Cephes' expf).
inline Floats exponential(Floats x) {
  x = x < -87.f ? broadcast(-87.f) : x;
  const float shift = 12582912.f;     // adding 1.5 * 2^23 leaves the nearest integer in low bits
  Floats shifted = x * 1.44269504f + shift;
  Floats n = shifted - shift;
  Floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Floats p = broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  Words power = ((Words)shifted - 0x4b400000u + 127u) << 23;
  return p * (Floats)power;
}

}  // namespace bert
