// Maps over the tokens of a window: which tokens they read, and where zeros come in.
#include <gtest/gtest.h>

#include "formwork/models/model.h"
#include "interop/temporary_folder.h"
#include "mixers/mixer_alone.h"

namespace formwork {
namespace {

constexpr int64_t kWindowWidth = 6, kWindowGroups = 3;

MixerAlone mixer_with(int64_t window, int64_t shift, const std::string& more = "") {
  MixerAlone mixer(fmt::format(R"({{"type": "window_mlp", "groups": {}, "window": {}, "shift": {}{}}})",
                               kWindowGroups, window, shift, more),
                   kWindowWidth);
  const at::NoGradGuard guard;
  at::manual_seed(5);
  for (auto& param : mixer.inventory->params) param.value.normal_();
  return mixer;
}

Layout window_map(int64_t height, int64_t width) {
  Layout layout;
  layout.dims = {{"height", height}, {"width", width}};
  return layout;
}

// Token by token, channel by channel: with a shift the cells begin `shift` tokens further right and below,
// and what lies outside the map is zero.
Tensor by_hand(MixerAlone& mixer, const Tensor& x, int64_t height, int64_t width, int64_t window,
               int64_t shift) {
  const int64_t each = kWindowWidth / kWindowGroups;
  const auto start = [&](int64_t place) {
    return (place - shift + window) / window * window + shift - window;
  };
  auto y = at::zeros_like(x);
  for (int64_t row = 0; row < height; ++row)
    for (int64_t column = 0; column < width; ++column) {
      const int64_t top = start(row), left = start(column);
      const int64_t i = (row - top) * window + column - left;
      for (int64_t c = 0; c < kWindowWidth; ++c) {
        auto sum = mixer.value("map.bias")[c / each][i].expand({x.size(0)}).clone();
        for (int64_t j = 0; j < window * window; ++j) {
          const int64_t from_row = top + j / window, from_column = left + j % window;
          if (from_row < 0 || from_row >= height || from_column < 0 || from_column >= width) continue;
          sum += mixer.value("map.weight")[c / each][i][j] *
                 x.select(1, from_row * width + from_column).select(1, c);
        }
        y.select(1, row * width + column).select(1, c).copy_(sum);
      }
    }
  return y;
}

TEST(WindowMlp, MixesTheTokensOfACellForEachGroup) {
  const at::NoGradGuard guard;
  for (const int64_t shift : {0, 1, 2}) {
    auto mixer = mixer_with(3, shift);
    const auto x = at::randn({2, 6 * 9, kWindowWidth}, at::kDouble);
    const auto layout = window_map(6, 9);
    EXPECT_LT(distance(mixer.forward(x, &layout), by_hand(mixer, x, 6, 9, 3, shift)), 1e-12) << shift;
  }
}

TEST(WindowMlp, AMapOfOneWindowDoesNotShift) {
  const at::NoGradGuard guard;
  auto shifted = mixer_with(3, 1), still = mixer_with(3, 0);
  const auto x = at::randn({2, 3 * 6, kWindowWidth}, at::kDouble);
  const auto layout = window_map(3, 6);
  EXPECT_EQ(distance(shifted.forward(x, &layout), still.forward(x, &layout)), 0);
}

TEST(WindowMlp, RefusesWhatItHasNoMapFor) {
  const at::NoGradGuard guard;
  auto mixer = mixer_with(4, 0);
  const auto refusal = [&](int64_t height, int64_t width) {
    const auto layout = window_map(height, width);
    return error_of([&] {
      mixer.forward(at::randn({1, height * width, kWindowWidth}, at::kDouble), &layout);
    });
  };
  EXPECT_EQ(refusal(3, 8),
            "mixer: expected a map with sides of at least the window of 4 tokens, found 3 x 8");
  EXPECT_EQ(refusal(6, 8),
            "mixer: expected a map of whole windows of 4 x 4 tokens, found 6 x 8; another size, or pad");
  EXPECT_EQ(error_of([] { MixerAlone(R"({"type": "window_mlp", "groups": 4})", kWindowWidth); }),
            "mixer: width 6 is not divisible into 4 groups");
}

// 2 M^2 operations for each channel of a token.
TEST(WindowMlp, CountsEveryChannel) {
  const Json model = {
      {"type", "part"}, {"part", {{"type", "window_mlp"}, {"groups", 4}}}, {"width", 96}, {"causal", false}};
  const auto part = build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"), 0, at::kFloat,
                                /*allocate=*/false);
  EXPECT_EQ(part->flops_per_token(56 * 56), 2 * 49 * 96);
}

}  // namespace
}  // namespace formwork
