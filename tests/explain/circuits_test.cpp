#include <gtest/gtest.h>

#include <set>

#include "formwork/core/file.h"
#include "formwork/explain/circuits/circuit_search.h"
#include "formwork/explain/circuits/prompts_file.h"
#include "formwork/explain/probe.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

constexpr int64_t kVocab = 11, kTokens = 5, kRows = 3, kHeads = 2;

std::shared_ptr<Model> built(const Json& model) {
  auto made = build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"), 3, at::kDouble);
  const at::NoGradGuard guard;
  at::manual_seed(4);
  for (auto& param : made->inventory().params)
    if (param.trainable()) param.value.add_(at::randn_like(param.value), 0.2);
  return made;
}

Json decoder_json(const Json& more = Json::object()) {
  Json model = {
      {"type", "decoder"},
      {"vocab", kVocab},
      {"width", 8},
      {"tie", false},
      {"norm", "layer_norm"},
      {"position", {{"type", "learned"}, {"context", 8}}},
      {"layers",
       {{"repeat", 3},
        {"pattern",
         Json::array(
             {{{"norm", "layer_norm"},
               {"mixer", {{"type", "attention"}, {"heads", kHeads}, {"bias", true}, {"out_bias", true}}},
               {"channel", {{"type", "mlp"}, {"hidden", 12}}}}})}}}};
  model.update(more);
  return model;
}

Record rows_of(int64_t seed, int64_t rows = kRows, int64_t tokens = kTokens) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return {{"input_ids", at::randint(kVocab, {rows, tokens}, at::kLong)}};
}

Tensor logits_of(Model& model, const Record& rows) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, rows).at("logits").select(1, -1);
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// A model and what its heads did.
struct Seen {
  std::shared_ptr<Model> model;
  std::vector<HeadSite> sites;
  HeadRecord prompts;
  std::vector<HeadActivations> means;

  explicit Seen(const Json& json = decoder_json(), const Record& rows = rows_of(1))
      : model(built(json)),
        sites(head_sites(*model)),
        prompts(record_heads(*model, sites, rows)),
        means(head_means(record_heads(*model, sites, rows_of(2, 7)))) {}
  NodeScores scores(SplitRules rules = {"split", "exact", "remainder", "mlp"}, SourceOptions options = {}) {
    return {*model, sites, prompts, means, std::move(rules), std::move(options)};
  }
};

const std::vector<Node> kSources{{0, 1, 0}, {0, 4, 1}, {1, 2, 1}, {1, 4, 0}, {2, 4, 1}};

TEST(HeadSites, AreFoundByRolesAndAxes) {
  const auto check = [](const char* mixer, int64_t shared) {
    auto json = decoder_json();
    json["layers"]["pattern"][0]["mixer"] = Json::parse(mixer);
    const Seen seen(json);
    ASSERT_EQ(seen.sites.size(), 3u);
    EXPECT_EQ(seen.sites[1].mixer, "layers.1.mixer");
    EXPECT_EQ(seen.sites[1].segment, 2);
    EXPECT_EQ(seen.sites[1].heads(), 4);
    EXPECT_EQ(seen.sites[1].key.heads, shared);
    const auto& layer = seen.prompts.layers[1];
    for (const auto& x : {layer.result, layer.query, layer.key, layer.value})
      EXPECT_EQ(x.sizes(), (std::vector<int64_t>{kRows, kTokens, 4, 2}));
    // Queries and keys make the weights, and weights and values the results.
    const auto scores = at::einsum("bthd,bshd->bhts", {layer.query, layer.key}) / std::sqrt(2.0);
    const auto masked = scores.masked_fill(at::ones({kTokens, kTokens}, at::kBool).triu(1), -INFINITY);
    EXPECT_LT(gap(masked.softmax(-1), layer.weights), 1e-12);
    EXPECT_LT(gap(at::einsum("bhts,bshd->bthd", {layer.weights, layer.value}), layer.result), 1e-12);
  };
  check(R"({"type": "attention", "heads": 4, "bias": true})", 4);
  check(R"({"type": "attention", "heads": 4, "kv_heads": 2})", 2);
  check(R"({"type": "attention", "heads": 4, "fused": false})", 4);
}

