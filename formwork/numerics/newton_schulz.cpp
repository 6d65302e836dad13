#include "formwork/numerics/newton_schulz.h"

namespace formwork {
namespace {

constexpr double a = 3.4445, b = -4.7750, c = 2.0315;

Tensor gram(const Tensor& x, const Tensor& metric) {
  return (metric.defined() ? x.matmul(metric) : x).matmul(x.transpose(-2, -1));
}

Tensor iterate(Tensor y, int64_t iterations) {
  for (int64_t i = 0; i < iterations; ++i) {
    const auto square = gram(y, {});
    const auto polynomial = square * b + square.matmul(square) * c;
    y = y * a + polynomial.matmul(y);
  }
  return y;
}

// The product Q of all steps, X_n = Q X_0, from A_0 = X_0 X_0^T alone: the polynomials P of A commute, so
// that A becomes P A P.
Tensor product_of_steps(Tensor square, int64_t iterations) {
  const auto unit = at::eye(square.size(-1), square.options().requires_grad(false)) * a;
  Tensor product;
  for (int64_t i = 0; i < iterations; ++i) {
    const auto step = unit + square * b + square.matmul(square) * c;
    product = product.defined() ? step.matmul(product) : step;
    if (i + 1 < iterations) square = step.matmul(step.matmul(square));
  }
  return product;
}

}  // namespace

Tensor newton_schulz(const Tensor& x, int64_t iterations, const Tensor& metric) {
  const bool tall = !metric.defined() && x.size(-2) > x.size(-1);
  const auto y = tall ? x.transpose(-2, -1) : x;
  const auto square = gram(y, metric);
  // The number under the root keeps the derivative at x = 0 finite and is too small to change a value.
  const auto squares = square.diagonal(0, -2, -1).sum(-1).unsqueeze(-1).unsqueeze(-1);
  const auto norm = (squares + 1e-30).sqrt() + 1e-7;
  const bool wide = metric.defined() || y.size(-1) >= 2 * y.size(-2);
  const auto z = wide ? (product_of_steps(square / norm.square(), iterations) / norm).matmul(y)
                      : iterate(y / norm, iterations);
  return tall ? z.transpose(-2, -1) : z;
}

}  // namespace formwork
