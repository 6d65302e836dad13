// Convolution over one to three token dimensions, channels last:
//
//   y[p, o] = bias[o] + sum_{k, i} W[o, i, k] x[p * stride - padding + k * dilation, i]
//
// x [B, S.., C] -> y [B, S'.., C'], W [C', C / groups, K..]. A linear map with a window: it is no matrix over
// channels, so dense() refuses; its kernel is one, [C', C / groups * K], and low-rank methods factorize that.
//
// Two representations: "conv", the kernel as it is, and "ced" (Greenformers, Cahyawijaya, 2021): a
// convolution with the same window to r channels, then a 1 x 1 convolution, W = B A with A [r, C / groups,
// K..] and B [C', r]. `rank` is a multiple of groups.
#pragma once
#include "formwork/linear/linear_map.h"

namespace formwork {

struct Window {
  std::vector<int64_t> kernel;                     // one entry for each token dimension
  std::vector<int64_t> stride, padding, dilation;  // the same; empty: 1, 0, 1 everywhere
  int64_t groups = 1;                              // of channels that do not see each other
};

class Convolution : public LinearMap {
 public:
  // Completes the window; fails where it does not fit the channels.
  Convolution(Build& build, const LinearNeed& need, Window window);

  const Window& window() const { return window_; }
  // Inputs that one output sees: C / groups * K.
  int64_t fan_in() const { return in() / window_.groups * places_; }
  // The shape of a kernel with `channels` outputs: [channels, C / groups, K..].
  std::vector<int64_t> kernel_shape(int64_t channels) const;
  virtual Tensor kernel(Context& ctx) = 0;  // W
  Tensor kernel();                          // outside a pass, without gradient
  Tensor dense(Context&) override;

 protected:
  Param* kernel_param(Build& build, const std::string& name, const Dim& out, const Rule& rule);
  Tensor convolve(const Tensor& x, const Tensor& weight, const Tensor& bias) const;

 private:
  Window window_;
  int64_t places_ = 1;  // K, over all dimensions
};

// Builds the convolution `name` below `build`: "conv" unless the Spec's table says "ced". Another
// representation for exactly this map is an error; a pattern that means other maps is not.
std::unique_ptr<Convolution> make_convolution(const Build& build, const std::string& name, LinearNeed need,
                                              const Window& window);

}  // namespace formwork
