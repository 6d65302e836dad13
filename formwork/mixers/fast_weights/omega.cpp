#include "formwork/mixers/fast_weights/omega.h"

namespace formwork {

Tensor token_losses(InnerLoss loss, const Tensor& y, const Tensor& values) {
  return loss == InnerLoss::hebbian ? -(y * values).sum(-1) : (y - values).square().sum(-1) * 0.5;
}

Tensor output_error(InnerLoss loss, const Tensor& y, const Tensor& values) {
  return loss == InnerLoss::hebbian ? -values : y - values;
}

Tensor window_weights(const Tensor& gates, int64_t window) {
  const int64_t all = gates.size(-1), count = all - window + 1;
  // Token t is the (t + c - 1)-th of all.
  const auto band = at::ones({count, all}, gates.options().requires_grad(false)).triu().tril(window - 1);
  return band * gates.unsqueeze(-2);
}

}  // namespace formwork
