#include <gtest/gtest.h>

#include "int8_maps.h"

namespace formwork {
namespace {

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
  const auto weight_only = x.matmul(int8_dequantize({tensors.at("codes"), tensors.at("scale"), {}}).t());
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

// One side as the published formulas round it, in double; `shared`: one scale for all rows. Columns that do
// not count are zeros.
Tensor rounded(const Tensor& x, const Tensor& counts, bool zero_point, bool shared) {
  const auto over = [&](const Tensor& t) { return shared ? t.amax().view({1, 1}) : t.amax(1, true); };
  if (!zero_point) {
    const auto s = over((x * counts).abs());
    return (x * 127 / s).round() * s / 127 * counts;
  }
  const auto high = over(x.masked_fill(counts == 0, -1e30)), low = -over(-x.masked_fill(counts == 0, 1e30));
  const auto nd = 254 / (high - low);
  const auto code = ((nd * x).round() - (nd * low).round() - 127).clamp(-127, 127);
  return (code + 127 + (nd * low).round()) / nd * counts;
}

TEST(Int8, SchemesEqualTheirFormulas) {
  at::manual_seed(7);
  auto x = at::randn({9, 40}) * 1.5 + 1;
  x.select(1, 5).mul_(20);
  const auto w = at::randn({12, 40}) + 0.5;
  const auto xd = x.to(at::kDouble), wd = w.to(at::kDouble);
  std::map<std::string, double> errors;
  for (const auto& scheme : kSchemes)
    for (const double threshold : {0.0, 6.0}) {
      Int8Options options;
      options.scheme = scheme, options.threshold = threshold;
      const auto chosen = options.chosen_scheme();
      OneMap map(40, 12, int8(scheme, threshold));
      map.set(int8_tensors(w, options));
      const auto outlier = threshold > 0 ? (xd.abs() >= threshold).any(0) : at::zeros({40}, at::kBool);
      const auto counts = outlier.logical_not().to(at::kDouble);
      if (threshold > 0) {
        ASSERT_GT(outlier.sum().item<int64_t>(), 0);
        ASSERT_LT(outlier.sum().item<int64_t>(), 40);
      }
      const auto w_hat = rounded(wd, at::ones({40}, at::kDouble), chosen.zero_point, chosen.shared_weight);
      const auto x_hat = rounded(xd, counts, chosen.zero_point, chosen.shared_input);
      const auto want = (x_hat + xd * (1 - counts)).matmul(w_hat.t());
      const auto y = map(x);
      EXPECT_LT(largest(map.map->dense() - w_hat), 1e-5) << scheme;
      // A code on the edge between two may fall to the other side in float.
      EXPECT_LT(largest(y - want) / largest(want), 2e-3) << scheme << threshold;
      EXPECT_LT(((y - want).abs() > 1e-4).to(at::kDouble).mean().item<double>(), 0.15) << scheme << threshold;
      errors[scheme + (threshold > 0 ? "+" : "")] = (y - xd.matmul(wd.t())).norm().item<double>();
      EXPECT_EQ(map.map->bytes(),
                40 * 12 + 4 * (chosen.shared_weight ? 1 : 12) * (chosen.zero_point ? 2 : 1));
      EXPECT_EQ(map.map->traits().batch_independent, threshold == 0 && !chosen.shared_input);
    }
  // Finer scales round less, and so does leaving outliers out.
  EXPECT_LT(errors["vector"], errors["absmax-tensor"]);
  EXPECT_LT(errors["zeropoint-vector"], errors["zeropoint-tensor"]);
  for (const auto& scheme : kSchemes) EXPECT_LT(errors[scheme + "+"], errors[scheme]) << scheme;
}

TEST(Int8, KeptWeightsServeOutlierColumnsAlone) {
  at::manual_seed(8);
  const auto x = at::randn({6, 32}), w = at::randn({10, 32});
  Int8Options options;
  options.outlier_weight = "keep16", options.threshold = 1e-9;
  Json json = int8(1e-9);
  json["outlier_weight"] = "keep16";
  OneMap all(32, 10, json);
  all.set(int8_tensors(w, options));
  EXPECT_LT(largest(all(x) - x.matmul(w.to(at::kHalf).to(at::kFloat).t())), 1e-5);
  EXPECT_EQ(all.map->bytes(), 3 * 32 * 10 + 4 * 10);
  json["threshold"] = 100.0;
  OneMap none(32, 10, json), plain(32, 10, int8(100));
  none.set(int8_tensors(w, options)), plain.set(int8_tensors(w));
  EXPECT_TRUE(at::equal(none(x), plain(x)));
}

TEST(Int8, PoolsMakeTheSetIndependentOfTheBatch) {
  at::manual_seed(9);
  Json json = int8(4.0);
  json["outlier_pool"] = true;
  OneMap map(16, 8, json), plain(16, 8, int8(4));
  plain.set({{"codes", map.tensor("codes")}, {"scale", map.tensor("scale")}});
  auto x = at::randn({5, 16}).clamp(-3, 3);
  x[4][7] = 9;
  const auto first = x.narrow(0, 0, 4);
  const auto before = map(first).clone();
  EXPECT_TRUE(at::equal(before, plain(first)));
  const auto whole = map(x);
  EXPECT_TRUE(at::equal(whole, plain(x)));
  EXPECT_FALSE(at::equal(map(first), before));  // column 7 is in the pool now
  for (int64_t n = 0; n < 5; ++n) EXPECT_TRUE(at::equal(map(x.narrow(0, n, 1)), whole.narrow(0, n, 1))) << n;
}

TEST(Int8, ReadsItsCodesWhereTheyAreStored) {
  at::manual_seed(10);
  OneMap map(64, 32, int8(0));
  const auto x = at::randn({3, 64});
  const auto before = map(x);
  // Written behind autograd's back: a packed copy would not see it.
  auto* codes = map.tensor("codes").data_ptr<int8_t>();
  for (int64_t i = 0; i < 64 * 32; ++i) codes[i] = static_cast<int8_t>(-codes[i]);
  EXPECT_TRUE(at::equal(map(x), -before));
}

TEST(Int8, Float64MultipliesByTheDequantizedWeight) {
  at::manual_seed(14);
  OneMap map(16, 4, int8("zeropoint-vector", 6), at::kDouble);
  const auto x = at::randn({3, 16}, at::kDouble) * 5;
  EXPECT_TRUE(at::equal(map(x), at::linear(x, map.map->dense())));
}

TEST(Int8, HalfPrecisionPassesThroughFloat) {
  at::manual_seed(15);
  OneMap map(16, 4, int8(6));
  const auto x = (at::randn({3, 16}) * 4).to(at::kBFloat16);
  EXPECT_TRUE(at::equal(map(x), map(x.to(at::kFloat)).to(at::kBFloat16)));
}

}  // namespace
}  // namespace formwork
