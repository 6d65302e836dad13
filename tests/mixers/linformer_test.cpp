#include <gtest/gtest.h>

#include "formwork/models/model.h"
#include "mixer_alone.h"

namespace formwork {
namespace {

const std::vector<std::string>& sharings() {
  static const std::vector<std::string> names = {"none", "headwise", "key_value", "layerwise"};
  return names;
}

MixerAlone linformer(const std::string& sharing, int64_t k, int64_t tokens) {
  return MixerAlone(fmt::format(R"({{"type": "linformer", "heads": 2, "k": {}, "tokens": {}, "bias": true,
                                    "out_bias": true, "sharing": "{}"}})",
                                k, tokens, sharing),
                    8, at::kDouble, false);
}

// The tensors that project along tokens.
std::vector<Param*> projections(MixerAlone& alone) {
  std::vector<Param*> list;
  for (auto& param : alone.inventory->params)
    if (param.name == "linformer.project" || param.name == "mixer.E" || param.name == "mixer.F")
      list.push_back(&param);
  return list;
}

TEST(Linformer, WithIdentitiesItIsSoftmaxAttention) {
  for (const auto& sharing : sharings()) {
    at::manual_seed(1);
    auto alone = linformer(sharing, 6, 6);
    const at::NoGradGuard guard;
    for (auto* param : projections(alone))
      param->value.copy_(at::eye(6, at::kDouble).expand_as(param->value));
    MixerAlone attention(
        R"({"type": "attention", "heads": 2, "fused": false, "bias": true, "out_bias": true})", 8,
        at::kDouble, false);
    for (const std::string map : {"query", "key", "value", "out"})
      for (const std::string tensor : {".weight", ".bias"}) {
        alone.value(map + tensor).normal_(0, 0.5);
        attention.set(map + tensor, alone.value(map + tensor));
      }
    const auto x = at::randn({3, 6, 8}, at::kDouble);
    EXPECT_LT(distance(alone.forward(x), attention.forward(x)), 1e-6) << sharing;
  }
}

TEST(Linformer, SharingSaysHowManyProjectionsThereAre) {
  const std::map<std::string, int64_t> expected = {
      {"none", 2 * 2 * 3 * 10}, {"headwise", 2 * 3 * 10}, {"key_value", 3 * 10}, {"layerwise", 3 * 10}};
  for (const auto& [sharing, numbers] : expected) {
    auto alone = linformer(sharing, 3, 10);
    int64_t found = 0;
    for (auto* param : projections(alone)) {
      found += param->value.numel();
      EXPECT_LE(param->value.abs().max().item<double>(), 1 / std::sqrt(10.0));
    }
    EXPECT_EQ(found, numbers) << sharing;
  }
}

TEST(Linformer, EqualsProjectedAttentionHeadByHead) {
  for (const auto& sharing : sharings()) {
    at::manual_seed(2);
    auto alone = linformer(sharing, 3, 9);
    const at::NoGradGuard guard;
    for (auto& value : alone.parameters()) value.normal_(0, 0.5);
    const auto x = at::randn({2, 7, 8}, at::kDouble);
    const auto project = [&](const std::string& map) {
      return at::linear(x, alone.value(map + ".weight"), alone.value(map + ".bias"));
    };
    const auto q = project("query"), k = project("key"), v = project("value");
    const auto list = projections(alone);
    std::vector<Tensor> heads;
    for (int64_t h = 0; h < 2; ++h) {
      const auto of = [&](const Param* p) {
        return (p->value.dim() == 3 ? p->value[h] : p->value).narrow(1, 0, 7);
      };
      const auto cut = [&](const Tensor& t) { return t.narrow(2, h * 4, 4); };
      const auto keys = of(list.front()).matmul(cut(k)), values = of(list.back()).matmul(cut(v));
      heads.push_back((cut(q).matmul(keys.transpose(1, 2)) / 2).softmax(-1).matmul(values));
    }
    const auto expected = at::linear(at::cat(heads, 2), alone.value("out.weight"), alone.value("out.bias"));
    EXPECT_LT(distance(alone.forward(x), expected), 1e-12) << sharing;
  }
}

TEST(Linformer, PaddingChangesNothing) {
  for (const auto& sharing : sharings()) {
    at::manual_seed(3);
    auto alone = linformer(sharing, 3, 9);
    const at::NoGradGuard guard;
    for (auto& value : alone.parameters()) value.normal_(0, 0.5);
    const auto x = at::randn({2, 8, 8}, at::kDouble);
    Layout layout;
    layout.lengths = at::tensor({8, 5}, at::kLong);
    const auto y = alone.forward(x, &layout);
    EXPECT_LT(distance(y[0], alone.forward(x)[0]), 1e-12) << sharing;
    EXPECT_LT(distance(y[1].narrow(0, 0, 5), alone.forward(x.narrow(0, 1, 1).narrow(1, 0, 5))[0]), 1e-12);
    Layout packed;
    packed.offsets = {0, 3, 8};
    const auto row = x.narrow(0, 0, 1);
    EXPECT_LT(distance(alone.forward(row, &packed).narrow(1, 3, 5), alone.forward(row.narrow(1, 3, 5))),
              1e-12);
  }
}

TEST(Linformer, LayersShareOneProjection) {
  const auto json = Json::parse(R"({"formwork": 1, "model": {"type": "encoder", "vocab": 11, "width": 8,
    "layers": {"repeat": 3, "pattern": [{"mixer": {"type": "linformer", "heads": 2, "k": 3, "tokens": 12}}]}}})");
  auto model = build_model(Spec::from_json(json, "test"), 1, at::kDouble);
  int64_t found = 0;
  for (const auto& param : model->inventory().params)
    found += param.name.find("project") != std::string::npos;
  EXPECT_EQ(found, 1);
  auto ctx = model->make_context();
  const auto y = model->forward(ctx, {{"input_ids", at::arange(10, at::kLong).view({1, 10})}});
  y.at("last_hidden_state").square().sum().backward();
  EXPECT_GT(model->inventory().by_name.at("linformer.project")->value.grad().abs().sum().item<double>(), 0);
  auto other = json;
  other["model"]["layers"] =
      Json::array({json["model"]["layers"]["pattern"][0], json["model"]["layers"]["pattern"][0]});
  other["model"]["layers"][1]["mixer"]["tokens"] = 16;
  EXPECT_THROW(build_model(Spec::from_json(other, "test")), Error);
}

TEST(Linformer, RefusesLongRowsAndCausalModels) {
  auto alone = linformer("headwise", 3, 6);
  try {
    alone.forward(at::randn({1, 7, 8}, at::kDouble));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("7 tokens is longer than the 6"), std::string::npos)
        << error.what();
  }
  const auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 11, "width": 8,
    "layers": [{"mixer": {"type": "linformer", "heads": 2}}]}})");
  try {
    build_model(Spec::from_json(json, "test"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("later tokens"), std::string::npos) << error.what();
  }
  EXPECT_THROW(MixerAlone(R"({"type": "linformer", "heads": 3})", 8, at::kDouble, false), Error);
}

}  // namespace
}  // namespace formwork
