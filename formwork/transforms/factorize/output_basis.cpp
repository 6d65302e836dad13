#include "formwork/transforms/factorize/output_basis.h"

namespace formwork {

double OutputBasis::error(int64_t rank) const {
  return energy.narrow(0, rank, size() - rank).clamp_min(0).sum().item<double>();
}

const std::vector<std::string>& output_bases() {
  static const std::vector<std::string> names = {"afm_centred", "afm_uncentred", "svd", "svd_whitened"};
  return names;
}

namespace {

// E[(y - c)(y - c)^T]
Tensor spread_around(const Tensor& centre, const Moments& outputs) {
  const auto n = static_cast<double>(outputs.count);
  const auto cross = at::outer(outputs.sum / n, centre);
  return outputs.outer / n - cross - cross.t() + at::outer(centre, centre);
}

}  // namespace

OutputBasis output_basis(const std::string& kind, const Tensor& weight, const Tensor& bias,
                         const Moments& outputs) {
  OutputBasis basis;
  basis.centre = kind == "afm_centred"     ? outputs.sum / static_cast<double>(outputs.count)
                 : kind == "afm_uncentred" ? at::zeros_like(bias)
                                           : bias;
  const auto spread = spread_around(basis.centre, outputs);
  if (kind == "svd") {
    basis.vectors = std::get<0>(at::linalg_svd(weight, /*full_matrices=*/false));
    basis.energy = (basis.vectors * spread.matmul(basis.vectors)).sum(0);
  } else {
    const auto [values, vectors] = at::linalg_eigh(spread);
    basis.vectors = vectors.flip({1}), basis.energy = values.flip({0});
  }
  return basis;
}

SplitMap split_map(const OutputBasis& basis, const Tensor& weight, const Tensor& bias, int64_t rank) {
  const auto u = basis.vectors.narrow(1, 0, rank);
  return {u.t().matmul(weight), u, basis.centre + u.matmul(u.t().matmul(bias - basis.centre))};
}

}  // namespace formwork
