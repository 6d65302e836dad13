// Window attention (Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
// 2021): softmax attention inside windows of M x M tokens that do not overlap, so that its cost is linear in
// the tokens of the map,
//
//   y_h = softmax(q_h k_h^T / sqrt(d) + B_h) v_h,   B_h[i, j] = table[offset of i from j, h]
//                                                   x [B, H W, D], table [(2M - 1)^2, heads]
//
// With a shift s the windows lie s tokens further right and below (the map turns, windows.h), and those that
// the border cuts see each part alone; blocks without and with a shift in turn let information cross windows.
// A map with a side of M tokens or less has windows of that side, which never shift. Where windows do not
// divide the map, `pad` adds zeros after the norm, as keys too. Over one token dimension windows are M
// tokens.
#include "formwork/linear/linear_map.h"
#include "formwork/mixers/attention/windows.h"
#include "formwork/mixers/token_mixer.h"
#include "formwork/scores/score.h"

namespace formwork {
namespace {

class WindowAttention final : public TokenMixer, public CostFacet, public WindowTable {
 public:
  struct Options {
    int64_t heads = 4, head_width = 0, window = 7, shift = 0, dimensions = 2;
    bool pad = false, bias = true, out_bias = true, table = true;
    double dropout = 0, std = 0.02;
    PartSpec score = "softmax";
    void describe(Fields& f) {
      f.integer("heads", heads, "heads", 1, 4096);
      f.integer("head_width", head_width, "channels of a head; 0: width / heads", 0, 65536);
      f.integer("window", window, "tokens of a window along each dimension", 1, 1024);
      f.integer("shift", shift, "tokens that the windows are shifted by, less than window", 0, 1023);
      f.integer("dimensions", dimensions, "token dimensions: 2 for height x width, or 1", 1, 2);
      f.flag("pad", pad, "zeros right and below where windows do not divide the map; off: refused");
      f.flag("table", table, "a learned bias for each head and offset of two tokens");
      f.flag("bias", bias, "bias on queries, keys and values");
      f.flag("out_bias", out_bias, "bias on the output");
      f.number("dropout", dropout, "dropout on the weights", 0, 1);
      f.number("std", std, "standard deviation of the table at initialization", 0, 10);
      f.part("score", score, "scores", "how logits become weights");
    }
  };

  WindowAttention(Build& build, const Options& options) : options_(options), path_(build.path()) {
    if (options.shift >= options.window)
      fail("{}: expected a shift less than the window of {}, found {}", path_, options.window, options.shift);
    if (!options.head_width && build.in.asked() % options.heads)
      fail("{}: width {} is not divisible by {} heads; choose heads or head_width", path_, build.in.asked(),
           options.heads);
    const int64_t width = options.head_width ? options.head_width : build.in.asked() / options.heads;
    const Axis heads = build.axis("heads", options.heads, Group::permute);
    const Axis qk = build.axis("qk_width", width, Group::orthogonal), vo = build.axis("v_width", width);
    heads_ = heads.size, width_ = qk.size, value_width_ = vo.size;
    scale_ = 1 / std::sqrt(static_cast<double>(width));
    most_ = {options.dimensions == 2 ? options.window : 1, options.window};
    make_maps(build, heads, qk, vo);
    if (options.table) {
      Rule rule;
      rule.init = init::truncated_normal(options.std);
      rule.decay = false;
      table_ = build.param("table", {Dim::plain((2 * most_[0] - 1) * (2 * most_[1] - 1)), heads}, rule);
    }
    Build child = build.at("score");
    score_ = Registry<Score>::make(child, options.score);
    weights_tap_ = build.tap("weights");
  }

  // Scores and weighted values; the projections count themselves.
  double flops_per_token(int64_t context) const override {
    const int64_t seen = std::min(context, most_[0] * most_[1]);
    return 2.0 * static_cast<double>(seen * heads_ * (width_ + value_width_));
  }

