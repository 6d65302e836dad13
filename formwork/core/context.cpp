#include "formwork/core/context.h"

#include "formwork/core/error.h"
#include "formwork/core/param.h"
#include "formwork/core/random.h"

namespace formwork {

int64_t Context::choice(const std::string& name, int64_t otherwise) const {
  const auto found = choices.find(name);
  return found == choices.end() ? otherwise : found->second;
}

uint64_t Context::next_draw(const std::string& name) { return draws_[name]++; }

Tensor Context::draw_bernoulli(const std::string& name, at::IntArrayRef shape, double p,
                               const at::TensorOptions& options) {
  auto stream = make_stream(seed, name, next_draw(name));
  return at::empty(shape, options.requires_grad(false)).bernoulli_(p, stream);
}

Tensor Context::draw_uniform(const std::string& name, at::IntArrayRef shape, double low, double high,
                             const at::TensorOptions& options) {
  auto stream = make_stream(seed, name, next_draw(name));
  return at::empty(shape, options.requires_grad(false)).uniform_(low, high, stream);
}

Tensor Context::draw_top(const std::string& name, const Tensor& weights, int64_t k, Estimator estimator) {
  if (k > weights.size(-1)) fail("{}: {} drawn of {}", name, k, weights.size(-1));
  if (estimator == Estimator::argmax) return std::get<1>(weights.topk(k, -1));
  auto stream = make_stream(seed, name, next_draw(name));
  const auto noise =
      at::empty(weights.sizes(), weights.options().requires_grad(false)).exponential_(1, stream);
  // Exponential races: the k largest of w / e are k draws without replacement in proportion to w.
  return std::get<1>((weights.detach() / noise).topk(k, -1));
}

Tensor Context::dropout(const std::string& name, const Tensor& x, double p) {
  if (!mode.train || p <= 0) return x;
  if (p >= 1) return x * 0;
  return x * draw_bernoulli(name, x.sizes(), 1 - p, x.options()).div_(1 - p);
}

const Tensor& Context::value(const Param& param) {
  if (!param.source) return param.value;
  auto [slot, fresh] = values_.try_emplace(&param);
  if (fresh) slot->second = param.source->value(*this);
  return slot->second;
}

Context Context::replay() const {
  Context again = *this;
  again.mode.recomputing = true;
  again.auxiliary.clear();
  again.values_.clear();  // made again, so that their gradients flow to the second run's own
  return again;
}

Tensor mean_over_tokens(const Context& ctx, const Tensor& x) {
  const auto keep = ctx.layout ? ctx.layout->keep(x.size(1)) : Tensor();
  if (!keep.defined()) return x.mean(at::IntArrayRef{0, 1});
  auto weight = keep.to(x.scalar_type());
  while (weight.dim() < x.dim()) weight = weight.unsqueeze(-1);
  return (x * weight).sum(at::IntArrayRef{0, 1}) / keep.sum().clamp_min(1).to(x.scalar_type());
}

}  // namespace formwork
