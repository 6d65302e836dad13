// Small decoders of the full program, and the same in the runtime.
#pragma once
#include <gtest/gtest.h>

#include "formwork/decode/fast_path.h"
#include "formwork/interop/inventory_parameters.h"
#include "formwork/models/model_io.h"
#include "formwork/runtime/session.h"
#include "interop/temporary_folder.h"

namespace formwork {

inline Json small_spec(const std::string& mixer = R"({"type": "attention", "heads": 4, "kv_heads": 2,
                                                     "position": "rotary"})",
                       int64_t vocab = 29) {
  auto spec = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "width": 32,
    "layers": {"repeat": 2, "pattern": [{"channel": {"type": "gated_mlp", "hidden": 40}}]}}})");
  spec["model"]["vocab"] = vocab;
  spec["model"]["layers"]["pattern"][0]["mixer"] = Json::parse(mixer);
  return spec;
}

// Away from initialization: every parameter gets noise.
inline std::shared_ptr<Model> noisy_float(const Json& spec, double noise = 0.2) {
  auto model = build_model(Spec::from_json(spec, "test"), 3, at::kFloat);
  const at::NoGradGuard guard;
  at::manual_seed(11);
  for (auto& param : model->inventory().params)
    if (param.trainable()) param.value.add_(at::randn_like(param.value) * noise);
  return model;
}

// A float32 model as the runtime sees it: the tensors stay the model's.
class InRuntime {
 public:
  explicit InRuntime(std::shared_ptr<Model> model) : plain_(std::move(model)) {
    tensors_ = values_of(plain_->inventory());
    model_ = std::make_unique<runtime::Model>(plain_->spec(), tensors_);
  }
  const runtime::Model& model() const { return *model_; }

  runtime::Session session(int64_t rows = 1, int64_t most_rows = 128, CacheType cache = CacheType::float32,
                           int64_t reversible = 0) const {
    runtime::SessionOptions options;
    options.state.rows = rows, options.state.cache = cache, options.state.reversible = reversible;
    options.most_rows = most_rows;
    return {*model_, options};
  }

 private:
  std::shared_ptr<Model> plain_;
  RawMap tensors_;
  std::unique_ptr<runtime::Model> model_;
};

// Tokens of a sequence, another for every row.
inline std::vector<int64_t> some_ids(int64_t count, int64_t row = 0, int64_t vocab = 29) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back((i * i * 7 + row * 11 + i * 5 + 3) % vocab);
  return ids;
}

// The full program's logits [T, vocab] of a sequence, in one pass.
inline Tensor plain_logits(Model& model, const std::vector<int64_t>& ids) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::tensor(ids).unsqueeze(0)}}).at("logits").squeeze(0);
}

// Logits of every token of a sequence that is given at once.
inline std::vector<float> all_logits(runtime::Session& session, int64_t row,
                                     const std::vector<int64_t>& ids) {
  std::vector<float> logits(ids.size() * static_cast<size_t>(session.model().outputs()));
  session.append_all({row, ids}, logits.data());
  return logits;
}

}  // namespace formwork
