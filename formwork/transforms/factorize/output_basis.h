// Atomic feature mimicking (Yu and Wu, Compressing Transformers: Features Are Low-Rank, but Weights Are Not!,
// 2023): the outputs y = W x + b of a map [O, I], over real tokens, are kept in a subspace U [O, r] around a
// centre c [O],
//
//   y ~ U U^T (y - c) + c:   A = U^T W,  B = U,  b' = c + U U^T (b - c)
//
// with the mean squared error sum_{i > r} u_i^T E[(y - c)(y - c)^T] u_i. How U and c are chosen:
//
//   afm_centred    eigenvectors of the covariance, c = E[y]: no affine map of rank r does better
//   afm_uncentred  eigenvectors of E[y y^T], c = 0: adds no bias to a map without one
//   svd            left singular vectors of W, c = b: the weights alone
//   svd_whitened   the singular vectors of W E[x x^T]^(1/2), c = b: the best of rank r with the bias as it
//   was
#pragma once
#include <string>
#include <vector>

#include "formwork/transforms/transform.h"

namespace formwork {

struct OutputBasis {
  Tensor vectors;  // [O, k], orthonormal columns, the most important first
  Tensor energy;   // [k], of the outputs along each, descending but for svd
  Tensor centre;   // [O]

  int64_t size() const { return vectors.size(1); }
  double error(int64_t rank) const;  // per token, summed over outputs
};

// `kind` as above; weight [O, I] and bias [O] (zeros where there is none) in double, `outputs` the moments of
// y with the outer product.
OutputBasis output_basis(const std::string& kind, const Tensor& weight, const Tensor& bias,
                         const Moments& outputs);
const std::vector<std::string>& output_bases();  // the kinds

struct SplitMap {
  Tensor a, b, bias;  // [r, I], [O, r], [O], double
};
SplitMap split_map(const OutputBasis& basis, const Tensor& weight, const Tensor& bias, int64_t rank);

}  // namespace formwork
