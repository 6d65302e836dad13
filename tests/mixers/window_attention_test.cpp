// Attention in windows: what a token sees, with and without a shift, and what it costs.
#include <gtest/gtest.h>

#include "formwork/mixers/attention/windows.h"
#include "formwork/models/model.h"
#include "interop/temporary_folder.h"
#include "mixers/mixer_alone.h"

namespace formwork {
namespace {

constexpr int64_t kWidth = 8, kHeads = 2;

std::string options(int64_t window, int64_t shift, const std::string& more = "") {
  return fmt::format(R"({{"type": "window_attention", "heads": {}, "window": {}, "shift": {}{}}})", kHeads,
                     window, shift, more);
}

Layout map_of(int64_t height, int64_t width) {
  Layout layout;
  layout.dims = {{"height", height}, {"width", width}};
  return layout;
}

// With weights large enough that a token seen or not shows.
MixerAlone mixer_with(const std::string& json) {
  MixerAlone mixer(json, kWidth);
  const at::NoGradGuard guard;
  at::manual_seed(5);
  for (auto& param : mixer.inventory->params) param.value.normal_(0, 0.5);
  return mixer;
}

Tensor tokens(int64_t height, int64_t width, int64_t batch = 2) {
  at::manual_seed(6);
  return at::randn({batch, height * width, kWidth}, at::kDouble);
}

const std::vector<Windows> kWindows = {{{8, 8}, {4, 4}, {0, 0}},
                                       {{8, 16}, {4, 4}, {2, 2}},
                                       {{28, 14}, {7, 7}, {3, 3}},
                                       {{5, 9}, {4, 4}, {1, 3}},
                                       {{1, 7}, {1, 3}, {0, 1}}};

WindowCut ready(const Windows& windows) { return {windows, windows.side, at::kCPU}; }

TEST(Windows, CutAndJoinedAreTheMapBitForBit) {
  for (const auto& windows : kWindows) {
    const auto x = tokens(windows.map[0], windows.map[1]);
    const auto cut = ready(windows).cut(x);
    EXPECT_EQ(cut.size(0), 2 * windows.count());
    EXPECT_TRUE(at::equal(ready(windows).join(cut), x));
  }
}

// In two steps: the padded map turns, and then a window is a rectangle of it.
TEST(Windows, AreRectanglesOfTheTurnedMapRowByRow) {
  for (const auto& windows : kWindows) {
    const auto [height, width] = windows.padded();
    const auto x = tokens(windows.map[0], windows.map[1]);
    const auto cut = ready(windows).cut(x);
    const auto wide = at::constant_pad_nd(x.view({2, windows.map[0], windows.map[1], kWidth}),
                                          {0, 0, 0, width - windows.map[1], 0, height - windows.map[0]});
    const auto turned = wide.roll({-windows.shift[0], -windows.shift[1]}, {1, 2});
    int64_t next = 0;
    for (int64_t image = 0; image < 2; ++image)
      for (int64_t top = 0; top < height; top += windows.side[0])
        for (int64_t left = 0; left < width; left += windows.side[1]) {
          const auto rectangle =
              turned[image].narrow(0, top, windows.side[0]).narrow(1, left, windows.side[1]).flatten(0, 1);
          EXPECT_TRUE(at::equal(cut[next++], rectangle)) << top << ", " << left;
        }
  }
}

// Attention over all tokens of the map, of which p sees q where both lie in one cell of the grid that is
// shifted by `shift` (cells at the border are cut, not wrapped); nothing turns and nothing is cut here.
Tensor dense_attention(MixerAlone& mixer, const Tensor& x, int64_t height, int64_t width, int64_t window,
                       int64_t shift) {
  const int64_t count = height * width, d = kWidth / kHeads;
  const auto cell = [&](int64_t place) { return (place - shift + window) / window; };
  const auto parts =
      at::linear(x, mixer.value("qkv.weight"), mixer.value("qkv.bias")).view({-1, count, 3, kHeads, d});
  const auto q = parts.select(2, 0), k = parts.select(2, 1), v = parts.select(2, 2);
  auto mixed = at::zeros({x.size(0), count, kHeads, d}, at::kDouble);
  const auto& table = mixer.value("table");
  for (int64_t p = 0; p < count; ++p) {
    const int64_t y = p / width, z = p % width;
    std::vector<Tensor> logits, values;
    for (int64_t j = 0; j < count; ++j) {
      const int64_t dy = y - j / width, dz = z - j % width;
      if (cell(y) != cell(j / width) || cell(z) != cell(j % width)) continue;
      const auto bias = table[(dy + window - 1) * (2 * window - 1) + dz + window - 1];
      logits.push_back((q.select(1, p) * k.select(1, j)).sum(-1) / std::sqrt(static_cast<double>(d)) + bias);
      values.push_back(v.select(1, j));
    }
    const auto weights = at::stack(logits, 0).softmax(0).unsqueeze(-1);
    mixed.select(1, p).copy_((weights * at::stack(values, 0)).sum(0));
  }
  return at::linear(mixed.flatten(2), mixer.value("out.weight"), mixer.value("out.bias"));
}

TEST(WindowAttention, IsAttentionOverTheMapWhereCellsAreShared) {
  const at::NoGradGuard guard;
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{8, 8}, {8, 12}})
    for (const int64_t shift : {0, 2, 3}) {
      auto mixer = mixer_with(options(4, shift));
      const auto x = tokens(height, width);
      const auto layout = map_of(height, width);
      EXPECT_LT(distance(mixer.forward(x, &layout), dense_attention(mixer, x, height, width, 4, shift)),
                1e-10)
          << height << " x " << width << ", shift " << shift;
    }
}

