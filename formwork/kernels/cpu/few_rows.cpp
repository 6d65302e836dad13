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
// Shapes and operands; y and x keep their row strides `out` and `in`.
struct FewRows {
  std::int64_t rows, in, out;
  const float *x, *w, *bias;
  float* y;
};
using FewRowsKernel = void (*)(const FewRows&, std::int64_t first, std::int64_t last);
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
HWY_INLINE void few_rows_block(const FewRows& p, std::int64_t row, std::int64_t first) {
  const float* w = p.w + first * p.in;
  float sums[kDotRoom<float, kRows, kOut>];
  dot_block<kRows, kOut, float>(p.in, {p.x + row * p.in, p.in}, {w, p.in}, w + kOut * p.in, sums);
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOut; ++o)
      p.y[(row + r) * p.out + first + o] = sums[r * kOut + o] + (p.bias ? p.bias[first + o] : 0);
}

// Outputs [first, last) of kRows rows.
template <int kRows>
HWY_NOINLINE void few_rows_outputs(const FewRows& p, std::int64_t row, std::int64_t first,
                                   std::int64_t last) {
  constexpr int kOut = outputs_at_once(kRows);
  for (; first + kOut <= last; first += kOut) few_rows_block<kRows, kOut>(p, row, first);
  for (; first < last; ++first) few_rows_block<kRows, 1>(p, row, first);
}

// `last` - `first` are outputs whose weights stay in the second cache from one group of rows to the next.
void few_rows_range(const FewRows& p, std::int64_t first, std::int64_t last) {
  std::int64_t row = 0;
  for (; row + kMostRows <= p.rows; row += kMostRows) few_rows_outputs<kMostRows>(p, row, first, last);
  const auto rest = [&]<int kRows>() HWY_ATTR { few_rows_outputs<kRows>(p, row, first, last); };
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

FewRowsKernel few_rows_kernel() { return &few_rows_range; }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(few_rows_kernel);

void few_rows_linear(std::int64_t rows, std::int64_t in, std::int64_t out, const float* x, const float* w,
                     const float* bias, float* y) {
  const FewRows product{rows, in, out, x, w, bias, y};
  const FewRowsKernel range = HWY_DYNAMIC_DISPATCH(few_rows_kernel)();
  // About 128 KiB of weights, in whole groups of outputs for every number of rows that is one pass.
  const std::int64_t chunk = 24 * std::max<std::int64_t>(1, 32768 / (24 * in + 1));
  parallel_tasks((out + chunk - 1) / chunk,
                 [&](std::int64_t i) { range(product, i * chunk, std::min(out, (i + 1) * chunk)); });
}

}  // namespace formwork
#endif  // HWY_ONCE
