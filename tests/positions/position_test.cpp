// Positions against published formulas, and what must hold of each: a turn keeps lengths and depends on the
// distance alone, and every scheme follows its channels or heads when they are cut.
#include "formwork/positions/position.h"

#include <gtest/gtest.h>

#include "formwork/positions/rotary_scaling.h"

namespace formwork {
namespace {

struct Scheme {
  explicit Scheme(const Json& json, int64_t width = 8, std::vector<Axis> heads = {}, bool causal = true,
                  Json axes = Json::object()) {
    inventory.spec.axes = axes;
    Build build(inventory, "", {}, {});
    build = build.at("mixer");
    build.in = build.out = build.axis("qk_width", width);
    for (const auto& head : heads) build.heads.push_back(build.axis(head.name, head.size));
    build.causal = causal;
    build = build.at("position");
    part = Registry<Position>::make(build, PartSpec::from_json(json, "test"));
  }
  Tensor& param(const std::string& name) { return inventory.by_name.at("mixer.position." + name)->value; }
  Inventory inventory;
  std::unique_ptr<Position> part;
  Context ctx;
};

double distance(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

Tensor row(std::vector<double> values) { return at::tensor(values, at::kFloat); }

Tensor frequencies(const Json& scaling, int64_t width) {
  Scheme scheme({{"type", "rotary"}, {"scaling", scaling}}, width);
  return scheme.param("inverse_frequency").narrow(0, 0, width / 2).clone();
}

void expect_ratio_one(const Tensor& found, const Tensor& expected) {
  EXPECT_LT(distance(found / expected, at::ones_like(found)), 2e-6) << found << expected;
}

// Golden values: Hugging Face transformers 5 (modeling_rope_utils), width 16, base 10000.
TEST(RotaryScaling, AgreesWithPublishedImplementations) {
  expect_ratio_one(
      frequencies({{"type", "linear"}, {"factor", 4}}, 16),
      row({0.25, 0.079056941, 0.025, 0.00790569466, 0.0025, 0.000790569466, 0.00025, 7.90569466e-05}));
  expect_ratio_one(
      frequencies({{"type", "yarn"}, {"factor", 4}, {"context", 64}}, 16),
      row({1, 0.237170815, 0.049999997, 0.00790569466, 0.0025, 0.000790569466, 0.00025, 7.90569466e-05}));
  expect_ratio_one(
      frequencies({{"type", "yarn"}, {"factor", 8}, {"context", 2048}, {"beta_fast", 16}, {"beta_slow", 2}},
                  16),
      row({1, 0.316227764, 0.1, 0.0223994683, 0.00416666642, 0.000395284733, 0.000125, 3.95284733e-05}));
  expect_ratio_one(
      frequencies({{"type", "llama3"}, {"factor", 8}, {"context", 8192}}, 16),
      row({1, 0.316227764, 0.1, 0.0316227786, 0.01, 0.00316227786, 0.000213607578, 3.95284733e-05}));
}

TEST(RotaryScaling, NtkStretchesTheSlowestPairByTheFactor) {
  const auto plain = frequencies("none", 16), ntk = frequencies({{"type", "ntk"}, {"factor", 4}}, 16);
  EXPECT_FLOAT_EQ(ntk[0].item<float>(), plain[0].item<float>());
  EXPECT_NEAR((plain[7] / ntk[7]).item<double>(), 4, 1e-4);
}

TEST(RotaryScaling, YarnMultipliesByItsAttentionFactor) {
  const auto x = at::randn({1, 3, 2, 16});
  const auto positions = at::arange(3, at::kLong).unsqueeze(0);
  Scheme yarn({{"type", "rotary"}, {"scaling", {{"type", "yarn"}, {"factor", 4}, {"context", 64}}}}, 16);
  const auto norms = yarn.part->rotate(yarn.ctx, x, positions).norm(2, -1) / x.norm(2, -1);
  EXPECT_LT(distance(norms, at::full_like(norms, 1.138629436111989)), 1e-5);
}

// Golden: the dynamic scaling's frequencies for 100 tokens, context 64, factor 2, width 16, at position 99.
TEST(RotaryScaling, DynamicTurnsEachTokenAsWhenItIsDecoded) {
  Scheme scheme({{"type", "rotary"}, {"scaling", {{"type", "dynamic"}, {"factor", 2}, {"context", 64}}}}, 16);
  auto x = at::zeros({1, 2, 1, 16});
  x.narrow(-1, 0, 8).fill_(1);  // (1, 0) turns into (cos, sin)
  const auto y = scheme.part->rotate(scheme.ctx, x, at::tensor({99, 63}, at::kLong).unsqueeze(0));
  const auto dynamic = row({1, 0.283945143, 0.0806248412, 0.0228930302, 0.00650036521, 0.001845747,
                            0.000524090894, 0.000148813066});
  EXPECT_LT(distance(y[0][0][0].narrow(0, 0, 8), (99 * dynamic).cos()), 2e-5);
  EXPECT_LT(distance(y[0][1][0].narrow(0, 8, 8), (63 * frequencies("none", 16)).sin()), 2e-5);
}

// Golden: Hugging Face's Llama, head width 8, rows 0.0 .. 1.5 at positions 3 and 7.
TEST(Rotary, AgreesWithLlama) {
  Scheme scheme("rotary");
  const auto x = (at::arange(16, at::kFloat) / 10).view({1, 2, 1, 8});
  const auto y = scheme.part->rotate(scheme.ctx, x, at::tensor({3, 7}, at::kLong).unsqueeze(0));
  EXPECT_LT(
      distance(y.flatten(), row({-0.0564480014, -0.052226454, 0.18191272, 0.29789868, -0.395997018,
                                 0.507220268, 0.605729163, 0.700896859, -0.185262144, -0.14912498,
                                 0.899631023, 1.08947313, 1.4302721, 1.57409072, 1.46651423, 1.50766325})),
      1e-6);
}

TEST(Rotary, LayoutsAreOnePermutationApart) {
  Scheme half("rotary"), alternate({{"type", "rotary"}, {"layout", "interleaved"}});
  const auto x = at::randn({2, 5, 3, 8});
  const auto positions = at::arange(5, at::kLong).unsqueeze(0);
  const auto order = at::tensor({0, 2, 4, 6, 1, 3, 5, 7}, at::kLong);  // interleaved -> halves
  EXPECT_LT(distance(half.part->rotate(half.ctx, x.index_select(-1, order), positions),
                     alternate.part->rotate(alternate.ctx, x, positions).index_select(-1, order)),
            1e-6);
}

TEST(Rotary, ScoresDependOnTheDistanceAlone) {
  for (const char* layout : {"half", "interleaved"})
    for (const double fraction : {1.0, 0.5}) {
      Scheme scheme({{"type", "rotary"}, {"layout", layout}, {"fraction", fraction}});
      const auto q = at::randn({1, 1, 1, 8}), k = at::randn({1, 1, 1, 8});
      const auto score = [&](int64_t i, int64_t j) {
        const auto at_place = [&](const Tensor& x, int64_t p) {
          return scheme.part->rotate(scheme.ctx, x, at::full({1, 1}, p, at::kLong));
        };
        return (at_place(q, i) * at_place(k, j)).sum().item<double>();
      };
      EXPECT_NEAR(score(9, 4), score(105, 100), 1e-4);
      EXPECT_NEAR(score(3, 3), (q * k).sum().item<double>(), 1e-5);
    }
}

// The kernel against plain tensor operations, with its gradient; positions for each row, strided input.
TEST(Rotary, FusedEqualsPlain) {
  for (const char* layout : {"half", "interleaved"})
    for (const double fraction : {1.0, 0.5, 0.0}) {
      Scheme scheme({{"type", "rotary"}, {"layout", layout}, {"fraction", fraction}});
      const auto positions = at::randint(100, {2, 5}, at::kLong);
      const auto x = at::randn({2, 3, 5, 8}).transpose(1, 2), weighting = at::randn({2, 5, 3, 8});
      const auto run = [&](bool plain) {
        scheme.ctx.mode.twice_differentiable = plain;
        const auto leaf = x.detach().clone().set_requires_grad(true);
        const auto y = scheme.part->rotate(scheme.ctx, leaf, positions);
        return at::cat({y.detach(), torch::autograd::grad({(y * weighting).sum()}, {leaf})[0]});
      };
      EXPECT_LT(distance(run(false), run(true)), 1e-5) << layout << " " << fraction;
    }
}

TEST(Rotary, CutPairsKeepTheirFrequencies) {
  for (const char* layout : {"half", "interleaved"}) {
    const Json json = {{"type", "rotary"}, {"layout", layout}};
    Scheme whole(json), cut(json, 8, {}, true, {{"mixer.qk_width", 4}});
    EXPECT_EQ(whole.inventory.axes.at("mixer.qk_width").group, Group::rotary_pairs);
    const bool halves = std::string(layout) == "half";  // keep pairs 1 and 3
    const auto kept = halves ? at::tensor({1, 3, 5, 7}, at::kLong) : at::tensor({2, 3, 6, 7}, at::kLong);
    cut.param("inverse_frequency").copy_(whole.param("inverse_frequency").index_select(0, kept));
    const auto x = at::randn({1, 6, 2, 8});
    const auto positions = at::arange(6, at::kLong).unsqueeze(0);
    EXPECT_EQ(distance(whole.part->rotate(whole.ctx, x, positions).index_select(-1, kept),
                       cut.part->rotate(cut.ctx, x.index_select(-1, kept), positions)),
              0);
  }
}

TEST(Rotary, RefusesWhatItCannotDo) {
  Scheme partial({{"type", "rotary"}, {"fraction", 0.5}});
  EXPECT_EQ(partial.inventory.axes.at("mixer.qk_width").group, Group::none);
  EXPECT_THROW(Scheme("rotary", 7), Error);
  EXPECT_THROW(Scheme({{"type", "rotary"}, {"scaling", "yarm"}}), Error);
}

TEST(Sinusoidal, IsTheTableOfThePaper) {
  Scheme scheme("sinusoidal", 6);
  const auto y = scheme.part->embed(scheme.ctx, at::zeros({1, 4, 6}, at::kDouble),
                                    at::arange(4, at::kLong).unsqueeze(0));
  for (int64_t p = 0; p < 4; ++p)
    for (int64_t c = 0; c < 6; ++c) {
      const double angle = static_cast<double>(p) / std::pow(10000.0, static_cast<double>(c / 2 * 2) / 6);
      EXPECT_NEAR(y[0][p][c].item<double>(), c % 2 ? std::cos(angle) : std::sin(angle), 1e-12);
    }
}

TEST(Sinusoidal, FollowsItsChannels) {
  Scheme whole("sinusoidal", 6), cut("sinusoidal", 6, {}, true, {{"mixer.qk_width", 3}});
  const auto kept = at::tensor({5, 0, 3}, at::kLong);
  for (const char* name : {"frequency", "phase"})
    cut.param(name).copy_(whole.param(name).index_select(0, kept));
  const auto positions = at::arange(9, at::kLong).unsqueeze(0);
  EXPECT_EQ(distance(whole.part->embed(whole.ctx, at::zeros({1, 9, 6}), positions).index_select(2, kept),
                     cut.part->embed(cut.ctx, at::zeros({1, 9, 3}), positions)),
            0);
}

// Slopes as published for 8 and 12 heads: 2^-1 .. 2^-8, then 2^-0.5, 2^-1.5, ...
TEST(Alibi, HasThePublishedSlopes) {
  Scheme eight("alibi", 8, {{"kv_heads", 4}, {"group", 2}});
  Scheme twelve("alibi", 8, {{"kv_heads", 12}, {"group", 1}});
  const auto powers = [](std::vector<double> exponents) { return row(std::move(exponents)).neg().exp2(); };
  EXPECT_LT(distance(eight.part->slopes(eight.ctx), powers({1, 2, 3, 4, 5, 6, 7, 8})), 1e-7);
  EXPECT_LT(distance(twelve.part->slopes(twelve.ctx), powers({1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5})),
            1e-7);
  const auto bias = eight.part->bias(eight.ctx, at::tensor({5}, at::kLong).unsqueeze(0),
                                     at::tensor({5, 3, 6}, at::kLong).unsqueeze(0));
  EXPECT_LT(distance(bias[0].select(1, 0).select(0, 1), row({0, -0.5, -0.25})), 1e-7);
}

// Golden: Hugging Face's T5, 32 buckets, distances up to 128.
TEST(T5, HasThePublishedBuckets) {
  const auto keys =
      at::tensor({-200, -100, -50, -20, -9, -8, -3, -1, 0, 1, 2, 7, 8, 13, 40, 90, 127, 128, 300}, at::kLong);
  const auto both_ways =
      at::tensor({15, 15, 13, 10, 8, 8, 3, 1, 0, 17, 18, 23, 24, 25, 28, 30, 31, 31, 31}, at::kLong);
  const auto backward = at::tensor({31, 30, 24, 17, 9, 8, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, at::kLong);
  for (const bool causal : {false, true}) {
    Scheme scheme("t5", 8, {{"kv_heads", 2}, {"group", 1}}, causal);
    auto& table = scheme.param("weight");
    const auto bias = scheme.part->bias(scheme.ctx, at::zeros({1, 1}, at::kLong), keys.unsqueeze(0));
    EXPECT_EQ(distance(bias[0].squeeze(1), table.index_select(0, causal ? backward : both_ways).t()), 0);
  }
}

TEST(T5, LayersShareOneTable) {
  Inventory inventory;
  inventory.spec.sources = {
      {"layers.*.position.weight", {{"type", "shared"}, {"with", "layers.0.position.weight"}}}};
  std::vector<std::unique_ptr<Position>> parts;
  for (int i = 0; i < 2; ++i) {
    Build build(inventory, fmt::format("layers.{}", i), {}, {});
    build.heads = {build.axis("kv_heads", 4, Group::permute)};
    build = build.at("position");
    parts.push_back(Registry<Position>::make(build, "t5"));
  }
  EXPECT_EQ(inventory.params.size(), 1u);
  EXPECT_EQ(inventory.axes.at("layers.0.kv_heads").group, Group::none);
  EXPECT_EQ(inventory.axes.at("layers.1.kv_heads").group, Group::none);
}

}  // namespace
}  // namespace formwork
