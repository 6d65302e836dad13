#include "formwork/mixers/recurrent/mamba.h"

#include "formwork/mixers/recurrent/complex_scan.h"
#include "formwork/mixers/recurrent/recurrent_state.h"
#include "formwork/mixers/recurrent/step_sizes.h"

namespace formwork {
namespace {

// A_log, where A = -exp(A_log) is the real part of the rates.
Init decay_init(const std::string& name, bool complex) {
  if (name == "random") return init::normal(1);
  if (name == "half" || complex) return init::constant(std::log(0.5));
  return {"log_1_to_n", [](Tensor& t, at::Generator) {
            t.copy_(at::arange(1, t.size(1) + 1, t.options()).log().expand_as(t));
          }};
}

// The imaginary part: n pi (S4D-Lin), or N/pi (N / (2n + 1) - 1) (S4D-Inv).
Init frequency_init(const std::string& name) {
  return {"frequencies:" + name, [inverse = name == "s4d_inv"](Tensor& t, at::Generator) {
            const auto n = at::arange(t.size(1), t.options().dtype(at::kDouble));
            const auto count = static_cast<double>(t.size(1));
            t.copy_((inverse ? (count / (2 * n + 1) - 1) * (count / M_PI) : n * M_PI).expand_as(t));
          }};
}

// B = 1: of numbers [E, N], or of pairs [E, N, 2] with imaginary part 0.
Init unit_init() {
  return {"unit", [](Tensor& t, at::Generator) {
            t.fill_(1);
            if (t.dim() == 3) t.select(2, 1).zero_();
          }};
}

}  // namespace

Mamba::Mamba(Build& build, const Options& options)
    : path_(build.path()),
      window_(options.d_conv),
      zoh_(options.discretization == "zoh"),
      complex_(options.complex),
      selective_delta_(options.selective_delta),
      selective_b_(options.selective_b),
      selective_c_(options.selective_c) {
  const double width = static_cast<double>(build.in.asked());
  const auto channels = std::max<int64_t>(1, std::llround(options.expand * width));
  const int64_t rank = options.dt_rank ? options.dt_rank : (build.in.asked() + 15) / 16;
  if (options.dt_min > options.dt_max)
    fail("{}: dt_min {} is above dt_max {}", path_, options.dt_min, options.dt_max);
  if (options.a_init == "s4d_inv" && !complex_)
    fail("{}: a_init 's4d_inv' has complex rates; expected complex: true", path_);
  inner_ = build.axis("inner", channels);
  build.restrict(inner_, Group::permute, "each inner channel has a state space model of its own");
  state_ = build.axis("state", options.d_state);
  build.restrict(state_, Group::permute, "each state has a decay rate of its own");
  if (options.selective_delta) rank_ = build.axis("rank", rank);
  make_maps(build, options);
  make_parameters(build, options);
  step_tap_ = build.tap("step", inner_);
}

Dim Mamba::states() const { return complex_ ? Dim::product({state_, Axis{"", 2}}) : Dim(state_); }

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
  if (selective_b_) segments.push_back(states().segments[0]);
  if (selective_c_) segments.push_back(states().segments[0]);
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
  rule.init = decay_init(options.a_init, complex_);
  a_log_ = build.param("A_log", {inner_, state_}, rule);
  rule.init = frequency_init(options.a_init);
  if (complex_) a_imag_ = build.param("A_imag", {inner_, state_}, rule);
  rule.init = init::ones();
  skip_ = build.param("D", {inner_}, rule);
  std::vector<Dim> constant = {inner_, state_};
  if (complex_) constant.push_back(Dim::plain(2));
  rule.init = unit_init();
  if (!selective_b_) b_ = build.param("B", constant, rule);
  rule.init = init::normal(1);
  if (!selective_c_) c_ = build.param("C", constant, rule);
  rule.init = step_bias_init(options.dt_min, options.dt_max, options.dt_init_floor);
  if (!selective_delta_) delta_bias_ = build.param("delta_bias", {inner_}, rule);
}

Traits Mamba::traits() const {
  Traits traits;
  traits.causal = true;
  return traits;
}

