// Optimizer updates and sums of squares over all parameters in one call.
//   bertadam  Adam without bias correction, decoupled weight decay (Devlin et al. 2018)
//   adam, adamw  Adam with bias correction, decoupled weight decay (Loshchilov and Hutter 2019)
//   lamb      adamw's step scaled by |weight| / |step| of each tensor (You et al. 2020)
#include <algorithm>

#include "operator.h"

namespace bert {
namespace {

constexpr long kChunk = 16384;    // elements that a thread takes at a time

// A stretch of one tensor.  Chunks depend on the sizes alone and their sums are added in order, so
// results do not depend on the number of threads.
struct Chunk {
  long tensor, begin, count;
};

std::vector<Chunk> chunks_of(const MXTensor *tensors, long count) {
  std::vector<Chunk> chunks;
  for (long i = 0; i < count; i++) {
    long size = tensors[i].size();
    for (long begin = 0; begin < size; begin += kChunk)
      chunks.push_back({i, begin, std::min(kChunk, size - begin)});
  }
  return chunks;
}

long tensors_of(const Attributes &attributes) {
  double n = number(attributes, "n", 0);
  if (!(n >= 1 && n <= 1e6 && n == long(n)))
    fail("give the number of tensors, a whole number from 1, as n=");
  return long(n);
}

// What one element's update needs besides its tensor's learning rate and weight decay.
struct Rule {
  float rescale, beta1, beta2, epsilon, mean_correction, variance_correction;
  bool lamb;

  explicit Rule(const Attributes &attributes)
      : rescale(number(attributes, "rescale", 1)), beta1(number(attributes, "beta1", 0.9)),
        beta2(number(attributes, "beta2", 0.999)), epsilon(number(attributes, "epsilon", 1e-6)),
        mean_correction(1), variance_correction(1), lamb(name(attributes) == "lamb") {
    if (name(attributes) == "bertadam") return;
    double update = number(attributes, "number", 0);
    if (!(update >= 1)) fail("bert_update: give the number of the update, from 1, as number=");
    mean_correction = 1 / (1 - std::pow(number(attributes, "beta1", 0.9), update));
    variance_correction = 1 / (1 - std::pow(number(attributes, "beta2", 0.999), update));
  }

  static std::string name(const Attributes &attributes) {
    auto found = attributes.find("optimizer");
    std::string name = found == attributes.end() ? "adamw" : found->second;
    if (name != "adamw" && name != "adam" && name != "bertadam" && name != "lamb")
      fail("bert_update: optimizer=" + name + " is not adamw, adam, bertadam or lamb");
    return name;
  }

