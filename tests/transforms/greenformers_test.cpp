#include "formwork/linear/conv/convolution.h"
#include "formwork/transforms/factorize/solvers.h"
#include "transforms/fixtures.h"

namespace formwork {
namespace {

std::shared_ptr<Model> wide_decoder(bool tie = true) {
  DecoderShape shape;
  shape.mixer = {{"type", "attention"}, {"heads", 4}, {"bias", true}};
  shape.channel = {{"type", "gated_mlp"}, {"hidden", 64}};
  shape.tie = tie;
  shape.dtype = at::kFloat;
  return make_decoder(shape);
}

TransformResult factorize(const Json& options, const std::shared_ptr<Model>& model) {
  return apply("greenformers", options, model);
}
std::string factorize_refusal(const Json& options, const std::shared_ptr<Model>& model) {
  return refusal("greenformers", options, model);
}

Tensor random_matrix(int64_t rows, int64_t columns) {
  at::manual_seed(5);
  return at::randn({rows, columns}, at::kDouble);
}

double solver_error(const Tensor& weight, int64_t rank, const SolverOptions& options) {
  const auto made = find_factors(weight, rank, options, "map");
  return (weight - made.b.matmul(made.a)).norm().item<double>();
}

// Eckart and Young: the error of the best factors.
double discarded(const Tensor& weight, int64_t rank) {
  const auto s = at::linalg_svdvals(weight.to(at::kDouble));
  return s.narrow(0, rank, s.size(0) - rank).norm().item<double>();
}

TEST(Greenformers, FullRankKeepsTheFunction) {
  auto model = wide_decoder();
  for (const std::string solver : {"svd", "exact_svd"})
    for (const std::string balance : {"first", "split", "last"}) {
      const Json options = {{"rank", 4096}, {"allow_full", true}, {"solver", solver}, {"balance", balance}};
      EXPECT_LT(distance(*model, *factorize(options, model).model), 1e-4) << solver << balance;
    }
}

TEST(Greenformers, LeavesTheSingularValuesItCutOff) {
  auto model = wide_decoder();
  const auto report = factorize({{"rank", 6}, {"solver", "exact_svd"}}, model).report;
  int64_t seen = 0;
  for (auto* map : block_maps(*model)) {
    const auto row = row_of(report, map->path());
    EXPECT_NEAR(row["error"].get<double>() / discarded(map->dense(), 6), 1, 1e-4) << map->path();
    EXPECT_EQ(row["bytes"].get<int64_t>(),
              4 * (6 * (map->in() + map->out()) + (map->bias() ? map->out() : 0)));
    ++seen;
  }
  EXPECT_EQ(seen, 8);
}

TEST(Greenformers, RandomisedSvdIsNearTheBestAndNeverBelow) {
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{40, 64}, {96, 24}}) {
    const auto weight = random_matrix(rows, columns);
    for (const int64_t rank : {1, 6, 20}) {
      const double best = discarded(weight, rank), found = solver_error(weight, rank, {"svd", "first", 10});
      EXPECT_LE(found, 1.02 * best) << rows << " rank " << rank;
      EXPECT_GE(found, best * (1 - 1e-12));
      EXPECT_GT(solver_error(weight, rank, {"svd", "first", 0}), found);  // the power steps do something
    }
  }
}

TEST(Greenformers, BalanceSaysWhichFactorHoldsTheSingularValues) {
  const auto weight = random_matrix(12, 20);
  const auto s = at::linalg_svdvals(weight).narrow(0, 0, 4);
  const auto of = [](const Tensor& factor) { return at::linalg_svdvals(factor); };
  for (const std::string solver : {"svd", "exact_svd"}) {
    const auto first = find_factors(weight, 4, {solver, "first", 60}, "map");
    EXPECT_LT(largest(of(first.a) - s), 1e-6);
    EXPECT_LT(largest(of(first.b) - 1), 1e-6);
    EXPECT_LT(largest(of(find_factors(weight, 4, {solver, "last", 60}, "map").b) - s), 1e-6);
    const auto split = find_factors(weight, 4, {solver, "split", 60}, "map");
    EXPECT_LT(largest(of(split.a) - of(split.b)), 1e-6);
  }
}

