#include <gtest/gtest.h>

#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

std::shared_ptr<Model> decoder(const std::string& norm = "rms_norm", bool tie = true, int64_t layers = 2,
                               at::ScalarType dtype = at::kDouble) {
  auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 29, "width": 32,
    "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 4, "kv_heads": 2},
                                         "channel": {"type": "gated_mlp", "hidden": 48}}]},
    "position": "learned"}})");
  for (auto* options : {&json["model"], &json["model"]["layers"]["pattern"][0]}) (*options)["norm"] = norm;
  json["model"]["tie"] = tie;
  json["model"]["layers"]["repeat"] = layers;
  auto model = build_model(Spec::from_json(json, "test"), 3, dtype);
  const at::NoGradGuard guard;
  for (auto& param : model->inventory().params) param.value.add_(at::randn_like(param.value) * 0.1);
  return model;
}

Calibration calibration() {
  Calibration data;
  auto mask = at::ones({4, 24}, at::kLong);
  mask.narrow(0, 0, 1).narrow(1, 0, 5).zero_();
  for (int i = 0; i < 2; ++i)
    data.batches.push_back({{"input_ids", at::randint(29, {4, 24}, at::kLong)}, {"attention_mask", mask}});
  return data;
}

Tensor logits(Model& model) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::arange(24, at::kLong).view({2, 12})}})["logits"];
}

TransformResult apply(const std::string& name, const Json& options, const std::shared_ptr<Model>& model) {
  return Registry<Transform>::make({name, options})->apply(model, calibration());
}

TEST(SliceGpt, WithoutSlicingKeepsTheFunction) {
  for (const std::string norm : {"rms_norm", "layer_norm"})
    for (const std::string orientation : {"pca", "random"}) {
      auto model = decoder(norm);
      auto sliced = apply("slicegpt", {{"sparsity", 0.0}, {"orientation", orientation}}, model).model;
      EXPECT_LT((logits(*model) - logits(*sliced)).abs().max().item<double>(), 1e-9) << norm << orientation;
    }
}

TEST(SliceGpt, OrientationDoesNotChangeTheFunctionAndWidthsShrink) {
  auto model = decoder();
  auto pca = apply("slicegpt", {{"sparsity", 0.25}, {"orientation", "pca"}}, model).model;
  EXPECT_EQ(pca->inventory().axes.at("residual").size, 24);
  EXPECT_EQ(pca->inventory().axes.at("layers.0.mixer.stream").size, 24);
  EXPECT_EQ(pca->inventory().axes.at("layers.1.channel.stream").size, 32);
  at::manual_seed(1);
  auto random =
      apply("slicegpt", {{"sparsity", 0.25}, {"orientation", "random"}}, pca == nullptr ? model : model)
          .model;
  EXPECT_EQ(random->parameter_count(), pca->parameter_count());
}

TEST(LlmDrop, FindsTheSubBlocksThatDoNothing) {
  auto model = decoder("rms_norm", true, 6);
  {
    const at::NoGradGuard guard;
    for (const int layer : {2, 5})
      model->inventory().by_name.at(fmt::format("layers.{}.mixer.out.weight", layer))->value.mul_(1e-3);
  }
  auto result = apply("llm_drop", {{"target", "attn"}, {"n", 2}}, model);
  std::set<std::string> dropped;
  for (const auto& name : result.report["dropped"]) dropped.insert(name.get<std::string>());
  EXPECT_EQ(dropped, (std::set<std::string>{"layers.2.mixer", "layers.5.mixer"}));
  // The dropped model is the dense one with those output maps at zero.
  const at::NoGradGuard guard;
  for (const int layer : {2, 5})
    model->inventory().by_name.at(fmt::format("layers.{}.mixer.out.weight", layer))->value.zero_();
  EXPECT_LT((logits(*model) - logits(*result.model)).abs().max().item<double>(), 1e-9);
}

TEST(LlmDrop, ConsecutiveOfOneIsDiscrete) {
  auto model = decoder("rms_norm", true, 5);
  at::manual_seed(4);
  const auto one = apply("llm_drop", {{"target", "block"}, {"n", 1}}, model).report["dropped"];
  at::manual_seed(4);
  const auto run = apply("llm_drop", {{"target", "block"}, {"n", 1}, {"selection", "consecutive"}}, model)
                       .report["dropped"];
  EXPECT_EQ(one, run);
}

TEST(Lord, FullRankKeepsTheFunction) {
  auto model = decoder();
  for (const std::string basis : {"afm_centred", "afm_uncentred", "svd"}) {
    auto full = apply("lord", {{"rank", 4096}, {"allow_full", true}, {"basis", basis}}, model);
    EXPECT_LT((logits(*model) - logits(*full.model)).abs().max().item<double>(), 1e-8) << basis;
  }
}

TEST(Lord, PredictsItsError) {
  auto model = decoder();
  auto result = apply("lord", {{"ratio", 0.3}}, model);
  EXPECT_LT(result.model->parameter_count(), model->parameter_count());
  EXPECT_GT(result.report["maps"][0]["predicted_error"].get<double>(), 0);
}

TEST(Transforms, AllPairsStayFinite) {
  for (const auto& first : Registry<Transform>::names())
    for (const auto& second : Registry<Transform>::names()) {
      auto model = decoder("rms_norm", true, 4);
      try {
        auto once = Registry<Transform>::make({first, Registry<Transform>::make(first)->budgets()[0]});
        auto twice = Registry<Transform>::make({second, Registry<Transform>::make(second)->budgets()[0]});
        auto after = twice->apply(once->apply(model, calibration()).model, calibration()).model;
        EXPECT_TRUE(logits(*after).isfinite().all().item<bool>()) << first << " then " << second;
        EXPECT_EQ(after->spec().history.size(), 2u) << first << " then " << second;
      } catch (const Error& error) {
        EXPECT_GT(std::string(error.what()).size(), 10u);  // refused, with a reason
      }
    }
}

}  // namespace
}  // namespace formwork
