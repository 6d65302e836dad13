#include "formwork/transforms/factorize/output_basis.h"
#include "formwork/transforms/factorize/rank_scan.h"
#include "transforms/fixtures.h"

namespace formwork {
namespace {

// Two blocks, D = 64, 2,048 tokens, biases in attention and none in the MLP.
std::shared_ptr<Model> lord_decoder() {
  DecoderShape shape;
  shape.width = 64;
  shape.mixer = {{"type", "attention"}, {"heads", 4}, {"kv_heads", 1}, {"bias", true}};
  shape.channel = {{"type", "gated_mlp"}, {"hidden", 96}};
  return make_decoder(shape);
}

Calibration lord_rows(int64_t batches = 8) { return calibration(/*padded=*/true, batches, 64); }

TransformResult split_by_lord(Json options, const std::shared_ptr<Model>& model,
                              const Calibration& data = lord_rows()) {
  if (!options.contains("allocation")) options["allocation"] = "uniform";
  return apply("lord", options, model, data);
}
std::string lord_refusal(Json options, const std::shared_ptr<Model>& model,
                         const Calibration& data = lord_rows()) {
  if (!options.contains("allocation")) options["allocation"] = "uniform";
  return refusal("lord", options, model, data);
}

std::vector<std::string> block_paths(const Model& model) {
  std::vector<std::string> paths;
  for (const auto* map : block_maps(model)) paths.push_back(map->path());
  return paths;
}

// What each map of the dense model reads, by path.
std::map<std::string, Tensor> map_inputs(Model& model) {
  std::map<std::string, Tensor> inputs;
  for (const auto& path : block_paths(model))
    inputs[path] = rows_at(model, lord_rows(), map_of(model, path).input_tap());
  return inputs;
}

// A map of `made` on what the dense model's map reads.
struct Replay {
  Tensor dense, made;  // [N, O]
  double error() const { return (dense - made).square().sum(1).mean().item<double>(); }
};
Replay replay(Model& dense, Model& made, const std::string& path, const Tensor& x) {
  const at::NoGradGuard guard;
  const auto through = [&](Model& model) {
    Context ctx;
    return map_of(model, path).forward(ctx, x);
  };
  return {through(dense), through(made)};
}

TEST(Lord, FullRankKeepsTheFunction) {
  auto model = lord_decoder();
  for (const auto& basis : output_bases())
    for (const std::string order : {"one_shot", "sequential"}) {
      const Json options = {{"rank", 4096}, {"allow_full", true}, {"basis", basis}, {"order", order}};
      EXPECT_LT(distance(*model, *split_by_lord(options, model, lord_rows(2)).model), 1e-8) << basis << order;
    }
}

TEST(Lord, TheErrorOfEachMapIsTheSumOfTheDiscardedEigenvalues) {
  auto model = lord_decoder();
  const auto inputs = map_inputs(*model);
  for (const auto& basis : output_bases()) {
    const auto result = split_by_lord({{"ratio", 0.4}, {"basis", basis}}, model);
    for (const auto& path : block_paths(*model)) {
      const double predicted = row_of(result.report, path)["predicted_error"];
      EXPECT_NEAR(replay(*model, *result.model, path, inputs.at(path)).error() / predicted, 1, 1e-4)
          << basis << " " << path;
    }
  }
}

TEST(Lord, OutputsAreMimickedBetterThanByTheWeightsAlone) {
  auto model = lord_decoder();
  const auto inputs = map_inputs(*model);
  for (const int64_t rank : {3, 24}) {
    const auto error = [&](const std::string& basis) {
      std::map<std::string, double> errors;
      const auto result = split_by_lord({{"rank", rank}, {"basis", basis}}, model);
      for (const auto& path : block_paths(*model))
        errors[path] = replay(*model, *result.model, path, inputs.at(path)).error();
      return errors;
    };
    auto centred = error("afm_centred"), uncentred = error("afm_uncentred"), svd = error("svd"),
         whitened = error("svd_whitened");
    for (const auto& path : block_paths(*model)) {
      EXPECT_LE(centred[path], svd[path] * (1 + 1e-9)) << path << rank;
      EXPECT_LE(centred[path], uncentred[path] * (1 + 1e-9)) << path << rank;
      EXPECT_LE(centred[path], whitened[path] * (1 + 1e-9)) << path << rank;
      EXPECT_LE(whitened[path], svd[path] * (1 + 1e-9)) << path << rank;
    }
  }
}

TEST(Lord, KeepsTheMeanAndAddsABiasOnlyWhereItIsCentred) {
  auto model = lord_decoder();
  const auto inputs = map_inputs(*model);
  const auto centred = split_by_lord({{"ratio", 0.4}}, model).model;
  const auto uncentred = split_by_lord({{"ratio", 0.4}, {"basis", "afm_uncentred"}}, model).model;
  for (const auto& path : block_paths(*model)) {
    const auto both = replay(*model, *centred, path, inputs.at(path));
    EXPECT_LT(largest(both.dense.mean(0) - both.made.mean(0)), 1e-5) << path;
    EXPECT_TRUE(map_of(*centred, path).bias()) << path;
    EXPECT_EQ(map_of(*uncentred, path).bias() != nullptr, map_of(*model, path).bias() != nullptr) << path;
  }
}

TEST(Lord, StreamedCovarianceIsThatOfTwoPasses) {
  auto model = lord_decoder();
  auto& map = map_of(*model, "layers.1.mixer.qkv");
  const auto y = rows_at(*model, lord_rows(), map.output_tap());
  const auto moments = collect_moments(*model, lord_rows(), {map.output_tap()}, true).at(map.output_tap());
  EXPECT_EQ(moments.count, y.size(0));
  const auto mean = moments.sum / static_cast<double>(moments.count);
  const auto streamed = moments.outer / static_cast<double>(moments.count) - at::outer(mean, mean);
  const auto centred = y - y.mean(0);
  const auto expected = centred.t().matmul(centred) / static_cast<double>(y.size(0));
  EXPECT_LT((streamed - expected).norm().item<double>(), 1e-8 * expected.norm().item<double>());
}

TEST(Lord, FactorsAreTheLeadingEigenvectors) {
  auto model = lord_decoder();
  const auto made = split_by_lord({{"rank", 5}}, model).model;
  const std::string path = "layers.0.channel.gate_up";
  const auto y = rows_at(*model, lord_rows(), map_of(*model, path).output_tap());
  const auto centred = y - y.mean(0);
  const auto vectors = std::get<0>(at::linalg_svd(centred.t(), false)).narrow(1, 0, 5);
  const auto projector = vectors.matmul(vectors.t());
  EXPECT_LT(largest(map_of(*made, path).dense() - projector.matmul(map_of(*model, path).dense())), 1e-9);
  const auto bias = y.mean(0) - projector.matmul(y.mean(0));  // c + U U^T (0 - c)
  EXPECT_LT(largest(map_of(*made, path).bias()->value - bias), 1e-9);
}

TEST(Lord, UniformRanksKeepTheShareOfEachMap) {
  auto model = lord_decoder();
  const auto report = split_by_lord({{"ratio", 0.2}}, model).report;
  for (const auto& path : block_paths(*model)) {
    const auto& map = map_of(*model, path);
    const auto row = row_of(report, path);
    const int64_t rank = 8 * map.in() * map.out() / (10 * (map.in() + map.out()));
    EXPECT_EQ(row["rank"], rank) << path;
    EXPECT_EQ(row["parameters"], rank * (map.in() + map.out()));
    EXPECT_NEAR(row["rank_reduction"], 1 - static_cast<double>(rank) / std::min(map.in(), map.out()), 1e-12);
  }
  EXPECT_EQ(row_of(split_by_lord({{"ratio", 0.2}, {"align", 8}}, model).report, "layers.0.mixer.out")["rank"],
            24);
}

TEST(Lord, RanksAndTypesCanBeGiven) {
  auto model = lord_decoder();
  const auto made = split_by_lord({{"ranks", {{"qkv", 9}, {"down", 11}}}}, model);
  EXPECT_EQ(row_of(made.report, "layers.1.mixer.qkv")["rank"], 9);
  EXPECT_EQ(row_of(made.report, "layers.0.channel.down")["rank"], 11);
  EXPECT_EQ(map_of(*made.model, "layers.0.mixer.out").type(), "dense");
  const auto only = split_by_lord({{"types", {"down"}}}, model).model;
  for (const auto& path : block_paths(*model))
    EXPECT_EQ(map_of(*only, path).type() == "low_rank", path.ends_with("down")) << path;
  for (const Json& options : {Json{{"ranks", {{"quey", 3}}}}, Json{{"types", {"quey"}}}})
    EXPECT_NE(lord_refusal(options, model).find("down, gate_up, out, qkv"), std::string::npos);
  EXPECT_NE(lord_refusal({{"ranks", {{"qkv", 0}}}}, model), "");
}

TEST(Lord, FusedMapsCanBeSplitFirst) {
  auto model = lord_decoder();
  const auto full = split_by_lord({{"rank", 4096}, {"allow_full", true}, {"split_fused", true}}, model).model;
  EXPECT_LT(distance(*model, *full), 1e-8);
  EXPECT_EQ(map_of(*full, "layers.0.mixer.qkv").type(), "stacked");
  const auto made = split_by_lord({{"ratio", 0.3}, {"split_fused", true}}, model);
  EXPECT_EQ(row_of(made.report, "layers.0.mixer.qkv.1")["type"], "key");
  EXPECT_EQ(row_of(made.report, "layers.0.channel.gate_up.0")["type"], "gate");
  EXPECT_LT(made.model->parameter_count(), model->parameter_count());
  EXPECT_TRUE(at::equal(logits(*made.model), logits(*reloaded(*made.model, "lord_split"))));
}

TEST(Lord, SequentialReadsWhatTheMapsBeforeGive) {
  auto model = lord_decoder();
  const auto made = split_by_lord({{"ratio", 0.4}, {"order", "sequential"}}, model);
  EXPECT_EQ(made.model->spec().history.size(), 1u);
  // Its prediction for the last map is the error on the inputs that this map has in the new model.
  const std::string path = "layers.1.channel.down";
  auto before = made.model;
  const auto x = rows_at(*before, lord_rows(), map_of(*before, path).input_tap());
  const at::NoGradGuard guard;
  Context ctx;
  const auto difference = map_of(*model, path).forward(ctx, x) - map_of(*before, path).forward(ctx, x);
  const double predicted = row_of(made.report, path)["predicted_error"];
  EXPECT_NEAR(difference.square().sum(1).mean().item<double>() / predicted, 1, 1e-4);
}

TEST(Lord, GreedyStepsAreTheCheapestForWhatTheySave) {
  const std::map<std::string, int64_t> types = {{"down", 100}, {"qkv", 300}};
  RankScan scan;
  scan.dense = 1.0;
  scan.points = {{"down", 0.8, 1.001}, {"down", 0.5, 1.5}, {"qkv", 0.8, 1.012}, {"qkv", 0.5, 1.1}};
  // Each of down's first 20 costs 0.00005, of qkv's first 60 0.0002, of qkv's next 90 0.00098.
  EXPECT_EQ(choose_shares(scan, types, 0.05), (Shares{{"down", 0.8}}));
  EXPECT_EQ(choose_shares(scan, types, 0.1), (Shares{{"down", 0.8}, {"qkv", 0.8}}));
  EXPECT_EQ(choose_shares(scan, types, 0.3), (Shares{{"down", 0.8}, {"qkv", 0.5}}));
  EXPECT_EQ(choose_shares(scan, types, 0), Shares());
  EXPECT_THROW(choose_shares(scan, types, 0.6), Error);
}

TEST(Lord, RatiosShareAScanAndComeOutAsAlone) {
  auto model = lord_decoder();
  auto shared = lord_rows();
  shared.findings = std::make_shared<Findings>();
  const auto options = [](double ratio) {
    return Json{{"ratio", ratio}, {"allocation", "scan"}, {"scan", {0.8, 0.6}}};
  };
  for (const double ratio : {0.2, 0.3}) {
    const auto made = split_by_lord(options(ratio), model, shared),
               alone = split_by_lord(options(ratio), model);
    EXPECT_EQ(made.report, alone.report);
    EXPECT_EQ(distance(*made.model, *alone.model), 0);
  }
  // A scan over other shares is another one.
  auto other = options(0.2);
  other["scan"] = {0.7};
  EXPECT_EQ(split_by_lord(other, model, shared).report["scan"].size(), 4u);
}

TEST(Findings, AreMadeOnceUnderEachKey) {
  Findings findings;
  int64_t made = 0;
  const std::function<int64_t()> make = [&] { return ++made; };
  EXPECT_EQ(findings.find("a", make), 1);
  EXPECT_EQ(findings.find("a", make), 1);
  EXPECT_EQ(findings.find("b", make), 2);
}

TEST(Lord, ScanMeasuresEachTypeAloneAndMeetsTheTarget) {
  auto model = lord_decoder();
  const auto made = split_by_lord({{"ratio", 0.25}, {"allocation", "scan"}, {"scan", {0.8, 0.6}}}, model);
  EXPECT_EQ(made.report["scan"].size(), 4u * 2u);
  int64_t before = 0, after = 0;
  for (const auto* map : block_maps(*model)) {
    const auto row = row_of(made.report, map->path());
    before += map->in() * map->out();
    after += row.contains("rank") ? row["parameters"].get<int64_t>() : map->in() * map->out();
  }
  EXPECT_LE(after, 0.75 * before);
  // The perplexity of one point, measured again on the rows that were held back.
  auto seen = lord_rows();
  Calibration held;
  held.batches.assign(seen.batches.end() - 2, seen.batches.end());
  seen.batches.resize(6);
  const auto alone = split_by_lord({{"ratio", 0.4}, {"types", {"out"}}}, model, seen).model;
  for (const auto& point : made.report["scan"])
    if (point["type"] == "out" && point["share"] == 0.6)
      EXPECT_NEAR(point["perplexity"], std::exp(log_perplexity(*alone, held)), 1e-9);
  EXPECT_NEAR(made.report["dense_perplexity"], std::exp(log_perplexity(*model, held)), 1e-12);
  EXPECT_NE(lord_refusal({{"scan", {0.5, 0.7}}}, model).find("descend"), std::string::npos);
}

TEST(Lord, AnEncoderIsFactorizedWithoutAScan) {
  const Json layer = {{"mixer", {{"type", "attention"}, {"heads", 4}}},
                      {"channel", {{"type", "mlp"}, {"hidden", 48}}}};
  const Json spec = {{"type", "encoder"}, {"vocab", 29}, {"width", 32}, {"layers", Json::array({layer})}};
  auto encoder = noisy({{"formwork", 1}, {"model", spec}}, at::kDouble);
  EXPECT_NE(lord_refusal({{"allocation", "scan"}}, encoder).find("allocation 'uniform'"), std::string::npos);
  EXPECT_LT(split_by_lord({{"ratio", 0.3}}, encoder).model->parameter_count(), encoder->parameter_count());
}

TEST(Lord, PerplexityIsThatOfTheNextRealToken) {
  auto model = lord_decoder();
  const auto data = calibration(true, 1, 6);
  const auto& batch = data.batches[0];
  double sum = 0;
  int64_t count = 0;
  for (int64_t row = 0; row < 4; ++row) {
    const int64_t first = row == 0 ? 5 : 0;
    const auto ids = batch.at("input_ids").narrow(0, row, 1).narrow(1, first, 6 - first);
    const at::NoGradGuard guard;
    auto ctx = model->make_context();
    const auto p = model->forward(ctx, {{"input_ids", ids}}).at("logits")[0].log_softmax(-1);
    for (int64_t t = 0; t + 1 < ids.size(1); ++t, ++count) sum -= p[t][ids[0][t + 1]].item<double>();
  }
  EXPECT_NEAR(log_perplexity(*model, data), sum / static_cast<double>(count), 1e-10);
}

TEST(Lord, FactorsAreQuantizedAndAdaptedLikeOtherMaps) {
  DecoderShape shape;
  shape.width = 64, shape.dtype = at::kFloat;
  auto model = make_decoder(shape);
  const auto made = split_by_lord({{"rank", 16}}, model).model;
  const auto small = apply("int4_rtn", {{"group", 16}}, made).model;
  EXPECT_EQ(map_of(*small, "layers.0.mixer.qkv.a").type(), "int4");
  EXPECT_LT(small->bytes(), made->bytes());
  EXPECT_LT(distance(*made, *small), 0.5);
  const auto dense = apply("to_dense", Json::object(), small).model;
  EXPECT_EQ(map_of(*dense, "layers.0.mixer.qkv").type(), "dense");
  EXPECT_LT(distance(*dense, *small), 1e-4);

  // Frozen 4-bit factors with an adapter beside the pair: bytes follow the parameters.
  const auto bytes = [](int64_t rank) {
    const Json codes = {{"type", "int4"}, {"group", 64}};
    Inventory inventory;
    inventory.spec.linear = {{"map", codes}};
    if (rank)
      inventory.spec.linear = {
          {"map", {{"type", "low_rank"}, {"rank", rank}}}, {"map.a", codes}, {"map.b", codes}};
    Build build(inventory, "", {}, {});
    LinearNeed need;
    need.in = build.global_axis("in", 256), need.out = build.global_axis("out", 512);
    return static_cast<double>(make_linear(build, "map", need)->bytes());
  };
  EXPECT_NEAR(bytes(128) / bytes(0), 128.0 * (256 + 512) / (256 * 512), 0.02);
}

Calibration one_token() {
  Calibration data;
  data.batches.push_back({{"input_ids", at::zeros({1, 1}, at::kLong)}});
  return data;
}

TEST(Lord, RefusesAndWarns) {
  auto model = lord_decoder();
  EXPECT_TRUE(
      row_of(split_by_lord({{"ranks", {{"qkv", 4096}, {"down", 4}}}}, model).report, "layers.0.mixer.qkv")
          .contains("skipped"));
  EXPECT_NE(lord_refusal({{"rank", 4096}, {"strict", true}}, model).find("saves nothing"), std::string::npos);
  EXPECT_NE(lord_refusal({{"rank", 4096}}, model)
                .find("no map is factorized (layers.1.channel.down: no rank below"),
            std::string::npos);
  EXPECT_NE(lord_refusal({{"rank", 4096}, {"strict", true}}, model).find("rank 4096 of"), std::string::npos);
  EXPECT_NE(lord_refusal({{"rank", 8}}, model, one_token()).find("too few calibration tokens"),
            std::string::npos);
  EXPECT_NE(lord_refusal({{"ranks", 5}}, model).find("found 5"), std::string::npos);
  // 4 rows of 6 tokens, 5 of them padding: 19 tokens.
  const auto few = split_by_lord({{"rank", 25}}, model, calibration(true, 1, 6));
  EXPECT_EQ(row_of(few.report, "layers.0.channel.down")["rank"], 18);
  EXPECT_NE(few.report["warnings"][0].get<std::string>().find("19 calibration tokens"), std::string::npos);
  const auto quantized = apply("llm_int8", Json::object(), make_decoder({.dtype = at::kFloat})).model;
  EXPECT_NE(lord_refusal({{"ratio", 0.3}}, quantized).find("to_dense"), std::string::npos);
  const auto whole = split_by_lord({{"ratio", 0.3}}, model);
  EXPECT_EQ(map_of(*whole.model, "embed").type(), "dense");  // the tied head too
  EXPECT_TRUE(row_of(whole.report, "embed").contains("skipped"));
  const auto untied = apply("untie", Json::object(), model).model;
  EXPECT_EQ(map_of(*split_by_lord({{"types", {"head"}}}, untied).model, "head").type(), "low_rank");
  EXPECT_NE(lord_refusal({{"types", {"head"}}}, model).find("unknown type 'head'"), std::string::npos);
  {
    const at::NoGradGuard guard;
    model->inventory().by_name.at("embed.weight")->value[7].fill_(std::nan(""));
  }
  auto data = lord_rows(3);
  for (size_t i = 0; i < 3; ++i) data.batches[i]["input_ids"].fill_(i == 2 ? 7 : 3);
  const auto reason = lord_refusal({{"ratio", 0.3}}, model, data);
  EXPECT_NE(reason.find("'layers.0.mixer.qkv.out' is not finite on batch 2"), std::string::npos) << reason;
}

}  // namespace
}  // namespace formwork
