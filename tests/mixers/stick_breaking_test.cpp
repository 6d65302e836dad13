#include "formwork/mixers/attention/stick_breaking.h"

#include <gtest/gtest.h>

#include "formwork/mixers/attention/stick_breaking_fused.h"
#include "mixer_alone.h"

namespace formwork {
namespace {

Tensor score_weights(const Tensor& logits, const Tensor& permitted) {
  Inventory inventory;
  Build build(inventory, "score", {}, {});
  Context ctx;
  return Registry<Score>::make(build, "stick_breaking")->weights(ctx, logits, permitted);
}

Tensor causal(int64_t tokens) { return at::ones({1, 1, tokens, tokens}, at::kBool).tril(); }

TEST(StickBreakingScore, GoldenRows) {
  const auto row = at::tensor({0.0, std::log(3.0), -std::log(3.0)}, at::kDouble).view({1, 1, 1, 3});
  const auto weights = score_weights(row, {}).flatten();
  EXPECT_LT(distance(weights, at::tensor({0.09375, 0.5625, 0.25}, at::kDouble)), 1e-12);
  EXPECT_NEAR(weights.sum().item<double>(), 0.90625, 1e-12);

  const auto even = score_weights(at::zeros({1, 1, 6, 6}, at::kDouble), causal(6))[0][0];
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = 0; j < 6; ++j)
      EXPECT_NEAR(even[i][j].item<double>(), j <= i ? std::pow(2.0, -(i - j + 1)) : 0, 1e-15);

  const auto sure = score_weights(at::full({1, 1, 6, 6}, 60.0, at::kDouble), causal(6))[0][0];
  EXPECT_LT(distance(sure, at::eye(6, at::kDouble)), 1e-12);
}

TEST(StickBreakingScore, LogarithmsEqualTheProductForm) {
  at::manual_seed(1);
  const auto logits = at::randn({2, 3, 20, 20}, at::kDouble) * 3;
  // Key 4 is padding: beta 0, and its factor is 1.
  auto seen = causal(20).clone();
  seen.select(3, 4).zero_();
  const auto beta = logits.sigmoid() * seen;
  auto expected = at::zeros_like(beta);
  auto rest = at::ones({2, 3, 20}, at::kDouble);
  for (int64_t j = 19; j >= 0; --j) {
    expected.select(3, j).copy_(beta.select(3, j) * rest);
    rest = rest * (1 - beta.select(3, j));
  }
  EXPECT_LT(distance(score_weights(logits, seen), expected), 1e-10);
}

TEST(StickBreakingScore, LongRowsDoNotUnderflow) {
  auto row = at::full({1, 1, 1, 600}, -1.0, at::kFloat);
  row[0][0][0][0] = 60;
  const double total = score_weights(row, {}).sum().item<double>();
  EXPECT_NEAR(total, 1, 1e-5);
}

const char* const kDense = R"({"type": "stick_breaking", "heads": 2})";
const char* const kMixture =
    R"({"type": "stick_breaking", "modules": 5, "active": 2, "heads": 2, "router_hidden": 7})";

// Larger weights than those of the start, so that routing and weights differ between tokens.
MixerAlone spread(const char* json, int64_t width = 8) {
  MixerAlone alone(json, width);
  const at::NoGradGuard guard;
  at::manual_seed(11);
  for (auto& param : alone.inventory->params) param.value.normal_(0, 0.5);
  return alone;
}

TEST(StickBreaking, FusedEqualsPlainWithItsGradients) {
  for (const char* json : {kDense, kMixture}) {
    auto alone = spread(json);
    const auto x = at::randn({2, 11, 8}, at::kDouble).set_requires_grad(true);
    Layout layout;
    layout.lengths = at::tensor({11, 6}, at::kLong);
    const auto keep = layout.keep(11).unsqueeze(-1);
    const auto run = [&](bool plain) {
      Context ctx;
      ctx.layout = &layout, ctx.mode.twice_differentiable = plain;
      const auto y = alone.mixer->forward(ctx, x) * keep;
      auto inputs = alone.parameters();
      inputs.push_back(x);
      auto list = torch::autograd::grad({y.square().sum()}, inputs);
      list.push_back(y);
      return list;
    };
    const auto fused = run(false), plain = run(true);
    for (size_t i = 0; i < fused.size(); ++i)
      EXPECT_LT(distance(fused[i], plain[i]), 1e-9 * (1 + plain[i].abs().max().item<double>())) << i;
  }
}

TEST(StickBreaking, GradientsMatchFiniteDifferences) {
  auto alone = spread(kMixture);
  const auto x = at::randn({2, 6, 8}, at::kDouble), w = at::randn({2, 6, 8}, at::kDouble);
  EXPECT_LT(gradient_error(alone.parameters(), [&] { return (alone.forward(x) * w).sum(); }), 1e-5);
}

TEST(StickBreaking, OneModuleIsAttentionWithThisScore) {
  auto alone = spread(kDense);
  MixerAlone attention(R"({"type": "attention", "heads": 2, "fused": false, "bias": true,
                           "score": "stick_breaking"})",
                       8);
  for (const char* name :
       {"query.weight", "key.weight", "key.bias", "value.weight", "value.bias", "out.weight"})
    attention.set(name, alone.value(name));
  attention.set("query.bias", at::zeros({8}, at::kDouble));
  const auto x = at::randn({2, 9, 8}, at::kDouble);
  EXPECT_LT(distance(alone.forward(x), attention.forward(x)), 1e-12);
}

