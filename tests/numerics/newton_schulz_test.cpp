#include "formwork/numerics/newton_schulz.h"

#include <gtest/gtest.h>

namespace formwork {
namespace {

Tensor orthonormal(int64_t rows, int64_t columns) {
  return std::get<0>(at::linalg_qr(at::randn({rows, columns}, at::kDouble)));
}

TEST(NewtonSchulz, BringsSingularValuesNearOne) {
  at::manual_seed(1);
  // Those above 0.01 of a matrix of norm 1, in steps of a thousandth.
  for (int64_t i = 10; i <= 1000; ++i) {
    const double s = 1e-3 * static_cast<double>(i);
    const auto values = at::tensor({s, std::sqrt(std::max(0.0, 1 - s * s))}, at::kDouble);
    const auto x = (orthonormal(3, 2) * values).matmul(orthonormal(4, 2).t());
    const auto kept = at::linalg_svdvals(newton_schulz(x, 5))
                          .narrow(0, 0, 2)
                          .masked_select(std::get<0>(values.sort(0, true)).ge(0.01));
    EXPECT_GE(kept.min().item<double>(), 0.681) << s;
    EXPECT_LE(kept.max().item<double>(), 1.135) << s;
  }
}

TEST(NewtonSchulz, IsNearThePolarFactor) {
  at::manual_seed(2);
  for (int trial = 0; trial < 10; ++trial) {
    const auto x = at::randn({32, 48}, at::kDouble);
    const auto [u, s, vh] = at::linalg_svd(x, false);
    const auto polar = u.matmul(vh), y = newton_schulz(x, 5);
    EXPECT_GE(((y * polar).sum() / (y.norm() * polar.norm())).item<double>(), 0.98);
    EXPECT_LT((newton_schulz(x.t(), 5) - y.t()).abs().max().item<double>(), 1e-12);
  }
}

// Wide matrices, whose steps are taken on their Gram matrix, against the steps as published.
TEST(NewtonSchulz, OfWideMatricesIsTheIteration) {
  at::manual_seed(4);
  for (const int64_t columns : {6, 12, 40})
    for (const int64_t iterations : {1, 2, 5}) {
      const auto x = at::randn({2, 6, columns}, at::kDouble);
      auto y = x / (x.norm(2, at::IntArrayRef{-2, -1}, true) + 1e-7);
      for (int64_t i = 0; i < iterations; ++i) {
        const auto square = y.matmul(y.transpose(-2, -1));
        y = 3.4445 * y + (-4.7750 * square + 2.0315 * square.matmul(square)).matmul(y);
      }
      EXPECT_LT((newton_schulz(x, iterations) - y).abs().max().item<double>(), 1e-12) << columns;
      EXPECT_LT((newton_schulz(x.to(at::kFloat), iterations) - y).abs().max().item<double>(), 1e-4)
          << columns;
    }
}

// Rows that hold coefficients c in a basis B are rows c B.
TEST(NewtonSchulz, TakesCoefficientsInAnyBasis) {
  at::manual_seed(3);
  const auto x = at::randn({2, 3, 5}, at::kDouble), basis = at::randn({2, 5, 7}, at::kDouble);
  const auto metric = basis.matmul(basis.transpose(-2, -1));
  const auto y = newton_schulz(x, 5, metric).matmul(basis);
  EXPECT_LT((y - newton_schulz(x.matmul(basis), 5)).abs().max().item<double>(), 1e-10);
}

TEST(NewtonSchulz, HasADerivativeAtZero) {
  for (const int64_t columns : {4, 8})
    for (const auto type : {at::kDouble, at::kFloat}) {
      const auto x = at::zeros({3, columns}, type).requires_grad_();
      const auto y = newton_schulz(x, 5);
      EXPECT_EQ(y.abs().max().item<double>(), 0);
      const auto gradient = torch::autograd::grad({y.sum()}, {x})[0];
      EXPECT_TRUE(gradient.isfinite().all().item<bool>());
    }
}

}  // namespace
}  // namespace formwork
