// Cross entropy of rows of scores against classes, and whether the class has the highest score:
// the loss of masked-LM, without an array of probabilities of the size of the scores.
#include <algorithm>

#include "operator.h"

namespace bert {
namespace {

const char kOp[] = "bert_cross_entropy";

template <class T>
void forward(long rows, long classes, const T *scores, const float *labels, float *losses,
             float *right) {
#pragma omp parallel for schedule(static)
  for (long row = 0; row < rows; row++) {
    const T *at = scores + row * classes;
    Floats highest = broadcast(-INFINITY);
    each(classes, [&](long i, auto lanes) {
      Floats value = only(load(at + i, lanes), lanes, -INFINITY);
      highest = value > highest ? value : highest;
    });
    const float most = maximum(highest);
    // blocks keep the sum of many small terms exact
    double total = 0;
    for (long begin = 0; begin < classes; begin += 1024) {
      Floats part{};
      each(std::min(1024L, classes - begin), [&](long i, auto lanes) {
        part += only(exponential(load(at + begin + i, lanes) - most), lanes);
      });
      total += sum(part);
    }
    const float own = load(at + long(labels[row]), First{1})[0];
    losses[row] = float(std::log(total)) + most - own;
    right[row] = own == most;
  }
}

// d loss / d score = softmax - 1 for the class and softmax for all other classes; the softmax is
// exp(score - own score - loss)
template <class T>
void backward(long rows, long classes, const float *gradients, const T *scores,
              const float *labels, const float *losses, T *out) {
#pragma omp parallel for schedule(static)
  for (long row = 0; row < rows; row++) {
    const T *at = scores + row * classes;
    T *to = out + row * classes;
    const long label = long(labels[row]);
    const float own = load(at + label, First{1})[0];
    const float loss = losses[row], gradient = gradients[row];
    each(classes, [&](long i, auto lanes) {
      store(to + i, exponential(load(at + i, lanes) - own - loss) * gradient, lanes);
    });
    store(to + label, broadcast(std::expm1(-loss) * gradient), First{1});
  }
}

MXReturnValue parse(const Attributes &, int *inputs, int *outputs) {
  *inputs = *outputs = 2;
  return MX_SUCCESS;
}

MXReturnValue infer_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32, kBfloat16}, kOp, "scores");
  expect(&(*in)[1], {kFloat32}, kOp, "labels");
  (*out)[0] = (*out)[1] = kFloat32;
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attributes &, Shapes *in, Shapes *out) {
  const Shape &scores = (*in)[0];
  if (scores.size() != 2) fail(std::string(kOp) + ": scores have shape " + text(scores) +
                               ", not (rows, classes)");
  expect(&(*in)[1], {scores[0]}, kOp, "labels");
  (*out)[0] = (*out)[1] = {scores[0]};
  return MX_SUCCESS;
}

// inputs: scores (rows, classes), labels (rows,); outputs: losses (rows,), right (rows,), 1 where
// no class has a higher score than the label's
MXReturnValue run_forward(const Attributes &, Tensors *in, Tensors *out, const OpResource &) {
  const MXTensor &scores = (*in)[0];
  const long rows = scores.shape[0], classes = scores.shape[1];
  const float *labels = pointer<float>((*in)[1]);
  for (long row = 0; row < rows; row++)
    if (!(labels[row] >= 0 && labels[row] < classes))
      fail(std::string(kOp) + ": label " + std::to_string(labels[row]) + " is none of " +
           std::to_string(classes) + " classes");
  float *losses = pointer<float>((*out)[0]), *right = pointer<float>((*out)[1]);
  if (is_bfloat16(scores))
    forward(rows, classes, pointer<Bfloat16>(scores), labels, losses, right);
  else
    forward(rows, classes, pointer<float>(scores), labels, losses, right);
  return MX_SUCCESS;
}

// inputs: the outputs' gradients (that of `right` counts for nothing), the inputs, the outputs
MXReturnValue run_backward(const Attributes &, Tensors *in, Tensors *out, const OpResource &) {
  const float *gradients = pointer<float>((*in)[0]), *labels = pointer<float>((*in)[3]);
  const float *losses = pointer<float>((*in)[4]);
  const MXTensor &scores = (*in)[2];
  const long rows = scores.shape[0], classes = scores.shape[1];
  if (is_bfloat16(scores))
    backward(rows, classes, gradients, pointer<Bfloat16>(scores), labels, losses,
             pointer<Bfloat16>((*out)[0]));
  else
    backward(rows, classes, gradients, pointer<float>(scores), labels, losses,
             pointer<float>((*out)[0]));
  std::fill_n(pointer<float>((*out)[1]), rows, 0.f);
  return MX_SUCCESS;
}

REGISTER_OP(bert_cross_entropy)
    .setForward(run_forward, "cpu")
    .setBackward(run_backward, "cpu")
    .setParseAttrs(parse)
    .setInferType(infer_type)
    .setInferShape(infer_shape);

}  // namespace
}  // namespace bert
