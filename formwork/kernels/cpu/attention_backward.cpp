#include "formwork/kernels/cpu/attention.h"
#include "formwork/kernels/cpu/attention_mask.h"
#include "formwork/kernels/cpu/attention_scratch.h"
#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/attention_backward.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/attention_tile-inl.h"

#ifndef FORMWORK_KERNELS_CPU_ATTENTION_BACKWARD_TYPES
#define FORMWORK_KERNELS_CPU_ATTENTION_BACKWARD_TYPES
namespace formwork {
// One key head of one batch row.
template <class T>
struct BackwardTask {
  const Attention<T>& attention;
  const AttentionSaved<T>& saved;
  HeadView<const T> d_o;
  const AttentionGradients<T>& gradients;
  std::int64_t batch, key_head;
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <class T>
struct BackwardMemory {
  T *keys_transposed, *values_transposed;  // [width, padded keys]
  T* keys;                                 // [keys, padded width]
  T *dk, *dv;                              // [keys, padded width], summed over the group's heads
  T *queries, *d_o, *dq;                   // of a tile [rows, padded width]
  T *weights, *d_scores;                   // [rows, tile keys]
  T *delta, *logsumexp;                    // [rows]
};

// weights = exp(scores - logsumexp); d_scores = weights * (d_weights - delta); both 0 from column `seen` on.
template <class T>
void softmax_gradient_row(std::int64_t n, std::int64_t seen, T* weights, T* d_scores, T logsumexp, T delta) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d), whole = seen / lanes * lanes;
  const auto shift = hn::Set(d, logsumexp), less = hn::Set(d, delta);
  const auto put = [&](std::int64_t j, auto p, auto slope) HWY_ATTR {
    hn::Store(p, d, weights + j);
    hn::Store(slope, d, d_scores + j);
  };
  for (std::int64_t j = 0; j < whole; j += lanes) {
    const auto p = exp_of(d, hn::Sub(hn::Load(d, weights + j), shift));
    put(j, p, hn::Mul(p, hn::Sub(hn::Load(d, d_scores + j), less)));
  }
  std::int64_t j = whole;
  if (whole < seen) {
    const auto permitted = hn::FirstN(d, static_cast<size_t>(seen - whole));
    const auto p = exp_of(d, hn::Sub(hn::Load(d, weights + j), shift));
    const auto slope = hn::Mul(p, hn::Sub(hn::Load(d, d_scores + j), less));
    put(j, hn::IfThenElseZero(permitted, p), hn::IfThenElseZero(permitted, slope));
    j += lanes;
  }
  for (; j < n; j += lanes) put(j, hn::Zero(d), hn::Zero(d));
}

template <class T>
T dot_row(std::int64_t n, const T* a, const T* b) {
  const hn::ScalableTag<T> d;
  auto sum = hn::Zero(d);
  for (std::int64_t i = 0; i < n; i += hn::Lanes(d))
    sum = hn::MulAdd(load_some(d, a + i, n - i), load_some(d, b + i, n - i), sum);
  return sum_lanes(d, sum);
}

// Adds one query's score gradients to the bias's; a stride of 0 sums.
template <class T>
void add_bias_gradient(const AttentionBias<T>& bias, std::int64_t batch, std::int64_t head,
                       std::int64_t query, const KeyTile& tile, const T* d_scores) {
  T* row = bias.data + batch * bias.batch + head * bias.head + query * bias.query + tile.begin * bias.key;
  for (std::int64_t j = 0; j < tile.size(); ++j) row[j * bias.key] += d_scores[j];
}

