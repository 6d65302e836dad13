// Features of keys, and how many pairs they hold.
#include <gtest/gtest.h>

#include "inner_loop_alone.h"

namespace formwork {
namespace {

std::string poly(int64_t degree) {
  return R"({"memory": "matrix", "features": {"type": "poly", "degree": )" + std::to_string(degree) + "}}";
}

// phi(x) . phi(y) is the series of exp without its constant, divided by the norms.
TEST(FeatureMap, PolynomialsAreASeriesOfProducts) {
  at::manual_seed(1);
  for (const int64_t degree : {1, 2, 3, 5}) {
    LoopAlone alone(poly(degree), {1, 2, 1, 4, 2});
    const auto x = unit_rows(at::randn({1, 2, 1, 4}, at::kDouble)),
               y = unit_rows(at::randn({1, 2, 1, 4}, at::kDouble));
    const auto series = [&](const Tensor& dot) {
      auto sum = at::zeros_like(dot), term = at::ones_like(dot);
      for (int64_t i = 1; i <= degree; ++i) sum = sum + (term = term * dot / static_cast<double>(i));
      return sum;
    };
    const auto one = series(at::ones({1}, at::kDouble));
    const auto fx = alone.features(x), fy = alone.features(y);
    EXPECT_LT(distance((fx * fy).sum(-1), series((x * y).sum(-1)) / one), 1e-11) << degree;
    EXPECT_LT(distance(fx.norm(2, -1), at::ones({1, 2, 1}, at::kDouble)), 1e-11);
  }
  EXPECT_EQ(LoopAlone(poly(2), {1, 1, 1, 8, 2}).parts.features->features().size, 8 + 36);
  EXPECT_EQ(LoopAlone(poly(3), {1, 1, 1, 5, 2}).parts.features->features().size, 5 + 15 + 35);
}

TEST(FeatureMap, RefusesTooManyFeatures) {
  try {
    LoopAlone(poly(2), {1, 1, 1, 128, 2});
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("mixer.features: 8384 features"), std::string::npos) << text;
    EXPECT_NE(text.find("4096"), std::string::npos) << text;
  }
}

// Mean squared error of the best matrix from the features of N random unit keys of 8 channels to N values.
double least_squares_error(const std::string& json, int64_t pairs) {
  LoopAlone alone(json, {1, 1, 1, 8, 2});
  const auto keys = unit_rows(at::randn({1, 1, pairs, 8}, at::kDouble));
  const auto phi = alone.features(keys)[0][0], values = at::randn({pairs, 8}, at::kDouble);
  const auto best = at::linalg_pinv(phi).matmul(values);
  return (phi.matmul(best) - values).square().mean().item<double>();
}

// As many pairs as features are held, and not one more.
TEST(FeatureMap, CapacityIsTheNumberOfFeatures) {
  at::manual_seed(2);
  const std::string identity = R"({"memory": "matrix", "features": "identity"})";
  for (int64_t pairs = 1; pairs <= 8; ++pairs) EXPECT_LT(least_squares_error(identity, pairs), 1e-8) << pairs;
  EXPECT_GT(least_squares_error(identity, 9), 1e-3);
  for (const int64_t pairs : {1, 8, 9, 30, 44}) EXPECT_LT(least_squares_error(poly(2), pairs), 1e-8) << pairs;
  EXPECT_GT(least_squares_error(poly(2), 45), 1e-3);
}

}  // namespace
}  // namespace formwork
