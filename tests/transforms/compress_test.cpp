#include <set>

#include "transforms/fixtures.h"

namespace formwork {
namespace {

// A method at its mildest budget, or from its defaults where it has none.
std::unique_ptr<Transform> mildest(const std::string& method) {
  const auto budgets = Registry<Transform>::make({method, Json::object()})->budgets();
  return Registry<Transform>::make({method, budgets.empty() ? Json::object() : budgets[0]});
}

// What a dense model without modules gives no work to.
const std::set<std::string> kWithoutWork = {"to_dense", "grow_modules", "prune_modules"};

TEST(Transforms, AllPairsStayFinite) {
  DecoderShape shape;
  shape.layers = 4, shape.dtype = at::kFloat;
  const auto model = make_decoder(shape);
  const auto data = calibration();
  for (const auto& first : Registry<Transform>::names()) {
    std::shared_ptr<Model> once;
    try {
      once = mildest(first)->apply(model, data).model;
    } catch (const Error& error) {
      EXPECT_TRUE(kWithoutWork.count(first)) << first << ": " << error.what();
      continue;
    }
    for (const auto& second : Registry<Transform>::names()) {
      try {
        const auto after = mildest(second)->apply(once, data).model;
        EXPECT_TRUE(logits(*after).isfinite().all().item<bool>()) << first << " then " << second;
        EXPECT_EQ(after->spec().history.size(), 2u) << first << " then " << second;
      } catch (const Error& error) {
        EXPECT_GT(std::string(error.what()).size(), 10u);  // refused, with a reason
      }
    }
  }
}

TEST(AddLora, FreezesMapsInTheFormTheyHave) {
  DecoderShape shape;
  shape.dtype = at::kFloat;
  auto model = make_decoder(shape);
  for (const std::string method : {"int4_rtn", "greenformers"}) {
    const Json options = method == "int4_rtn" ? Json{{"group", 8}} : Json{{"solver", "svd"}};
    const auto small = apply(method, options, model).model;
    const auto adapted = apply("add_lora", {{"rank", 3}}, small).model;
    EXPECT_LT(distance(*small, *adapted), 1e-5) << method;
    for (const auto& param : adapted->inventory().params)
      if (param.name.find(".base.") != std::string::npos) EXPECT_FALSE(param.trainable()) << param.name;
    set(*adapted, "layers.1.channel.down.b", at::ones({32, 3}));
    EXPECT_GT(distance(*small, *adapted), 1e-3) << method;
    EXPECT_LT(distance(*adapted, *reloaded(*adapted, "lora_" + method)), 1e-9) << method;
    EXPECT_LT(distance(*adapted, *apply("to_dense", Json::object(), adapted).model), 1e-4) << method;
  }
  // Factors that are quantized stay so below their base.
  const auto factors =
      apply("int4_rtn", {{"group", 8}}, apply("greenformers", {{"rank", 8}, {"solver", "svd"}}, model).model)
          .model;
  const auto adapted = apply("add_lora", Json::object(), factors).model;
  EXPECT_EQ(map_of(*adapted, "layers.0.mixer.qkv.base.a").type(), "int4");
  EXPECT_LT(distance(*factors, *adapted), 1e-5);
}

}  // namespace
}  // namespace formwork
