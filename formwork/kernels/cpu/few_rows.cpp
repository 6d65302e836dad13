#include "formwork/kernels/cpu/few_rows.h"

#include <algorithm>

#include "formwork/kernels/cpu/parallel_tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/few_rows.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/dot_block-inl.h"

#ifndef FORMWORK_KERNELS_CPU_FEW_ROWS_TYPES
#define FORMWORK_KERNELS_CPU_FEW_ROWS_TYPES
namespace formwork {
using RowsKernel = void (*)(const RowsProduct&, std::int64_t first, std::int64_t last);
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// Rows of x and rows of W that are multiplied at once: as many sums as there are registers for, beside one
// value and the weights. More rows of W at once are more streams from memory, which it answers faster.
constexpr int kRegisters = HWY_TARGET <= HWY_AVX3 ? 32 : 16;
constexpr int kMostRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
constexpr int outputs_at_once(int rows) { return std::min(8, (kRegisters - 1) / (rows + 1)); }

template <int kRows, int kOut>
HWY_INLINE void write_block(const RowsProduct& p, std::int64_t row, std::int64_t first, const float* sums) {
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOut; ++o) {
      float& y = p.y[(row + r) * p.y_stride + first + o];
      const float value = sums[r * kOut + o] + (p.bias ? p.bias[first + o] : 0);
      y = p.add ? y + value : value;
    }
}

template <int kRows, int kOut, class W>
HWY_INLINE void few_rows_block(const RowsProduct& p, std::int64_t row, std::int64_t first) {
  const W* w = static_cast<const W*>(p.w) + first * p.in;
  float sums[kDotRoom<float, kRows, kOut>];
  dot_block<kRows, kOut, float, W>(p.in, {p.x + row * p.x_stride, p.x_stride}, {w, p.in}, w + kOut * p.in,
                                   sums);
  write_block<kRows, kOut>(p, row, first, sums);
}

// Outputs [first, last) of kRows rows.
template <int kRows, class W>
HWY_NOINLINE void few_rows_outputs(const RowsProduct& p, std::int64_t row, std::int64_t first,
                                   std::int64_t last) {
  constexpr int kOut = outputs_at_once(kRows);
  for (; first + kOut <= last; first += kOut) few_rows_block<kRows, kOut, W>(p, row, first);
  for (; first < last; ++first) few_rows_block<kRows, 1, W>(p, row, first);
}

// Inputs of a piece, and outputs that pass over it together: with as many rows of x as are multiplied at
// once, and the sums, they stay in the first cache.
constexpr std::int64_t kPiece = 512, kTogether = 24;
// Up to so many inputs rows of x stay there as they are.
constexpr std::int64_t kShallow = 1024;

// sums [kRows * kOut] of vectors += the products of n inputs.
template <int kRows, int kOut, class W>
HWY_INLINE void add_piece(std::int64_t n, DotRows<float> x, DotRows<W> w, bool first, float* sums) {
  const hn::ScalableTag<float> d;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(hn::ScalableTag<float>()));
  VecOf<decltype(d)> v[kRows * kOut];
  FORMWORK_UNROLL for (int s = 0; s < kRows * kOut; ++s) v[s] =
      first ? hn::Zero(d) : hn::Load(d, sums + s * kLanes);
  for (; n >= kLanes; n -= kLanes) {
    add_products<kRows, kOut>(d, x, w, kLanes, v);
    x.data += kLanes, w.data += kLanes;
  }
  if (n > 0) add_products<kRows, kOut>(d, x, w, n, v);
  FORMWORK_UNROLL for (int s = 0; s < kRows * kOut; ++s) hn::Store(v[s], d, sums + s * kLanes);
}

