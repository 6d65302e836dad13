#include "formwork/mixers/attention/attention.h"

#include <ATen/core/grad_mode.h>

#include "formwork/mixers/attention/kv_cache.h"
#include "formwork/mixers/attention/memory_cache.h"

namespace formwork {

AttentionMixer::AttentionMixer(Build& build, const Options& options)
    : options_(options), causal_(build.causal && options.memory.empty()), path_(build.path()) {
  const int64_t kv_heads = options.kv_heads ? options.kv_heads : options.heads;
  if (options.heads % kv_heads)
    fail("{}: {} query heads cannot share {} key-value heads evenly", path_, options.heads, kv_heads);
  if (!options.head_width && build.in.asked() % options.heads)
    fail("{}: width {} is not divisible by {} heads; choose heads or head_width", path_, build.in.asked(),
         options.heads);
  const int64_t head_width = options.head_width ? options.head_width : build.in.asked() / options.heads;

  // Query heads are key-value heads times a group, so that cutting a key-value head takes its queries along.
  const Axis kv = build.axis("kv_heads", kv_heads, Group::permute);
  const Axis group = build.axis("group", options.heads / kv_heads, Group::permute);
  const Axis qk = build.axis("qk_width", head_width, Group::orthogonal);
  const Axis vo = build.axis("v_width", head_width);
  Build place = build.at("position");
  place.in = place.out = qk;
  place.heads = {kv, group};
  place.causal = causal_;
  position_ = Registry<Position>::make(place, options.position);
  if (!options.memory.empty() && (position_->rotates() || position_->biases() || options.window))
    fail(
        "{}: distances between two streams have no meaning; cross attention takes no window and position "
        "'none'",
        path_);
  kv_heads_ = kv.size, group_ = group.size, width_ = qk.size, value_width_ = vo.size;
  scale_ = options.scale > 0 ? options.scale : 1 / std::sqrt(static_cast<double>(head_width));
  build_maps(build, kv, group, qk, vo);

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
  build.register_part(*this);
}

void AttentionMixer::build_maps(Build& build, const Axis& kv, const Axis& group, const Axis& qk,
                                const Axis& vo) {
  if (!options_.memory.empty() && !build.streams.count(options_.memory))
    fail("{}: no stream '{}' to attend to", path_, options_.memory);
  const Axis source = options_.memory.empty() ? build.in : build.streams.at(options_.memory);
  const auto need = [&](Role role, Dim in, Dim out, bool bias, Slot input) {
    LinearNeed need;
    need.role = role, need.in = std::move(in), need.out = std::move(out), need.bias = bias,
    need.input = input;
    need.init = init::normal(0.02);
    return need;
  };
  const std::vector<Axis> query{kv, group, qk}, key{kv, qk}, value{kv, vo}, context{kv, group, vo};
  const bool bias = options_.bias;
  if (options_.fused && options_.memory.empty()) {
    qkv_ = make_linear(build, "qkv",
                       need(Role::qkv, build.in, Dim::concat({query, key, value}), bias, build.input));
  } else {
    memory_tap_ = options_.memory.empty() ? -1 : build.tap("memory", source);
    const Slot read = options_.memory.empty() ? build.input : memory_tap_;
    query_ = make_linear(build, "query", need(Role::query, build.in, Dim::product(query), bias, build.input));
    key_ = make_linear(build, "key", need(Role::key, source, Dim::product(key), bias, read));
    value_ = make_linear(build, "value", need(Role::value, source, Dim::product(value), bias, read));
  }
  auto out = need(Role::out, Dim::product(context), build.out, options_.out_bias, -1);
  out.init = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
  out_ = make_linear(build, "out", out);
}

Traits AttentionMixer::traits() const {
  Traits traits;
  traits.causal = causal_ || !options_.memory.empty();
  traits.trees = traits.causal;
  return traits;
}

double AttentionMixer::flops_per_token(int64_t context) const {
  const int64_t seen = options_.window ? std::min(context, options_.window) : context;
  return 2.0 * static_cast<double>(seen * kv_heads_ * group_ * (width_ + value_width_));
}

Tensor AttentionMixer::queries(Context& ctx, const Tensor& x) {
  return query_->forward(ctx, x).unflatten(-1, {kv_heads_ * group_, width_});
}

std::pair<Tensor, Tensor> AttentionMixer::keys_values(Context& ctx, const Tensor& x) {
  auto k = key_->forward(ctx, x).unflatten(-1, {kv_heads_, width_});
  if (key_norm_) k = key_norm_->forward(ctx, k);
  return {k, value_->forward(ctx, x).unflatten(-1, {kv_heads_, value_width_})};
}

AttentionMixer::Heads AttentionMixer::project(Context& ctx, const Tensor& x, const Tensor& positions) {
  if (qkv_) return split(ctx, qkv_->forward(ctx, x), positions);
  auto q = queries(ctx, x);
  auto [k, v] = keys_values(ctx, x);
  if (query_norm_) q = query_norm_->forward(ctx, q);
  if (position_->rotates())
    q = position_->rotate(ctx, q, positions), k = position_->rotate(ctx, k, positions);
  return {q, k, v};
}

AttentionMixer::Heads AttentionMixer::split(Context& ctx, Tensor qkv, const Tensor& positions) {
  const int64_t heads = kv_heads_ * group_;
  if (!at::GradMode::is_enabled() && !query_norm_ && fits_fused_self_attention(qkv) &&
      qkv.scalar_type() == at::kFloat) {
    const auto turn = position_->rotates() ? position_->turn(ctx, positions) : Turn{};
    const auto parts = turn_projection(std::move(qkv), {heads, kv_heads_, width_, value_width_}, turn);
    return {parts.q, parts.k, parts.v};
  }
  const auto parts = qkv.split_with_sizes({(heads + kv_heads_) * width_, kv_heads_ * value_width_}, -1);
  auto both = parts[0].unflatten(-1, {heads + kv_heads_, width_});
  const auto v = parts[1].unflatten(-1, {kv_heads_, value_width_});
  // Queries and keys turn together where nothing comes between.
  if (!query_norm_ && position_->rotates()) both = position_->rotate(ctx, both, positions);
  const auto pair = both.split_with_sizes({heads, kv_heads_}, 2);
  if (!query_norm_) return {pair[0], pair[1], v};
  auto q = query_norm_->forward(ctx, pair[0]), k = key_norm_->forward(ctx, pair[1]);
  if (position_->rotates())
    q = position_->rotate(ctx, q, positions), k = position_->rotate(ctx, k, positions);
  return {q, k, v};
}

Tensor AttentionMixer::attend(Context& ctx, const Heads& heads, const Sight& sight) {
  const auto mixed = can_fuse(ctx, heads, sight) ? fused(ctx, heads, sight) : plain(ctx, heads, sight);
  return out_->forward(ctx, mixed.flatten(2));
}

bool AttentionMixer::is_plain_softmax(const Context& ctx) const {
  const bool weights_wanted = ctx.taps && ctx.taps->hot(weights_tap_);
  const bool dropout = ctx.mode.train && options_.dropout > 0;
  return score_->is_softmax() && !weights_wanted && !dropout && !ctx.mode.twice_differentiable;
}

bool AttentionMixer::can_fuse(const Context& ctx, const Heads& heads, const Sight& sight) const {
  return is_plain_softmax(ctx) && !sight.tree &&
         (!position_->biases() || (sight.consecutive && position_->biases_by_distance())) &&
         fits_fused_attention(heads.q, heads.k, heads.v);
}

AttentionPlan AttentionMixer::plan_for(const Sight& sight) const {
  AttentionPlan plan;
  plan.runs = sight.runs;
  plan.scale = scale_, plan.causal = causal_, plan.window = options_.window;
  plan.key_lengths = sight.key_lengths;
  if (causal_) plan.prefix = sight.prefix;
  return plan;
}

Tensor AttentionMixer::attend_self(Context& ctx, const Tensor& x, const Sight& sight) {
  if (!qkv_) return attend(ctx, project(ctx, x, sight.query_positions), sight);
  auto qkv = qkv_->forward(ctx, x);
  if (sight.tree || query_norm_ || position_->biases() || !is_plain_softmax(ctx) ||
      !fits_fused_self_attention(qkv))
    return attend(ctx, split(ctx, std::move(qkv), sight.query_positions), sight);
  const AttentionHeads heads{kv_heads_ * group_, kv_heads_, width_, value_width_};
  const auto turn = position_->turn(ctx, sight.query_positions);
  return out_->forward(ctx, fused_self_attention(std::move(qkv), heads, turn, plan_for(sight)).flatten(2));
}

Tensor AttentionMixer::fused(Context& ctx, const Heads& heads, const Sight& sight) {
  auto plan = plan_for(sight);
  if (!position_->biases()) return fused_attention(heads.q, heads.k, heads.v, {}, std::move(plan));
  const auto slopes = position_->slopes(ctx);
  if (slopes.defined() && !slopes.requires_grad()) {
    plan.slopes = slopes.to(at::kFloat).contiguous();
    return fused_attention(heads.q, heads.k, heads.v, {}, std::move(plan));
  }
  int64_t farthest = 0;
  for (const auto& run : plan.runs) {
    plan.nearest = std::min(plan.nearest, 1 - run.queries - run.place);
    farthest = std::max(farthest, run.keys - run.place);
  }
  const auto distances = at::arange(plan.nearest, farthest + 1, sight.query_positions.options());
  const auto bias = position_->bias_at(ctx, distances).to(at::kFloat).t();
  return fused_attention(heads.q, heads.k, heads.v, bias, std::move(plan));
}

Tensor token_places(const Tensor& x, int64_t first, int64_t count) {
  return at::arange(first, first + count, x.options().dtype(at::kLong).requires_grad(false)).unsqueeze(0);
}

namespace {

bool same(const Tensor& positions, const Tensor& order) { return positions.eq(order).all().item<bool>(); }

}  // namespace

AttentionMixer::Sight AttentionMixer::all_tokens(const Context& ctx, const Tensor& x) const {
  Sight sight;
  const auto* tree = sight.tree = ctx.layout ? ctx.layout->tree.get() : nullptr;
  const auto order = tree ? tree->depths() : token_places(x, 0, x.size(1));
  const bool given = ctx.layout && ctx.layout->positions.defined();
  sight.query_positions = sight.key_positions = given ? ctx.layout->positions : order;
  sight.consecutive = !given || same(ctx.layout->positions, order);
  if (ctx.layout) sight.key_lengths = ctx.layout->lengths, sight.prefix = ctx.layout->prefix;
  return sight;
}

Tensor AttentionMixer::mix(Context& ctx, const Tensor& x) {
  if (!options_.memory.empty()) {
    const auto [k, v] = keys_values(ctx, ctx.tap(memory_tap_, ctx.streams->at(options_.memory).x));
    return attend_memory(ctx, x, k, v);
  }
  Sight sight = all_tokens(ctx, x);
  sight.runs = {AttentionRun::whole(x, x)};
  return attend_self(ctx, x, sight);
}

Tensor AttentionMixer::attend_memory(Context& ctx, const Tensor& x, const Tensor& k, const Tensor& v) {
  Heads heads{queries(ctx, x), k, v};
  if (query_norm_) heads.q = query_norm_->forward(ctx, heads.q);
  Sight sight;
  sight.query_positions = token_places(x, 0, x.size(1)), sight.key_positions = token_places(x, 0, k.size(1));
  sight.key_lengths = ctx.streams->at(options_.memory).layout.lengths;
  sight.runs = {AttentionRun::whole(heads.q, heads.k)};
  return attend(ctx, heads, sight);
}

Tensor AttentionMixer::mix_packed(Context& ctx, const Tensor& x) {
  if (!options_.memory.empty()) fail("{}: cross attention does not take packed rows", path_);
  const auto& offsets = ctx.layout->offsets;
  Sight sight;
  std::vector<Tensor> order;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t first = offsets[s], count = offsets[s + 1] - first;
    if (count == 0) continue;
    sight.runs.push_back({0, 1, first, count, first, count, 0, static_cast<int64_t>(s)});
    order.push_back(token_places(x, 0, count));
  }
  const auto sequential = at::cat(order, 1);
  const bool given = ctx.layout->positions.defined();
  sight.query_positions = sight.key_positions = given ? ctx.layout->positions : sequential;
  sight.consecutive = !given || same(ctx.layout->positions, sequential);
  sight.prefix = ctx.layout->prefix;
  return attend_self(ctx, x, sight);
}

