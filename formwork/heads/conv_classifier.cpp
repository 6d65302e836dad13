// InfoPro's auxiliary classifier (Wang et al., "Revisiting Locally Supervised Learning", 2021): a map, or a
// row of tokens, is read by convolutions of width 3, averaged, and read by linear maps,
//
//   c = relu(batch_norm(conv(norm(x)))), `convs` times;   y = W_n relu(.. relu(W_1 mean(c) + b_1) ..) + b_n
//
// x [B, T, D], y [B, classes] (field "logits"), or [B, features] scaled to unit length (field "embedding").
// The first convolution has stride 2 and gives 2 D channels, in the last stage of a pyramid stride 1 and D;
// further ones keep both. `1c2f` of the paper is one convolution and two maps, `0c1f` a pooled linear map.
#include "formwork/activations/activation.h"
#include "formwork/heads/head.h"
#include "formwork/heads/pool.h"
#include "formwork/linear/conv/convolution.h"
#include "formwork/norms/norm.h"

namespace formwork {
namespace {

class ConvClassifier final : public Head {
 public:
  struct Options {
    int64_t classes = 2, dimensions = 2, convs = 1, linears = 2, features = 128;
    double widen = 1;
    bool last_stage = false, embedding = false;
    PartSpec norm = "layer_norm";
    void describe(Fields& f) {
      f.integer("classes", classes, "number of classes", 1);
      f.integer("dimensions", dimensions, "token dimensions: 2 for height x width, or 1", 1, 2);
      f.integer("convs", convs, "convolutions; 0: none, the tokens are pooled as they are", 0, 8);
      f.integer("linears", linears, "linear maps of the pooled row", 1, 8);
      f.integer("features", features, "channels between them, and of an embedding", 1, 1 << 16);
      f.number("widen", widen, "factor on the channels of convolutions and between maps", 0.01, 1024);
      f.flag("last_stage", last_stage, "the first convolution keeps the map and its channels");
      f.flag("embedding", embedding, "a unit vector instead of logits");
      f.part("norm", norm, "norms", "norm of the tokens before it", true);
    }
  };

  ConvClassifier(Build& build, const Options& options) : options_(options), path_(build.path()) {
    Slot input = build.input;
    if (options.norm) {
      Build child = build.at("norm");
      child.in = child.out = build.in;
      norm_ = Registry<Norm>::make(child, options.norm);
      input = norm_->output_tap();
      build.reads_input_directly();
    }
    Axis axis = build.in;
    for (int64_t i = 0; i < options.convs; ++i) {
      convs_.push_back(make_conv(build, i, axis, input));
      axis = convs_.back().out, input = -1;
    }
    make_maps(build, axis, input);
  }
  bool per_token(const std::string&) const override { return false; }
  Traits traits() const override { return convs_.empty() ? Traits() : convs_[0].norm->traits(); }

  void forward(Context& ctx, const Tensor& x, Record& out) override {
    auto tokens = norm_ ? norm_->forward(ctx, x) : x;
    auto layout = ctx.layout ? *ctx.layout : Layout();
    for (size_t i = 0; i < convs_.size(); ++i) tokens = convolve(ctx, convs_[i], tokens, layout);
    const LayoutScope scope(ctx, layout);
    auto row = pool(ctx, tokens, "mean");
    for (size_t i = 0; i < maps_.size(); ++i) {
      row = maps_[i]->forward(ctx, row);
      if (i + 1 < maps_.size()) row = activations_[i]->forward(ctx, row);
    }
    if (options_.embedding)
      out["embedding"] = row / row.norm(2, -1, true).clamp_min(1e-12);
    else
      out["logits"] = row;
  }

 private:
  struct Conv {
    std::unique_ptr<Convolution> map;
    std::unique_ptr<Norm> norm;
    std::unique_ptr<Activation> activation;
    Axis out;
    int64_t stride = 1;
  };

  int64_t widened(int64_t channels) const {
    return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(channels) * options_.widen));
  }