// weights and d_scores of the queries [begin, begin + rows) and one tile of keys.
template <class T>
void score_gradients(const BackwardTask<T>& task, const RowMask& mask, const BackwardMemory<T>& memory,
                     std::int64_t head, std::int64_t begin, std::int64_t rows, const KeyTile& tile) {
  const auto& shape = task.attention.shape;
  const std::int64_t columns = tile.columns(), stride = key_stride(shape.keys);
  product<false, T>({rows,
                     columns,
                     shape.width,
                     {memory.queries, padded(shape.width), 1},
                     memory.keys_transposed + tile.begin,
                     stride,
                     memory.weights,
                     kScoreStride});
  product<false, T>({rows,
                     columns,
                     shape.value_width,
                     {memory.d_o, padded(shape.value_width), 1},
                     memory.values_transposed + tile.begin,
                     stride,
                     memory.d_scores,
                     kScoreStride});
  for (std::int64_t r = 0; r < rows; ++r) {
    T *weights = memory.weights + r * kScoreStride, *d_scores = memory.d_scores + r * kScoreStride;
    const auto permitted = mask.query(begin + r);
    bias_row(task.attention, task.batch, head, begin + r, tile, weights);
    mask_gap(permitted, tile, weights);
    softmax_gradient_row<T>(columns, seen_columns(permitted, tile), weights, d_scores, memory.logsumexp[r],
                            memory.delta[r]);
    if (task.gradients.dbias.data)
      add_bias_gradient(task.gradients.dbias, task.batch, head, begin + r, tile, d_scores);
  }
}

// Scaled queries, output gradients, and <d_o, o> of a tile of queries.
template <class T>
void load_queries(const BackwardTask<T>& task, const BackwardMemory<T>& memory, std::int64_t head,
                  std::int64_t begin, std::int64_t rows) {
  const auto& shape = task.attention.shape;
  const auto at = [&](const auto& view) {
    return view.data + task.batch * view.batch + head * view.head + begin * view.token;
  };
  pack_rows<T>(rows, shape.width, at(task.saved.q), task.saved.q.token, task.attention.scale, memory.queries);
  pack_rows<T>(rows, shape.value_width, at(task.d_o), task.d_o.token, T(1), memory.d_o);
  const T* o = at(task.saved.o);
  const T* logsumexp = task.saved.logsumexp + (task.batch * shape.query_heads + head) * shape.queries + begin;
  for (std::int64_t r = 0; r < rows; ++r) {
    memory.delta[r] =
        dot_row<T>(shape.value_width, memory.d_o + r * padded(shape.value_width), o + r * task.saved.o.token);
    const bool seen = logsumexp[r] != -std::numeric_limits<T>::infinity();
    memory.logsumexp[r] = seen ? logsumexp[r] : T(0);
  }
}

template <class T>
void backward_tile(const BackwardTask<T>& task, const RowMask& mask, const BackwardMemory<T>& memory,
                   std::int64_t head, std::int64_t begin, std::int64_t end) {
  const auto& shape = task.attention.shape;
  const std::int64_t rows = end - begin, wide = padded(shape.width), value_wide = padded(shape.value_width);
  load_queries<T>(task, memory, head, begin, rows);
  std::fill_n(memory.dq, rows * wide, T(0));
  const auto keys = mask.queries(begin, end);
  for (KeyTile tile = next_tile(keys, 0); tile.size() > 0; tile = next_tile(keys, tile.end)) {
    const std::int64_t count = tile.size();
    score_gradients<T>(task, mask, memory, head, begin, rows, tile);
    product<true, T>({count,
                      value_wide,
                      rows,
                      {memory.weights, 1, kScoreStride},
                      memory.d_o,
                      value_wide,
                      memory.dv + tile.begin * value_wide,
                      value_wide});
    product<true, T>({count,
                      wide,
                      rows,
                      {memory.d_scores, 1, kScoreStride},
                      memory.queries,
                      wide,
                      memory.dk + tile.begin * wide,
                      wide});
    product<true, T>({rows,
                      wide,
                      count,
                      {memory.d_scores, kScoreStride, 1},
                      memory.keys + tile.begin * wide,
                      wide,
                      memory.dq,
                      wide});
  }
  const auto& dq = task.gradients.dq;
  unpack_rows<T>(rows, shape.width, memory.dq, task.attention.scale,
                 dq.data + task.batch * dq.batch + head * dq.head + begin * dq.token, dq.token);
}