TEST(HeadRecord, LeavingHeadsOutIsReplacingTheirResults) {
  const at::NoGradGuard guard;
  Seen seen;
  auto keep = at::ones({2, 3, kTokens, kHeads}, at::kBool);
  keep[1][1][3][0] = false;
  const auto found = ablated_logits(*seen.model, seen.sites, seen.prompts, seen.means, keep, 1).select(2, -1);
  EXPECT_LT(gap(found[0], logits_of(*seen.model, rows_of(1))), 1e-12);
  auto board = seen.model->make_board();
  board.listen("layers.1.mixer.out.in", [&](Context&, const TapEvent&, const Tensor& x) {
    auto y = x.clone();
    y.select(1, 3).narrow(-1, 0, 4) = seen.means[1].result[3][0].expand({kRows, 4});
    return y;
  });
  auto ctx = seen.model->make_context(&board);
  EXPECT_LT(gap(found[1], seen.model->forward(ctx, rows_of(1)).at("logits").select(1, -1)), 1e-12);
  EXPECT_GT(gap(found[1], found[0]), 1e-3);
}

TEST(NodeScores, SidesMakeUpTheLogits) {
  Seen seen;
  const auto logits = logits_of(*seen.model, rows_of(1));
  for (const char* attention : {"frozen", "split"})
    for (const char* inject : {"zero", "mean"}) {
      auto scores = seen.scores({attention, "exact", "remainder", "mlp"}, {inject, 2});
      const auto found = scores.logits(kSources);
      ASSERT_EQ(found.relevant.sizes(), (std::vector<int64_t>{5, kRows, kVocab}));
      EXPECT_LT((found.whole() - logits).abs().max().item<double>(), 1e-10);
      EXPECT_GT(found.relevant.abs().amax({1, 2}).min().item<double>(), 1e-4);
    }
}

// However the sources are put into passes, and wherever these begin.
TEST(NodeScores, DoNotDependOnTheirPasses) {
  Seen seen;
  auto together = seen.scores(), alone = seen.scores({"split", "exact", "remainder", "mlp"}, {"mean", 1});
  EXPECT_LT(gap(together.logits(kSources).relevant, alone.logits(kSources).relevant), 1e-12);
  const std::vector<Node> targets{{1, 3, 0}, {2, 4, 0}};
  for (const char* place : {"z", "query", "key", "value"}) {
    const TargetRead read{place, "own", "l1"};
    EXPECT_LT(gap(together.at_targets(kSources, targets, read), alone.at_targets(kSources, targets, read)),
              1e-12);
  }
}

// Without biases, norms and repair, with identity activations and frozen attention, what a head contributes
// is the sum over its paths: past or through each MLP, past or through each head of the later layer.
TEST(NodeScores, AHeadsShareIsTheSumOverItsPaths) {
  const at::NoGradGuard guard;
  auto json = decoder_json({{"norm", "identity"}});
  json["layers"] = {
      {"repeat", 2},
      {"pattern",
       Json::array(
           {{{"norm", "identity"},
             {"mixer", {{"type", "attention"}, {"heads", kHeads}, {"fused", false}}},
             {"channel", {{"type", "mlp"}, {"hidden", 12}, {"bias", false}, {"activation", "identity"}}}}})}};
  Seen seen(json);
  const auto weight = [&](const std::string& path) {
    return seen.model->inventory().by_name.at(path + ".weight")->value;
  };
  const auto mlp = [&](int64_t layer) {
    const auto path = fmt::format("layers.{}.channel.", layer);
    return weight(path + "down").matmul(weight(path + "up"));
  };
  constexpr int64_t kWidth = 4, kPlace = 2, kHead = 1, kLast = kTokens - 1;
  const auto head_out = [&](int64_t layer, int64_t head) {
    return weight(fmt::format("layers.{}.mixer.out", layer)).narrow(1, head * kWidth, kWidth);
  };
  auto scores = seen.scores({}, {"zero", 0});
  const auto found = scores.logits({{0, kPlace, kHead}, {0, kLast, kHead}}).relevant;
  const auto& weights = seen.prompts.layers[1].weights;
  for (int64_t b = 0; b < kRows; ++b) {
    // From place kPlace only the heads of layer 1 lead to the last token.
    const auto z = seen.prompts.layers[0].result[b][kPlace][kHead];
    auto expected = at::zeros({kVocab}, at::kDouble);
    for (const bool first : {false, true})
      for (int64_t head = 0; head < kHeads; ++head)
        for (const bool second : {false, true}) {
          auto x = head_out(0, kHead).matmul(z);
          if (first) x = mlp(0).matmul(x);
          const auto value = weight("layers.1.mixer.value").narrow(0, head * kWidth, kWidth).matmul(x);
          x = head_out(1, head).matmul(value) * weights[b][head][kLast][kPlace];
          if (second) x = mlp(1).matmul(x);
          expected += weight("head").matmul(x);
        }
    EXPECT_LT(gap(found[0][b], expected), 1e-12);
  }
}

