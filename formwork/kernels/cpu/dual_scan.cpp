#include "formwork/kernels/cpu/dual_scan.h"

#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/dual_scan.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// One token of one head: each state of a lane of channels is read and written once.
void step_head(const DualScanInput& in, std::int64_t head, std::int64_t t, float* h, float* y) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = hn::Lanes(d), group = head / in.heads;
  const float *x = in.x + t * in.stride + head * in.width, *b = in.B + t * in.stride + group * in.states,
              *c = in.C + t * in.stride + group * in.states;
  const std::int64_t place_of_token = t * in.groups * in.heads + head;
  const auto decay = hn::Set(d, std::exp(in.delta[place_of_token] * in.A[head]));
  const auto gain = hn::Set(d, in.gain ? in.gain[place_of_token] : 1.0f);
  for (std::int64_t p = 0; p < in.width; p += lanes) {
    const std::int64_t left = in.width - p;
    const auto channel = load_some(d, x + p, left), input = hn::Mul(channel, gain);
    auto sum = hn::Zero(d);
    for (std::int64_t n = 0; n < in.states; ++n) {
      float* place = h + n * in.width + p;
      const auto kept = hn::Mul(decay, load_some(d, place, left));
      const auto state = hn::MulAdd(input, hn::Set(d, b[n]), kept);
      store_some(d, state, place, left);
      sum = hn::MulAdd(state, hn::Set(d, c[n]), sum);
    }
    store_some(d, hn::MulAdd(channel, hn::Set(d, in.D[head]), sum), y + p, left);
  }
}

void dual_scan_heads(const DualScanInput& in, std::int64_t begin, std::int64_t end, float* h, float* y) {
  const std::int64_t inner = in.groups * in.heads * in.width;
  for (std::int64_t head = begin; head < end; ++head)
    for (std::int64_t t = 0; t < in.length; ++t)
      step_head(in, head, t, h + head * in.states * in.width, y + t * inner + head * in.width);
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(dual_scan_heads);

void dual_scan_forward(const DualScanInput& in, float* h, float* y) {
  // A task is worth about 16K numbers of state.
  const std::int64_t work = in.length * in.states * in.width, grain = std::max<std::int64_t>(1, 16384 / work);
  parallel_for(0, in.groups * in.heads, grain, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(dual_scan_heads)(in, begin, end, h, y);
  });
}

}  // namespace formwork
#endif
