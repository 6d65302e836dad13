#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/int4_linear.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/int4_rows.h"
#include "formwork/kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// One group's grid: value = code * scale + shift.
template <class D>
struct Grid {
  hn::Vec<D> scale, shift;
  Grid(D d, const Int4Weight& w, int64_t at)
      : scale(hn::Set(d, w.scales[at])), shift(hn::Set(d, -w.scales[at] * static_cast<float>(w.zeros[at]))) {}
};

// The values of the low halves of the bytes (even inputs) and of the high halves.
template <class D>
HWY_INLINE void values(D d, const Grid<D>& grid, const uint8_t* codes, hn::Vec<D>& even, hn::Vec<D>& odd) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint8_t, D> d8;
  const auto bytes = hn::PromoteTo(du, hn::LoadU(d8, codes));
  const auto low = hn::ConvertTo(d, hn::BitCast(di, hn::And(bytes, hn::Set(du, 15u))));
  const auto high = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<4>(bytes)));
  even = hn::MulAdd(low, grid.scale, grid.shift);
  odd = hn::MulAdd(high, grid.scale, grid.shift);
}

// kRows rows of x, [kRows, padded] with each run of 2 L inputs as L even ones and then L odd ones (L lanes),
// against kOutputs rows of W from output o, from row n of the call on.
template <int kLanes, int kRows, int kOutputs>
void tile(const Int4Rows& w, const Int4Call& call, int64_t n, int64_t o) {
  const float* x = call.turned + n * w.padded;
  float* y = call.y + n * call.y_stride;
  const hn::CappedTag<float, kLanes> d;
  using D = hn::CappedTag<float, kLanes>;
  const int64_t lanes = hn::Lanes(d);
  const uint8_t* rows[kOutputs];
  for (int j = 0; j < kOutputs; ++j) rows[j] = w.row(o + j);
  hn::Vec<D> sum[kRows][kOutputs];
  for (int r = 0; r < kRows; ++r)
    for (int j = 0; j < kOutputs; ++j) sum[r][j] = hn::Zero(d);
  for (int64_t g = 0; g < w.groups; ++g)
    for (int j = 0; j < kOutputs; ++j) {
      const Grid<D> grid(d, w, (o + j) * w.groups + g);
      const uint8_t* codes = rows[j];
      // Rows are too short for the processor to see the stream that they are.
      hwy::Prefetch(codes + kOutputs * w.row_bytes + g * w.group / 2);
      const int64_t end = w.end_of(g);
      for (int64_t i = g * w.group; i < end; i += 2 * lanes) {
        hn::Vec<D> even, odd;
        values(d, grid, codes + i / 2, even, odd);
        for (int r = 0; r < kRows; ++r) {
          sum[r][j] = hn::MulAdd(hn::LoadU(d, x + r * w.padded + i), even, sum[r][j]);
          sum[r][j] = hn::MulAdd(hn::LoadU(d, x + r * w.padded + i + lanes), odd, sum[r][j]);
        }
      }
    }
  for (int r = 0; r < kRows; ++r)
    for (int j = 0; j < kOutputs; ++j) {
      const float value = hn::GetLane(hn::SumOfLanes(d, sum[r][j])) + (call.bias ? call.bias[o + j] : 0.0f);
      float& to = y[r * call.y_stride + o + j];
      to = call.add ? to + value : value;
    }
}

template <int kLanes, int kOutputs>
void strip(const Int4Rows& w, const Int4Call& call, int64_t o) {
  int64_t n = 0;
  for (; n + 4 <= call.rows; n += 4) tile<kLanes, 4, kOutputs>(w, call, n, o);
  for (; n < call.rows; ++n) tile<kLanes, 1, kOutputs>(w, call, n, o);
}

// Outputs that share the reading of x: as many as the registers hold beside their sums for 4 rows.
template <int kLanes>
void outputs_with(const Int4Rows& w, const Int4Call& call, int64_t begin, int64_t end) {
  constexpr int together = hn::MaxLanes(hn::CappedTag<float, kLanes>()) == 16 ? 4 : 2;
  int64_t o = begin;
  for (; o + together <= end; o += together) strip<kLanes, together>(w, call, o);
  for (; o < end; ++o) strip<kLanes, 1>(w, call, o);
}

