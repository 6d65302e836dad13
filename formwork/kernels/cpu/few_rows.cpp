#include "formwork/kernels/cpu/few_rows.h"

#include <algorithm>

#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/few_rows.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

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

// kRows rows times kOut outputs, whose sums stay in registers.
template <int kRows, int kOut>
HWY_INLINE void few_rows_block(const FewRows& p, std::int64_t row, std::int64_t first) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = hn::Lanes(d);
  VecOf<decltype(d)> sums[kRows][kOut];
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOut; ++o) sums[r][o] = hn::Zero(d);
  const float *x = p.x + row * p.in, *w = p.w + first * p.in;
  const auto step = [&](std::int64_t i, const auto& load) HWY_ATTR {
    VecOf<decltype(d)> weights[kOut];
    for (int o = 0; o < kOut; ++o) weights[o] = load(w + o * p.in + i, i);
    for (int r = 0; r < kRows; ++r) {
      const auto value = load(x + r * p.in + i, i);
      for (int o = 0; o < kOut; ++o) sums[r][o] = hn::MulAdd(value, weights[o], sums[r][o]);
    }
  };
  std::int64_t i = 0;
  for (; i + lanes <= p.in; i += lanes)
    step(i, [d](const float* from, std::int64_t) HWY_ATTR { return hn::LoadU(d, from); });
  if (i < p.in)
    step(i, [d, &p](const float* from, std::int64_t at) HWY_ATTR { return load_some(d, from, p.in - at); });
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOut; ++o)
      p.y[(row + r) * p.out + first + o] = sum_lanes(d, sums[r][o]) + (p.bias ? p.bias[first + o] : 0);
}

// All rows times kOut outputs: these rows of W stay in the first cache from one block of rows to the next.
template <int kOut>
HWY_INLINE void few_rows_outputs(const FewRows& p, std::int64_t first) {
  std::int64_t row = 0;
  for (; row + 4 <= p.rows; row += 4) few_rows_block<4, kOut>(p, row, first);
  for (; row + 2 <= p.rows; row += 2) few_rows_block<2, kOut>(p, row, first);
  if (row < p.rows) few_rows_block<1, kOut>(p, row, first);
}

void few_rows_range(const FewRows& p, std::int64_t first, std::int64_t last) {
  constexpr int kOut = HWY_TARGET <= HWY_AVX3 ? 4 : 2;  // as many sums as there are registers for
  for (; first + kOut <= last; first += kOut) few_rows_outputs<kOut>(p, first);
  for (; first < last; ++first) few_rows_outputs<1>(p, first);
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
  const std::int64_t grain = std::max<std::int64_t>(16, 32768 / (in * rows + 1));
  parallel_for(0, out, grain, [&](std::int64_t first, std::int64_t last) { range(product, first, last); });
}

}  // namespace formwork
#endif  // HWY_ONCE
