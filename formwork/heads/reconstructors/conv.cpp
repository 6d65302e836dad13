// InfoPro's decoder (Wang et al., 2021): the map is resized to the target's by bilinear interpolation,
// corners on corners, and read by two convolutions of 3 x 3,
//
//   y = conv(relu(batch_norm(conv(resize(x)))))        x [B, h w, C], 12 widen channels between, y [B, h' w',
//   C']
//
// All C channels are resized, so it takes (h' w') / (h w) times the module's output in memory.
#include "formwork/activations/activation.h"
#include "formwork/heads/reconstructors/reconstructor.h"
#include "formwork/linear/conv/convolution.h"
#include "formwork/norms/norm.h"

namespace formwork {
namespace {

constexpr int64_t kConvReconstructorWidth = 12;

class ConvReconstructor final : public Reconstructor {
 public:
  struct Options {
    double widen = 1;
    void describe(Fields& f) { f.number("widen", widen, "factor on the 12 channels between", 0.1, 1024); }
  };

  ConvReconstructor(Build& build, const Enlargement&, const Options& options) : path_(build.path()) {
    const auto channels = static_cast<int64_t>(kConvReconstructorWidth * options.widen);
    const Axis inner = build.axis("inner", channels, Group::permute);
    Window window;
    window.kernel = {3, 3}, window.padding = {1, 1};
    LinearNeed need;
    need.role = Role::conv, need.in = build.in, need.out = inner, need.bias = true;
    first_ = make_convolution(build, "first", need, window);
    Build norm = build.at("norm");
    norm.in = norm.out = inner;
    norm_ = Registry<Norm>::make(norm, "batch_norm");
    Build activation = build.at("activation");
    activation_ = Registry<Activation>::make(activation, "relu");
    need.in = inner, need.out = build.out;
    second_ = make_convolution(build, "second", need, window);
  }
  Traits traits() const override { return norm_->traits(); }

  Tensor forward(Context& ctx, const Tensor& x, const Layout& target) override {
    const auto [height, width] = map_sides(ctx.layout, path_);
    const auto [rows, columns] = map_sides(&target, path_);
    auto map = x.unflatten(1, {height, width});
    if (rows != height || columns != width)
      map =
          at::upsample_bilinear2d(map.movedim(-1, 1), {rows, columns}, /*align_corners=*/true).movedim(1, -1);
    const auto inner = activation_->forward(ctx, norm_->forward(ctx, first_->forward(ctx, map)));
    return second_->forward(ctx, inner).flatten(1, 2);
  }

 private:
  std::string path_;
  std::unique_ptr<Convolution> first_, second_;
  std::unique_ptr<Norm> norm_;
  std::unique_ptr<Activation> activation_;
};

FORMWORK_PART(Reconstructor, ConvReconstructor, "conv", "a bilinear resize and two convolutions (InfoPro)");

}  // namespace
}  // namespace formwork
