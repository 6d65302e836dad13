#include "formwork/transforms/modules.h"

#include <gtest/gtest.h>

#include "interop/temporary_folder.h"

namespace formwork {
namespace {

constexpr const char* kExperts = "layers.0.channel.experts";
constexpr const char* kModules = "layers.0.mixer.modules";

// One layer of attention modules and experts, all routed by p itself.
std::shared_ptr<Model> make(int64_t modules = 6, const std::string& extra = "") {
  const auto text = fmt::format(
      R"({{"formwork": 1, "model": {{"type": "decoder", "vocab": 29, "width": 8, "layers": [
        {{"mixer": {{"type": "stick_breaking", "modules": {0}, "active": 2, "heads": 2, "router_hidden": 5}},
          "channel": {{"type": "experts", "experts": {0}, "active": 2, "hidden": 4, "gated": false, "gate": "mlp",
                       "router_hidden": 5, "renormalize": false {1}}}}}]}}}})",
      modules, extra);
  auto model = build_model(Spec::from_json(Json::parse(text), "test"), 3, at::kDouble);
  const at::NoGradGuard guard;
  at::manual_seed(11);
  for (auto& param : model->inventory().params) param.value.add_(at::randn_like(param.value) * 0.4);
  return model;
}

Tensor value(const Model& model, const std::string& name) {
  return model.inventory().by_name.at(name)->value;
}

Calibration module_rows() {
  Calibration data;
  at::manual_seed(12);
  auto mask = at::ones({4, 12}, at::kLong);
  mask[1].narrow(0, 5, 7).zero_();
  data.batches.push_back({{"input_ids", at::randint(29, {4, 12}, at::kLong)}, {"attention_mask", mask}});
  return data;
}

Record module_tokens() { return {{"input_ids", at::arange(24, at::kLong).view({2, 12})}}; }

Tensor module_logits(Model& model) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, module_tokens())["logits"];
}

