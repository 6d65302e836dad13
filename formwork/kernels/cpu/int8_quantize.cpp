#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/int8_quantize.cpp"
#include <ATen/Parallel.h>
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/int8.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

float row_maximum(const float* x, int64_t width) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::Lanes(d);
  auto largest = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + i)));
  float result = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; i < width; ++i) result = std::max(result, std::abs(x[i]));
  return result;
}

// NearestInt rounds half to even, as nearbyint does in the default mode.
void row_codes(const float* x, int64_t width, float factor, int8_t* codes) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int32_t, decltype(d)> d32;
  const hn::Rebind<int8_t, decltype(d)> d8;
  const int64_t lanes = hn::Lanes(d);
  const auto scale = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const auto code = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), scale));
    const auto clamped = hn::Min(hn::Max(code, hn::Set(d32, -127)), hn::Set(d32, 127));
    hn::StoreU(hn::DemoteTo(d8, clamped), d8, codes + i);
  }
  for (; i < width; ++i)
    codes[i] = static_cast<int8_t>(std::clamp(std::nearbyint(x[i] * factor), -127.0f, 127.0f));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(row_maximum);
HWY_EXPORT(row_codes);

Int8Outliers int8_find_outliers(const float* x, int64_t rows, int64_t width, int64_t stride, float threshold,
                                Int8RowMax row_max) {
  if (!(threshold > 0)) fail("int8: expected an outlier threshold > 0, found {}", threshold);
  std::vector<uint8_t> reached(width, 0);
  for (int64_t n = 0; n < rows; ++n) {
    // Most rows have none: one fast pass finds that out.
    if (HWY_DYNAMIC_DISPATCH(row_maximum)(x + n * stride, width) < threshold) continue;
    for (int64_t i = 0; i < width; ++i) reached[i] |= std::abs(x[n * stride + i]) >= threshold;
  }
  Int8Outliers out{{}, threshold, row_max};
  for (int64_t i = 0; i < width; ++i)
    if (reached[i]) out.columns.push_back(i);
  return out;
}

// A copy of the row in which the entries that do not count towards its maximum are 0.
static std::vector<float> counted(const float* row, int64_t width, const Int8Outliers& outliers) {
  std::vector<float> copy(row, row + width);
  for (int64_t i : outliers.columns)
    if (outliers.row_max == Int8RowMax::columns || std::abs(copy[i]) >= outliers.threshold) copy[i] = 0;
  return copy;
}

static void quantize_row(const float* row, int64_t width, int8_t* codes, float* scale,
                         const Int8Outliers* outliers) {
  const bool some = outliers && !outliers->columns.empty();
  const auto maximum = HWY_DYNAMIC_DISPATCH(row_maximum);
  *scale = some ? maximum(counted(row, width, *outliers).data(), width) : maximum(row, width);
  const float factor = 127.0f / *scale;
  if (*scale == 0) {
    std::fill_n(codes, width, int8_t{0});
  } else if (std::isfinite(factor)) {
    HWY_DYNAMIC_DISPATCH(row_codes)(row, width, factor, codes);
  } else {  // 127 / s leaves the range of float for subnormal s
    for (int64_t i = 0; i < width; ++i)
      codes[i] =
          static_cast<int8_t>(std::clamp(std::nearbyint(double(row[i]) * 127.0 / *scale), -127.0, 127.0));
  }
  if (some)
    for (int64_t i : outliers->columns) codes[i] = 0;
}

void int8_quantize_rows(const float* x, int64_t rows, int64_t width, int64_t stride, int8_t* codes,
                        float* scales, const Int8Outliers* outliers) {
  at::parallel_for(0, rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, width)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t n = begin; n < end; ++n)
                       quantize_row(x + n * stride, width, codes + n * width, scales + n, outliers);
                   });
}

}  // namespace formwork
#endif