TEST(StickBreaking, GatesAreProbabilitiesThatAreNotRenormalized) {
  const at::NoGradGuard guard;
  auto alone = spread(kMixture);
  const auto x = at::randn({1, 7, 8}, at::kDouble);
  const auto hidden =
      at::gelu(at::linear(x, alone.value("router_inner.weight"), alone.value("router_inner.bias")));
  const auto p = at::linear(hidden, alone.value("router.weight")).softmax(-1)[0];
  const auto taken = std::get<1>(p.topk(2, -1));
  auto expected = at::zeros({7, 8}, at::kDouble);
  for (int64_t m = 0; m < 5; ++m) {
    MixerAlone dense(kDense, 8);
    for (const char* name : {"key.weight", "key.bias", "value.weight", "value.bias"})
      dense.set(name, alone.value(name));
    for (const char* name : {"query.weight", "out.weight"}) dense.set(name, alone.value(name)[m]);
    // With one module per pass all queries of a token come from it, so modules do not mix inside the
    // attention.
    expected += dense.forward(x)[0] * (p.select(1, m) * taken.eq(m).any(1)).unsqueeze(1);
  }
  EXPECT_LT(distance(alone.forward(x)[0], expected), 1e-12);
}

TEST(StickBreaking, AppendsEqualForward) {
  const at::NoGradGuard guard;
  for (const char* json : {kDense, kMixture}) {
    auto alone = spread(json);
    const auto x = at::randn({2, 12, 8}, at::kDouble);
    EXPECT_LT(distance(alone.in_pieces(x, {3, 1, 1, 5, 2}), alone.forward(x)), 1e-12);
    // Rows of different lengths.
    Layout layout;
    layout.lengths = at::tensor({5, 2}, at::kLong);
    auto state = alone.state(2);
    alone.append(x.narrow(1, 0, 5), *state, &layout);
    const auto y = alone.append(x.narrow(1, 5, 2), *state);
    const auto joined = at::cat({x.narrow(1, 0, 2), x.narrow(1, 5, 2)}, 1);
    EXPECT_LT(distance(y[1], alone.forward(joined)[1].narrow(0, 2, 2)), 1e-12);
    EXPECT_LT(distance(y[0], alone.forward(x.narrow(1, 0, 7))[0].narrow(0, 5, 2)), 1e-12);
  }
}

