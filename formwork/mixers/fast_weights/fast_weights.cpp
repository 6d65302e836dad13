#include "formwork/mixers/fast_weights/fast_weights.h"

#include "formwork/core/autocast.h"
#include "formwork/mixers/recurrent/recurrent_state.h"

namespace formwork {
namespace {

int64_t head_width(const std::string& path, int64_t asked, int64_t width, int64_t heads) {
  if (asked > 0) return asked;
  if (width % heads)
    fail("{}: width {} is not divisible by {} heads; choose heads, or key_width and value_width", path, width,
         heads);
  return width / heads;
}

Tensor unit(const Tensor& x) { return x * (x.square().sum(-1, true) + 1e-12).rsqrt(); }

// What a state keeps: a view would hold the matrices of all tokens of a call.
Tensor owned(const Tensor& x) { return x.storage().nbytes() > x.nbytes() ? x.clone() : x; }

double logit(double share) { return std::log(share / (1 - share)); }

}  // namespace

FastWeights::FastWeights(Build& build, const FastWeightOptions& options)
    : options_(options), path_(build.path()) {
  const int64_t width = build.in.asked(), heads = options.heads;
  heads_ = build.axis("heads", heads);
  build.restrict(heads_, Group::permute, "each head has a memory of its own");
  key_width_ = build.axis("key_width", head_width(path_, options.key_width, width, heads));
  value_width_ = build.axis("value_width", head_width(path_, options.value_width, width, heads));
  inner_ = make_inner_parts(build, options, heads_, key_width_, value_width_);
  make_maps(build);
  Rule rule;
  rule.init = init::ones(), rule.decay = false;
  gain_ = build.param("read_norm.weight", {Dim::product({heads_, value_width_})}, rule);
  read_tap_ = build.tap("read");
}

void FastWeights::make_maps(Build& build) {
  const std::vector<Axis> keys = {heads_, key_width_}, values = {heads_, value_width_};
  LinearNeed need;
  need.in = build.in, need.input = build.input;
  need.role = Role::qkv, need.out = Dim::concat({keys, keys, values});
  qkv_ = make_linear(build, "qkv", need);
  need.role = Role::gate, need.out = Dim::product(values);
  gate_ = make_linear(build, "gate", need);
  need.role = Role::inner;
  need.out = Dim::concat(std::vector<std::vector<Axis>>(static_cast<size_t>(rate_count()), {heads_}));
  need.init = init::normal(0.02), need.bias = true, need.bias_init = rates_init();
  rates_ = make_linear(build, "rates", need);

  // It restricts its channels' axes to permutations.
  LinearNeed conv;
  conv.role = Role::conv, conv.in = conv.out = Dim::concat({keys, keys, values});
  conv_ = make_depthwise(build, "conv", conv, options_.d_conv);

  LinearNeed out;
  out.role = Role::out, out.in = Dim::product(values), out.out = build.out;
  out.init = init::scaled(init::fan_in_uniform(), 1 / std::sqrt(static_cast<double>(build.depth)));
  out_ = make_linear(build, "out", out);
}

// The Hebbian loss has no end, and a deep memory that follows it fast runs away: a mean of the past does not.
double FastWeights::starting_rate() const {
  if (options_.rate_start > 0) return options_.rate_start;
  // Every token of a window counts, and all steps of a chunk follow gradients at its start.
  const double curvature = inner_.memory->curvature(inner_.features->concentration()) *
                           static_cast<double>(options_.window * options_.chunk);
  const double proposed = inner_.optimizer->starting_rate(curvature);
  if (inner_.loop.loss == InnerLoss::regression) return proposed;
  const double forgotten = 1 / (1 + std::exp(options_.decay_start));  // 1 - alpha
  return std::min(proposed, forgotten / static_cast<double>(options_.window));
}

// Of alpha, eta, theta and g, in this order.
Init FastWeights::rates_init() const {
  const double rate = starting_rate();
  std::vector<double> starts = {options_.decay_start, logit(rate)};
  if (inner_.optimizer->keeps_momentum()) starts.push_back(options_.momentum_start);
  if (options_.window > 1) starts.push_back(0);
  return {"rates", [starts](Tensor& t, at::Generator) {
            const auto parts = t.chunk(static_cast<int64_t>(starts.size()));
            for (size_t i = 0; i < starts.size(); ++i) parts[i].fill_(starts[i]);
          }};
}

Traits FastWeights::traits() const {
  Traits traits;
  traits.causal = true;
  return traits;
}

double FastWeights::flops_per_token(int64_t context) const {
  const auto heads = static_cast<double>(heads_.size);
  double total = 0;
  for (size_t j = 0; j < inner_.memory->shapes().size(); ++j) {
    auto [rows, columns] = inner_.memory->shapes()[j];
    if (inner_.features->by_kernel() && j < inner_.memory->readers()) columns += context;
    // The key, its gradient and the query, each a product.
    total += 6.0 * static_cast<double>(rows * columns);
    total += inner_.optimizer->flops(rows, columns, options_.window, options_.chunk);
  }
  return heads * total;
}

at::TensorOptions FastWeights::inner_options(const Tensor& x) const {
  return x.options().dtype(at::promote_types(x.scalar_type(), at::kFloat)).requires_grad(false);
}

// Rates of each head: sigmoid of [B, T, rates H], by their logarithms where they are multiplied up.
void FastWeights::set_rates(InnerTokens& tokens, const Tensor& logits) const {
  const auto parts = logits.transpose(1, 2).chunk(rate_count(), 1);  // [B, H, T] each
  size_t next = 0;
  tokens.decay = at::log_sigmoid(parts[next++]);
  tokens.rate = parts[next++].sigmoid();
  if (inner_.optimizer->keeps_momentum()) tokens.momentum = at::log_sigmoid(parts[next++]);
  tokens.gates = options_.window > 1 ? parts[next].sigmoid() : at::ones_like(tokens.rate);
}

InnerTokens FastWeights::project(Context& ctx, const Tensor& x, Carry& carry, bool keep_carry) {
  const auto raw = qkv_->forward(ctx, x);
  const auto mixed = carry.window.defined() ? conv_->after(ctx, carry.window, raw) : conv_->forward(ctx, raw);
  if (keep_carry)
    carry.window = conv_->window(carry.window, raw, ctx.layout ? ctx.layout->lengths : Tensor());
  const int64_t keys = heads_.size * key_width_.size, values = heads_.size * value_width_.size;
  const auto parts = mixed.to(inner_options(x)).split_with_sizes({keys, keys, values}, -1);
  const auto in_heads = [&](const Tensor& part) {
    return part.unflatten(-1, {heads_.size, -1}).transpose(1, 2);
  };
  InnerTokens tokens;
  tokens.queries = unit(in_heads(parts[0])), tokens.keys = unit(in_heads(parts[1]));
  tokens.values = in_heads(parts[2]);
  set_rates(tokens, rates_->forward(ctx, x).to(inner_options(x)));
  if (ctx.layout) tokens.keep = ctx.layout->keep(x.size(1));
  return tokens;
}

// y [B, H, T, dv]: the norm is over a head's channels, and a channel that was cut counts as a zero.
Tensor FastWeights::finish(Context& ctx, const Tensor& x, const Tensor& y) {
  const auto rows = ctx.tap(read_tap_, y.transpose(1, 2));
  const auto scale =
      (rows.square().sum(-1, true) / static_cast<double>(value_width_.asked()) + options_.norm_eps).rsqrt();
  const auto normed = (rows * scale).flatten(2) * ctx.value(*gain_).to(y.scalar_type());
  return out_->forward(ctx,
                       (normed * at::silu(gate_->forward(ctx, x).to(y.scalar_type()))).to(x.scalar_type()));
}

Tensor FastWeights::run(Context& ctx, const Tensor& x, Carry& carry, bool keep_carry) {
  if (x.size(1) == 0) fail("{}: expected at least 1 token, found 0", path_);
  const auto tokens = project(ctx, x, carry, keep_carry);
  Tensor y;
  {
    // Inner gradients and states stay in float32 at least.
    const AutocastGuard exact({x.device().type(), false, at::kBFloat16});
    y = ctx.choice("inner_updates", options_.updates) != 0
            ? run_inner_loop(ctx, inner_.loop, tokens, carry.memory)
            : read_without_updates(ctx, inner_.loop, tokens.queries);
  }
  return finish(ctx, x, y);
}

Tensor FastWeights::mix(Context& ctx, const Tensor& x) {
  Carry carry;
  carry.memory = fresh_state(inner_.loop, x.size(0), heads_.size, value_width_.size, inner_options(x));
  return run(ctx, x, carry, /*keep_carry=*/false);
}

std::unique_ptr<State> FastWeights::make_state(const StateOptions& options) const {
  const auto like = at::TensorOptions(options.dtype).device(options.device);
  const auto wide = like.dtype(at::promote_types(options.dtype, at::kFloat));
  auto memory = fresh_state(inner_.loop, options.batch, heads_.size, value_width_.size, wide);
  std::vector<Tensor> values = {at::zeros({options.batch, options_.d_conv, channels()}, like)};
  for (const auto* field : fields_of(inner_.loop, memory)) values.push_back(*field);
  return std::make_unique<RecurrentState>(std::move(values), options.reversible);
}

Tensor FastWeights::append(Context& ctx, const Tensor& x, State* state) {
  auto& recurrent = static_cast<RecurrentState&>(*state);
  recurrent.check_rows(path_, x);
  Carry carry;
  carry.window = recurrent.value(0);
  const auto fields = fields_of(inner_.loop, carry.memory);
  for (size_t i = 0; i < fields.size(); ++i) *fields[i] = recurrent.value(i + 1);
  const auto y = run(ctx, x, carry, /*keep_carry=*/true);
  std::vector<Tensor> next = {carry.window};
  for (const auto* field : fields_of(inner_.loop, carry.memory)) next.push_back(owned(*field));
  recurrent.advance(std::move(next));
  return y;
}

}  // namespace formwork
