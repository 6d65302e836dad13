#include "formwork/kernels/cpu/attention.h"
#include "formwork/kernels/cpu/attention_mask.h"
#include "formwork/kernels/cpu/attention_scratch.h"
#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/attention_forward.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/attention_keys-inl.h"

#ifndef FORMWORK_KERNELS_CPU_ATTENTION_FORWARD_TYPES
#define FORMWORK_KERNELS_CPU_ATTENTION_FORWARD_TYPES
namespace formwork {
// Up to how many queries read keys and values where they lie: packing them costs about as much as this many.
inline constexpr std::int64_t kUnpackedQueries = 4;

// One key head of one batch row, and the queries [begin, end) of the heads that read it.
template <class T>
struct ForwardTask {
  const Attention<T>& attention;
  HeadView<const T> q, k, v;
  HeadView<T> o;
  T* logsumexp;
  std::int64_t batch, key_head, begin, end;
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// A tile of queries and its running softmax: maximum and sum of each row, and the unnormalized output.
template <class T>
struct Running {
  QueryTile<T> tile;
  T *maximum, *sum;
};

// scores -> exp(scores - maximum), and 0 from column `seen` on; moves the row's maximum and sum, returns what
// earlier output shrinks by. n: columns, on whole vectors.
template <class T>
T softmax_row(std::int64_t n, std::int64_t seen, T* scores, T& maximum, T& sum) {
  constexpr T kNothing = -std::numeric_limits<T>::infinity();
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d), whole = seen / lanes * lanes;
  auto last = hn::Set(d, kNothing);
  if (whole < seen)
    last =
        hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(seen - whole)), hn::Load(d, scores + whole), last);
  auto most = last;
  for (std::int64_t j = 0; j < whole; j += lanes) most = hn::Max(most, hn::Load(d, scores + j));
  const T block = hn::GetLane(hn::MaxOfLanes(d, most)), next = block > maximum ? block : maximum;
  const auto shift = hn::Set(d, next == kNothing ? T(0) : next);
  auto total = hn::Zero(d);
  for (std::int64_t j = 0; j < whole; j += lanes) {
    const auto p = exp_of(d, hn::Sub(hn::Load(d, scores + j), shift));
    hn::Store(p, d, scores + j);
    total = hn::Add(total, p);
  }
  for (std::int64_t j = whole; j < n; j += lanes) {
    const auto p = j < seen ? exp_of(d, hn::Sub(last, shift)) : hn::Zero(d);
    hn::Store(p, d, scores + j);
    total = hn::Add(total, p);
  }
  const T shrink = maximum == next || maximum == kNothing ? T(1) : std::exp(maximum - next);
  sum = sum * shrink + sum_lanes(d, total);
  maximum = next;
  return shrink;
}

template <class T>
void scale_row(std::int64_t n, T factor, T* x) {
  const hn::ScalableTag<T> d;
  const auto times = hn::Set(d, factor);
  for (std::int64_t i = 0; i < n; i += hn::Lanes(d)) hn::Store(hn::Mul(hn::Load(d, x + i), times), d, x + i);
}

template <class T, class Keys>
void attend_tile(const ForwardTask<T>& task, const RowMask& mask, const Keys& head, std::int64_t query_head,
                 std::int64_t begin, const Running<T>& state) {
  const auto& queries = state.tile;
  const std::int64_t wide = padded(queries.value_width);
  const auto keys = mask.queries(begin, begin + queries.rows);
  bool first = true;
  for (KeyTile tile = next_tile(keys, 0); tile.size() > 0; tile = next_tile(keys, tile.end)) {
    head.score(queries, tile);
    for (std::int64_t r = 0; r < queries.rows; ++r) {
      T* scores = queries.scores + r * kScoreStride;
      const auto permitted = mask.query(begin + r);
      bias_row(task.attention, task.batch, query_head, begin + r, tile, scores);
      mask_gap(permitted, tile, scores);
      const T shrink = softmax_row<T>(tile.columns(), seen_columns(permitted, tile), scores, state.maximum[r],
                                      state.sum[r]);
      if (!first && shrink != T(1)) scale_row<T>(queries.value_width, shrink, queries.output + r * wide);
    }
    head.weigh(queries, tile, !first);
    first = false;
  }
}

// Divides by the sums and writes o and logsumexp.
template <class T>
void finish_tile(const ForwardTask<T>& task, std::int64_t query_head, std::int64_t begin,
                 const Running<T>& state) {
  const auto& shape = task.attention.shape;
  const std::int64_t wide = padded(shape.value_width);
  T* out = task.o.data + task.batch * task.o.batch + query_head * task.o.head;
  T* saved = task.logsumexp + (task.batch * shape.query_heads + query_head) * shape.queries;
  for (std::int64_t r = 0; r < state.tile.rows; ++r) {
    const std::int64_t i = begin + r;
    const bool seen = state.sum[r] != 0;
    saved[i] = seen ? state.maximum[r] + std::log(state.sum[r]) : -std::numeric_limits<T>::infinity();
    if (seen)
      unpack_rows<T>(1, shape.value_width, state.tile.output + r * wide, T(1) / state.sum[r],
                     out + i * task.o.token, 0);
    else
      std::fill_n(out + i * task.o.token, shape.value_width, T(0));
  }
}

