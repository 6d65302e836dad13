#include "formwork/explain/features/outlier_features.h"

#include <gtest/gtest.h>

#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

std::shared_ptr<Model> decoder() {
  const auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 29, "width": 32,
    "norm": "layer_norm", "layers": {"repeat": 3, "pattern": [{"norm": "layer_norm",
        "mixer": {"type": "attention", "heads": 4}, "channel": {"type": "gated_mlp", "hidden": 48}}]},
    "position": "learned"}})");
  return build_model(Spec::from_json(json, "test"), 3);
}

std::vector<Record> batches() {
  at::manual_seed(5);
  std::vector<Record> list;
  for (int i = 0; i < 2; ++i) {
    auto mask = at::ones({3, 16}, at::kLong);
    mask.narrow(0, 0, 1).narrow(1, 0, 4).zero_();
    list.push_back({{"input_ids", at::randint(29, {3, 16}, at::kLong)}, {"attention_mask", mask}});
  }
  return list;
}

Tensor logits(Model& model) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::arange(24, at::kLong).view({2, 12})}})["logits"];
}

// The norms that block maps read: those maps.
std::map<const NormInfo*, std::vector<LinearMap*>> norms_of_blocks(const Model& model) {
  std::map<const NormInfo*, std::vector<LinearMap*>> readers;
  for (const auto& norm : model.inventory().norms)
    for (auto* map : model.inventory().maps)
      if (map->input_tap() == norm.output && map->role() != Role::head) readers[&norm].push_back(map);
  return readers;
}

// Multiplies features of a norm's output by `factor` and divides what reads them: the function stays.
void inject(Model& model, const NormInfo& norm, const std::vector<LinearMap*>& readers,
            const Tensor& features, double factor) {
  const at::NoGradGuard guard;
  const auto& names = model.inventory().by_name;
  for (const auto& name : {norm.gain, norm.bias})
    if (auto& value = names.at(name)->value; true)
      value.index_copy_(0, features, value.index_select(0, features) * factor);
  for (const auto* map : readers) {
    auto& weight = names.at(map->path() + ".weight")->value;
    weight.index_copy_(1, features, weight.index_select(1, features) / factor);
  }
}

std::vector<int64_t> found(const Json& report) {
  std::vector<int64_t> features;
  for (const auto& feature : report["features"]) features.push_back(feature["feature"]);
  return features;
}

TEST(OutlierFeatures, FindsExactlyThoseThatWereInjected) {
  auto model = decoder();
  EXPECT_TRUE(found(outlier_features(*model, batches())).empty());
  const auto before = logits(*model);
  const std::vector<int64_t> features = {2, 3, 11, 17, 30, 31};
  const auto norms = norms_of_blocks(*model);
  ASSERT_EQ(norms.size(), 6u);
  for (const auto& [norm, readers] : norms) inject(*model, *norm, readers, at::tensor(features), 40);
  EXPECT_LT((logits(*model) - before).abs().max().item<double>(), 1e-4);
  const auto report = outlier_features(*model, batches());
  EXPECT_EQ(found(report), features);
  EXPECT_EQ(report["width"], 32);
  EXPECT_EQ(report["layers"], 6);
  EXPECT_EQ(report["tokens"], 2 * (3 * 16 - 4));
  EXPECT_EQ(report["share"], 6.0 / 32);
  EXPECT_EQ(report["layers_with_any"], 1);
  EXPECT_GT(report["positions_with_any"], 0.99);
  for (const auto& feature : report["features"]) {
    EXPECT_EQ(feature["layers"], 1);
    EXPECT_GT(feature["positions"], 0.5);
  }
}

TEST(OutlierFeatures, CountsLayersAndPositions) {
  auto model = decoder();
  const auto norms = norms_of_blocks(*model);
  const auto& [norm, readers] = *norms.begin();
  const auto feature = at::tensor({7}, at::kLong);
  inject(*model, *norm, readers, feature, 12);
  // One of six layers is less than a quarter.
  EXPECT_TRUE(found(outlier_features(*model, batches())).empty());
  OutlierCriteria criteria;
  criteria.layers = 0.16;
  const auto report = outlier_features(*model, batches(), criteria);
  ASSERT_EQ(found(report), std::vector<int64_t>{7});
  // The same shares counted by hand.
  auto board = model->make_board();
  std::vector<Tensor> values;
  board.listen(norm->output, [&](Context&, const TapEvent&, const Tensor& x) {
    values.push_back(x.select(-1, 7).flatten());
    return x;
  });
  const at::NoGradGuard guard;
  std::vector<Record> whole = batches();
  for (auto& batch : whole) {
    batch.erase("attention_mask");
    auto ctx = model->make_context(&board);
    model->forward(ctx, batch);
  }
  const auto all = at::cat(values), large = all.masked_select(all.abs() >= 6);
  const auto again = outlier_features(*model, whole, criteria)["features"][0];
  EXPECT_NEAR(again["positions"], static_cast<double>(large.numel()) / all.numel(), 1e-12);
  EXPECT_NEAR(again["layers"], 1.0 / 6, 1e-12);
  EXPECT_NEAR(again["positive"], (large > 0).to(at::kDouble).mean().item<double>(), 1e-12);
  EXPECT_NEAR(again["quartiles"][1], large.to(at::kDouble).median().item<double>(), 0.5);
  criteria.positions = static_cast<double>(large.numel() + 1) / all.numel();
  EXPECT_TRUE(found(outlier_features(*model, whole, criteria)).empty());
}

TEST(OutlierFeatures, SeesSides) {
  auto model = decoder();
  const at::NoGradGuard guard;
  for (const auto& [norm, readers] : norms_of_blocks(*model))
    model->inventory().by_name.at(norm->bias)->value[5] = -50;
  const auto report = outlier_features(*model, batches());
  ASSERT_EQ(found(report), std::vector<int64_t>{5});
  EXPECT_EQ(report["features"][0]["positive"], 0);
  EXPECT_EQ(report["features"][0]["positions"], 1);
  for (const double quartile : report["features"][0]["quartiles"]) EXPECT_NEAR(quartile, -50, 6);
}

TEST(OutlierFeatures, Refuses) {
  auto model = decoder();
  EXPECT_THROW(outlier_features(*model, {}), Error);
  OutlierCriteria criteria;
  criteria.axis = "residul";
  EXPECT_THROW(outlier_features(*model, batches(), criteria), Error);
  criteria = {};
  criteria.threshold = 0;
  EXPECT_THROW(outlier_features(*model, batches(), criteria), Error);
  const at::NoGradGuard guard;
  model->inventory().by_name.at("layers.1.channel.down.weight")->value[0][0] = INFINITY;
  EXPECT_THROW(outlier_features(*model, batches()), Error);
}

}  // namespace
}  // namespace formwork
