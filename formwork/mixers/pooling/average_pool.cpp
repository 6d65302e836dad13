// Average pooling as a token mixer: y_t = mean of the real tokens at most (p - 1) / 2 away, minus x_t.
//
// The subtraction cancels the block's own residual. Stride 1; what lies outside counts neither in the sum nor
// in the divisor, so a constant stream gives exactly 0. Over one token dimension, or over two (height x
// width). Source: MetaFormer Is Actually What You Need for Vision (2022).
#include "formwork/mixers/token_mixer.h"

namespace formwork {
namespace {

class AveragePool final : public TokenMixer {
 public:
  struct Options {
    int64_t window = 3;
    bool subtract = true;
    void describe(Fields& f) {
      f.integer("window", window, "tokens of the window along each dimension, odd", 1, 1 << 20);
      f.flag("subtract", subtract, "subtract the token itself");
    }
  };

  AveragePool(Build& build, const Options& options) : options_(options), path_(build.path()) {
    if (options.window % 2 == 0) fail("{}: the window must be odd, found {}", path_, options.window);
    if (build.in.name != build.out.name)
      fail("{}: pooling keeps its channels, but reads axis '{}' and writes '{}'", path_, build.in.name,
           build.out.name);
    build.reads_input_directly();
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override {
    const auto mean =
        ctx.layout && ctx.layout->dims.size() > 1 ? over_plane(*ctx.layout, x) : over_line(ctx.layout, x);
    return options_.subtract ? mean - x : mean;
  }

 private:
  Tensor over_line(const Layout* layout, const Tensor& x) const {
    const int64_t p = options_.window;
    const auto pool = [&](const Tensor& t, bool count_padding) {
      return at::avg_pool1d(t.transpose(1, 2), {p}, {1}, {p / 2}, false, count_padding).transpose(1, 2);
    };
    const auto keep = layout ? layout->keep(x.size(1)) : Tensor();
    if (!keep.defined()) return pool(x, false);
    const auto weight = keep.unsqueeze(-1).to(x.scalar_type());
    // Both are divided by p; windows without a real token belong to padding.
    return pool(x * weight, true) / pool(weight, true).clamp_min(1 / static_cast<double>(p));
  }

  Tensor over_plane(const Layout& layout, const Tensor& x) const {
    if (layout.dims.size() != 2)
      fail("{}: pools over one or two token dimensions, found {}; choose one with 'along'", path_,
           layout.dims.size());
    if (layout.lengths.defined()) fail("{}: rows of unequal lengths have no height and width", path_);
    const int64_t p = options_.window;
    const auto plane = x.transpose(1, 2).unflatten(2, {layout.dims[0].size, layout.dims[1].size});
    return at::avg_pool2d(plane, {p, p}, {1, 1}, {p / 2, p / 2}, false, false).flatten(2).transpose(1, 2);
  }

  Options options_;
  std::string path_;
};

FORMWORK_PART(TokenMixer, AveragePool, "average_pool",
              "mean of the neighbours, minus the token (PoolFormer)");

}  // namespace
}  // namespace formwork
