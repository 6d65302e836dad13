#include "formwork/linear/conv/depthwise.h"

#include <ATen/Parallel.h>

namespace formwork {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Channels are innermost everywhere, so that each tap of the filter is one multiply-add over whole tokens.
// padded [B, T + K - 1, C], filters [K, C], bias [C] -> y [B, T, C].
template <class T>
void convolve_rows(const Tensor& padded, const Tensor& filters, const Tensor& bias, Tensor& y) {
  const int64_t tokens = y.size(1), channels = y.size(2), width = filters.size(0);
  const T *in = padded.const_data_ptr<T>(), *w = filters.const_data_ptr<T>(), *b = bias.const_data_ptr<T>();
  T* out = y.data_ptr<T>();
  at::parallel_for(0, y.size(0) * tokens, 256, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* from = in + (row / tokens * (tokens + width - 1) + row % tokens) * channels;
      T* __restrict__ to = out + row * channels;
      std::copy_n(b, channels, to);
      for (int64_t k = 0; k < width; ++k)
        for (int64_t c = 0; c < channels; ++c) to[c] += w[k * channels + c] * from[k * channels + c];
    }
  });
}

// Adds to d_padded, d_filters and d_bias (zeros at first); rows of the batch are independent but for the
// sums.
template <class T>
void convolve_backward(const Tensor& padded, const Tensor& filters, const Tensor& dy, Tensor& d_padded,
                       Tensor& d_filters, Tensor& d_bias) {
  const int64_t tokens = dy.size(1), channels = dy.size(2), width = filters.size(0);
  const T *in = padded.const_data_ptr<T>(), *w = filters.const_data_ptr<T>(), *g = dy.const_data_ptr<T>();
  T* __restrict__ d_in = d_padded.data_ptr<T>();
  T* __restrict__ dw = d_filters.data_ptr<T>();
  T* __restrict__ db = d_bias.data_ptr<T>();
  for (int64_t row = 0; row < dy.size(0) * tokens; ++row) {
    const int64_t place = (row / tokens * (tokens + width - 1) + row % tokens) * channels;
    const T* grad = g + row * channels;
    for (int64_t c = 0; c < channels; ++c) db[c] += grad[c];
    for (int64_t k = 0; k < width; ++k)
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t at = k * channels + c;
        d_in[place + at] += w[at] * grad[c];
        dw[at] += in[place + at] * grad[c];
      }
  }
}

class FusedConvolution : public torch::autograd::Function<FusedConvolution> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& padded, const Tensor& weight,
                        const Tensor& bias) {
    const auto in = padded.contiguous(), filters = weight.t().contiguous(), shift = bias.contiguous();
    auto y = at::empty({in.size(0), in.size(1) - filters.size(0) + 1, in.size(2)}, in.options());
    if (in.scalar_type() == at::kFloat)
      convolve_rows<float>(in, filters, shift, y);
    else
      convolve_rows<double>(in, filters, shift, y);
    ctx->save_for_backward({in, filters});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto dy = gradients[0].contiguous();
    auto d_padded = at::zeros_like(saved[0]), d_filters = at::zeros_like(saved[1]);
    auto d_bias = at::zeros({saved[1].size(1)}, dy.options());
    if (dy.scalar_type() == at::kFloat)
      convolve_backward<float>(saved[0], saved[1], dy, d_padded, d_filters, d_bias);
    else
      convolve_backward<double>(saved[0], saved[1], dy, d_padded, d_filters, d_bias);
    return {d_padded, d_filters.t(), d_bias};
  }
};

bool is_fused(const Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto type = x.scalar_type();
  return !ctx.mode.twice_differentiable && x.is_cpu() && (type == at::kFloat || type == at::kDouble) &&
         weight.scalar_type() == type && bias.defined() && bias.scalar_type() == type;
}

}  // namespace

DepthwiseConv::DepthwiseConv(Build& build, const LinearNeed& need, int64_t width)
    : LinearMap(build, need), width_(width) {
  if (need.in.size() != need.out.size())
    fail("{}: a depthwise convolution keeps its channels, found {} in and {} out", path(), need.in.size(),
         need.out.size());
  for (const auto& segment : need.out.segments)
    for (const auto& axis : segment) build.restrict(axis, Group::permute, "one filter for each channel");
  Rule rule = need.rule;
  rule.init = need.init;
  Dim out = need.out;
  out.writes = true;
  weight_ = own(build.param("weight", {out, Dim::plain(width)}, rule));
}

Tensor DepthwiseConv::convolve(Context& ctx, const Tensor& padded, int64_t tokens) const {
  const auto& weight = ctx.value(*weight_);
  const auto bias = bias_value(ctx, -1);
  if (is_fused(ctx, padded, weight, bias)) return FusedConvolution::apply(padded, weight, bias);
  const auto term = [&](int64_t k) { return padded.narrow(1, k, tokens); };
  auto y = bias.defined() ? at::addcmul(bias, term(0), weight.select(1, 0)) : term(0) * weight.select(1, 0);
  for (int64_t k = 1; k < width_; ++k) y = at::addcmul(y, term(k), weight.select(1, k));
  return y;
}

Tensor DepthwiseConv::product(Context& ctx, const Tensor& x, int64_t) {
  return convolve(ctx, at::constant_pad_nd(x, {0, 0, width_ - 1, 0}), x.size(1));
}

Tensor DepthwiseConv::after(Context& ctx, const Tensor& before, const Tensor& x) {
  const auto tapped = ctx.tap(input_tap(), x);
  const int64_t kept = std::min(before.size(1), width_ - 1);
  auto padded = at::cat({before.narrow(1, before.size(1) - kept, kept).to(x.scalar_type()), tapped}, 1);
  if (kept < width_ - 1) padded = at::constant_pad_nd(padded, {0, 0, width_ - 1 - kept, 0});
  return ctx.tap(output_tap(), convolve(ctx, padded, x.size(1)));
}

Tensor DepthwiseConv::window(const Tensor& before, const Tensor& x, const Tensor& counts) const {
  const auto all = before.defined() ? at::cat({before.to(x.scalar_type()), x}, 1)
                                    : at::constant_pad_nd(x, {0, 0, width_, 0});
  if (!counts.defined()) return all.narrow(1, x.size(1), width_).clone();
  const auto place = counts.unsqueeze(1) + at::arange(width_, counts.options()).unsqueeze(0);
  return all.gather(1, place.unsqueeze(-1).expand({x.size(0), width_, x.size(2)}));
}

Tensor DepthwiseConv::dense(Context&) {
  fail("{}: a convolution along tokens is no matrix over channels", path());
}

std::unique_ptr<DepthwiseConv> make_depthwise(const Build& build, const std::string& name, LinearNeed need,
                                              int64_t width) {
  const auto& table = build.inventory().spec.linear;
  if (table.contains(build.name(name)))
    fail("linear map of {}: a depthwise convolution has one representation, found {}", build.name(name),
         table[build.name(name)].dump());
  Build child = build.at(name);
  auto map = std::make_unique<DepthwiseConv>(child, need, width);
  build.inventory().maps.push_back(map.get());
  return map;
}

}  // namespace formwork
