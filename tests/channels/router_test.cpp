#include "formwork/channels/router.h"

#include <gtest/gtest.h>

#include "formwork/channels/router_losses.h"
#include "formwork/channels/routes.h"

namespace formwork {
namespace {

constexpr int64_t kWidth = 6;

struct RouterAlone {
  Inventory inventory;
  std::unique_ptr<Router> router;

  RouterAlone(const char* json, int64_t modules, int64_t removed = 0) {
    inventory.dtype = at::kDouble;
    if (removed) inventory.spec.axes["removed"] = removed;
    Build root(inventory, "", {}, {});
    root.in = root.out = root.global_axis("residual", kWidth);
    const Axis axis = root.axis("modules", modules, Group::permute);
    const auto options = parse_options<RouterOptions>(Json::parse(json), "test");
    router = std::make_unique<Router>(root, axis, options, "modules_active");
    const at::NoGradGuard guard;
    at::manual_seed(4);
    for (auto& param : inventory.params) param.value.normal_(0, 0.7);
  }
  Tensor value(const std::string& name) { return inventory.by_name.at(name)->value; }
  // The gates of all modules [N, n], 0 where not chosen.
  Tensor gates(const Tensor& x, bool train = false) {
    Context ctx;
    ctx.mode.train = train;
    const auto choice = router->choose(ctx, x, {});
    return at::zeros({x.size(0), value("router.weight").size(0)}, x.options())
        .scatter(1, choice.modules, choice.gates);
  }
};

double router_gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }
double number(const Tensor& x) { return x.item<double>(); }

Tensor only_top(const Tensor& p, int64_t k) {
  auto [top, chosen] = p.topk(k, -1);
  return at::zeros_like(p).scatter(-1, chosen, top);
}

TEST(RouterLosses, MutualInformationOfKnownRows) {
  const auto loss = [](const Tensor& p) { return number(mutual_information_loss(p.log())); };
  EXPECT_NEAR(loss(at::tensor({0.9, 0.1, 0.1, 0.9}, at::kDouble).view({2, 2})), -0.36806, 1e-5);
  EXPECT_NEAR(loss(at::full({7, 4}, 0.25, at::kDouble)), 0, 1e-7);
  EXPECT_NEAR(loss(at::eye(4, at::kDouble)), -std::log(4.0), 1e-6);
}

TEST(RouterLosses, ConcentrationIsTheEntropyOfTheLoad) {
  const auto loss = [](const Tensor& p) { return number(concentration_loss(p.log())); };
  EXPECT_NEAR(loss(at::eye(4, at::kDouble)), std::log(4.0), 1e-6);  // sharp, but spread
  EXPECT_NEAR(loss(at::eye(4, at::kDouble).narrow(0, 1, 1).expand({5, 4})), 0, 1e-6);
  const auto logits = at::randn({9, 4}, at::kDouble).set_requires_grad(true);
  const auto slope = torch::autograd::grad({concentration_loss(logits)}, {logits})[0];
  EXPECT_LT(number(concentration_loss(logits.detach() - slope)), number(concentration_loss(logits)));
}

TEST(RouterLosses, SwitchOfAnEvenLoadIsOneAndZIsTheSquaredPeak) {
  const auto modules = at::tensor({0, 1, 2, 3, 1, 0, 3, 2}, at::kLong).view({4, 2});
  const auto logits = at::zeros({4, 4}, at::kDouble);
  EXPECT_NEAR(number(switch_balance_loss(logits, modules)), 1, 1e-12);
  EXPECT_NEAR(number(router_z_loss(logits)), std::log(4.0) * std::log(4.0), 1e-12);
  // All choices and all probability on one of four modules.
  const auto peak = at::tensor({0.0, 500.0, 0.0, 0.0}, at::kDouble).expand({4, 4});
  EXPECT_NEAR(number(switch_balance_loss(peak, at::ones({4, 1}, at::kLong))), 4, 1e-12);
}

TEST(Router, GatesFollowTheirFormulas) {
  const at::NoGradGuard guard;
  const auto x = at::randn({9, kWidth}, at::kDouble);
  RouterAlone linear(R"({"gate": "linear", "renormalize": false})", 5);
  EXPECT_LT(router_gap(linear.gates(x), only_top(x.matmul(linear.value("router.weight").t()).softmax(-1), 2)),
            1e-14);

  RouterAlone mlp(R"({"gate": "mlp", "router_hidden": 7, "renormalize": false})", 5);
  const auto hidden =
      at::gelu(at::linear(x, mlp.value("router_inner.weight"), mlp.value("router_inner.bias")));
  EXPECT_LT(router_gap(mlp.gates(x), only_top(hidden.matmul(mlp.value("router.weight").t()).softmax(-1), 2)),
            1e-14);

  RouterAlone gmm(R"({"gate": "gmm", "router_hidden": 7, "active": 3})", 5);
  const auto z = at::linear(x, gmm.value("router_inner.weight"));
  auto logits = at::zeros({9, 5}, at::kDouble);
  for (int64_t m = 0; m < 5; ++m)
    logits.select(1, m).copy_(at::cosine_similarity(z, gmm.value("router.weight")[m].expand_as(z), -1, 0));
  auto p = only_top((logits * gmm.value("router_temperature").exp()).softmax(-1), 3);
  EXPECT_LT(router_gap(gmm.gates(x), p / p.sum(-1, true)), 1e-13);
}

TEST(Router, GmmStartsAtTemperatureZero) {
  Inventory inventory;
  Build root(inventory, "", {}, {});
  root.in = root.out = root.global_axis("residual", kWidth);
  RouterOptions options;
  options.gate = "gmm";
  const Router router(root, root.axis("modules", 4, Group::permute), options, "");
  EXPECT_EQ(inventory.by_name.at("router_temperature")->value.item<double>(), 0);
  EXPECT_EQ(inventory.by_name.count("router_inner.bias"), 0u);
}

TEST(Router, RemovedRowsStayInTheDenominatorAndAreNeverChosen) {
  const at::NoGradGuard guard;
  for (const char* gate : {"linear", "mlp", "gmm"}) {
    const auto json =
        fmt::format(R"({{"gate": "{}", "router_hidden": 7, "active": 3, "renormalize": false}})", gate);
    RouterAlone whole(json.c_str(), 7), cut(json.c_str(), 4, 3);
    for (auto& param : cut.inventory.params) {
      if (param.name == "router.weight")
        param.value.copy_(whole.value("router.weight").narrow(0, 0, 4));
      else if (param.name == "router_removed.weight")
        param.value.copy_(whole.value("router.weight").narrow(0, 4, 3));
      else
        param.value.copy_(whole.value(param.name));
    }
    const auto x = at::randn({20, kWidth}, at::kDouble);
    Context ctx;
    ctx.choices["modules_active"] = 7;
    const auto all = whole.router->choose(ctx, x, {});
    const auto p = at::zeros({20, 7}, at::kDouble).scatter(1, all.modules, all.gates);
    EXPECT_LT(router_gap(cut.gates(x), only_top(p.narrow(1, 0, 4), 3)), 1e-13) << gate;
  }
}

TEST(Router, SamplesInTrainingInProportionAndKeepsTheGates) {
  const at::NoGradGuard guard;
  RouterAlone alone(R"({"active": 2, "sample_topk": 1, "renormalize": false})", 4);
  const auto x = at::randn({1, kWidth}, at::kDouble).expand({20000, kWidth});
  const auto p = x[0].matmul(alone.value("router.weight").t()).softmax(-1);
  const auto gates = alone.gates(x, true);
  const auto share = gates.ne(0).to(at::kDouble).mean(0);
  const auto best = p.argmax().item<int64_t>();
  for (int64_t m = 0; m < 4; ++m) {
    const double expected = m == best ? 1 : number(p[m]) / (1 - number(p[best]));
    EXPECT_NEAR(number(share[m]), expected, 0.015) << m;
  }
  EXPECT_LT(router_gap(gates, p * gates.ne(0)), 1e-14);
  EXPECT_LT(router_gap(alone.gates(x), only_top(p.expand({20000, 4}), 2)), 1e-14);
}

TEST(Router, LossesSeeRealRowsInTrainingAlone) {
  RouterAlone alone(R"({"balance_loss": "mi", "balance": 0.5, "z": 0.1})", 4);
  const auto x = at::randn({6, kWidth}, at::kDouble), real = at::tensor({0, 1, 4}, at::kLong);
  Context ctx;
  alone.router->choose(ctx, x, real);
  EXPECT_TRUE(ctx.auxiliary.empty());
  ctx.mode.train = true;
  alone.router->choose(ctx, x, real);
  ASSERT_EQ(ctx.auxiliary.size(), 2u);
  const auto logits = x.index_select(0, real).matmul(alone.value("router.weight").t());
  EXPECT_NEAR(number(ctx.auxiliary[0].second), 0.5 * number(mutual_information_loss(logits)), 1e-14);
  EXPECT_NEAR(number(ctx.auxiliary[1].second), 0.1 * number(router_z_loss(logits)), 1e-14);
}

TEST(Router, RefusesImpossibleChoices) {
  EXPECT_THROW(RouterAlone(R"({"active": 5})", 4), Error);
  EXPECT_THROW(RouterAlone(R"({"active": 2, "sample_topk": 3})", 4), Error);
  EXPECT_THROW(RouterAlone(R"({"router_dropout": 0.1})", 4), Error);
  EXPECT_THROW(RouterAlone(R"({"gate": "cosine"})", 4), Error);
  EXPECT_THROW(RouterAlone(R"({"balance_loss": "concentration"})", 4), Error);
  RouterAlone(R"({"balance_loss": "concentration", "balance": 0.1})", 4);
}

TEST(Router, SaysWhereASpecConcentratesTheLoad) {
  const auto spec = Json::parse(R"({"layers": {"repeat": 2, "pattern": [
    {"mixer": {"type": "stick_breaking", "balance_loss": "mi"}},
    {"channel": {"type": "experts", "balance_loss": "concentration"}}]}})");
  EXPECT_EQ(concentrating_parts(spec), std::vector<std::string>{"layers.pattern.1.channel"});
  EXPECT_TRUE(concentrating_parts(spec["layers"]["pattern"][0]).empty());
}

