// LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., 2021). A frozen map in any representation
// with a trained low-rank update: y = W x + (alpha / r) B A x + b, A [r, in] as a linear map begins, B [out,
// r] zero.
#include "formwork/linear/map_options.h"
#include "formwork/linear/product.h"
#include "formwork/linear/split_linear.h"

namespace formwork {
namespace {

void freeze(Param& param) {
  param.rule.frozen = true;
  if (param.value.is_floating_point()) param.value.set_requires_grad(false);
}

LinearNeed without_bias(LinearNeed need) {
  need.bias = false;
  return need;
}

class Lora final : public SplitLinear {
 public:
  using Options = LoraMapOptions;

  Lora(Build& build, const LinearNeed& need, const Options& options)
      : SplitLinear(build, need), options_(options) {
    if (need.bank.size > 0) fail("{}: 'lora' adapts a single matrix, not a bank of {}", path(), banks());
    build_base(build, need);
    const Axis rank = build.axis("rank", options.rank);
    rank_ = rank.size;
    Dim inner = rank, out = need.out;
    inner.writes = out.writes = true;
    Rule rule;
    rule.init = init::fan_in_uniform();
    a_ = own(build.param("a", {inner, need.in}, rule));
    rule.init = init::zeros();
    b_ = own(build.param("b", {out, Dim(rank)}, rule));
    if (bias() && !options.train_bias) freeze(*bias());
  }

  Tensor dense(Context& ctx) override {
    const auto update = ctx.value(*b_).matmul(ctx.value(*a_)) * scale();
    return base_->dense(ctx).to(update.scalar_type()) + update;
  }
  Tensor rows(Context& ctx, const Tensor& ids) override {
    return base_->rows(ctx, ids) + at::embedding(ctx.value(*b_), ids).matmul(ctx.value(*a_)) * scale();
  }
  double flops() const override {
    return base_->flops() + 2.0 * static_cast<double>(rank_) * static_cast<double>(in() + out());
  }
  std::string type() const override { return "lora"; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t) override {
    const auto inner =
        linear_product(ctx.dropout(path() + ".dropout", x, options_.dropout), ctx.value(*a_), {});
    const auto y = base_->forward(ctx, x) + linear_product(inner, ctx.value(*b_), {}) * scale();
    const auto bias = bias_value(ctx, -1);
    return bias.defined() ? y + bias : y;
  }
  Split products(SplitPass& pass, const Split& x) override {
    auto& ctx = pass.ctx();
    const auto update = on_both_sides(x, [&](const Tensor& sides) {
      return linear_product(linear_product(sides, ctx.value(*a_), {}), ctx.value(*b_), {}) * scale();
    });
    return through(pass, *base_, x) + update;
  }

 private:
  // By the rank that the options ask for, so that a cut leaves the rest of the update as it was.
  double scale() const { return options_.alpha / static_cast<double>(options_.rank); }

  // The bias stays with the outer map, so that it keeps its name whatever represents W.
  void build_base(const Build& build, const LinearNeed& need) {
    auto& table = Registry<LinearMap>::entries();
    const auto found = table.find(options_.base.type);
    if (found == table.end())
      fail_unknown(path() + ": linear map", options_.base.type, Registry<LinearMap>::names());
    Build child = build.at("base");
    LinearNeed inner = without_bias(need);
    inner.input = -1;
    base_ = found->second.make(child, inner, options_.base.options);
    for (auto* param : base_->params()) freeze(*own(param));
  }

  Options options_;
  std::unique_ptr<LinearMap> base_;
  int64_t rank_;
  Param *a_, *b_;
};

FORMWORK_PART(LinearMap, Lora, "lora", "a frozen map and a trained low-rank update");

}  // namespace
}  // namespace formwork
