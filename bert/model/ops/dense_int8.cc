// Dense layers in 8 bits, for inference: bert_int8 quantizes the rows of a weight; bert_dense_int8,
// for n layers whose outputs are side by side, and bert_feed_forward_int8, for two layers with an
// activation between them, quantize each row of activations, multiply with exact sums, and give
// float32.
#include "int8.h"
#include "operator.h"

namespace bert {
namespace {

constexpr long kMostRows = 64;              // that a thread takes at a time
constexpr long kHidden = 192 << 10;         // bytes of hidden activations that stay in L2
constexpr long kLongest = 1 << 16;          // inputs whose sums of 255 * 127 fit into 32 bits
constexpr int kMostLayers = 99;
constexpr char kOp[] = "int8 layers";       // in messages

// Rows that a thread takes at a time: whole tiles, and some for each thread.
long block_of(long rows, long most) {
  const long share = (rows + omp_get_max_threads() - 1) / omp_get_max_threads();
  const long tiles = (std::min(share, most) + int8::kRows - 1) / int8::kRows;
  return std::max(1l, tiles) * int8::kRows;
}

// One layer of x W^T + bias, and its panels in scratch memory.
struct Layer {
  long inputs, outputs;
  const int8_t *weight;
  const float *scales, *bias;
  int32_t *panels = nullptr, *totals = nullptr;

  explicit Layer(const MXTensor *in)        // weight, scales, bias
      : inputs(in[0].shape[1]), outputs(in[0].shape[0]), weight(pointer<int8_t>(in[0])),
        scales(pointer<float>(in[1])), bias(pointer<float>(in[2])) {}

  long count() const { return (outputs + int8::kColumns - 1) / int8::kColumns; }
  long words() const { return count() * int8::kColumns * (int8::quads(inputs) + 1); }

  int32_t *place(int32_t *scratch) {        // takes words() of it
    panels = scratch;
    totals = scratch + count() * int8::kColumns * int8::quads(inputs);
    return scratch + words();
  }

  void pack() const {                       // by all threads of a parallel region
#pragma omp for schedule(static)
    for (long i = 0; i < count(); i++) {
      const long first = i * int8::kColumns;
      int8::pack(weight + first * inputs, inputs, std::min<long>(int8::kColumns, outputs - first),
                 panels + first * int8::quads(inputs), totals + first);
    }
  }

  // `row`: from one row of y to the next
  void apply(long rows, const uint8_t *bytes, const int8::Scale *scale, float *y, long row) const {
    for (long first = 0; first < outputs; first += int8::kColumns)
      int8::column(rows, int8::quads(inputs), bytes, int8::stride(inputs), scale,
                   panels + first * int8::quads(inputs),
                   {y + first, row, outputs - first, scales + first, bias + first,
                    totals + first});
  }
};

// What a thread keeps of a block of rows: quantized, and the activations between two layers.
struct Block {
  int8::Scale *scales;
  uint8_t *bytes;
  float *hidden;

  static long words(long rows, long inputs, long hidden) {
    return rows * (2 + int8::stride(inputs) / 4 + hidden);
  }

  Block(int32_t *scratch, long rows, long inputs) {
    scales = reinterpret_cast<int8::Scale *>(scratch);
    bytes = reinterpret_cast<uint8_t *>(scratch + 2 * rows);
    hidden = reinterpret_cast<float *>(bytes + rows * int8::stride(inputs));
  }

