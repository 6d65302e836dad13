// Convolution as a token mixer: each token is a learned mix of its neighbours, as many before as after it,
// y_p = bias + sum_k W_k x_{p + (k - (K - 1) / 2) dilation}, x [B, T, D], zeros outside (LeCun et al., 1989).
//
// Over one token dimension, or over two (height x width). It looks at later tokens, so causal models refuse
// it. Its map is a convolution, which can be represented by two thin ones ("ced").
#include "formwork/linear/conv/convolution.h"

#include "formwork/mixers/token_mixer.h"

namespace formwork {
namespace {

class ConvolutionMixer final : public TokenMixer {
 public:
  struct Options {
    int64_t kernel = 3, dimensions = 1, dilation = 1, groups = 1;
    bool bias = true;
    void describe(Fields& f) {
      f.integer("kernel", kernel, "tokens of the window along each dimension, odd", 1, 1 << 16);
      f.integer("dimensions", dimensions, "token dimensions: 1, or 2 for height x width", 1, 2);
      f.integer("dilation", dilation, "distance between the tokens of the window", 1, 1 << 16);
      f.integer("groups", groups, "groups of channels that do not see each other", 1, 1 << 20);
      f.flag("bias", bias, "bias on the output");
    }
  };

  ConvolutionMixer(Build& build, const Options& options) : options_(options), path_(build.path()) {
    if (options.kernel % 2 == 0) fail("{}: the kernel must be odd, found {}", path_, options.kernel);
    const auto each = [&](int64_t value) {
      return std::vector<int64_t>(static_cast<size_t>(options.dimensions), value);
    };
    Window window;
    window.kernel = each(options.kernel), window.dilation = each(options.dilation);
    window.padding = each(options.kernel / 2 * options.dilation), window.groups = options.groups;
    LinearNeed need;
    need.role = Role::conv, need.in = build.in, need.out = build.out, need.bias = options.bias;
    need.input = build.input;
    map_ = make_convolution(build, "map", need, window);
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override {
    const auto keep = ctx.layout ? ctx.layout->keep(x.size(1)) : Tensor();
    const auto real = keep.defined() ? x.masked_fill(keep.logical_not().unsqueeze(-1), 0) : x;
    return map_->forward(ctx, real.unflatten(1, plane(ctx, x.size(1)))).flatten(1, options_.dimensions);
  }

 private:
  // The sizes of the token dimensions.
  std::vector<int64_t> plane(const Context& ctx, int64_t tokens) const {
    std::vector<int64_t> sizes;
    if (ctx.layout)
      for (const auto& dim : ctx.layout->dims) sizes.push_back(dim.size);
    if (sizes.empty()) sizes = {tokens};
    if (static_cast<int64_t>(sizes.size()) != options_.dimensions)
      fail("{}: mixes over {} token dimensions, found {}; choose one with 'along'", path_,
           options_.dimensions, sizes.size());
    return sizes;
  }

  Options options_;
  std::string path_;
  std::unique_ptr<Convolution> map_;
};

FORMWORK_PART(TokenMixer, ConvolutionMixer, "convolution", "a learned mix of each token's neighbours");

}  // namespace
}  // namespace formwork
