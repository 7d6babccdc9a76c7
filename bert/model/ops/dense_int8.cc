// Dense layers in 8 bits, for inference: bert_int8 makes a weight's rows int8, bert_dense_int8
// quantises each row of activations, multiplies with exact sums, and gives float32.
#include "int8.h"
#include "operator.h"

namespace bert {
namespace {

constexpr long kBlock = 192 << 10;          // bytes of activations that stay in L2
constexpr long kLongest = 1 << 16;          // inputs whose sums of 255 * 127 fit into 32 bits

struct Sizes {
  long rows, inputs, outputs;
};

// The scratch memory of a call, cut from one piece.
struct Scratch {
  int32_t *panels, *totals;
  int8::Scale *scales;
  uint8_t *bytes;

  Scratch(const OpResource &resource, Sizes n) {
    const long columns = (n.outputs + int8::kColumns - 1) / int8::kColumns * int8::kColumns;
    const long quads = int8::quads(n.inputs), words = columns * (quads + 1) + 2 * n.rows;
    panels = reinterpret_cast<int32_t *>(
        workspace(resource, words + n.rows * int8::stride(n.inputs) / 4));
    totals = panels + columns * quads;
    scales = reinterpret_cast<int8::Scale *>(totals + columns);
    bytes = reinterpret_cast<uint8_t *>(panels + words);
  }
};

void multiply(Sizes n, const float *x, const int8_t *weight, const float *scales,
              const float *bias, float *y, const Scratch &to) {
  const long depth = int8::quads(n.inputs), row = int8::stride(n.inputs);
  const long panels = (n.outputs + int8::kColumns - 1) / int8::kColumns;
  const long block = std::max(1l, kBlock / row / int8::kRows) * int8::kRows;
  const long blocks = (n.rows + block - 1) / block;
#pragma omp parallel
  {
#pragma omp for schedule(static) nowait
    for (long panel = 0; panel < panels; panel++) {
      const long first = panel * int8::kColumns;
      int8::pack(weight + first * n.inputs, n.inputs,
                 std::min<long>(int8::kColumns, n.outputs - first), to.panels + first * depth,
                 to.totals + first);
    }
#pragma omp for schedule(static)
    for (long i = 0; i < n.rows; i++)
      to.scales[i] = int8::quantise_activations(x + i * n.inputs, n.inputs, to.bytes + i * row);
#pragma omp for collapse(2) schedule(static)
    for (long i = 0; i < blocks; i++)
      for (long panel = 0; panel < panels; panel++) {
        const long first = i * block, left = panel * int8::kColumns;
        int8::column(std::min(block, n.rows - first), depth, to.bytes + first * row, row,
                     to.scales + first, to.panels + left * depth,
                     {y + first * n.outputs + left, n.outputs, n.outputs - left, scales + left,
                      bias + left, to.totals + left});
      }
  }
}

MXReturnValue parse_weight(const Attributes &, int *inputs, int *outputs) {
  *inputs = 1;
  *outputs = 2;
  return MX_SUCCESS;
}

MXReturnValue weight_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32}, "bert_int8", "weight");
  (*out)[0] = kInt8;
  (*out)[1] = kFloat32;
  return MX_SUCCESS;
}

MXReturnValue weight_shape(const Attributes &, Shapes *in, Shapes *out) {
  if ((*in)[0].size() != 2) fail("bert_int8: weight has shape " + text((*in)[0]) + ", no matrix");
  (*out)[0] = (*in)[0];
  (*out)[1] = {(*in)[0][0]};
  return MX_SUCCESS;
}

MXReturnValue run_weight(const Attributes &, Tensors *in, Tensors *out, const OpResource &) {
  const long rows = rows_of((*in)[0]), inputs = (*in)[0].shape[1];
#pragma omp parallel for schedule(static)
  for (long i = 0; i < rows; i++)
    pointer<float>((*out)[1])[i] = int8::quantise_weights(
        pointer<float>((*in)[0]) + i * inputs, inputs, pointer<int8_t>((*out)[0]) + i * inputs);
  return MX_SUCCESS;
}

MXReturnValue parse(const Attributes &, int *inputs, int *outputs) {
  *inputs = 4;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue infer_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32}, "bert_dense_int8", "x");
  expect(&(*in)[1], {kInt8}, "bert_dense_int8", "weight");
  expect(&(*in)[2], {kFloat32}, "bert_dense_int8", "scales");
  expect(&(*in)[3], {kFloat32}, "bert_dense_int8", "bias");
  (*out)[0] = kFloat32;
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attributes &, Shapes *in, Shapes *out) {
  const Shape &x = (*in)[0], &weight = (*in)[1];
  if (x.empty() || weight.size() != 2 || x.back() != weight[1] || weight[1] > kLongest)
    fail("bert_dense_int8: x has shape " + text(x) + " and weight " + text(weight) +
         ": need (..., inputs) and (outputs, inputs), of at most 65536 inputs");
  expect(&(*in)[2], {weight[0]}, "bert_dense_int8", "scales");
  expect(&(*in)[3], {weight[0]}, "bert_dense_int8", "bias");
  (*out)[0] = x;
  (*out)[0].back() = weight[0];
  return MX_SUCCESS;
}

MXReturnValue run(const Attributes &, Tensors *in, Tensors *out, const OpResource &resource) {
  const Sizes sizes = {rows_of((*in)[0]), (*in)[1].shape[1], (*in)[1].shape[0]};
  multiply(sizes, pointer<float>((*in)[0]), pointer<int8_t>((*in)[1]), pointer<float>((*in)[2]),
           pointer<float>((*in)[3]), pointer<float>((*out)[0]), Scratch(resource, sizes));
  return MX_SUCCESS;
}

// MXNet wants one from every operator of a graph, even if it is never called.
MXReturnValue run_backward(const Attributes &, Tensors *, Tensors *, const OpResource &) {
  fail("bert_dense_int8 has no gradient: int8 is for inference");
}

REGISTER_OP(bert_int8)
    .setForward(run_weight, "cpu")
    .setParseAttrs(parse_weight)
    .setInferType(weight_type)
    .setInferShape(weight_shape);

REGISTER_OP(bert_dense_int8)
    .setForward(run, "cpu")
    .setBackward(run_backward, "cpu")
    .setParseAttrs(parse)
    .setInferType(infer_type)
    .setInferShape(infer_shape);

}  // namespace
}  // namespace bert
