// Initializations by name. An Init fills a parameter from a generator of its own, so that the values of one
// parameter depend on the seed and its name alone.
#pragma once
#include <ATen/core/Generator.h>

#include <functional>
#include <string>

#include "formwork/core/tensor.h"

namespace formwork {

struct Init {
  std::string name;
  std::function<void(Tensor&, at::Generator)> fill;
};

namespace init {
Init zeros();
Init ones();
Init constant(double value);
Init normal(double std);            // N(0, std^2)
Init truncated_normal(double std);  // N(0, std^2) cut at two standard deviations
Init uniform(double bound);         // U(-bound, bound)
Init fan_in_uniform();  // U(-1/sqrt(fan_in), 1/sqrt(fan_in)); fan_in = product of dims past the first
Init xavier_uniform();  // Glorot and Bengio, 2010
Init kaiming_normal();  // He et al., 2015: N(0, 2/fan_in)
Init lecun_normal();    // N(0, 1/fan_in)
Init orthogonal();      // Saxe et al., 2014
Init scaled(Init inner, double factor);
// By name: "normal:0.02", "xavier_uniform", ...; the number after the colon is the std, bound or constant.
Init by_name(const std::string& name);
}  // namespace init

}  // namespace formwork
