#include "formwork/linear/conv/convolution.h"

#include <ATen/core/grad_mode.h>

#include "formwork/linear/stored.h"

namespace formwork {

Convolution::Convolution(Build& build, const LinearNeed& need, Window window)
    : LinearMap(build, need), window_(std::move(window)) {
  require_single(build, need, "conv");
  const size_t dims = window_.kernel.size();
  if (dims < 1 || dims > 3) fail("{}: a convolution has 1 to 3 token dimensions, found {}", path(), dims);
  const auto complete = [&](std::vector<int64_t>& list, int64_t otherwise, int64_t low, const char* what) {
    if (list.empty()) list.assign(dims, otherwise);
    if (list.size() != dims || std::any_of(list.begin(), list.end(), [&](int64_t v) { return v < low; }))
      fail("{}: {} must be {} numbers from {}, found [{}]", path(), what, dims, low, fmt::join(list, ", "));
  };
  complete(window_.kernel, 1, 1, "kernel");
  complete(window_.stride, 1, 1, "stride");
  complete(window_.padding, 0, 0, "padding");
  complete(window_.dilation, 1, 1, "dilation");
  if (window_.groups < 1 || in() % window_.groups || out() % window_.groups)
    fail("{}: {} groups do not divide {} channels in and {} out", path(), window_.groups, in(), out());
  for (const int64_t width : window_.kernel) places_ *= width;
  if (window_.groups > 1)
    for (const auto& dim : {need.in, need.out})
      restrict_axes(build, dim, Group::none, "each channel belongs to its group of a convolution");
}

std::vector<int64_t> Convolution::kernel_shape(int64_t channels) const {
  std::vector<int64_t> shape = {channels, in() / window_.groups};
  shape.insert(shape.end(), window_.kernel.begin(), window_.kernel.end());
  return shape;
}

Tensor Convolution::kernel() {
  const at::NoGradGuard guard;
  Context ctx;
  return kernel(ctx).detach();
}

Tensor Convolution::dense(Context&) {
  fail("{}: a convolution along tokens is no matrix over channels", path());
}

Param* Convolution::kernel_param(Build& build, const std::string& name, const Dim& out, const Rule& rule) {
  Dim written = out;
  written.writes = true;
  std::vector<Dim> dims = {written, window_.groups > 1 ? Dim::plain(in() / window_.groups) : Dim(need().in)};
  for (const int64_t width : window_.kernel) dims.push_back(Dim::plain(width));
  return own(build.param(name, dims, rule));
}

Tensor Convolution::convolve(const Tensor& x, const Tensor& weight, const Tensor& bias) const {
  const auto dims = static_cast<int64_t>(window_.kernel.size());
  if (x.dim() != dims + 2)
    fail("{}: expected [B, {} token dimensions, C], found {} dimensions", path(), dims, x.dim());
  const std::vector<int64_t> none(window_.kernel.size(), 0);
  const auto y =
      at::convolution(x.movedim(-1, 1), weight, bias.defined() ? std::optional<Tensor>(bias) : std::nullopt,
                      window_.stride, window_.padding, window_.dilation, false, none, window_.groups);
  return y.movedim(1, -1);
}

namespace {

class FullConvolution final : public Convolution {
 public:
  FullConvolution(Build& build, const LinearNeed& need, const Window& window)
      : Convolution(build, need, window) {
    Rule rule = need.rule;
    rule.init = need.init;
    weight_ = kernel_param(build, "weight", need.out, rule);
  }
  Tensor kernel(Context& ctx) override { return ctx.value(*weight_); }
  double flops() const override { return 2.0 * static_cast<double>(fan_in() * out()); }
  std::string type() const override { return "conv"; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t) override {
    return convolve(x, ctx.value(*weight_), bias_value(ctx, -1));
  }

 private:
  Param* weight_;
};

class Ced final : public Convolution {
 public:
  struct Options {
    int64_t rank = 8;
    void describe(Fields& f) { f.integer("rank", rank, "channels between the two convolutions", 1); }
  };

  Ced(Build& build, const LinearNeed& need, const Window& window, const Options& options)
      : Convolution(build, need, window) {
    const Axis rank = build.axis("rank", options.rank);
    rank_ = rank.size;
    if (rank_ % window.groups) fail("{}: rank {} is no multiple of {} groups", path(), rank_, window.groups);
    if (window.groups > 1) build.restrict(rank, Group::none, "each channel belongs to its group");
    Rule rule = need.rule;
    rule.init = init::fan_in_uniform();
    Dim out = need.out;
    out.writes = true;
    a_ = kernel_param(build, "a", rank, rule);
    b_ = own(build.param("b", {out, Dim(rank)}, rule));
  }

  Tensor kernel(Context& ctx) override {  // each output reads the rank channels of every group
    const auto a = ctx.value(*a_).flatten(1), b = ctx.value(*b_);
    const int64_t groups = window().groups;
    if (groups == 1) return b.matmul(a).view(kernel_shape(out()));
    const auto own = group_block(b);  // [g, C' / g, r / g]
    if (!at::block_diag(own.unbind(0)).equal(b))
      fail("{}: the 1 x 1 convolution mixes groups, so the two are no one grouped convolution", path());
    return own.matmul(a.unflatten(0, {groups, rank_ / groups})).flatten(0, 1).view(kernel_shape(out()));
  }
  double flops() const override { return 2.0 * static_cast<double>(rank_ * (fan_in() + out())); }
  std::string type() const override { return "ced"; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t) override {
    return at::linear(convolve(x, ctx.value(*a_), {}), ctx.value(*b_), bias_value(ctx, -1));
  }

 private:
  // The diagonal blocks of B.
  Tensor group_block(const Tensor& b) const {
    const int64_t groups = window().groups;
    const auto blocks = b.unflatten(1, {groups, rank_ / groups}).unflatten(0, {groups, out() / groups});
    return blocks.diagonal(0, 0, 2).movedim(-1, 0);
  }
  int64_t rank_;
  Param *a_, *b_;
};

bool is_window(const PartSpec& spec) { return spec.type == "conv" || spec.type == "ced"; }

}  // namespace

std::unique_ptr<Convolution> make_convolution(const Build& build, const std::string& name, LinearNeed need,
                                              const Window& window) {
  const auto& table = build.inventory().spec.linear;
  const auto where = build.name(name);
  const Json* entry = lookup(table, where);
  PartSpec spec = entry ? PartSpec::from_json(*entry, "linear map of " + where) : PartSpec("conv");
  if (!is_window(spec)) {
    if (table.contains(where)) fail_unknown(where + ": convolution", spec.type, {"conv", "ced"});
    spec = PartSpec("conv");
  }
  need.bias = spec.options.value("bias", need.bias);
  spec.options.erase("bias");
  Build child = build.at(name);
  std::unique_ptr<Convolution> map;
  if (spec.type == "ced") {
    map = std::make_unique<Ced>(child, need, window, parse_options<Ced::Options>(spec.options, where));
  } else {
    if (!spec.options.empty()) fail("{}: a plain convolution has no options but bias", where);
    map = std::make_unique<FullConvolution>(child, need, window);
  }
  build.inventory().maps.push_back(map.get());
  return map;
}

}  // namespace formwork
