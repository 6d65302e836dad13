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

struct Eigen {
  Tensor vectors, values;  // [O, O] and [O], descending
};

Eigen descending(const Tensor& symmetric) {
  const auto [values, vectors] = at::linalg_eigh(symmetric);
  return {vectors.flip({1}), values.flip({0})};
}

// Of the spread of y - c = W x + (b - c). A tall map's outputs never leave the span of its columns and b - c,
// so the problem is no larger than that; beyond it there is no energy.
Eigen principal(const Tensor& spread, const Tensor& weight, const Tensor& shift) {
  const int64_t out = weight.size(0), inside = weight.size(1) + 1;
  if (out <= inside) return descending(spread);
  const auto basis = std::get<0>(at::linalg_qr(at::cat({weight, shift.unsqueeze(1)}, 1), "complete"));
  const auto span = basis.narrow(1, 0, inside);
  const auto within = descending(span.t().matmul(spread).matmul(span));
  return {at::cat({span.matmul(within.vectors), basis.narrow(1, inside, out - inside)}, 1),
          at::constant_pad_nd(within.values, {0, out - inside})};
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
    auto [vectors, values] = principal(spread, weight, bias - basis.centre);
    basis.vectors = std::move(vectors), basis.energy = std::move(values);
  }
  return basis;
}

SplitMap split_map(const OutputBasis& basis, const Tensor& weight, const Tensor& bias, int64_t rank) {
  const auto u = basis.vectors.narrow(1, 0, rank);
  return {u.t().matmul(weight), u, basis.centre + u.matmul(u.t().matmul(bias - basis.centre))};
}

}  // namespace formwork
