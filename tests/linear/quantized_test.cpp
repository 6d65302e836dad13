#include <gtest/gtest.h>

#include "formwork/kernels/cpu/int4.h"
#include "formwork/linear/quantized/int4.h"
#include "formwork/linear/quantized/int8_codes.h"
#include "one_map.h"

namespace formwork {
namespace {

Json int8(double threshold, const std::string& row_max = "columns") {
  return {{"type", "int8"}, {"threshold", threshold}, {"row_max", row_max}};
}

Tensor table(const std::vector<double>& values, int64_t rows) {
  return at::tensor(values).to(at::kFloat).view({rows, -1});
}

TEST(Int8, GivesThePublishedNumbersByHand) {
  const auto x = table({1, -8, .5, .5, 4, -.25}, 2), w = table({.5, -1, .25, 2, .125, -.375}, 2);
  const auto tensors = int8_tensors(w);
  EXPECT_TRUE(at::equal(tensors.at("codes").to(at::kFloat), table({64, -127, 32, 127, 8, -24}, 2)));
  OneMap columns(3, 2, int8(6)), values(3, 2, int8(6, "values"));
  columns.set(tensors), values.set(tensors);
  EXPECT_LT(largest(columns(x) - table({8.6309, .8017, -3.8115, 1.5992}, 2)), 1e-4);
  EXPECT_LT(largest(values(x) - table({8.6309, .8017, -3.8095, 1.6070}, 2)), 1e-4);
}

TEST(Int8, IsExactOnTheGrid) {
  at::manual_seed(1);
  const auto grid = [](int64_t rows) {
    auto codes = at::randint(-127, 128, {rows, 40}, at::kFloat);
    codes.select(1, 3).fill_(127);
    return codes / 64;
  };
  const auto x = grid(7), w = grid(9);
  OneMap map(40, 9, int8(0));
  map.set(int8_tensors(w));
  const auto expected = x.to(at::kDouble).matmul(w.to(at::kDouble).t());
  EXPECT_LT(largest(map(x) - expected) / largest(expected), 1e-6);
}

TEST(Int8, ThresholdsAtTheEnds) {
  at::manual_seed(2);
  const auto x = at::randn({6, 32}), w = at::randn({10, 32});
  const auto tensors = int8_tensors(w);
  const auto run = [&](double threshold) {
    OneMap map(32, 10, int8(threshold));
    map.set(tensors);
    return map(x);
  };
  const auto weight_only = x.matmul(int8_dequantize(tensors.at("codes"), tensors.at("scale")).t());
  EXPECT_LT(largest(run(1e-9) - weight_only), 1e-5);
  EXPECT_TRUE(at::equal(run(0), run(1e30)));
  EXPECT_GT(largest(run(0) - weight_only), 1e-4);
}

TEST(Int8, StaysWithinTheErrorBound) {
  at::manual_seed(3);
  const auto x = at::randn({1000, 24}) * 3, w = at::randn({5, 24});
  OneMap map(24, 5, int8(10));
  map.set(int8_tensors(w));
  const auto outlier = (x.abs() >= 10).any(0).to(at::kDouble);
  ASSERT_GT(outlier.sum().item<double>(), 0);
  ASSERT_LT(outlier.sum().item<double>(), 24);
  const auto xd = x.to(at::kDouble), wd = w.to(at::kDouble);
  const auto s_w = wd.abs().amax(1), in = 1 - outlier, s_x = (xd * in).abs().amax(1);
  const auto bound = xd.abs().sum(1).unsqueeze(1) * s_w / 254 +
                     s_x.unsqueeze(1) * (wd.abs() * in).sum(1) / 254 +
                     s_x.unsqueeze(1) * s_w * in.sum() / (254.0 * 254.0);
  EXPECT_TRUE(((map(x) - xd.matmul(wd.t())).abs() <= bound + 1e-5).all().item<bool>());
}

TEST(Int8, PermutesWithItsRowsAndTakesEmptyOnes) {
  at::manual_seed(4);
  const auto x = at::randn({6, 16}) * 4;
  OneMap map(16, 8, int8(6), at::kFloat, true);
  const auto order = at::randperm(6, at::kLong);
  EXPECT_TRUE(at::equal(map(x).index_select(0, order), map(x.index_select(0, order))));
  EXPECT_EQ(map(at::zeros({0, 16})).size(1), 8);
  EXPECT_THROW(map(at::zeros({2, 15})), Error);
  EXPECT_EQ(map.map->bytes(), 16 * 8 + 4 * 8 + 4 * 8);
}

TEST(Int8, GradientIsThatOfTheDequantizedWeight) {
  at::manual_seed(5);
  OneMap map(16, 8, int8(2), at::kFloat, true);
  const auto x = at::randn({3, 4, 16}).set_requires_grad(true);
  const auto seed = at::randn({3, 4, 8});
  const auto grads = torch::autograd::grad({map(x)}, {x, map.tensor("bias")}, {seed});
  EXPECT_LT(largest(grads[0] - seed.matmul(map.map->dense())), 1e-5);
  EXPECT_LT(largest(grads[1] - seed.sum(at::IntArrayRef{0, 1})), 1e-5);
}

TEST(Int8, ZeroRowsAndExchangedWeights) {
  at::manual_seed(6);
  auto w = at::randn({4, 16});
  w[2].zero_();
  OneMap map(16, 4, int8(0));
  const auto x = at::randn({2, 16});
  const auto before = map(x);
  map.set(int8_tensors(w));
  const auto after = map(x);
  EXPECT_FALSE(at::equal(before, after));
  EXPECT_EQ(largest(after.select(1, 2)), 0);
  EXPECT_EQ(map.inventory.axes.at("in").group, Group::permute);
}

TEST(Int4, RoundsAsTheKernelDoesAndMultipliesByItsDense) {
  at::manual_seed(7);
  const auto w = at::randn({20, 64});
  for (const bool symmetric : {false, true}) {
    OneMap map(64, 20, {{"type", "int4"}, {"group", 32}}, at::kFloat, true);
    map.set(int4_round(w, 32, symmetric));
    const auto kernel = int4_quantize(w.const_data_ptr<float>(), 20, 64, 32, symmetric);
    const auto codes = at::tensor(at::ArrayRef<uint8_t>(kernel.codes)).view({20, 2, 32});
    const Int4Grid grid{at::tensor(at::ArrayRef<float>(kernel.scales)).view({20, 2}),
                        at::tensor(at::ArrayRef<float>(kernel.zeros)).view({20, 2})};
    EXPECT_TRUE(at::equal(map.map->dense(), int4_value(codes, grid).flatten(1)));
    const auto x = at::randn({3, 5, 64});
    const auto by_graph = map(x);  // the bias asks for a gradient
    const at::NoGradGuard guard;
    const auto reference = at::linear(x, map.map->dense(), map.tensor("bias"));
    EXPECT_LT(largest(map(x) - reference), 1e-4);
    EXPECT_LT(largest(by_graph - reference), 1e-4);
  }
  EXPECT_THROW(OneMap(60, 20, {{"type", "int4"}, {"group", 32}}), Error);
}

}  // namespace
}  // namespace formwork