TEST(Greenformers, NonnegativeErrorsFallAndFactorsStayNonnegative) {
  const auto weight = random_matrix(14, 22);
  for (const std::string solver : {"nmf", "snmf"}) {
    const auto target = solver == "nmf" ? weight.abs() : weight;
    double before = INFINITY;
    for (const int64_t iterations : {0, 1, 2, 5, 20, 80}) {
      const auto made = find_factors(target, 5, {solver, "first", iterations}, "map");
      const double error = (target - made.b.matmul(made.a)).norm().item<double>();
      EXPECT_LE(error, before * (1 + 1e-9)) << solver << iterations;
      EXPECT_GE(made.a.min().item<double>(), 0);
      if (solver == "nmf") EXPECT_GE(made.b.min().item<double>(), 0);
      before = error;
    }
    EXPECT_LT(before, 0.9 * solver_error(target, 5, {solver, "first", 0})) << solver;
    EXPECT_GE(before, discarded(target, 5));
  }
}

TEST(Greenformers, NonnegativeFactorsNeedNonnegativeWeights) {
  auto model = wide_decoder();
  EXPECT_NE(factorize_refusal({{"solver", "nmf"}}, model).find("snmf"), std::string::npos);
  const at::NoGradGuard guard;
  for (auto* map : block_maps(*model)) model->inventory().by_name.at(map->path() + ".weight")->value.abs_();
  EXPECT_LT(factorize({{"solver", "nmf"}, {"num_iter", 50}}, model).report["maps"][1]["relative_error"], 0.6);
}

TEST(Greenformers, ASolverKeepsTheBiasAtTheSecondMap) {
  auto model = wide_decoder();
  for (const auto& solver : solver_names()) {
    if (solver == "nmf") continue;
    const auto made = factorize({{"solver", solver}}, model);
    const auto& tensors = made.model->inventory().by_name;
    const std::string name = "layers.0.mixer.qkv.bias";
    EXPECT_TRUE(at::equal(tensors.at(name)->value, model->inventory().by_name.at(name)->value)) << solver;
    EXPECT_EQ(made.report.contains("warnings"), solver == "random");
  }
}

TEST(Greenformers, AWeightStoredTransposedIsNotFactorizedTransposed) {
  auto model = wide_decoder();
  const auto stored = random_matrix(32, 96).to(at::kFloat);  // [in, out], as GPT-2 keeps it
  auto& weight = model->inventory().by_name.at("layers.0.mixer.qkv.weight")->value;
  weight = stored.t();
  const auto full = factorize({{"rank", 96}, {"allow_full", true}, {"solver", "svd"}}, model).model;
  EXPECT_LT(largest(map_of(*full, "layers.0.mixer.qkv").dense() - stored.t()), 1e-4);
}

TEST(Greenformers, RanksAreWholeOrSharesOfTheRankThatSavesNothing) {
  auto model = wide_decoder();
  const auto& map = map_of(*model, "layers.0.channel.down");  // 64 -> 32, r_max 21
  const auto rank = [&](const Json& options) {
    return row_of(factorize(options, model).report, map.path())["rank"];
  };
  EXPECT_EQ(rank({{"rank", 0.5}}), 10);
  EXPECT_EQ(rank({{"rank", 20}}), 20);
  EXPECT_TRUE(row_of(factorize({{"rank", 21}}, model).report, map.path()).contains("skipped"));
  EXPECT_NE(factorize_refusal({{"rank", 21}, {"strict", true}}, model).find("must be from 1 to"),
            std::string::npos);
  const auto nothing = factorize_refusal({{"rank", 4096}}, model);
  EXPECT_NE(nothing.find("no map can be treated"), std::string::npos);
  EXPECT_NE(nothing.find("rank 4096 saves nothing: expected 1 to 20"), std::string::npos) << nothing;
  EXPECT_NE(factorize_refusal({{"rank", 0}}, model).find("'rank'"), std::string::npos);
  EXPECT_NE(factorize_refusal({{"rank", -3}}, model).find("'rank'"), std::string::npos);
  EXPECT_NE(factorize_refusal({{"rank", 1.5}}, model).find("whole number"), std::string::npos);
  EXPECT_NE(factorize_refusal({{"solver", "svt"}}, model).find("did you mean 'svd'"), std::string::npos);
}

TEST(Greenformers, TreatsTheSubmodulesAskedFor) {
  auto model = wide_decoder();
  const auto made = factorize({{"submodules", {"layers.1", "layers.0.mixer.out"}}}, model).model;
  for (auto* map : block_maps(*model))
    EXPECT_EQ(map_of(*made, map->path()).type() == "low_rank",
              map->path().rfind("layers.1.", 0) == 0 || map->path() == "layers.0.mixer.out")
        << map->path();
  EXPECT_NE(
      factorize_refusal({{"submodules", {"layers.7"}}}, model).find("'layers.7'; did you mean 'layers."),
      std::string::npos);
  EXPECT_NE(
      factorize_refusal({{"submodules", "layers.1"}}, model).find("a list of paths, found \"layers.1\""),
      std::string::npos);
}

