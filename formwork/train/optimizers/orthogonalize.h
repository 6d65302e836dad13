// The nearest matrix with orthonormal rows or columns, roughly and without a decomposition.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// x [..., n, m] = U S V^T -> about U V^T: all singular values come to lie in about [0.7, 1.2]. Quintic
// Newton-Schulz iterations x <- a x + b (x x^T) x + c (x x^T)^2 x on x / |x|_F (Jordan et al., 2024).
Tensor orthogonalize(const Tensor& x, int64_t iterations);

}  // namespace formwork
