#include "formwork/kernels/cpu/int8_rows.h"
#include "formwork/kernels/cpu/parallel.h"

namespace formwork {
namespace {

struct Range {
  float low = std::numeric_limits<float>::infinity(), high = -low;
  bool finite = true;
  void add(float value) {
    low = std::min(low, value);
    high = std::max(high, value);
    finite &= std::isfinite(value);
  }
  void add(const Range& other) {
    low = std::min(low, other.low);
    high = std::max(high, other.high);
    finite &= other.finite;
  }
};

Range range_of(const Int8Input& in, const float* row) {
  Range range;
  size_t next = 0;
  for (int64_t i = 0; i < in.width; ++i) {
    if (int8_some(in) && next < in.outliers->columns.size() && in.outliers->columns[next] == i) {
      ++next;
      range.finite &= std::isfinite(row[i]);
      if (!int8_counts(*in.outliers, row[i])) continue;
    }
    range.add(row[i]);
  }
  return range;
}

// A step is never finer than float's own at the largest magnitude: the zero point then stays a whole number
// that float holds, and rows of one value have a grid.
void set_grid(const Range& range, float* scale, float* zero) {
  *scale = 1, *zero = 0;
  if (!range.finite) *scale = std::numeric_limits<float>::quiet_NaN();
  if (!range.finite || range.low > range.high || (range.low == 0 && range.high == 0)) return;
  constexpr double finest = 127.0 / (1 << 23);
  const double low = range.low, high = range.high;
  *scale = static_cast<float>(std::max((high - low) / 2, finest * std::max(std::abs(low), std::abs(high))));
  if (*scale == 0) *scale = std::numeric_limits<float>::denorm_min();
  *zero = static_cast<float>(std::nearbyint(low * (127.0 / *scale)) + 127);
}

}  // namespace

void int8_row_ranges(const Int8Input& in, bool shared, float* scales, float* zeros) {
  std::vector<Range> ranges(in.rows);
  parallel_for(0, in.rows, int8_rows_each(in), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) ranges[n] = range_of(in, in.x + n * in.width);
  });
  if (shared) {
    Range all;
    for (const auto& range : ranges) all.add(range);
    std::fill(ranges.begin(), ranges.end(), all);
  }
  for (int64_t n = 0; n < in.rows; ++n) set_grid(ranges[n], scales + n, zeros + n);
}

void int8_quantize_ranges(const Int8Input& in, const float* scales, const float* zeros, int8_t* codes) {
  parallel_for(0, in.rows, int8_rows_each(in), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float* row = in.x + n * in.width;
      int8_t* to = codes + n * in.width;
      const double factor = 127.0 / scales[n], zero = zeros[n];
      for (int64_t i = 0; i < in.width; ++i)
        to[i] = std::isnan(factor)
                    ? int8_t{0}
                    : static_cast<int8_t>(std::clamp(std::nearbyint(row[i] * factor) - zero, -127.0, 127.0));
      if (int8_some(in))
        for (const int64_t i : in.outliers->columns) to[i] = 0;
    }
  });
}

}  // namespace formwork