TEST(Routes, SortAndReturnEveryPair) {
  const auto modules = at::tensor({2, 0, 0, 1, 2, 1, 0, 2}, at::kLong).view({4, 2});
  const Routes routes(modules, 4);
  EXPECT_EQ(routes.counts(), (std::vector<int64_t>{3, 2, 3, 0}));
  const auto token = at::arange(4, at::kDouble).unsqueeze(1),
             pair = at::arange(8, at::kDouble).view({4, 2, 1});
  // Module 0 is the first choice of tokens 1 and 3, and the second of token 0.
  EXPECT_TRUE(
      at::equal(routes.gather(token).flatten().narrow(0, 0, 3), at::tensor({1., 3., 0.}, at::kDouble)));
  EXPECT_TRUE(at::equal(routes.scatter(routes.gather(pair)), pair));
  const auto gates = at::rand({4, 2}, at::kDouble);
  EXPECT_LT(router_gap(routes.combine(routes.gather(pair), gates), (pair.squeeze(2) * gates).sum(1, true)),
            1e-14);
  const Routes limited(modules, 4, 2);
  EXPECT_EQ(limited.counts(), (std::vector<int64_t>{2, 2, 2, 0}));
  EXPECT_TRUE(at::equal(limited.gather(token).flatten().narrow(0, 0, 2), at::tensor({1., 3.}, at::kDouble)));
}

}  // namespace
}  // namespace formwork
