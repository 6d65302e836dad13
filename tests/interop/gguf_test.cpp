// GGUF files of every architecture: what is written is what is read.
#include <gtest/gtest.h>

#include "formwork/interop/gguf_export.h"
#include "formwork/interop/gguf_file.h"
#include "formwork/models/model_io.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

Json decoder(const Json& layer, const Json& more) {
  Json model = {{"type", "decoder"}, {"vocab", 48}, {"width", 64}, {"norm", layer.at("norm")}};
  model["layers"] = {{"repeat", 2}, {"pattern", Json::array({layer})}};
  model.update(more);
  return {{"formwork", 1}, {"model", model}};
}

Json gated(const Json& mixer, const char* activation, const Json& norm) {
  return {{"norm", norm},
          {"mixer", mixer},
          {"channel", {{"type", "gated_mlp"}, {"hidden", 96}, {"activation", activation}}}};
}

// As Hugging Face families have them: maps fused, rotary pairs in halves.
std::map<std::string, Json> specs() {
  const Json norm = {{"type", "rms_norm"}, {"eps", 0x1p-17}},
             plus_one = {{"type", "rms_norm"}, {"eps", 0x1p-17}, {"offset", 1}};
  const Json attention = {{"type", "attention"}, {"heads", 4}, {"kv_heads", 2}, {"position", "rotary"}};
  Json biased = attention, wide = attention, capped = attention;
  biased["bias"] = true;
  wide["head_width"] = capped["head_width"] = 32;
  capped["score"] = {{"type", "softmax"}, {"cap", 8}};
  Json slid = capped;
  slid["window"] = 3;
  Json outer = gated(slid, "gelu_tanh", plus_one), inner = gated(capped, "gelu_tanh", plus_one);
  outer["type"] = inner["type"] = "sandwich";
  const Json scaled = {{"type", "rotary"}, {"scaling", {{"type", "linear"}, {"factor", 2}}}};
  Json stretched = attention;
  stretched["position"] = scaled;
  Json gemma2 = decoder(inner, {{"stem_scale", 8}, {"head", {{"type", "lm"}, {"cap", 5}}}});
  gemma2["model"]["layers"] = Json::array({outer, inner});
  const Json layer_norm = {{"type", "layer_norm"}};
  const Json gpt2 = {{"norm", layer_norm},
                     {"mixer", {{"type", "attention"}, {"heads", 4}, {"bias", true}, {"out_bias", true}}},
                     {"channel", {{"type", "mlp"}, {"activation", "gelu_tanh"}, {"bias", true}}}};
  return {{"llama", decoder(gated(attention, "silu", norm), {{"tie", false}})},
          {"llama/tied", decoder(gated(attention, "silu", norm), {{"tie", true}})},
          {"llama/scaled", decoder(gated(stretched, "silu", norm), {{"tie", false}})},
          {"qwen2", decoder(gated(biased, "silu", norm), {{"tie", false}})},
          {"gpt2", decoder(gpt2, {{"position", {{"type", "learned"}, {"context", 16}}}, {"tie", true}})},
          {"gemma", decoder(gated(wide, "gelu_tanh", plus_one), {{"stem_scale", 8}, {"tie", true}})},
          {"gemma2", gemma2}};
}

std::shared_ptr<Model> random_model(const Json& spec) {
  auto model = build_model(Spec::from_json(spec, "test"), 3);
  const at::NoGradGuard guard;
  at::manual_seed(5);
  for (auto& param : model->inventory().params)
    if (param.trainable()) param.value.add_(at::randn_like(param.value), 0.1);
  return model;
}

Tensor logits(Model& model) {
  const at::NoGradGuard guard;
  at::manual_seed(6);
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::randint(48, {2, 11}, at::kLong)}}).at("logits");
}

double relative_gap(const Tensor& a, const Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }

TEST(Gguf, ReadsBackEveryArchitecture) {
  const TemporaryFolder folder;
  for (const auto& [name, spec] : specs()) {
    SCOPED_TRACE(name);
    const auto model = random_model(spec);
    const auto path = folder / "model.gguf";
    EXPECT_TRUE(export_gguf(model->inventory(), path).empty());
    const auto architecture = GgufFile(path).text("general.architecture");
    EXPECT_EQ(architecture, name.substr(0, name.find('/')));
    const auto again = load_model(path.string());
    const auto gap = (logits(*again) - logits(*model)).abs().max().item<double>();
    EXPECT_LT(gap, 2e-5);
    EXPECT_GT(logits(*model).abs().max().item<double>(), 0.05);
  }
}

