// Dense layers for inference, x W^T + bias, whatever form their weights have: several layers whose
// outputs are side by side, and two layers with an activation between them.  A thread takes a block
// of rows through all layers, so that what is between two of them stays in its L2.
//
// A Layer has
//   kName, for messages, and kTensors: its inputs, the parts of a weight and a bias, from which and
//       the number of inputs it is made
//   check_types(in, i) and outputs_of(in, i, inputs), which check those from input i on
//   kHidden, about the most floats that a block keeps between two layers, and kTile, the rows of a
//       tile
//   Rows, a block of activations as the products take them, in scratch memory of a thread
//   apply(count, rows, y, row), the outputs for a block, `row` floats from one to the next
//   ExactGelu and TanhGelu, with at(x)
#pragma once
#include <algorithm>

#include "operator.h"

namespace bert {
namespace layers {

constexpr long kMostRows = 64;              // that a thread takes at a time
constexpr int kMostLayers = 99;

// Rows that a thread takes at a time: at most `most`, as many for each thread, and these rounded up
// to whole tiles.
inline long block_of(long rows, long most, long tile) {
  const long threads = omp_get_max_threads(), turn = threads * std::max(tile, most);
  const long blocks = (rows + turn - 1) / turn * threads, share = (rows + blocks - 1) / blocks;
  return share < tile ? std::max(1l, share) : (share + tile - 1) / tile * tile;
}

template <class Layer>
void dense(long rows, const float *x, const std::vector<Layer> &layers, float *y,
           const OpResource &resource) {
  const long inputs = layers[0].inputs, block = block_of(rows, kMostRows, Layer::kTile);
  const long own = Layer::Rows::words(block, inputs);
  float *scratch = workspace(resource, omp_get_max_threads() * own);
  long outputs = 0;
  for (const Layer &layer : layers) outputs += layer.outputs;
#pragma omp parallel
  {
    typename Layer::Rows mine(scratch + omp_get_thread_num() * own, block);
#pragma omp for schedule(dynamic)
    for (long first = 0; first < rows; first += block) {
      const long count = std::min(block, rows - first);
      mine.take(count, x + first * inputs, inputs, inputs);
      float *to = y + first * outputs;
      for (const Layer &layer : layers) {
        layer.apply(count, mine, to, outputs);
        to += layer.outputs;
      }
    }
  }
}

template <class Layer, class Activation>
void feed_forward(long rows, const float *x, const Layer &up, const Layer &down, float *y,
                  const OpResource &resource) {
  // not a power of two, which would crowd few sets of the cache
  const long hidden_row = up.outputs + kLanes;
  const long block = block_of(rows, std::min(kMostRows, Layer::kHidden / hidden_row), Layer::kTile);
  const long widest = std::max(up.inputs, down.inputs);
  const long hidden = block * hidden_row, own = hidden + Layer::Rows::words(block, widest);
  float *scratch = workspace(resource, omp_get_max_threads() * own);
#pragma omp parallel
  {
    float *between = scratch + omp_get_thread_num() * own;
    typename Layer::Rows mine(between + hidden, block);
#pragma omp for schedule(dynamic)
    for (long first = 0; first < rows; first += block) {
      const long count = std::min(block, rows - first);
      mine.take(count, x + first * up.inputs, up.inputs, up.inputs);
      up.apply(count, mine, between, hidden_row);
      for (long i = 0; i < count; i++)
        each(up.outputs, [&](long k, auto lanes) {
          float *at = between + i * hidden_row + k;
          store(at, Activation::at(load(at, lanes)), lanes);
        });
      mine.take(count, between, down.inputs, hidden_row);
      down.apply(count, mine, y + first * down.outputs, down.outputs);
    }
  }
}

struct Relu {
  static Floats at(Floats x) { return x < 0.f ? Floats{} : x; }
};

// x, and then the tensors of n layers
template <class Layer>
MXReturnValue parse_dense(const Attributes &attributes, int *inputs, int *outputs) {
  const double layers = number(attributes, "n", 1);
  if (!(layers >= 1 && layers <= kMostLayers))
    fail(std::string(Layer::kName) + ": n=" + std::to_string(layers) + " is not from 1 to 99");
  *inputs = 1 + Layer::kTensors * int(layers);
  *outputs = 1;
  return MX_SUCCESS;
}

// x, and then the tensors of two layers
template <class Layer>
MXReturnValue parse_feed_forward(const Attributes &, int *inputs, int *outputs) {
  *inputs = 1 + Layer::kTensors * 2;
  *outputs = 1;
  return MX_SUCCESS;
}

template <class Layer>
MXReturnValue infer_type(const Attributes &, Types *in, Types *out) {
  expect(&(*in)[0], {kFloat32}, Layer::kName, "x");
  for (size_t i = 1; i < in->size(); i += Layer::kTensors) {
    Layer::check_types(in, i);
    expect(&(*in)[i + Layer::kTensors - 1], {kFloat32}, Layer::kName, "a bias");
  }
  (*out)[0] = kFloat32;
  return MX_SUCCESS;
}

// Check the shapes of the layer that begins with input i, on x; gives its outputs.
template <class Layer>
unsigned outputs_of(Shapes *in, size_t i, const Shape &x) {
  if (x.empty()) fail(std::string(Layer::kName) + ": x has no axis");
  const unsigned outputs = Layer::outputs_of(in, i, x.back());
  expect(&(*in)[i + Layer::kTensors - 1], {outputs}, Layer::kName, "a bias");
  return outputs;
}

template <class Layer>
MXReturnValue dense_shape(const Attributes &, Shapes *in, Shapes *out) {
  const Shape &x = (*in)[0];
  unsigned outputs = 0;
  for (size_t i = 1; i < in->size(); i += Layer::kTensors) outputs += outputs_of<Layer>(in, i, x);
  (*out)[0] = x;
  (*out)[0].back() = outputs;
  return MX_SUCCESS;
}

template <class Layer>
MXReturnValue feed_forward_shape(const Attributes &, Shapes *in, Shapes *out) {
  Shape x = (*in)[0];
  for (size_t i = 1; i < in->size(); i += Layer::kTensors) x.back() = outputs_of<Layer>(in, i, x);
  (*out)[0] = x;
  return MX_SUCCESS;
}

template <class Layer>
MXReturnValue run_dense(const Attributes &, Tensors *in, Tensors *out, const OpResource &resource) {
  const MXTensor &x = (*in)[0];
  std::vector<Layer> several;
  for (size_t i = 1; i < in->size(); i += Layer::kTensors)
    several.emplace_back(&(*in)[i], x.shape.back());
  dense(rows_of(x), pointer<float>(x), several, pointer<float>((*out)[0]), resource);
  return MX_SUCCESS;
}

template <class Layer>
MXReturnValue run_feed_forward(const Attributes &attributes, Tensors *in, Tensors *out,
                               const OpResource &resource) {
  auto found = attributes.find("activation");
  const std::string name = found == attributes.end() ? "gelu" : found->second;
  auto run = name == "gelu" ? feed_forward<Layer, typename Layer::ExactGelu> :
             name == "approx_gelu" ? feed_forward<Layer, typename Layer::TanhGelu> :
             name == "relu" ? feed_forward<Layer, Relu> : nullptr;
  if (!run) fail(std::string(Layer::kName) + ": activation " + name + " is not known");
  const MXTensor &x = (*in)[0];
  const Layer up(&(*in)[1], x.shape.back()), down(&(*in)[1 + Layer::kTensors], up.outputs);
  run(rows_of(x), pointer<float>(x), up, down, pointer<float>((*out)[0]), resource);
  return MX_SUCCESS;
}

// MXNet requires a backward pass of every operator in a graph, even if it is never called.
template <class Layer>
MXReturnValue run_backward(const Attributes &, Tensors *, Tensors *, const OpResource &) {
  fail(std::string(Layer::kName) + " have no gradient: they are for inference only");
}

// For operators that take a weight alone.
inline void check_weight(const char *op, const Shape &weight) {
  if (weight.size() != 2)
    fail(std::string(op) + ": weight has shape " + text(weight) + ", not (outputs, inputs)");
}

}  // namespace layers
}  // namespace bert
