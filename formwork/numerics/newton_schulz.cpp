#include "formwork/numerics/newton_schulz.h"

namespace formwork {
namespace {

Tensor gram(const Tensor& x, const Tensor& metric) {
  return (metric.defined() ? x.matmul(metric) : x).matmul(x.transpose(-2, -1));
}

// The number under the root keeps the derivative at x = 0 finite and is too small to change a value.
Tensor frobenius_norm(const Tensor& x, const Tensor& metric) {
  const auto squares = metric.defined() ? x.matmul(metric) * x : x.square();
  return (squares.sum(at::IntArrayRef{-2, -1}, true) + 1e-30).sqrt();
}

}  // namespace

Tensor newton_schulz(const Tensor& x, int64_t iterations, const Tensor& metric) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  const bool tall = !metric.defined() && x.size(-2) > x.size(-1);
  auto y = tall ? x.transpose(-2, -1) : x;
  y = y / (frobenius_norm(y, metric) + 1e-7);
  for (int64_t i = 0; i < iterations; ++i) {
    const auto square = gram(y, metric);
    const auto polynomial = square * b + square.matmul(square) * c;
    y = y * a + polynomial.matmul(y);
  }
  return tall ? y.transpose(-2, -1) : y;
}

}  // namespace formwork
