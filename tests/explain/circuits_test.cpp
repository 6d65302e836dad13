#include <set>

#include "explain/small_heads.h"
#include "formwork/core/file.h"
#include "formwork/explain/circuits/circuit_search.h"
#include "formwork/explain/circuits/prompts_file.h"
#include "formwork/explain/probe.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

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
