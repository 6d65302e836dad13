// A teacher small enough to distil in a test.
#pragma once
#include "train/small_run.h"

namespace formwork {

// Attention and MLP side by side, biases everywhere, as in Phi.
inline std::shared_ptr<Model> small_teacher(at::ScalarType dtype = at::kDouble, const Json& mixer = Json()) {
  const Json attention = {
      {"type", "attention"}, {"heads", 2}, {"bias", true}, {"out_bias", true}, {"position", "rotary"}};
  const Json layer = {{"type", "parallel"},
                      {"norm", "layer_norm"},
                      {"mixer", mixer.is_null() ? attention : mixer},
                      {"channel", {{"type", "mlp"}, {"hidden", 12}}}};
  const Json model = {{"type", "decoder"},
                      {"vocab", 256},
                      {"width", 8},
                      {"tie", false},
                      {"norm", "layer_norm"},
                      {"head", {{"type", "lm"}, {"bias", true}}},
                      {"layers", {{"repeat", 4}, {"pattern", Json::array({layer})}}}};
  auto made = build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"), 5, dtype);
  const at::NoGradGuard guard;
  at::manual_seed(11);
  for (auto& param : made->inventory().params) param.value.add_(at::randn_like(param.value) * 0.2);
  return made;
}

inline Json small_mixer(int64_t heads = 2) {
  return {{"type", "discrete_mamba2"}, {"heads", heads}, {"d_state", 3}, {"chunk", 4}};
}

}  // namespace formwork
