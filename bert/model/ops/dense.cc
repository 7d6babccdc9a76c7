// Dense layers in float32, for inference: bert_panels puts the elements of a weight in the order in
// which bert_dense and bert_feed_forward (see layers.h) multiply with them.
//
// A panel is kColumns rows of the weight side by side: the first input of each, the second, ...
// The last panel has the rows that are left.  As in GotoBLAS (Goto and van de Geijn 2008) a block of
// activations stays in L2, with it the part of a panel that it is multiplied with, and a tile of
// the result in registers.  Each element is summed in the same order whatever block and tile.
//
// Training leaves products to MXNet: those of the backward pass, made like this, were 9 % slower.
#include "gelu.h"
#include "layers.h"
#include "matrix.h"

namespace bert {
namespace {

// a tile of the result
#ifdef __AVX512F__
constexpr int kRows = 8, kVectors = 3;
#else
constexpr int kRows = kTileRows, kVectors = kTileVectors;
#endif
constexpr long kColumns = kVectors * kLanes;
constexpr long kDepth = 512;            // the most inputs that are multiplied at a time

struct Layer {
  static constexpr char kName[] = "dense layers";
  static constexpr int kTensors = 2;                // weight in panels, bias
  static constexpr long kHidden = 128 << 10, kTile = kRows;
  typedef Gelu<Exact> ExactGelu;
  typedef Gelu<Tanh> TanhGelu;

  long inputs, outputs;
  const float *panels, *bias;

  Layer(const MXTensor *in, long inputs)
      : inputs(inputs), outputs(in[0].shape[0]), panels(pointer<float>(in[0])),
        bias(pointer<float>(in[1])) {}

  static void check_types(Types *in, size_t i) {
    expect(&(*in)[i], {kFloat32}, kName, "a weight");
  }
  static unsigned outputs_of(Shapes *in, size_t i, unsigned inputs) {
    const Shape &weight = (*in)[i];
    if (weight.size() != 2 || weight[1] != inputs)
      fail(std::string(kName) + ": x has " + std::to_string(inputs) +
           " columns and a weight shape " + text(weight) + ": need (outputs, inputs)");
    return weight[0];
  }

  // Rows as they lie.
  struct Rows {
    Left left{nullptr, 0, 1};

    static long words(long, long) { return 0; }
    Rows(float *, long) {}
    void take(long, const float *x, long, long row) { left = {x, row, 1}; }
  };

  void apply(long count, const Rows &rows, float *y, long row) const {
    const long steps = (inputs + kDepth - 1) / kDepth, step = (inputs + steps - 1) / steps;
    for (long k = 0; k < inputs; k += step) {
      const long depth = std::min(step, inputs - k);
      const Left left{rows.left.data + k, rows.left.row, 1};
      for (long first = 0; first < outputs; first += kColumns) {
        const long width = std::min(kColumns, outputs - first);
        const float *panel = panels + first * inputs + k * width;
        const float *start = k ? nullptr : bias + first;
        if (width == kColumns) {
          column<kVectors>(count, depth, left, panel, width, y + first, row, start, All());
          continue;
        }
        each(width, [&](long c, auto lanes) {
          column<1>(count, depth, left, panel + c, width, y + first + c, row,
                    start ? start + c : nullptr, lanes);
        });
      }
    }
  }

  // y = start + some rows times VECTORS vectors of a panel; start is the bias, or null for y.
  template <int VECTORS, int ROWS = kRows, class Lanes>
  static void column(long rows, long depth, Left x, const float *panel, long width, float *y,
                     long row, const float *start, Lanes lanes) {
    for (; rows >= ROWS; rows -= ROWS) {
      for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < VECTORS; v++) __builtin_prefetch(y + i * row + v * kLanes, 1);
      auto begin = [&](long i, long j) {
        return load(start ? start + j : y + i * row + j, lanes);
      };
      multiply_tile<ROWS, VECTORS>(depth, x, panel, width, y, row, begin, lanes);
      x.data += ROWS * x.row;
      y += ROWS * row;
    }
    if constexpr (ROWS > 1)
      if (rows) column<VECTORS, ROWS - 1>(rows, depth, x, panel, width, y, row, start, lanes);
  }
};

MXReturnValue panels_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32}, "bert_panels", "weight");
  (*out)[0] = kFloat32;
  return MX_SUCCESS;
}

MXReturnValue panels_shape(const Attributes &, Shapes *in, Shapes *out) {
  layers::check_weight("bert_panels", (*in)[0]);
  (*out)[0] = (*in)[0];
  return MX_SUCCESS;
}

MXReturnValue run_panels(const Attributes &, Tensors *in, Tensors *out, const OpResource &) {
  const long outputs = (*in)[0].shape[0], inputs = (*in)[0].shape[1];
#pragma omp parallel for schedule(static)
  for (long first = 0; first < outputs; first += kColumns) {
    const long width = std::min(kColumns, outputs - first);
    const float *from = pointer<float>((*in)[0]) + first * inputs;
    float *to = pointer<float>((*out)[0]) + first * inputs;
    for (long k = 0; k < inputs; k++)
      for (long c = 0; c < width; c++) to[k * width + c] = from[c * inputs + k];
  }
  return MX_SUCCESS;
}

REGISTER_OP(bert_panels)
    .setForward(run_panels, "cpu")
    .setParseAttrs(one_to_one)
    .setInferType(panels_type)
    .setInferShape(panels_shape);

REGISTER_OP(bert_dense)
    .setForward(layers::run_dense<Layer>, "cpu")
    .setBackward(layers::run_backward<Layer>, "cpu")
    .setParseAttrs(layers::parse_dense<Layer>)
    .setInferType(layers::infer_type<Layer>)
    .setInferShape(layers::dense_shape<Layer>);

REGISTER_OP(bert_feed_forward)
    .setForward(layers::run_feed_forward<Layer>, "cpu")
    .setBackward(layers::run_backward<Layer>, "cpu")
    .setParseAttrs(layers::parse_feed_forward<Layer>)
    .setInferType(layers::infer_type<Layer>)
    .setInferShape(layers::feed_forward_shape<Layer>);

}  // namespace
}  // namespace bert