// The pairs that turning brings into one window weigh nothing, whatever the logits; also with another score,
// which is told of them (a cap that no logit comes near hardly changes them).
TEST(WindowAttention, TokensThatEnterOnTheOtherSideWeighNothing) {
  const at::NoGradGuard guard;
  const auto layout = map_of(8, 8);
  const auto x = tokens(8, 8) * 6;
  const auto barred =
      Windows{{8, 8}, {4, 4}, {2, 2}}.neighbours().logical_not().repeat({2, 1, 1}).unsqueeze(1);
  Tensor outputs[2];
  for (const bool capped : {false, true}) {
    auto mixer = mixer_with(options(4, 2, capped ? R"(, "score": {"type": "softmax", "cap": 1e6})" : ""));
    TapBoard board(mixer.inventory->taps);
    double most = -1, logits = 0;
    board.read("mixer.weights", [&](const TapEvent&, const Tensor& weights) {
      most = weights.masked_select(barred).abs().max().item<double>();
    });
    board.read("mixer.qkv.out",
               [&](const TapEvent&, const Tensor& y) { logits = y.abs().max().item<double>(); });
    Context ctx;
    ctx.layout = &layout, ctx.taps = &board;
    board.start_pass();
    outputs[capped] = mixer.mixer->forward(ctx, x);
    EXPECT_GT(logits, 15);  // far apart: a finite -100 would let some through
    EXPECT_EQ(most, 0);
  }
  EXPECT_LT(distance(outputs[0], outputs[1]), 1e-3);
}

TEST(WindowAttention, OfOneWindowWithoutATableIsPlainAttention) {
  const at::NoGradGuard guard;
  auto windowed = mixer_with(options(7, 0, R"(, "table": false)"));
  MixerAlone plain(R"({"type": "attention", "heads": 2, "bias": true, "out_bias": true})", kWidth,
                   at::kDouble,
                   /*causal=*/false);
  for (const char* name : {"qkv.weight", "qkv.bias", "out.weight", "out.bias"})
    plain.set(name, windowed.value(name));
  const auto x = tokens(7, 7);
  const auto layout = map_of(7, 7);
  EXPECT_LT(distance(windowed.forward(x, &layout), plain.forward(x)), 1e-12);
}

