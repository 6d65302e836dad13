// The depthwise causal convolution of recurrent mixers (formwork/linear/conv/depthwise.h has the formula),
// one sequence at a time. What it remembers of a sequence are its last K - 1 inputs.
#pragma once
#include "formwork/runtime/part.h"

namespace formwork::runtime {

class CausalConvolution {
 public:
  // Over `channels`, reading `scope`.weight [C, K] and, where there is one, `scope`.bias [C].
  CausalConvolution(const Scope& scope, int64_t channels, int64_t width, bool bias);

  int64_t memory() const { return (width_ - 1) * channels_; }  // floats of a sequence
  // x [count, C], rows `stride` apart, are the next inputs of a sequence -> y [count, C], dense; `memory` [K
  // - 1, C] are those just before and then the last of these.
  void run(int64_t count, const float* x, int64_t stride, float* memory, float* y) const;

 private:
  int64_t channels_, width_;
  std::vector<float> filters_, bias_;  // [K, C], [C]
};

}  // namespace formwork::runtime
