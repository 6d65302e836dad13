// GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers (Frantar et al., 2022).
// Columns of W are rounded one by one; what rounding column i costs is made good by the columns after it:
//
//   H = X^T X + damp mean(diag) I,   U^T U = H^-1 (U upper triangular)
//   e = (w_i - q_i) / U_ii,          W[:, j] -= e U_ij   for j > i
//
// Every map's inputs are those of the unquantized model. Where greedy rounding leaves a row worse than
// rounding to the nearest, the row keeps the nearest codes, so the error on the data never exceeds that of
// int4_rtn.
#include "formwork/linear/quantized/int4.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class Gptq final : public Transform {
 public:
  struct Options {
    int64_t group = 64, block = 128;
    double damping = 0.01;
    bool act_order = false, symmetric = false;
    void describe(Fields& f) {
      f.integer("group", group, "inputs that share a scale, a multiple of 8; fewer in a last group", 8,
                65536);
      f.integer("block", block, "columns between updates of the rest of the matrix", 1, 65536);
      f.number("damping", damping, "added to the diagonal, as a share of its mean", 1e-12, 1e6);
      f.flag("act_order", act_order, "columns with the largest inputs first; groups keep their columns");
      f.flag("symmetric", symmetric, "codes centred on zero");
    }
  };
  explicit Gptq(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override { return {{{"group", 32}}, {{"group", 64}}, {{"group", 128}}}; }
  std::optional<Budget> budget(const Model& before, const TransformResult& made) const override {
    return bits_budget(4, before, *made.model);
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override;

 private:
  Int4Matrix greedy_codes(const Tensor& weight, const Tensor& hessian) const;
  Replacement quantize(LinearMap& map, const Moments& moments) const;
  Options options_;
};

// U of H^-1 = U^T U, with inputs that were always zero taken out of play.
Tensor inverse_factor(Tensor hessian, double damping) {
  const auto diagonal = hessian.diagonal();
  const auto dead = at::where(diagonal == 0, at::ones_like(diagonal), at::zeros_like(diagonal));
  const auto damp = damping * diagonal.mean();
  const auto damped = hessian + at::diag(dead + damp);
  return at::linalg_cholesky(at::cholesky_inverse(at::linalg_cholesky(damped)), /*upper=*/true);
}

Int4Matrix Gptq::greedy_codes(const Tensor& weight, const Tensor& hessian) const {
  const int64_t in = weight.size(1), group = options_.group;
  const auto order = options_.act_order ? hessian.diagonal().argsort(/*stable=*/true, 0, true)
                                        : at::arange(in, at::TensorOptions(at::kLong));
  const auto u = inverse_factor(hessian.index_select(0, order).index_select(1, order), options_.damping);
  auto w = weight.to(at::kDouble).index_select(1, order).contiguous();
  auto made = int4_round(weight, group,
                         options_.symmetric);  // the grids of act_order, which visits groups out of turn
  const int64_t* column_of = order.const_data_ptr<int64_t>();
  for (int64_t first = 0; first < in; first += options_.block) {
    const int64_t last = std::min(in, first + options_.block);
    auto errors = at::zeros({w.size(0), last - first}, w.options());
    for (int64_t i = first; i < last; ++i) {
      const int64_t column = column_of[i], g = column / group;
      if (!options_.act_order && i % group == 0) {
        // Columns past the block still owe this block's errors.
        const int64_t width = std::min(group, in - i);
        auto now = w.narrow(1, i, width).clone();
        if (const int64_t late = i + width - last; late > 0 && i > first)
          now.narrow(1, width - late, late)
              .sub_(
                  errors.narrow(1, 0, i - first).matmul(u.narrow(0, first, i - first).narrow(1, last, late)));
        const auto grid = int4_grid(now, options_.symmetric);
        made.grid.scale.select(1, g).copy_(grid.scale);
        made.grid.zero.select(1, g).copy_(grid.zero);
      }
      const Int4Grid grid{made.grid.scale.select(1, g), made.grid.zero.select(1, g)};
      const auto codes = int4_codes(w.narrow(1, i, 1).to(at::kFloat), grid);
      made.codes.narrow(1, column, 1).copy_(codes);
      const auto error = (w.narrow(1, i, 1) - int4_value(codes, grid)) / u[i][i];
      w.narrow(1, i, last - i).sub_(error.matmul(u.narrow(0, i, 1).narrow(1, i, last - i)));
      errors.narrow(1, i - first, 1).copy_(error);
    }
    if (last < in)
      w.narrow(1, last, in - last)
          .sub_(errors.matmul(u.narrow(0, first, last - first).narrow(1, last, in - last)));
  }
  return made;
}

Replacement Gptq::quantize(LinearMap& map, const Moments& moments) const {
  const auto weight = finite_weight(map);
  auto made = greedy_codes(weight, moments.outer);
  const auto nearest = int4_round(weight, options_.group, options_.symmetric);
  const auto row_error = [&](const Int4Matrix& matrix) {
    const auto d = (weight - matrix.value()).to(at::kDouble);
    return (d.matmul(moments.outer) * d).sum(1);
  };
  const auto ours = row_error(made), theirs = row_error(nearest);
  const auto worse = (ours > theirs).unsqueeze(1);
  made.codes = at::where(worse, nearest.codes, made.codes);
  made.grid.scale = at::where(worse, nearest.grid.scale, made.grid.scale);
  made.grid.zero = at::where(worse, nearest.grid.zero, made.grid.zero);
  Replacement result;
  result.tensors = made.tensors();
  result.representation = PartSpec("int4");
  result.representation->options = {{"group", options_.group}};
  result.row = {{"error", output_error(weight - made.value(), moments)},
                {"error_nearest", output_error(weight - nearest.value(), moments)},
                {"rows_nearest", worse.sum().item<int64_t>()}};
  return result;
}

TransformResult Gptq::apply(const std::shared_ptr<Model>& model, const Calibration& data) {
  const auto moments = collect_moments(*model, data, input_taps(block_maps(*model)), /*with_outer=*/true);
  return replace_block_maps(model, "gptq", options_json(options_), [&](LinearMap& map) {
    const auto found = moments.find(map.input_tap());
    return found == moments.end() ? Replacement::leave("no calibration token reached it")
                                  : quantize(map, found->second);
  });
}

FORMWORK_PART(Transform, Gptq, "gptq", "4-bit weights whose rounding errors later columns make good");

}  // namespace
}  // namespace formwork
