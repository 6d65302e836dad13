#include "explain/small_heads.h"

namespace formwork {
namespace {

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

}  // namespace
}  // namespace formwork
