#include "formwork/transforms/prune/drop_units.h"
#include "transforms/fixtures.h"

namespace formwork {
namespace {

std::shared_ptr<Model> deep_decoder(int64_t layers = 6, const std::string& wiring = "pre") {
  DecoderShape shape;
  shape.layers = layers, shape.wiring = wiring;
  shape.mixer["out_bias"] = true;
  return make_decoder(shape);
}

TransformResult drop(const Json& options, const std::shared_ptr<Model>& model,
                     const Calibration& data = calibration()) {
  return apply("llm_drop", options, model, data);
}
std::string drop_refusal(const Json& options, const std::shared_ptr<Model>& model) {
  return refusal("llm_drop", options, model);
}

void scale_output(Model& model, int64_t layer, double factor) {
  for (const auto* tensor : {"weight", "bias"}) {
    const auto name = fmt::format("layers.{}.mixer.out.{}", layer, tensor);
    set(model, name, model.inventory().by_name.at(name)->value.detach() * factor);
  }
}

std::map<std::string, double> scores(Model& model, const std::string& target, const Calibration& data,
                                     bool residual = true) {
  auto units = drop_units(model, target);
  score_units(model, data, units, residual);
  std::map<std::string, double> found;
  for (const auto& unit : units) found[unit.name] = unit.score;
  return found;
}

double gap(const std::map<std::string, double>& a, const std::map<std::string, double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (const auto& [name, score] : a) worst = std::max(worst, std::abs(score - b.at(name)));
  return worst;
}

TEST(LlmDrop, NothingToDropIsTheSameModel) {
  auto model = deep_decoder();
  const auto result = drop({{"n", 0}}, model);
  EXPECT_TRUE(at::equal(logits(*model), logits(*result.model)));
  EXPECT_EQ(result.report["forward_passes"], 0);
}

TEST(LlmDrop, FindsTheSubBlocksThatDoNothing) {
  auto model = deep_decoder(8);
  for (const int64_t layer : {2, 5}) scale_output(*model, layer, 1e-3);
  const auto result = drop({{"target", "attn"}, {"n", 2}}, model);
  EXPECT_EQ(result.report["drop_attn"], Json({2, 5}));
  EXPECT_EQ(result.report["drop_mlp"], Json::array());
  // The dropped model is the dense one with those outputs at zero.
  for (const int64_t layer : {2, 5}) scale_output(*model, layer, 0);
  EXPECT_LT(distance(*model, *result.model), 1e-9);
  EXPECT_EQ(result.model->segments().size(), 14u);
  for (const auto& param : result.model->inventory().params)
    EXPECT_EQ(param.name.rfind("layers.2.mixer", 0), std::string::npos) << param.name;  // the norm too
}

TEST(LlmDrop, DroppingAnythingIsZeroingItsOutput) {
  for (const std::string target : {"mlp", "all", "block"}) {
    auto model = deep_decoder(4);
    const auto result = drop({{"target", target}, {"n", 3}}, model);
    for (const auto& layer : result.report["drop_attn"]) scale_output(*model, layer.get<int64_t>(), 0);
    for (const auto& layer : result.report["drop_mlp"]) {
      const auto name = fmt::format("layers.{}.channel.down.weight", layer.get<int64_t>());
      set(*model, name, at::zeros_like(model->inventory().by_name.at(name)->value));
    }
    EXPECT_LT(distance(*model, *result.model), 1e-9) << target;
    EXPECT_EQ(result.report["dropped"].size(), 3u);
    if (target == "block") EXPECT_EQ(result.report["drop_attn"], result.report["drop_mlp"]);
  }
}

TEST(LlmDrop, WhatAddsNothingScoresZeroAndGoesFirst) {
  auto model = deep_decoder();
  scale_output(*model, 3, 0);
  EXPECT_LT(std::abs(scores(*model, "attn", calibration()).at("layers.3.mixer")), 1e-6);
  EXPECT_EQ(drop({{"target", "all"}, {"n", 1}}, model).report["dropped"], Json({"layers.3.mixer"}));
}

TEST(LlmDrop, ScoresAreThoseOfStoredStreams) {
  auto model = deep_decoder(3);
  const at::NoGradGuard guard;
  for (const std::string target : {"all", "block"}) {
    const auto found = scores(*model, target, calibration());
    std::map<std::string, std::vector<Tensor>> cosines;
    for (const auto& batch : calibration().batches)
      for (int64_t row = 0; row < 4; ++row) {  // one row at a time, without padding
        const int64_t first = row == 0 ? 5 : 0;
        auto ctx = model->make_context();
        auto streams = model->start(
            ctx, {{"input_ids", batch.at("input_ids").narrow(0, row, 1).narrow(1, first, 24 - first)}});
        const auto steps = model->segments();
        Tensor block;
        for (size_t i = 0; i < steps.size(); ++i) {
          const auto before = streams.at("residual").x;
          if (i % 2 == 0) block = before;
          model->run(ctx, static_cast<int64_t>(i), static_cast<int64_t>(i) + 1, streams);
          const auto& after = streams.at("residual").x;
          if (target == "all") cosines[steps[i]].push_back(at::cosine_similarity(before, after, 2).flatten());
          if (target == "block" && i % 2 == 1)
            cosines[fmt::format("layers.{}", i / 2)].push_back(
                at::cosine_similarity(block, after, 2).flatten());
        }
      }
    std::map<std::string, double> expected;
    for (const auto& [name, list] : cosines) expected[name] = 1 - at::cat(list).mean().item<double>();
    EXPECT_LT(gap(found, expected), 1e-6) << target;
  }
}

TEST(LlmDrop, BatchesAndPaddingDoNotChangeScores) {
  auto model = deep_decoder(3);
  const auto data = calibration(true, 2);
  Calibration single, whole;
  for (const auto& batch : data.batches)
    for (int64_t row = 0; row < 4; ++row) {
      Record one;
      for (const auto& [name, value] : batch) one[name] = value.narrow(0, row, 1);
      single.batches.push_back(one);
    }
  Record all;
  for (const auto& [name, value] : data.batches[0]) all[name] = at::cat({value, data.batches[1].at(name)});
  whole.batches.push_back(all);
  for (const bool residual : {true, false}) {
    const auto one = scores(*model, "all", single, residual);
    EXPECT_LT(gap(one, scores(*model, "all", whole, residual)), 1e-5);
    EXPECT_LT(gap(one, scores(*model, "all", data, residual)), 1e-5);
  }
}

TEST(LlmDrop, TheAblationComparesASubBlockWithItsOwnInput) {
  auto model = deep_decoder(3);
  const auto data = calibration(false, 1);
  const auto found = scores(*model, "attn", data, /*residual=*/false);
  auto board = model->make_board();
  Tensor in, out;
  board.read("layers.1.mixer.norm.out", [&](const TapEvent&, const Tensor& x) { in = x; });
  board.read("layers.1.mixer.out", [&](const TapEvent&, const Tensor& x) { out = x; });
  run_calibration(*model, data, board);
  EXPECT_NEAR(found.at("layers.1.mixer"), 1 - at::cosine_similarity(in, out, 2).mean().item<double>(), 1e-6);
  EXPECT_GT(gap(found, scores(*model, "attn", data)), 0.1);
}

TEST(LlmDrop, ConsecutiveRunsAreScoredAsOne) {
  auto model = deep_decoder(5);
  EXPECT_EQ(drop({{"target", "block"}, {"n", 1}}, model).report["dropped"],
            drop({{"target", "block"}, {"n", 1}, {"selection", "consecutive"}}, model).report["dropped"]);
  // The run with the highest cosine between the streams before its first and after its last block.
  const at::NoGradGuard guard;
  std::vector<std::vector<Tensor>> signals;
  for (const auto& batch : calibration(false).batches) {
    auto ctx = model->make_context();
    auto streams = model->start(ctx, batch);
    signals.push_back({streams.at("residual").x});
    for (int64_t i = 0; i < 10; i += 2) {
      model->run(ctx, i, i + 2, streams);
      signals.back().push_back(streams.at("residual").x);
    }
  }
  int64_t best = 0;
  double highest = -1;
  for (int64_t i = 0; i + 2 <= 5; ++i) {
    double sum = 0;
    for (const auto& h : signals)
      sum += at::cosine_similarity(h[static_cast<size_t>(i)], h[static_cast<size_t>(i + 2)], 2)
                 .mean()
                 .item<double>();
    if (sum > highest) highest = sum, best = i;
  }
  const Json run = {{"target", "block"}, {"n", 2}, {"selection", "consecutive"}};
  EXPECT_EQ(drop(run, model, calibration(false)).report["drop_attn"], Json({best, best + 1}));
  auto broken = run;
  broken["protect"] = {1, 3};
  EXPECT_NE(drop_refusal(broken, model).find("no run of 2"), std::string::npos);
  broken["protect"] = {static_cast<double>(best)};
  const auto report = drop(broken, model, calibration(false)).report;
  for (const auto& layer : report["drop_attn"]) EXPECT_NE(layer, best);
}

TEST(LlmDrop, IterativeScoresAgainAfterEachRound) {
  auto model = deep_decoder(4);
  const auto result = drop({{"target", "all"}, {"n", 3}, {"schedule", "iterative"}}, model);
  EXPECT_EQ(result.report["rounds"], 3);
  EXPECT_EQ(result.report["forward_passes"], 3 * 2);
  auto by_hand = model;
  Json dropped = Json::array();
  for (int round = 0; round < 3; ++round) {
    const auto one = drop({{"target", "all"}, {"n", 1}}, by_hand);
    dropped.push_back(one.report["dropped"][0]);
    by_hand = one.model;
  }
  EXPECT_EQ(result.report["dropped"], dropped);
  EXPECT_LT(distance(*result.model, *by_hand), 1e-15);
  EXPECT_EQ(result.model->spec().history.size(), 1u);
  const auto pairs = drop({{"target", "all"}, {"n", 3}, {"schedule", "iterative"}, {"per_round", 2}}, model);
  EXPECT_EQ(pairs.report["rounds"], 2);
  EXPECT_EQ(drop({{"target", "all"}, {"n", 3}}, model).report["forward_passes"], 2);  // one pass a batch
}

TEST(LlmDrop, StateIsHeldByTheAttentionsThatAreLeft) {
  auto model = deep_decoder(6);
  const at::NoGradGuard guard;
  const auto ids = at::arange(24, at::kLong).view({2, 12});
  const auto decoded = [&](Model& of, int64_t& bytes) {
    auto ctx = of.make_context();
    StateOptions options;
    options.batch = 2, options.dtype = at::kDouble;
    auto state = of.make_state(ctx, {}, options);
    std::vector<Tensor> parts;
    for (const auto& piece : ids.split_with_sizes({4, 1, 7}, 1))
      parts.push_back(of.append(ctx, {{"input_ids", piece}}, state)["logits"]);
    bytes = state.bytes();
    return at::cat(parts, 1);
  };
  const auto dropped = drop({{"target", "attn"}, {"n", 3}}, model).model;
  int64_t all = 0, left = 0;
  EXPECT_LT(largest(decoded(*model, all) - logits(*model)), 1e-9);
  EXPECT_LT(largest(decoded(*dropped, left) - logits(*dropped)), 1e-9);
  EXPECT_EQ(left * 6, all * 3);
}

TEST(LlmDrop, ProtectedLayersStay) {
  auto model = deep_decoder(4);
  for (const int64_t layer : {0, 3}) scale_output(*model, layer, 0);
  const auto report = drop({{"target", "attn"}, {"n", 1}, {"protect", {0, 3}}}, model).report;
  EXPECT_TRUE(report["drop_attn"] == Json({1}) || report["drop_attn"] == Json({2}));
}

TEST(LlmDrop, CrossAttentionIsATargetOfItsOwn) {
  const Json attention = {{"type", "attention"}, {"heads", 2}};
  Json cross = attention;
  cross["memory"] = "memory";
  const Json channel = {{"type", "mlp"}, {"hidden", 24}};
  const Json model = {
      {"type", "encoder_decoder"},
      {"vocab", 29},
      {"width", 16},
      {"encoder_layers", Json::array({{{"mixer", attention}, {"channel", channel}}})},
      {"decoder_layers",
       {{"repeat", 3},
        {"pattern", Json::array({{{"mixer", attention}, {"cross", cross}, {"channel", channel}}})}}}};
  auto pair = noisy({{"formwork", 1}, {"model", model}}, at::kDouble);
  Calibration data;
  at::manual_seed(2);
  data.batches.push_back({{"input_ids", at::randint(29, {3, 7}, at::kLong)},
                          {"decoder_input_ids", at::randint(29, {3, 9}, at::kLong)}});
  for (const std::string target : {"attn", "mlp", "all", "cross"})
    for (const auto& unit : drop_units(*pair, target)) {
      EXPECT_EQ(unit.name.ends_with(".cross"), target == "cross") << unit.name;
      EXPECT_EQ(unit.name.rfind("decoder.", 0), 0u) << unit.name;
    }
  const auto result = drop({{"target", "cross"}, {"n", 1}}, pair, data);
  const auto layer = result.report["drop_cross"][0].get<int64_t>();
  set(*pair, fmt::format("decoder.layers.{}.cross.out.weight", layer), at::zeros({16, 16}, at::kDouble));
  const at::NoGradGuard guard;
  const auto out = [&](Model& of) {
    auto ctx = of.make_context();
    return of.forward(ctx, data.batches[0])["logits"];
  };
  EXPECT_LT(largest(out(*pair) - out(*result.model)), 1e-9);
}

TEST(LlmDrop, ParallelBlocksGoWhole) {
  auto model = deep_decoder(4, "parallel");
  EXPECT_NE(drop_refusal({{"target", "attn"}, {"n", 1}}, model).find("parallel block"), std::string::npos);
  const auto result = drop({{"target", "block"}, {"n", 1}}, model);
  EXPECT_EQ(result.model->segments().size(), 3u);
  EXPECT_EQ(result.report["drop_attn"], result.report["drop_mlp"]);
}

TEST(LlmDrop, QuantizedModelsAreDroppedAsTheyAre) {
  DecoderShape shape;
  shape.layers = 4, shape.dtype = at::kFloat;
  const auto quantized = apply("llm_int8", Json::object(), make_decoder(shape)).model;
  const auto result = drop({{"target", "all"}, {"n", 3}}, quantized);
  EXPECT_LT(result.model->bytes(), quantized->bytes());
  EXPECT_TRUE(at::equal(logits(*result.model), logits(*reloaded(*result.model, "dropped_int8"))));
}

TEST(LlmDrop, RecoveryLeavesUpdatesToTrain) {
  auto model = deep_decoder(4);
  const auto dropped = drop({{"n", 2}}, model).model;
  const auto adapted = drop({{"n", 2}, {"recovery", "lora"}, {"lora_rank", 2}}, model).model;
  EXPECT_LT(distance(*dropped, *adapted), 1e-12);
  EXPECT_EQ(map_of(*adapted, "layers.0.channel.down").type(), "lora");
}

TEST(LlmDrop, SpearmanIsTheCorrelationOfRanks) {
  EXPECT_EQ(spearman({1, 2, 3, 4}, {10, 20, 30, 400}), 1);
  EXPECT_EQ(spearman({1, 2, 3, 4}, {4, 3, 2, 1}), -1);
  EXPECT_NEAR(spearman({1, 2, 3, 4, 5}, {2, 1, 4, 3, 5}), 0.8, 1e-12);
  EXPECT_NEAR(spearman({1, 1, 2}, {1, 2, 3}), std::sqrt(3.0) / 2, 1e-12);
  EXPECT_EQ(spearman({1, 1}, {1, 2}), 0);
  EXPECT_THROW(spearman({1}, {1, 2}), Error);
}

TEST(LlmDrop, ScoresAreComparedAlongARunAndAcrossData) {
  auto early = deep_decoder(5), late = deep_decoder(5);
  for (const int64_t layer : {1, 2}) scale_output(*late, layer, 0.01);
  const auto run = score_agreement({early, late}, {calibration()}, "attn");
  EXPECT_EQ(run["units"].size(), 5u);
  EXPECT_EQ(run["scores"].size(), 2u);
  EXPECT_EQ(run["spearman"][0][0], 1);
  EXPECT_EQ(run["spearman"][0][1], run["spearman"][1][0]);
  const auto first = run["scores"][0].get<std::vector<double>>(),
             second = run["scores"][1].get<std::vector<double>>();
  EXPECT_EQ(run["spearman"][0][1], spearman(first, second));
  const auto sets = score_agreement({early}, {calibration(true, 1), calibration(true, 4)}, "attn");
  EXPECT_EQ(sets["scores"].size(), 2u);
  EXPECT_THROW(score_agreement({early, deep_decoder(4)}, {calibration()}, "attn"), Error);
}

TEST(LlmDrop, AStreamThatIsNotFiniteHasNoScore) {
  auto model = deep_decoder(4);
  scale_output(*model, 2, NAN);
  EXPECT_NE(drop_refusal({{"n", 1}}, model).find("the score of 'layers.2.mixer' is not finite"),
            std::string::npos);
}

TEST(LlmDrop, RefusesAndWarns) {
  auto model = deep_decoder(4);
  EXPECT_NE(drop_refusal({{"target", "attn"}, {"n", 4}}, model).find("cannot drop 4 of 4"),
            std::string::npos);
  EXPECT_NE(drop_refusal({{"target", "attn"}, {"n", 4}}, model).find("from 0 to 3"), std::string::npos);
  EXPECT_NE(drop_refusal({{"target", "cross"}, {"n", 1}}, model).find("no unit of target 'cross'"),
            std::string::npos);
  for (const double layer : {9.0, 0.5, -1.0})
    EXPECT_NE(drop_refusal({{"n", 1}, {"protect", {layer}}}, model).find("is in layers 0, 1, 2, 3"),
              std::string::npos)
        << layer;
  EXPECT_NE(drop_refusal({{"target", "attention"}}, model).find("attn"), std::string::npos);
  EXPECT_NE(drop_refusal({{"n", 2}, {"selection", "consecutive"}}, model).find("drops blocks"),
            std::string::npos);
  EXPECT_NE(drop_refusal({{"target", "block"}, {"residual_in_score", false}}, model), "");
  EXPECT_NE(drop_refusal({{"n", 1}}, deep_decoder(4, "post")).find("post-norm"), std::string::npos);
  EXPECT_EQ(drop_refusal({{"n", 1}}, deep_decoder(4, "sandwich")), "");
  const auto sliced = apply("slicegpt", {{"sparsity", 0.25}}, model).model;
  EXPECT_NE(drop_refusal({{"n", 1}}, sliced).find("drop first, then slice"), std::string::npos);
  EXPECT_EQ(refusal("slicegpt", Json::object(), drop({{"n", 1}}, model).model), "");
  Calibration one;
  one.batches.push_back({{"input_ids", at::arange(12, at::kLong).view({1, 12})}});
  EXPECT_EQ(drop({{"n", 1}}, model, one).report["warnings"].size(), 1u);
  EXPECT_EQ(drop({{"n", 1}}, model).report["warnings"].size(), 0u);
  EXPECT_NE(refusal("llm_drop", {{"n", 1}}, model, Calibration{}).find("no calibration data"),
            std::string::npos);
}

}  // namespace
}  // namespace formwork
