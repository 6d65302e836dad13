// A part without a runtime form is refused by its path and name.
#include "runtime/fixtures.h"

namespace formwork {
namespace {

std::string reason_for(const Json& spec) {
  const auto model = build_model(Spec::from_json(spec, "test"), 3, at::kFloat);
  const auto tensors = values_of(model->inventory());
  return error_of([&] { runtime::Model(model->spec(), tensors); });
}

TEST(Refusals, NameThePathAndThePart) {
  EXPECT_EQ(reason_for(small_spec(R"({"type": "attention", "heads": 4, "position": "learned"})")),
            "layers.0.mixer.position: position 'learned' has no runtime form; those that have: alibi, none, "
            "rotary, t5");
  EXPECT_EQ(reason_for(small_spec(R"({"type": "mamba", "complex": true})")),
            "layers.0.mixer: 'mamba' with complex states has no runtime form");
  auto spec = small_spec();
  spec["linear"] = {{"layers.1.channel.down", {{"type", "int8"}, {"scheme", "zeropoint-vector"}}}};
  EXPECT_EQ(
      reason_for(spec),
      "layers.1.channel.down: scheme 'zeropoint-vector' of 'int8' (all but 'vector' and 'absmax-row') has no "
      "runtime form");
  spec = small_spec();
  spec["attach"] = {{"layers.0.mixer.out", {{"type", "adapter"}, {"width", 4}}}};
  EXPECT_EQ(reason_for(spec), "attach: the part on 'layers.0.mixer.out' has no runtime form");
}

TEST(Refusals, SayWhereATensorDoesNotFit) {
  const auto spec = Spec::from_json(small_spec(), "test");
  RawMap tensors;
  EXPECT_EQ(error_of([&] { runtime::Model(spec, tensors); }),
            "'embed.weight': no such tensor among the model's weights");
  tensors["embed.weight"] = {Dtype::float32, {29, 31}, nullptr};
  EXPECT_EQ(error_of([&] { runtime::Model(spec, tensors); }),
            "'embed.weight': expected shape [29, 32], found [29, 31]");
}

TEST(Refusals, ADoubleModelIsDecodedPlainly) {
  const auto model = build_model(Spec::from_json(small_spec(), "test"), 3, at::kDouble);
  DecodeRequest request;
  request.prompt = at::zeros({1, 2}, at::kLong);
  EXPECT_EQ(Decoder(*model, request).why_plain(), "the runtime computes in float32, this model in Double");
}

// Once for each decoding, whatever the strategy.
TEST(Refusals, AreToldWhoeverDecodes) {
  const auto told = [](const char* mixer, const char* strategy) {
    const auto model = build_model(Spec::from_json(small_spec(mixer), "test"), 3, at::kFloat);
    std::vector<std::string> reasons;
    DecodeRequest request;
    request.prompt = at::zeros({1, 2}, at::kLong);
    request.on_path = [&](const std::string& why_plain) { reasons.push_back(why_plain); };
    Registry<DecodeStrategy>::make(PartSpec(strategy))->decode(*model, request);
    return reasons;
  };
  for (const char* strategy : {"greedy", "beam"}) {
    const auto plain = told(R"({"type": "mamba", "complex": true})", strategy);
    ASSERT_EQ(plain.size(), 1U) << strategy;
    EXPECT_EQ(plain[0].find("layers.0.mixer: "), 0U) << plain[0];
    EXPECT_NE(plain[0].find("complex states"), std::string::npos) << plain[0];
    EXPECT_EQ(told(R"({"type": "attention", "heads": 4})", strategy), std::vector<std::string>{""});
  }
}

}  // namespace
}  // namespace formwork
