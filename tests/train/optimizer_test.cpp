#include <gtest/gtest.h>

#include "formwork/linear/stored.h"
#include "formwork/numerics/newton_schulz.h"
#include "formwork/train/objectives/token_cross_entropy.h"
#include "formwork/train/weight_average.h"
#include "train/small_run.h"

namespace formwork {
namespace {

// `steps` updates, each with the gradient value + 0.1.
void run_updates(Optimizer& optimizer, int64_t steps) {
  const at::NoGradGuard guard;
  for (int64_t step = 1; step <= steps; ++step) {
    for (auto& group : optimizer.parameters().groups()) group.gradient.copy_(group.value).add_(0.1);
    optimizer.step({step, 0.01, 0.5});
  }
}

// One plain update of p from g, with moments m and v, as step t.
using PlainRule = std::function<void(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, double t, bool decay)>;

void expect_rule(const std::string& name, const Json& options, const PlainRule& rule) {
  auto model = small_decoder(0, at::kDouble), plain = small_decoder(0, at::kDouble);
  PartSpec spec(name);
  spec.options = options;
  auto optimizer = Registry<Optimizer>::make(spec, *model);
  run_updates(*optimizer, 3);
  const at::NoGradGuard guard;
  for (auto& param : plain->inventory().params) {
    auto m = at::zeros_like(param.value), v = at::zeros_like(param.value);
    for (double t = 1; t <= 3; ++t) rule(param.value, (param.value + 0.1) * 0.5, m, v, t, param.rule.decay);
  }
  EXPECT_LT(greatest_difference(*model, *plain), 1e-12) << name;
}

TEST(Optimizers, AdamWFollowsItsRule) {
  expect_rule("adamw", {{"decay", 0.2}},
              [](Tensor& p, const Tensor& g, Tensor& m, Tensor& v, double t, bool decay) {
                if (decay) p.mul_(1 - 0.01 * 0.2);
                m = 0.9 * m + 0.1 * g, v = 0.95 * v + 0.05 * g * g;
                p.sub_(0.01 * m / (1 - std::pow(0.9, t)) / ((v / (1 - std::pow(0.95, t))).sqrt() + 1e-8));
              });
}

TEST(Optimizers, SgdFollowsItsRule) {
  expect_rule("sgd", {{"decay", 0.2}, {"nesterov", true}},
              [](Tensor& p, const Tensor& g, Tensor& m, Tensor&, double, bool decay) {
                const auto decayed = decay ? g + 0.2 * p : g;
                m = 0.9 * m + decayed;
                p.sub_(0.01 * (decayed + 0.9 * m));
              });
}

TEST(Optimizers, LionFollowsItsRule) {
  expect_rule("lion", {{"decay", 0.2}},
              [](Tensor& p, const Tensor& g, Tensor& m, Tensor&, double, bool decay) {
                if (decay) p.mul_(1 - 0.01 * 0.2);
                p.sub_(0.01 * (0.9 * m + 0.1 * g).sign());
                m = 0.99 * m + 0.01 * g;
              });
}

// What five iterations of Newton-Schulz make of a singular value.
Tensor iterated(Tensor s) {
  for (int i = 0; i < 5; ++i) s = 3.4445 * s - 4.7750 * s.pow(3) + 2.0315 * s.pow(5);
  return s;
}

TEST(Optimizers, MuonIsOrthogonalOnHiddenMatricesAndAdamWElsewhere) {
  auto model = small_decoder(0, at::kDouble), plain = small_decoder(0, at::kDouble);
  auto muon = Registry<Optimizer>::make("muon", *model), adamw = Registry<Optimizer>::make("adamw", *plain);
  auto before = small_decoder(0, at::kDouble);
  run_updates(*muon, 1);
  run_updates(*adamw, 1);
  const at::NoGradGuard guard;
  int64_t orthogonal = 0, same = 0;
  for (auto& param : before->inventory().params) {
    const auto value = model->inventory().by_name.at(param.name)->value;
    if (value.equal(plain->inventory().by_name.at(param.name)->value)) {
      ++same;
      EXPECT_TRUE(value.dim() == 1 || param.name == "embed.weight" || param.name == "position.weight")
          << param.name;
      continue;
    }
    const auto longest = static_cast<double>(std::max(value.size(0), value.size(1)));
    const auto change = (value - param.value * (1 - 0.01 * 0.1)) / (-0.01 * 0.2 * std::sqrt(longest));
    // The first momentum is a multiple of the gradient, so only the singular values change.
    const auto [u, s, vh] = at::linalg_svd(param.value + 0.1, false);
    // The first direction is 1 - 0.95^2 of half of (value + 0.1), which 1e-7 is added to the norm of.
    const auto start = s / (s.norm() + 1e-7 / (0.5 * (1 - 0.95 * 0.95))), end = iterated(start);
    EXPECT_LT((change - (u * end).matmul(vh)).abs().max().item<double>(), 1e-7) << param.name;
    // A step lifts a small value 3.4445 times; what begins above 0.002 ends in the published spread.
    const auto lifted = end.masked_select(start > 0.002);
    EXPECT_GT(lifted.numel(), s.numel() / 2) << param.name;
    EXPECT_GT(lifted.min().item<double>(), 0.68) << param.name;
    EXPECT_LT(end.max().item<double>(), 1.21) << param.name;
    ++orthogonal;
  }
  EXPECT_EQ(orthogonal, 8);  // qkv, out, gate_up, down of two layers
  EXPECT_GT(same, 4);
}

TEST(Optimizers, OrthogonalizeKeepsTheSingularVectors) {
  const auto x = at::randn({3, 6, 4}, at::kDouble);
  const auto [u, s, vh] = at::linalg_svd(x, false);
  const auto y = u.transpose(-2, -1).matmul(newton_schulz(x, 8)).matmul(vh.transpose(-2, -1));
  EXPECT_LT((y - at::diag_embed(at::diagonal(y, 0, -2, -1))).abs().max().item<double>(), 1e-9);
}

TEST(Optimizers, EveryOneSavesAndContinuesExactly) {
  for (const auto& name : Registry<Optimizer>::names()) {
    auto model = small_decoder(), other = small_decoder();
    auto first = Registry<Optimizer>::make(name, *model), second = Registry<Optimizer>::make(name, *other);
    run_updates(*first, 2);
    TensorMap state;
    for (const auto& [key, tensor] : first->state()) state[key] = tensor.clone();
    second->load_state(state, "test");
    for (size_t g = 0; g < first->parameters().groups().size(); ++g)
      second->parameters().groups()[g].value.copy_(first->parameters().groups()[g].value);
    for (auto* optimizer : {first.get(), second.get()}) {
      for (auto& group : optimizer->parameters().groups()) group.gradient.copy_(group.value);
      optimizer->step({3, 0.01, 1});
    }
    EXPECT_EQ(greatest_difference(*model, *other), 0) << name;
    state["embed.weight/other"] = at::zeros({1});
    EXPECT_NE(error_of([&] { second->load_state(state, "test"); }).find("belongs to no parameter"),
              std::string::npos);
  }
}

TEST(Optimizers, HonourFrozenAndRate) {
  auto frozen = small_decoder(), still = small_decoder();
  const auto untouched = small_decoder();
  frozen->inventory().by_name.at("embed.weight")->rule.frozen = true;
  for (auto& param : still->inventory().params) param.rule.rate = param.name == "embed.weight" ? 1 : 0;
  run_updates(*Registry<Optimizer>::make("adamw", *frozen), 1);
  run_updates(*Registry<Optimizer>::make("adamw", *still), 1);
  const auto same = [&](Model& model, const char* name) {
    return model.inventory().by_name.at(name)->value.equal(untouched->inventory().by_name.at(name)->value);
  };
  EXPECT_TRUE(same(*frozen, "embed.weight"));
  EXPECT_FALSE(same(*frozen, "norm.weight"));
  EXPECT_FALSE(same(*still, "embed.weight"));
  EXPECT_TRUE(same(*still, "norm.weight"));
}

// What is made from a weight and kept is made again after an update, whichever optimizer makes it, and after
// the weights have been exchanged for their average.
TEST(Optimizers, LetKeptThingsFollowTheWeights) {
  for (const auto& name : Registry<Optimizer>::names()) {
    auto model = small_decoder();
    auto optimizer = Registry<Optimizer>::make(name, *model);
    WeightAverage average(optimizer->parameters(), 0.5);
    const auto& weight = model->inventory().by_name.at("layers.0.channel.down.weight")->value;
    MadeFrom<Tensor> kept;
    const auto doubled = [&] { return *kept.get({weight}, [&] { return weight.detach() * 2; }); };
    const auto before = doubled();
    EXPECT_TRUE(doubled().is_same(before)) << name;
    run_updates(*optimizer, 1);
    const auto after = doubled();
    EXPECT_TRUE(after.equal(weight.detach() * 2)) << name;
    EXPECT_FALSE(after.equal(before)) << name;
    average.swap();
    EXPECT_TRUE(doubled().equal(before)) << name;
  }
}

TEST(Schedules, HaveTheirShapes) {
  const auto factor = [](const std::string& name, int64_t step) {
    PartSpec spec(name);
    spec.options = {{"warmup", 10}};
    return Registry<Schedule>::make(spec)->factor(step, 110);
  };
  for (const auto& name : Registry<Schedule>::names()) {
    EXPECT_DOUBLE_EQ(factor(name, 0), 0.1) << name;
    EXPECT_DOUBLE_EQ(factor(name, 9), 1) << name;
    for (int64_t step = 10; step < 109; ++step)
      EXPECT_LE(factor(name, step + 1), factor(name, step) + 1e-12) << name;
  }
  EXPECT_DOUBLE_EQ(factor("cosine", 60), 0.55);
  EXPECT_DOUBLE_EQ(factor("linear", 60), 0.55);
  EXPECT_DOUBLE_EQ(factor("wsd", 90), 1);
  EXPECT_NEAR(factor("wsd", 100), 0.5, 1e-12);
}

TEST(TokenCrossEntropy, AgreesWithTheComposition) {
  const auto logits = at::randn({3, 5, 11}, at::kDouble).set_requires_grad(true);
  auto targets = at::randint(11, {3, 5}, at::kLong);
  targets[1].fill_(-100);
  const auto fused = token_cross_entropy(logits, targets, 0.25);
  fused.backward();
  const auto gradient = logits.grad().clone();
  logits.mutable_grad().reset();
  const auto plain =
      at::cross_entropy_loss(logits.view({15, 11}), targets.view({15}), {}, at::Reduction::Sum) * 0.25;
  plain.backward();
  EXPECT_NEAR(fused.item<double>(), plain.item<double>(), 1e-12);
  EXPECT_LT((gradient - logits.grad()).abs().max().item<double>(), 1e-12);
}

// Logits of bfloat16 are read as they are: the loss is that of their float values, the gradient theirs,
// rounded.
TEST(TokenCrossEntropy, RoundsOnlyTheGradientOfBfloat16) {
  const auto logits = (at::randn({3, 5, 37}) * 3).to(at::kBFloat16), wide = logits.to(at::kFloat);
  auto targets = at::randint(37, {3, 5}, at::kLong);
  targets[1].fill_(-100);
  const auto both = [&](const Tensor& x) {
    const auto leaf = x.clone().set_requires_grad(true);
    const auto loss = token_cross_entropy(leaf, targets, 0.25);
    EXPECT_EQ(loss.scalar_type(), at::kFloat);
    return std::pair{loss.item<double>(), torch::autograd::grad({loss}, {leaf})[0]};
  };
  const auto narrow = both(logits), exact = both(wide);
  EXPECT_EQ(narrow.first, exact.first);
  EXPECT_TRUE(narrow.second.equal(exact.second.to(at::kBFloat16)));
}

}  // namespace
}  // namespace formwork
