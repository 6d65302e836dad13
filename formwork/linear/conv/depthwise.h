// Depthwise causal convolution along tokens, one filter a channel (LeCun et al., 1989; Chollet, 2017):
//
//   y_t[c] = bias[c] + sum_{k<K} w[c, k] x_{t-K+1+k}[c],  x_t = 0 for t < 0        x [B, T, C], w [C, K]
//
// A linear map with a window: it is no matrix over channels, so dense() refuses.
#pragma once
#include "formwork/linear/linear_map.h"

namespace formwork {

class DepthwiseConv final : public LinearMap {
 public:
  // need.in and need.out are the same channels; width K >= 1.
  DepthwiseConv(Build& build, const LinearNeed& need, int64_t width);

  // y of x [B, T, C] alone, where `before` [B, W, C] are the inputs just before it (zeros before those).
  Tensor after(Context& ctx, const Tensor& before, const Tensor& x);
  // The last K inputs [B, K, C] of each row once it has taken its first counts[b] tokens of x (undefined:
  // all); `before` [B, K, C] or undefined for zeros.
  Tensor window(const Tensor& before, const Tensor& x, const Tensor& counts) const;
  int64_t width() const { return width_; }

  Tensor dense(Context&) override;
  double flops() const override { return 2.0 * static_cast<double>(width_ * out()); }
  std::string type() const override { return "depthwise"; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t bank) override;

 private:
  Tensor convolve(Context& ctx, const Tensor& padded, int64_t tokens) const;

  int64_t width_;
  Param* weight_;
};

// Builds the convolution `name` below `build`. It has one representation: a Spec that names another for
// exactly this map is an error.
std::unique_ptr<DepthwiseConv> make_depthwise(const Build& build, const std::string& name, LinearNeed need,
                                              int64_t width);

}  // namespace formwork
