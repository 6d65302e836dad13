#include "formwork/runtime/mixers/causal_convolution.h"

#include <algorithm>

namespace formwork::runtime {

CausalConvolution::CausalConvolution(const Scope& scope, int64_t channels, int64_t width, bool bias)
    : channels_(channels), width_(width), bias_(static_cast<size_t>(channels)) {
  const float* weight = scope.floats("weight", {channels, width});
  filters_.resize(static_cast<size_t>(channels * width));
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t k = 0; k < width; ++k)
      filters_[static_cast<size_t>(k * channels + c)] = weight[c * width + k];
  if (bias) std::copy_n(scope.floats("bias", {channels}), channels, bias_.data());
}

void CausalConvolution::run(int64_t count, const float* x, int64_t stride, float* memory, float* y) const {
  const int64_t past = width_ - 1;
  const auto input = [&](int64_t t) { return t < 0 ? memory + (past + t) * channels_ : x + t * stride; };
  for (int64_t t = 0; t < count; ++t) {
    float* __restrict__ to = y + t * channels_;
    std::copy_n(bias_.data(), channels_, to);
    for (int64_t k = 0; k < width_; ++k) {
      const float *filter = filters_.data() + k * channels_, *from = input(t - past + k);
      for (int64_t c = 0; c < channels_; ++c) to[c] += filter[c] * from[c];
    }
  }
  // In ascending order, so that what is still to be moved is not yet overwritten.
  for (int64_t i = 0; i < past; ++i) std::copy_n(input(count - past + i), channels_, memory + i * channels_);
}

}  // namespace formwork::runtime
