// Products of a bank of matrices, each with rows of its own (the tokens that an expert takes).
#pragma once
#include <vector>

#include "formwork/linear/linear_map.h"

namespace formwork {

// y = x W_g^T + b_g, x [C, in] -> [C, out], through the bank's taps. Rows are sorted by matrix: the first
// counts[0] belong to matrix 0, the next counts[1] to matrix 1, and so on.
//
// Where the bank is dense, or a low-rank pair of dense banks, its gradient is written once, each matrix in
// its place, so that a pass costs one pass over the bank however many matrices it has. Another representation
// multiplies matrix by matrix, and its taps see one delivery for each.
Tensor grouped_forward(Context& ctx, LinearMap& bank, const Tensor& x, const std::vector<int64_t>& counts);

}  // namespace formwork
