// Patch stem (Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021): an image is cut into patches of p x
// q pixels, and each becomes a token, row by row:
//
//   x = norm(conv(pixel_values)),   conv with kernel and stride p x q and a bias
//   y = [class, distillation, x_1 .. x_N] + positions           pixels [B, C, H, W], y [B, T, D]
//
// The class token, the distillation token (Touvron et al., "Training data-efficient image transformers",
// DeiT, 2021), the norm (Liu et al., "Swin Transformer", 2021) and the positions, a vector for each place of
// the map and each extra token, may each be left out. Images of another size than the positions were made for
// are refused, unless the field interpolate_pos_encoding is true: then those of the patches are interpolated
// by cubic splines to the other map. Where no token comes before them, the patches are a map of height x
// width.
#include "formwork/linear/conv/convolution.h"
#include "formwork/norms/norm.h"
#include "formwork/stems/stem.h"

namespace formwork {

FORMWORK_KIND(Stem);

namespace {

constexpr const char* kPixels = "pixel_values";
constexpr const char* kInterpolate = "interpolate_pos_encoding";

class PatchStem final : public Stem {
 public:
  struct Options {
    int64_t channels = 3, image = 224, image_width = 0, patch = 16, patch_width = 0;
    bool class_token = true, distillation_token = false, positions = true, pad = false;
    PartSpec norm;
    double dropout = 0, std = 0.02;
    void describe(Fields& f) {
      f.integer("channels", channels, "channels of a pixel", 1, 1 << 16);
      f.integer("image", image, "pixels of the image's height, which positions are made for", 1, 1 << 20);
      f.integer("image_width", image_width, "the same of its width; 0: as high", 0, 1 << 20);
      f.integer("patch", patch, "pixels of a patch's height", 1, 1 << 16);
      f.integer("patch_width", patch_width, "the same of its width; 0: as high", 0, 1 << 16);
      f.flag("class_token", class_token, "a learned token before the patches, which stands for the image");
      f.flag("distillation_token", distillation_token, "another, which learns what a teacher says");
      f.flag("positions", positions, "a learned vector for each token, added to it");
      f.flag("pad", pad, "zeros right and below where patches do not divide the image; off: refused");
      f.part("norm", norm, "norms", "norm of each patch's token", true);
      f.number("dropout", dropout, "dropout on the tokens", 0, 1);
      f.number("std", std, "standard deviation of tokens and positions at initialization", 0, 10);
    }
  };

  PatchStem(Build& build, const Options& options)
      : options_(options),
        path_(build.path()),
        image_{options.image, options.image_width ? options.image_width : options.image},
        patch_{options.patch, options.patch_width ? options.patch_width : options.patch} {
    if (options.positions && !options.pad && (image_.height % patch_.height || image_.width % patch_.width))
      fail("{}: an image of {} is not divisible into patches of {}; choose image or patch", path_,
           image_.text(), patch_.text());
    Window window;
    window.kernel = window.stride = {patch_.height, patch_.width};
    LinearNeed need;
    need.role = Role::conv, need.in = Dim::plain(options.channels), need.out = build.out, need.bias = true;
    projection_ = make_convolution(build, "projection", need, window);
    if (options.norm) {
      Build child = build.at("norm");
      child.in = child.out = build.out;
      norm_ = Registry<Norm>::make(child, options.norm);
    }
    Rule rule;
    rule.init = init::truncated_normal(options.std);
    rule.decay = false;
    Dim width = build.out;
    width.writes = true;
    if (options.class_token) extra_.push_back(build.param("class_token", {width}, rule));
    if (options.distillation_token) extra_.push_back(build.param("distillation_token", {width}, rule));
    const int64_t tokens = extra_tokens() + map_of(image_).height * map_of(image_).width;
    if (options.positions) positions_ = build.param("positions", {Dim::plain(tokens), width}, rule);
    output_ = build.tap("out", build.out);
  }

  std::vector<std::string> fields() const override { return {kPixels, kInterpolate}; }

