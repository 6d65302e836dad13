#include "formwork/mixers/fast_weights/linear_scan.h"

namespace formwork {

LinearScan linear_scan(const Tensor& log_factors) {
  if (log_factors.size(-1) == 1)  // a step of decoding, or of the exact recurrence
    return {at::ones_like(log_factors).unsqueeze(-1), log_factors.exp()};
  const auto sums = log_factors.cumsum(-1);
  // Masked before the exponential: above the diagonal it could be infinite.
  const auto gaps = (sums.unsqueeze(-1) - sums.unsqueeze(-2)).tril();
  return {gaps.exp().tril(), sums.exp()};
}

std::function<Tensor(const Tensor& x)> apply_along(const LinearPath& path, const Descent& descent) {
  return [path, descent](const Tensor& x) {
    auto y = times(descent.weight, x) * path.of_weight.unsqueeze(-1);
    if (path.of_momentum.defined()) y = y + times(descent.momentum, x) * path.of_momentum.unsqueeze(-1);
    const auto& [left, right] = descent.gradients;
    return y + (times(right, x) * path.of_gradients).matmul(left);
  };
}

Tensor weighted_sum(const RankOne& gradients, const Tensor& factors) {
  return (gradients.left * factors.unsqueeze(-1)).transpose(-2, -1).matmul(gradients.right);
}

Tensor end_of(const LinearPath& path, const Descent& descent) {
  const int64_t last = path.of_weight.size(-1) - 1;
  const auto factor = [&](const Tensor& x) { return x.select(-1, last).unsqueeze(-1).unsqueeze(-1); };
  auto end = descent.weight * factor(path.of_weight);
  if (path.of_momentum.defined()) end = end + descent.momentum * factor(path.of_momentum);
  return end + weighted_sum(descent.gradients, path.of_gradients.select(-2, last));
}

}  // namespace formwork
