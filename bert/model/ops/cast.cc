// float32 to bfloat16, rounded to nearest (MXNet's own cast cuts off, which makes weights smaller).
#include <algorithm>

#include "operator.h"

namespace bert {
namespace {

constexpr long kChunk = 16384;    // elements that a thread takes at a time

template <class From, class To>
void cast(long n, const From *from, To *to) {
#pragma omp parallel for schedule(static)
  for (long begin = 0; begin < n; begin += kChunk) {
    each(std::min(kChunk, n - begin), [&](long i, auto lanes) {
      store(to + begin + i, load(from + begin + i, lanes), lanes);
    });
  }
}

MXReturnValue infer_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32}, "bert_bfloat16", "x");
  (*out)[0] = kBfloat16;
  return MX_SUCCESS;
}

MXReturnValue run_forward(const Attributes &, Tensors *in, Tensors *out, const OpResource &) {
  cast((*in)[0].size(), pointer<float>((*in)[0]), pointer<Bfloat16>((*out)[0]));
  return MX_SUCCESS;
}

MXReturnValue run_backward(const Attributes &, Tensors *in, Tensors *out, const OpResource &) {
  cast((*in)[0].size(), pointer<Bfloat16>((*in)[0]), pointer<float>((*out)[0]));
  return MX_SUCCESS;
}

REGISTER_OP(bert_bfloat16)
    .setForward(run_forward, "cpu")
    .setBackward(run_backward, "cpu")
    .setParseAttrs(one_to_one)
    .setInferType(infer_type)
    .setInferShape(same_shape);

}  // namespace
}  // namespace bert
