// Dropout as a function of (seed, row, column): the backward pass draws what the forward pass drew,
// in any order and on any number of threads, and nothing is stored.
#pragma once
#include "vector.h"

namespace bert {

// splitmix64's finalizer (Steele et al. 2014)
inline uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

struct DropoutRow {
  uint32_t key, second_key, threshold;
  float scale;

  // 0 with probability p, else 1 / (1 - p), for a vector of columns.  A 32-bit hash (Wellons'
  // lowbias32) of the column; the second key, halfway, keeps rows with near keys from being
  // shifted copies.
  Floats operator()(uint32_t column) const {
    Words x = lane_numbers() + (column + key);
    x ^= x >> 16;
    x *= 0x7feb352du;
    x += second_key;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x >= threshold ? broadcast(scale) : Floats{};
  }
};

struct Dropout {
  bool active;
  uint64_t seed;
  uint32_t threshold;
  float scale;

  // p in [0, 1); a negative seed turns dropout off
  Dropout(double p, float seed_value)
      : active(p > 0 && seed_value >= 0),
        seed(active ? mix(uint64_t(std::fmin(seed_value, 1e18f))) : 0),
        threshold(uint32_t(p * 4294967296.0)), scale(float(1 / (1 - p))) {}

  DropoutRow row(uint64_t number) const {
    uint64_t key = mix(seed + number);
    return {uint32_t(key), uint32_t(key >> 32), threshold, scale};
  }
};

}  // namespace bert
