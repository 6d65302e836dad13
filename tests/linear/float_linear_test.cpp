#include "formwork/linear/float_linear.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "formwork/kernels/cpu/float_product.h"

namespace formwork {
namespace {

class FloatLinear : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_float_product()) GTEST_SKIP() << "SKIPPED: this processor has no AMX tiles";
    at::manual_seed(3);
  }
  Tensor x = at::randn({3, 70, 160}), weight = at::randn({140, 160}), bias = at::randn({140});
};

void expect_near(const Tensor& found, const Tensor& expected) {
  EXPECT_LT((found - expected).abs().max().item<double>(), 1e-5 * expected.abs().max().item<double>());
}

TEST_F(FloatLinear, GivesTheProductAndItsGradients) {
  for (const bool with_bias : {false, true}) {
    std::vector<Tensor> ours{x.clone(), weight.clone()}, exact{x.to(at::kDouble), weight.to(at::kDouble)};
    if (with_bias) ours.push_back(bias.clone()), exact.push_back(bias.to(at::kDouble));
    for (auto* tensors : {&ours, &exact})
      for (auto& tensor : *tensors) tensor.requires_grad_();
    ASSERT_TRUE(fits_float_linear(ours[0], ours[1], with_bias ? ours[2] : Tensor()));
    const auto y = float_linear(ours[0], ours[1], with_bias ? ours[2] : Tensor());
    const auto want = at::linear(exact[0], exact[1], with_bias ? std::optional(exact[2]) : std::nullopt);
    expect_near(y.to(at::kDouble), want);
    const auto grads = torch::autograd::grad({y.square().sum()}, ours);
    const auto wanted = torch::autograd::grad({want.square().sum()}, exact);
    for (size_t i = 0; i < grads.size(); ++i) expect_near(grads[i].to(at::kDouble), wanted[i]);
  }
}

TEST_F(FloatLinear, IsTwiceDifferentiable) {
  std::vector<Tensor> ours{x.clone().requires_grad_(), weight.clone().requires_grad_()},
      exact{x.to(at::kDouble).requires_grad_(), weight.to(at::kDouble).requires_grad_()};
  const auto second = [](const Tensor& y, const std::vector<Tensor>& inputs) {
    const auto first =
        torch::autograd::grad({y.square().sum()}, inputs, {}, std::nullopt, /*create_graph=*/true);
    return torch::autograd::grad({first[0].square().sum()}, inputs);
  };
  const auto found = second(float_linear(ours[0], ours[1], {}), ours);
  const auto wanted = second(at::linear(exact[0], exact[1]), exact);
  for (size_t i = 0; i < found.size(); ++i) expect_near(found[i].to(at::kDouble), wanted[i]);
}

TEST_F(FloatLinear, LeavesOtherTypesAndSmallProductsAlone) {
  EXPECT_FALSE(fits_float_linear(x.to(at::kDouble), weight.to(at::kDouble), {}));
  EXPECT_FALSE(fits_float_linear(x.to(at::kBFloat16), weight, {}));
  EXPECT_FALSE(fits_float_linear(x.narrow(1, 0, 20), weight, {}));
  EXPECT_FALSE(fits_float_linear(x, weight.narrow(0, 0, 64), {}));
  EXPECT_FALSE(fits_float_linear(x, weight.t().contiguous().t(), {}));
  EXPECT_FALSE(fits_float_linear(x.narrow(2, 0, 150), weight, {}));
}

}  // namespace
}  // namespace formwork
