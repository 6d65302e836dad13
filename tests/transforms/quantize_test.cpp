#include <gtest/gtest.h>

#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

std::shared_ptr<Model> small() {
  const auto json = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 29, "width": 32,
    "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 4, "bias": true},
                                         "channel": {"type": "gated_mlp", "hidden": 64}}]},
    "position": "learned"}})");
  auto model = build_model(Spec::from_json(json, "test"), 3);
  const at::NoGradGuard guard;
  at::manual_seed(11);
  for (auto& param : model->inventory().params) param.value.add_(at::randn_like(param.value) * 0.1);
  return model;
}

Calibration calibration() {
  Calibration data;
  at::manual_seed(12);
  for (int i = 0; i < 2; ++i) data.batches.push_back({{"input_ids", at::randint(29, {4, 24}, at::kLong)}});
  return data;
}

Tensor logits(Model& model) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::arange(24, at::kLong).view({2, 12})}})["logits"];
}

TransformResult apply(const std::string& name, const Json& options, const std::shared_ptr<Model>& model) {
  return Catalog<Transform>::make(name, options)->apply(model, calibration());
}

double distance(Model& a, Model& b) { return (logits(a) - logits(b)).abs().max().item<double>(); }

TEST(Compress, SavesFewerBytesAndLoadsTheSameBits) {
  auto model = small();
  const std::vector<std::pair<std::string, Json>> methods = {
      {"llm_int8", Json::object()},       {"int4_rtn", {{"group", 32}}},   {"gptq", {{"group", 32}}},
      {"magnitude", {{"sparsity", 0.5}}}, {"wanda", {{"n", 2}, {"m", 4}}}, {"greenformers", {{"rank", 0.5}}}};
  for (const auto& [name, options] : methods) {
    const auto result = apply(name, options, model);
    const auto folder = ::testing::TempDir() + "/formwork_" + name;
    save_model(*result.model, folder);
    EXPECT_TRUE(at::equal(logits(*result.model), logits(*load_model(folder)))) << name;
    EXPECT_LT(result.model->bytes(), model->bytes()) << name;
    EXPECT_EQ(result.model->spec().history.back()["transform"], name);
    for (auto* map : result.model->inventory().maps)
      for (const auto& row : result.report["maps"])
        if (row["map"] == map->path() && row.contains("bytes")) {
          EXPECT_EQ(row["bytes"].get<int64_t>(), map->bytes()) << map->path();
        }
    EXPECT_THROW(apply(name, options, result.model), Error) << name;  // nothing dense is left
    // Products multiply by dense(); int8 rounds activations besides.
    auto dense = apply("to_dense", Json::object(), result.model).model;
    EXPECT_LT(distance(*dense, *result.model), name == "llm_int8" ? 0.2 : 1e-4) << name;
  }
}

TEST(Gptq, IsNeverWorseThanRoundingToNearestAndMostlyBetter) {
  auto model = small();
  for (const Json& options : {Json{{"group", 32}}, Json{{"group", 32}, {"act_order", true}},
                              Json{{"group", 32}, {"block", 12}, {"symmetric", true}}}) {
    const auto report = apply("gptq", options, model).report;
    double ours = 0, theirs = 0;
    for (const auto& row : report["maps"]) {
      if (row.contains("skipped")) continue;
      EXPECT_LE(row["error"].get<double>(), row["error_nearest"].get<double>()) << row["map"];
      ours += row["error"].get<double>(), theirs += row["error_nearest"].get<double>();
    }
    EXPECT_LT(ours, 0.9 * theirs) << options.dump();
    std::cout << options.dump() << ": error " << ours << ", nearest " << theirs << "\n";
  }
}

TEST(Gptq, BlocksDoNotChangeTheResult) {
  auto model = small();
  const auto a = apply("gptq", {{"group", 16}, {"block", 128}}, model).model;
  const auto b = apply("gptq", {{"group", 16}, {"block", 5}}, model).model;
  EXPECT_LT(distance(*a, *b), 1e-4);
}

TEST(Prune, KeepsTheSharesAskedFor) {
  auto model = small();
  auto pruned = apply("wanda", {{"sparsity", 0.25}}, model).model;
  auto pattern = apply("magnitude", {{"n", 1}, {"m", 4}}, model).model;
  int64_t seen = 0;
  for (auto* map : pruned->inventory().maps)
    if (map->type() == "masked") {
      EXPECT_TRUE((map->dense() == 0).sum(1).eq(map->in() / 4).all().item<bool>()) << map->path();
      ++seen;
    }
  for (auto* map : pattern->inventory().maps)
    if (map->type() == "masked") {
      EXPECT_TRUE((map->dense().view({map->out(), -1, 4}) != 0).sum(2).eq(1).all().item<bool>());
      ++seen;
    }
  EXPECT_GE(seen, 8);
}

TEST(LlmInt8, SkipsWhatItIsToldAndNamesBadWeights) {
  auto model = small();
  const auto result = apply("llm_int8", {{"skip", Json::array({"*.down"})}}, model);
  for (auto* map : result.model->inventory().maps)
    EXPECT_EQ(map->type() == "int8",
              map->role() != Role::down && map->role() != Role::embed && map->role() != Role::head)
        << map->path();
  const at::NoGradGuard guard;
  model->inventory().by_name.at("layers.1.channel.down.weight")->value[3][4] = std::nan("");
  try {
    apply("llm_int8", Json::object(), model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("layers.1.channel.down': row 3"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace formwork
