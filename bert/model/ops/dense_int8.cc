// Dense layers in 8 bits, for inference: bert_int8 quantizes the rows of a weight; bert_dense_int8
// and bert_feed_forward_int8 (see layers.h) quantize each row of activations, multiply with exact
// sums, and give float32.
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

// One layer, and its panels in scratch memory.
struct Layer {
  static constexpr char kName[] = "int8 layers";
  static constexpr int kTensors = 3;                // int8 weight, scales, bias
  static constexpr long kHidden = 48 << 10, kTile = int8::kRows;
  static constexpr long kLongest = 1 << 16;         // inputs whose sums of 255 * 127 fit 32 bits
  typedef Polynomial<kExact> Gelu;
  typedef Polynomial<kTanh> ApproxGelu;

  long inputs, outputs;
  const int8_t *weight;
  const float *scales, *bias;
  int32_t *panels = nullptr, *totals = nullptr;

  explicit Layer(const MXTensor *in)
      : inputs(in[0].shape[1]), outputs(in[0].shape[0]), weight(pointer<int8_t>(in[0])),
        scales(pointer<float>(in[1])), bias(pointer<float>(in[2])) {}

  static bool fits(long inputs) { return inputs <= kLongest; }
  static void check(Types *in, size_t i) {
    expect(&(*in)[i], {kInt8}, kName, "a weight");
    expect(&(*in)[i + 1], {kFloat32}, kName, "scales");
  }

  long count() const { return (outputs + int8::kColumns - 1) / int8::kColumns; }
  long words() const { return count() * int8::kColumns * (int8::quads(inputs) + 1); }

  float *place(float *scratch) {
    panels = reinterpret_cast<int32_t *>(scratch);
    totals = panels + count() * int8::kColumns * int8::quads(inputs);
    return scratch + words();
  }

  void pack() const {                               // by all threads of a parallel region
#pragma omp for schedule(static)
    for (long i = 0; i < count(); i++) {
      const long first = i * int8::kColumns;
      int8::pack(weight + first * inputs, inputs, std::min<long>(int8::kColumns, outputs - first),
                 panels + first * int8::quads(inputs), totals + first);
    }
  }

  // Quantized rows and their scales.
  struct Rows {
    int8::Scale *scales;
    uint8_t *bytes;

    static long words(long rows, long inputs) { return rows * (2 + int8::stride(inputs) / 4); }

    Rows(float *scratch, long rows, long)
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
  layers::check_weight("bert_int8", in, out);
  (*out)[1] = {(*in)[0][0]};
  return MX_SUCCESS;
}

MXReturnValue run_weight(const Attributes &, Tensors *in, Tensors *out, const OpResource &) {
  const long rows = rows_of((*in)[0]), inputs = (*in)[0].shape[1];
#pragma omp parallel for schedule(static)
  for (long i = 0; i < rows; i++)
    pointer<float>((*out)[1])[i] = int8::quantize_weights(
        pointer<float>((*in)[0]) + i * inputs, inputs, pointer<int8_t>((*out)[0]) + i * inputs);
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
