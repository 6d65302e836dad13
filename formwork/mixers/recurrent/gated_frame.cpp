#include "formwork/mixers/recurrent/gated_frame.h"

namespace formwork {
namespace {

constexpr double kOpenGate = 1.2784645427610738;  // SiLU of it is 1

int64_t size_of(const std::vector<std::vector<Axis>>& segments) { return Dim::concat(segments).size(); }

// `inner` with rows [first, first + count) set to `value` wherever the tensor has `rows` rows.
Init with_rows(Init inner, int64_t rows, int64_t first, int64_t count, double value) {
  return {fmt::format("{}, rows {} to {} constant:{:g}", inner.name, first, first + count - 1, value),
          [=](Tensor& t, at::Generator g) {
            inner.fill(t, g);
            if (t.size(0) == rows) t.narrow(0, first, count).fill_(value);
          }};
}

Init last_tap() {
  return {"last tap", [](Tensor& t, at::Generator) { t.zero_().select(-1, t.size(-1) - 1).fill_(1); }};
}

}  // namespace

int64_t GatedFrame::head_width(const Build& build, const GatedFrameOptions& options) {
  const auto inner = std::llround(options.expand * static_cast<double>(build.in.asked()));
  if (inner < options.heads || inner % options.heads)
    fail("{}: {} inner channels (expand {} of width {}) cannot be divided evenly among {} heads",
         build.path(), inner, options.expand, build.in.asked(), options.heads);
  return inner / options.heads;
}

GatedFrame::GatedFrame(Build& build, const GatedFrameOptions& options, const GatedFrameAxes& axes)
    : options_(options), path_(build.path()) {
  inner_ = size_of({axes.channels}), loose_ = size_of(axes.loose);
  convolved_ = inner_ + size_of(axes.convolved);
  make_in(build, axes);

  // It restricts its channels' axes to permutations: those of the states and of a head's channels too.
  LinearNeed conv;
  conv.role = Role::conv, conv.bias = options.conv_bias;
  auto segments = axes.convolved;
  segments.insert(segments.begin(), axes.channels);
  conv.in = conv.out = Dim::concat(segments);
  if (options.identity_start)
    conv.init = last_tap();
  else
    conv.bias_init = init::uniform(1 / std::sqrt(static_cast<double>(options.d_conv)));
  conv_ = make_depthwise(build, "conv", conv, options.d_conv);

  if (!options.bias) {
    Rule rule;
    rule.init = init::constant(options.identity_start ? kOpenGate : 0);
    gate_bias_ = build.param("z_bias", {Dim::product(axes.channels)}, rule);
  }
  LinearNeed out;
  out.role = Role::out, out.in = Dim::product(axes.channels), out.out = build.out, out.bias = options.bias;
  out_ = make_linear(build, "out", out);
}

void GatedFrame::make_in(Build& build, const GatedFrameAxes& axes) {
  LinearNeed in;
  in.role = Role::inner, in.in = build.in, in.input = build.input, in.bias = options_.bias;
  std::vector<std::vector<Axis>> segments = {axes.channels};
  const auto append = [&](const std::vector<std::vector<Axis>>& more) {
    segments.insert(segments.end(), more.begin(), more.end());
  };
  append(axes.convolved), append({axes.channels}), append(axes.loose);
  in.out = Dim::concat(segments);
  if (options_.identity_start) {
    in.init = with_rows(in.init, in.out.size(), convolved_, inner_, 0);
    in.bias_init = with_rows(in.bias_init, in.out.size(), convolved_, inner_, kOpenGate);
  }
  in_ = make_linear(build, "in", in);
}

GatedFrame::Parts GatedFrame::enter(Context& ctx, const Tensor& u, const Tensor* window) {
  if (u.size(1) == 0) fail("{}: expected at least 1 token, found 0", path_);
  const auto parts = in_->forward(ctx, u).split_with_sizes({convolved_, inner_, loose_}, -1);
  auto convolved = window ? conv_->after(ctx, *window, parts[0]) : conv_->forward(ctx, parts[0]);
  if (options_.activation == "silu") convolved = at::silu(convolved);
  return {convolved, parts[1], parts[2], parts[0]};
}

Tensor GatedFrame::window_after(const Context& ctx, const Tensor& window, const Tensor& read) const {
  return conv_->window(window, read, ctx.layout ? ctx.layout->lengths : Tensor());
}

Tensor GatedFrame::leave(Context& ctx, const Tensor& y, const Tensor& gate, at::ScalarType type) {
  const auto opened = gate_bias_ ? gate + ctx.value(*gate_bias_).to(gate.scalar_type()) : gate;
  return out_->forward(ctx, (y * at::silu(opened.to(y.scalar_type()))).to(type));
}

Tensor GatedFrame::empty_window(const StateOptions& options) const {
  return at::zeros({options.batch, options_.d_conv, convolved_},
                   at::TensorOptions(options.dtype).device(options.device));
}

}  // namespace formwork
