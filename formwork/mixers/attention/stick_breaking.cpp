#include "formwork/mixers/attention/stick_breaking.h"

#include "formwork/linear/grouped.h"
#include "formwork/mixers/attention/kv_cache.h"
#include "formwork/mixers/attention/stick_breaking_fused.h"

namespace formwork {

StickBreakingAttention::StickBreakingAttention(Build& build, const Options& options)
    : path_(build.path()), active_(options.router.active) {
  if (!options.head_width && build.in.asked() % options.heads)
    fail("{}: width {} is not divisible by {} heads; choose heads or head_width", path_, build.in.asked(),
         options.heads);
  Axis bank;  // without a name and a size: single matrices
  if (options.modules > 1) {
    bank = build.axis("modules", options.modules, Group::permute);
    modules_ = bank.size;
    router_ = std::make_unique<Router>(build, bank, options.router, "modules_active");
  } else if (active_ > 1) {
    fail("{}: expected 1 active module of 1, found {}", path_, active_);
  }
  build_maps(build, options, bank);
  Build child = build.at("score");
  score_ = Registry<Score>::make(child, "stick_breaking");
  weights_tap_ = build.tap("weights");
}

void StickBreakingAttention::build_maps(Build& build, const Options& options, const Axis& bank) {
  const int64_t head_width = options.head_width ? options.head_width : build.in.asked() / options.heads;
  const Axis heads = build.axis("heads", options.heads, Group::permute);
  const Axis qk = build.axis("qk_width", head_width, Group::orthogonal);
  const Axis vo = build.axis("v_width", head_width);
  heads_ = heads.size, width_ = qk.size;
  scale_ = 1 / std::sqrt(static_cast<double>(head_width));
  const auto key = Dim::product({heads, qk}), value = Dim::product({heads, vo});
  const auto need = [&](Role role, Dim in, Dim out, const Axis& bank, Init init) {
    LinearNeed need;
    need.role = role, need.in = std::move(in), need.out = std::move(out), need.bank = bank,
    need.init = std::move(init), need.input = build.input;
    return need;
  };
  // Modules start as published: by 1 / fan_in, not by its square root.
  const auto inverse = [](int64_t fan_in) { return init::uniform(1 / static_cast<double>(fan_in)); };
  const auto plain_out = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
  query_ = make_linear(
      build, "query",
      need(Role::query, build.in, key, bank, router_ ? inverse(build.in.size) : init::normal(0.02)));
  auto shared = need(Role::key, build.in, key, {}, init::normal(0.02));
  shared.bias = options.bias;
  key_ = make_linear(build, "key", shared);
  shared.role = Role::value, shared.out = value;
  value_ = make_linear(build, "value", shared);
  auto out =
      need(Role::out, value, build.out, bank, router_ ? inverse(options.heads * head_width) : plain_out);
  out.input = -1;
  out_ = make_linear(build, "out", out);
}

Traits StickBreakingAttention::traits() const {
  Traits traits;
  traits.causal = traits.trees = true;
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
  if (keys.tree) {
    const auto before = keys.before.defined() ? keys.before : at::zeros({1}, options);
    return keys.tree->seen(before, keys.k.size(1)).unsqueeze(1);
  }
  const auto place = at::arange(keys.k.size(1), options);
  const auto q = keys.offset ? at::arange(*keys.offset, *keys.offset + queries, options).unsqueeze(0)
                             : keys.query_positions;
  auto allow = place <= q.unsqueeze(-1);
  if (keys.lengths.defined()) allow = allow.logical_and(place < keys.lengths.view({-1, 1, 1}));
  return allow.unsqueeze(1);
}

// q [B, T, H g, d], where g neighbouring heads share a key head -> weights [B, H g, T, Tk].
Tensor StickBreakingAttention::weights(Context& ctx, const Tensor& q, const Keys& keys) {
  const auto k = keys.k.transpose(1, 2).repeat_interleave(q.size(2) / heads_, 1);
  const auto logits = q.transpose(1, 2).matmul(k.transpose(-1, -2)) * scale_;
  return ctx.tap(weights_tap_, score_->weights(ctx, logits, permitted(keys, q.size(1))));
}

Tensor StickBreakingAttention::attend(Context& ctx, const Tensor& q, const Keys& keys) {
  const auto qh = q.transpose(1, 2), k = keys.k.transpose(1, 2), v = keys.v.transpose(1, 2);
  const bool watched = ctx.taps && ctx.taps->hot(weights_tap_);
  if (!watched && !ctx.mode.twice_differentiable && !keys.tree && keys.offset &&
      stick_breaking_is_fused(qh, k, v))
    return stick_breaking_fused(qh, k, v, scale_, *keys.offset, keys.lengths).transpose(1, 2);
  return weights(ctx, q, keys).matmul(v.repeat_interleave(q.size(2) / heads_, 1)).transpose(1, 2);
}

StickBreakingAttention::Queries StickBreakingAttention::queries(Context& ctx, const Tensor& x) {
  if (router_) return routed_queries(ctx, x);
  return {query_->forward(ctx, x).unflatten(-1, {heads_, width_}),
          [this, &ctx](const Tensor& mixed) { return out_->forward(ctx, mixed.flatten(2)); }};
}

// The k queries of a token are neighbours under each key head.
StickBreakingAttention::Queries StickBreakingAttention::routed_queries(Context& ctx, const Tensor& x) {
  const int64_t batch = x.size(0), tokens = x.size(1);
  const auto keep = ctx.layout ? ctx.layout->keep(tokens) : Tensor();
  const auto real = keep.defined() ? keep.flatten().nonzero().squeeze(1) : Tensor();
  const auto flat = x.flatten(0, 1);
  const auto choice = router_->choose(ctx, flat, real);
  const int64_t k = choice.modules.size(1);
  const Routes routes(choice.modules, modules_);
  const auto q = routes.scatter(grouped_forward(ctx, *query_, routes.gather(flat), routes.counts()))
                     .unflatten(-1, {heads_, width_})  // [N, k, H, d]
                     .transpose(1, 2)
                     .reshape({batch, tokens, heads_ * k, width_});
  return {q, [this, &ctx, routes, gates = choice.gates, k, batch, tokens](const Tensor& mixed) {
            const auto by_pair = mixed.flatten(0, 1).unflatten(1, {heads_, k}).transpose(1, 2).flatten(2);
            const auto rows = grouped_forward(ctx, *out_, routes.gather(by_pair), routes.counts());
            return routes.combine(rows, gates).unflatten(0, {batch, tokens});
          }};
}

Tensor StickBreakingAttention::mix(Context& ctx, const Tensor& x) {
  const auto [k, v] = keys_values(ctx, x);
  const auto from = queries(ctx, x);
  Keys keys{k, v, ctx.layout ? ctx.layout->lengths : Tensor(), 0, {}};
  if (ctx.layout) keys.tree = ctx.layout->tree.get();
  return from.finish(attend(ctx, from.q, keys));
}

TokenMatrix StickBreakingAttention::matrix(Context& ctx, const Tensor& x) {
  if (ctx.layout && ctx.layout->packed()) fail("{}: facet 'matrix' does not take packed rows", path_);
  const auto [k, v] = keys_values(ctx, x);
  const auto from = queries(ctx, x);
  const auto seen = weights(ctx, from.q, {k, v, ctx.layout ? ctx.layout->lengths : Tensor(), 0, {}});
  const auto values = v.transpose(1, 2).repeat_interleave(from.q.size(2) / heads_, 1);
  return {seen, values,
          [finish = from.finish](const Tensor& mixed) { return finish(mixed.transpose(1, 2)); }};
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
  if (ctx.layout) keys.tree = ctx.layout->tree.get(), keys.before = before;
  const auto from = queries(ctx, x);
  return from.finish(attend(ctx, from.q, keys));
}

FORMWORK_PART(TokenMixer, StickBreakingAttention, "stick_breaking",
              "stick-breaking attention without positions, over routed modules that share keys and values");

}  // namespace formwork
