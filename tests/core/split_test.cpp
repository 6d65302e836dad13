#include "formwork/core/split.h"

#include <gtest/gtest.h>

#include "formwork/core/facet.h"
#include "formwork/models/model.h"

namespace formwork {
namespace {

const Inventory kNoModel;

Tensor row(std::vector<double> values) { return at::tensor(values, at::kDouble); }

void expect_rows(const Split& found, std::vector<double> relevant, std::vector<double> rest,
                 double bound = 0) {
  EXPECT_LE((found.relevant - row(std::move(relevant))).abs().max().item<double>(), bound) << found.relevant;
  EXPECT_LE((found.rest - row(std::move(rest))).abs().max().item<double>(), bound) << found.rest;
}

// The pass with these rules.
template <class Check>
void with_rules(const SplitRules& rules, const Check& check) {
  Context ctx;
  check(SplitPass(ctx, kNoModel, rules));
}

TEST(Split, ABiasIsSharedBySizes) {
  const Split y{row({3, -1, 0, 2}), row({1, 1, 0, 0})};
  const auto bias = row({8, 4, 5, 6});
  with_rules({}, [&](const SplitPass& pass) {
    expect_rows(pass.share_bias(y, y, bias), {3 + 6, -1 + 2, 0, 2 + 6}, {1 + 2, 1 + 2, 5, 0});
  });
  // As published, a little is lost: all of it where both sides are zero.
  with_rules({"frozen", "published"}, [&](const SplitPass& pass) {
    const auto shared = pass.share_bias(y, y, bias);
    expect_rows(shared, {9, 1, 0, 8}, {3, 3, 0, 0}, 1e-7);
    EXPECT_LT(shared.whole()[0].item<double>(), 12);
  });
}

TEST(Split, SignRepairKeepsTheSumAndTheLargerSide) {
  const Split x{row({3, -1, 2, -2, 1, 0}), row({-1, 4, -2, 2, 5, -3})};
  with_rules({"frozen", "exact", "remainder", "all"}, [&](const SplitPass& pass) {
    // Where the sides are equal the relevant one takes the sum.
    const auto y = pass.repaired(x, SplitPlace::mixer);
    expect_rows(y, {2, 0, 0, 0, 1, 0}, {0, 3, 0, 0, 5, -3});
    EXPECT_TRUE(at::equal(y.whole(), x.whole()));
  });
  for (const char* repair : {"none", "mlp"})
    with_rules({"frozen", "exact", "remainder", repair}, [&](const SplitPass& pass) {
      EXPECT_TRUE(at::equal(pass.repaired(x, SplitPlace::mixer).relevant, x.relevant)) << repair;
      const bool same = at::equal(pass.repaired(x, SplitPlace::channel).relevant, x.relevant);
      EXPECT_EQ(same, repair == std::string("none"));
    });
}

TEST(Split, AFunctionGivesTheRestItsOwnValue) {
  const Split x{row({1, -2}), row({2, 3})};
  const auto square = [](const Tensor& t) { return t.square() + 1; };
  with_rules({}, [&](const SplitPass& pass) { expect_rows(pass.function(x, square), {5, -8}, {5, 10}); });
  // The mean of (x^2 - rest^2) and relevant^2.
  with_rules({"frozen", "exact", "shapley"}, [&](const SplitPass& pass) {
    expect_rows(pass.function(x, square), {3, -2}, {7, 4});
  });
}

TEST(Split, TapsReadAndReplace) {
  Context ctx;
  SplitPass pass(ctx, kNoModel, {});
  const Split x{row({1}), row({2})};
  EXPECT_TRUE(at::equal(pass.tap(3, x).relevant, x.relevant));
  pass.listen(3, [](Slot, const Split& y) { return y * 2; });
  pass.listen(3, [](Slot, const Split& y) { return y + y; });
  expect_rows(pass.tap(3, x), {4}, {8});
  expect_rows(pass.tap(2, x), {1}, {2});
}

TEST(Split, RefusesTraining) {
  Context ctx;
  ctx.mode.train = true;
  EXPECT_THROW(SplitPass(ctx, kNoModel, {}), Error);
}

// What a model's refusal says.
std::string refusal(const Json& model) {
  const at::NoGradGuard guard;
  auto built = build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"));
  try {
    auto& view = require_facet<SplitModelFacet>(*built, "model", model["type"]);
    auto ctx = built->make_context();
    SplitPass pass(ctx, built->inventory(), {});
    const auto x = at::randn({1, 4, 8});
    view.carry(pass, 0, static_cast<int64_t>(built->segments().size()), {x, x});
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Split, WhatAModelLacksIsNamedByPathAndType) {
  const auto decoder = [](const Json& layer) {
    return Json{{"type", "decoder"},
                {"vocab", 5},
                {"width", 8},
                {"layers", {{"repeat", 2}, {"pattern", Json::array({layer})}}}};
  };
  const auto says = [](const std::string& text, const std::string& piece) {
    EXPECT_NE(text.find(piece), std::string::npos) << text;
  };
  const auto mamba = refusal(decoder({{"mixer", "mamba"}}));
  for (const char* piece : {"layers.0.mixer:", "'split'", "'mamba'", "matrix"}) says(mamba, piece);
  const auto experts = refusal(decoder({{"channel", {{"type", "experts"}, {"experts", 2}}}}));
  for (const char* piece : {"layers.0.channel:", "'experts'"}) says(experts, piece);
  // A map that rounds its inputs is not linear in them.
  auto int8 = Json{{"formwork", 1}, {"model", decoder({{"mixer", {{"type", "attention"}, {"heads", 2}}}})}};
  int8["linear"] = {{"layers.1.mixer.out", "int8"}};
  says(refusal(Json{{"type", "encoder_decoder"},
                    {"vocab", 5},
                    {"width", 8},
                    {"encoder_layers", Json::array()},
                    {"decoder_layers", Json::array()}}),
       "'encoder_decoder'");
  const at::NoGradGuard guard;
  auto model = build_model(Spec::from_json(int8, "test"));
  auto ctx = model->make_context();
  SplitPass pass(ctx, model->inventory(), {});
  const auto x = at::randn({1, 4, 8});
  try {
    require_facet<SplitModelFacet>(*model, "model").carry(pass, 0, 2, {x, x});
    FAIL() << "no error";
  } catch (const Error& error) {
    says(error.what(), "layers.1.mixer.out:"), says(error.what(), "'int8'");
  }
}

TEST(Split, RefusesAttachedParts) {
  const auto spec = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 5, "width": 8,
      "layers": [{"channel": {"type": "mlp", "hidden": 8}}]}, "attach": {"layers.0.channel.out": "adapter"}})");
  auto model = build_model(Spec::from_json(spec, "test"));
  auto ctx = model->make_context();
  try {
    SplitPass(ctx, model->inventory(), {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("layers.0.channel.out"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace formwork
