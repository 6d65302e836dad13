// Solvers that find two thin factors of a matrix: W ~ B A, W [out, in], A [r, in], B [out, r], in double.
#pragma once
#include <string>
#include <vector>

#include "formwork/core/tensor.h"

namespace formwork {

struct Factors {
  Tensor a, b;
};

struct SolverOptions {
  std::string solver = "svd", balance = "first";
  int64_t iterations = 10;
};

// Names of the solvers, as in find_factors.
const std::vector<std::string>& solver_names();

//   random     fresh factors as a linear map begins, for training from there
//   svd        randomised subspace iteration (Halko, Martinsson and Tropp, 2011): a random sketch of r
//   columns,
//              turned towards the leading subspace by `iterations` power steps, then its exact SVD
//   exact_svd  the best factors in Frobenius norm (Eckart and Young, 1936)
//   nmf        A >= 0 and B >= 0, by multiplicative updates (Lee and Seung, 2001); W >= 0, or an error
//   snmf       A >= 0 alone, by the updates of semi-NMF (Ding, Li and Jordan, 2010)
//
// `balance` says which factor of the SVD solvers holds the singular values: first (A), last (B), or their
// roots in both (split). `name` seeds the random start and is named in errors. 1 <= rank <= min(out, in).
Factors find_factors(const Tensor& weight, int64_t rank, const SolverOptions& options,
                     const std::string& name);

}  // namespace formwork
