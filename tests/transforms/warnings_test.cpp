// What a method was to treat and left is in the warnings of its report, a line for each reason.
#include "transforms/fixtures.h"

namespace formwork {
namespace {

Json warnings_of(const std::string& name, const Json& options, const std::shared_ptr<Model>& model) {
  return apply(name, options, model).report.value("warnings", Json::array());
}

std::shared_ptr<Model> with_experts() {
  DecoderShape shape;
  shape.dtype = at::kFloat;
  shape.channel = {{"type", "experts"}, {"experts", 4}, {"active", 2}, {"hidden", 16}};
  return make_decoder(shape);
}

TEST(Warnings, BanksThatStayAreNamedOnce) {
  const auto model = with_experts();
  for (const auto& [name, options] : std::vector<std::pair<std::string, Json>>{{"int4_rtn", {{"group", 8}}},
                                                                               {"gptq", {{"group", 8}}},
                                                                               {"llm_int8", Json::object()},
                                                                               {"magnitude", Json::object()},
                                                                               {"wanda", Json::object()}}) {
    const auto warnings = warnings_of(name, options, model);
    ASSERT_EQ(warnings.size(), 1u) << name << ": " << warnings.dump();
    const auto line = warnings[0].get<std::string>();
    EXPECT_EQ(line.rfind("'layers.0.channel.", 0), 0u) << line;
    EXPECT_NE(line.find("stay as they are: a bank of 4 matrices"), std::string::npos) << line;
  }
}

TEST(Warnings, LinesNameThreeMapsAndCountTheRest) {
  DecoderShape shape;
  shape.layers = 5,
  shape.dtype = at::kFloat;  // 48 hidden units and 32 channels, of which 32 is no multiple of 6
  const auto warnings = warnings_of("magnitude", {{"n", 2}, {"m", 6}}, make_decoder(shape));
  EXPECT_EQ(warnings,
            Json::array({"'layers.0.mixer.qkv', 'layers.0.mixer.out', 'layers.0.channel.gate_up' and "
                         "12 more stay as they are: 32 inputs are no multiple of 6"}));
}

TEST(Warnings, WhatIsLeftByDesignIsNone) {
  const auto model = make_decoder({.dtype = at::kFloat});
  for (const auto& name : Registry<Transform>::names()) {
    Json options = Json::object();
    if (name == "greenformers") options["solver"] = "svd";
    if (name == "llm_drop") options["n"] = 1;
    if (name == "prune_modules" || name == "grow_modules" || name == "resize_windows") continue;
    if (name == "to_dense" || name == "lord" || name == "rotary_layout") continue;
    EXPECT_EQ(warnings_of(name, options, model), Json::array()) << name;
  }
  // Embedding and head, what an option leaves out, and maps that are made of maps.
  EXPECT_EQ(warnings_of("llm_int8", {{"skip", {"*.down"}}}, model), Json::array());
  EXPECT_EQ(warnings_of("greenformers", {{"solver", "svd"}, {"submodules", {"layers.0"}}}, model),
            Json::array());
  EXPECT_EQ(warnings_of("lord", {{"types", {"down"}}, {"rank", 8}}, model), Json::array());
  EXPECT_EQ(warnings_of("lord", {{"ranks", {{"down", 8}}}}, model), Json::array());
  const auto factors = apply("greenformers", {{"rank", 8}, {"solver", "svd"}}, model).model;
  EXPECT_EQ(warnings_of("int4_rtn", {{"group", 8}}, factors), Json::array());
  EXPECT_EQ(warnings_of("greenformers", {{"rank", 0.5}, {"solver", "svd"}, {"fact_led_unit", true}}, factors),
            Json::array());
}

TEST(Warnings, FormsThatAMethodDoesNotTakeAndRanksThatSaveNothing) {
  const auto model = make_decoder({.dtype = at::kFloat});
  const auto half = apply("llm_int8", {{"skip", {"*.down"}}}, model).model;
  const auto kept = warnings_of("magnitude", Json::object(), half);
  ASSERT_EQ(kept.size(), 1u) << kept.dump();
  EXPECT_NE(kept[0].get<std::string>().find("expected a dense map, found 'int8'"), std::string::npos)
      << kept[0];

  const auto factors = apply("lord", {{"ranks", {{"down", 8}}}}, model).model;
  const auto again = warnings_of("greenformers", {{"rank", 8}, {"solver", "svd"}}, factors);
  EXPECT_EQ(again,
            Json::array({"'layers.0.channel.down', 'layers.1.channel.down' stay as they are: factorized "
                         "already"}));
  // 32 x 48 breaks even at 19.2, 64 x 32 at 21.3.
  const auto lord = warnings_of("lord", {{"rank", 20}, {"types", {"down", "qkv"}}}, model);
  ASSERT_EQ(lord.size(), 1u) << lord.dump();
  EXPECT_NE(lord[0].get<std::string>().find("'layers.1.channel.down' stay as they are: no rank below"),
            std::string::npos)
      << lord[0];
}

}  // namespace
}  // namespace formwork
