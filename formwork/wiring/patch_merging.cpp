// Patch merging (Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
// 2021): four neighbours of a map become one token of the next stage, half as many each way and usually twice
// as wide,
//
//   y[i, j] = norm([x[2i, 2j], x[2i+1, 2j], x[2i, 2j+1], x[2i+1, 2j+1]]) W^T
//                                              x [B, H W, D], W [width, 4 D], y [B, H/2 W/2, width]
//
// The stream after it has an axis and a map of its own.
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

struct PatchMergingOptions {
  int64_t width = 0;
  PartSpec norm = "layer_norm";
  bool pad = false;
  void describe(Fields& f) {
    f.integer("width", width, "channels of the stream after it; 0: twice those before", 0, 1 << 20);
    f.part("norm", norm, "norms", "norm of four tokens as one", true);
    f.flag("pad", pad, "zeros right and below where a side is odd; off: refused");
  }
};

class MergeStep final : public Layer, public ChangesTokens {
 public:
  MergeStep(Build& build, const PatchMergingOptions& options, const Axis& out)
      : path_(build.path()), pad_(options.pad) {
    const char* reason = "channels of four neighbours form one axis";
    const Axis merged = build.axis("merged", 4 * build.in.size);
    build.restrict(build.in, Group::none, reason);
    build.restrict(merged, Group::none, reason);
    input_ = build.tap("in", build.in);
    LinearNeed need;
    need.role = Role::inner, need.in = merged, need.out = out, need.init = init::normal(0.02);
    if (options.norm) {
      Build child = build.at("norm");
      child.in = child.out = merged;
      norm_ = Registry<Norm>::make(child, options.norm);
      need.input = norm_->output_tap();
    }
    reduce_ = make_linear(build, "reduce", need);
    output_ = build.tap("out", out);
  }

  Tensor forward(Context& ctx, const Tensor& x) override {
    static const Layout none;
    const auto [height, width] = sides(ctx.layout ? *ctx.layout : none);
    auto map = ctx.tap(input_, x).unflatten(1, {height, width});
    if (height % 2 || width % 2) map = at::constant_pad_nd(map, {0, 0, 0, width % 2, 0, height % 2});
    // [B, H/2, row, W/2, column, D]: of the four, rows change first.
    auto four = map.unflatten(2, {-1, 2}).unflatten(1, {-1, 2}).permute({0, 1, 3, 4, 2, 5});
    auto merged = four.flatten(3).flatten(1, 2);
    if (norm_) merged = norm_->forward(ctx, merged);
    return ctx.tap(output_, reduce_->forward(ctx, merged));
  }

  Layout after(const Layout& before) const override {
    const auto [height, width] = sides(before);
    auto layout = before;
    layout.dims = {{before.dims[0].name, (height + 1) / 2}, {before.dims[1].name, (width + 1) / 2}};
    return layout;
  }

 private:
  // Height and width of a map, checked.
  std::pair<int64_t, int64_t> sides(const Layout& layout) const {
    if (layout.dims.size() != 2 || layout.lengths.defined())
      fail("{}: merges patches of a map of height x width, found {}", path_,
           layout.dims.size() == 2
               ? "rows of unequal lengths"
               : fmt::format("{} token dimensions", std::max<size_t>(1, layout.dims.size())));
    const int64_t height = layout.dims[0].size, width = layout.dims[1].size;
    if (!pad_ && (height % 2 || width % 2))
      fail("{}: expected a map of even sides, found {} x {}; an image of another size, or pad", path_, height,
           width);
    return {height, width};
  }

  std::string path_;
  bool pad_;
  std::unique_ptr<Norm> norm_;
  std::unique_ptr<LinearMap> reduce_;
  Slot input_, output_;
};

class PatchMerging final : public Wiring {
 public:
  using Options = PatchMergingOptions;

  PatchMerging(Build& build, const Options& options) : out_(build.in) {
    Build child = build.at("merge");
    if (!child.resolve("merge")) return;  // left out by the Spec
    out_ = build.stream(build.name("stream"), options.width ? options.width : 2 * build.in.asked());
    step_ = std::make_unique<MergeStep>(child, options, out_);
    child.register_part(*step_);
    name_ = child.path();
  }
  std::vector<Step> steps() override {
    if (!step_) return {};
    return {{step_.get(), name_, 0, step_.get()}};
  }
  Axis out() const override { return out_; }

 private:
  Axis out_;
  std::unique_ptr<MergeStep> step_;
  std::string name_;
};

FORMWORK_PART(Wiring, PatchMerging, "patch_merging", "four neighbours of a map become one token");

}  // namespace
}  // namespace formwork