TEST(NodeScores, TargetsAreReadWhereTheyAre) {
  const at::NoGradGuard guard;
  Seen seen;
  auto scores = seen.scores({"split", "exact", "remainder", "none"}, {"zero", 0});
  const Node target{1, 4, 1};
  // The whole of layer 0 as the source leaves the key's share of the size between 0 and 1.
  const auto own = scores.at_targets({{0, 4, 0}}, {target}, {"key", "own", "l1"});
  EXPECT_GT(own.item<double>(), 0);
  EXPECT_LT(own.item<double>(), 1);
  // Keys at every place, by attention: a source at place 2 shows at the key of place 2 alone.
  const auto attended = scores.at_targets({{0, 2, 0}}, {target}, {"key", "attended", "l1"}).item<double>();
  const auto at_two = scores.at_targets({{0, 2, 0}}, {{1, 2, 1}}, {"key", "own", "l1"}).item<double>();
  const auto& paid = seen.prompts.layers[1].weights.select(1, 1).select(1, 4).select(1, 2);
  EXPECT_GT(attended, paid.min().item<double>() * at_two - 1e-12);
  EXPECT_LT(attended, paid.max().item<double>() * at_two + 1e-12);
  EXPECT_EQ(scores.at_targets({{0, 2, 0}}, {target}, {"key", "own", "l1"}).item<double>(), 0);
  // A source that is a target counts nothing, and so does one that no path leads from.
  const auto table = scores.at_targets({{1, 4, 1}, {0, 1, 0}, {2, 4, 0}}, {target}, {"z", "own", "dot"});
  EXPECT_EQ(table[0].item<double>(), 0);
  EXPECT_EQ(table[2].item<double>(), 0);
  EXPECT_NE(table[1].item<double>(), 0);
}

TEST(NodeScores, ShareOfLayerBySumOrBySize) {
  const std::vector<Node> nodes{{0, 0, 0}, {0, 1, 0}, {1, 0, 0}, {1, 1, 0}, {2, 0, 0}};
  const auto scores = at::tensor({1.0, -3.0, 2.0, 2.0, 0.0}, at::kDouble);
  EXPECT_TRUE(at::equal(share_of_layer(scores, nodes, "absolute"),
                        at::tensor({0.25, -0.75, 0.5, 0.5, 0.0}, at::kDouble)));
  // The published sum turns the order of layer 0 around.
  EXPECT_LT(gap(share_of_layer(scores, nodes, "signed"), at::tensor({-0.5, 1.5, 0.5, 0.5, 0.0}, at::kDouble)),
            1e-12);
}

template <class Work>
void refused(const Work& work, const std::string& piece) {
  try {
    work();
    ADD_FAILURE() << "no error; expected one with: " << piece;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(piece), std::string::npos) << error.what();
  }
}

TEST(NodeScores, Refuse) {
  Seen seen;
  auto scores = seen.scores();
  refused([&] { scores.logits({{3, 0, 0}}); }, "expected a layer from 0 to 2");
  refused([&] { scores.logits({{0, 5, 0}}); }, "expected a position from 0 to 4");
  refused([&] { scores.logits({{0, 0, -1}}); }, "expected a head from 0 to 1");
  refused([&] { scores.at_targets({{0, 0, 0}}, {{1, 0, 2}}, {}); }, "target [1, 0, 2]");
  refused(
      [&] {
        scores.at_targets({{1, 0, 0}, {2, 0, 0}}, {{1, 4, 0}}, {});
      },
      "a source in an earlier layer");
  refused(
      [&] {
        scores.at_targets({{0, 0, 0}}, {{1, 4, 0}}, {"query", "attended", "l1"});
      },
      "of keys and values");
  const std::vector<HeadActivations> none;
  refused(
      [&] {
        NodeScores(*seen.model, seen.sites, seen.prompts, none, {}, {"mean", 0});
      },
      "means of a reference set");
  NodeScores zero(*seen.model, seen.sites, seen.prompts, none, {}, {"zero", 0});
  refused([&] { zero.at_targets({{0, 0, 0}}, {{1, 4, 0}}, {"z", "own", "dot"}); }, "'dot' expects means");
  const auto longer = head_means(record_heads(*seen.model, seen.sites, rows_of(2, 2, 6)));
  refused([&] { NodeScores(*seen.model, seen.sites, seen.prompts, longer, {}, {}); },
          "at the 5 places of the prompts, found 6");
  auto padded = rows_of(1);
  padded["attention_mask"] = at::ones({kRows, kTokens}, at::kLong);
  padded["attention_mask"][1][4] = 0;
  refused([&] { record_heads(*seen.model, seen.sites, padded); }, "rows of one length");
  auto json = decoder_json();
  json["layers"]["pattern"][0]["mixer"] = "mamba";
  refused([&] { Seen(json).scores(); }, "attention with heads, found none");
}

