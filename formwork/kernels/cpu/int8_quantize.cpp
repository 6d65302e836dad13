#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/int8_quantize.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/int8.h"
#include "formwork/kernels/cpu/int8_rows.h"
#include "formwork/kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// The bits of max |x|: those of floats without sign are in the order of the floats, with infinity and then
// NaN above all others, so nothing gets lost as it would in a maximum of floats.
uint32_t largest_bits(const float* x, int64_t width) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const int64_t lanes = hn::Lanes(d);
  auto largest = hn::Zero(di);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes)
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
  auto bits = static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, largest)));
  for (; i < width; ++i) bits = std::max(bits, std::bit_cast<uint32_t>(std::abs(x[i])));
  return bits;
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

// y [width] += sum_c x[c] w[c][...], each row of w `stride` long.
void add_columns(const float* x, int64_t columns, const float* w, int64_t stride, int64_t width, float* y) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t o = 0;
  for (; o + lanes <= width; o += lanes) {
    auto sum = hn::LoadU(d, y + o);
    for (int64_t c = 0; c < columns; ++c)
      sum = hn::MulAdd(hn::Set(d, x[c]), hn::LoadU(d, w + c * stride + o), sum);
    hn::StoreU(sum, d, y + o);
  }
  for (; o < width; ++o)
    for (int64_t c = 0; c < columns; ++c) y[o] += x[c] * w[c * stride + o];
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(largest_bits);
HWY_EXPORT(row_codes);
HWY_EXPORT(add_columns);

// max |x|, or NaN where an entry is not finite.
static float row_maximum(const float* x, int64_t width) {
  constexpr uint32_t infinity = 0x7f800000;
  const uint32_t bits = HWY_DYNAMIC_DISPATCH(largest_bits)(x, width);
  return bits < infinity ? std::bit_cast<float>(bits) : std::numeric_limits<float>::quiet_NaN();
}

std::vector<int64_t> int8_find_outliers(const Int8Input& in, float threshold) {
  if (!(threshold > 0)) fail("int8: expected an outlier threshold > 0, found {}", threshold);
  std::vector<uint8_t> reached(in.width, 0);
  for (int64_t n = 0; n < in.rows; ++n) {
    const float* row = in.x + n * in.width;
    // Most rows have none: one fast pass finds that out.
    if (!(row_maximum(row, in.width) >= threshold)) continue;
    for (int64_t i = 0; i < in.width; ++i) reached[i] |= std::abs(row[i]) >= threshold;
  }
  std::vector<int64_t> columns;
  for (int64_t i = 0; i < in.width; ++i)
    if (reached[i]) columns.push_back(i);
  return columns;
}

static float scale_of(const Int8Input& in, const float* row) {
  const float all = row_maximum(row, in.width);
  if (!int8_some(in) || std::isnan(all)) return all;
  std::vector<float> copy(row, row + in.width);
  for (const int64_t i : in.outliers->columns)
    if (!int8_counts(*in.outliers, row[i])) copy[i] = 0;
  return row_maximum(copy.data(), in.width);
}

void int8_row_scales(const Int8Input& in, bool shared, float* scales) {
  parallel_for(0, in.rows, int8_rows_each(in), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) scales[n] = scale_of(in, in.x + n * in.width);
  });
  if (shared && in.rows > 0) std::fill_n(scales, in.rows, row_maximum(scales, in.rows));
}

static void quantize_row(const float* row, int64_t width, float scale, int8_t* codes) {
  const float factor = 127.0f / scale;
  if (!(scale > 0)) {
    std::fill_n(codes, width, int8_t{0});
  } else if (std::isfinite(factor)) {
    HWY_DYNAMIC_DISPATCH(row_codes)(row, width, factor, codes);
  } else {  // 127 / s leaves the range of float for subnormal s
    for (int64_t i = 0; i < width; ++i)
      codes[i] =
          static_cast<int8_t>(std::clamp(std::nearbyint(double(row[i]) * 127.0 / scale), -127.0, 127.0));
  }
}

void int8_quantize_rows(const Int8Input& in, const float* scales, int8_t* codes) {
  parallel_for(0, in.rows, int8_rows_each(in), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      int8_t* to = codes + n * in.width;
      quantize_row(in.x + n * in.width, in.width, scales[n], to);
      if (int8_some(in))
        for (const int64_t i : in.outliers->columns) to[i] = 0;
    }
  });
}

void int8_add_outlier_product(const Int8Input& in, const float* columns_of_w, int64_t outputs, float* y) {
  if (!int8_some(in)) return;
  const auto& columns = in.outliers->columns;
  const auto count = static_cast<int64_t>(columns.size());
  std::vector<float> x(in.rows * count);
  for (int64_t n = 0; n < in.rows; ++n)
    for (int64_t c = 0; c < count; ++c) x[n * count + c] = in.x[n * in.width + columns[c]];
  parallel_for(0, outputs, 256, [&](int64_t begin, int64_t end) {
    for (int64_t n = 0; n < in.rows; ++n) HWY_DYNAMIC_DISPATCH(add_columns)
    (&x[n * count], count, columns_of_w + begin, outputs, end - begin, y + n * outputs + begin);
  });
}

}  // namespace formwork
#endif