// Every query head that reads the task's key head, a tile of queries after another.
template <class T, class Keys>
void attend_heads(const ForwardTask<T>& task, const RowMask& mask, const Keys& head, Scratch<T>& scratch) {
  const auto& shape = task.attention.shape;
  const std::int64_t step = tile_rows(task.end - task.begin);
  T* queries = scratch.take(step * padded(shape.width));
  T* scores = scratch.take(step * kScoreStride);
  T* output = scratch.take(step * padded(shape.value_width));
  T* maximum = scratch.take(step);
  T* sum = scratch.take(step);
  const std::int64_t group = shape.query_heads / shape.key_heads;
  for (std::int64_t h = task.key_head * group; h < (task.key_head + 1) * group; ++h)
    for (std::int64_t begin = task.begin; begin < task.end; begin += step) {
      const std::int64_t rows = std::min(step, task.end - begin);
      const T* q = task.q.data + task.batch * task.q.batch + h * task.q.head + begin * task.q.token;
      pack_rows<T>(rows, shape.width, q, task.q.token, task.attention.scale, queries);
      std::fill_n(maximum, rows, -std::numeric_limits<T>::infinity());
      std::fill_n(sum, rows, T(0));
      const Running<T> state{{rows, shape.width, shape.value_width, queries, scores, output}, maximum, sum};
      attend_tile<T>(task, mask, head, h, begin, state);
      finish_tile<T>(task, h, begin, state);
    }
}

// What attend_heads takes of a scratch.
template <class T>
std::int64_t working_size(const ForwardTask<T>& task) {
  const auto& shape = task.attention.shape;
  const std::int64_t step = tile_rows(task.end - task.begin);
  std::int64_t total = 2 * Scratch<T>::size(step);
  for (std::int64_t row : {padded(shape.width), kScoreStride, padded(shape.value_width)})
    total += Scratch<T>::size(step * row);
  return total;
}

template <class T>
void forward_task(const ForwardTask<T>& task) {
  const auto& shape = task.attention.shape;
  const RowMask mask(task.attention.mask, shape.keys, task.batch);
  const T* k = task.k.data + task.batch * task.k.batch + task.key_head * task.k.head;
  const T* v = task.v.data + task.batch * task.v.batch + task.key_head * task.v.head;
  if (task.end - task.begin <= kUnpackedQueries) {
    Scratch<T> scratch(working_size(task));
    return attend_heads(task, mask, PlainKeys<T>{{k, task.k.token}, {v, task.v.token}}, scratch);
  }
  const auto seen = mask.queries(task.begin, task.end);
  const std::int64_t base = next_tile(seen, 0).begin, keys = std::max<std::int64_t>(0, seen.end() - base);
  const std::int64_t stride = key_stride(keys);
  const std::int64_t sizes[] = {shape.width * stride, keys * padded(shape.value_width)};
  Scratch<T> scratch(Scratch<T>::size(sizes[0]) + Scratch<T>::size(sizes[1]) + working_size(task));
  T* keys_transposed = scratch.take(sizes[0]);
  T* values = scratch.take(sizes[1]);
  pack_transposed<T>(keys, shape.width, k + base * task.k.token, task.k.token, keys_transposed, stride);
  pack_rows<T>(keys, shape.value_width, v + base * task.v.token, task.v.token, T(1), values);
  attend_heads(task, mask, PackedKeys<T>{keys_transposed, values, base, stride}, scratch);
}

void forward_float(const ForwardTask<float>& task) { forward_task<float>(task); }
void forward_double(const ForwardTask<double>& task) { forward_task<double>(task); }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(forward_float);
HWY_EXPORT(forward_double);

// Heads first; queries are cut as well when there are too few heads for the threads.
template <class T>
void attention_forward(const Attention<T>& attention, HeadView<const T> q, HeadView<const T> k,
                       HeadView<const T> v, HeadView<T> o, T* logsumexp) {
  const auto& shape = attention.shape;
  if (shape.queries == 0) return;
  const std::int64_t heads = shape.batch * shape.key_heads, threads = parallel_threads();
  const std::int64_t most = std::max<std::int64_t>(1, shape.queries / (2 * kTileQueries));
  const std::int64_t cuts = heads >= 4 * threads || threads == 1 ? 1 : std::min(most, 4 * threads);
  const std::int64_t size = (shape.queries + cuts - 1) / cuts;
  // Products of a task: a few heads of a short cache are done before another thread wakes.
  const std::int64_t work = size * shape.keys * (shape.width + shape.value_width);
  const std::int64_t grain =
      std::max<std::int64_t>(1, 65536 / (work * shape.query_heads / shape.key_heads + 1));
  parallel_for(0, heads * cuts, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t head = i / cuts, begin = i % cuts * size,
                         end = std::min(begin + size, shape.queries);
      if (begin >= end) continue;
      const ForwardTask<T> task{
          attention, q, k, v, o, logsumexp, head / shape.key_heads, head % shape.key_heads, begin, end};
      if constexpr (sizeof(T) == 4)
        HWY_DYNAMIC_DISPATCH(forward_float)(task);
      else
        HWY_DYNAMIC_DISPATCH(forward_double)(task);
    }
  });
}

template void attention_forward(const Attention<float>&, HeadView<const float>, HeadView<const float>,
                                HeadView<const float>, HeadView<float>, float*);
template void attention_forward(const Attention<double>&, HeadView<const double>, HeadView<const double>,
                                HeadView<const double>, HeadView<double>, double*);

}  // namespace formwork
#endif  // HWY_ONCE
