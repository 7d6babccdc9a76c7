// Dropout, residual sum and layer normalization (Ba et al. 2016) in one sweep over each row:
//   y = LN(dropout(x) + residual), LN with gamma and beta.
// The backward pass recomputes rows from the inputs.
#include <algorithm>

#include "dropout.h"
#include "operator.h"

namespace bert {
namespace {

// Which tensor is which; an absent one is at -1.
struct Inputs {
  int x = 0, residual, gamma, beta, seed, count;
  explicit Inputs(const Attributes &attributes) {
    int next = 1;
    residual = flag(attributes, "nores") ? -1 : next++;
    gamma = next++;
    beta = next++;
    seed = next++;
    count = next;
  }
};

struct Settings {
  long rows, width;
  float epsilon;
  Dropout dropout;
  Settings(const Attributes &attributes, const MXTensor &x, float seed)
      : rows(rows_of(x)), width(x.shape.back()), epsilon(number(attributes, "eps", 1e-12)),
        dropout(dropout_rate(attributes), seed) {}
};

struct Moments {
  float mean, scale;      // scale: 1 / standard deviation
};

// z = dropout(x) + residual, and its moments over the row.  Here and below the settings are passed
// by value: the compiler would read a shared copy again after every store.
template <class T>
inline Moments residual_sum(Settings s, const DropoutRow &keep, const T *x,
                            const float *residual, float *z) {
  Floats total{};
  each(s.width, [&](long c, auto lanes) {
    Floats value = load(x + c, lanes);
    if (s.dropout.active) value *= keep(c);
    if (residual) value += load(residual + c, lanes);
    store(z + c, value, lanes);
    total += only(value, lanes);
  });
  float mean = sum(total) / s.width;
  Floats squares{};
  each(s.width, [&](long c, auto lanes) {
    Floats centred = only(load(z + c, lanes) - mean, lanes);
    squares += centred * centred;
  });
  return {mean, 1 / std::sqrt(sum(squares) / s.width + s.epsilon)};
}

template <class T>
void forward(Settings s, const T *x, const float *residual, const float *gamma, const float *beta,
             float *y, Bfloat16 *y16) {
#pragma omp parallel for schedule(static) firstprivate(s)
  for (long row = 0; row < s.rows; row++) {
    long at = row * s.width;
    // y's own row holds z meanwhile
    Moments m = residual_sum(s, s.dropout.row(row), x + at, residual ? residual + at : nullptr,
                             y + at);
    each(s.width, [&](long c, auto lanes) {
      Floats value = (load(y + at + c, lanes) - m.mean) * m.scale * load(gamma + c, lanes) +
                     load(beta + c, lanes);
      store(y + at + c, value, lanes);
      if (y16) store(y16 + at + c, value, lanes);
    });
  }
}

// The gradients that come in and those that go out; a pointer is null if there is no gradient.
template <class T>
struct Gradients {
  const float *y;
  const Bfloat16 *y16;
  T *x;
  float *residual, *gamma, *beta;
};

// One row backward.  gamma and beta are sums over rows so far; normal and slope are scratch.
template <class T>
inline void backward_row(Settings s, long row, const T *x, const float *residual,
                         const float *gamma, Gradients<T> d, float *dgamma, float *dbeta,
                         float *normal, float *slope) {
  long at = row * s.width;
  DropoutRow keep = s.dropout.row(row);
  Moments m = residual_sum(s, keep, x + at, residual ? residual + at : nullptr, normal);
  Floats slopes{}, projections{};
  each(s.width, [&](long c, auto lanes) {
    Floats dy = load(d.y + at + c, lanes);
    if (d.y16) dy += load(d.y16 + at + c, lanes);
    Floats n = (load(normal + c, lanes) - m.mean) * m.scale;
    store(dgamma + c, load(dgamma + c, lanes) + dy * n, lanes);
    store(dbeta + c, load(dbeta + c, lanes) + dy, lanes);
    dy = only(dy * load(gamma + c, lanes), lanes);
    store(normal + c, n, lanes);
    store(slope + c, dy, lanes);
    slopes += dy;
    projections += dy * only(n, lanes);
  });
  float slope_mean = sum(slopes) / s.width, projection = sum(projections) / s.width;
  each(s.width, [&](long c, auto lanes) {
    Floats dz = (load(slope + c, lanes) - slope_mean - load(normal + c, lanes) * projection) *
                m.scale;
    if (d.residual) store(d.residual + at + c, dz, lanes);
    if (s.dropout.active) dz *= keep(c);
    store(d.x + at + c, dz, lanes);
  });
}

// The gradients of gamma and beta are summed within blocks of rows, then over the blocks in order:
// the blocks depend on the number of rows alone, so the sums do not depend on the threads.
template <class T>
void backward(Settings s, const T *x, const float *residual, const float *gamma, Gradients<T> d,
              const OpResource &resource) {
  const long width = s.width, rows = std::max(16L, (s.rows + 63) / 64);
  const long blocks = (s.rows + rows - 1) / rows;
  int threads = omp_get_max_threads();
  float *sums = workspace(resource, (blocks + threads) * 2 * width);
  float *scratch = sums + blocks * 2 * width;
#pragma omp parallel num_threads(threads)
  {
    float *mine = scratch + omp_get_thread_num() * 2 * width;
#pragma omp for schedule(static)
    for (long block = 0; block < blocks; block++) {
      float *dgamma = sums + block * 2 * width, *dbeta = dgamma + width;
      std::fill(dgamma, dgamma + 2 * width, 0.f);
      for (long row = block * rows; row < std::min(s.rows, (block + 1) * rows); row++)
        backward_row(s, row, x, residual, gamma, d, dgamma, dbeta, mine, mine + width);
    }
  }
  std::fill(d.gamma, d.gamma + width, 0.f);
  std::fill(d.beta, d.beta + width, 0.f);
  for (long block = 0; block < blocks; block++) {
    const float *dgamma = sums + block * 2 * width, *dbeta = dgamma + width;
    each(width, [&](long c, auto lanes) {
      store(d.gamma + c, load(d.gamma + c, lanes) + load(dgamma + c, lanes), lanes);
      store(d.beta + c, load(d.beta + c, lanes) + load(dbeta + c, lanes), lanes);
    });
  }
}

MXReturnValue parse(const Attributes &attributes, int *inputs, int *outputs) {
  *inputs = Inputs(attributes).count;
  *outputs = flag(attributes, "out16") ? 2 : 1;
  return MX_SUCCESS;
}

MXReturnValue infer_type(const Attributes &attributes, Types *in, Types *out) {
  Inputs at(attributes);
  expect(&(*in)[at.x], {kFloat32, kBfloat16}, "bert_layer_norm", "x");
  if (at.residual > 0) expect(&(*in)[at.residual], {kFloat32}, "bert_layer_norm", "residual");
  expect(&(*in)[at.gamma], {kFloat32}, "bert_layer_norm", "gamma");
  expect(&(*in)[at.beta], {kFloat32}, "bert_layer_norm", "beta");
  expect(&(*in)[at.seed], {kFloat32}, "bert_layer_norm", "seed");
  (*out)[0] = kFloat32;
  if (out->size() > 1) (*out)[1] = kBfloat16;
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attributes &attributes, Shapes *in, Shapes *out) {
  Inputs at(attributes);
  Shape x = (*in)[at.x];
  if (x.empty() || !x.back()) fail("bert_layer_norm: x has no columns: shape " + text(x));
  if (at.residual > 0) expect(&(*in)[at.residual], x, "bert_layer_norm", "residual");
  expect(&(*in)[at.gamma], {x.back()}, "bert_layer_norm", "gamma");
  expect(&(*in)[at.beta], {x.back()}, "bert_layer_norm", "beta");
  expect(&(*in)[at.seed], {1}, "bert_layer_norm", "seed");
  dropout_rate(attributes);
  if (!(number(attributes, "eps", 1e-12) >= 0)) fail("bert_layer_norm: eps is negative");
  for (Shape &shape : *out) shape = x;
  return MX_SUCCESS;
}

// inputs: x, [residual,] gamma, beta, seed; outputs: y [, y16]
template <class T>
void forward_of(const Attributes &attributes, const Tensors &in, const Tensors &out) {
  Inputs at(attributes);
  Settings settings(attributes, in[at.x], *pointer<float>(in[at.seed]));
  forward(settings, pointer<T>(in[at.x]),
          at.residual > 0 ? pointer<float>(in[at.residual]) : nullptr,
          pointer<float>(in[at.gamma]), pointer<float>(in[at.beta]), pointer<float>(out[0]),
          out.size() > 1 ? pointer<Bfloat16>(out[1]) : nullptr);
}

// inputs: dy [, dy16], then those of the forward pass; outputs: their gradients
template <class T>
void backward_of(const Attributes &attributes, const Tensors &in, const Tensors &out,
                 const OpResource &resource) {
  Inputs at(attributes);
  bool out16 = flag(attributes, "out16");
  const MXTensor *forward_in = &in[out16 ? 2 : 1];
  Settings settings(attributes, forward_in[at.x], *pointer<float>(forward_in[at.seed]));
  Gradients<T> gradients = {
      pointer<float>(in[0]), out16 ? pointer<Bfloat16>(in[1]) : nullptr, pointer<T>(out[at.x]),
      at.residual > 0 ? pointer<float>(out[at.residual]) : nullptr, pointer<float>(out[at.gamma]),
      pointer<float>(out[at.beta])};
  backward(settings, pointer<T>(forward_in[at.x]),
           at.residual > 0 ? pointer<float>(forward_in[at.residual]) : nullptr,
           pointer<float>(forward_in[at.gamma]), gradients, resource);
  *pointer<float>(out[at.seed]) = 0;
}

MXReturnValue run_forward(const Attributes &attributes, Tensors *in, Tensors *out,
                          const OpResource &) {
  auto call = is_bfloat16((*in)[0]) ? forward_of<Bfloat16> : forward_of<float>;
  call(attributes, *in, *out);
  return MX_SUCCESS;
}

MXReturnValue run_backward(const Attributes &attributes, Tensors *in, Tensors *out,
                           const OpResource &resource) {
  bool bfloat16 = is_bfloat16((*in)[flag(attributes, "out16") ? 2 : 1]);
  auto call = bfloat16 ? backward_of<Bfloat16> : backward_of<float>;
  call(attributes, *in, *out, resource);
  return MX_SUCCESS;
}

REGISTER_OP(bert_layer_norm)
    .setForward(run_forward, "cpu")
    .setBackward(run_backward, "cpu")
    .setParseAttrs(parse)
    .setInferType(infer_type)
    .setInferShape(infer_shape);

}  // namespace
}  // namespace bert
