// How near each class of causal matrices comes to given attention matrices at the same number of states.
#pragma once
#include <cstdint>

#include "formwork/core/tensor.h"

namespace formwork {

// The mean over matrices A [n, T, T] of |A - M|_F / |A|_F for the best M that was found of each class:
//   semiseparable     M[t, s] = C_t . B_s exp(sum of log lambda from s + 1 to t), s <= t, N states: fitted by
//   Adam linear attention  the same with lambda = 1 low rank          rank N, not causal: the singular value
//   decomposition toeplitz          M[t, s] = f_{t-s}, s <= t: means of diagonals
// {"semiseparable": 0.1, ..}. `steps` of Adam from random matrices of `seed`.
Json matrix_class_errors(const Tensor& matrices, int64_t states, int64_t steps, uint64_t seed);

}  // namespace formwork