  int64_t window() const override { return options_.window; }
  int64_t dimensions() const override { return options_.dimensions; }
  const Param* table() const override { return table_; }
  PartSpec with_window(int64_t side) const override {
    auto options = options_;
    options.window = side;
    if (options.shift > 0) options.shift = side / 2;
    return {"window_attention", options_json(options)};
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override {
    const auto cut = windows_of(ctx, x);
    const auto windows = cut->cut(x);
    const auto parts = qkv_->forward(ctx, windows)
                           .split_with_sizes({heads_ * width_, heads_ * width_, heads_ * value_width_}, -1);
    const auto of_heads = [&](const Tensor& part) {
      return part.unflatten(-1, {heads_, -1}).transpose(1, 2);
    };
    const auto logits = of_heads(parts[0]).matmul(of_heads(parts[1]).transpose(-1, -2)) * scale_;
    auto weights = ctx.tap(weights_tap_, weights_of(ctx, *cut, logits));
    weights = ctx.dropout(path_ + ".dropout", weights, options_.dropout);
    const auto mixed = weights.matmul(of_heads(parts[2])).transpose(1, 2).flatten(2);
    return cut->join(out_->forward(ctx, mixed));
  }

 private:
  void make_maps(Build& build, const Axis& heads, const Axis& qk, const Axis& vo) {
    LinearNeed need;
    need.role = Role::qkv, need.in = build.in,
    need.out = Dim::concat({{heads, qk}, {heads, qk}, {heads, vo}});
    need.bias = options_.bias, need.input = build.input, need.init = init::normal(0.02);
    qkv_ = make_linear(build, "qkv", need);
    LinearNeed out;
    out.role = Role::out, out.in = Dim::product({heads, vo}), out.out = build.out;
    out.bias = options_.out_bias, out.init = init::normal(0.02);
    out_ = make_linear(build, "out", out);
  }

  // logits [B n, H, L, L] of n windows; the same shape.
  Tensor weights_of(Context& ctx, const WindowCut& cut, const Tensor& logits) {
    Tensor bias;  // [H, L, L]
    if (table_) bias = at::embedding(ctx.value(*table_), cut.offsets()).permute({2, 0, 1});
    const auto& neighbours = cut.neighbours();
    if (neighbours.defined() && score_->is_softmax()) {
      // Every token sees itself, so softmax needs no more than -inf where others are barred.
      const auto barrier = cut.barrier().to(logits.scalar_type()).unsqueeze(1);
      bias = bias.defined() ? bias + barrier : barrier;  // [n, H|1, L, L]
      return score_->weights(ctx, (logits.unflatten(0, {-1, bias.size(0)}) + bias).flatten(0, 1), {});
    }
    const auto biased = bias.defined() ? logits + bias : logits;
    if (!neighbours.defined()) return score_->weights(ctx, biased, {});
    const int64_t images = logits.size(0) / neighbours.size(0);
    return score_->weights(ctx, biased, neighbours.repeat({images, 1, 1}).unsqueeze(1));
  }

  std::shared_ptr<const WindowCut> windows_of(const Context& ctx, const Tensor& x) {
    const auto map = map_of_tokens(ctx, x.size(1), options_.dimensions, path_);
    const bool line = options_.dimensions == 1;
    const int64_t shortest = line ? map[1] : std::min(map[0], map[1]);
    const int64_t side = std::min(options_.window, shortest);
    const int64_t shift = shortest <= options_.window ? 0 : options_.shift;
    const Windows windows{map, {line ? 1 : side, side}, {line ? 0 : shift, shift}};
    if (!options_.pad && !windows.divide())
      fail("{}: expected a map of whole windows of {} x {} tokens, found {} x {}; another size, or pad",
           path_, windows.side[0], windows.side[1], map[0], map[1]);
    return cache_.get(windows, most_, x.device());
  }

  Options options_;
  std::string path_;
  int64_t heads_, width_, value_width_;
  double scale_;
  Windows::Sides most_;  // of a window
  std::unique_ptr<LinearMap> qkv_, out_;
  Param* table_ = nullptr;
  std::unique_ptr<Score> score_;
  Slot weights_tap_;
  WindowCache cache_;
};

FORMWORK_PART(TokenMixer, WindowAttention, "window_attention",
              "attention inside windows of a map, shifted or not (Swin)");

}  // namespace
}  // namespace formwork
