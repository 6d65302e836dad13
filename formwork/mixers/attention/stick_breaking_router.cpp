#include "formwork/mixers/attention/stick_breaking_router.h"

namespace formwork {

Tensor mutual_information_loss(const Context& ctx, const Tensor& logits) {
  const auto log_p = logits.log_softmax(-1), p = log_p.exp();
  const auto mean = mean_over_tokens(ctx, p);
  // A module behind a mask has p = 0 and log p = -inf; its term is 0.
  const auto terms = p * log_p.masked_fill(p.eq(0), 0);
  return (mean * (mean + 1e-8).log()).sum() - mean_over_tokens(ctx, terms).sum();
}

Tensor switch_balance_loss(const Context& ctx, const Tensor& logits, const Tensor& modules) {
  const int64_t n = logits.size(-1);
  const auto taken =
      at::one_hot(modules, n).sum(-2).to(logits.scalar_type()) / static_cast<double>(modules.size(-1));
  const auto share = mean_over_tokens(ctx, taken) * mean_over_tokens(ctx, logits.softmax(-1));
  const auto peak = mean_over_tokens(ctx, logits.logsumexp({-1}).square());
  return static_cast<double>(n) * share.sum() + 0.1 * peak;
}

ModuleRouter::ModuleRouter(const Build& build, const Axis& modules, const Options& options)
    : options_(options), path_(build.name("router")), modules_(modules.size) {
  if (options.active > modules.size) fail("{}: {} active modules of {}", path_, options.active, modules.size);
  if (options.sample > options.active)
    fail("{}: {} sampled of {} active modules", path_, options.sample, options.active);
  LinearNeed need;
  need.role = Role::router, need.in = build.in, need.input = build.input, need.init = init::normal(0.02);
  if (options.hidden) {
    const Axis hidden = build.axis("router_hidden", options.hidden);
    build.restrict(hidden, Group::permute, "GELU acts on each unit");
    need.out = hidden, need.bias = true;
    inner_ = make_linear(build, "router_inner", need);
    need.in = hidden, need.bias = false, need.input = -1;
  }
  need.out = modules;
  router_ = make_linear(build, "router", need);
}

Tensor ModuleRouter::draw(Context& ctx, const Tensor& p, int64_t k) const {
  const int64_t sampled = ctx.mode.train ? std::min(options_.sample, k) : 0;
  if (sampled == 0) return ctx.draw_top(path_ + ".choice", p, k, Estimator::argmax);
  const auto best = std::get<1>(p.topk(k - sampled, -1));
  const auto others = (p.detach() + 1e-6).scatter(-1, best, 0);
  return at::cat({best, ctx.draw_top(path_ + ".choice", others, sampled, Estimator::sample)}, -1);
}

void ModuleRouter::add_balance_loss(Context& ctx, const Tensor& logits, const Tensor& modules) const {
  if (options_.balance == "none" || options_.weight == 0 || !ctx.mode.train) return;
  const auto loss = options_.balance == "mi" ? mutual_information_loss(ctx, logits)
                                             : switch_balance_loss(ctx, logits, modules);
  ctx.add_loss(path_ + ".balance", options_.weight * loss);
}

ModuleChoice ModuleRouter::choose(Context& ctx, const Tensor& x) {
  const auto hidden = inner_ ? at::gelu(inner_->forward(ctx, x)) : x;
  const auto raw = router_->forward(ctx, hidden);
  const auto logits = raw.to(at::promote_types(raw.scalar_type(), at::kFloat));
  const auto p = logits.softmax(-1);
  const int64_t k = ctx.choice(path_ + ".active", options_.active);
  if (k < 1 || k > modules_) fail("{}: {} active modules of {}", path_, k, modules_);
  const auto modules = draw(ctx, p, k);
  add_balance_loss(ctx, logits, modules);
  return {modules.flatten(0, 1), p.gather(-1, modules).flatten(0, 1).to(x.scalar_type())};
}

ModulePairs::ModulePairs(const Tensor& modules, int64_t count) : active_(modules.size(1)) {
  const auto flat = modules.flatten();
  order_ = flat.argsort(/*stable=*/true, 0, false);
  places_ = at::empty_like(order_).scatter_(0, order_, at::arange(order_.numel(), order_.options()));
  const auto sizes = flat.bincount({}, count).cpu();
  counts_.assign(sizes.data_ptr<int64_t>(), sizes.data_ptr<int64_t>() + count);
}

Tensor ModulePairs::product(Context& ctx, LinearMap& bank, const Tensor& x) const {
  const auto rows = x.dim() == 2 ? x.index_select(0, at::floor_divide(order_, active_))
                                 : x.flatten(0, 1).index_select(0, order_);
  std::vector<Tensor> parts;
  int64_t start = 0;
  for (size_t m = 0; m < counts_.size(); ++m) {
    if (counts_[m] == 0) continue;
    parts.push_back(bank.forward(ctx, rows.narrow(0, start, counts_[m]), static_cast<int64_t>(m)));
    start += counts_[m];
  }
  return at::cat(parts, 0).index_select(0, places_).unflatten(0, {-1, active_});
}

}  // namespace formwork