// What reaches a tap in a pass over `tokens`.
Tensor at_tap(Model& model, const std::string& name) {
  const at::NoGradGuard guard;
  auto board = model.make_board();
  Tensor seen;
  board.read(name, [&](const TapEvent&, const Tensor& x) { seen = x; });
  auto ctx = model.make_context(&board);
  model.forward(ctx, module_tokens());
  return seen;
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TransformResult apply_to_modules(const std::string& name, const Json& options,
                                 const std::shared_ptr<Model>& model) {
  return Registry<Transform>::make({name, options})->apply(model, module_rows());
}

// The modules of a pool that nothing in the data took.
Tensor unused(const TransformResult& result, const std::string& axis) {
  for (const auto& pool : result.report["pools"])
    if (pool["axis"] == axis) return at::tensor(pool["use"].get<std::vector<double>>()).eq(0);
  return {};
}

// Removes the modules that neither the calibration's tokens nor `tokens` take.
TransformResult prune_unused(const std::shared_ptr<Model>& model, const std::string& gate_base) {
  auto data = module_rows();
  data.batches.push_back(module_tokens());
  const Json options = {{"threshold", 1e-9}, {"gate_base", gate_base}};
  return Registry<Transform>::make({"prune_modules", options})->apply(model, data);
}

// Modules 1 and 4 of both pools get a logit of about -12 for every token, so nobody takes them.
void close(Model& model) {
  const at::NoGradGuard guard;
  for (const std::string scope : {"layers.0.mixer", "layers.0.channel"}) {
    value(model, scope + ".router_inner.bias")[0].fill_(6);
    value(model, scope + ".router_inner.weight")[0].fill_(0);
    for (const int64_t m : {1, 4}) value(model, scope + ".router.weight")[m][0].fill_(-2);
  }
}

TEST(ModuleUse, CountsChoicesOfRealTokens) {
  auto model = make();
  const auto pools = module_pools(*model, "*", "test");
  ASSERT_EQ(pools.size(), 2u);
  const auto uses = module_use(*model, pools, module_rows());
  for (const auto& use : uses) {
    EXPECT_EQ(use.tokens, 41);
    EXPECT_EQ(use.active, 2);
    EXPECT_EQ(use.chosen.sum().item<double>(), 82);
    EXPECT_NEAR(use.probability.sum().item<double>(), 1, 1e-12);
  }
  EXPECT_EQ(module_pools(*model, "*.experts", "test").size(), 1u);
  EXPECT_EQ(error_of([&] { module_pools(*model, "*.expert", "test"); }),
            "unknown test: axis of modules '*.expert'; known: layers.0.mixer.modules, "
            "layers.0.channel.experts");
}

TEST(PruneModules, NeverChosenModulesGoWithoutATraceWhenTheirRowsAreKept) {
  auto model = make();
  close(*model);
  const auto result = prune_unused(model, "kept");
  for (const char* axis : {kExperts, kModules}) {
    const auto gone = unused(result, axis);
    EXPECT_TRUE(gone[1].item<bool>() && gone[4].item<bool>()) << axis;
    EXPECT_EQ(result.model->inventory().axes.at(axis).size, 6 - gone.sum().item<int64_t>());
  }
  EXPECT_LT(gap(module_logits(*result.model), module_logits(*model)), 1e-12);
}

TEST(PruneModules, RowsOfEarlierPruningStay) {
  auto model = make();
  const Json first = {{"keep", 4}, {"gate_base", "kept"}, {"axes", "*.experts"}};
  const Json second = {{"keep", 3}, {"gate_base", "kept"}, {"axes", "*.experts"}};
  const auto once = apply_to_modules("prune_modules", first, model),
             twice = apply_to_modules("prune_modules", second, once.model);
  const auto before = value(*once.model, "layers.0.channel.router_removed.weight");
  const auto after = value(*twice.model, "layers.0.channel.router_removed.weight");
  EXPECT_EQ(after.size(0), 3);
  EXPECT_TRUE(at::equal(after.narrow(0, 0, 2), before));
  EXPECT_EQ(twice.model->spec().history.size(), 2u);
  // The experts that stand have the probabilities that they had beside all six.
  const std::string router = "layers.0.channel.router.weight", tap = "layers.0.channel.probabilities";
  const auto p = at_tap(*twice.model, tap), whole = at_tap(*model, tap);
  for (int64_t e = 0; e < 3; ++e) {
    const auto same = value(*model, router).eq(value(*twice.model, router)[e]).all(1).nonzero();
    ASSERT_EQ(same.numel(), 1);
    EXPECT_LT(gap(p.select(-1, e), whole.select(-1, same.item<int64_t>())), 1e-14);
  }
}

TEST(PruneModules, WithoutTheirRowsEveryGateGrowsByTheirShare) {
  auto model = make();
  close(*model);
  // The first pool sees the same input before and after.
  const auto before = at_tap(*model, "layers.0.mixer.gates"),
             p = at_tap(*model, "layers.0.mixer.probabilities");
  const auto result = prune_unused(model, "all");
  const auto after = at_tap(*result.model, "layers.0.mixer.gates");
  const auto gone = unused(result, kModules), kept = gone.logical_not().nonzero().squeeze(1);
  const auto removed = (p * gone).sum(-1, true);
  EXPECT_GT(removed.min().item<double>(), 0);
  EXPECT_LT(gap(after, before.index_select(-1, kept) / (1 - removed)), 1e-12);
  EXPECT_FALSE(result.model->inventory().by_name.count("layers.0.mixer.router_removed.weight"));
  EXPECT_GT(gap(module_logits(*result.model), module_logits(*model)), 0);
  for (const auto& pool : result.report["pools"]) EXPECT_GT(pool["probability_removed"].get<double>(), 0);
}

TEST(PruneModules, KeepsTheMostUsed) {
  auto model = make();
  const auto pools = module_pools(*model, "*.experts", "test");
  const auto chosen = module_use(*model, pools, module_rows())[0].chosen;
  const auto kept = std::get<0>(std::get<1>(chosen.topk(3)).sort());
  const auto router = value(*model, "layers.0.channel.router.weight");
  const auto result = apply_to_modules("prune_modules", {{"keep", 3}, {"axes", "*.experts"}}, model);
  EXPECT_TRUE(
      at::equal(value(*result.model, "layers.0.channel.router.weight"), router.index_select(0, kept)));
  EXPECT_TRUE(at::equal(value(*result.model, "layers.0.channel.down.weight"),
                        value(*model, "layers.0.channel.down.weight").index_select(0, kept)));
  EXPECT_EQ(result.model->inventory().axes.at(kModules).size, 6);
}

TEST(PruneModules, RefusesToGoBelowWhatATokenTakes) {
  auto model = make();
  EXPECT_THROW(apply_to_modules("prune_modules", {{"keep", 1}}, model), Error);
  EXPECT_THROW(apply_to_modules("prune_modules", {{"keep", 7}}, model), Error);
  EXPECT_THROW(apply_to_modules("prune_modules", {{"threshold", 0}}, model), Error);  // nothing to remove
  EXPECT_THROW(apply_to_modules("prune_modules", {{"threshold", 1e6}}, model), Error);
}

TEST(GrowModules, NewModulesBehindAMaskChangeNothing) {
  auto model = make();
  const auto result = apply_to_modules("grow_modules", {{"count", 2}, {"seed", 5}}, model);
  for (const char* axis : {kExperts, kModules}) EXPECT_EQ(result.model->inventory().axes.at(axis).size, 8);
  const auto rows = value(*result.model, "layers.0.channel.router.weight");
  EXPECT_TRUE(at::equal(rows.narrow(0, 0, 6), value(*model, "layers.0.channel.router.weight")));
  EXPECT_LT(rows.narrow(0, 6, 2).abs().max().item<double>(), 0.1);  // N(0, 0.02)
  EXPECT_GT(rows.narrow(0, 6, 2).abs().min().item<double>(), 0);
  auto board = result.model->make_board();
  board.listen("*.router.out", [](Context&, const TapEvent&, const Tensor& l) {
    return at::cat({l.narrow(-1, 0, 6), at::full_like(l.narrow(-1, 6, 2), -INFINITY)}, -1);
  });
  const at::NoGradGuard guard;
  auto ctx = result.model->make_context(&board);
  EXPECT_LT(gap(result.model->forward(ctx, module_tokens())["logits"], module_logits(*model)), 1e-12);
  EXPECT_GT(gap(module_logits(*result.model), module_logits(*model)), 1e-6);
}

TEST(GrowModules, ThePenaltyIsTheMeanSquareOfTheNewRows) {
  auto model = make(6, R"(, "grown_penalty": 0.5)");
  const auto penalty = [](Model& of) -> std::optional<double> {
    auto ctx = of.make_context();
    ctx.mode.train = true;
    of.forward(ctx, module_tokens());
    for (const auto& [name, term] : ctx.auxiliary)
      if (name == "layers.0.channel.grown") return term.item<double>();
    return std::nullopt;
  };
  EXPECT_FALSE(penalty(*model));
  const auto grown = apply_to_modules("grow_modules", {{"count", 2}, {"axes", "*.experts"}}, model).model;
  const auto rows = value(*grown, "layers.0.channel.router.weight");
  EXPECT_NEAR(*penalty(*grown), 0.5 * rows.narrow(0, 6, 2).square().mean().item<double>(), 1e-15);
  // Pruned afterwards, the new modules that stay are still the last ones.
  const auto cut = apply_to_modules("prune_modules", {{"keep", 5}, {"axes", "*.experts"}}, grown).model;
  const auto left = cut->spec().axes["layers.0.channel.grown"].get<int64_t>();
  EXPECT_LE(left, 2);
  const auto kept = value(*cut, "layers.0.channel.router.weight");
  for (int64_t i = 0; i < left; ++i) {
    const auto row = kept[5 - left + i];
    EXPECT_TRUE(at::equal(row, rows[6]) || at::equal(row, rows[7]));
  }
}

TEST(GrowModules, AnAxisInsideAProductCannotGrow) {
  auto model = make();
  Edit edit(*model);
  EXPECT_THROW(edit.grow("layers.0.mixer.heads", 1, 0), Error);
}

}  // namespace
}  // namespace formwork
