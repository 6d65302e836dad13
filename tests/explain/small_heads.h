// A small decoder with attention, rows for it, and what must be refused, for tests of heads and circuits.
#pragma once
#include <gtest/gtest.h>

#include "formwork/explain/circuits/node_scores.h"

namespace formwork {

constexpr int64_t kVocab = 11, kTokens = 5, kRows = 3, kHeads = 2;

inline std::shared_ptr<Model> built(const Json& model) {
  auto made = build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"), 3, at::kDouble);
  const at::NoGradGuard guard;
  at::manual_seed(4);
  for (auto& param : made->inventory().params)
    if (param.trainable()) param.value.add_(at::randn_like(param.value), 0.2);
  return made;
}

inline Json decoder_json(const Json& more = Json::object()) {
  Json model = {
      {"type", "decoder"},
      {"vocab", kVocab},
      {"width", 8},
      {"tie", false},
      {"norm", "layer_norm"},
      {"position", {{"type", "learned"}, {"context", 8}}},
      {"layers",
       {{"repeat", 3},
        {"pattern",
         Json::array(
             {{{"norm", "layer_norm"},
               {"mixer", {{"type", "attention"}, {"heads", kHeads}, {"bias", true}, {"out_bias", true}}},
               {"channel", {{"type", "mlp"}, {"hidden", 12}}}}})}}}};
  model.update(more);
  return model;
}

inline Record rows_of(int64_t seed, int64_t rows = kRows, int64_t tokens = kTokens) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return {{"input_ids", at::randint(kVocab, {rows, tokens}, at::kLong)}};
}

inline Tensor logits_of(Model& model, const Record& rows) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, rows).at("logits").select(1, -1);
}

inline double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// A model and what its heads did.
template <class Work>
void refused(const Work& work, const std::string& piece) {
  try {
    work();
    ADD_FAILURE() << "no error; expected one with: " << piece;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(piece), std::string::npos) << error.what();
  }
}

}  // namespace formwork