CircuitPrompts prompts_of() {
  return {rows_of(1), at::tensor({1, 2, 3}, at::kLong), at::tensor({4, 5, 6}, at::kLong), rows_of(2, 7)};
}

CircuitOptions options_of(std::vector<TargetRead> reads = {{}}) {
  CircuitOptions options;
  options.rules = {"split", "exact", "remainder", "mlp"};
  options.reads = std::move(reads), options.keep_per_round = 3;
  return options;
}

TEST(CircuitFinder, SearchGoesBackToTheFirstLayer) {
  const auto model = built(decoder_json());
  CircuitFinder finder(*model, prompts_of(), options_of({{}, {"key", "attended", "l1"}}));
  const auto rounds = finder.search();
  ASSERT_GE(rounds.size(), 3u);
  // The first keeps the best three against the logits.
  const auto all = finder.scores().all();
  ASSERT_EQ(all.size(), 3u * kTokens * kHeads);
  const auto scores = finder.logit_scores(all);
  // Those of score 0 have no way to the answer.
  const auto best = std::get<1>(scores.masked_fill(scores == 0, -INFINITY).topk(3));
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(rounds[0].kept[static_cast<size_t>(i)].node, all[static_cast<size_t>(best[i].item<int64_t>())]);
    EXPECT_NEAR(rounds[0].kept[static_cast<size_t>(i)].score, scores[best[i]].item<double>(), 1e-12);
  }
  for (size_t i = 1; i < rounds.size(); ++i) {
    const auto latest = std::max_element(rounds[i].targets.begin(), rounds[i].targets.end())->layer;
    EXPECT_GT(latest, 0);
    for (const auto& kept : rounds[i].kept) {
      EXPECT_LT(kept.node.layer, latest);
      EXPECT_EQ(kept.at_targets.size(), rounds[i].targets.size());
    }
  }
  const auto circuit = union_of(rounds);
  EXPECT_EQ(std::set<Node>(circuit.begin(), circuit.end()).size(), circuit.size());
  for (const auto& round : rounds)
    for (const auto& kept : round.kept) EXPECT_TRUE(std::count(circuit.begin(), circuit.end(), kept.node));
}

TEST(CircuitFinder, FaithfulnessIsOneForAllHeadsAndZeroForNone) {
  const auto model = built(decoder_json());
  CircuitFinder finder(*model, prompts_of(), options_of());
  const auto all = finder.scores().all();
  const auto ends = finder.faithfulness({{}, all});
  EXPECT_NEAR(ends[0], 0, 1e-12);
  EXPECT_NEAR(ends[1], 1, 1e-12);
  const auto logits = logits_of(*model, rows_of(1));
  const auto prompts = prompts_of();
  const auto m =
      (logits.gather(1, prompts.answers.unsqueeze(1)) - logits.gather(1, prompts.foils.unsqueeze(1))).mean();
  EXPECT_NEAR(finder.metric({all})[0], m.item<double>(), 1e-12);
  // Pruning only ever raises it, and stops where leaving out any one lowers it.
  std::vector<Node> left_out;
  const auto before = std::vector<Node>(all.begin(), all.begin() + 12);
  const auto after = finder.pruned(before, left_out);
  EXPECT_EQ(after.size() + left_out.size(), before.size());
  const auto best = finder.faithfulness({after})[0];
  EXPECT_GE(best, finder.faithfulness({before})[0]);
  for (size_t i = 0; i < after.size(); ++i) {
    auto without = after;
    without.erase(without.begin() + static_cast<int64_t>(i));
    EXPECT_LE(finder.faithfulness({without})[0], best);
  }
}

TEST(CircuitFinder, Refuses) {
  const auto model = built(decoder_json());
  auto prompts = prompts_of();
  prompts.foils[1] = 2;
  refused([&] { CircuitFinder(*model, prompts, options_of()); },
          "an answer and a foil that differ, found 2 for both in prompt 1");
  prompts.foils[1] = kVocab;
  refused([&] { CircuitFinder(*model, prompts, options_of()); }, "foils from 0 to 10, found 11");
  prompts = prompts_of();
  prompts.answers = at::tensor({1, 2}, at::kLong);
  refused([&] { CircuitFinder(*model, prompts, options_of()); }, "one answer for each of 3 prompts");
  prompts = prompts_of();
  prompts.reference = {};
  refused([&] { CircuitFinder(*model, prompts, options_of()); }, "means of a reference set");
  prompts.reference = rows_of(2, 4, 6);
  refused([&] { CircuitFinder(*model, prompts, options_of()); }, "found 6");
}

