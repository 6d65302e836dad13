#include "formwork/mixers/attention/attention.h"

#include "formwork/mixers/attention/kv_cache.h"

namespace formwork {

Attention::Attention(Build& build, const Options& options)
    : options_(options), causal_(build.causal && options.memory.empty()), path_(build.path()) {
  const int64_t kv_heads = options.kv_heads ? options.kv_heads : options.heads;
  if (options.heads % kv_heads)
    fail("{}: {} query heads cannot share {} key-value heads evenly", path_, options.heads, kv_heads);
  if (!options.head_width && build.in.asked() % options.heads)
    fail("{}: width {} is not divisible by {} heads; choose heads or head_width", path_, build.in.asked(),
         options.heads);
  const int64_t head_width = options.head_width ? options.head_width : build.in.asked() / options.heads;
  position_ = [&] {
    Build child = build.at("position");
    child.in = Axis{"", head_width};
    return Registry<Position>::make(child, options.position);
  }();

  // Query heads are key-value heads times a group, so that cutting a key-value head takes its queries along.
  const Axis kv = build.axis("kv_heads", kv_heads, Group::permute);
  const Axis group = build.axis("group", options.heads / kv_heads, Group::permute);
  const Axis qk =
      build.axis("qk_width", head_width, position_->rotates() ? Group::rotary_pairs : Group::orthogonal);
  const Axis vo = build.axis("v_width", head_width);
  kv_heads_ = kv.size, group_ = group.size, width_ = qk.size;
  scale_ = options.scale > 0 ? options.scale : 1 / std::sqrt(static_cast<double>(head_width));

  if (!options.memory.empty() && !build.streams.count(options.memory))
    fail("{}: no stream '{}' to attend to", path_, options.memory);
  const Axis source = options.memory.empty() ? build.in : build.streams.at(options.memory);
  const auto need = [&](Role role, Dim in, Dim out, bool bias, Slot input) {
    LinearNeed need;
    need.role = role, need.in = std::move(in), need.out = std::move(out), need.bias = bias,
    need.input = input;
    need.init = init::normal(0.02);
    return need;
  };
  const std::vector<Axis> query{kv, group, qk}, key{kv, qk}, value{kv, vo}, context{kv, group, vo};
  if (options.fused && options.memory.empty()) {
    qkv_ = make_linear(
        build, "qkv", need(Role::qkv, build.in, Dim::concat({query, key, value}), options.bias, build.input));
  } else {
    memory_tap_ = options.memory.empty() ? -1 : build.tap("memory", source);
    const Slot read = options.memory.empty() ? build.input : memory_tap_;
    query_ = make_linear(build, "query",
                         need(Role::query, build.in, Dim::product(query), options.bias, build.input));
    key_ = make_linear(build, "key", need(Role::key, source, Dim::product(key), options.bias, read));
    value_ = make_linear(build, "value", need(Role::value, source, Dim::product(value), options.bias, read));
  }
  auto out = need(Role::out, Dim::product(context), build.out, options.out_bias, -1);
  out.init = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
  out_ = make_linear(build, "out", out);

  Build child = build.at("score");
  score_ = Registry<Score>::make(child, options.score);
  if (options.qk_norm) {
    Build head = build;
    head.in = head.out = qk;
    Build q = head.at("query_norm"), k = head.at("key_norm");
    query_norm_ = Registry<Norm>::make(q, options.qk_norm);
    key_norm_ = Registry<Norm>::make(k, options.qk_norm);
  }
  weights_tap_ = build.tap("weights");
}

Traits Attention::traits() const {
  Traits traits;
  traits.causal = causal_ || !options_.memory.empty();
  return traits;
}

Tensor Attention::queries(Context& ctx, const Tensor& x) {
  return query_->forward(ctx, x).unflatten(-1, {kv_heads_ * group_, width_});
}

std::pair<Tensor, Tensor> Attention::keys_values(Context& ctx, const Tensor& x) {
  const auto k = key_->forward(ctx, x), v = value_->forward(ctx, x);
  return {k.unflatten(-1, {kv_heads_, width_}),
          v.unflatten(-1, {kv_heads_, v.size(-1) / std::max<int64_t>(1, kv_heads_)})};
}

Attention::Heads Attention::project(Context& ctx, const Tensor& x) {
  if (!qkv_) {
    auto [k, v] = keys_values(ctx, x);
    return {queries(ctx, x), k, v};
  }
  const auto qkv = qkv_->forward(ctx, x);
  const int64_t q = kv_heads_ * group_ * width_, k = kv_heads_ * width_, v = qkv.size(-1) - q - k;
  const auto heads = [&](int64_t start, int64_t size, int64_t count) {
    return qkv.narrow(-1, start, size).unflatten(-1, {count, size / std::max<int64_t>(1, count)});
  };
  return {heads(0, q, kv_heads_ * group_), heads(q, k, kv_heads_), heads(q + k, v, kv_heads_)};
}

void Attention::prepare(Context& ctx, Heads& heads, const Tensor& positions) {
  if (query_norm_) {
    heads.q = query_norm_->forward(ctx, heads.q);
    heads.k = key_norm_->forward(ctx, heads.k);
  }
  if (!position_->rotates()) return;
  heads.q = position_->rotate(ctx, heads.q, positions);
  heads.k = position_->rotate(ctx, heads.k, positions);
}

Tensor Attention::permitted(Context& ctx, const Tensor& query_positions, const Tensor& key_positions,
                            const Tensor& key_lengths, int64_t keys) const {
  Tensor allow;  // [B|1, Tq, Tk]
  const auto both = [&](const Tensor& rule) { allow = allow.defined() ? allow.logical_and(rule) : rule; };
  const auto q = query_positions.unsqueeze(-1), k = key_positions.unsqueeze(-2);
  if (causal_) both(k <= q);
  if (options_.window) both(causal_ ? q - k < options_.window : (q - k).abs() < options_.window);
  if (ctx.layout && ctx.layout->prefix.defined() && causal_)
    allow = allow.logical_or(k < ctx.layout->prefix.view({-1, 1, 1}));
  if (key_lengths.defined())
    both((at::arange(keys, key_lengths.options()).unsqueeze(0) < key_lengths.unsqueeze(1)).unsqueeze(1));
  return allow.defined() ? allow.unsqueeze(1) : allow;
}

Tensor Attention::attend(Context& ctx, const Heads& heads, const Tensor& query_positions,
                         const Tensor& key_positions, const Tensor& key_lengths) {
  const auto q = heads.q.transpose(1, 2);  // [B, H, Tq, d]
  const auto spread = [&](const Tensor& x) {
    return group_ == 1 ? x.transpose(1, 2) : x.transpose(1, 2).repeat_interleave(group_, 1);
  };
  const auto k = spread(heads.k), v = spread(heads.v);
  auto logits = q.matmul(k.transpose(-1, -2)) * scale_;
  if (position_->biases())
    logits = logits + position_->bias(ctx, query_positions, key_positions, kv_heads_ * group_);
  const auto allow = permitted(ctx, query_positions, key_positions, key_lengths, k.size(2));
  auto weights = ctx.tap(weights_tap_, score_->weights(ctx, logits, allow));
  weights = ctx.dropout(path_ + ".dropout", weights, options_.dropout);
  return out_->forward(ctx, weights.matmul(v).transpose(1, 2).flatten(2));
}

namespace {

Tensor token_positions(const Context& ctx, const Tensor& x) {
  if (ctx.layout && ctx.layout->positions.defined()) return ctx.layout->positions;
  return at::arange(x.size(1), x.options().dtype(at::kLong).requires_grad(false)).unsqueeze(0);
}

}  // namespace

Tensor Attention::mix(Context& ctx, const Tensor& x) {
  const auto positions = token_positions(ctx, x);
  if (!options_.memory.empty()) {
    const auto& memory = ctx.streams->at(options_.memory);
    auto [k, v] = keys_values(ctx, ctx.tap(memory_tap_, memory.x));
    Heads heads{queries(ctx, x), k, v};
    if (query_norm_) heads.q = query_norm_->forward(ctx, heads.q), heads.k = key_norm_->forward(ctx, heads.k);
    return attend(ctx, heads, positions, at::arange(k.size(1), positions.options()).unsqueeze(0),
                  memory.layout.lengths);
  }
  Heads heads = project(ctx, x);
  prepare(ctx, heads, positions);
  return attend(ctx, heads, positions, positions, ctx.layout ? ctx.layout->lengths : Tensor());
}

std::unique_ptr<State> Attention::make_state(const StateOptions& options) const {
  if (!options_.memory.empty()) return nullptr;
  return std::make_unique<KvCache>(options, kv_heads_, width_);
}

Tensor Attention::append(Context& ctx, const Tensor& x, State* state) {
  if (!options_.memory.empty()) return forward(ctx, x);
  if (!causal_) fail("{}: only causal attention can be decoded token by token", path_);
  auto& cache = static_cast<KvCache&>(*state);
  const auto positions =
      cache.lengths().unsqueeze(1) + at::arange(x.size(1), cache.lengths().options()).unsqueeze(0);
  Heads heads = project(ctx, x);
  prepare(ctx, heads, positions);
  cache.append(heads.k, heads.v, ctx.layout ? ctx.layout->lengths : Tensor());
  heads.k = cache.keys(), heads.v = cache.values();
  return attend(ctx, heads, positions, at::arange(heads.k.size(1), positions.options()).unsqueeze(0),
                cache.lengths());
}

FORMWORK_PART(TokenMixer, Attention, "attention",
              "softmax attention: multi-head, grouped or single keys, causal, cross, window, QK-norm");

}  // namespace formwork
