// GELU (Hendrycks and Gimpel 2016), exact by the error function or, with approx=1, by tanh.
#include <algorithm>

#include "operator.h"

namespace bert {
namespace {

constexpr long kChunk = 8192;     // elements that a thread takes at a time

struct Value {
  Floats cdf, slope;      // gelu(x) = x cdf; slope: d gelu / dx
};

// cdf = Phi(x), the normal distribution.  Phi(-|x|) is exp(-x^2 / 2) times a polynomial in
// 1 / (1 + 0.3 |x|), fitted to a relative error of 1.5e-7, so that the far left is right too.
struct Exact {
  static Value at(Floats x) {
    Floats size = x < 0.f ? -x : x;
    Floats t = 1.f / (1.f + 0.3f * size);
    Floats p = broadcast(0.0356799221f);
    p = p * t - 0.157225109f;
    p = p * t + 0.206392194f;
    p = p * t - 0.0537196808f;
    p = p * t + 0.128580786f;
    p = p * t + 0.0999076972f;
    p = p * t + 0.120754877f;
    p = p * t + 0.11962924f;
    Floats density = exponential(-0.5f * x * x);
    Floats tail = p * t * density;
    Floats cdf = x < 0.f ? tail : 1.f - tail;
    return {cdf, cdf + 0.398942280f * x * density};
  }
};

// cdf = (1 + tanh u) / 2 = 1 / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3)
struct Tanh {
  static Value at(Floats x) {
    Floats exponent = -1.595769122f * (x + 0.044715f * x * x * x);
    exponent = exponent > 88.f ? broadcast(88.f) : exponent;
    Floats cdf = 1.f / (1.f + exponential(exponent));
    return {cdf, cdf + x * cdf * (1.f - cdf) * (1.595769122f + 0.2140644488f * x * x)};
  }
};

template <class Gelu, class T>
void forward(long n, const T *x, T *y) {
#pragma omp parallel for schedule(static)
  for (long begin = 0; begin < n; begin += kChunk) {
    each(std::min(kChunk, n - begin), [&](long i, auto lanes) {
      Floats value = load(x + begin + i, lanes);
      store(y + begin + i, value * Gelu::at(value).cdf, lanes);
    });
  }
}

template <class Gelu, class T>
void backward(long n, const T *dy, const T *x, T *dx) {
#pragma omp parallel for schedule(static)
  for (long begin = 0; begin < n; begin += kChunk) {
    each(std::min(kChunk, n - begin), [&](long i, auto lanes) {
      Floats slope = Gelu::at(load(x + begin + i, lanes)).slope;
      store(dx + begin + i, load(dy + begin + i, lanes) * slope, lanes);
    });
  }
}

MXReturnValue infer_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32, kBfloat16}, "bert_gelu", "x");
  (*out)[0] = (*in)[0];
  return MX_SUCCESS;
}

template <class T>
void forward_of(const Attributes &attributes, const MXTensor &x, const MXTensor &y) {
  auto apply = flag(attributes, "approx") ? forward<Tanh, T> : forward<Exact, T>;
  apply(x.size(), pointer<T>(x), pointer<T>(y));
}

template <class T>
void backward_of(const Attributes &attributes, const MXTensor &dy, const MXTensor &x,
                 const MXTensor &dx) {
  auto apply = flag(attributes, "approx") ? backward<Tanh, T> : backward<Exact, T>;
  apply(x.size(), pointer<T>(dy), pointer<T>(x), pointer<T>(dx));
}

MXReturnValue run_forward(const Attributes &attributes, Tensors *in, Tensors *out,
                          const OpResource &) {
  auto call = is_bfloat16((*in)[0]) ? forward_of<Bfloat16> : forward_of<float>;
  call(attributes, (*in)[0], (*out)[0]);
  return MX_SUCCESS;
}

MXReturnValue run_backward(const Attributes &attributes, Tensors *in, Tensors *out,
                           const OpResource &) {
  auto call = is_bfloat16((*in)[1]) ? backward_of<Bfloat16> : backward_of<float>;
  call(attributes, (*in)[0], (*in)[1], (*out)[0]);
  return MX_SUCCESS;
}

REGISTER_OP(bert_gelu)
    .setForward(run_forward, "cpu")
    .setBackward(run_backward, "cpu")
    .setParseAttrs(one_to_one)
    .setInferType(infer_type)
    .setInferShape(same_shape);

}  // namespace
}  // namespace bert
