#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/int4_linear.cpp"
#include <ATen/Parallel.h>
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "formwork/kernels/cpu/int4.h"

#ifndef FORMWORK_INT4_ROWS
#define FORMWORK_INT4_ROWS
namespace formwork {
inline constexpr int64_t kInt4Panel = 16;

// Inputs of one product; group_sums [rows, I / group] are the sums of x that the zero points multiply.
struct Int4Rows {
  const float* x;
  int64_t stride;
  const float* group_sums;
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// kRows x 16 outputs of one panel into total [kRows][16]. A word's nibbles turn to floats in registers.
template <int kRows>
void panel_rows(const Int4Rows& in, const Int4PackedWeight& weight, int64_t panel, float* total) {
  const hn::CappedTag<float, 8> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::RebindToSigned<decltype(d)> di;
  constexpr int64_t lanes = hn::MaxLanes(hn::CappedTag<float, 8>());
  constexpr int kVectors = kInt4Panel / lanes;
  const int64_t groups = weight.inputs / weight.group, group_words = weight.group / 8;
  const auto low = hn::Set(du, 15u);
  std::fill_n(total, kRows * kInt4Panel, 0.0f);
  for (int64_t g = 0; g < groups; ++g) {
    const uint32_t* words = &weight.words[(panel * groups + g) * group_words * kInt4Panel];
    const float* x = in.x + g * weight.group;
    hn::Vec<decltype(d)> sum[kRows][kVectors];
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
    for (int64_t k = 0; k < group_words; ++k) {
      hn::Vec<decltype(du)> word[kVectors];
      for (int v = 0; v < kVectors; ++v) word[v] = hn::LoadU(du, words + k * kInt4Panel + v * lanes);
      for (int s = 0; s < 8; ++s) {
        hn::Vec<decltype(d)> code[kVectors];
        for (int v = 0; v < kVectors; ++v) {
          code[v] = hn::ConvertTo(d, hn::BitCast(di, hn::And(word[v], low)));
          word[v] = hn::ShiftRight<4>(word[v]);
        }
        for (int r = 0; r < kRows; ++r) {
          const auto value = hn::Set(d, x[r * in.stride + k * 8 + s]);
          for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(value, code[v], sum[r][v]);
        }
      }
    }
    const int64_t at = (panel * groups + g) * kInt4Panel;
    for (int r = 0; r < kRows; ++r) {
      const auto group_sum = hn::Set(d, in.group_sums[r * groups + g]);
      for (int v = 0; v < kVectors; ++v) {
        float* to = total + r * kInt4Panel + v * lanes;
        const auto centred = hn::NegMulAdd(hn::LoadU(d, &weight.zeros[at + v * lanes]), group_sum, sum[r][v]);
        hn::StoreU(hn::MulAdd(hn::LoadU(d, &weight.scales[at + v * lanes]), centred, hn::LoadU(d, to)), d,
                   to);
      }
    }
  }
}

// Rows in fours, so that four products share the work of turning a nibble to a float.
void int4_panel(Int4Rows in, int64_t rows, const Int4PackedWeight& weight, int64_t panel, float* total) {
  const int64_t groups = weight.inputs / weight.group;
  for (int64_t n = 0; n < rows;) {
    const Int4Rows part{in.x + n * in.stride, in.stride, in.group_sums + n * groups};
    if (n + 4 <= rows) {
      panel_rows<4>(part, weight, panel, total + n * kInt4Panel);
      n += 4;
    } else {
      panel_rows<1>(part, weight, panel, total + n * kInt4Panel);
      ++n;
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(int4_panel);

static std::vector<float> sum_groups(const float* x, int64_t rows, int64_t stride, int64_t groups,
                                     int64_t group) {
  std::vector<float> sums(rows * groups, 0);
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t i = 0; i < groups * group; ++i) sums[n * groups + i / group] += x[n * stride + i];
  return sums;
}

void int4_linear(const float* x, int64_t rows, int64_t stride, const Int4PackedWeight& weight,
                 const float* bias, float* y) {
  const auto group_sums = sum_groups(x, rows, stride, weight.inputs / weight.group, weight.group);
  const Int4Rows in{x, stride, group_sums.data()};
  at::parallel_for(0, (weight.outputs + kInt4Panel - 1) / kInt4Panel, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> total(rows * kInt4Panel);
    for (int64_t p = begin; p < end; ++p) {
      HWY_DYNAMIC_DISPATCH(int4_panel)(in, rows, weight, p, total.data());
      const int64_t first = p * kInt4Panel, width = std::min(kInt4Panel, weight.outputs - first);
      for (int64_t n = 0; n < rows; ++n)
        for (int64_t o = 0; o < width; ++o)
          y[n * weight.outputs + first + o] = total[n * kInt4Panel + o] + (bias ? bias[first + o] : 0.0f);
    }
  });
}

}  // namespace formwork
#endif