TEST(StickBreaking, AMaskOnTheRouterClosesModules) {
  const at::NoGradGuard guard;
  auto grown = spread(kMixture);
  MixerAlone before(
      R"({"type": "stick_breaking", "modules": 3, "active": 2, "heads": 2, "router_hidden": 7})", 8);
  for (auto& param : before.inventory->params) {
    auto value = grown.inventory->by_name.at(param.name)->value;
    if (param.dims[0].carries("mixer.modules")) value = value.narrow(0, 0, 3);
    param.value.copy_(value);
  }
  TapBoard board(grown.inventory->taps);
  board.listen("mixer.router.out", [](Context&, const TapEvent&, const Tensor& logits) {
    const auto open = logits.narrow(-1, 0, 3);
    return at::cat({open, at::full_like(logits.narrow(-1, 3, 2), -INFINITY)}, -1);
  });
  Context ctx;
  ctx.taps = &board;
  const auto x = at::randn({2, 6, 8}, at::kDouble);
  EXPECT_LT(distance(grown.mixer->forward(ctx, x), before.forward(x)), 1e-12);
}

TEST(StickBreaking, SamplesAndBalancesInTrainingAlone) {
  auto alone = spread(R"({"type": "stick_breaking", "modules": 5, "active": 2, "heads": 2, "sample_topk": 1,
                          "balance": 0.1})");
  const auto x = at::randn({2, 30, 8}, at::kDouble);
  Context train;
  train.mode.train = true;
  const auto y = alone.mixer->forward(train, x);
  EXPECT_GT(distance(y, alone.forward(x)), 1e-6);
  ASSERT_EQ(train.auxiliary.size(), 1);
  EXPECT_LT(train.auxiliary[0].second.item<double>(), 0);
  Context again;
  again.mode.train = true;
  EXPECT_LT(distance(y, alone.mixer->forward(again, x)), 1e-15);
}

TEST(StickBreaking, PaddingEntersNoLoss) {
  auto alone = spread(R"({"type": "stick_breaking", "modules": 5, "active": 2, "heads": 2, "balance": 1})");
  const auto x = at::randn({2, 6, 8}, at::kDouble);
  Layout layout;
  layout.lengths = at::tensor({6, 2}, at::kLong);
  const auto loss = [&](const Tensor& tokens, const Layout* of) {
    Context ctx;
    ctx.layout = of, ctx.mode.train = true;
    alone.mixer->forward(ctx, tokens);
    return ctx.auxiliary.at(0).second.item<double>();
  };
  const auto real = at::cat({x[0], x[1].narrow(0, 0, 2)}).unsqueeze(0);
  EXPECT_NEAR(loss(x, &layout), loss(real, nullptr), 1e-12);
}

TEST(StickBreaking, MatrixHoldsTheStickOfEachHead) {
  auto alone = spread(kDense);
  const auto x = at::randn({2, 7, 8}, at::kDouble);
  Context ctx;
  const auto view = require_facet<MatrixFacet>(*alone.mixer, "mixer").matrix(ctx, x);
  EXPECT_EQ(view.weights.sizes(), at::IntArrayRef({2, 2, 7, 7}));
  EXPECT_LE(view.weights.sum(-1).max().item<double>(), 1);
  EXPECT_EQ(view.weights.triu(1).abs().max().item<double>(), 0);
  const auto k = at::linear(x, alone.value("key.weight"), alone.value("key.bias")).narrow(2, 0, 4);
  const auto q = at::linear(x, alone.value("query.weight")).narrow(2, 0, 4);
  const auto self = (q * k).sum(-1).div(2).sigmoid();
  EXPECT_LT(distance(view.weights.select(1, 0).diagonal(0, 1, 2), self), 1e-12);
}

TEST(StickBreaking, RefusesImpossibleChoices) {
  EXPECT_THROW(MixerAlone(R"({"type": "stick_breaking", "modules": 2, "active": 3})", 8), Error);
  EXPECT_THROW(MixerAlone(R"({"type": "stick_breaking", "active": 2})", 8), Error);
  EXPECT_THROW(MixerAlone(R"({"type": "stick_breaking", "heads": 3})", 8), Error);
  EXPECT_THROW(MixerAlone(R"({"type": "stick_breaking", "modules": 4, "active": 2, "sample_topk": 3})", 8),
               Error);
  auto alone = spread(kDense);
  MixerAlone other(R"({"type": "stick_breaking", "heads": 2, "head_width": 6})", 8);
  const auto state = other.state(1);
  EXPECT_THROW(alone.append(at::randn({1, 1, 8}, at::kDouble), *state), Error);
}

}  // namespace
}  // namespace formwork
