#include "formwork/mixers/recurrent/mamba.h"

#include "formwork/mixers/recurrent/recurrent_state.h"

namespace formwork {
namespace {

// A_log[e, n] = log(n + 1): the states of a channel decay at rates 1, 2, .., N (S4D-real).
Init rates_init() {
  return {"log_1_to_n", [](Tensor& t, at::Generator) {
            t.copy_(at::arange(1, t.size(1) + 1, t.options()).log().expand_as(t));
          }};
}

// The inverse softplus of a step size drawn log-uniformly from [low, high] and not below floor.
Init step_bias_init(double low, double high, double floor) {
  return {fmt::format("inverse_softplus:{:g}..{:g}", low, high), [=](Tensor& t, at::Generator g) {
            const auto u = at::empty(t.sizes(), t.options().dtype(at::kDouble)).uniform_(0, 1, g);
            const auto step = (u * (std::log(high) - std::log(low)) + std::log(low)).exp().clamp_min(floor);
            t.copy_(step + (-(-step).expm1()).log());
          }};
}

}  // namespace

Mamba::Mamba(Build& build, const Options& options)
    : path_(build.path()),
      window_(options.d_conv),
      zoh_(options.discretization == "zoh"),
      selective_delta_(options.selective_delta),
      selective_b_(options.selective_b),
      selective_c_(options.selective_c) {
  const double width = static_cast<double>(build.in.asked());
  const auto channels = std::max<int64_t>(1, std::llround(options.expand * width));
  const int64_t rank = options.dt_rank ? options.dt_rank : (build.in.asked() + 15) / 16;
  if (options.dt_min > options.dt_max)
    fail("{}: dt_min {} is above dt_max {}", path_, options.dt_min, options.dt_max);
  inner_ = build.axis("inner", channels);
  build.restrict(inner_, Group::permute, "each inner channel has a state space model of its own");
  state_ = build.axis("state", options.d_state);
  build.restrict(state_, Group::permute, "each state has a decay rate of its own");
  if (options.selective_delta) rank_ = build.axis("rank", rank);
  make_maps(build, options);
  make_parameters(build, options);
  step_tap_ = build.tap("step", inner_);
}

void Mamba::make_maps(Build& build, const Options& options) {
  LinearNeed in;
  in.role = Role::inner, in.in = build.in, in.input = build.input;
  in.out = Dim::concat({{inner_}, {inner_}});
  in_ = make_linear(build, "in", in);

  LinearNeed conv;
  conv.role = Role::conv, conv.in = conv.out = inner_, conv.bias = true;
  conv.bias_init = init::uniform(1 / std::sqrt(static_cast<double>(window_)));
  conv_ = make_depthwise(build, "conv", conv, window_);

  LinearNeed x;
  x.role = Role::inner, x.in = inner_;
  std::vector<std::vector<Axis>> segments;
  if (selective_delta_) segments.push_back({rank_});
  if (selective_b_) segments.push_back({state_});
  if (selective_c_) segments.push_back({state_});
  x.out = Dim::concat(segments);
  if (!segments.empty()) x_ = make_linear(build, "x", x);

  if (selective_delta_) {
    LinearNeed delta;
    delta.role = Role::inner, delta.in = rank_, delta.out = inner_, delta.bias = true;
    const double bound = 1 / std::sqrt(static_cast<double>(rank_.size));
    delta.init = options.dt_init == "random" ? init::uniform(bound) : init::constant(bound);
    delta.bias_init = step_bias_init(options.dt_min, options.dt_max, options.dt_init_floor);
    delta_ = make_linear(build, "delta", delta);
  }

  LinearNeed out;
  out.role = Role::out, out.in = inner_, out.out = build.out;
  out.init = init::scaled(init::fan_in_uniform(), 1 / std::sqrt(static_cast<double>(build.depth)));
  out_ = make_linear(build, "out", out);
}

void Mamba::make_parameters(Build& build, const Options& options) {
  Rule rule;
  rule.decay = false, rule.keep_dtype = true;
  rule.init = rates_init();
  a_log_ = build.param("A_log", {inner_, state_}, rule);
  rule.init = init::ones();
  skip_ = build.param("D", {inner_}, rule);
  if (!selective_b_) b_ = build.param("B", {inner_, state_}, rule);
  rule.init = init::normal(1);
  if (!selective_c_) c_ = build.param("C", {inner_, state_}, rule);
  rule.init = step_bias_init(options.dt_min, options.dt_max, options.dt_init_floor);
  if (!selective_delta_) delta_bias_ = build.param("delta_bias", {inner_}, rule);
}

Traits Mamba::traits() const {
  Traits traits;
  traits.causal = true;
  return traits;
}

double Mamba::flops_per_token(int64_t) const {
  // Per state: exponent, exponential, input (2), decay and add (2), contraction (2), and one for the step.
  return static_cast<double>(inner_.size) * (9.0 * static_cast<double>(state_.size) + 8);
}

Tensor Mamba::step_sizes(Context& ctx, const Tensor& low_rank, const Tensor& x) {
  const auto raw = selective_delta_ ? delta_->forward(ctx, low_rank) : ctx.value(*delta_bias_).expand_as(x);
  const auto type = at::promote_types(raw.scalar_type(), at::kFloat);
  auto step = ctx.tap(step_tap_, at::softplus(raw.to(type)));
  const auto keep = ctx.layout ? ctx.layout->keep(x.size(1)) : Tensor();
  // With a step of 0 padding passes the state on unchanged.
  return keep.defined() ? step * keep.unsqueeze(-1).to(type) : step;
}

SelectiveScan Mamba::prepare(Context& ctx, const Tensor& x, const Tensor& z) {
  const auto from_x = x_ ? x_->forward(ctx, x) : Tensor();
  int64_t taken = 0;
  const auto take = [&](const Axis& axis) {
    taken += axis.size;
    return from_x.narrow(-1, taken - axis.size, axis.size);
  };
  const auto low_rank = selective_delta_ ? take(rank_) : Tensor();
  const auto b = selective_b_ ? take(state_) : ctx.value(*b_);
  const auto c = selective_c_ ? take(state_) : ctx.value(*c_);
  // The exponentials and the running sum stay in float32 at least.
  const auto& a_log = ctx.value(*a_log_);
  const auto type = at::promote_types(a_log.scalar_type(), x.scalar_type());
  SelectiveScan scan;
  scan.delta = step_sizes(ctx, low_rank, x).to(type);
  scan.A = -a_log.to(type).exp();
  scan.B = b.to(type), scan.C = c.to(type);
  scan.x = x.to(type), scan.z = z.to(type);
  scan.D = ctx.value(*skip_).to(type);
  scan.zoh = zoh_;
  return scan;
}

Tensor Mamba::run(Context& ctx, const Tensor& u, const Carry* before, Carry* after) {
  const auto xz = in_->forward(ctx, u);
  const auto raw = xz.narrow(-1, 0, inner_.size), z = xz.narrow(-1, inner_.size, inner_.size);
  const auto x = at::silu(before ? conv_->after(ctx, before->window, raw) : conv_->forward(ctx, raw));
  auto scan = prepare(ctx, x, z);
  if (before) scan.h0 = before->h.to(scan.x.scalar_type());
  const auto [y, h] = selective_scan(scan, ctx.mode.twice_differentiable);
  if (after) {
    after->window = conv_->window(before->window, raw, ctx.layout ? ctx.layout->lengths : Tensor());
    after->h = h;
  }
  return out_->forward(ctx, y.to(u.scalar_type()));
}

Tensor Mamba::mix(Context& ctx, const Tensor& x) { return run(ctx, x, nullptr, nullptr); }

std::unique_ptr<State> Mamba::make_state(const StateOptions& options) const {
  const auto like = at::TensorOptions(options.dtype).device(options.device);
  const auto wide = like.dtype(at::promote_types(options.dtype, at::kFloat));
  return std::make_unique<RecurrentState>(
      std::vector<Tensor>{at::zeros({options.batch, window_, inner_.size}, like),
                          at::zeros({options.batch, inner_.size, state_.size}, wide)},
      options.reversible);
}

Tensor Mamba::append(Context& ctx, const Tensor& x, State* state) {
  auto& recurrent = static_cast<RecurrentState&>(*state);
  recurrent.check_rows(path_, x);
  const Carry before{recurrent.value(0), recurrent.value(1)};
  Carry after;
  const auto y = run(ctx, x, &before, &after);
  recurrent.advance({after.window, after.h});
  return y;
}

FORMWORK_PART(TokenMixer, Mamba, "mamba",
              "selective state space model: step size, input and output matrices follow the token");

}  // namespace formwork
