// What the operators share at their interface with MXNet: attributes, types, shapes and errors.
#pragma once
#include <locale.h>
#include <omp.h>
#include <stdlib.h>

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "mxnet/lib_api.h"
#include "vector.h"

namespace bert {

using mxnet::ext::MX_SUCCESS;
using mxnet::ext::MXReturnValue;
using mxnet::ext::MXTensor;
using mxnet::ext::OpResource;
typedef std::unordered_map<std::string, std::string> Attributes;
typedef std::vector<MXTensor> Tensors;
typedef std::vector<unsigned> Shape;
typedef std::vector<Shape> Shapes;
typedef std::vector<int> Types;

// MXNet's type numbers; lib_api.h does not name the last
constexpr int kFloat32 = 0, kFloat64 = 1, kInt32 = 4, kInt8 = 5, kBfloat16 = 12;

// MXNet turns a std::exception into an MXNetError with this message.
[[noreturn]] inline void fail(const std::string &message) { throw std::invalid_argument(message); }

// The number that an attribute gives, or the default if it is absent.
inline double number(const Attributes &attributes, const char *key, double otherwise) {
  auto found = attributes.find(key);
  if (found == attributes.end()) return otherwise;
  const std::string &text = found->second;
  if (text == "True" || text == "False") return text == "True";
  // Not the program's locale, in which numbers may have a comma.
  static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
  char *end;
  double value = strtod_l(text.c_str(), &end, plain);
  if (text.empty() || *end || !std::isfinite(value))
    fail(std::string(key) + "=" + text + ": not a number");
  return value;
}

inline bool flag(const Attributes &attributes, const char *key) {
  return number(attributes, key, 0) != 0;
}

inline double dropout_rate(const Attributes &attributes) {
  double p = number(attributes, "p", 0);
  if (!(p >= 0 && p < 1)) fail("p=" + std::to_string(p) + ": a dropout rate is in [0, 1)");
  return p;
}

inline std::string text(const Shape &shape) {
  std::string result = "(";
  for (size_t i = 0; i < shape.size(); i++)
    result += (i ? ", " : "") + std::to_string(shape[i]);
  return result + (shape.size() == 1 ? ",)" : ")");
}

// Fill in a shape that MXNet does not know yet, or check the one that it has.
inline void expect(Shape *shape, const Shape &expected, const char *op, const char *name) {
  if (shape->empty()) *shape = expected;
  if (*shape != expected)
    fail(std::string(op) + ": " + name + " has shape " + text(*shape) + ", not " + text(expected));
}

// The same for types: one of those allowed, the first where it is not known yet.
inline void expect(int *type, std::initializer_list<int> allowed, const char *op,
                   const char *name) {
  if (*type == -1) *type = *allowed.begin();
  for (int candidate : allowed)
    if (*type == candidate) return;
  std::string names;
  for (int candidate : allowed)
    names += std::string(names.empty() ? "" : " or ") +
             (candidate == kFloat32 ? "float32" : candidate == kInt32 ? "int32" :
              candidate == kInt8 ? "int8" : "bfloat16");
  fail(std::string(op) + ": " + name + " must be " + names + " (MXNet's type number is " +
       std::to_string(*type) + ")");
}

// For operators that make one tensor from another, element by element.
inline MXReturnValue one_to_one(const Attributes &, int *inputs, int *outputs) {
  *inputs = *outputs = 1;
  return MX_SUCCESS;
}

inline MXReturnValue same_shape(const Attributes &, Shapes *in, Shapes *out) {
  (*out)[0] = (*in)[0];
  return MX_SUCCESS;
}

inline bool is_bfloat16(const MXTensor &tensor) { return int(tensor.dtype) == kBfloat16; }

template <class T>
T *pointer(const MXTensor &tensor) {
  return static_cast<T *>(tensor.data_ptr);
}

// Rows of a tensor whose last axis is a row.
inline long rows_of(const MXTensor &tensor) {
  long rows = 1;
  for (size_t i = 0; i + 1 < tensor.shape.size(); i++) rows *= tensor.shape[i];
  return rows;
}

// MXNet's temporary space, which lives until the operator returns; ask for it once in a call.
inline float *workspace(const OpResource &resource, long floats) {
  if (floats * long(sizeof(float)) > INT32_MAX)
    fail("needs " + std::to_string(floats >> 28) + " GiB of scratch, more than MXNet gives; "
         "take shorter rows or fewer threads (OMP_NUM_THREADS)");
  return static_cast<float *>(resource.alloc_cpu(int(floats * sizeof(float))));
}

}  // namespace bert
