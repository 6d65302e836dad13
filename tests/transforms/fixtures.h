// Small models and data that the tests of transforms share.
#pragma once
#include <gtest/gtest.h>

#include "formwork/transforms/transform.h"

namespace formwork {

struct DecoderShape {
  std::string wiring = "pre", norm = "rms_norm", position = "learned";
  Json mixer = {{"type", "attention"}, {"heads", 4}, {"kv_heads", 2}};
  Json channel = {{"type", "gated_mlp"}, {"hidden", 48}};
  int64_t width = 32, layers = 2;
  bool tie = true;
  at::ScalarType dtype = at::kDouble;
};

// Away from initialization: every parameter gets noise.
inline std::shared_ptr<Model> noisy(const Json& spec, at::ScalarType dtype, double noise = 0.1) {
  auto model = build_model(Spec::from_json(spec, "test"), 3, dtype);
  const at::NoGradGuard guard;
  at::manual_seed(11);
  for (auto& param : model->inventory().params)
    if (param.trainable()) param.value.add_(at::randn_like(param.value) * noise);
  return model;
}

inline std::shared_ptr<Model> make_decoder(const DecoderShape& shape = {}) {
  Json layer = {
      {"type", shape.wiring}, {"mixer", shape.mixer}, {"channel", shape.channel}, {"norm", shape.norm}};
  const bool post = shape.wiring == "post";
  const Json model = {{"type", "decoder"},
                      {"vocab", 29},
                      {"width", shape.width},
                      {"layers", {{"repeat", shape.layers}, {"pattern", Json::array({layer})}}},
                      {"norm", post ? Json() : Json(shape.norm)},
                      {"position", shape.position},
                      {"tie", shape.tie}};
  return noisy({{"formwork", 1}, {"model", model}}, shape.dtype);
}

// Two batches of four rows; with `padded` the first row of each has five tokens less.
inline Calibration calibration(bool padded = true, int64_t batches = 2, int64_t tokens = 24) {
  Calibration data;
  at::manual_seed(12);
  for (int64_t i = 0; i < batches; ++i) {
    Record batch = {{"input_ids", at::randint(29, {4, tokens}, at::kLong)}};
    if (padded) {
      batch["attention_mask"] = at::ones({4, tokens}, at::kLong);
      batch["attention_mask"].narrow(0, 0, 1).narrow(1, 0, 5).zero_();
    }
    data.batches.push_back(batch);
  }
  return data;
}

inline Tensor logits(Model& model) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::arange(24, at::kLong).view({2, 12})}})["logits"];
}

// All real tokens [N, D] that reach a tap over the data.
inline Tensor rows_at(Model& model, const Calibration& data, Slot slot) {
  std::vector<Tensor> parts;
  auto board = model.make_board();
  board.listen(slot, [&](Context& ctx, const TapEvent&, const Tensor& x) {
    parts.push_back(real_tokens(ctx, x));
    return x;
  });
  run_calibration(model, data, board);
  return at::cat(parts);
}

inline double largest(const Tensor& x) { return x.numel() ? x.abs().max().item<double>() : 0; }
inline double distance(Model& a, Model& b) { return largest(logits(a) - logits(b)); }

inline TransformResult apply(const std::string& name, const Json& options,
                             const std::shared_ptr<Model>& model, const Calibration& data = calibration()) {
  return Registry<Transform>::make({name, options})->apply(model, data);
}

// The message of the error that a transform ends in; empty when it does not.
inline std::string refusal(const std::string& name, const Json& options, const std::shared_ptr<Model>& model,
                           const Calibration& data = calibration()) {
  try {
    apply(name, options, model, data);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

inline LinearMap& map_of(Model& model, const std::string& path) {
  for (auto* map : model.inventory().maps)
    if (map->path() == path) return *map;
  ADD_FAILURE() << "no map " << path;
  std::abort();
}

// The report's row of a map.
inline Json row_of(const Json& report, const std::string& path) {
  for (const auto& row : report.at("maps"))
    if (row["map"] == path) return row;
  return nullptr;
}

inline void set(Model& model, const std::string& name, const Tensor& value) {
  const at::NoGradGuard guard;
  model.inventory().by_name.at(name)->value.copy_(value);
}

// What saving and loading gives.
inline std::shared_ptr<Model> reloaded(const Model& model, const std::string& name) {
  const auto folder = ::testing::TempDir() + "/formwork_" + name;
  save_model(model, folder);
  return load_model(folder);
}

}  // namespace formwork
