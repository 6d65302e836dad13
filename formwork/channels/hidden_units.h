// What MLPs share: the map from the hidden units back to the stream.
#pragma once
#include "formwork/linear/linear_map.h"

namespace formwork {

// The map "down", which begins smaller the deeper the model (Radford et al., "GPT-2", 2019).
inline std::unique_ptr<LinearMap> make_down(const Build& build, const Axis& hidden, bool bias) {
  LinearNeed need;
  need.role = Role::down, need.in = hidden, need.out = build.out, need.bias = bias;
  need.init = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
  return make_linear(build, "down", need);
}

}  // namespace formwork
