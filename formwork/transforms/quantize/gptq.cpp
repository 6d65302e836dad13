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

struct Codes {
  Tensor codes;   // [out, in] uint8
  Int4Grid grid;  // [out, groups]
  Tensor value(int64_t group) const { return int4_value(codes.unflatten(1, {-1, group}), grid).flatten(1); }
};

class Gptq final : public Transform {
 public:
  struct Options {
    int64_t group = 64, block = 128;
    double damping = 0.01;
    bool act_order = false, symmetric = false;
    void describe(Fields& f) {
      f.integer("group", group, "inputs that share a scale; a multiple of 8", 8, 65536);
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
  Codes nearest_codes(const Tensor& weight) const;
  Codes greedy_codes(const Tensor& weight, const Tensor& hessian) const;
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

Codes Gptq::nearest_codes(const Tensor& weight) const {
  const auto grouped = weight.to(at::kFloat).unflatten(1, {-1, options_.group});
  const auto grid = int4_grid(grouped, options_.symmetric);
  return {int4_codes(grouped, grid).flatten(1), grid};
}

Codes Gptq::greedy_codes(const Tensor& weight, const Tensor& hessian) const {
  const int64_t in = weight.size(1), group = options_.group;
  const auto order = options_.act_order ? hessian.diagonal().argsort(/*stable=*/true, 0, true)
                                        : at::arange(in, at::TensorOptions(at::kLong));
  const auto u = inverse_factor(hessian.index_select(0, order).index_select(1, order), options_.damping);
  auto w = weight.to(at::kDouble).index_select(1, order).contiguous();
  Codes made = nearest_codes(weight);  // the grids of act_order, which visits groups out of turn
  const int64_t* column_of = order.const_data_ptr<int64_t>();
  for (int64_t first = 0; first < in; first += options_.block) {
    const int64_t last = std::min(in, first + options_.block);
    auto errors = at::zeros({w.size(0), last - first}, w.options());
    for (int64_t i = first; i < last; ++i) {
      const int64_t column = column_of[i], g = column / group;
      if (!options_.act_order && i % group == 0) {
        // Columns past the block still owe this block's errors.
        auto now = w.narrow(1, i, group).clone();
        if (const int64_t late = i + group - last; late > 0 && i > first)
          now.narrow(1, group - late, late)
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
  const auto nearest = nearest_codes(weight);
  const auto row_error = [&](const Codes& codes) {
    const auto d = (weight - codes.value(options_.group)).to(at::kDouble);
    return (d.matmul(moments.outer) * d).sum(1);
  };
  const auto ours = row_error(made), theirs = row_error(nearest);
  const auto worse = (ours > theirs).unsqueeze(1);
  made.codes = at::where(worse, nearest.codes, made.codes);
  made.grid.scale = at::where(worse, nearest.grid.scale, made.grid.scale);
  made.grid.zero = at::where(worse, nearest.grid.zero, made.grid.zero);
  Replacement result;
  result.tensors = int4_tensors(made.codes.unflatten(1, {-1, options_.group}), made.grid);
  result.representation = PartSpec("int4");
  result.representation->options = {{"group", options_.group}};
  result.row = {{"error", output_error(weight - made.value(options_.group), moments)},
                {"error_nearest", output_error(weight - nearest.value(options_.group), moments)},
                {"rows_nearest", worse.sum().item<int64_t>()}};
  return result;
}

TransformResult Gptq::apply(const std::shared_ptr<Model>& model, const Calibration& data) {
  const auto moments = collect_moments(*model, data, input_taps(block_maps(*model)), /*with_outer=*/true);
  return replace_block_maps(model, "gptq", options_json(options_), [&](LinearMap& map) {
    if (options_.group % 8 != 0 || map.in() % options_.group != 0)
      return Replacement::skip(
          fmt::format("{} inputs do not divide into groups of {}", map.in(), options_.group));
    const auto found = moments.find(map.input_tap());
    return found == moments.end() ? Replacement::skip("no calibration token reached it")
                                  : quantize(map, found->second);
  });
}

FORMWORK_PART(Transform, Gptq, "gptq", "4-bit weights whose rounding errors later columns make good");

}  // namespace
}  // namespace formwork
