#include "formwork/transforms/convert/rotary_layout.h"

#include "transforms/fixtures.h"

namespace formwork {
namespace {

Json attention(double fraction, bool fused, const char* layout) {
  return {{"type", "attention"},
          {"heads", 4},
          {"kv_heads", 2},
          {"head_width", 8},
          {"bias", true},
          {"fused", fused},
          {"qk_norm", "rms_norm"},
          {"position", {{"type", "rotary"}, {"layout", layout}, {"fraction", fraction}}}};
}

std::shared_ptr<Model> rotary_decoder(const Json& mixer) {
  return make_decoder({.position = "none", .mixer = mixer});
}

TEST(RotaryLayout, IsTheSameFunctionAndComesBackBitForBit) {
  for (const double fraction : {1.0, 0.5})
    for (const bool fused : {true, false}) {
      const auto model = rotary_decoder(attention(fraction, fused, "interleaved"));
      const auto halves = with_rotary_layout(model, Pairs::halves);
      EXPECT_LT(distance(*model, *halves), 1e-12);
      const auto back = with_rotary_layout(halves, Pairs::neighbours);
      EXPECT_EQ(back->spec().to_json(), model->spec().to_json());
      const auto before = model_tensors(*model), after = model_tensors(*back);
      size_t moved = 0;
      for (const auto& [name, tensor] : before) {
        EXPECT_TRUE(at::equal(tensor, after.at(name))) << name;
        moved += !at::equal(tensor, model_tensors(*halves).at(name));
      }
      EXPECT_GE(moved, 2 * 4u) << "weights, biases, gains and frequencies of two layers";
    }
}

TEST(RotaryLayout, IsReadFromNamesAlone) {
  auto mixer = attention(1, true, "half");
  mixer["position"] = "rotary";
  const auto model = rotary_decoder(mixer);
  EXPECT_EQ(with_rotary_layout(model, Pairs::halves), model);
  const auto neighbours = with_rotary_layout(model, Pairs::neighbours);
  EXPECT_LT(distance(*model, *neighbours), 1e-12);
  for (const auto& [name, info] : neighbours->inventory().axes)
    if (info.turned > 0) EXPECT_EQ(info.pairs, Pairs::neighbours) << name;
}

TEST(RotaryLayout, MovesRowsOfCodes) {
  const auto model = rotary_decoder(attention(1, true, "interleaved"));
  const auto small = apply("llm_int8", Json::object(), model).model;
  EXPECT_LT(distance(*small, *with_rotary_layout(small, Pairs::halves)), 1e-12);
}

TEST(RotaryLayout, AsATransformIsEnteredIntoTheHistory) {
  const auto model = rotary_decoder(attention(1, true, "interleaved"));
  const auto halves = apply("rotary_layout", Json::object(), model).model;
  EXPECT_EQ(halves->spec().history.back().at("transform"), "rotary_layout");
  EXPECT_THROW(apply("rotary_layout", Json::object(), halves), NothingChanged);
}

}  // namespace
}  // namespace formwork