  Stream start(Context& ctx, const Record& in) override {
    const auto pixels = padded(read(in));
    auto x = projection_->forward(ctx, pixels.movedim(1, -1));  // [B, h, w, D]
    const Sides map{x.size(1), x.size(2)};
    x = x.flatten(1, 2);
    if (norm_) x = norm_->forward(ctx, x);
    x = after_extra_tokens(ctx, x);
    if (positions_) x = x + positions(ctx, map);
    x = ctx.tap(output_, ctx.dropout(path_ + ".dropout", x, options_.dropout));
    Layout layout;
    if (extra_.empty()) layout.dims = {{"height", map.height}, {"width", map.width}};
    return {x, layout, nullptr};
  }

 private:
  struct Sides {
    int64_t height, width;
    bool operator==(const Sides&) const = default;
    std::string text() const { return fmt::format("{} x {} pixels", height, width); }
  };

  int64_t extra_tokens() const { return static_cast<int64_t>(extra_.size()); }
  // Patches of an image; those that are cut off count.
  Sides map_of(const Sides& image) const {
    return {(image.height + patch_.height - 1) / patch_.height,
            (image.width + patch_.width - 1) / patch_.width};
  }

  // The pixels, checked.
  Tensor read(const Record& in) const {
    const auto found = in.find(kPixels);
    if (found == in.end()) fail("input '{}' is missing", kPixels);
    const auto& pixels = found->second;
    if (pixels.dim() != 4 || pixels.size(1) != options_.channels || !pixels.is_floating_point())
      fail("input '{}': expected [B, {}, H, W] of floating-point numbers, found [{}] of {}", kPixels,
           options_.channels, fmt::join(pixels.sizes().vec(), ", "), c10::toString(pixels.scalar_type()));
    const Sides image{pixels.size(2), pixels.size(3)};
    const bool divided = image.height % patch_.height == 0 && image.width % patch_.width == 0;
    if (image.height < 1 || image.width < 1 || (!divided && !options_.pad))
      fail("input '{}': expected images of whole patches of {}, found {}", kPixels, patch_.text(),
           image.text());
    if (positions_ && !(map_of(image) == map_of(image_)) && !wants_interpolation(in))
      fail("input '{}': expected images of {}, found {}; with '{}' true the positions are interpolated",
           kPixels, image_.text(), image.text(), kInterpolate);
    return pixels;
  }

  static bool wants_interpolation(const Record& in) {
    const auto found = in.find(kInterpolate);
    if (found == in.end()) return false;
    if (found->second.numel() != 1)
      fail("input '{}': expected one truth value, found [{}]", kInterpolate,
           fmt::join(found->second.sizes().vec(), ", "));
    return found->second.ne(0).item<bool>();
  }

  Tensor padded(const Tensor& pixels) const {
    const auto rest = [](int64_t size, int64_t side) { return (side - size % side) % side; };
    const int64_t below = rest(pixels.size(2), patch_.height), right = rest(pixels.size(3), patch_.width);
    return below || right ? at::constant_pad_nd(pixels, {0, right, 0, below}) : pixels;
  }

  Tensor after_extra_tokens(Context& ctx, const Tensor& x) const {
    if (extra_.empty()) return x;
    std::vector<Tensor> tokens;
    for (const Param* token : extra_)
      tokens.push_back(ctx.value(*token).expand({x.size(0), 1, x.size(2)}).to(x.scalar_type()));
    tokens.push_back(x);
    return at::cat(tokens, 1);
  }

  // [T, D] for a map of patches.
  Tensor positions(Context& ctx, const Sides& map) const {
    const auto& table = ctx.value(*positions_);
    const auto own = map_of(image_);
    if (map == own) return table;
    const auto grid = table.narrow(0, extra_tokens(), own.height * own.width)
                          .view({1, own.height, own.width, -1})
                          .permute({0, 3, 1, 2});
    const auto other = at::upsample_bicubic2d(grid, {map.height, map.width}, /*align_corners=*/false);
    return at::cat({table.narrow(0, 0, extra_tokens()), other.permute({0, 2, 3, 1}).flatten(0, 2)}, 0);
  }

  Options options_;
  std::string path_;
  Sides image_, patch_;
  std::unique_ptr<Convolution> projection_;
  std::unique_ptr<Norm> norm_;
  std::vector<Param*> extra_;  // tokens before the patches
  Param* positions_ = nullptr;
  Slot output_;
};

FORMWORK_PART(Stem, PatchStem, "patch", "patches of an image become tokens");

}  // namespace
}  // namespace formwork