template <class T>
void backward_task(const BackwardTask<T>& task) {
  const auto& shape = task.attention.shape;
  const RowMask mask(task.attention.mask, shape.keys, task.batch);
  const std::int64_t wide = padded(shape.width), value_wide = padded(shape.value_width);
  const std::int64_t stride = key_stride(shape.keys), step = tile_rows(shape.queries);
  const std::int64_t needed[] = {shape.width * stride,
                                 shape.value_width * stride,
                                 shape.keys * wide,
                                 shape.keys * wide,
                                 shape.keys * value_wide,
                                 step * wide,
                                 step * value_wide,
                                 step * wide,
                                 step * kScoreStride,
                                 step * kScoreStride,
                                 step,
                                 step};
  std::int64_t total = 0;
  for (std::int64_t n : needed) total += Scratch<T>::size(n);
  Scratch<T> scratch(total);
  T* blocks[12];
  for (int i = 0; i < 12; ++i) blocks[i] = scratch.take(needed[i]);

  const auto at = [&](const auto& view) {
    return view.data + task.batch * view.batch + task.key_head * view.head;
  };
  const auto &k = task.saved.k, &v = task.saved.v;
  pack_transposed<T>(shape.keys, shape.width, at(k), k.token, blocks[0], stride);
  pack_transposed<T>(shape.keys, shape.value_width, at(v), v.token, blocks[1], stride);
  pack_rows<T>(shape.keys, shape.width, at(k), k.token, T(1), blocks[2]);
  const BackwardMemory<T> memory{blocks[0], blocks[1], blocks[2], blocks[3], blocks[4],  blocks[5],
                                 blocks[6], blocks[7], blocks[8], blocks[9], blocks[10], blocks[11]};
  std::fill_n(memory.dk, shape.keys * wide, T(0));
  std::fill_n(memory.dv, shape.keys * value_wide, T(0));

  const std::int64_t group = shape.query_heads / shape.key_heads;
  for (std::int64_t h = task.key_head * group; h < (task.key_head + 1) * group; ++h)
    for (std::int64_t begin = 0; begin < shape.queries; begin += step)
      backward_tile<T>(task, mask, memory, h, begin, std::min(begin + step, shape.queries));
  const auto &dk = task.gradients.dk, &dv = task.gradients.dv;
  unpack_rows<T>(shape.keys, shape.width, memory.dk, T(1), at(dk), dk.token);
  unpack_rows<T>(shape.keys, shape.value_width, memory.dv, T(1), at(dv), dv.token);
}

void backward_float(const BackwardTask<float>& task) { backward_task<float>(task); }
void backward_double(const BackwardTask<double>& task) { backward_task<double>(task); }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(backward_float);
HWY_EXPORT(backward_double);

template <class T>
static void run_backward(const BackwardTask<T>& task) {
  if constexpr (sizeof(T) == 4)
    HWY_DYNAMIC_DISPATCH(backward_float)(task);
  else
    HWY_DYNAMIC_DISPATCH(backward_double)(task);
}

// Batch rows and key heads run at once, except those that add to the same bias gradient.
template <class T>
void attention_backward(const Attention<T>& attention, const AttentionSaved<T>& saved, HeadView<const T> d_o,
                        const AttentionGradients<T>& gradients) {
  const auto& shape = attention.shape;
  const auto& dbias = gradients.dbias;
  const std::int64_t batch_inner = dbias.data && dbias.batch == 0 ? shape.batch : 1;
  const std::int64_t head_inner = dbias.data && dbias.head == 0 ? shape.key_heads : 1;
  const std::int64_t head_outer = shape.key_heads / head_inner,
                     outer = shape.batch / batch_inner * head_outer;
  parallel_for(0, outer, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i)
      for (std::int64_t b = 0; b < batch_inner; ++b)
        for (std::int64_t h = 0; h < head_inner; ++h)
          run_backward<T>({attention, saved, d_o, gradients, i / head_outer * batch_inner + b,
                           i % head_outer * head_inner + h});
  });
}

template void attention_backward(const Attention<float>&, const AttentionSaved<float>&, HeadView<const float>,
                                 const AttentionGradients<float>&);
template void attention_backward(const Attention<double>&, const AttentionSaved<double>&,
                                 HeadView<const double>, const AttentionGradients<double>&);

}  // namespace formwork
#endif  // HWY_ONCE
