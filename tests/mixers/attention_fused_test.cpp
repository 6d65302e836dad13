// Attention is one function, however it is computed: fused equals plain, in values and gradients.
#include "mixers/attention_alone.h"

namespace formwork {
namespace {

// Fused, plain in float32 and plain in float64 agree, in values and in every gradient, for rows of unequal
// length.
TEST(Attention, FusedEqualsPlain) {
  for (const auto& c : cases()) {
    at::manual_seed(1);
    AttentionAlone fused(c), plain(c), exact(c, at::kDouble);
    const auto x = rows(2, 9), memory = at::randn({2, 7, 12}), weighting = at::randn({2, 9, kWidth});
    plain.ctx.mode.twice_differentiable = true;
    std::vector<std::vector<Tensor>> found;
    for (AttentionAlone* mixer : {&fused, &plain, &exact}) {
      mixer->take(fused);
      const auto dtype = mixer->inventory.dtype;
      give_memory(*mixer, memory.to(dtype));
      if (c.mask != "cross") mixer->layout.lengths = at::tensor({9, 5}, at::kLong);
      if (c.mask == "prefix") mixer->layout.prefix = at::tensor({4, 0}, at::kLong);
      found.push_back(value_and_gradients(*mixer, x.to(dtype), weighting.to(dtype)));
    }
    for (size_t i = 0; i < found[0].size(); ++i) {
      const double size = 1 + found[2][i].abs().max().item<double>();
      EXPECT_LT(distance(found[0][i], found[2][i]) / size, 1e-4) << c.name() << ", tensor " << i;
      EXPECT_LT(distance(found[1][i], found[2][i]) / size, 1e-4) << c.name() << ", tensor " << i;
    }
  }
}

TEST(Attention, PlainGradientsAreDifferences) {
  for (const auto& c : cases()) {
    if (c.kv_heads != 2) continue;
    at::manual_seed(2);
    AttentionAlone mixer(c, at::kDouble);
    give_memory(mixer, at::randn({2, 7, 12}, at::kDouble));
    if (c.mask == "prefix") mixer.layout.prefix = at::tensor({3, 0}, at::kLong);
    const auto x = rows(2, 6, at::kDouble), weighting = at::randn({2, 6, kWidth}, at::kDouble);
    const auto gradients = value_and_gradients(mixer, x, weighting);
    const auto loss = [&](const Tensor& at) {
      const at::NoGradGuard guard;
      return (mixer(at) * weighting).sum().item<double>();
    };
    const double step = 1e-5;
    auto direction = at::randn_like(x);
    EXPECT_NEAR((loss(x + step * direction) - loss(x - step * direction)) / (2 * step),
                (gradients[1] * direction).sum().item<double>(), 1e-6)
        << c.name();
    size_t i = 2;
    for (auto& param : mixer.inventory.params) {
      if (!param.trainable()) continue;
      direction = at::randn_like(param.value.detach());
      const auto moved = [&](double by) {
        const at::NoGradGuard guard;
        param.value.add_(direction, by);
        const double value = loss(x);
        param.value.add_(direction, -by);
        return value;
      };
      EXPECT_NEAR((moved(step) - moved(-step)) / (2 * step),
                  (gradients[i++] * direction).sum().item<double>(), 1e-6)
          << c.name() << " " << param.name;
    }
  }
}

TEST(Attention, ReadingTheWeightsChangesNothing) {
  const at::NoGradGuard guard;
  AttentionAlone mixer({"rotary", "causal", 2});
  const auto x = rows(2, 7);
  const auto y = mixer(x);
  TapBoard board(mixer.inventory.taps);
  Tensor weights;
  board.read("mixer.weights", [&](const TapEvent&, const Tensor& w) { weights = w; });
  mixer.ctx.taps = &board;
  EXPECT_LT(distance(mixer(x), y), 1e-5);
  ASSERT_EQ(weights.sizes(), (std::vector<int64_t>{2, kHeads, 7, 7}));
  EXPECT_LT(distance(weights.sum(-1), at::ones({2, kHeads, 7})), 1e-6);
  EXPECT_EQ(weights.triu(1).abs().sum().item<double>(), 0);
}

TEST(Attention, NoNaNInBfloat16) {
  for (const auto& c : cases()) {
    AttentionAlone mixer(c, at::kBFloat16);
    give_memory(mixer, at::randn({2, 7, 12}).to(at::kBFloat16));
    if (c.mask != "cross") mixer.layout.lengths = at::tensor({9, 0}, at::kLong);
    for (const auto& t :
         value_and_gradients(mixer, rows(2, 9, at::kBFloat16), at::ones({2, 9, kWidth}, at::kBFloat16)))
      EXPECT_TRUE(t.isfinite().all().item<bool>()) << c.name();
  }
}

TEST(Attention, CountsItsOperations) {
  AttentionAlone wide({"none", "causal", 2}), window({"none", "window", 2});
  EXPECT_EQ(facet<CostFacet>(*wide.inventory.parts.at("mixer"))->flops_per_token(100), 4.0 * 100 * kWidth);
  EXPECT_EQ(facet<CostFacet>(*window.inventory.parts.at("mixer"))->flops_per_token(100), 4.0 * 4 * kWidth);
}

}  // namespace
}  // namespace formwork
