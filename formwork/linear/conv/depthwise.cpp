#include "formwork/linear/conv/depthwise.h"

namespace formwork {

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
  // Channels stay innermost: K multiply-adds over whole tokens, no transposition.
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