TEST(Greenformers, FactorizesFactorsAgainWhereAsked) {
  auto model = wide_decoder();
  const auto once = factorize({{"rank", 0.9}, {"solver", "svd"}}, model).model;
  EXPECT_NE(factorize_refusal({{"rank", 0.5}}, once), "");
  const auto twice =
      factorize({{"rank", 64}, {"solver", "svd"}, {"fact_led_unit", true}, {"allow_full", true}}, once).model;
  EXPECT_EQ(map_of(*twice, "layers.0.mixer.qkv.a").type(), "low_rank");
  EXPECT_LT(distance(*once, *twice), 1e-4);
  const auto smaller = factorize({{"rank", 0.5}, {"solver", "svd"}, {"fact_led_unit", true}}, once).model;
  EXPECT_LT(smaller->parameter_count(), once->parameter_count());
  EXPECT_LT(smaller->flops_per_token(8), once->flops_per_token(8));
  EXPECT_TRUE(at::equal(logits(*smaller), logits(*reloaded(*smaller, "led_again"))));
  EXPECT_LT(distance(*apply("to_dense", Json::object(), smaller).model, *smaller), 1e-4);
}

TEST(Greenformers, EmbeddingAndHeadAreOptions) {
  auto model = wide_decoder(/*tie=*/false);
  const Json full = {{"rank", 4096}, {"solver", "svd"}, {"allow_full", true}};
  auto both = full;
  both["factor_embeddings"] = both["factor_head"] = true;
  EXPECT_EQ(map_of(*factorize(full, model).model, "embed").type(), "dense");
  const auto made = factorize(both, model).model;
  EXPECT_EQ(map_of(*made, "embed").type(), "low_rank");
  EXPECT_EQ(map_of(*made, "head").type(), "low_rank");
  EXPECT_LT(distance(*model, *made), 1e-4);
  // A shared matrix stays, until it is no longer shared.
  auto tied = wide_decoder();
  const auto report = factorize(both, tied).report;
  EXPECT_NE(row_of(report, "embed")["skipped"].get<std::string>().find("untie"), std::string::npos);
  auto untied = apply("untie", Json::object(), tied).model;
  EXPECT_EQ(distance(*tied, *untied), 0);
  EXPECT_EQ(map_of(*factorize(both, untied).model, "head").type(), "low_rank");
}

TEST(Greenformers, RefusesMapsThatAreCompressedInAnotherWay) {
  auto model = wide_decoder();
  for (const std::string method : {"llm_int8", "magnitude"}) {
    const auto reason = factorize_refusal({{"rank", 4}}, apply(method, Json::object(), model).model);
    EXPECT_NE(reason.find("to_dense"), std::string::npos) << reason;
  }
}

// Multiply-adds a token of one layer of an encoder of width 32.
double cost(int64_t tokens, const std::string& mixer, const Json& linear) {
  const auto flops = [&](int64_t layers) {
    const auto json = Json::parse(fmt::format(R"({{"formwork": 1, "model": {{"type": "encoder", "vocab": 11,
      "width": 32, "norm": null, "layers": {{"repeat": {}, "pattern": [{{"type": "post", "norm": "layer_norm",
      "mixer": {}, "channel": {{"type": "mlp", "hidden": 128, "activation": "relu"}}}}]}}}}}})",
                                              layers, mixer));
    auto spec = Spec::from_json(json, "test");
    spec.linear = linear;
    return build_model(spec, 0, at::kFloat, false)->flops_per_token(tokens) / 2;
  };
  return flops(2) - flops(1);
}

TEST(Greenformers, CountsTheMultiplyAddsOfTheThesis) {
  const double d = 32, t = 48, r = 3, k = 5;
  const std::string attention = R"({"type": "attention", "heads": 4, "fused": false})";
  const std::string linformer = R"({"type": "linformer", "heads": 4, "k": 5, "tokens": 64})";
  const Json thin = {{"layers.*", {{"type", "low_rank"}, {"rank", 3}}}};
  EXPECT_EQ(cost(48, attention, Json::object()), 12 * d * d + 2 * t * d);
  EXPECT_EQ(cost(48, attention, thin), 18 * r * d + 2 * t * d);
  EXPECT_EQ(cost(48, linformer, Json::object()), 12 * d * d + 4 * k * d);
  // They cross where 2 T = 12 D + 4 k - 18 r.
  const auto crossing = static_cast<int64_t>(12 * d + 4 * k - 18 * r) / 2;
  EXPECT_EQ(cost(crossing, attention, thin), cost(crossing, linformer, Json::object()));
}