  Conv make_conv(const Build& build, int64_t index, const Axis& in, Slot input) const {
    Conv conv;
    const bool first = index == 0, smaller = first && !options_.last_stage;
    conv.stride = smaller ? 2 : 1;
    const int64_t channels = first ? widened(smaller ? 2 * in.asked() : in.asked()) : in.asked();
    Build child = build.at(fmt::format("convs.{}", index));
    conv.out = child.axis("channels", channels, Group::permute);
    const auto each = [&](int64_t value) {
      return std::vector<int64_t>(static_cast<size_t>(options_.dimensions), value);
    };
    Window window;
    window.kernel = each(3), window.padding = each(1), window.stride = each(conv.stride);
    LinearNeed need;
    need.role = Role::conv, need.in = in, need.out = conv.out, need.input = input;
    conv.map = make_convolution(child, "map", need, window);
    Build norm = child.at("norm"), activation = child.at("activation");
    norm.in = norm.out = conv.out;
    conv.norm = Registry<Norm>::make(norm, "batch_norm");
    conv.activation = Registry<Activation>::make(activation, "relu");
    return conv;
  }

  void make_maps(const Build& build, Axis axis, Slot input) {
    for (int64_t i = 0; i < options_.linears; ++i) {
      Build child = build.at(fmt::format("maps.{}", i));
      const bool last = i + 1 == options_.linears;
      LinearNeed need;
      need.role = Role::head, need.in = axis, need.input = input, need.bias = true;
      axis = !last                ? child.axis("hidden", widened(options_.features), Group::permute)
             : options_.embedding ? child.axis("features", options_.features, Group::none)
                                  : build.axis("classes", options_.classes, Group::none);
      need.out = axis;
      maps_.push_back(make_linear(child, "map", need));
      input = -1;
      if (last) break;
      Build activation = child.at("activation");
      activations_.push_back(Registry<Activation>::make(activation, "relu"));
    }
  }

  // The tokens after a convolution, and what they then mean.
  Tensor convolve(Context& ctx, const Conv& conv, const Tensor& x, Layout& layout) const {
    const auto sides = sides_of(layout, x.size(1));
    const auto keep = layout.keep(x.size(1));
    const auto real = keep.defined() ? x.masked_fill(keep.logical_not().unsqueeze(-1), 0) : x;
    const auto y = conv.map->forward(ctx, real.unflatten(1, sides));
    for (size_t d = 0; d < layout.dims.size(); ++d) layout.dims[d].size = y.size(static_cast<int64_t>(d) + 1);
    if (layout.lengths.defined())
      layout.lengths = (layout.lengths + (conv.stride - 1)).div(conv.stride, "floor");
    const LayoutScope scope(ctx, layout);
    return conv.activation->forward(ctx, conv.norm->forward(ctx, y.flatten(1, options_.dimensions)));
  }

  // The sizes of the token dimensions, checked.
  std::vector<int64_t> sides_of(const Layout& layout, int64_t tokens) const {
    std::vector<int64_t> sides;
    for (const auto& dim : layout.dims) sides.push_back(dim.size);
    if (sides.empty()) sides = {tokens};
    const auto dims = static_cast<int64_t>(sides.size());
    if (dims != options_.dimensions || layout.packed() || (dims > 1 && layout.lengths.defined()))
      fail("{}: expected {}, found {}; set dimensions", path_,
           options_.dimensions == 2 ? "a map of height x width" : "rows of tokens",
           layout.packed() ? "packed rows" : fmt::format("{} token dimensions", dims));
    return sides;
  }

  Options options_;
  std::string path_;
  std::unique_ptr<Norm> norm_;
  std::vector<Conv> convs_;
  std::vector<std::unique_ptr<LinearMap>> maps_;
  std::vector<std::unique_ptr<Activation>> activations_;
};

FORMWORK_PART(Head, ConvClassifier, "conv_classifier",
              "class logits or a unit vector by convolutions and a pooled row (InfoPro)");

}  // namespace
}  // namespace formwork
