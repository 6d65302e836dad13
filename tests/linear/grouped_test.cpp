#include "formwork/linear/grouped.h"

#include <gtest/gtest.h>

#include <set>

#include "formwork/report/tensor_peak.h"
#include "one_map.h"

namespace formwork {
namespace {

// A bank of 4 matrices [5, 3] alone, in the representation that `linear` names.
struct Bank {
  Inventory inventory;
  std::unique_ptr<LinearMap> map;

  explicit Bank(const char* linear = "dense", bool bias = true) {
    inventory.dtype = at::kDouble;
    inventory.spec.linear = {{"bank", linear}};
    const Build root(inventory, "", {}, {});
    LinearNeed need;
    need.in = root.global_axis("in", 3), need.out = root.global_axis("out", 5);
    need.bank = root.global_axis("matrices", 4), need.bias = bias, need.bias_init = init::normal(1);
    map = make_linear(root, "bank", need);
  }
  std::vector<Tensor> parameters() {
    std::vector<Tensor> list;
    for (auto& param : inventory.params) list.push_back(param.value);
    return list;
  }
};

const std::vector<int64_t> kCounts = {2, 0, 3, 1};

Tensor one_by_one(Bank& bank, const Tensor& x) {
  Context ctx;
  std::vector<Tensor> parts;
  int64_t start = 0;
  for (size_t g = 0; g < kCounts.size(); ++g) {
    if (kCounts[g] == 0) continue;
    parts.push_back(bank.map->forward(ctx, x.narrow(0, start, kCounts[g]), static_cast<int64_t>(g)));
    start += kCounts[g];
  }
  return at::cat(parts, 0);
}

Tensor grouped(Bank& bank, const Tensor& x, bool twice = false) {
  Context ctx;
  ctx.mode.twice_differentiable = twice;
  return grouped_forward(ctx, *bank.map, x, kCounts);
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(Grouped, EqualsTheMatricesOneByOneWithTheirGradients) {
  for (const char* type : {"dense", "low_rank"})
    for (const bool bias : {true, false})
      for (const bool twice : {true, false}) {
        Bank bank(type, bias);
        const auto x = at::randn({6, 3}, at::kDouble).set_requires_grad(true);
        const auto y = grouped(bank, x, twice), expected = one_by_one(bank, x);
        EXPECT_LT(gap(y, expected), 1e-14) << type;
        auto inputs = bank.parameters();
        inputs.push_back(x);
        const auto found = torch::autograd::grad({y.pow(3).sum()}, inputs);
        const auto right = torch::autograd::grad({expected.pow(3).sum()}, inputs);
        for (size_t i = 0; i < inputs.size(); ++i) EXPECT_LT(gap(found[i], right[i]), 1e-12) << type << i;
      }
}

TEST(Grouped, BackwardAddsToTheGradientThatIsThere) {
  Bank bank;
  const auto x = at::randn({6, 3}, at::kDouble);
  const auto weight = bank.parameters().back();
  const auto right = torch::autograd::grad({one_by_one(bank, x).square().sum()}, {weight})[0];
  grouped(bank, x).square().sum().backward();  // nothing there yet
  EXPECT_LT(gap(weight.grad(), right), 1e-12);
  const auto before = weight.grad();
  grouped(bank, x).square().sum().backward();
  EXPECT_TRUE(before.is_same(weight.grad()));
  EXPECT_LT(gap(weight.grad(), 2 * right), 1e-12);
  // One pass through the same bank twice.
  (grouped(bank, x).square().sum() + grouped(bank, 2 * x).sum()).backward();
  const auto more = torch::autograd::grad({one_by_one(bank, 2 * x).sum()}, {weight})[0];
  EXPECT_LT(gap(weight.grad(), 3 * right + more), 1e-12);
}

TEST(Grouped, GradientsOfChosenInputsLeaveTheOthersAlone) {
  Bank bank;
  const auto x = at::randn({6, 3}, at::kDouble).set_requires_grad(true);
  const auto weight = bank.parameters().back();
  grouped(bank, x).square().sum().backward();
  const auto before = weight.grad().clone();
  const auto both = torch::autograd::grad({grouped(bank, x).square().sum()}, {x, weight});
  EXPECT_TRUE(at::equal(weight.grad(), before));
  EXPECT_LT(gap(both[1], before), 1e-12);
}

TEST(Grouped, GradientOfAWeightThatIsNoLeafFlowsOn) {
  Bank bank;
  auto& param = *bank.inventory.by_name.at("bank.weight");
  const auto x = at::randn({6, 3}, at::kDouble);
  const auto leaf = param.value;
  const auto right = torch::autograd::grad({one_by_one(bank, x).square().sum()}, {leaf})[0];
  param.value = leaf * 1.0;
  grouped(bank, x).square().sum().backward();
  EXPECT_LT(gap(leaf.grad(), right), 1e-12);
  param.value = leaf;
}

TEST(Grouped, GradientsOfALowRankBankAreDifferences) {
  at::manual_seed(5);
  Bank bank("low_rank");
  const auto x = at::randn({6, 3}, at::kDouble).set_requires_grad(true);
  for (auto& param : bank.inventory.params)
    EXPECT_LT(gradient_error(param.value, [&] { return grouped(bank, x); }), 1e-7) << param.name;
  EXPECT_LT(gradient_error(x, [&] { return grouped(bank, x); }), 1e-7);
}

// A bank of n matrices, 32 to 24 by a rank of 4, and two rows for each.
struct LargeBank {
  Inventory inventory;
  std::unique_ptr<LinearMap> map;
  std::vector<int64_t> counts;
  Tensor x;

  explicit LargeBank(int64_t n) : counts(static_cast<size_t>(n), 2), x(at::randn({2 * n, 32})) {
    inventory.spec.linear = {{"bank", {{"type", "low_rank"}, {"rank", 4}}}};
    const Build root(inventory, "", {}, {});
    LinearNeed need;
    need.in = root.global_axis("in", 32), need.out = root.global_axis("out", 24);
    need.bank = root.global_axis("matrices", n);
    map = make_linear(root, "bank", need);
  }
  Tensor forward() {
    Context ctx;
    return grouped_forward(ctx, *map, x, counts);
  }
};

int64_t graph_size(const Tensor& y) {
  std::set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> open = {y.grad_fn().get()};
  while (!open.empty()) {
    auto* node = open.back();
    open.pop_back();
    if (!node || !seen.insert(node).second) continue;
    for (const auto& edge : node->next_edges()) open.push_back(edge.function.get());
  }
  return static_cast<int64_t>(seen.size());
}

TEST(Grouped, ALowRankBankCostsOnePassOverItHoweverManyMatricesItHas) {
  LargeBank small(4), large(256);
  EXPECT_EQ(graph_size(large.forward()), graph_size(small.forward()));
  large.forward().sum().backward();
  // The second pass adds to the gradients in their places: no bank of scratch memory.
  const auto loss = large.forward().sum();
  const int64_t bank = large.map->bytes();
  const TensorPeak peak;
  loss.backward();
  EXPECT_LT(peak.bytes(), bank / 2) << "of a bank of " << bank;
}

TEST(Grouped, TapsOfALowRankBankAndItsFactorsSeeAllRowsAtOnce) {
  Bank bank("low_rank");
  const auto x = at::randn({6, 3}, at::kDouble);
  TapBoard board(bank.inventory.taps);
  std::map<std::string, std::vector<int64_t>> seen;
  board.read("*", [&](const TapEvent& event, const Tensor& t) { seen[event.name] = t.sizes().vec(); });
  board.start_pass();
  Context ctx;
  ctx.taps = &board;
  const auto y = grouped_forward(ctx, *bank.map, x, kCounts);
  EXPECT_LT(gap(y, one_by_one(bank, x)), 1e-14);
  const std::map<std::string, std::vector<int64_t>> want = {
      {"bank.in", {6, 3}}, {"bank.a.out", {6, 8}}, {"bank.b.out", {6, 5}}, {"bank.out", {6, 5}}};
  EXPECT_EQ(seen, want);
}

TEST(Grouped, RefusesRowsThatDoNotAddUp) {
  Bank bank;
  Context ctx;
  EXPECT_THROW(grouped_forward(ctx, *bank.map, at::zeros({5, 3}, at::kDouble), kCounts), Error);
  EXPECT_THROW(grouped_forward(ctx, *bank.map, at::zeros({6, 3}, at::kDouble), {6}), Error);
  EXPECT_EQ(grouped_forward(ctx, *bank.map, at::zeros({0, 3}, at::kDouble), {0, 0, 0, 0}).sizes(),
            at::IntArrayRef({0, 5}));
}

}  // namespace
}  // namespace formwork