std::shared_ptr<Model> convolutional(int64_t groups) {
  const Json layer = {{"mixer", {{"type", "convolution"}, {"groups", groups}, {"dilation", 2}}},
                      {"channel", {{"type", "mlp"}, {"hidden", 48}}}};
  const Json model = {{"type", "encoder"}, {"vocab", 29}, {"width", 24}, {"layers", Json::array({layer})}};
  return noisy({{"formwork", 1}, {"model", model}}, at::kFloat);
}

Tensor hidden(Model& model) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::arange(24, at::kLong).view({2, 12})}})["last_hidden_state"];
}

TEST(Greenformers, ConvolutionsBecomeTwoThinOnes) {
  for (const int64_t groups : {1, 2}) {
    auto model = convolutional(groups);
    const Json full = {{"rank", 4096}, {"solver", "svd"}, {"allow_full", true}};
    const auto same = factorize(full, model).model;
    EXPECT_EQ(map_of(*same, "layers.0.mixer.map").type(), "ced");
    EXPECT_LT(largest(hidden(*model) - hidden(*same)), 1e-4) << groups;
    const auto back = apply("to_dense", Json::object(), same).model;
    EXPECT_EQ(map_of(*back, "layers.0.mixer.map").type(), "conv");
    EXPECT_LT(largest(hidden(*model) - hidden(*back)), 1e-4) << groups;

    // r_max ignores the width of the kernel: 24 (24 / g) / (24 + 24 / g); a rank is rounded up to groups.
    const auto made = factorize({{"rank", 5}, {"solver", "exact_svd"}}, model);
    const auto row = row_of(made.report, "layers.0.mixer.map");
    const int64_t rank = groups == 1 ? 5 : 6;
    EXPECT_EQ(row["rank"], rank);
    double square = 0;
    const auto kernel = dynamic_cast<Convolution&>(map_of(*model, "layers.0.mixer.map")).kernel().flatten(1);
    for (const auto& part : kernel.chunk(groups, 0)) square += std::pow(discarded(part, rank / groups), 2);
    EXPECT_NEAR(row["error"].get<double>(), std::sqrt(square), 1e-4) << groups;
    EXPECT_EQ(row["bytes"].get<int64_t>(), 4 * (rank * (24 / groups * 3 + 24) + 24));
    EXPECT_LT(made.model->bytes(), model->bytes());
    EXPECT_TRUE(at::equal(hidden(*made.model), hidden(*reloaded(*made.model, "ced"))));
    const auto too_much =
        row_of(factorize({{"rank", groups == 1 ? 12 : 8}}, model).report, "layers.0.mixer.map");
    EXPECT_TRUE(too_much.contains("skipped"));
  }
}

TEST(Greenformers, ConvolutionsInTwoStepsAreLeftWithAWarning) {
  const auto once =
      factorize({{"rank", 4}, {"solver", "svd"}, {"submodules", {"layers.0.mixer"}}}, convolutional(1)).model;
  const auto again = factorize({{"rank", 4}, {"solver", "svd"}}, once);
  EXPECT_EQ(again.report.at("warnings"),
            Json::array(
                {"'layers.0.mixer.map' stays as it is: a convolution in two steps is not factorized again"}));
  EXPECT_EQ(map_of(*again.model, "layers.0.channel.up").type(), "low_rank");
}

TEST(Greenformers, BanksOfExpertsAreFactorizedOneByOne) {
  DecoderShape shape;
  shape.channel = {{"type", "experts"}, {"experts", 3}, {"hidden", 40}};
  auto model = make_decoder(shape);
  const auto full = factorize({{"rank", 4096}, {"solver", "exact_svd"}, {"allow_full", true}}, model).model;
  EXPECT_LT(distance(*model, *full), 1e-9);
  const auto made = factorize({{"rank", 4}, {"solver", "exact_svd"}}, model);
  const auto weight = map_of(*model, "layers.0.channel.down").dense();
  double square = 0;
  for (int64_t e = 0; e < 3; ++e) square += std::pow(discarded(weight[e], 4), 2);
  EXPECT_NEAR(row_of(made.report, "layers.0.channel.down")["error"].get<double>(), std::sqrt(square), 1e-9);
}

}  // namespace
}  // namespace formwork
