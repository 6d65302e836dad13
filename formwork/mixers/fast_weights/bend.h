// The nonlinearities of deep memories with their slopes, which analytic gradients need:
//
//   gelu(x) = x Phi(x),  slope Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi)   (Hendrycks and Gimpel, 2016)
//   silu(x) = x s(x),    slope s(x) (1 + x (1 - s(x))),  s the logistic function (Elfwing et al., 2017)
//
// Both are 0 at 0 with slope 1/2. Differentiable any number of times.
#pragma once
#include "formwork/core/options.h"
#include "formwork/core/tensor.h"

namespace formwork {

struct Bend {
  Tensor (*value)(const Tensor& x);
  Tensor (*slope)(const Tensor& x);
};

// By name, one of bend_names().
const Bend& bend_named(const std::string& name);
std::vector<std::string> bend_names();

// What deep memories can be told.
struct DeepMemoryOptions {
  int64_t hidden = 0;
  std::string activation = "gelu";
  void describe(Fields& f) {
    f.integer("hidden", hidden, "hidden units of a head; 0: twice the value width", 0, 1 << 20);
    f.choice("activation", activation, bend_names(), "nonlinearity of the hidden units");
  }
  int64_t units(int64_t value_width) const { return hidden ? hidden : 2 * value_width; }
};

}  // namespace formwork
