#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/int4_linear.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/int4.h"
#include "formwork/kernels/cpu/parallel.h"

#ifndef FORMWORK_INT4_ROWS
#define FORMWORK_INT4_ROWS
namespace formwork {

// Inputs of one product: x [rows, I] with each run of 2 L inputs as L even ones and then L odd ones, where L
// is what int4_run returns; group_sums [rows, I / group] are the sums of x that the zero points multiply.
struct Int4Rows {
  const float* x;
  const float* group_sums;
  int64_t rows;
};
inline constexpr int64_t kInt4Outputs = 4;  // that share a pass over x
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// The low halves of the bytes as floats, then the high halves.
template <class D>
HWY_INLINE void halves(D d, const uint8_t* codes, hn::Vec<D>& even, hn::Vec<D>& odd) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint8_t, D> d8;
  const auto bytes = hn::PromoteTo(du, hn::LoadU(d8, codes));
  even = hn::ConvertTo(d, hn::BitCast(di, hn::And(bytes, hn::Set(du, 15u))));
  odd = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<4>(bytes)));
}

// kRows rows of x against kOutputs rows of W from output o: y [kRows][kOutputs].
template <int kLanes, int kRows, int kOutputs>
void tile(const Int4Rows& in, const Int4Weight& w, int64_t o, float* y) {
  const hn::CappedTag<float, kLanes> d;
  const int64_t lanes = hn::Lanes(d), groups = w.inputs / w.group;
  hn::Vec<decltype(d)> total[kRows][kOutputs];
  for (int r = 0; r < kRows; ++r)
    for (int j = 0; j < kOutputs; ++j) total[r][j] = hn::Zero(d);
  for (int64_t g = 0; g < groups; ++g) {
    hn::Vec<decltype(d)> sum[kRows][kOutputs];
    for (int r = 0; r < kRows; ++r)
      for (int j = 0; j < kOutputs; ++j) sum[r][j] = hn::Zero(d);
    for (int64_t i = g * w.group; i < (g + 1) * w.group; i += 2 * lanes)
      for (int j = 0; j < kOutputs; ++j) {
        hn::Vec<decltype(d)> even, odd;
        halves(d, w.codes + ((o + j) * w.inputs + i) / 2, even, odd);
        for (int r = 0; r < kRows; ++r) {
          const float* x = in.x + r * w.inputs + i;
          sum[r][j] = hn::MulAdd(hn::LoadU(d, x), even, sum[r][j]);
          sum[r][j] = hn::MulAdd(hn::LoadU(d, x + lanes), odd, sum[r][j]);
        }
      }
    for (int j = 0; j < kOutputs; ++j) {
      const auto scale = hn::Set(d, w.scales[(o + j) * groups + g]);
      for (int r = 0; r < kRows; ++r) total[r][j] = hn::MulAdd(scale, sum[r][j], total[r][j]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int j = 0; j < kOutputs; ++j) {
      float shift = 0;
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t at = (o + j) * groups + g;
        shift += w.scales[at] * static_cast<float>(w.zeros[at]) * in.group_sums[r * groups + g];
      }
      y[r * kOutputs + j] = hn::GetLane(hn::SumOfLanes(d, total[r][j])) - shift;
    }
}

template <int kLanes, int kOutputs>
void strip(Int4Rows in, const Int4Weight& w, int64_t o, const float* bias, float* y) {
  const int64_t groups = w.inputs / w.group;
  float part[4 * kOutputs];
  for (int64_t n = 0; n < in.rows;) {
    const int64_t count = n + 4 <= in.rows ? 4 : 1;
    const Int4Rows at{in.x + n * w.inputs, in.group_sums + n * groups, count};
    if (count == 4)
      tile<kLanes, 4, kOutputs>(at, w, o, part);
    else
      tile<kLanes, 1, kOutputs>(at, w, o, part);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t j = 0; j < kOutputs; ++j)
        y[(n + r) * w.outputs + o + j] = part[r * kOutputs + j] + (bias ? bias[o + j] : 0.0f);
    n += count;
  }
}

template <int kLanes>
void outputs_with(const Int4Rows& in, const Int4Weight& w, int64_t begin, int64_t end, const float* bias,
                  float* y) {
  int64_t o = begin;
  for (; o + kInt4Outputs <= end; o += kInt4Outputs) strip<kLanes, kInt4Outputs>(in, w, o, bias, y);
  for (; o < end; ++o) strip<kLanes, 1>(in, w, o, bias, y);
}

// Lanes of the kernel for a group: a run of two vectors must not cross its end.
int64_t run_lanes(int64_t group) {
  if (group % 32 == 0) return hn::Lanes(hn::CappedTag<float, 16>());
  if (group % 16 == 0) return hn::Lanes(hn::CappedTag<float, 8>());
  return hn::Lanes(hn::CappedTag<float, 4>());
}

void multiply(const Int4Rows& in, const Int4Weight& w, int64_t begin, int64_t end, const float* bias,
              float* y) {
  if (w.group % 32 == 0) return outputs_with<16>(in, w, begin, end, bias, y);
  if (w.group % 16 == 0) return outputs_with<8>(in, w, begin, end, bias, y);
  return outputs_with<4>(in, w, begin, end, bias, y);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(run_lanes);
HWY_EXPORT(multiply);

static std::vector<float> sum_groups(const float* x, int64_t rows, int64_t stride, const Int4Weight& w) {
  const int64_t groups = w.inputs / w.group;
  std::vector<float> sums(rows * groups, 0);
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t i = 0; i < w.inputs; ++i) sums[n * groups + i / w.group] += x[n * stride + i];
  return sums;
}

static std::vector<float> even_then_odd(const float* x, int64_t rows, int64_t stride, int64_t inputs,
                                        int64_t lanes) {
  std::vector<float> turned(rows * inputs);
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t i = 0; i < inputs; i += 2 * lanes)
      for (int64_t k = 0; k < lanes; ++k)
        for (int64_t half = 0; half < 2; ++half)
          turned[n * inputs + i + half * lanes + k] = x[n * stride + i + 2 * k + half];
  return turned;
}

void int4_linear(const float* x, int64_t rows, int64_t stride, const Int4Weight& weight, const float* bias,
                 float* y) {
  const int64_t group = weight.group, inputs = weight.inputs;
  if (group < 8 || group % 8 != 0 || inputs % group != 0)
    fail("int4: expected a group that is a multiple of 8 and divides the {} inputs, found {}", inputs, group);
  const auto sums = sum_groups(x, rows, stride, weight);
  const auto turned = even_then_odd(x, rows, stride, inputs, HWY_DYNAMIC_DISPATCH(run_lanes)(group));
  const Int4Rows in{turned.data(), sums.data(), rows};
  parallel_for(0, weight.outputs, 64, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(multiply)(in, weight, begin, end, bias, y);
  });
}

}  // namespace formwork
#endif
