#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/int8_portable.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "formwork/kernels/cpu/int8_block.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// kRows x kOutputs sums. Codes are widened to 16 bits and multiplied in pairs of inputs: a pair's sum fits 32
// bits, so nothing saturates. x [kRows, inputs] is wide already.
template <int kRows, int kOutputs>
void tile(const int16_t* x, int64_t inputs, const int8_t* w, int32_t* sums) {
  const hn::ScalableTag<int32_t> d32;
  const hn::Repartition<int16_t, decltype(d32)> d16;
  const hn::Rebind<int8_t, decltype(d16)> d8;
  const int64_t lanes = hn::Lanes(d16);
  hn::Vec<decltype(d32)> even[kRows][kOutputs], odd[kRows][kOutputs];
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOutputs; ++o) even[r][o] = odd[r][o] = hn::Zero(d32);
  int64_t k = 0;
  for (; k + lanes <= inputs; k += lanes) {
    hn::Vec<decltype(d16)> wide[kOutputs];
    for (int o = 0; o < kOutputs; ++o) wide[o] = hn::PromoteTo(d16, hn::LoadU(d8, w + o * inputs + k));
    for (int r = 0; r < kRows; ++r) {
      const auto row = hn::LoadU(d16, x + r * inputs + k);
      for (int o = 0; o < kOutputs; ++o)
        even[r][o] = hn::ReorderWidenMulAccumulate(d32, row, wide[o], even[r][o], odd[r][o]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOutputs; ++o) {
      int32_t sum = hn::GetLane(hn::SumOfLanes(d32, hn::Add(even[r][o], odd[r][o])));
      for (int64_t i = k; i < inputs; ++i) sum += x[r * inputs + i] * w[o * inputs + i];
      sums[r * kInt8Block + o] = sum;
    }
}

template <int kOutputs>
void strip(const int16_t* x, int64_t rows, int64_t inputs, const int8_t* w, int32_t* sums) {
  int64_t n = 0;
  for (; n + 4 <= rows; n += 4) tile<4, kOutputs>(x + n * inputs, inputs, w, sums + n * kInt8Block);
  for (; n < rows; ++n) tile<1, kOutputs>(x + n * inputs, inputs, w, sums + n * kInt8Block);
}

void multiply(const int16_t* x, int64_t rows, int64_t inputs, const int8_t* w, int64_t outputs,
              int32_t* sums) {
  int64_t o = 0;
  for (; o + 2 <= outputs; o += 2) strip<2>(x, rows, inputs, w + o * inputs, sums + o);
  for (; o < outputs; ++o) strip<1>(x, rows, inputs, w + o * inputs, sums + o);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(multiply);

// The codes at 16 bits, two in a word.
static void prepare(Int8Rows& rows) {
  rows.prepared.resize((rows.rows * rows.inputs + 1) / 2);
  std::copy_n(rows.x, rows.rows * rows.inputs, reinterpret_cast<int16_t*>(rows.prepared.data()));
}

static void multiply_block(const Int8Rows& rows, const int8_t* w, int64_t outputs, int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(multiply)
  (reinterpret_cast<const int16_t*>(rows.prepared.data()), rows.rows, rows.inputs, w, outputs, sums);
}

Int8BlockKernel int8_portable_kernel() { return {prepare, multiply_block}; }

}  // namespace formwork
#endif