  // the step, before the learning rate
  float step(float weight, float mean, float variance, float decay) const {
    return mean * mean_correction / (std::sqrt(variance * variance_correction) + epsilon) +
           decay * weight;
  }
};

// One stretch's arrays and its tensor's rates.
struct Stretch {
  float *weight;
  const float *gradient;
  float *mean, *variance;
  long count;
  float rate, decay;
};

inline void update_moments(const Rule &rule, const Stretch &s) {
#pragma omp simd
  for (long i = 0; i < s.count; i++) {
    float gradient = s.gradient[i] * rule.rescale;
    s.mean[i] = rule.beta1 * s.mean[i] + (1 - rule.beta1) * gradient;
    s.variance[i] = rule.beta2 * s.variance[i] + (1 - rule.beta2) * gradient * gradient;
  }
}

inline void update_weights(const Rule &rule, const Stretch &s, float rate) {
#pragma omp simd
  for (long i = 0; i < s.count; i++)
    s.weight[i] -= rate * rule.step(s.weight[i], s.mean[i], s.variance[i], s.decay);
}

// Both in one sweep over memory.
inline void update(const Rule &rule, const Stretch &s) {
#pragma omp simd
  for (long i = 0; i < s.count; i++) {
    float gradient = s.gradient[i] * rule.rescale;
    float mean = rule.beta1 * s.mean[i] + (1 - rule.beta1) * gradient;
    float variance = rule.beta2 * s.variance[i] + (1 - rule.beta2) * gradient * gradient;
    s.mean[i] = mean;
    s.variance[i] = variance;
    s.weight[i] -= s.rate * rule.step(s.weight[i], mean, variance, s.decay);
  }
}

struct Squares {
  double weight, step;
};

inline Squares squares(const Rule &rule, const Stretch &s) {
  Floats weights{}, steps{};
  each(s.count, [&](long i, auto lanes) {
    Floats weight = load(s.weight + i, lanes), mean = load(s.mean + i, lanes);
    Floats variance = load(s.variance + i, lanes), step;
    for (int k = 0; k < kLanes; k++) step[k] = rule.step(weight[k], mean[k], variance[k], s.decay);
    step = only(step, lanes);
    weights += weight * weight;
    steps += step * step;
  });
  return {sum(weights), sum(steps)};
}

MXReturnValue parse_update(const Attributes &attributes, int *inputs, int *outputs) {
  *inputs = int(4 * tensors_of(attributes) + 1);
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue float32_in(const Attributes &, Types *in, Types *out) {
  for (int &type : *in) expect(&type, {kFloat32}, "bert_update and bert_sum_squares", "each input");
  (*out)[0] = kFloat32;
  return MX_SUCCESS;
}

MXReturnValue shape_update(const Attributes &attributes, Shapes *in, Shapes *out) {
  size_t n = tensors_of(attributes);
  const char *names[] = {"a weight", "a gradient", "a mean", "a variance"};
  for (size_t i = 0; i < 4 * n; i++) expect(&(*in)[i], (*in)[i % n], "bert_update", names[i / n]);
  expect(&(*in)[4 * n], {2, unsigned(n)}, "bert_update", "rates");
  Rule check(attributes);
  (*out)[0] = {1};
  return MX_SUCCESS;
}

MXReturnValue mutated(const Attributes &attributes, std::vector<int> *inputs) {
  int n = int(tensors_of(attributes));
  for (int i = 0; i < 4 * n; i++)
    if (i / n != 1) inputs->push_back(i);       // all but the gradients
  return MX_SUCCESS;
}

// inputs: n weights, n gradients, n means, n variances, rates (2, n): learning rates, weight decays
MXReturnValue run_update(const Attributes &attributes, Tensors *in, Tensors *out,
                         const OpResource &) {
  const long n = tensors_of(attributes);
  const MXTensor *tensors = in->data();
  const float *rates = pointer<float>(tensors[4 * n]);
  const Rule rule(attributes);
  const std::vector<Chunk> chunks = chunks_of(tensors, n);
  const long count = chunks.size();
  auto stretch = [&](const Chunk &chunk) {
    auto at = [&](int kind) {
      return pointer<float>(tensors[kind * n + chunk.tensor]) + chunk.begin;
    };
    return Stretch{at(0), at(1), at(2), at(3), chunk.count, rates[chunk.tensor],
                   rates[n + chunk.tensor]};
  };
  *pointer<float>((*out)[0]) = 0;
  if (!rule.lamb) {
#pragma omp parallel for schedule(static)
    for (long i = 0; i < count; i++) update(rule, stretch(chunks[i]));
    return MX_SUCCESS;
  }
  std::vector<Squares> parts(count), totals(n, Squares{0, 0});
#pragma omp parallel for schedule(static)
  for (long i = 0; i < count; i++) {
    update_moments(rule, stretch(chunks[i]));
    parts[i] = squares(rule, stretch(chunks[i]));
  }
  for (long i = 0; i < count; i++) {
    totals[chunks[i].tensor].weight += parts[i].weight;
    totals[chunks[i].tensor].step += parts[i].step;
  }
#pragma omp parallel for schedule(static)
  for (long i = 0; i < count; i++) {
    const Squares &total = totals[chunks[i].tensor];
    double trust = total.weight > 0 && total.step > 0 ? std::sqrt(total.weight / total.step) : 1;
    update_weights(rule, stretch(chunks[i]), float(rates[chunks[i].tensor] * trust));
  }
  return MX_SUCCESS;
}

MXReturnValue parse_sums(const Attributes &attributes, int *inputs, int *outputs) {
  *inputs = int(tensors_of(attributes));
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue shape_sums(const Attributes &attributes, Shapes *, Shapes *out) {
  (*out)[0] = {unsigned(tensors_of(attributes))};
  return MX_SUCCESS;
}

// inputs: n tensors; output: (n,) float32 sums of their squares
MXReturnValue run_sums(const Attributes &attributes, Tensors *in, Tensors *out,
                       const OpResource &) {
  const long n = tensors_of(attributes);
  const std::vector<Chunk> chunks = chunks_of(in->data(), n);
  const long count = chunks.size();
  std::vector<double> parts(count), totals(n);
#pragma omp parallel for schedule(static)
  for (long i = 0; i < count; i++) {
    const float *data = pointer<float>((*in)[chunks[i].tensor]) + chunks[i].begin;
    Floats total{};
    each(chunks[i].count, [&](long k, auto lanes) {
      Floats value = load(data + k, lanes);
      total += value * value;
    });
    parts[i] = sum(total);
  }
  for (long i = 0; i < count; i++) totals[chunks[i].tensor] += parts[i];
  std::copy(totals.begin(), totals.end(), pointer<float>((*out)[0]));
  return MX_SUCCESS;
}

REGISTER_OP(bert_update)
    .setForward(run_update, "cpu")
    .setParseAttrs(parse_update)
    .setInferType(float32_in)
    .setInferShape(shape_update)
    .setMutateInputs(mutated);

REGISTER_OP(bert_sum_squares)
    .setForward(run_sums, "cpu")
    .setParseAttrs(parse_sums)
    .setInferType(float32_in)
    .setInferShape(shape_sums);

}  // namespace
}  // namespace bert