// Windows of the map's shorter side, also where that is the window itself; and then no shift. A table of a
// larger window is read at its middle.
TEST(WindowAttention, WindowsAreClippedToTheMapAndThenDoNotShift) {
  const at::NoGradGuard guard;
  auto clipped = mixer_with(options(5, 2)), own = mixer_with(options(3, 0));
  for (const char* name : {"qkv.weight", "qkv.bias", "out.weight", "out.bias"})
    own.set(name, clipped.value(name));
  own.set("table",
          clipped.value("table").view({9, 9, kHeads}).narrow(0, 2, 5).narrow(1, 2, 5).reshape({25, kHeads}));
  const auto x = tokens(3, 6);
  const auto layout = map_of(3, 6);
  EXPECT_LT(distance(clipped.forward(x, &layout), own.forward(x, &layout)), 1e-13);
  auto shifted = mixer_with(options(3, 1)), still = mixer_with(options(3, 0));
  EXPECT_EQ(distance(shifted.forward(x, &layout), still.forward(x, &layout)), 0);
}

// Zeros right and below, which are keys as well, as in the published code for detection.
TEST(WindowAttention, PaddedMapsAreWindowsOfZeros) {
  const at::NoGradGuard guard;
  auto mixer = mixer_with(options(4, 2, R"(, "pad": true)"));
  const auto x = tokens(5, 7);
  const auto wide = at::constant_pad_nd(x.view({2, 5, 7, kWidth}), {0, 0, 0, 1, 0, 3}).flatten(1, 2);
  const auto small = map_of(5, 7), large = map_of(8, 8);
  const auto whole = mixer.forward(wide, &large).view({2, 8, 8, kWidth});
  const auto expected = whole.narrow(1, 0, 5).narrow(2, 0, 7).flatten(1, 2);
  EXPECT_LT(distance(mixer.forward(x, &small), expected), 1e-13);
}

// Which tokens of the input one token of the output depends on: [H, W] bool.
Tensor support(std::vector<MixerAlone>& blocks, int64_t height, int64_t width, int64_t row, int64_t column) {
  const auto layout = map_of(height, width);
  const auto x = tokens(height, width, 1).set_requires_grad(true);
  auto y = x;
  for (auto& block : blocks) y = y + block.forward(y, &layout);
  const auto gradient = torch::autograd::grad({y[0][row * width + column].square().sum()}, {x})[0];
  return gradient.abs().sum(-1).view({height, width}).gt(0);
}

std::vector<MixerAlone> blocks_of(const std::vector<int64_t>& shifts) {
  std::vector<MixerAlone> blocks;
  for (const int64_t shift : shifts) blocks.push_back(mixer_with(options(4, shift)));
  return blocks;
}

Tensor rectangle(int64_t top, int64_t left, int64_t height, int64_t width) {
  auto seen = at::zeros({8, 12}, at::kBool);
  seen.narrow(0, top, height).narrow(1, left, width).fill_(true);
  return seen;
}

TEST(WindowAttention, InformationCrossesWindowsByShiftedBlocksAlone) {
  auto one = blocks_of({0}), same = blocks_of({0, 0}), both = blocks_of({0, 2});
  EXPECT_TRUE(at::equal(support(one, 8, 12, 5, 6), rectangle(4, 4, 4, 4)));
  EXPECT_TRUE(at::equal(support(same, 8, 12, 5, 6), rectangle(4, 4, 4, 4)));
  // The shifted cell of (5, 6) is rows 2 .. 5 and columns 6 .. 9: it touches four windows.
  EXPECT_TRUE(at::equal(support(both, 8, 12, 5, 6), rectangle(0, 4, 8, 8)));
  // A cell that the border cuts stays on its side.
  EXPECT_TRUE(at::equal(support(both, 8, 12, 0, 0), rectangle(0, 0, 4, 4)));
}

