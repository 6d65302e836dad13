// Norms: the fused form against the plain one (value and gradients), and BatchNorm's two forms.
#include "formwork/norms/norm.h"

#include <gtest/gtest.h>

namespace formwork {
namespace {

struct Built {
  Built(const Json& json, int64_t width, at::ScalarType dtype = at::kFloat,
        const Json& axes = Json::object()) {
    inventory.spec.axes = axes;
    inventory.dtype = dtype;
    Build build(inventory, "", {}, {});
    build = build.at("norm");
    build.in = build.out = build.global_axis("residual", width);
    part = Registry<Norm>::make(build, PartSpec::from_json(json, "test"));
  }
  Tensor& param(const std::string& name) { return inventory.by_name.at("norm." + name)->value; }
  Inventory inventory;
  std::unique_ptr<Norm> part;
  Context ctx;
};

double distance(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// The value and the gradients of x and of every trained parameter under a random weighting of the output.
std::vector<Tensor> value_and_gradients(Built& norm, const Tensor& x, const Tensor& weighting, bool plain) {
  norm.ctx.mode.twice_differentiable = plain;
  auto leaf = x.detach().clone().set_requires_grad(true);
  std::vector<Tensor> leaves = {leaf};
  for (auto& param : norm.inventory.params)
    if (param.trainable()) leaves.push_back(param.value);
  const auto y = norm.part->forward(norm.ctx, leaf);
  auto all = torch::autograd::grad({(y * weighting).sum()}, leaves);
  all.push_back(y.detach());
  return all;
}

class FusedNorm : public testing::TestWithParam<const char*> {};

TEST_P(FusedNorm, EqualsThePlainForm) {
  for (const int64_t width : {1, 7, 64, 100}) {
    Built norm(Json::parse(GetParam()), width);
    {
      const at::NoGradGuard guard;
      for (auto& param : norm.inventory.params) param.value.normal_();
    }
    const auto x = at::randn({3, 5, width}), weighting = at::randn({3, 5, width});
    const auto fused = value_and_gradients(norm, x, weighting, false);
    const auto plain = value_and_gradients(norm, x, weighting, true);
    for (size_t i = 0; i < plain.size(); ++i)
      EXPECT_LT(distance(fused[i], plain[i]) / (1 + plain[i].abs().max().item<double>()), 1e-5)
          << GetParam() << " width " << width << " tensor " << i;
  }
}

// The gradients of x by the way through the norm and by the way past it meet in the norm.
TEST_P(FusedNorm, AddsTheGradientThatPassesIt) {
  Built norm(Json::parse(GetParam()), 24);
  const auto x = at::randn({3, 5, 24}), through = at::randn({3, 5, 24}), past = at::randn({3, 5, 24});
  const auto gradient = [&](bool plain, const Tensor& a, const Tensor& b) {
    norm.ctx.mode.twice_differentiable = plain;
    const auto leaf = x.clone().set_requires_grad(true);
    const auto both = norm.part->split(norm.ctx, leaf);
    EXPECT_TRUE(both.past.equal(x));
    auto sum = at::zeros({});
    if (a.defined()) sum = sum + (both.normed * a).sum();
    if (b.defined()) sum = sum + (both.past * b).sum();
    return torch::autograd::grad({sum}, {leaf})[0];
  };
  for (const auto& [a, b] : {std::pair{through, past}, {through, Tensor()}, {Tensor(), past}})
    EXPECT_LT(distance(gradient(false, a, b), gradient(true, a, b)), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Norms, FusedNorm,
                         testing::Values(R"("rms_norm")", R"({"type": "rms_norm", "gain": false})"));

// A channel that was cut away counts as a zero.
TEST(RmsNorm, RemembersTheWidthBeforeSurgery) {
  Built whole("rms_norm", 8), cut("rms_norm", 8, at::kFloat, {{"residual", 5}});
  auto x = at::randn({2, 3, 8});
  x.narrow(-1, 5, 3).zero_();
  for (const bool plain : {false, true}) {
    cut.ctx.mode.twice_differentiable = plain;
    const auto y = cut.part->forward(cut.ctx, x.narrow(-1, 0, 5).contiguous());
    EXPECT_LT(distance(y, whole.part->forward(whole.ctx, x).narrow(-1, 0, 5)), 1e-6);
  }
}

TEST(BatchNorm, TrainsOnRealTokensAlone) {
  Built norm("batch_norm", 4);
  norm.ctx.mode.train = true;
  Layout layout;
  layout.lengths = at::tensor({5, 2}, at::kLong);
  auto x = at::randn({2, 5, 4}) * 3 + 1;
  const auto real = at::cat({x[0], x[1].narrow(0, 0, 2)});
  x[1].narrow(0, 2, 3).fill_(1e6);
  norm.ctx.layout = &layout;
  const auto y = norm.part->forward(norm.ctx, x);
  const auto expected = (real - real.mean(0)) / (real.var(0, false) + 1e-5).sqrt();
  EXPECT_LT(distance(at::cat({y[0], y[1].narrow(0, 0, 2)}), expected), 1e-5);
  EXPECT_LT(distance(norm.param("running_mean"), 0.1 * real.mean(0)), 1e-6);
  EXPECT_LT(distance(norm.param("running_var"), 0.9 + 0.1 * real.var(0, true)), 1e-5);
}

TEST(BatchNorm, EvaluatesEachTokenByItself) {
  Built norm("batch_norm", 4);
  norm.param("running_mean").normal_();
  norm.param("running_var").uniform_(0.5, 2);
  const auto x = at::randn({2, 5, 4});
  const auto y = norm.part->forward(norm.ctx, x);
  EXPECT_LT(distance(y, at::batch_norm(x.flatten(0, 1), {}, {}, norm.param("running_mean"),
                                       norm.param("running_var"), false, 0.1, 1e-5, false)
                            .view_as(x)),
            1e-6);
  EXPECT_EQ(distance(y.narrow(0, 1, 1), norm.part->forward(norm.ctx, x.narrow(0, 1, 1))), 0);
}

}  // namespace
}  // namespace formwork
