// Self-attention over packed rows (Vaswani et al. 2017): segment b is rows starts[b] to starts[b] +
// lengths[b], its rows attend to each other and to nothing else, and no row is padding:
//   out = dropout(softmax(q k^T / sqrt(size))) v for each head
// With queries=1 only some rows, in any order, have queries.  A thread takes one head of one
// segment at a time, and in it one block of queries at a time, so that scratch memory grows with
// the length and not with its square.  The backward pass recomputes the probabilities.
#include <algorithm>

#include "dropout.h"
#include "matrix.h"
#include "operator.h"

namespace bert {
namespace {

constexpr long kBlock = 60;     // queries in a block, about

struct Segment {
  long start, length;           // its rows
  long first = 0, count = 0;    // its queries, in Settings::queries
};

// Where the inputs stand: qkv (rows, 3 * units), starts, lengths, seed; or with queries=1,
// q (queries, units), kv (rows, 2 * units), starts, lengths, places (queries,), seed.  places[i] is
// the row that query i belongs to.
struct Inputs {
  bool queries;
  int starts, lengths, places, seed, count;
  explicit Inputs(const Attributes &attributes) : queries(flag(attributes, "queries")) {
    starts = queries ? 2 : 1;
    lengths = starts + 1;
    places = lengths + queries;
    seed = places + 1;
    count = seed + 1;
  }
};

template <class T>
struct Projections {
  T *q, *k, *v;
  long q_stride, stride;        // elements from one row to the next: of q, and of k and v

  Projections(const MXTensor *tensors, bool queries, long units) {
    q = pointer<T>(tensors[0]);
    k = queries ? pointer<T>(tensors[1]) : q + units;
    v = k + units;
    q_stride = (queries ? 1 : 3) * units;
    stride = (queries ? 2 : 3) * units;
  }
};

long heads_of(const Attributes &attributes) {
  double heads = number(attributes, "heads", 0);
  if (!(heads >= 1 && heads <= 65536 && heads == long(heads)))
    fail("bert_attention: give the number of heads, a whole number from 1, as heads=");
  return long(heads);
}

// The sizes and inputs that the forward and the backward pass share.
struct Settings {
  long rows, units, heads, size, longest = 0, most = 0;     // size: of one head; most: queries
  float scale;
  Dropout dropout;
  std::vector<Segment> segments;
  std::vector<long> owner;      // the segment of each row, or -1
  std::vector<long> queries;    // rows of q, segment by segment
  std::vector<long> unused;     // rows of q that no segment has
  std::vector<long> place;      // of each row of q: the row that it is a query of

  Settings(const Attributes &attributes, const MXTensor *in)
      : heads(heads_of(attributes)),
        dropout(dropout_rate(attributes), *pointer<float>(in[Inputs(attributes).seed])) {
    Inputs at(attributes);
    rows = in[at.queries].shape[0];
    units = in[0].shape[1] / (at.queries ? 1 : 3);
    size = units / heads;
    scale = 1 / std::sqrt(float(size));
    read_segments(in[at.starts], in[at.lengths]);
    read_queries(in[0].shape[0], at.queries ? &in[at.places] : nullptr);
  }

  void read_segments(const MXTensor &starts, const MXTensor &lengths) {
    owner.assign(rows, -1);
    for (long b = 0; b < starts.shape[0]; b++) {
      double start = element(starts, b), length = element(lengths, b);
      if (!(start >= 0 && length >= 0 && start + length <= rows && start == std::floor(start) &&
            length == std::floor(length)))
        fail("bert_attention: segment " + std::to_string(b) + " (start " + std::to_string(start) +
             ", length " + std::to_string(length) + ") does not lie in the " +
             std::to_string(rows) + " rows");
      for (long row = long(start); row < long(start + length); row++) {
        if (owner[row] >= 0)
          fail("bert_attention: row " + std::to_string(row) + " is in two segments");
        owner[row] = segments.size();
      }
      if (length > 0) segments.push_back({long(start), long(length)});
      longest = std::max(longest, long(length));
    }
  }

  // Sort the rows of q by segment: row i belongs to row places[i], or without places to row i.
  void read_queries(long count, const MXTensor *places) {
    std::vector<long> of(count);
    place.resize(count);
    for (long i = 0; i < count; i++) {
      double value = places ? element(*places, i) : i;
      if (!(value >= 0 && value < rows && value == std::floor(value)))
        fail("bert_attention: place " + std::to_string(i) + " (" + std::to_string(value) +
             ") is none of the " + std::to_string(rows) + " rows");
      place[i] = long(value);
      of[i] = owner[place[i]];
      if (of[i] < 0) unused.push_back(i);
      else segments[of[i]].count++;
    }
    long end = 0;
    for (Segment &segment : segments) {
      segment.first = end;
      end += segment.count;
      most = std::max(most, segment.count);
    }
    queries.resize(end);
    std::vector<long> filled(segments.size());
    for (long i = 0; i < count; i++)
      if (of[i] >= 0) queries[segments[of[i]].first + filled[of[i]]++] = i;
  }