std::unique_ptr<State> AttentionMixer::make_state(const StateOptions& options) const {
  if (!options_.memory.empty()) return std::make_unique<MemoryCache>();
  return std::make_unique<KvCache>(options, KvCacheShape{kv_heads_, width_, value_width_, options_.window});
}

Tensor AttentionMixer::append(Context& ctx, const Tensor& x, State* state) {
  if (!options_.memory.empty()) {
    auto& memory = static_cast<MemoryCache&>(*state);
    if (!memory.k.defined())
      std::tie(memory.k, memory.v) =
          keys_values(ctx, ctx.tap(memory_tap_, ctx.streams->at(options_.memory).x));
    return attend_memory(ctx, x, memory.k, memory.v);
  }
  if (!causal_) fail("{}: only causal attention can be decoded token by token", path_);
  auto& cache = static_cast<KvCache&>(*state);
  const auto before = cache.lengths();
  const int64_t n = x.size(1), longest = cache.longest();
  const bool level = cache.level();
  Sight sight;
  const auto* tree = sight.tree = ctx.layout ? ctx.layout->tree.get() : nullptr;
  if (tree)
    sight.query_positions = before.unsqueeze(1) + tree->depths();
  else
    sight.query_positions = level ? token_places(x, longest, n) : before.unsqueeze(1) + token_places(x, 0, n);
  Heads heads = project(ctx, x, sight.query_positions);
  cache.append(heads.k, heads.v, ctx.layout ? ctx.layout->lengths : Tensor());
  heads.k = cache.keys().to(heads.q.scalar_type()), heads.v = cache.values().to(heads.q.scalar_type());
  if (tree)
    sight.before = before - cache.first(),
    sight.key_positions = tree->places(sight.before, heads.k.size(1)) + cache.first();
  else if (!can_fuse(ctx, heads, sight))
    sight.key_positions = token_places(x, cache.first(), heads.k.size(1));
  if (ctx.layout && ctx.layout->prefix.defined()) sight.prefix = ctx.layout->prefix - cache.first();
  if (!cache.level()) sight.key_lengths = cache.lengths() - cache.first();
  if (level) {
    sight.runs = {AttentionRun::whole(heads.q, heads.k, longest - cache.first())};
    return attend(ctx, heads, sight);
  }
  sight.starts = before - cache.first();
  const auto starts = sight.starts.to(at::kCPU);
  for (int64_t b = 0; b < x.size(0); ++b)
    sight.runs.push_back({b, 1, 0, n, 0, heads.k.size(1), starts.const_data_ptr<int64_t>()[b], b});
  return attend(ctx, heads, sight);
}

FORMWORK_PART(TokenMixer, AttentionMixer, "attention",
              "softmax attention: multi-head, grouped or single keys, causal, cross, window, QK-norm");

}  // namespace formwork
