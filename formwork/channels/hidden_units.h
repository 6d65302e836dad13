// What MLPs share: their options, and the map from the hidden units back to the stream.
#pragma once
#include "formwork/linear/linear_map.h"

namespace formwork {

struct MlpOptions {
  int64_t hidden = 0;
  PartSpec activation;
  bool bias;
  double dropout = 0;

  MlpOptions(const char* activation, bool bias) : activation(activation), bias(bias) {}
  void describe(Fields& f, const char* hidden_doc, const char* activation_doc) {
    f.integer("hidden", hidden, hidden_doc);
    f.part("activation", activation, "activations", activation_doc);
    f.flag("bias", bias, "bias on the maps");
    f.number("dropout", dropout, "dropout on the hidden units", 0, 1);
  }
};

// The map "down", which begins smaller the deeper the model (Radford et al., "GPT-2", 2019).
inline std::unique_ptr<LinearMap> make_down(const Build& build, const Axis& hidden, bool bias) {
  LinearNeed need;
  need.role = Role::down, need.in = hidden, need.out = build.out, need.bias = bias;
  need.init = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
  return make_linear(build, "down", need);
}

}  // namespace formwork
