// x as 8-bit codes in blocks of 32: scale = max |x| / 127, code = round(x / scale), half to even.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/ggml_input.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "formwork/kernels/cpu/ggml_rows.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;

// The largest size of 32 values; NaN where one of them is not finite.
float largest_of(const float* x) {
  const D d;
  auto largest = hn::Zero(d), spoiled = hn::Zero(d);
  for (size_t i = 0; i < 32; i += hn::Lanes(d)) {
    const auto value = hn::LoadU(d, x + i);
    largest = hn::Max(largest, hn::Abs(value));
    spoiled = hn::MulAdd(value, hn::Zero(d), spoiled);
  }
  const float found = hn::GetLane(hn::MaxOfLanes(d, largest)), zero = hn::GetLane(hn::SumOfLanes(d, spoiled));
  return zero == 0 ? found : std::numeric_limits<float>::quiet_NaN();
}

// codes [32] of x at this inverse scale; their sum.
std::int32_t codes_of(const float* x, float inverse, std::int8_t* codes) {
  const D d;
  const hn::RebindToSigned<D> d32;
  const hn::Rebind<std::int8_t, D> d8;
  const auto factor = hn::Set(d, inverse);
  auto sum = hn::Zero(d32);
  for (size_t i = 0; i < 32; i += hn::Lanes(d)) {
    const auto code = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), factor));
    sum = hn::Add(sum, code);
    hn::StoreU(hn::DemoteTo(d8, code), d8, codes + i);
  }
  return hn::GetLane(hn::SumOfLanes(d32, sum));
}

void quantize_block(const float* x, int offset, GgmlInputs& to, int block) {
  // What is smaller has no inverse in float.
  constexpr float least = 1e-36f;
  const float largest = largest_of(x);
  std::int8_t codes[32] = {};
  const std::int32_t sum = largest > least ? codes_of(x, 127.0f / largest, codes) : 0;
  std::copy_n(codes, 16, to.codes[0][block]);
  std::copy_n(codes + 16, 16, to.codes[1][block]);
  const float scale = largest <= least ? 0.0f : largest / 127.0f;
  std::fill_n(to.scale + 4 * block, 4, scale);
  std::fill_n(to.sum + 4 * block, 4, scale * static_cast<float>(sum));
  std::fill_n(to.start + 4 * block, 4, 0);
  to.start[4 * block] = -offset * sum;
}

void quantize_row(const float* x, std::int64_t inputs, int offset, GgmlInputs* to) {
  // Of the last group some blocks may be missing.
  if (inputs % 128 != 0) to[inputs / 128] = GgmlInputs{};
  std::int64_t i = 0;
  for (; i + 32 <= inputs; i += 32) quantize_block(x + i, offset, to[i / 128], static_cast<int>(i / 32 % 4));
  if (i == inputs) return;
  float rest[32] = {};
  std::copy(x + i, x + inputs, rest);
  quantize_block(rest, offset, to[i / 128], static_cast<int>(i / 32 % 4));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(quantize_row);

void ggml_inputs(const float* x, std::int64_t rows, std::int64_t stride, std::int64_t inputs, int offset,
                 GgmlInputs* to) {
  const std::int64_t groups = ggml_groups(inputs);
  for (std::int64_t n = 0; n < rows; ++n)
    HWY_DYNAMIC_DISPATCH(quantize_row)(x + n * stride, inputs, offset, to + n * groups);
}

}  // namespace formwork
#endif
