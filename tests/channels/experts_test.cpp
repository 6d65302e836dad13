#include <gtest/gtest.h>

#include "formwork/models/model.h"

namespace formwork {
namespace {

std::shared_ptr<Model> make(const std::string& options, const std::string& type = "experts") {
  const auto text = R"({"formwork": 1, "model": {"type": "part", "kind": "channels", "width": 6, "part":
    {"type": ")" + type +
                    "\", " + options + "}}}";
  auto model = build_model(Spec::from_json(Json::parse(text), "test"), 5, at::kDouble);
  const at::NoGradGuard guard;
  for (auto& param : model->inventory().params) param.value.normal_(0, 0.5);
  return model;
}

Tensor value(Model& model, const std::string& name) { return model.inventory().by_name.at(name)->value; }

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

Tensor run(Model& model, const Record& in) {
  auto ctx = model.make_context();
  return model.forward(ctx, in).at("y");
}

// Every expert on every token, weighted: the sum that routing must equal. [N, D]
Tensor dense_sum(Model& model, const Tensor& x, int64_t k, bool gated, bool renormalize) {
  const auto p = x.matmul(value(model, "part.router.weight").t()).softmax(-1);
  auto [top, chosen] = p.topk(k, -1);
  if (renormalize) top = top / top.sum(-1, true);
  const auto weights = at::zeros_like(p).scatter(1, chosen, top);
  const auto up = value(model, gated ? "part.gate_up.weight" : "part.up.weight");
  const auto down = value(model, "part.down.weight");
  auto y = at::zeros_like(x);
  for (int64_t e = 0; e < p.size(1); ++e) {
    auto hidden = x.matmul(up[e].t());
    if (gated) {
      const auto both = hidden.chunk(2, -1);
      hidden = at::silu(both[0]) * both[1];
    } else {
      hidden = at::silu(hidden);
    }
    y = y + weights.select(1, e).unsqueeze(1) * hidden.matmul(down[e].t());
  }
  return y;
}

TEST(Experts, EqualTheDenseSum) {
  const at::NoGradGuard guard;
  for (const bool gated : {true, false})
    for (const bool renormalize : {true, false})
      for (const int64_t k : {1, 2, 4}) {
        auto model =
            make(fmt::format(R"("experts": 4, "active": {}, "hidden": 5, "gated": {}, "renormalize": {})", k,
                             gated, renormalize));
        const auto x = at::randn({2, 7, 6}, at::kDouble);
        EXPECT_LT(gap(run(*model, {{"x", x}}).flatten(0, 1),
                      dense_sum(*model, x.flatten(0, 1), k, gated, renormalize)),
                  1e-12);
      }
}

TEST(Experts, OneExpertIsTheMlp) {
  const at::NoGradGuard guard;
  const auto x = at::randn({2, 3, 6}, at::kDouble);
  for (const bool gated : {true, false}) {
    auto one =
        make(fmt::format(R"("experts": 1, "active": 1, "hidden": 5, "gated": {}, "bias": true)", gated));
    auto mlp = make(R"("hidden": 5, "bias": true, "activation": "silu")", gated ? "gated_mlp" : "mlp");
    for (auto& param : mlp->inventory().params) param.value.copy_(value(*one, param.name)[0]);
    EXPECT_LT(gap(run(*one, {{"x", x}}), run(*mlp, {{"x", x}})), 1e-12);
  }
}

TEST(Experts, TheChoiceOverridesHowManyAreActive) {
  const at::NoGradGuard guard;
  auto model = make(R"("experts": 4, "active": 1, "hidden": 5)");
  const auto x = at::randn({1, 5, 6}, at::kDouble);
  auto ctx = model->make_context();
  ctx.choices["experts_active"] = 3;
  EXPECT_LT(gap(model->forward(ctx, {{"x", x}}).at("y")[0], dense_sum(*model, x[0], 3, true, true)), 1e-12);
  ctx.choices["experts_active"] = 5;
  EXPECT_THROW(model->forward(ctx, {{"x", x}}), Error);
}

TEST(Experts, CapacityDropsTheLatestAndOnlyInTraining) {
  const at::NoGradGuard guard;
  auto model = make(R"("experts": 2, "active": 1, "hidden": 5, "capacity": 0.5, "balance": 0, "z": 0)");
  // Every token chooses the first expert; its capacity is 0.5 * 8 / 2 = 2 tokens.
  auto router = value(*model, "part.router.weight");
  router[0].fill_(1), router[1].fill_(-1);
  const auto x = at::rand({2, 4, 6}, at::kDouble);
  const auto whole = run(*model, {{"x", x}});
  EXPECT_GT(whole.abs().amax(-1).min().item<double>(), 0);
  auto ctx = model->make_context();
  ctx.mode.train = true;
  const auto cut = model->forward(ctx, {{"x", x}}).at("y").flatten(0, 1);
  EXPECT_LT(gap(cut.narrow(0, 0, 2), whole.flatten(0, 1).narrow(0, 0, 2)), 1e-12);
  EXPECT_EQ(cut.narrow(0, 2, 6).abs().max().item<double>(), 0);
}

TEST(Experts, LossesHaveTheirGoldenValuesAndIgnorePadding) {
  auto model = make(R"("experts": 2, "active": 1, "hidden": 5, "balance": 0.1, "z": 0.01)");
  {
    const at::NoGradGuard guard;
    auto router = value(*model, "part.router.weight");
    router.zero_();
    router[0][0] = 1;
  }
  // Logits (a, 0): three tokens with a = ln 3 choose the first expert, one with a = -ln 3 the second.
  auto x = at::zeros({1, 6, 6}, at::kDouble);
  const double a = std::log(3.0);
  x.select(2, 0).copy_(at::tensor({a, a, -a, a, 100.0, -50.0}, at::kDouble));
  auto ctx = model->make_context();
  ctx.mode.train = true;
  model->forward(ctx, {{"x", x}, {"lengths", at::tensor({4}, at::kLong)}});
  ASSERT_EQ(ctx.auxiliary.size(), 2u);
  EXPECT_EQ(ctx.auxiliary[0].first, "part.balance");
  // f = (3/4, 1/4), mean p = (3 * 3/4 + 1/4) / 4 = 5/8 and 3/8: 0.1 * 2 * (15 + 3) / 32.
  EXPECT_NEAR(ctx.auxiliary[0].second.item<double>(), 0.1 * 2 * 18 / 32, 1e-12);
  const double high = std::log(4.0), low = std::log(4.0 / 3);
  EXPECT_NEAR(ctx.auxiliary[1].second.item<double>(), 0.01 * (3 * high * high + low * low) / 4, 1e-12);
  const auto gradient = torch::autograd::grad({ctx.auxiliary[0].second + ctx.auxiliary[1].second},
                                              {value(*model, "part.router.weight")})[0];
  EXPECT_GT(gradient.abs().max().item<double>(), 0);

  auto quiet = model->make_context();
  model->forward(quiet, {{"x", x}});
  EXPECT_TRUE(quiet.auxiliary.empty());
}

TEST(Experts, JitterMovesTheRouterInTrainingOnly) {
  const at::NoGradGuard guard;
  auto model = make(R"("experts": 4, "active": 4, "hidden": 5, "jitter": 0.3, "renormalize": false)");
  const auto x = at::randn({1, 5, 6}, at::kDouble);
  auto ctx = model->make_context();
  EXPECT_LT(gap(model->forward(ctx, {{"x", x}}).at("y")[0], dense_sum(*model, x[0], 4, true, false)), 1e-12);
  ctx.mode.train = true;
  EXPECT_GT(gap(model->forward(ctx, {{"x", x}}).at("y")[0], dense_sum(*model, x[0], 4, true, false)), 1e-6);
}

}  // namespace
}  // namespace formwork