  static double element(const MXTensor &tensor, long i) {
    return int(tensor.dtype) == kInt32 ? pointer<int32_t>(tensor)[i] : pointer<float>(tensor)[i];
  }

  // Set the rows that belong to no segment to zero: of queries or outputs, or of keys or values.
  template <class T>
  void clear_queries(T *data, long stride) const {
    for (long row : unused) std::fill_n(data + row * stride, units, T());
  }
  template <class T>
  void clear_unused(T *data, long stride) const {
    for (long row = 0; row < rows; row++)
      if (owner[row] < 0) std::fill_n(data + row * stride, units, T());
  }

  // Call body(segment, head, scratch) for all heads of all segments, on all threads; each thread
  // has its own scratch memory of this many floats.
  template <class Body>
  void each_head(const OpResource &resource, long scratch, Body body) const {
    int threads = omp_get_max_threads();
    float *space = workspace(resource, threads * scratch);
    long count = long(segments.size()) * heads;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (long i = 0; i < count; i++)
      body(segments[i / heads], i % heads, space + omp_get_thread_num() * scratch);
  }

  // What a query drops depends on its place, so that it is the same if only some are computed.
  DropoutRow dropout_row(long query, long head) const {
    return dropout.row(place[query] * heads + head);
  }
};

// The number of queries in a block, a multiple of a tile: all blocks have nearly the same size.
long block_rows(long queries) {
  long blocks = std::max(1l, (queries + kBlock - 1) / kBlock);
  long rows = (queries + blocks - 1) / blocks;
  return (rows + kTileRows - 1) / kTileRows * kTileRows;
}

long most_block_rows(long queries) { return std::min(queries, kBlock + kTileRows); }

// scores = exp(scores - their maximum), padding included; returns 1 / their sum
inline float exponentials(float *scores, long length) {
  Floats most = broadcast(-INFINITY);
  each(length, [&](long j, auto lanes) {
    Floats value = only(load(scores + j, All()), lanes, -INFINITY);
    most = value > most ? value : most;
  });
  float highest = maximum(most);
  Floats total{};
  each(length, [&](long j, auto lanes) {
    Floats value = exponential(load(scores + j, All()) - highest);
    value = only(value, lanes);
    store(scores + j, value, All());
    total += value;
  });
  return 1 / sum(total);
}

// Copy the given rows of a matrix, times scale, to rows of padded(columns) floats.
template <class T>
void copy_rows(const T *from, long stride, const long *rows, long count, long columns, float scale,
               float *to) {
  for (long i = 0; i < count; i++)
    copy(from + rows[i] * stride, 0, 1, columns, scale, to + i * padded(columns));
}

template <class T>
void forward_head(const Settings &s, const Projections<T> &in, T *out, const Segment &segment,
                  long head, float *scratch) {
  const long length = segment.length, columns = padded(length), width = padded(s.size);
  const long offset = segment.start * in.stride + head * s.size;
  const long block = block_rows(segment.count), most = most_block_rows(s.most);
  float *keys = scratch;                            // (size, columns): transposed
  float *values = keys + columns * width;           // (length, width)
  float *queries = values + columns * width;        // (block, width)
  float *result = queries + most * width;
  float *scores = result + most * width;            // (block, columns)
  if (!segment.count) return;
  copy(in.k + offset, in.stride, length, s.size, 1, values);
  transpose(values, length, s.size, keys);
  copy(in.v + offset, in.stride, length, s.size, 1, values);
  for (long begin = 0; begin < segment.count; begin += block) {
    const long count = std::min(block, segment.count - begin);
    const long *rows = &s.queries[segment.first + begin];
    copy_rows(in.q + head * s.size, in.q_stride, rows, count, s.size, s.scale, queries);
    multiply<false>(count, columns, s.size, {queries, width, 1}, keys, columns, scores, columns);
    float norms[kBlock + kTileRows];
    for (long i = 0; i < count; i++) {
      float *row = scores + i * columns;
      norms[i] = exponentials(row, length);
      if (!s.dropout.active) continue;
      DropoutRow keep = s.dropout_row(rows[i], head);
      for (long j = 0; j < columns; j += kLanes)
        store(row + j, load(row + j, All()) * keep(j), All());
    }
    multiply<false>(count, width, length, {scores, columns, 1}, values, width, result, width);
    for (long i = 0; i < count; i++) {
      T *to = out + rows[i] * s.units + head * s.size;
      each(s.size, [&](long c, auto lanes) {
        store(to + c, load(result + i * width + c, All()) * norms[i], lanes);
      });
    }
  }
}

long forward_scratch(const Settings &s) {
  long columns = padded(s.longest), width = padded(s.size);
  return 2 * columns * width + most_block_rows(s.most) * (2 * width + columns);
}

// Turn the gradients of a row's probabilities into those of its scores, in place.  probabilities
// gets the probabilities after dropout, which the gradient of v needs; scores is overwritten.
inline void softmax_backward(bool dropout, long length, DropoutRow keep, float *scores,
                             float *gradients, float *probabilities) {
  float norm = exponentials(scores, length);
  Floats total{};
  for (long j = 0; j < padded(length); j += kLanes) {
    Floats probability = load(scores + j, All()) * norm, gradient = load(gradients + j, All());
    Floats dropped = probability;
    if (dropout) {
      Floats kept = keep(j);
      gradient *= kept;
      dropped *= kept;
    }
    store(probabilities + j, dropped, All());
    store(gradients + j, gradient, All());
    store(scores + j, probability, All());
    total += probability * gradient;
  }
  float mean = sum(total);
  for (long j = 0; j < padded(length); j += kLanes)
    store(gradients + j, load(scores + j, All()) * (load(gradients + j, All()) - mean), All());
}

template <class T>
void store_rows(const float *from, long from_row, long rows, long columns, float scale, T *to,
                long to_row) {
  for (long i = 0; i < rows; i++)
    each(columns, [&](long c, auto lanes) {
      store(to + i * to_row + c, load(from + i * from_row + c, All()) * scale, lanes);
    });
}

template <class T>
void backward_head(const Settings &s, const Projections<T> &in, const T *dout,
                   const Projections<T> &d, const Segment &segment, long head, float *scratch) {
  const long length = segment.length, columns = padded(length), width = padded(s.size);
  const long offset = segment.start * in.stride + head * s.size;
  const long block = block_rows(segment.count), most = most_block_rows(s.most);
  float *keys = scratch;                                // (length, width)
  float *keys_t = keys + columns * width;               // (size, columns)
  float *values_t = keys_t + columns * width;           // (size, columns)
  float *dkeys = values_t + columns * width;            // (length, width)
  float *dvalues = dkeys + columns * width;             // (length, width)
  float *queries = dvalues + columns * width;           // (block, width)
  float *douts = queries + most * width;                // (block, width)
  float *dqueries = douts + most * width;               // (block, width)
  float *scores = dqueries + most * width;              // (block, columns)
  float *dscores = scores + most * columns;             // (block, columns)
  float *probabilities = dscores + most * columns;      // (block, columns), after dropout
  copy(in.k + offset, in.stride, length, s.size, 1, keys);
  transpose(keys, length, s.size, keys_t);
  copy(in.v + offset, in.stride, length, s.size, 1, dvalues);      // only to transpose it
  transpose(dvalues, length, s.size, values_t);
  if (!segment.count) std::fill_n(dkeys, 2 * columns * width, 0.f);
  for (long begin = 0; begin < segment.count; begin += block) {
    const long count = std::min(block, segment.count - begin);
    const long *rows = &s.queries[segment.first + begin];
    copy_rows(in.q + head * s.size, in.q_stride, rows, count, s.size, s.scale, queries);
    copy_rows(dout + head * s.size, s.units, rows, count, s.size, 1, douts);
    multiply<false>(count, columns, s.size, {queries, width, 1}, keys_t, columns, scores, columns);
    multiply<false>(count, columns, s.size, {douts, width, 1}, values_t, columns, dscores, columns);
    for (long i = 0; i < count; i++)
      softmax_backward(s.dropout.active, length, s.dropout_row(rows[i], head),
                       scores + i * columns, dscores + i * columns, probabilities + i * columns);
    multiply<false>(count, width, length, {dscores, columns, 1}, keys, width, dqueries, width);
    for (long i = 0; i < count; i++)
      store_rows(dqueries + i * width, 0, 1, s.size, s.scale,
                 d.q + rows[i] * d.q_stride + head * s.size, 0);
    auto add = begin ? multiply<true> : multiply<false>;
    add(length, width, count, {dscores, 1, columns}, queries, width, dkeys, width);
    add(length, width, count, {probabilities, 1, columns}, douts, width, dvalues, width);
  }
  store_rows(dkeys, width, length, s.size, 1, d.k + offset, d.stride);
  store_rows(dvalues, width, length, s.size, 1, d.v + offset, d.stride);
}

long backward_scratch(const Settings &s) {
  long columns = padded(s.longest), width = padded(s.size);
  return 5 * columns * width + 3 * most_block_rows(s.most) * (width + columns);
}

MXReturnValue parse(const Attributes &attributes, int *inputs, int *outputs) {
  *inputs = Inputs(attributes).count;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue infer_type(const Attributes &attributes, Types *in, Types *out) {
  Inputs at(attributes);
  expect(&(*in)[0], {kFloat32, kBfloat16}, "bert_attention", at.queries ? "q" : "qkv");
  if (at.queries) {
    expect(&(*in)[1], {(*in)[0]}, "bert_attention", "kv, as q,");
    expect(&(*in)[at.places], {kFloat32, kInt32}, "bert_attention", "places");
  }
  expect(&(*in)[at.starts], {kFloat32, kInt32}, "bert_attention", "starts");
  expect(&(*in)[at.lengths], {kFloat32, kInt32}, "bert_attention", "lengths");
  expect(&(*in)[at.seed], {kFloat32}, "bert_attention", "seed");
  (*out)[0] = (*in)[0];
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attributes &attributes, Shapes *in, Shapes *out) {
  Inputs at(attributes);
  Shape shape = (*in)[0];
  const unsigned parts = at.queries ? 1 : 3, heads = heads_of(attributes);
  if (shape.size() != 2 || !shape[1] || shape[1] % (parts * heads))
    fail("bert_attention: the projections have shape " + text(shape) + ", not (rows, " +
         (parts == 3 ? "3 * " : "") + "units) with units a multiple of heads=" +
         std::to_string(heads));
  if (at.queries) {
    const Shape &kv = (*in)[1];
    if (kv.size() != 2 || kv[1] != 2 * shape[1])
      fail("bert_attention: kv has shape " + text(kv) + ", not (rows, " +
           std::to_string(2 * shape[1]) + ")");
    expect(&(*in)[at.places], {shape[0]}, "bert_attention", "places");
  }
  if ((*in)[at.starts].size() != 1)
    fail("bert_attention: starts has shape " + text((*in)[at.starts]) + ", not (segments,)");
  expect(&(*in)[at.lengths], (*in)[at.starts], "bert_attention", "lengths");
  expect(&(*in)[at.seed], {1}, "bert_attention", "seed");
  dropout_rate(attributes);
  (*out)[0] = {shape[0], shape[1] / parts};
  return MX_SUCCESS;
}

// output: (rows or queries, units)
template <class T>
void forward_of(const Attributes &attributes, const MXTensor *in, const Tensors &out,
                const OpResource &resource) {
  Settings s(attributes, in);
  Projections<T> projections(in, Inputs(attributes).queries, s.units);
  T *result = pointer<T>(out[0]);
  s.clear_queries(result, s.units);
  auto head_of = [&](const Segment &segment, long head, float *scratch) {
    forward_head(s, projections, result, segment, head, scratch);
  };
  s.each_head(resource, forward_scratch(s), head_of);
}

// inputs: the gradient of the output, then those of the forward pass; outputs: their gradients
template <class T>
void backward_of(const Attributes &attributes, const Tensors &in, const Tensors &out,
                 const OpResource &resource) {
  Inputs at(attributes);
  Settings s(attributes, &in[1]);
  Projections<T> projections(&in[1], at.queries, s.units);
  Projections<T> gradients(&out[0], at.queries, s.units);
  s.clear_queries(gradients.q, gradients.q_stride);
  for (T *gradient : {gradients.k, gradients.v}) s.clear_unused(gradient, gradients.stride);
  auto head_of = [&](const Segment &segment, long head, float *scratch) {
    backward_head(s, projections, pointer<T>(in[0]), gradients, segment, head, scratch);
  };
  s.each_head(resource, backward_scratch(s), head_of);
  for (int i = at.starts; i < at.count; i++)    // 0 as a float is 0 as an integer
    std::fill_n(pointer<float>(out[i]), out[i].size(), 0.f);
}

MXReturnValue run_forward(const Attributes &attributes, Tensors *in, Tensors *out,
                          const OpResource &resource) {
  auto call = is_bfloat16((*in)[0]) ? forward_of<Bfloat16> : forward_of<float>;
  call(attributes, in->data(), *out, resource);
  return MX_SUCCESS;
}

MXReturnValue run_backward(const Attributes &attributes, Tensors *in, Tensors *out,
                           const OpResource &resource) {
  auto call = is_bfloat16((*in)[1]) ? backward_of<Bfloat16> : backward_of<float>;
  call(attributes, *in, *out, resource);
  return MX_SUCCESS;
}

REGISTER_OP(bert_attention)
    .setForward(run_forward, "cpu")
    .setBackward(run_backward, "cpu")
    .setParseAttrs(parse)
    .setInferType(infer_type)
    .setInferShape(infer_shape);

}  // namespace
}  // namespace bert
