#include "formwork/train/optimizers/orthogonalize.h"

namespace formwork {

Tensor orthogonalize(const Tensor& x, int64_t iterations) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  const bool tall = x.size(-2) > x.size(-1);
  auto y = tall ? x.transpose(-2, -1) : x;
  y = y / y.square().sum(at::IntArrayRef{-2, -1}, true).sqrt().clamp_min(1e-7);
  for (int64_t i = 0; i < iterations; ++i) {
    const auto square = y.matmul(y.transpose(-2, -1));
    const auto polynomial = square * b + square.matmul(square) * c;
    y = y * a + polynomial.matmul(y);
  }
  return tall ? y.transpose(-2, -1) : y;
}

}  // namespace formwork