  void quantize(long rows, const float *x, long inputs) {
    for (long i = 0; i < rows; i++)
      scales[i] = int8::quantize_activations(x + i * inputs, inputs,
                                             bytes + i * int8::stride(inputs));
  }
};

void dense(long rows, const float *x, std::vector<Layer> layers, float *y,
           const OpResource &resource) {
  const long inputs = layers[0].inputs, block = block_of(rows, kMostRows);
  const long each = Block::words(block, inputs, 0);
  long words = omp_get_max_threads() * each, outputs = 0;
  for (const Layer &layer : layers) {
    words += layer.words();
    outputs += layer.outputs;
  }
  int32_t *scratch = reinterpret_cast<int32_t *>(workspace(resource, words));
  for (Layer &layer : layers) scratch = layer.place(scratch);
#pragma omp parallel
  {
    Block mine(scratch + omp_get_thread_num() * each, block, inputs);
    for (const Layer &layer : layers) layer.pack();
#pragma omp for schedule(static)
    for (long first = 0; first < rows; first += block) {
      const long count = std::min(block, rows - first);
      mine.quantize(count, x + first * inputs, inputs);
      float *to = y + first * outputs;
      for (const Layer &layer : layers) {
        layer.apply(count, mine.bytes, mine.scales, to, outputs);
        to += layer.outputs;
      }
    }
  }
}

struct Relu {
  static Floats at(Floats x) { return x < 0.f ? Floats{} : x; }
};

// GELU to 1.3e-4, small compared with a step of the 8 bits that it is rounded to: x times
// 1/2 + t P(t^2), for t = x / 4 from -1 to 1, fitted to the normal distribution or its tanh.
constexpr float kExact[] = {
    1.59275483f, -4.16432499f, 9.25863643f, -14.4716251f, 15.063548f, -9.70869353f,
    3.40303673f, -0.473332333f};
constexpr float kTanh[] = {
    1.59391727f, -4.21459243f, 9.73715677f, -16.4338332f, 19.2731756f, -14.6574404f,
    6.42385356f, -1.22223716f};

template <const float (&P)[8]>
struct Gelu {
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

template <class Activation>
void feed_forward(long rows, const float *x, Layer up, Layer down, float *y,
                  const OpResource &resource) {
  const long block = block_of(rows, std::min(kMostRows, kHidden / 4 / up.outputs));
  const long widest = std::max(up.inputs, down.inputs);
  const long words = Block::words(block, widest, up.outputs);
  int32_t *scratch = reinterpret_cast<int32_t *>(workspace(
      resource, up.words() + down.words() + omp_get_max_threads() * words));
  scratch = down.place(up.place(scratch));
#pragma omp parallel
  {
    Block mine(scratch + omp_get_thread_num() * words, block, widest);
    up.pack();
    down.pack();
#pragma omp for schedule(static)
    for (long first = 0; first < rows; first += block) {
      const long count = std::min(block, rows - first);
      mine.quantize(count, x + first * up.inputs, up.inputs);
      up.apply(count, mine.bytes, mine.scales, mine.hidden, up.outputs);
      each(count * up.outputs, [&](long i, auto lanes) {
        store(mine.hidden + i, Activation::at(load(mine.hidden + i, lanes)), lanes);
      });
      mine.quantize(count, mine.hidden, down.inputs);
      down.apply(count, mine.bytes, mine.scales, y + first * down.outputs, down.outputs);
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
  if ((*in)[0].size() != 2)
    fail("bert_int8: weight has shape " + text((*in)[0]) + ", not (outputs, inputs)");
  (*out)[0] = (*in)[0];
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

// x, and a weight, its scales and a bias for each of the layers
MXReturnValue parse_dense(const Attributes &attributes, int *inputs, int *outputs) {
  const double layers = number(attributes, "n", 1);
  if (!(layers >= 1 && layers <= kMostLayers))
    fail("bert_dense_int8: n=" + std::to_string(layers) + " is not from 1 to 99");
  *inputs = 1 + 3 * int(layers);
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue parse_feed_forward(const Attributes &, int *inputs, int *outputs) {
  *inputs = 1 + 3 * 2;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue infer_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32}, kOp, "x");
  for (size_t i = 1; i < in->size(); i += 3) {
    expect(&(*in)[i], {kInt8}, kOp, "a weight");
    expect(&(*in)[i + 1], {kFloat32}, kOp, "scales");
    expect(&(*in)[i + 2], {kFloat32}, kOp, "a bias");
  }
  (*out)[0] = kFloat32;
  return MX_SUCCESS;
}

// Check the layer that begins with input i, on x; gives its outputs.
unsigned outputs_of(Shapes *in, size_t i, const Shape &x) {
  const Shape &weight = (*in)[i];
  if (x.empty() || weight.size() != 2 || x.back() != weight[1] || weight[1] > kLongest)
    fail(std::string(kOp) + ": x has shape " + text(x) + " and a weight " + text(weight) +
         ": need (..., inputs) and (outputs, inputs), of at most 65536 inputs");
  expect(&(*in)[i + 1], {weight[0]}, kOp, "scales");
  expect(&(*in)[i + 2], {weight[0]}, kOp, "a bias");
  return weight[0];
}

MXReturnValue dense_shape(const Attributes &, Shapes *in, Shapes *out) {
  const Shape &x = (*in)[0];
  unsigned outputs = 0;
  for (size_t i = 1; i < in->size(); i += 3) outputs += outputs_of(in, i, x);
  (*out)[0] = x;
  (*out)[0].back() = outputs;
  return MX_SUCCESS;
}

MXReturnValue feed_forward_shape(const Attributes &, Shapes *in, Shapes *out) {
  Shape x = (*in)[0];
  for (size_t i = 1; i < in->size(); i += 3) x.back() = outputs_of(in, i, x);
  (*out)[0] = x;
  return MX_SUCCESS;
}

MXReturnValue run_dense(const Attributes &, Tensors *in, Tensors *out, const OpResource &resource) {
  std::vector<Layer> layers;
  for (size_t i = 1; i < in->size(); i += 3) layers.emplace_back(&(*in)[i]);
  dense(rows_of((*in)[0]), pointer<float>((*in)[0]), layers, pointer<float>((*out)[0]), resource);
  return MX_SUCCESS;
}

MXReturnValue run_feed_forward(const Attributes &attributes, Tensors *in, Tensors *out,
                               const OpResource &resource) {
  auto found = attributes.find("activation");
  const std::string name = found == attributes.end() ? "gelu" : found->second;
  auto run = name == "gelu" ? feed_forward<Gelu<kExact>> :
             name == "approx_gelu" ? feed_forward<Gelu<kTanh>> :
             name == "relu" ? feed_forward<Relu> : nullptr;
  if (!run) fail("bert_feed_forward_int8: activation " + name + " is not known");
  run(rows_of((*in)[0]), pointer<float>((*in)[0]), Layer(&(*in)[1]), Layer(&(*in)[4]),
      pointer<float>((*out)[0]), resource);
  return MX_SUCCESS;
}

// MXNet requires a backward pass of every operator in a graph, even if it is never called.
MXReturnValue run_backward(const Attributes &, Tensors *, Tensors *, const OpResource &) {
  fail("int8 layers have no gradient: they are for inference only");
}

REGISTER_OP(bert_int8)
    .setForward(run_weight, "cpu")
    .setParseAttrs(parse_weight)
    .setInferType(weight_type)
    .setInferShape(weight_shape);

REGISTER_OP(bert_dense_int8)
    .setForward(run_dense, "cpu")
    .setBackward(run_backward, "cpu")
    .setParseAttrs(parse_dense)
    .setInferType(infer_type)
    .setInferShape(dense_shape);

REGISTER_OP(bert_feed_forward_int8)
    .setForward(run_feed_forward, "cpu")
    .setBackward(run_backward, "cpu")
    .setParseAttrs(parse_feed_forward)
    .setInferType(infer_type)
    .setInferShape(feed_forward_shape);

}  // namespace
}  // namespace bert
