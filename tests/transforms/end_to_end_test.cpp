// A compressed model is a model: it is saved, gives the same bits in another process, trains on, and is
// compressed again. Every transform, at a setting that treats layers or maps differently.
#include "formwork/core/child_process.h"
#include "formwork/interop/safetensors.h"
#include "formwork/tap/transfer.h"
#include "formwork/train/optimizers/optimizer.h"
#include "interop/temporary_folder.h"
#include "transforms/fixtures.h"

namespace formwork {
namespace {

// Layers of different shapes, so that shares and groups come to different sizes.
std::shared_ptr<Model> uneven(bool with_experts = false) {
  auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 29, "width": 32,
    "position": "learned", "tie": true, "layers": [
      {"mixer": {"type": "attention", "heads": 4, "kv_heads": 2}, "channel": {"type": "gated_mlp", "hidden": 48}},
      {"mixer": {"type": "attention", "heads": 2, "bias": true}, "channel": {"type": "mlp", "hidden": 40}},
      {"mixer": {"type": "attention", "heads": 4, "fused": false,
                 "position": {"type": "rotary", "layout": "interleaved"}}, "channel": {"type": "gated_mlp", "hidden": 24}}]}})");
  if (with_experts)
    json["model"]["layers"].push_back(
        Json::parse(R"({"channel": {"type": "experts", "experts": 4, "active": 2, "hidden": 16}})"));
  return noisy(json, at::kFloat);
}

// Options under which layers or maps are treated differently; a transform that is not here takes the last of
// its budgets, which the model's uneven shapes make uneven.
Json setting(const std::string& name, const Transform& transform) {
  static const std::map<std::string, Json> table = {
      {"gptq", {{"group", 8}, {"act_order", true}}},
      {"greenformers", {{"rank", 6}}},
      {"grow_modules", {{"count", 1}}},
      {"int4_rtn", {{"group", 8}}},
      {"llm_drop", {{"target", "all"}, {"n", 2}}},
      {"llm_int8", {{"skip", {"layers.1.*"}}}},
      {"lord", {{"ratio", 0.4}}},
      {"magnitude", {{"n", 2}, {"m", 4}}},
      {"prune_modules", {{"keep", 3}}},
      {"slicegpt", {{"schedule", {0.0, 0.25, 0.5, 0.25, 0.5, 0.25, 0.0}}}},
  };
  const auto found = table.find(name);
  if (found != table.end()) return found->second;
  const auto budgets = transform.budgets();
  return budgets.empty() ? Json::object() : budgets.back();
}

TransformResult compress(const std::string& name, const std::shared_ptr<Model>& model) {
  const auto options = setting(name, *Registry<Transform>::make(name));
  return apply(name, options, model);
}

Tensor ids() { return at::arange(24, at::kLong).view({2, 12}); }

// With gradients; of a model whose transfer maps alone train, those of its first drafts.
Tensor logits_to_train(Model& model) {
  auto ctx = model.make_context();
  Record in = {{"input_ids", ids()}};
  if (drafts_of(model.inventory()) == 0) return model.forward(ctx, in).at("logits");
  in["anchors"] = at::arange(12, at::kLong).unsqueeze(0);
  return model.forward(ctx, in).at("logits").narrow(1, 12, 12);
}

// Logits of a saved model from a process of its own.
Tensor logits_elsewhere(const std::string& program, const TemporaryFolder& folder) {
  write_safetensors(folder / "in.safetensors", {{"input_ids", ids()}});
  const auto out = folder / "out.safetensors";
  ChildLimits limits;
  limits.time = std::chrono::minutes(5);
  const auto child = run_child({program, "forward", (folder / "model").string(), "--inputs",
                                (folder / "in.safetensors").string(), "--out", out.string()},
                               limits);
  if (child.exit_code != 0) fail("formwork forward: exit {}: {}", child.exit_code, child.error);
  return read_safetensors(out).at("logits");
}

// Losses before and after a few updates on one batch.
std::pair<double, double> train_on(Model& model) {
  auto optimizer = Registry<Optimizer>::make("adamw", model);
  const auto loss = [&] {
    return at::cross_entropy_loss(logits_to_train(model).flatten(0, 1), ids().roll(-1, 1).flatten());
  };
  const double before = loss().item<double>();
  for (int64_t step = 1; step <= 4; ++step) {
    optimizer->parameters().clear_gradients();
    loss().backward();
    Update update;
    update.step = step, update.rate = 3e-3;
    optimizer->step(update);
  }
  return {before, loss().item<double>()};
}

class EndToEnd : public testing::TestWithParam<std::string> {};

TEST_P(EndToEnd, SavedRunElsewhereTrainedAndCompressedAgain) {
  const char* program = std::getenv("FORMWORK_BIN");
  if (!program) GTEST_SKIP() << "FORMWORK_BIN is not set: no program to run the saved model in";
  if (GetParam() == "resize_windows") GTEST_SKIP() << "a model of text has no windows: image_models_test";
  // Only compressed maps become dense again.
  const bool of_modules = GetParam().find("modules") != std::string::npos;
  const auto start = GetParam() == "to_dense" ? compress("llm_int8", uneven()).model : uneven(of_modules);
  const auto compressed = compress(GetParam(), start).model;
  const TemporaryFolder folder;
  save_model(*compressed, (folder / "model").string());
  {
    const at::NoGradGuard guard;
    EXPECT_TRUE(at::equal(logits_elsewhere(program, folder), logits(*compressed)));
  }
  auto loaded = load_model((folder / "model").string());
  const auto [before, after] = train_on(*loaded);
  EXPECT_LT(after, before);

  const at::NoGradGuard guard;
  std::vector<std::string> again;
  for (const auto& second : Registry<Transform>::names()) {
    try {
      const auto twice = compress(second, loaded).model;
      EXPECT_TRUE(logits(*twice).isfinite().all().item<bool>()) << second;
      EXPECT_EQ(twice->spec().history.size(), start->spec().history.size() + 2) << second;
      again.push_back(second);
    } catch (const Error& error) {
      EXPECT_GT(std::string(error.what()).size(), 10u) << second;  // refused, with a reason
    }
  }
  EXPECT_FALSE(again.empty()) << "no transform takes what " << GetParam() << " made";
}

INSTANTIATE_TEST_SUITE_P(Transforms, EndToEnd, testing::ValuesIn(Registry<Transform>::names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace formwork
