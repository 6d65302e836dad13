#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/int8_product.cpp"
#include <ATen/Parallel.h>
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "formwork/kernels/cpu/int8.h"

#ifndef FORMWORK_INT8_PANEL
#define FORMWORK_INT8_PANEL
namespace formwork {
inline constexpr int64_t kInt8Panel = 16;
}
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// kRows x 16 sums. Codes are widened to 16 bits and multiplied in pairs of inputs: a pair's sum fits 32 bits,
// so nothing saturates. x holds pairs of 16-bit codes as one 32-bit word.
template <int kRows>
void panel_rows(const int32_t* x, int64_t pairs, const int8_t* panel, int32_t* sums, int64_t stride,
                int64_t width) {
  const hn::CappedTag<int32_t, 8> d32;
  const hn::Repartition<int16_t, decltype(d32)> d16;
  const hn::Rebind<int8_t, decltype(d16)> d8;
  constexpr int kVectors = kInt8Panel / hn::MaxLanes(hn::CappedTag<int32_t, 8>());
  constexpr int64_t lanes = hn::MaxLanes(hn::CappedTag<int32_t, 8>());
  hn::Vec<decltype(d32)> low[kRows][kVectors], high[kRows][kVectors];
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) low[r][v] = high[r][v] = hn::Zero(d32);
  for (int64_t k = 0; k < pairs; ++k) {
    hn::Vec<decltype(d16)> w[kVectors];
    for (int v = 0; v < kVectors; ++v)
      w[v] = hn::PromoteTo(d16, hn::LoadU(d8, panel + k * 2 * kInt8Panel + v * 2 * lanes));
    for (int r = 0; r < kRows; ++r) {
      const auto pair = hn::BitCast(d16, hn::Set(d32, x[r * pairs + k]));
      for (int v = 0; v < kVectors; ++v)
        low[r][v] = hn::ReorderWidenMulAccumulate(d32, pair, w[v], low[r][v], high[r][v]);
    }
  }
  HWY_ALIGN int32_t buffer[kInt8Panel];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v)
      hn::Store(hn::RearrangeToOddPlusEven(low[r][v], high[r][v]), d32, buffer + v * lanes);
    for (int64_t o = 0; o < width; ++o) sums[r * stride + o] = buffer[o];
  }
}

// All rows against one panel; sums [rows][stride].
void panel_product(const int32_t* x, int64_t rows, int64_t pairs, const int8_t* panel, int32_t* sums,
                   int64_t stride, int64_t width) {
  int64_t n = 0;
  for (; n + 6 <= rows; n += 6) panel_rows<6>(x + n * pairs, pairs, panel, sums + n * stride, stride, width);
  for (; n + 2 <= rows; n += 2) panel_rows<2>(x + n * pairs, pairs, panel, sums + n * stride, stride, width);
  for (; n < rows; ++n) panel_rows<1>(x + n * pairs, pairs, panel, sums + n * stride, stride, width);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(panel_product);

static int64_t panel_offset(int64_t inputs, int64_t output, int64_t input) {
  const int64_t pairs = (inputs + 1) / 2;
  return ((output / kInt8Panel * pairs + input / 2) * kInt8Panel + output % kInt8Panel) * 2 + input % 2;
}

Int8PackedWeight int8_pack_weight(const int8_t* codes, int64_t outputs, int64_t inputs) {
  Int8PackedWeight packed{outputs, inputs, {}};
  packed.panels.assign((outputs + kInt8Panel - 1) / kInt8Panel * ((inputs + 1) / 2) * kInt8Panel * 2, 0);
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t i = 0; i < inputs; ++i) packed.panels[panel_offset(inputs, o, i)] = codes[o * inputs + i];
  return packed;
}

int8_t int8_weight_code(const Int8PackedWeight& weight, int64_t output, int64_t input) {
  return weight.panels[panel_offset(weight.inputs, output, input)];
}

// [rows, I] 8-bit codes to [rows, ceil(I / 2)] words of two 16-bit codes, the first in the low half.
static std::vector<int32_t> widen_pairs(const int8_t* codes, int64_t rows, int64_t inputs) {
  const int64_t pairs = (inputs + 1) / 2;
  std::vector<int32_t> wide(rows * pairs);
  for (int64_t n = 0; n < rows; ++n) {
    const int8_t* row = codes + n * inputs;
    for (int64_t k = 0; k < pairs; ++k) {
      const uint32_t first = static_cast<uint16_t>(row[2 * k]);
      const uint32_t second = 2 * k + 1 < inputs ? static_cast<uint16_t>(row[2 * k + 1]) : 0;
      wide[n * pairs + k] = static_cast<int32_t>(first | second << 16);
    }
  }
  return wide;
}

// Runs finish(first output, width, sums [rows][16]) on every panel, panels in parallel.
template <class Finish>
static void each_panel(const int8_t* codes, int64_t rows, const Int8PackedWeight& weight,
                       const Finish& finish) {
  const int64_t pairs = (weight.inputs + 1) / 2, panels = (weight.outputs + kInt8Panel - 1) / kInt8Panel;
  const auto wide = widen_pairs(codes, rows, weight.inputs);
  at::parallel_for(0, panels, 8, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> sums(rows * kInt8Panel);
    for (int64_t p = begin; p < end; ++p) {
      const int8_t* panel = weight.panels.data() + p * pairs * kInt8Panel * 2;
      const int64_t width = std::min(kInt8Panel, weight.outputs - p * kInt8Panel);
      HWY_DYNAMIC_DISPATCH(panel_product)(wide.data(), rows, pairs, panel, sums.data(), kInt8Panel, width);
      finish(p * kInt8Panel, width, sums.data());
    }
  });
}

void int8_product(const int8_t* codes, int64_t rows, const Int8PackedWeight& weight, int32_t* sums) {
  each_panel(codes, rows, weight, [&](int64_t first, int64_t width, const int32_t* panel) {
    for (int64_t n = 0; n < rows; ++n)
      std::copy_n(panel + n * kInt8Panel, width, sums + n * weight.outputs + first);
  });
}

void int8_linear(const int8_t* codes, const float* row_scales, int64_t rows, const Int8PackedWeight& weight,
                 const float* output_scales, const float* bias, float* y) {
  each_panel(codes, rows, weight, [&](int64_t first, int64_t width, const int32_t* panel) {
    for (int64_t n = 0; n < rows; ++n) {
      const float scale = row_scales[n] * (1.0f / 16129.0f);
      for (int64_t o = 0; o < width; ++o) {
        const float value =
            static_cast<float>(panel[n * kInt8Panel + o]) * (scale * output_scales[first + o]);
        y[n * weight.outputs + first + o] = bias ? value + bias[first + o] : value;
      }
    }
  });
}

void int8_add_outlier_product(const float* x, int64_t rows, int64_t stride, const Int8Outliers& outliers,
                              const Int8PackedWeight& weight, const float* output_scales, float* y) {
  std::vector<float> column(weight.outputs);
  for (int64_t i : outliers.columns) {
    for (int64_t o = 0; o < weight.outputs; ++o)
      column[o] = static_cast<float>(int8_weight_code(weight, o, i)) * output_scales[o] / 127.0f;
    for (int64_t n = 0; n < rows; ++n)
      for (int64_t o = 0; o < weight.outputs; ++o) y[n * weight.outputs + o] += x[n * stride + i] * column[o];
  }
}

}  // namespace formwork
#endif
