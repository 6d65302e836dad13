// The Omega rule: what a memory minimizes at token t, over the last c tokens,
//
//   L_t(M) = sum_{i=t-c+1..t} g_i l_i(M),   l_i = 1/2 |M(phi_i) - v_i|^2  or  -<M(phi_i), v_i> (Hebbian)
//
// with gates g_i in [0, 1]. Fewer terms while t < c. c = 1 is the delta rule, c = t a regression over the
// whole past. (The factor 1/2 takes the 2 of the square's derivative, which the inner rate would hold.)
// Source: ATLAS: Learning to Optimally Memorize the Context at Test Time (2025), section 3.2.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

enum class InnerLoss { regression, hebbian };

// l_i of outputs and values [B, H, m, dv] -> [B, H, m], and its derivative by the output, [B, H, m, dv].
Tensor token_losses(InnerLoss loss, const Tensor& y, const Tensor& values);
Tensor output_error(InnerLoss loss, const Tensor& y, const Tensor& values);

// The weight of token i in the objective of token t: [B, H, n, m] for the last n of m = n + c - 1 tokens with
// gates [B, H, m]. Band-triangular, c wide.
Tensor window_weights(const Tensor& gates, int64_t window);

}  // namespace formwork
