#include <gtest/gtest.h>

#include "mixer_alone.h"

namespace formwork {
namespace {

TEST(AveragePool, AConstantStreamGivesZeroAlsoAtTheBorder) {
  MixerAlone alone(R"({"type": "average_pool", "window": 5})", 3, at::kDouble, false);
  const auto x = at::randn({2, 1, 3}, at::kDouble).expand({2, 12, 3});
  EXPECT_LT(alone.forward(x).abs().max().item<double>(), 1e-14);
  Layout plane;
  plane.dims = {{"height", 3}, {"width", 4}};
  EXPECT_LT(alone.forward(x, &plane).abs().max().item<double>(), 1e-14);
}

TEST(AveragePool, IsTheMeanOfTheRealNeighbours) {
  at::manual_seed(1);
  MixerAlone alone(R"({"type": "average_pool", "window": 3, "subtract": false})", 2, at::kDouble, false);
  const auto x = at::randn({2, 5, 2}, at::kDouble);
  Layout layout;
  layout.lengths = at::tensor({5, 2}, at::kLong);
  const auto y = alone.forward(x, &layout);
  EXPECT_LT(distance(y[0], alone.forward(x)[0]), 1e-15);
  EXPECT_LT(distance(y[0][2], x[0].narrow(0, 1, 3).mean(0)), 1e-15);
  EXPECT_LT(distance(y[0][4], x[0].narrow(0, 3, 2).mean(0)), 1e-15);
  EXPECT_LT(distance(y[1][1], x[1].narrow(0, 0, 2).mean(0)), 1e-15);
  Layout plane;
  plane.dims = {{"height", 2}, {"width", 2}};
  const auto corner = alone.forward(x.narrow(1, 0, 4), &plane);
  EXPECT_LT(distance(corner[0][3], x[0].narrow(0, 0, 4).mean(0)), 1e-15);
}

TEST(AveragePool, RefusesAnEvenWindow) {
  EXPECT_THROW(MixerAlone(R"({"type": "average_pool", "window": 4})", 3, at::kDouble, false), Error);
}

TEST(AveragePast, IsTheRunningMeanAndDecodes) {
  at::manual_seed(2);
  MixerAlone alone(R"({"type": "average_past"})", 3);
  const auto x = at::randn({2, 9, 3}, at::kDouble);
  const auto y = alone.forward(x);
  for (int64_t t = 0; t < 9; ++t) EXPECT_LT(distance(y.select(1, t), x.narrow(1, 0, t + 1).mean(1)), 1e-14);
  EXPECT_LT(distance(alone.in_pieces(x, {1, 4, 1, 3}), y), 1e-14);
}

TEST(AveragePast, KeepsLengthsRollsBackAndForks) {
  at::manual_seed(3);
  MixerAlone alone(R"({"type": "average_past"})", 3);
  const auto x = at::randn({2, 4, 3}, at::kDouble), next = at::randn({2, 1, 3}, at::kDouble);
  Layout layout;
  layout.lengths = at::tensor({4, 1}, at::kLong);
  auto state = alone.state(2, 1);
  alone.append(x, *state, &layout);
  const auto y = alone.append(next, *state);
  EXPECT_LT(distance(y[1][0], (x[1][0] + next[1][0]) / 2), 1e-15);
  state->roll_back(1);
  const auto copy = state->fork(at::tensor({1}, at::kLong));
  EXPECT_LT(distance(alone.append(next, *state), y), 1e-15);
  EXPECT_LT(distance(alone.append(next.narrow(0, 1, 1), *copy)[0], y[1]), 1e-15);
}

}  // namespace
}  // namespace formwork
