#include "formwork/mixers/attention/stick_breaking.h"

#include "formwork/mixers/attention/kv_cache.h"
#include "formwork/mixers/attention/stick_breaking_fused.h"

namespace formwork {

StickBreakingAttention::StickBreakingAttention(Build& build, const Options& options)
    : path_(build.path()), active_(options.active) {
  if (!options.head_width && build.in.asked() % options.heads)
    fail("{}: width {} is not divisible by {} heads; choose heads or head_width", path_, build.in.asked(),
         options.heads);
  if (options.active > options.modules)
    fail("{}: {} active modules of {}", path_, options.active, options.modules);
  const int64_t head_width = options.head_width ? options.head_width : build.in.asked() / options.heads;
  const Axis heads = build.axis("heads", options.heads, Group::permute);
  const Axis qk = build.axis("qk_width", head_width, Group::orthogonal);
  const Axis vo = build.axis("v_width", head_width);
  heads_ = heads.size, width_ = qk.size, modules_ = 1;
  scale_ = 1 / std::sqrt(static_cast<double>(head_width));

  Axis bank;  // without a name and a size: single matrices
  Init query_init = init::normal(0.02);
  Init out_init = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
  if (options.modules > 1) {
    bank = build.axis("modules", options.modules, Group::permute);
    modules_ = bank.size;
    router_ = std::make_unique<ModuleRouter>(
        build, bank,
        ModuleRouter::Options{options.active, options.sample_topk, options.router_hidden, options.balance,
                              options.balance_weight});
    // As published: by 1 / fan_in, not by its square root.
    query_init = init::uniform(1 / static_cast<double>(build.in.size));
    out_init = init::uniform(1 / static_cast<double>(options.heads * head_width));
  }
  const auto need = [&](Role role, Dim in, Dim out, const Axis& bank, Init init) {
    LinearNeed need;
    need.role = role, need.in = std::move(in), need.out = std::move(out), need.bank = bank,
    need.init = std::move(init), need.input = build.input;
    return need;
  };
  const auto key = Dim::product({heads, qk}), value = Dim::product({heads, vo});
  query_ = make_linear(build, "query", need(Role::query, build.in, key, bank, query_init));
  auto shared = need(Role::key, build.in, key, {}, init::normal(0.02));
  shared.bias = options.bias;
  key_ = make_linear(build, "key", shared);
  shared.role = Role::value, shared.out = value;
  value_ = make_linear(build, "value", shared);
  auto out = need(Role::out, value, build.out, bank, out_init);
  out.input = -1;
  out_ = make_linear(build, "out", out);
  Build child = build.at("score");
  score_ = Registry<Score>::make(child, "stick_breaking");
  weights_tap_ = build.tap("weights");
}

Traits StickBreakingAttention::traits() const {
  Traits traits;
  traits.causal = true;
  return traits;
}

double StickBreakingAttention::flops_per_token(int64_t context) const {
  const auto active = static_cast<double>(active_), heads = static_cast<double>(heads_);
  const double keys = static_cast<double>(context) * active * heads;
  // Products with keys and values, and about ten operations for the sigmoids and the suffix sum.
  return keys * (4 * static_cast<double>(width_) + 10) + (active - 1) * (query_->flops() + out_->flops());
}

std::pair<Tensor, Tensor> StickBreakingAttention::keys_values(Context& ctx, const Tensor& x) {
  const auto split = [&](const Tensor& t) { return t.unflatten(-1, {heads_, t.size(-1) / heads_}); };
  return {split(key_->forward(ctx, x)), split(value_->forward(ctx, x))};
}

Tensor StickBreakingAttention::permitted(const Keys& keys, int64_t queries) const {
  const auto options = at::TensorOptions(at::kLong).device(keys.k.device());
  const auto place = at::arange(keys.k.size(1), options);
  const auto q = keys.offset ? at::arange(*keys.offset, *keys.offset + queries, options).unsqueeze(0)
                             : keys.query_positions;
  auto allow = place <= q.unsqueeze(-1);
  if (keys.lengths.defined()) allow = allow.logical_and(place < keys.lengths.view({-1, 1, 1}));
  return allow.unsqueeze(1);
}

// q [B, T, H g, d], where g neighbouring heads share a key head -> [B, T, H g, d].
Tensor StickBreakingAttention::attend(Context& ctx, const Tensor& q, const Keys& keys) {
  const auto qh = q.transpose(1, 2), k = keys.k.transpose(1, 2), v = keys.v.transpose(1, 2);
  const bool watched = ctx.taps && ctx.taps->hot(weights_tap_);
  if (!watched && !ctx.mode.twice_differentiable && keys.offset && stick_breaking_is_fused(qh, k, v))
    return stick_breaking_fused(qh, k, v, scale_, *keys.offset, keys.lengths).transpose(1, 2);
  const int64_t group = q.size(2) / heads_;
  const auto logits = qh.matmul(k.repeat_interleave(group, 1).transpose(-1, -2)) * scale_;
  const auto weights = ctx.tap(weights_tap_, score_->weights(ctx, logits, permitted(keys, q.size(1))));
  return weights.matmul(v.repeat_interleave(group, 1)).transpose(1, 2);
}

Tensor StickBreakingAttention::run(Context& ctx, const Tensor& x, const Keys& keys) {
  if (!router_) {
    const auto q = query_->forward(ctx, x).unflatten(-1, {heads_, width_});
    return out_->forward(ctx, attend(ctx, q, keys).flatten(2));
  }
  const int64_t batch = x.size(0), tokens = x.size(1);
  const auto choice = router_->choose(ctx, x);
  const int64_t k = choice.modules.size(1);
  const ModulePairs pairs(choice.modules, modules_);
  // The k queries of a token are neighbours under each key head.
  const auto q = pairs.product(ctx, *query_, x.flatten(0, 1))
                     .view({batch, tokens, k, heads_, width_})
                     .transpose(2, 3)
                     .flatten(2, 3);
  const auto o = attend(ctx, q, keys).unflatten(2, {heads_, k}).transpose(2, 3).flatten(3).flatten(0, 1);
  const auto y = pairs.product(ctx, *out_, o);
  return choice.gates.unsqueeze(1).matmul(y).view({batch, tokens, y.size(2)});
}

Tensor StickBreakingAttention::mix(Context& ctx, const Tensor& x) {
  const auto [k, v] = keys_values(ctx, x);
  return run(ctx, x, {k, v, ctx.layout ? ctx.layout->lengths : Tensor(), 0, {}});
}

std::unique_ptr<State> StickBreakingAttention::make_state(const StateOptions& options) const {
  return std::make_unique<KvCache>(options, KvCacheShape{heads_, width_, width_});
}

Tensor StickBreakingAttention::append(Context& ctx, const Tensor& x, State* state) {
  auto& cache = static_cast<KvCache&>(*state);
  const auto before = cache.lengths();
  const auto [k, v] = keys_values(ctx, x);
  if (cache.keys().size(3) != k.size(3) || cache.keys().size(2) != k.size(2))
    fail("{}: the cache holds {} heads of width {}, the mixer {} of {}", path_, cache.keys().size(2),
         cache.keys().size(3), k.size(2), k.size(3));
  cache.append(k, v, ctx.layout ? ctx.layout->lengths : Tensor());
  Keys keys{cache.keys().to(x.scalar_type()), cache.values().to(x.scalar_type()), cache.lengths(), {}, {}};
  if (before.min().equal(before.max()))
    keys.offset = before[0].item<int64_t>();
  else
    keys.query_positions = before.unsqueeze(1) + at::arange(x.size(1), before.options()).unsqueeze(0);
  return run(ctx, x, keys);
}

FORMWORK_PART(TokenMixer, StickBreakingAttention, "stick_breaking",
              "stick-breaking attention without positions, over routed modules that share keys and values");

}  // namespace formwork
