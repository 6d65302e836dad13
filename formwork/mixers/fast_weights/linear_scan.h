// Linear recurrences of numbers over one segment, as matrices over its tokens.
#pragma once
#include "formwork/mixers/fast_weights/inner_optimizer.h"

namespace formwork {

// x_t = a_t x_{t-1} + u_t as x_t = carried[t] x_0 + sum_s kernel[t, s] u_s.
struct LinearScan {
  Tensor kernel;   // [B, H, n, n]: a_{s+1} .. a_t for s <= t, else 0
  Tensor carried;  // [B, H, n]: a_1 .. a_t
};
// From log a [B, H, n]; a sum of logs at a time, so that nothing overflows and a product of many does not
// lose its derivative.
LinearScan linear_scan(const Tensor& log_factors);

// M_t = of_weight[t] M + of_momentum[t] S + sum_i of_gradients[t, i] left_i right_i^T, without a matrix for
// each token. of_momentum undefined: no momentum S.
struct LinearPath {
  Tensor of_weight, of_momentum;  // [B, H, n]
  Tensor of_gradients;            // [B, H, n, m]
};
// Of these coefficients for a weight: M_t times x_t, and M_n.
std::function<Tensor(const Tensor& x)> apply_along(const LinearPath& path, const Descent& descent);
Tensor end_of(const LinearPath& path, const Descent& descent);
// sum_i factors[i] left_i right_i^T; factors [B, H, m].
Tensor weighted_sum(const RankOne& gradients, const Tensor& factors);

}  // namespace formwork
