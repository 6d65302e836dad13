#include "formwork/channels/router.h"

#include "formwork/channels/router_losses.h"

namespace formwork {

Router::Router(const Build& build, const Axis& modules, const RouterOptions& options, std::string choice)
    : options_(options), path_(build.path()), choice_(std::move(choice)), modules_(modules.size) {
  require_active(options.active);
  if (options.sample > options.active)
    fail("{}: expected sample_topk up to the {} active modules, found {}", path_, options.active,
         options.sample);
  if (options.balance_loss == "concentration" && options.balance == 0)
    fail("{}: balance_loss 'concentration' needs a weight: expected balance above 0, found 0", path_);
  if (options.dropout > 0 && options.gate != "mlp")
    fail("{}: router_dropout needs the hidden units of gate 'mlp', found '{}'", path_, options.gate);
  LinearNeed need;
  need.role = Role::router, need.in = build.in, need.input = build.input, need.init = init::normal(0.02);
  if (options.gate != "linear") build_hidden(build, need);
  need.out = modules;
  router_ = make_linear(build, "router", need);
  build_removed(build, need);
  if (build.inventory().spec.axes.contains(build.name(kGrownModules)))
    grown_ = build.axis(kGrownModules, 0, Group::none).size;
  if (grown_ > modules.size) fail("{}: {} grown modules of {}", path_, grown_, modules.size);
  probabilities_tap_ = build.tap("probabilities", modules);
  gates_tap_ = build.tap("gates", modules);
}

void Router::build_hidden(const Build& build, LinearNeed& need) {
  const bool gmm = options_.gate == "gmm";
  const Axis hidden = build.axis("router_hidden", options_.hidden);
  build.restrict(hidden, Group::permute, gmm ? "a cosine is taken over it" : "GELU acts on each unit");
  need.out = hidden, need.bias = !gmm;
  inner_ = make_linear(build, "router_inner", need);
  need.in = hidden, need.bias = false, need.input = -1;
  if (!gmm) return;
  need.init = init::normal(1);
  Rule rule;
  rule.decay = false;
  temperature_ = build.param("router_temperature", {Dim::plain(1)}, rule);
}

void Router::build_removed(const Build& build, LinearNeed need) {
  if (!build.inventory().spec.axes.contains(build.name(kRemovedModules))) return;
  need.out = build.axis(kRemovedModules, 0, Group::permute);
  removed_ = make_linear(build, kRemovedRows, need);
}

int64_t Router::active(const Context& ctx) const {
  const int64_t k = ctx.choice(choice_, options_.active);
  require_active(k);
  return k;
}

void Router::require_active(int64_t k) const {
  if (k < 1 || k > modules_)
    fail("{}: expected 1 to {} active modules, as many as there are, found {}", path_, modules_, k);
}

Tensor Router::hidden(Context& ctx, const Tensor& x) {
  auto h = x;
  if (ctx.mode.train && options_.jitter > 0)
    h = h *
        ctx.draw_uniform(path_ + ".jitter", x.sizes(), 1 - options_.jitter, 1 + options_.jitter, x.options());
  if (!inner_) return h;
  h = inner_->forward(ctx, h);
  if (temperature_) return h / h.norm(2, {-1}, true).clamp_min(1e-12);
  return ctx.dropout(path_ + ".router_dropout", at::gelu(h), options_.dropout);
}

Tensor Router::logits(Context& ctx, LinearMap& rows, const Tensor& hidden) {
  const auto raw = rows.forward(ctx, hidden);
  const auto l = raw.to(at::promote_types(raw.scalar_type(), at::kFloat));
  if (!temperature_) return l;
  const auto lengths = rows.dense(ctx).to(l.scalar_type()).norm(2, {-1}).clamp_min(1e-12);
  return l / lengths * ctx.value(*temperature_).to(l.scalar_type()).exp();
}

Tensor Router::draw(Context& ctx, const Tensor& p, int64_t k) const {
  const int64_t sampled = ctx.mode.train ? std::min(options_.sample, k) : 0;
  if (sampled == 0) return ctx.draw_top(path_ + ".choice", p, k, Estimator::argmax);
  const auto best = std::get<1>(p.topk(k - sampled, -1));
  const auto others = (p.detach() + 1e-6).scatter(-1, best, 0);
  return at::cat({best, ctx.draw_top(path_ + ".choice", others, sampled, Estimator::sample)}, -1);
}

void Router::add_losses(Context& ctx, const Tensor& logits, const Tensor& modules) {
  if (grown_ > 0 && options_.grown_penalty > 0) {
    const auto rows = router_->dense(ctx).narrow(0, modules_ - grown_, grown_);
    ctx.add_loss(path_ + ".grown", options_.grown_penalty * rows.square().mean());
  }
  if (logits.size(0) == 0) return;
  if (options_.balance > 0) {
    const auto loss = options_.balance_loss == "mi"       ? mutual_information_loss(logits)
                      : options_.balance_loss == "switch" ? switch_balance_loss(logits, modules)
                                                          : concentration_loss(logits);
    ctx.add_loss(path_ + ".balance", options_.balance * loss);
  }
  if (options_.z > 0) ctx.add_loss(path_ + ".z", options_.z * router_z_loss(logits));
}

std::vector<std::string> concentrating_parts(const Json& spec, const std::string& path) {
  std::vector<std::string> found;
  if (spec.is_object() && spec.value("balance_loss", Json()) == "concentration") found.push_back(path);
  if (!spec.is_structured()) return found;
  for (const auto& [key, value] : spec.items()) {
    auto inside = concentrating_parts(value, path.empty() ? key : path + "." + key);
    found.insert(found.end(), inside.begin(), inside.end());
  }
  return found;
}

RouterChoice Router::choose(Context& ctx, const Tensor& x, const Tensor& real) {
  const auto h = hidden(ctx, x);
  const auto open = logits(ctx, *router_, h);
  auto p = removed_ ? at::cat({open, logits(ctx, *removed_, h)}, -1).softmax(-1).narrow(-1, 0, modules_)
                    : open.softmax(-1);
  p = ctx.tap(probabilities_tap_, p);
  const auto modules = draw(ctx, p, active(ctx));
  if (ctx.mode.train) {
    const auto rows = [&](const Tensor& t) { return real.defined() ? t.index_select(0, real) : t; };
    add_losses(ctx, rows(open), rows(modules));
  }
  auto gates = p.gather(-1, modules);
  if (options_.renormalize) gates = gates / gates.sum(-1, true);
  if (ctx.taps && ctx.taps->hot(gates_tap_)) {
    auto all = at::zeros_like(p).scatter(-1, modules, gates);
    if (real.defined()) all = at::zeros_like(all).index_copy(0, real, all.index_select(0, real));
    gates = ctx.tap(gates_tap_, all).gather(-1, modules);
  }
  return {modules, gates.to(x.scalar_type())};
}

}  // namespace formwork
