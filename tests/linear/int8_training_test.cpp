#include <gtest/gtest.h>

#include "int8_maps.h"

namespace formwork {
namespace {

TEST(Int8, TrainedWeightsGetTheIntegerGradient) {
  at::manual_seed(11);
  Json json = int8(3.0);
  json["has_fp16_weights"] = true;
  OneMap map(16, 8, json, at::kFloat, true);
  const auto& weight = map.tensor("weight");
  const auto x = (at::randn({50, 16}) * 1.2).set_requires_grad(true), seed = at::randn({50, 8});
  const auto outlier = (x.abs() >= 3).any(0);
  ASSERT_GT(outlier.sum().item<int64_t>(), 0);
  ASSERT_LT(outlier.sum().item<int64_t>(), 16);
  const auto y = map(x);
  Int8Options options;
  options.threshold = 3;
  const auto half = weight.detach().to(at::kHalf).to(at::kFloat);
  OneMap same(16, 8, int8(3), at::kFloat, true);
  same.set(int8_tensors(half, options)), same.set({{"bias", map.tensor("bias").detach()}});
  EXPECT_TRUE(at::equal(y, same(x)));
  const auto grads = torch::autograd::grad({y}, {x, weight, map.tensor("bias")}, {seed});
  EXPECT_LT(largest(grads[0] - seed.matmul(same.map->dense())), 1e-5);
  EXPECT_LT(largest(grads[2] - seed.sum(0)), 1e-5);
  const auto tokens = [](const Tensor& t) {  // codes along tokens: one scale for each feature
    const auto s = t.abs().amax(0, true);
    return (t * 127 / s).round() * s / 127;
  };
  const auto xd = x.detach().to(at::kDouble), gd = seed.to(at::kDouble);
  const auto want =
      at::where(outlier, gd.t().matmul(xd), tokens(gd).t().matmul(at::where(outlier, xd, tokens(xd))));
  EXPECT_LT(largest(grads[1] - want), 2e-3 * largest(want));
  EXPECT_LT(largest((grads[1] - want) * outlier), 1e-4);
  const auto exact = gd.t().matmul(xd);
  EXPECT_LT((grads[1] - exact).norm().item<double>() / exact.norm().item<double>(), 0.02);
  EXPECT_GT(largest(grads[1] - exact), 1e-4);  // it is an integer product
}

TEST(Int8, TrainsWithItsOwnWeights) {
  at::manual_seed(12);
  Json json = int8(6.0);
  json["has_fp16_weights"] = true;
  OneMap map(16, 4, json);
  const auto x = at::randn({64, 16}), target = x.matmul(at::randn({16, 4}));
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    const auto loss = (map(x) - target).square().mean();
    last = loss.item<double>();
    if (step == 0) first = last;
    const auto grad = torch::autograd::grad({loss}, {map.tensor("weight")})[0];
    const at::NoGradGuard guard;
    // As a fused optimizer does it: in place, without a version that a cache of codes could go by.
    auto* w = map.tensor("weight").data_ptr<float>();
    for (int64_t i = 0; i < grad.numel(); ++i) w[i] -= grad.contiguous().const_data_ptr<float>()[i];
  }
  EXPECT_LT(last, 0.02 * first);
}

}  // namespace
}  // namespace formwork