TEST(Gguf, KeepsWhatEveryTypeKeeps) {
  const TemporaryFolder folder;
  const auto model = random_model(specs().at("llama"));
  const auto wanted = logits(*model);
  const std::map<std::string, double> most = {{"f32", 1e-5}, {"f16", 2e-3}, {"bf16", 2e-2}, {"q8_0", 5e-2},
                                              {"q4_0", 0.6}, {"q4_1", 0.6}, {"q6_k", 0.1}};
  for (const auto& [type, bound] : most) {
    export_gguf(model->inventory(), folder / "model.gguf", type);
    EXPECT_LT(relative_gap(logits(*load_model((folder / "model.gguf").string())), wanted), bound) << type;
  }
}

TEST(Gguf, SaysWhatStandsInForAType) {
  const TemporaryFolder folder;
  const auto model = random_model(specs().at("llama"));
  const auto path = folder / "model.gguf";
  const auto notes = export_gguf(model->inventory(), path, "q4_k");
  ASSERT_FALSE(notes.empty());
  const GgufFile file(path);
  EXPECT_EQ(std::string(file.info("blk.0.attn_q.weight").type->name), "q4_1");
  EXPECT_EQ(std::string(file.info("output.weight").type->name), "q8_0");
  EXPECT_EQ(std::string(file.info("blk.1.ffn_norm.weight").type->name), "f32");
}

TEST(Gguf, WritesBlocksAsItReadThem) {
  const TemporaryFolder folder;
  for (const char* type : {"f16", "q8_0", "q4_1"}) {
    export_gguf(random_model(specs().at("llama/tied"))->inventory(), folder / "a.gguf", type);
    const auto model = load_model((folder / "a.gguf").string());
    export_gguf(model->inventory(), folder / "b.gguf");
    const GgufFile a(folder / "a.gguf"), b(folder / "b.gguf");
    ASSERT_EQ(a.header().tensors.size(), b.header().tensors.size());
    for (const auto& [name, tensor] : a.header().tensors) {
      ASSERT_EQ(std::string(tensor.type->name), b.info(name).type->name) << name;
      if (tensor.shape.size() == 2)
        EXPECT_TRUE(at::equal(a.blocks(name), b.blocks(name))) << name;
      else
        EXPECT_TRUE(at::equal(a.floats(name), b.floats(name))) << name;
    }
  }
}

TEST(Gguf, ReadsBlocksWhereTheFileHasThem) {
  const TemporaryFolder folder;
  export_gguf(random_model(specs().at("llama"))->inventory(), folder / "a.gguf", "q4_1");
  const auto model = load_model((folder / "a.gguf").string());
  int64_t views = 0;
  for (const auto& param : model->inventory().params)
    if (param.name.ends_with(".blocks")) {
      EXPECT_EQ(param.value.scalar_type(), at::kByte);
      EXPECT_FALSE(param.value.storage().resizable())
          << param.name;  // memory of the file, not of the allocator
      ++views;
    }
  EXPECT_EQ(views, 2 + 2 * 7);
}

TEST(Gguf, RefusesWhatNoArchitectureExpresses) {
  const TemporaryFolder folder;
  Json spec = specs().at("llama");
  spec["model"]["layers"]["pattern"][0]["mixer"]["position"] = "alibi";
  const auto refused = [&](const Json& spec) {
    try {
      export_gguf(random_model(spec)->inventory(), folder / "x.gguf");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(refused(spec).find("no architecture"), std::string::npos) << refused(spec);
  spec = specs().at("llama");
  spec["model"]["layers"]["pattern"][0]["channel"]["activation"] = "relu";
  EXPECT_NE(refused(spec).find("activation"), std::string::npos) << refused(spec);
  EXPECT_FALSE(std::filesystem::exists(folder / "x.gguf"));
}

}  // namespace
}  // namespace formwork
