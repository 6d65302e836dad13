// Products of floats with half-precision weights, widened in registers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/ggml_half.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include <algorithm>

#include "formwork/kernels/cpu/ggml_rows.h"
#include "formwork/kernels/cpu/half.h"
#include "formwork/kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using Bits = hn::Rebind<std::uint16_t, D>;

HWY_INLINE hn::Vec<D> widened(D d, GgmlType type, const std::uint8_t* from) {
  const auto bits = hn::LoadU(Bits(), reinterpret_cast<const std::uint16_t*>(from));
  if (type == GgmlType::f16) return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), bits));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(hn::RebindToUnsigned<D>(), bits)));
}

// kRows rows of x against one of W; every sum in the same order whatever kRows is.
template <int kRows>
HWY_INLINE void dot(const float* x, std::int64_t stride, std::int64_t inputs, GgmlType type,
                    const std::uint8_t* w, float* sums) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto to_float = type == GgmlType::f16 ? half_to_float : bfloat16_to_float;
  hn::Vec<D> total[kRows];
  for (int r = 0; r < kRows; ++r) total[r] = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= inputs; i += lanes) {
    const auto value = widened(d, type, w + 2 * i);
    for (int r = 0; r < kRows; ++r) total[r] = hn::MulAdd(hn::LoadU(d, x + r * stride + i), value, total[r]);
  }
  for (int r = 0; r < kRows; ++r) sums[r] = hn::GetLane(hn::SumOfLanes(d, total[r]));
  for (; i < inputs; ++i) {
    const float value = to_float(static_cast<std::uint16_t>(w[2 * i] | w[2 * i + 1] << 8));
    for (int r = 0; r < kRows; ++r) sums[r] += x[r * stride + i] * value;
  }
}

void multiply(const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w, const float* bias,
              float* y, std::int64_t first, std::int64_t last) {
  for (std::int64_t o = first; o < last; ++o) {
    const std::uint8_t* row = w.blocks + o * w.row_bytes();
    const auto finish = [&](std::int64_t n, int count, const float* sums) {
      for (int r = 0; r < count; ++r) y[(n + r) * w.outputs + o] = sums[r] + (bias ? bias[o] : 0.0f);
    };
    float sums[4];
    std::int64_t n = 0;
    for (; n + 4 <= rows; n += 4) {
      dot<4>(x + n * stride, stride, w.inputs, w.type, row, sums);
      finish(n, 4, sums);
    }
    for (; n < rows; ++n) {
      dot<1>(x + n * stride, stride, w.inputs, w.type, row, sums);
      finish(n, 1, sums);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(multiply);

void ggml_half_linear(const float* x, std::int64_t rows, std::int64_t stride, const GgmlMatrix& w,
                      const float* bias, float* y) {
  parallel_for(0, w.outputs, 1 + 32768 / (w.inputs + 1), [&](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(multiply)(x, rows, stride, w, bias, y, first, last);
  });
}

}  // namespace formwork
#endif