template <int kLanes>
void values_with(const Int4Rows& w, int64_t first, int64_t count, float* out) {
  const hn::CappedTag<float, kLanes> d;
  using D = hn::CappedTag<float, kLanes>;
  const int64_t lanes = hn::Lanes(d);
  HWY_ALIGN float run[2 * kLanes];
  for (int64_t o = first; o < first + count; ++o) {
    const uint8_t* codes = w.row(o);
    float* to = out + (o - first) * w.inputs;
    for (int64_t g = 0; g < w.groups; ++g) {
      const Grid<D> grid(d, w, o * w.groups + g);
      const int64_t end = w.end_of(g);
      for (int64_t i = g * w.group; i < end; i += 2 * lanes) {
        hn::Vec<D> even, odd;
        values(d, grid, codes + i / 2, even, odd);
        const bool whole = i + 2 * lanes <= w.inputs;
        hn::StoreInterleaved2(even, odd, d, whole ? to + i : run);
        if (!whole) std::copy_n(run, w.inputs - i, to + i);
      }
    }
  }
}

// Lanes of the kernel for a group: a run of two vectors must not cross its end.
int64_t run_lanes(int64_t group) {
  if (group % 32 == 0) return hn::Lanes(hn::CappedTag<float, 16>());
  if (group % 16 == 0) return hn::Lanes(hn::CappedTag<float, 8>());
  return hn::Lanes(hn::CappedTag<float, 4>());
}

void multiply(const Int4Rows& w, const Int4Call& call, int64_t begin, int64_t end) {
  if (w.group % 32 == 0) return outputs_with<16>(w, call, begin, end);
  if (w.group % 16 == 0) return outputs_with<8>(w, call, begin, end);
  return outputs_with<4>(w, call, begin, end);
}

void dequantize(const Int4Rows& w, int64_t first, int64_t count, float* out) {
  if (w.group % 32 == 0) return values_with<16>(w, first, count, out);
  if (w.group % 16 == 0) return values_with<8>(w, first, count, out);
  return values_with<4>(w, first, count, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(run_lanes);
HWY_EXPORT(multiply);
HWY_EXPORT(dequantize);

// Every run of 2 L inputs as its L even ones and then its L odd ones; zeros behind the last input.
static void turn_runs(const Int4Rows& w, const Int4Call& call) {
  const int64_t lanes = HWY_DYNAMIC_DISPATCH(run_lanes)(w.group);
  for (int64_t n = 0; n < call.rows; ++n) {
    const float* x = call.x + n * call.x_stride;
    float* turned = call.turned + n * w.padded;
    std::fill(turned + w.inputs / (2 * lanes) * 2 * lanes, turned + w.padded, 0.0f);
    for (int64_t i = 0; i < w.inputs; i += 2 * lanes) {
      const int64_t count = std::min(2 * lanes, w.inputs - i);
      for (int64_t k = 0; k < count; ++k) turned[i + k % 2 * lanes + k / 2] = x[i + k];
    }
  }
}

Int4Rows int4_prepared(const Int4Weight& w) {
  if (w.group < 8 || w.group % 8 != 0)
    fail("int4: expected a group that is a multiple of 8, found {}", w.group);
  return {w, 2 * HWY_DYNAMIC_DISPATCH(run_lanes)(w.group)};
}

void int4_product(const Int4Rows& w, const Int4Call& call) {
  if (call.rows == 0) return;
  turn_runs(w, call);
  parallel_for(0, w.outputs, 64, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(multiply)(w, call, begin, end);
  });
}

void int4_linear(const float* x, int64_t rows, int64_t stride, const Int4Weight& weight, const float* bias,
                 float* y) {
  const auto w = int4_prepared(weight);
  std::vector<float> turned(static_cast<size_t>(rows * w.padded));
  int4_product(w, {x, rows, stride, turned.data(), bias, y, w.outputs, false});
}

void int4_dequantize(const Int4Weight& weight, int64_t first, int64_t count, float* values) {
  const auto w = int4_prepared(weight);
  parallel_for(first, first + count, 16, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(dequantize)(w, begin, end - begin, values + (begin - first) * w.inputs);
  });
}

}  // namespace formwork
#endif