class PromptsFile : public testing::Test {
 protected:
  std::string write(const std::string& text) {
    const auto path = (folder_ / "prompts.json").string();
    write_atomically(path, text);
    return path;
  }
  TemporaryFolder folder_;
};

TEST_F(PromptsFile, AreRead) {
  const auto prompts = read_prompts(write(R"({"prompts": [{"tokens": [1, 2], "answer": 3, "foil": 4},
      {"tokens": [5, 6], "answer": 7, "foil": 8}], "reference": [[9, 10]]})"),
                                    {});
  EXPECT_TRUE(at::equal(prompts.rows.at("input_ids"), at::tensor({1, 2, 5, 6}, at::kLong).view({2, 2})));
  EXPECT_TRUE(at::equal(prompts.answers, at::tensor({3, 7}, at::kLong)));
  EXPECT_TRUE(at::equal(prompts.foils, at::tensor({4, 8}, at::kLong)));
  EXPECT_TRUE(at::equal(prompts.reference.at("input_ids"), at::tensor({9, 10}, at::kLong).view({1, 2})));
}

TEST_F(PromptsFile, ThatAreWrongAreRefused) {
  const auto says = [&](const std::string& text, const std::string& piece) {
    refused([&] { read_prompts(write(text), {}); }, piece);
  };
  says("[1]", "an object with 'prompts'");
  says("{}", "a list 'prompts' that is not empty");
  says(R"({"prompts": [{"tokens": [1], "answer": 2}]})", "prompt 0: expected 'foil'");
  says(
      R"({"prompts": [{"tokens": [1], "answer": 2, "foil": 3}, {"tokens": [1, 2], "answer": 2, "foil": 3}]})",
      "prompts of one length, 1 tokens as the first, found one of 2");
  says(R"({"prompts": [{"tokens": ["a"], "answer": 2, "foil": 3}]})", "integer ids, found \"a\"");
  says(R"({"prompts": [{"text": "a", "answer": 2, "foil": 3}]})", "no tokenizer");
  says(R"({"prompts": [{"tokens": [1], "answer": 2, "foil": 3}], "reference": []})", "'reference'");
}

Json probe_report(Model& model, const Json& options, const std::vector<Record>& batches) {
  return Registry<Probe>::make(PartSpec("cdt_circuit", options))->run(model, batches);
}

TEST(CdtCircuitProbe, FindsACircuitAndDrawsIt) {
  const auto model = built(decoder_json());
  const auto probe = Registry<Probe>::make(PartSpec("cdt_circuit", {{"keep_per_round", 3}}));
  const auto report = probe->run(*model, {rows_of(1), rows_of(2)});
  EXPECT_EQ(report["prompts"], 2 * kRows);
  EXPECT_EQ(report["tokens"], kTokens);
  EXPECT_GE(report["faithfulness"], report["before pruning"]);
  EXPECT_FALSE(report["rounds"].empty());
  Page page("test");
  probe->draw(page, report);
  EXPECT_NE(page.html().find("layer.head@position"), std::string::npos);
}

TEST(CdtCircuitProbe, ScoresSourcesAtTargets) {
  const auto model = built(decoder_json());
  const auto report = probe_report(
      *model, {{"sources", {{0, 1, 0}, {0, 2, 1}}}, {"targets", {{1, 4, 1}}}, {"target_score", "l1"}},
      {rows_of(1)});
  ASSERT_EQ(report["scores"].size(), 2u);
  double sum = 0;
  for (const auto& row : report["scores"]) sum += row["score"].get<double>();
  EXPECT_NEAR(sum, 1, 1e-9);
  refused([&] { probe_report(*model, {{"sources", {{0, 1}}}}, {rows_of(1)}); }, "[[layer, position, head]]");
  refused(
      [&] {
        probe_report(*model, {{"sources", {{9, 1, 0}}}}, {rows_of(1)});
      },
      "expected a layer from 0 to 2, found 9");
  refused(
      [&] {
        probe_report(*model, {{"targets", {{0, 1, 0}}}}, {rows_of(1)});
      },
      "a source in an earlier layer");
}

}  // namespace
}  // namespace formwork
