#include "formwork/linear/grouped.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/graph_task.h>

#include "formwork/linear/dense.h"
#include "formwork/linear/low_rank.h"

namespace formwork {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Counts = std::vector<int64_t>;

// Calls visit(matrix, first row, rows) for each matrix that has rows.
template <class Visit>
void for_each_group(at::IntArrayRef counts, const Visit& visit) {
  int64_t start = 0;
  for (size_t g = 0; g < counts.size(); ++g) {
    if (counts[g] > 0) visit(static_cast<int64_t>(g), start, counts[g]);
    start += counts[g];
  }
}

// Whether a backward pass may add to weight.grad itself. That saves a bank of scratch memory and two passes
// over it, but is right only where the engine would add to that very tensor: in a pass to all leaves (a pass
// to chosen inputs must leave .grad alone), for a leaf that has a gradient already and no hooks.
bool adds_to_leaf(const Tensor& weight) {
  const auto* chosen = torch::autograd::get_current_graph_task_exec_info();
  if (!chosen || !chosen->empty() || at::GradMode::is_enabled()) return false;
  if (!weight.is_leaf() || !weight.is_cpu() || !weight.grad().defined()) return false;
  return weight.grad().is_contiguous() && weight.grad().scalar_type() == weight.scalar_type() &&
         torch::autograd::impl::hooks(weight).empty() && !torch::autograd::impl::post_acc_grad_hooks(weight);
}

class GroupedProduct : public torch::autograd::Function<GroupedProduct> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias, const Counts& counts) {
    auto y = at::empty({x.size(0), weight.size(1)}, x.options());
    for_each_group(counts, [&](int64_t g, int64_t start, int64_t rows) {
      auto to = y.narrow(0, start, rows);
      const auto from = x.narrow(0, start, rows), matrix = weight.select(0, g).t();
      if (bias)
        at::addmm_out(to, bias->select(0, g), from, matrix);
      else
        at::mm_out(to, from, matrix);
    });
    ctx->save_for_backward({x, weight});
    ctx->saved_data["counts"] = counts;
    ctx->saved_data["bias"] = bias.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto counts = ctx->saved_data["counts"].toIntVector();
    const auto dy = gradients[0].contiguous();
    const bool biased = ctx->saved_data["bias"].toBool();
    Tensor dx, dw, db;
    if (ctx->needs_input_grad(0)) dx = at::empty_like(x);
    const bool in_place = ctx->needs_input_grad(1) && adds_to_leaf(weight);
    if (ctx->needs_input_grad(1)) dw = in_place ? weight.grad().detach() : unused_cleared(weight, counts);
    if (biased && ctx->needs_input_grad(2))
      db = at::zeros({weight.size(0), weight.size(1)}, weight.options().requires_grad(false));
    for_each_group(counts, [&](int64_t g, int64_t start, int64_t rows) {
      const auto slope = dy.narrow(0, start, rows);
      if (dx.defined()) {
        auto to = dx.narrow(0, start, rows);
        at::mm_out(to, slope, weight.select(0, g));
      }
      if (dw.defined()) {
        auto to = dw.select(0, g);
        at::addmm_out(to, to, slope.t(), x.narrow(0, start, rows), in_place ? 1 : 0);
      }
      if (db.defined()) {
        auto to = db.select(0, g);
        at::sum_out(to, slope, at::IntArrayRef{0});
      }
    });
    return {dx, in_place ? Tensor() : dw, db, Tensor()};
  }

 private:
  // Memory for the bank's gradient, zero for matrices without rows.
  static Tensor unused_cleared(const Tensor& weight, const Counts& counts) {
    auto dw = at::empty_like(weight, at::MemoryFormat::Contiguous);
    for (size_t g = 0; g < counts.size(); ++g)
      if (counts[g] == 0) dw.select(0, static_cast<int64_t>(g)).zero_();
    return dw;
  }
};

// In ATen operations: any order of derivative, and autocast sees each product.
Tensor plain_product(const Tensor& x, const Tensor& weight, const Tensor& bias, const Counts& counts) {
  const auto matrices = weight.unbind(0);
  const auto shifts = bias.defined() ? bias.unbind(0) : std::vector<Tensor>();
  std::vector<Tensor> parts;
  for_each_group(counts, [&](int64_t g, int64_t start, int64_t rows) {
    const auto at = static_cast<size_t>(g);
    parts.push_back(
        at::linear(x.narrow(0, start, rows), matrices[at], bias.defined() ? shifts[at] : Tensor()));
  });
  return at::cat(parts, 0);
}

// The two factors are banks themselves.
Tensor low_rank_product(Context& ctx, LowRankLinear& bank, const Tensor& x, const Counts& counts) {
  const auto y = grouped_forward(ctx, bank.second(), grouped_forward(ctx, bank.first(), x, counts), counts);
  if (!bank.bias()) return y;
  return y + at::repeat_interleave(ctx.value(*bank.bias()), at::tensor(counts, at::kLong).to(x.device()), 0);
}

Tensor dense_product(Context& ctx, DenseLinear& bank, const Tensor& x, const Counts& counts) {
  const auto weight = bank.dense(ctx);
  const auto bias = bank.bias() ? ctx.value(*bank.bias()) : Tensor();
  const bool one_type =
      x.scalar_type() == weight.scalar_type() && (!bias.defined() || bias.scalar_type() == x.scalar_type());
  if (ctx.mode.twice_differentiable || !one_type || at::autocast::is_autocast_enabled(x.device().type()))
    return plain_product(x, weight, bias, counts);
  return GroupedProduct::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, counts);
}

void check(const LinearMap& bank, const Tensor& x, const Counts& counts) {
  int64_t rows = 0;
  for (const int64_t count : counts) rows += count;
  if (static_cast<int64_t>(counts.size()) != bank.banks() || rows != x.size(0))
    fail("{}: expected rows for each of {} matrices, found {} groups of {} rows in all, and {} rows of input",
         bank.path(), bank.banks(), counts.size(), rows, x.size(0));
}

}  // namespace

Tensor grouped_forward(Context& ctx, LinearMap& bank, const Tensor& x, const Counts& counts) {
  check(bank, x, counts);
  if (x.size(0) == 0) return at::zeros({0, bank.out()}, x.options().requires_grad(false));
  const auto through = [&](auto* map, const auto& product) {
    const auto in = bank.need().input < 0 ? ctx.tap(bank.input_tap(), x) : x;
    return ctx.tap(bank.output_tap(), product(ctx, *map, in, counts));
  };
  if (auto* dense = dynamic_cast<DenseLinear*>(&bank)) return through(dense, dense_product);
  if (auto* pair = dynamic_cast<LowRankLinear*>(&bank)) return through(pair, low_rank_product);
  std::vector<Tensor> parts;
  for_each_group(counts, [&](int64_t g, int64_t start, int64_t rows) {
    parts.push_back(bank.forward(ctx, x.narrow(0, start, rows), g));
  });
  return at::cat(parts, 0);
}

}  // namespace formwork