// What few_rows_outputs computes, bit for bit, piece by piece: for kMostRows rows, when weights come from the
// second cache.
template <class W>
HWY_NOINLINE void many_rows_outputs(const RowsProduct& p, std::int64_t row, std::int64_t first,
                                    std::int64_t last) {
  constexpr int kOut = outputs_at_once(kMostRows), kSums = kMostRows * kOut;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(hn::ScalableTag<float>()));
  HWY_ALIGN float sums[kTogether / kOut * kSums * kLanes];
  const hn::ScalableTag<float> d;
  for (; first + kTogether <= last; first += kTogether) {
    for (std::int64_t k = 0; k < p.in; k += kPiece)
      for (std::int64_t o = 0; o < kTogether; o += kOut)
        add_piece<kMostRows, kOut, W>(std::min(kPiece, p.in - k), {p.x + row * p.x_stride + k, p.x_stride},
                                      {static_cast<const W*>(p.w) + (first + o) * p.in + k, p.in}, k == 0,
                                      sums + o / kOut * kSums * kLanes);
    for (std::int64_t o = 0; o < kTogether; o += kOut) {
      VecOf<decltype(d)> v[kSums];
      FORMWORK_UNROLL for (int s = 0; s < kSums; ++s) v[s] =
          hn::Load(d, sums + (o / kOut * kSums + s) * kLanes);
      float totals[kDotRoom<float, kMostRows, kOut>];
      sum_each<kSums, kLanes>(d, v, totals);
      write_block<kMostRows, kOut>(p, row, first + o, totals);
    }
  }
  few_rows_outputs<kMostRows, W>(p, row, first, last);
}

// `last` - `first` are outputs whose weights stay in the second cache from one group of rows to the next.
template <class W>
void few_rows_range(const RowsProduct& p, std::int64_t first, std::int64_t last) {
  std::int64_t row = 0;
  for (; row + kMostRows <= p.rows; row += kMostRows)
    if (row == 0 || p.in <= kShallow)
      few_rows_outputs<kMostRows, W>(p, row, first, last);  // fetches weights from memory as it goes
    else
      many_rows_outputs<W>(p, row, first, last);
  const auto rest = [&]<int kRows>() HWY_ATTR { few_rows_outputs<kRows, W>(p, row, first, last); };
  switch (p.rows - row) {
    case 1:
      return rest.template operator()<1>();
    case 2:
      return rest.template operator()<2>();
    case 3:
      return rest.template operator()<3>();
#if HWY_TARGET <= HWY_AVX3
    case 4:
      return rest.template operator()<4>();
    case 5:
      return rest.template operator()<5>();
    case 6:
      return rest.template operator()<6>();
    case 7:
      return rest.template operator()<7>();
#endif
    default:
      return;
  }
}

RowsKernel few_rows_kernel(WeightType type) {
  if (type == WeightType::bfloat16) return &few_rows_range<bfloat16>;
  return type == WeightType::float16 ? &few_rows_range<hwy::float16_t> : &few_rows_range<float>;
}

template <class W>
void widen_values(std::int64_t count, const void* stored, float* y) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = hn::Lanes(d);
  for (std::int64_t i = 0; i < count; i += lanes)
    store_some(d, load_some(d, static_cast<const W*>(stored) + i, count - i), y + i, count - i);
}

using WidenKernel = void (*)(std::int64_t, const void*, float*);
WidenKernel widen_kernel(WeightType type) {
  if (type == WeightType::bfloat16) return &widen_values<bfloat16>;
  return type == WeightType::float16 ? &widen_values<hwy::float16_t> : &widen_values<float>;
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(few_rows_kernel);
HWY_EXPORT(widen_kernel);

void rows_product(const RowsProduct& product) {
  if (product.rows == 0) return;
  const RowsKernel range = HWY_DYNAMIC_DISPATCH(few_rows_kernel)(product.type);
  // About 128 KiB of weights, in whole groups of outputs for every number of rows that is one pass.
  const std::int64_t out = product.out, values = product.type == WeightType::float32 ? 32768 : 65536;
  const std::int64_t chunk = 24 * std::max<std::int64_t>(1, values / (24 * product.in + 1));
  parallel_tasks((out + chunk - 1) / chunk,
                 [&](std::int64_t i) { range(product, i * chunk, std::min(out, (i + 1) * chunk)); });
}

void widen(WeightType type, std::int64_t count, const void* stored, float* y) {
  HWY_DYNAMIC_DISPATCH(widen_kernel)(type)(count, stored, y);
}

void few_rows_linear(std::int64_t rows, std::int64_t in, std::int64_t out, const float* x, const float* w,
                     const float* bias, float* y) {
  rows_product({rows, in, out, x, in, w, WeightType::float32, bias, y, out});
}

}  // namespace formwork
#endif  // HWY_ONCE