double Mamba::flops_per_token(int64_t) const {
  // Per state: exponent, exponential, input (2), decay and add (2), contraction (2), and one for the step. A
  // complex state is two real ones that are turned by a phase on their way in and out.
  const double numbers = static_cast<double>(state_.size) * (complex_ ? 9.0 * 2 + 16 : 9.0);
  return static_cast<double>(inner_.size) * (numbers + 8);
}

Tensor Mamba::step_sizes(Context& ctx, const Tensor& low_rank, const Tensor& x) {
  const auto raw = selective_delta_ ? delta_->forward(ctx, low_rank) : ctx.value(*delta_bias_).expand_as(x);
  const auto type = at::promote_types(raw.scalar_type(), at::kFloat);
  return steps_of_real_tokens(ctx, ctx.tap(step_tap_, at::softplus(raw.to(type))));
}

SelectiveScan Mamba::prepare(Context& ctx, const Tensor& x, const Tensor& z) {
  const auto from_x = x_ ? x_->forward(ctx, x) : Tensor();
  int64_t taken = 0;
  const auto take = [&](int64_t size) {
    taken += size;
    return from_x.narrow(-1, taken - size, size);
  };
  const auto take_states = [&] {
    const auto numbers = take(states().size());
    return complex_ ? numbers.unflatten(-1, {state_.size, 2}) : numbers;
  };
  const auto low_rank = selective_delta_ ? take(rank_.size) : Tensor();
  const auto b = selective_b_ ? take_states() : ctx.value(*b_);
  const auto c = selective_c_ ? take_states() : ctx.value(*c_);
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

Mamba::Projected Mamba::project(Context& ctx, const Tensor& u, const Carry* before) {
  if (u.size(1) == 0) fail("{}: expected at least 1 token, found 0", path_);
  const auto xz = in_->forward(ctx, u);
  const auto raw = xz.narrow(-1, 0, inner_.size), z = xz.narrow(-1, inner_.size, inner_.size);
  const auto x = at::silu(before ? conv_->after(ctx, before->window, raw) : conv_->forward(ctx, raw));
  Projected all{prepare(ctx, x, z), {}, raw};
  const auto type = all.scan.x.scalar_type();
  if (complex_) all.frequencies = ctx.value(*a_imag_).to(type);
  if (before) all.scan.h0 = before->h.to(type);
  return all;
}

Tensor Mamba::run(Context& ctx, const Tensor& u, const Carry* before, Carry* after) {
  const auto [scan, frequencies, raw] = project(ctx, u, before);
  const bool plain = ctx.mode.twice_differentiable;
  const auto [y, h] = complex_ ? complex_scan(scan, frequencies, plain) : selective_scan(scan, plain);
  if (after) {
    after->window = conv_->window(before->window, raw, ctx.layout ? ctx.layout->lengths : Tensor());
    after->h = h;
  }
  return out_->forward(ctx, y.to(u.scalar_type()));
}

TokenMatrix Mamba::matrix(Context& ctx, const Tensor& u) {
  if (ctx.layout && ctx.layout->packed()) fail("{}: facet 'matrix' does not take packed rows", path_);
  const auto [scan, frequencies, raw] = project(ctx, u, nullptr);
  const auto gate = at::silu(scan.z);
  return {selective_scan_matrix(scan, frequencies), scan.x.transpose(1, 2).unsqueeze(-1),
          [this, &ctx, gate, type = u.scalar_type()](const Tensor& mixed) {
            return out_->forward(ctx, (mixed.squeeze(-1).transpose(1, 2) * gate).to(type));
          }};
}

Tensor Mamba::mix(Context& ctx, const Tensor& x) { return run(ctx, x, nullptr, nullptr); }

std::unique_ptr<State> Mamba::make_state(const StateOptions& options) const {
  const auto like = at::TensorOptions(options.dtype).device(options.device);
  const auto wide = like.dtype(at::promote_types(options.dtype, at::kFloat));
  std::vector<int64_t> shape = {options.batch, inner_.size, state_.size};
  if (complex_) shape.push_back(2);
  return std::make_unique<RecurrentState>(
      std::vector<Tensor>{at::zeros({options.batch, window_, inner_.size}, like), at::zeros(shape, wide)},
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
