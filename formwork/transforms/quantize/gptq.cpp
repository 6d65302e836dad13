// GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers (Frantar et al., 2022).
// Columns of W are rounded one by one; what rounding column i costs is made good by the columns after it:
//
//   H = X^T X + damp mean(diag) I,   U^T U = H^-1 (U upper triangular)
//   e = (w_i - q_i) / U_ii,          W[:, j] -= e U_ij   for j > i
//
// Every map's inputs are those of the unquantized model. Where greedy rounding leaves a row worse than
// rounding to the nearest, the row keeps the nearest codes, so the error on the data never exceeds that of
// int4_rtn.
#include <ATen/Parallel.h>

#include <cmath>

#include "formwork/linear/quantized/int4.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

// U of H^-1 = U^T U, with inputs that were always zero taken out of play.
Tensor inverse_factor(Tensor hessian, double damping) {
  const auto diagonal = hessian.diagonal();
  const auto dead = at::where(diagonal == 0, at::ones_like(diagonal), at::zeros_like(diagonal));
  const auto damp = damping * diagonal.mean();
  const auto damped = hessian + at::diag(dead + damp);
  return at::linalg_cholesky(at::cholesky_inverse(at::linalg_cholesky(damped)), /*upper=*/true);
}

// What the inputs of a map say about the order of its columns and the price of rounding each.
struct Columns {
  Tensor order;   // [in] int64: the column that is rounded i-th
  Tensor factor;  // U, in that order
};

Columns columns_of(const Tensor& hessian, bool by_size, double damping) {
  Columns columns;
  columns.order = by_size ? hessian.diagonal().argsort(/*stable=*/true, 0, true)
                          : at::arange(hessian.size(0), at::TensorOptions(at::kLong));
  const auto& order = columns.order;
  columns.factor =
      inverse_factor(hessian.index_select(0, order).index_select(1, order), damping).contiguous();
  return columns;
}

// The matrix on its way: its columns in their order, and how far each was off when it was rounded.
struct Rounding {
  Tensor w;       // [out, in] double
  Tensor errors;  // [out, block] double
  Int4Matrix made;
};

// Rounds columns [from, to) of the block that begins at `first` and ends at `last`, row by row; what each
// column was off by is made good in the rest of the block.
void round_columns(Rounding& state, const Columns& columns, int64_t first, int64_t from, int64_t to,
                   int64_t last) {
  const int64_t in = state.w.size(1), block = state.errors.size(1), groups = state.made.grid.scale.size(1);
  double *w = state.w.mutable_data_ptr<double>(), *errors = state.errors.mutable_data_ptr<double>();
  uint8_t* codes = state.made.codes.mutable_data_ptr<uint8_t>();
  const double* u = columns.factor.const_data_ptr<double>();
  const int64_t* order = columns.order.const_data_ptr<int64_t>();
  const float *scales = state.made.grid.scale.const_data_ptr<float>(),
              *zeros = state.made.grid.zero.const_data_ptr<float>();
  at::parallel_for(0, state.w.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      double* row = w + r * in;
      for (int64_t i = from; i < to; ++i) {
        const int64_t g = r * groups + order[i] / state.made.group;
        const float scale = scales[g], zero = zeros[g];
        const float code = std::clamp(std::nearbyint(static_cast<float>(row[i]) / scale) + zero, 0.0F, 15.0F);
        const double error = (row[i] - static_cast<double>((code - zero) * scale)) / u[i * in + i];
        for (int64_t j = i; j < last; ++j) row[j] -= error * u[i * in + j];
        codes[r * in + order[i]] = static_cast<uint8_t>(code);
        errors[r * block + i - first] = error;
      }
    }
  });
}

// The grid of the group that begins at column i, for the weights as they are now. Columns past the block
// still owe its errors.
void set_grid(Rounding& state, const Columns& columns, int64_t first, int64_t i, int64_t last,
              bool symmetric) {
  const int64_t width = std::min(state.made.group, state.w.size(1) - i);
  auto now = state.w.narrow(1, i, width).clone();
  if (const int64_t late = i + width - last; late > 0 && i > first)
    now.narrow(1, width - late, late)
        .sub_(state.errors.narrow(1, 0, i - first)
                  .matmul(columns.factor.narrow(0, first, i - first).narrow(1, last, late)));
  const auto grid = int4_grid(now, symmetric);
  state.made.grid.scale.select(1, i / state.made.group).copy_(grid.scale);
  state.made.grid.zero.select(1, i / state.made.group).copy_(grid.zero);
}

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
  Int4Matrix greedy_codes(const Tensor& weight, const Columns& columns) const;
  Replacement quantize(LinearMap& map, const Moments& moments, const Columns& columns) const;
  Options options_;
};

Int4Matrix Gptq::greedy_codes(const Tensor& weight, const Columns& columns) const {
  const int64_t in = weight.size(1), group = options_.group, block = std::min(options_.block, in);
  Rounding state;
  state.w = weight.to(at::kDouble).index_select(1, columns.order).contiguous();
  state.errors = at::empty({weight.size(0), block}, state.w.options());
  state.made = int4_round(weight, group,
                          options_.symmetric);  // the grids of act_order, which visits groups out of turn
  state.made.codes = state.made.codes.contiguous();
  state.made.grid.scale = state.made.grid.scale.contiguous(),
  state.made.grid.zero = state.made.grid.zero.contiguous();
  for (int64_t first = 0; first < in; first += block) {
    const int64_t last = std::min(in, first + block);
    for (int64_t i = first, next; i < last; i = next) {
      next = options_.act_order ? last : std::min(last, (i / group + 1) * group);
      if (!options_.act_order && i % group == 0) set_grid(state, columns, first, i, last, options_.symmetric);
      round_columns(state, columns, first, i, next, last);
    }
    if (last < in)
      state.w.narrow(1, last, in - last)
          .sub_(state.errors.narrow(1, 0, last - first)
                    .matmul(columns.factor.narrow(0, first, last - first).narrow(1, last, in - last)));
  }
  return state.made;
}

Replacement Gptq::quantize(LinearMap& map, const Moments& moments, const Columns& columns) const {
  const auto weight = finite_weight(map);
  auto made = greedy_codes(weight, columns);
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
  const auto tokens = static_cast<double>(moments.count);
  result.row = {{"error", at::minimum(ours, theirs).sum().item<double>() / tokens},
                {"error_nearest", theirs.sum().item<double>() / tokens},
                {"rows_nearest", worse.sum().item<int64_t>()}};
  return result;
}

TransformResult Gptq::apply(const std::shared_ptr<Model>& model, const Calibration& data) {
  const auto moments = collect_moments(*model, data, input_taps(block_maps(*model)), /*with_outer=*/true);
  Columns columns;  // of `tap`: maps that read the same input follow each other
  Slot tap = -1;
  return replace_block_maps(model, "gptq", options_json(options_), [&](LinearMap& map) {
    const auto found = moments.find(map.input_tap());
    if (found == moments.end()) return Replacement::leave("no calibration token reached it");
    if (tap != found->first) {
      tap = found->first;
      columns = columns_of(found->second.outer, options_.act_order, options_.damping);
    }
    return quantize(map, found->second, columns);
  });
}

FORMWORK_PART(Transform, Gptq, "gptq", "4-bit weights whose rounding errors later columns make good");

}  // namespace
}  // namespace formwork
