// Window MLP (Liu et al., "Swin Transformer", Swin-MLP, 2021): in each window of M x M tokens one map mixes
// the tokens, the same for all channels of a group,
//
//   y[i, c] = sum_j W_g[i, j] x[j, c] + b_g[i],   g the group of channel c
//                                                 x [B, H W, D], W [groups, M^2, M^2]
//
// The maps are made for whole windows, so a map of tokens has sides of M at least; with a side of M windows
// do not shift. A shift by s pads zeros, M - s above and left and s below and right, which gives one more
// window each way; nothing turns. Over one token dimension windows are M tokens.
#include "formwork/linear/grouped.h"
#include "formwork/mixers/attention/windows.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {
namespace {

class WindowMlp final : public TokenMixer, public CostFacet {
 public:
  struct Options {
    int64_t groups = 4, window = 7, shift = 0, dimensions = 2;
    bool pad = false, bias = true;
    void describe(Fields& f) {
      f.integer("groups", groups, "groups of channels, each with a map of its own", 1, 4096);
      f.integer("window", window, "tokens of a window along each dimension", 1, 256);
      f.integer("shift", shift, "tokens that the windows are shifted by, less than window", 0, 255);
      f.integer("dimensions", dimensions, "token dimensions: 2 for height x width, or 1", 1, 2);
      f.flag("pad", pad, "zeros right and below where windows do not divide the map; off: refused");
      f.flag("bias", bias, "a bias for each group and token of a window");
    }
  };

  WindowMlp(Build& build, const Options& options) : options_(options), path_(build.path()) {
    if (options.shift >= options.window)
      fail("{}: expected a shift less than the window of {}, found {}", path_, options.window, options.shift);
    if (build.in.asked() % options.groups)
      fail("{}: width {} is not divisible into {} groups", path_, build.in.asked(), options.groups);
    if (build.in.name != build.out.name)
      fail("{}: mixes tokens and keeps its channels, but reads axis '{}' and writes '{}'", path_,
           build.in.name, build.out.name);
    channels_ = build.in.size;
    side_ = {options.dimensions == 2 ? options.window : 1, options.window};
    const Dim tokens = Dim::plain(side_[0] * side_[1]);
    LinearNeed need;
    need.role = Role::inner, need.in = need.out = tokens, need.bias = options.bias;
    need.bank = build.axis("groups", options.groups, Group::none);
    need.init = init::truncated_normal(0.02);
    map_ = make_linear(build, "map", need);
    build.restrict(build.in, Group::none, "each channel belongs to its group of a map over tokens");
    build.reads_input_directly();
  }

  // A token of each channel takes a row of a matrix, of which the map counts one for each token.
  double flops_per_token(int64_t) const override {
    const int64_t row = side_[0] * side_[1];
    return 2.0 * static_cast<double>(row * (channels_ - row));
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override {
    const auto map = map_of_tokens(ctx, x.size(1), options_.dimensions, path_);
    const auto before = zeros_before(map);
    const auto cut = windows_of(map, before, x.device());
    const auto& whole = cut->windows().map;
    auto tokens = x;
    if (whole != map)
      tokens = at::constant_pad_nd(
                   x.unflatten(1, {map[0], map[1]}),
                   {0, 0, before[1], whole[1] - map[1] - before[1], before[0], whole[0] - map[0] - before[0]})
                   .flatten(1, 2);
    const auto y = cut->join(mix_windows(ctx, cut->cut(tokens)));
    if (whole == map) return y;
    return y.view({-1, whole[0], whole[1], x.size(2)})
        .narrow(1, before[0], map[0])
        .narrow(2, before[1], map[1])
        .flatten(1, 2);
  }

 private:
  // Zeros above and left that shift the windows.
  Windows::Sides zeros_before(const Windows::Sides& map) const {
    const bool line = options_.dimensions == 1;
    const int64_t shortest = line ? map[1] : std::min(map[0], map[1]);
    if (shortest < options_.window)
      fail("{}: expected a map with sides of at least the window of {} tokens, found {} x {}", path_,
           options_.window, map[0], map[1]);
    const bool shifts = options_.shift > 0 && shortest > options_.window;
    const int64_t zeros = shifts ? options_.window - options_.shift : 0;
    return {line ? 0 : zeros, zeros};
  }

  // Of the map with the zeros around it.
  std::shared_ptr<const WindowCut> windows_of(const Windows::Sides& map, const Windows::Sides& before,
                                              at::Device device) {
    Windows windows{map, side_, {0, 0}};
    if (!options_.pad && !windows.divide())
      fail("{}: expected a map of whole windows of {} x {} tokens, found {} x {}; another size, or pad",
           path_, side_[0], side_[1], map[0], map[1]);
    for (size_t d = 0; d < 2; ++d)
      if (before[d] > 0) windows.map[d] += options_.window;
    return cache_.get(windows, side_, device);
  }

  // [n, L, C]: every channel's tokens are a row of its group's matrix.
  Tensor mix_windows(Context& ctx, const Tensor& windows) {
    const int64_t n = windows.size(0), groups = options_.groups, each = windows.size(2) / groups;
    const auto rows = windows.unflatten(2, {groups, each}).permute({2, 0, 3, 1}).flatten(0, 2);
    const std::vector<int64_t> counts(static_cast<size_t>(groups), n * each);
    return grouped_forward(ctx, *map_, rows, counts)
        .view({groups, n, each, -1})
        .permute({1, 3, 0, 2})
        .flatten(2);
  }

  Options options_;
  std::string path_;
  int64_t channels_;
  Windows::Sides side_;
  std::unique_ptr<LinearMap> map_;
  WindowCache cache_;
};

FORMWORK_PART(TokenMixer, WindowMlp, "window_mlp", "a map over the tokens of each window (Swin-MLP)");

}  // namespace
}  // namespace formwork
