// GELU, element by element: exact or, with approx=1, by tanh.
#include <algorithm>

#include "gelu.h"
#include "operator.h"

namespace bert {
namespace {

constexpr long kChunk = 8192;     // elements that a thread takes at a time

template <class Form, class T>
void forward(long n, const T *x, T *y) {
#pragma omp parallel for schedule(static)
  for (long begin = 0; begin < n; begin += kChunk) {
    each(std::min(kChunk, n - begin), [&](long i, auto lanes) {
      store(y + begin + i, Gelu<Form>::at(load(x + begin + i, lanes)), lanes);
    });
  }
}

template <class Form, class T>
void backward(long n, const T *dy, const T *x, T *dx) {
#pragma omp parallel for schedule(static)
  for (long begin = 0; begin < n; begin += kChunk) {
    each(std::min(kChunk, n - begin), [&](long i, auto lanes) {
      Floats slope = Form::at(load(x + begin + i, lanes)).slope;
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
