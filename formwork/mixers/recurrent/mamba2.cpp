#include "formwork/mixers/recurrent/mamba2.h"

#include "formwork/mixers/recurrent/recurrent_state.h"
#include "formwork/mixers/recurrent/step_sizes.h"
#include "formwork/norms/fused.h"

namespace formwork {
namespace {

// log A for a rate A drawn from U(low, high).
Init log_rate_init(double low, double high) {
  return {fmt::format("log_uniform:{:g}..{:g}", low, high), [=](Tensor& t, at::Generator g) {
            t.copy_(at::empty(t.sizes(), t.options().dtype(at::kDouble)).uniform_(low, high, g).log());
          }};
}

// Heads of all groups; refuses numbers that do not fit.
int64_t count_heads(const std::string& path, int64_t width, const Mamba2Options& options) {
  const auto inner = std::llround(options.expand * static_cast<double>(width));
  if (inner < 1 || inner % options.head_width)
    fail("{}: {} inner channels (expand {} of width {}) are no whole heads of {} channels", path, inner,
         options.expand, width, options.head_width);
  const int64_t heads = inner / options.head_width;
  if (heads % options.groups)
    fail("{}: {} heads cannot be shared evenly among {} groups", path, heads, options.groups);
  return heads;
}

void check_ranges(const std::string& path, const Mamba2Options& options) {
  const auto ordered = [&](const char* low_name, double low, const char* high_name, double high) {
    if (low > high) fail("{}: {} {} is above {} {}", path, low_name, low, high_name, high);
  };
  ordered("dt_min", options.dt_min, "dt_max", options.dt_max);
  ordered("a_min", options.a_min, "a_max", options.a_max);
  if (options.dt_high > 0) ordered("dt_low", options.dt_low, "dt_high", options.dt_high);
}

}  // namespace

Mamba2::Mamba2(Build& build, const Options& options) : options_(options), path_(build.path()) {
  check_ranges(path_, options);
  const int64_t heads = count_heads(path_, build.in.asked(), options);
  // Heads are groups times the heads of a group, so that cutting a group takes its heads along.
  groups_ = build.axis("groups", options.groups);
  build.restrict(groups_, Group::permute, "each group has input and output matrices of its own");
  heads_ = build.axis("heads", heads / options.groups);
  build.restrict(heads_, Group::permute, "each head has a decay rate of its own");
  head_width_ = build.axis("head_width", options.head_width);
  state_ = build.axis("state", options.d_state);
  make_maps(build);
  make_parameters(build);
  step_tap_ = build.tap("step");
}

void Mamba2::make_maps(Build& build) {
  const std::vector<Axis> channels = {groups_, heads_, head_width_}, states = {groups_, state_};
  LinearNeed in;
  in.role = Role::inner, in.in = build.in, in.input = build.input, in.bias = options_.bias;
  in.out = Dim::concat({channels, channels, states, states, {groups_, heads_}});
  in_ = make_linear(build, "in", in);

  // It restricts its channels' axes to permutations: those of the states and of a head's channels too.
  LinearNeed conv;
  conv.role = Role::conv, conv.bias = options_.conv_bias;
  conv.in = conv.out = Dim::concat({channels, states, states});
  conv.bias_init = init::uniform(1 / std::sqrt(static_cast<double>(options_.d_conv)));
  conv_ = make_depthwise(build, "conv", conv, options_.d_conv);

  LinearNeed out;
  out.role = Role::out, out.in = Dim::product(channels), out.out = build.out, out.bias = options_.bias;
  out.init = init::scaled(init::fan_in_uniform(), 1 / std::sqrt(static_cast<double>(build.depth)));
  out_ = make_linear(build, "out", out);
}

void Mamba2::make_parameters(Build& build) {
  const auto each_head = Dim::product({groups_, heads_});
  Rule rule;
  rule.decay = false, rule.keep_dtype = true;
  rule.init = log_rate_init(options_.a_min, options_.a_max);
  a_log_ = build.param("A_log", {each_head}, rule);
  rule.init = init::ones();
  skip_ = build.param("D", {each_head}, rule);
  rule.init = step_bias_init(options_.dt_min, options_.dt_max, options_.dt_init_floor);
  step_bias_ = build.param("dt_bias", {each_head}, rule);
  if (!options_.norm) return;
  rule.init = init::ones(), rule.keep_dtype = false;
  gain_ = build.param("gate_norm.weight", {Dim::product({groups_, heads_, head_width_})}, rule);
}

Traits Mamba2::traits() const {
  Traits traits;
  traits.causal = true;
  return traits;
}

double Mamba2::flops_per_token(int64_t) const {
  // Of the recurrence: input, decay and add, contraction, each 2 per state of a channel; then step, skip,
  // gate and norm.
  return static_cast<double>(inner()) * (6.0 * static_cast<double>(state_.size) + 12);
}

Tensor Mamba2::step_sizes(Context& ctx, const Tensor& raw) {
  const auto& bias = ctx.value(*step_bias_);
  const auto type = at::promote_types(raw.scalar_type(), bias.scalar_type());
  auto step = at::softplus(raw.to(type) + bias.to(type));
  if (options_.dt_low > 0) step = step.clamp_min(options_.dt_low);
  if (options_.dt_high > 0) step = step.clamp_max(options_.dt_high);
  return steps_of_real_tokens(ctx, ctx.tap(step_tap_, step));
}

DualScan Mamba2::prepare(Context& ctx, const Tensor& xbc, const Tensor& steps) {
  const int64_t states = groups_.size * state_.size;
  const auto parts = xbc.split_with_sizes({inner(), states, states}, -1);
  // The exponentials and the states stay in float32 at least.
  const auto& a_log = ctx.value(*a_log_);
  const auto type = at::promote_types(a_log.scalar_type(), xbc.scalar_type());
  DualScan scan;
  scan.delta = scan.gain = step_sizes(ctx, steps).to(type);
  scan.A = -a_log.to(type).exp();
  scan.x = parts[0].to(type).unflatten(-1, {heads(), head_width_.size});
  scan.B = parts[1].to(type).unflatten(-1, {groups_.size, state_.size});
  scan.C = parts[2].to(type).unflatten(-1, {groups_.size, state_.size});
  scan.D = ctx.value(*skip_).to(type);
  return scan;
}

Mamba2::Projected Mamba2::project(Context& ctx, const Tensor& u, const Carry* before) {
  if (u.size(1) == 0) fail("{}: expected at least 1 token, found 0", path_);
  const auto parts = in_->forward(ctx, u).split_with_sizes({inner(), convolved(), heads()}, -1);
  const auto xbc =
      at::silu(before ? conv_->after(ctx, before->window, parts[1]) : conv_->forward(ctx, parts[1]));
  Projected all{prepare(ctx, xbc, parts[2]), parts[0], parts[1]};
  if (before) all.scan.h0 = before->h.to(all.scan.x.scalar_type());
  return all;
}

// y [B, T, H P]: the root mean square is that of a group's channels, and a channel that was cut counts as a
// zero.
Tensor Mamba2::normalize(Context& ctx, const Tensor& y) {
  if (!gain_) return y;
  const auto rows = y.unflatten(-1, {groups_.size, -1}).contiguous();
  const auto divisor = static_cast<double>(heads_.asked() * head_width_.asked());
  const auto normed = fits_fused_norm(ctx, rows, {})
                          ? fused_rms_norm(rows, {}, divisor, options_.norm_eps)
                          : rows * (rows.square().sum(-1, true) / divisor + options_.norm_eps).rsqrt();
  return normed.flatten(-2) * ctx.value(*gain_).to(y.scalar_type());
}

Tensor Mamba2::finish(Context& ctx, const Tensor& y, const Tensor& gate, at::ScalarType type) {
  const auto factor = at::silu(gate.to(y.scalar_type()));
  const auto gated = options_.norm_before_gate ? normalize(ctx, y) * factor : normalize(ctx, y * factor);
  return out_->forward(ctx, gated.to(type));
}

Tensor Mamba2::run(Context& ctx, const Tensor& u, const Carry* before, Carry* after) {
  const auto [scan, gate, raw] = project(ctx, u, before);
  const auto [y, h] = dual_scan(scan, options_.chunk);
  if (after) {
    after->window = conv_->window(before->window, raw, ctx.layout ? ctx.layout->lengths : Tensor());
    after->h = h;
  }
  return finish(ctx, y.flatten(2), gate, u.scalar_type());
}

TokenMatrix Mamba2::matrix(Context& ctx, const Tensor& u) {
  if (ctx.layout && ctx.layout->packed()) fail("{}: facet 'matrix' does not take packed rows", path_);
  const auto all = project(ctx, u, nullptr);
  return {dual_scan_matrix(all.scan), all.scan.x.transpose(1, 2),
          [this, &ctx, gate = all.gate, type = u.scalar_type()](const Tensor& mixed) {
            return finish(ctx, mixed.transpose(1, 2).flatten(2), gate, type);
          }};
}

Tensor Mamba2::mix(Context& ctx, const Tensor& x) { return run(ctx, x, nullptr, nullptr); }

std::unique_ptr<State> Mamba2::make_state(const StateOptions& options) const {
  const auto like = at::TensorOptions(options.dtype).device(options.device);
  const auto wide = like.dtype(at::promote_types(options.dtype, at::kFloat));
  return std::make_unique<RecurrentState>(
      std::vector<Tensor>{at::zeros({options.batch, options_.d_conv, convolved()}, like),
                          at::zeros({options.batch, heads(), head_width_.size, state_.size}, wide)},
      options.reversible);
}

Tensor Mamba2::append(Context& ctx, const Tensor& x, State* state) {
  auto& recurrent = static_cast<RecurrentState&>(*state);
  recurrent.check_rows(path_, x);
  const Carry before{recurrent.value(0), recurrent.value(1)};
  Carry after;
  const auto y = run(ctx, x, &before, &after);
  recurrent.advance({after.window, after.h});
  return y;
}

FORMWORK_PART(TokenMixer, Mamba2, "mamba2",
              "state space model with heads: one decay a head, blocks of tokens as matrix products");

}  // namespace formwork