TEST(WindowAttention, UnshiftedCommutesWithMovesByAWindow) {
  const at::NoGradGuard guard;
  auto mixer = mixer_with(options(4, 0)), shifted = mixer_with(options(4, 2));
  const auto layout = map_of(8, 12);
  const auto moved = [](const Tensor& x) {
    return x.view({-1, 8, 12, kWidth}).roll({4, -4}, {1, 2}).flatten(1, 2);
  };
  const auto x = tokens(8, 12);
  EXPECT_LT(distance(mixer.forward(moved(x), &layout), moved(mixer.forward(x, &layout))), 1e-12);
  EXPECT_GT(distance(shifted.forward(moved(x), &layout), moved(shifted.forward(x, &layout))), 1e-3);
}

// Order counts by the table alone: without it, tokens of a window may change places.
TEST(WindowAttention, TokensOfAWindowMayChangePlacesWithoutATable) {
  const at::NoGradGuard guard;
  const auto layout = map_of(4, 4);
  const auto x = tokens(4, 4);
  const auto order =
      at::tensor({5, 4, 2, 3, 1, 0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, at::kLong);  // window 0
  for (const bool table : {false, true}) {
    auto mixer = mixer_with(options(2, 0, table ? "" : R"(, "table": false)"));
    const auto gap = distance(mixer.forward(x.index_select(1, order), &layout),
                              mixer.forward(x, &layout).index_select(1, order));
    if (table)
      EXPECT_GT(gap, 1e-3);
    else
      EXPECT_LT(gap, 1e-12);
  }
}

TEST(WindowAttention, GradientsEqualDifferences) {
  auto mixer = mixer_with(options(3, 1, R"(, "pad": true)"));
  const auto layout = map_of(4, 5);
  const auto x = tokens(4, 5).set_requires_grad(true);
  auto inputs = mixer.parameters();
  inputs.push_back(x);
  EXPECT_LT(gradient_error(inputs, [&] { return mixer.forward(x, &layout).square().sum(); }), 1e-6);
}

// The paper's count: 4 hw C^2 + 2 M^2 hw C, where attention over the map has 4 hw C^2 + 2 (hw)^2 C.
TEST(WindowAttention, CostsInProportionToTheMap) {
  const auto total = [](const std::string& json, int64_t side) {
    const Json model = {{"type", "part"}, {"part", Json::parse(json)}, {"width", 96}, {"causal", false}};
    const auto part = build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"), 0, at::kFloat,
                                  /*allocate=*/false);
    return part->flops_per_token(side * side) * static_cast<double>(side * side);
  };
  const std::string window = R"({"type": "window_attention", "heads": 3})",
                    global = R"({"type": "attention", "heads": 3})";
  const double c = 96, tokens = 56 * 56;
  EXPECT_EQ(total(window, 56), 2 * (4 * tokens * c * c + 2 * 49 * tokens * c));
  EXPECT_EQ(total(window, 112) / total(window, 56), 4);
  EXPECT_EQ(total(global, 56), 2 * (4 * tokens * c * c + 2 * tokens * tokens * c));
  EXPECT_GT(total(global, 56) / total(global, 28), 8);
}

TEST(WindowAttention, RefusesWhatItCannotCut) {
  const at::NoGradGuard guard;
  auto mixer = mixer_with(options(4, 2));
  const auto refusal = [&](const Tensor& x, const Layout& layout) {
    return error_of([&] { mixer.forward(x, &layout); });
  };
  EXPECT_EQ(refusal(tokens(8, 6), map_of(8, 6)),
            "mixer: expected a map of whole windows of 4 x 4 tokens, found 8 x 6; another size, or pad");
  EXPECT_EQ(refusal(tokens(8, 6), {}), "mixer: cuts windows of 2 token dimensions, found 1");
  auto uneven = map_of(8, 8);
  uneven.lengths = at::tensor({64, 60}, at::kLong);
  EXPECT_EQ(refusal(tokens(8, 8), uneven),
            "mixer: rows of unequal lengths have no common map to cut into windows");
  EXPECT_EQ(error_of([] { MixerAlone(options(4, 4), kWidth); }),
            "mixer: expected a shift less than the window of 4, found 4");
  EXPECT_EQ(error_of([] { MixerAlone(options(4, 0), 9); }),
            "mixer: width 9 is not divisible by 2 heads; choose heads or head_width");
}

}  // namespace
}  // namespace formwork
