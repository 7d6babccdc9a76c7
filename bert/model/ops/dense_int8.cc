// Dense layers in 8 bits, for inference: bert_int8 quantizes the rows of a weight and copies them
// into the panels of int8.h; bert_dense_int8 and bert_feed_forward_int8 (see layers.h) quantize each
// row of activations, multiply with exact sums, and give float32.
#include "int8.h"
#include "layers.h"

namespace bert {
namespace {

// GELU to 1.3e-4, small compared with a step of the 8 bits that it is rounded to: x times
// 1/2 + t P(t^2), for t = x / 4 from -1 to 1, fitted to the normal distribution or its tanh.
constexpr float kExact[] = {
    1.59275483f, -4.16432499f, 9.25863643f, -14.4716251f, 15.063548f, -9.70869353f,
    3.40303673f, -0.473332333f};
constexpr float kTanh[] = {
    1.59391727f, -4.21459243f, 9.73715677f, -16.4338332f, 19.2731756f, -14.6574404f,
    6.42385356f, -1.22223716f};

template <const float (&P)[8]>
struct Polynomial {
  static Floats at(Floats x) {
    Floats t = x * 0.25f;
    t = t < -1.f ? broadcast(-1.f) : t;
    t = t > 1.f ? broadcast(1.f) : t;
    const Floats square = t * t;
    Floats p = broadcast(P[7]);
    for (int i = 6; i >= 0; i--) p = p * square + P[i];
    return x * (t * p + 0.5f);
  }
};

// outputs and inputs of a weight in panels
unsigned padded_outputs(unsigned outputs) {
  return (outputs + int8::kColumns - 1) / int8::kColumns * int8::kColumns;
}
unsigned padded_inputs(unsigned inputs) { return unsigned(4 * int8::quads(inputs)); }

struct Layer {
  static constexpr char kName[] = "int8 layers";
  static constexpr int kTensors = 4;                // int8 panels, scales, totals, bias
  static constexpr long kHidden = 48 << 10, kTile = int8::kRows;
  static constexpr unsigned kLongest = 1 << 16;     // inputs whose sums of 255 * 127 fit 32 bits
  typedef Polynomial<kExact> ExactGelu;
  typedef Polynomial<kTanh> TanhGelu;

  long inputs, outputs;
  const int32_t *panels, *totals;
  const float *scales, *bias;

  Layer(const MXTensor *in, long inputs)
      : inputs(inputs), outputs(in[1].shape[0]), panels(pointer<int32_t>(in[0])),
        totals(pointer<int32_t>(in[2])), scales(pointer<float>(in[1])),
        bias(pointer<float>(in[3])) {}

  static void check_types(Types *in, size_t i) {
    expect(&(*in)[i], {kInt8}, kName, "a weight");
    expect(&(*in)[i + 1], {kFloat32}, kName, "scales");
    expect(&(*in)[i + 2], {kInt32}, kName, "totals");
  }
  static unsigned outputs_of(Shapes *in, size_t i, unsigned inputs) {
    const Shape &panels = (*in)[i], &scales = (*in)[i + 1];
    if (inputs > kLongest)
      fail(std::string(kName) + ": " + std::to_string(inputs) + " inputs are too many for 32 bits");
    if (scales.size() != 1)
      fail(std::string(kName) + ": scales have shape " + text(scales) + ", not (outputs,)");
    const unsigned rows = padded_outputs(scales[0]);
    if (panels != Shape{rows, padded_inputs(inputs)})
      fail(std::string(kName) + ": x has " + std::to_string(inputs) + " columns, a weight shape " +
           text(panels) + " and " + std::to_string(scales[0]) +
           " scales: take those that bert_int8 made of (outputs, inputs)");
    expect(&(*in)[i + 2], {rows}, kName, "totals");
    return scales[0];
  }

  // Quantized rows and their scales.
  struct Rows {
    int8::Scale *scales;
    uint8_t *bytes;

    static long words(long rows, long inputs) { return rows * (2 + int8::stride(inputs) / 4); }

    Rows(float *scratch, long rows)
        : scales(reinterpret_cast<int8::Scale *>(scratch)),
          bytes(reinterpret_cast<uint8_t *>(scratch + 2 * rows)) {}

    void take(long rows, const float *x, long width, long row) {
      for (long i = 0; i < rows; i++)
        scales[i] = int8::quantize_activations(x + i * row, width,
                                               bytes + i * int8::stride(width));
    }
  };

  void apply(long count, const Rows &rows, float *y, long row) const {
    for (long first = 0; first < outputs; first += int8::kColumns)
      int8::column(count, int8::quads(inputs), rows.bytes, int8::stride(inputs), rows.scales,
                   panels + first * int8::quads(inputs),
                   {y + first, row, outputs - first, scales + first, bias + first,
                    totals + first});
  }
};

MXReturnValue parse_weight(const Attributes &, int *inputs, int *outputs) {
  *inputs = 1;
  *outputs = 3;
  return MX_SUCCESS;
}

MXReturnValue weight_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32}, "bert_int8", "weight");
  *out = {kInt8, kFloat32, kInt32};
  return MX_SUCCESS;
}

MXReturnValue weight_shape(const Attributes &, Shapes *in, Shapes *out) {
  const Shape &weight = (*in)[0];
  layers::check_weight("bert_int8", weight);
  const unsigned rows = padded_outputs(weight[0]);
  *out = {{rows, padded_inputs(weight[1])}, {weight[0]}, {rows}};
  return MX_SUCCESS;
}

// outputs: panels, the scale of each row, and the sum of each row's integers
MXReturnValue run_weight(const Attributes &, Tensors *in, Tensors *out, const OpResource &) {
  const long rows = rows_of((*in)[0]), inputs = (*in)[0].shape[1];
#pragma omp parallel for schedule(static)
  for (long first = 0; first < rows; first += int8::kColumns) {
    const long count = std::min<long>(int8::kColumns, rows - first);
    std::vector<int8_t> matrix(count * inputs);
    for (long i = 0; i < count; i++)
      pointer<float>((*out)[1])[first + i] = int8::quantize_weights(
          pointer<float>((*in)[0]) + (first + i) * inputs, inputs, &matrix[i * inputs]);
    int8::pack(matrix.data(), inputs, count,
               pointer<int32_t>((*out)[0]) + first * int8::quads(inputs),
               pointer<int32_t>((*out)[2]) + first);
  }
  return MX_SUCCESS;
}

REGISTER_OP(bert_int8)
    .setForward(run_weight, "cpu")
    .setParseAttrs(parse_weight)
    .setInferType(weight_type)
    .setInferShape(weight_shape);

REGISTER_OP(bert_dense_int8)
    .setForward(layers::run_dense<Layer>, "cpu")
    .setBackward(layers::run_backward<Layer>, "cpu")
    .setParseAttrs(layers::parse_dense<Layer>)
    .setInferType(layers::infer_type<Layer>)
    .setInferShape(layers::dense_shape<Layer>);

REGISTER_OP(bert_feed_forward_int8)
    .setForward(layers::run_feed_forward<Layer>, "cpu")
    .setBackward(layers::run_backward<Layer>, "cpu")
    .setParseAttrs(layers::parse_feed_forward<Layer>)
    .setInferType(layers::infer_type<Layer>)
    .setInferShape(layers::feed_forward_shape<Layer>);

}  // namespace
}  // namespace bert
