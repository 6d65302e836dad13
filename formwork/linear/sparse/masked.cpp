// Masked linear map: y = x W^T + b, where W keeps some entries and the others are zero and stay zero. Only
// kept entries are stored, with one bit each for where they are (unstructured) or n places of m neighbours (n
// of m); W is rebuilt once a pass, differentiable in them.
#include "formwork/linear/sparse/masked.h"

#include "formwork/linear/map_options.h"
#include "formwork/linear/product.h"
#include "formwork/linear/split_linear.h"
#include "formwork/linear/stored.h"

namespace formwork {

Tensor keep_highest(const Tensor& scores, double sparsity, bool by_row) {
  const auto table = by_row ? scores : scores.reshape({1, -1});
  const auto drop = static_cast<int64_t>(sparsity * static_cast<double>(table.size(1)));
  const auto lowest = table.argsort(/*stable=*/true, 1, false).narrow(1, 0, drop);
  return at::ones(table.sizes(), at::kBool).scatter(1, lowest, false).view(scores.sizes());
}

Tensor keep_n_of_m(const Tensor& scores, int64_t n, int64_t m) {
  if (n < 1 || n > m || scores.size(1) % m != 0)
    fail("n of m: expected 1 <= n <= m and m a divisor of the {} inputs, found {} of {}", scores.size(1), n,
         m);
  const auto table = scores.unflatten(1, {scores.size(1) / m, m});
  const auto highest = table.argsort(/*stable=*/true, 2, true).narrow(2, 0, n);
  return at::zeros(table.sizes(), at::kBool).scatter(2, highest, true).flatten(1);
}

std::map<std::string, Tensor> unstructured_tensors(const Tensor& weight, const Tensor& mask) {
  const int64_t pad = (8 - mask.size(1) % 8) % 8;
  const auto bits = at::constant_pad_nd(mask.to(at::kByte), {0, pad}).unflatten(1, {-1, 8});
  const auto place = at::tensor({1, 2, 4, 8, 16, 32, 64, 128}, at::kByte);
  return {{"values", weight.detach().masked_select(mask)},
          {"bitmap", (bits * place).sum(2, false, at::kLong).to(at::kByte)}};
}

std::map<std::string, Tensor> n_of_m_tensors(const Tensor& weight, const Tensor& mask, int64_t n, int64_t m) {
  const int64_t groups = mask.size(1) / m;
  const auto table = mask.unflatten(1, {groups, m});
  const auto index = table.to(at::kByte).argsort(/*stable=*/true, 2, true).narrow(2, 0, n);
  const auto ordered = std::get<0>(index.sort(2));
  return {{"values", weight.detach().unflatten(1, {groups, m}).gather(2, ordered)},
          {"index", ordered.to(at::kByte)}};
}

namespace {

// W from its kept entries; a source, so that a pass makes it once.
class Scatter final : public Source {
 public:
  Scatter(const Param* values, const Param* places, int64_t in, int64_t m)
      : values_(values), places_(places), in_(in), m_(m) {}

  Tensor value(Context& ctx) const override {
    const auto &values = ctx.value(*values_), &places = ctx.value(*places_);
    if (m_ > 0)
      return at::zeros({values.size(0), in_ / m_, m_}, values.options().requires_grad(false))
          .scatter(2, places.to(at::kLong), values)
          .flatten(1);
    const auto mask = mask_.get({places}, [&] {
      const auto shifts = at::arange(8, places.options());
      const auto bits = places.unsqueeze(-1).bitwise_right_shift(shifts).bitwise_and(1);
      return bits.flatten(1).narrow(1, 0, in_).to(at::kBool).contiguous();
    });
    return at::zeros(mask->sizes(), values.options().requires_grad(false)).masked_scatter(*mask, values);
  }

 private:
  const Param *values_, *places_;
  int64_t in_, m_;
  mutable MadeFrom<Tensor> mask_;
};

class MaskedLinear final : public SplitLinear {
 public:
  using Options = MaskedOptions;

  MaskedLinear(Build& build, const LinearNeed& need, const Options& options) : SplitLinear(build, need) {
    require_single(build, need, "masked");
    Rule rule = need.rule;
    rule.init = init::zeros();
    if (options.pattern == "unstructured")
      build_unstructured(build, need, options, rule);
    else
      build_n_of_m(build, need, options, rule);
    weight_.name = build.name("weight");
  }

  Tensor dense(Context& ctx) override { return ctx.value(weight_); }
  double flops() const override { return 2.0 * static_cast<double>(kept_); }
  std::string type() const override { return "masked"; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t) override {
    return linear_product(x, ctx.value(weight_), bias_value(ctx, -1));
  }

 private:
  void build_unstructured(const Build& build, const LinearNeed& need, const Options& options, Rule rule) {
    const int64_t all = in() * out();
    kept_ = options.kept ? options.kept : all - all / 2;
    if (kept_ > all) fail("{}: cannot keep {} of {} entries", path(), kept_, all);
    Dim rows = need.out;
    rows.writes = true;
    auto* values = own(build.param("values", {Dim::plain(kept_)}, rule));
    auto* bitmap = own(build.param("bitmap", {rows, Dim::plain((in() + 7) / 8)}, stored_rule(at::kByte)));
    weight_.source = std::make_unique<Scatter>(values, bitmap, in(), 0);
    for (const auto& dim : {need.out, need.in})
      restrict_axes(build, dim, Group::none, "kept entries of a sparse matrix lie packed in their order");
    const auto weight = initial_weight(build, need);
    if (!weight.defined()) return;
    const auto order = weight.abs().flatten().argsort(/*stable=*/true, 0, true).narrow(0, 0, kept_);
    const auto mask = at::zeros({all}, at::kBool).scatter(0, order, true).view(weight.sizes());
    begin_with(build, unstructured_tensors(weight, mask));
  }

  void build_n_of_m(const Build& build, const LinearNeed& need, const Options& options, Rule rule) {
    const int64_t n = options.n, m = options.m;
    if (n > m || in() % m != 0)
      fail("{}: expected n <= m and m a divisor of the {} inputs, found {} of {}", path(), in(), n, m);
    kept_ = out() * in() / m * n;
    Dim rows = need.out, groups = need.in;
    rows.writes = true;
    groups.grain = m;
    auto* values = own(build.param("values", {rows, groups, Dim::plain(n)}, rule));
    auto* index = own(build.param("index", {rows, groups, Dim::plain(n)}, stored_rule(at::kByte)));
    weight_.source = std::make_unique<Scatter>(values, index, in(), m);
    for (const auto& dim : {need.out, need.in})
      restrict_axes(build, dim, Group::permute, "zeros of a sparse matrix would fill when rows are mixed");
    if (const auto weight = initial_weight(build, need); weight.defined())
      begin_with(build, n_of_m_tensors(weight, keep_n_of_m(weight.abs(), n, m), n, m));
  }

  int64_t kept_ = 0;
  Param weight_;  // not stored: the source rebuilds it
};

FORMWORK_PART(LinearMap, MaskedLinear, "masked", "a sparse matrix: unstructured, or n of m neighbours");

}  // namespace
}  // namespace formwork
