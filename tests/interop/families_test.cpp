// Configs: what is not understood is refused by name; what Formwork trained can be described to others.
#include <gtest/gtest.h>

#include "formwork/core/file.h"
#include "formwork/interop/families/family.h"
#include "formwork/interop/hugging_face.h"
#include "formwork/interop/in_force.h"
#include "formwork/models/model_io.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

Json llama_config_with(const Json& changes) {
  Json config = Json::parse(R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"],
      "vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
      "intermediate_size": 12})");
  for (const auto& [key, value] : changes.items()) config[key] = value;
  return config;
}

std::string refused(const Json& changes) {
  return error_of([&] { spec_of(Config(llama_config_with(changes), "config.json")); });
}

// The message contains `part`.
void expect_part(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Families, RefuseWhatTheyDoNotUnderstand) {
  EXPECT_EQ(refused(Json::object()), "");
  EXPECT_EQ(refused({{"use_cache", true}, {"novel", false}, {"nothing", nullptr}}), "");
  EXPECT_EQ(refused({{"novel", 3}}),
            "config.json: key 'novel' (3) is not understood and may change what the model computes");
  expect_part(refused({{"hidden_size", "8"}}),
              "'hidden_size': expected an integer in [0, 2^31], found \"8\"");
  expect_part(refused({{"hidden_size", -8}}), "'hidden_size': expected an integer");
  expect_part(refused({{"hidden_size", nullptr}}), "'hidden_size' is missing");
  expect_part(refused({{"hidden_act", "gleu"}}), "'hidden_act': activation 'gleu'; did you mean 'gelu'?");
  expect_part(refused({{"rope_scaling", {{"rope_type", "yarm"}, {"factor", 2}}}}), "did you mean 'yarn'?");
  expect_part(refused({{"rope_scaling", {{"rope_type", "linear"}, {"factor", 2}, {"mscale", 2}}}}),
              "'rope_scaling': key 'mscale' (2) is not understood");
  Json many = Json::parse(
      R"({"model_type": "gpt2", "vocab_size": 9, "n_embd": 8, "n_head": 2, "n_layer": 2000000000})");
  expect_part(error_of([&] { spec_of(Config(many, "config.json")); }), "expected at most 100000 layers");
  expect_part(refused({{"architectures", 3}}), "'architectures': expected a list of names, found 3");
  expect_part(refused({{"architectures", {"LlamaForTokenClassification"}}}),
              "known are LlamaForCausalLM, LlamaModel, which differ in the head");
}

TEST(Families, OfImagesRefuseSizesThatDoNotFit) {
  const auto refusal = [](Json config, const char* key, const Json& value) {
    config[key] = value;
    return error_of([&] { build_model(spec_of(Config(config, "config.json")), 0, at::kFloat, false); });
  };
  const Json swin = {{"model_type", "swin"}, {"embed_dim", 8},   {"depths", {1, 2}},
                     {"num_heads", {2, 4}},  {"image_size", 16}, {"window_size", 4}};
  EXPECT_EQ(refusal(swin, "novel", false), "");
  expect_part(refusal(swin, "depths", {1, 2, 1}),
              "expected a number for each of the 3 stages (at most 16), found 2");
  expect_part(refusal(swin, "depths", 3), "'depths': expected a list of counts, found 3");
  expect_part(refusal(swin, "num_heads", {2, 0}), "'num_heads': expected a list of counts, found [2,0]");
  expect_part(refusal(swin, "num_heads", {3, 6}), "width 8 is not divisible by 3 heads");
  expect_part(refusal(swin, "mlp_ratio", 1e300), "'mlp_ratio': expected a number from 0 to 10000");
  expect_part(refusal(swin, "embed_dim", 1 << 30), "width");
  const Json vit = {{"model_type", "vit"},      {"hidden_size", 8},        {"num_hidden_layers", 1},
                    {"num_attention_heads", 2}, {"intermediate_size", 12}, {"image_size", 16},
                    {"patch_size", 4}};
  EXPECT_EQ(refusal(vit, "encoder_stride", 16), "");
  expect_part(refusal(vit, "image_size", {16, 16, 16}),
              "'image_size': expected a size or [height, width], found");
  expect_part(refusal(vit, "patch_size", {4, -4}),
              "'patch_size': expected a size or [height, width], found [4,-4]");
  expect_part(refusal(vit, "image_size", 18),
              "an image of 18 x 18 pixels is not divisible into patches of 4 x 4");
  expect_part(refusal(vit, "architectures", {"ViTForMaskedImageModeling"}),
              "known are ViTForImageClassification, ViTModel");
}

TEST(Families, OfAnUnknownTypeTheNearestIsNamedAndWhatDiffers) {
  expect_part(
      refused({{"model_type", "llama4"}, {"novel", 3}}),
      "model_type 'llama4' is not known; the nearest is 'llama', which does not take it: key 'novel'");
  expect_part(refused({{"model_type", "smoothie"}}), "which knows every key of this config");
  expect_part(refused({{"model_type", nullptr}}), "'model_type' is missing");
}

TEST(Families, OldAndNewFormsOfRotaryPositionsMeanTheSame) {
  const auto spec = [](const Json& changes) {
    return in_force(spec_of(Config(llama_config_with(changes), "config.json")));
  };
  const Json scaling = {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 64}};
  Json parameters = scaling;
  parameters["rope_theta"] = 5000.0;
  EXPECT_EQ(first_difference(spec({{"rope_theta", 5000.0}, {"rope_scaling", scaling}}),
                             spec({{"rope_parameters", parameters}})),
            "");
}

class Export : public testing::Test {
 protected:
  // A model of these options, exported; its config.
  Json exported(const std::string& model, const HuggingFaceExport& options = {}) {
    const auto spec = Spec::from_json({{"formwork", 1}, {"model", Json::parse(model)}}, "test");
    const auto built = build_model(spec, 5);
    export_hugging_face(built, "nowhere", folder_.path() / "out", options);
    return Json::parse(read_file(folder_.path() / "out" / "config.json"));
  }
  std::string refusal(const std::string& model, const HuggingFaceExport& options = {}) {
    return error_of([&] { exported(model, options); });
  }
  // What was exported is the same model when it is read; its config.
  Json expect_the_same_again(const std::string& model) {
    const auto config = exported(model);
    const auto again = load_model((folder_.path() / "out").string());
    const auto built =
        build_model(Spec::from_json({{"formwork", 1}, {"model", Json::parse(model)}}, "test"), 5);
    EXPECT_EQ(again->inventory().params.size(), built->inventory().params.size());
    for (const auto& param : built->inventory().params)
      EXPECT_TRUE(at::equal(again->inventory().by_name.at(param.name)->value, param.value)) << param.name;
    return config;
  }
  TemporaryFolder folder_;
};

std::string decoder(const std::string& mixer, const std::string& layer = R"("channel": "gated_mlp")",
                    const std::string& more = "") {
  return R"({"type": "decoder", "vocab": 13, "width": 16, "layers": [{"mixer": )" + mixer + ", " + layer +
         "}]" + more + "}";
}

TEST_F(Export, ModelsThatWereNeverTheirsFindAFamily) {
  EXPECT_EQ(exported(decoder(R"({"type": "attention", "heads": 2, "position": "rotary"})"))["model_type"],
            "llama");
  EXPECT_EQ(exported(decoder(
                R"({"type": "attention", "heads": 2, "position": "rotary", "window": 5})"))["model_type"],
            "mistral");
  EXPECT_EQ(exported(decoder(
                R"({"type": "attention", "heads": 2, "position": "rotary", "bias": true})"))["model_type"],
            "qwen2");
  EXPECT_EQ(exported(decoder(R"({"type": "mamba", "d_state": 3})", R"("norm": "rms_norm")"))["model_type"],
            "mamba");
  EXPECT_EQ(exported(decoder(R"({"type": "attention", "heads": 2, "position": "rotary"})",
                             R"("channel": {"type": "experts", "experts": 3, "hidden": 8})"))["model_type"],
            "mixtral");
}

TEST_F(Export, WhatWasWrittenIsReadAgainAsTheSameModel) {
  expect_the_same_again(decoder(R"({"type": "attention", "heads": 4, "kv_heads": 2, "position":
      {"type": "rotary", "base": 500, "scaling": {"type": "linear", "factor": 2}}})"));
}

// As `to_dense` leaves them.
TEST_F(Export, MapsThatAreNamedDenseAreNoObstacle) {
  auto spec = Spec::from_json(
      {{"formwork", 1},
       {"model", Json::parse(decoder(R"({"type": "attention", "heads": 2, "position": "rotary"})"))},
       {"linear", {{"layers.0.mixer.qkv", "dense"}, {"layers.0.mixer.out", {{"type", "dense"}}}}}},
      "test");
  const auto write = [&] {
    export_hugging_face(build_model(spec, 5), "nowhere", folder_.path() / "out", {});
  };
  write();
  EXPECT_EQ(Json::parse(read_file(folder_.path() / "out" / "config.json"))["model_type"], "llama");
  spec.linear["layers.0.mixer.out"]["bias"] = true;
  expect_part(error_of(write), "cannot express linear.layers.0.mixer.out: \"dense\", not nothing");
  spec.linear["layers.0.mixer.out"] = {{"type", "low_rank"}, {"rank", 2}};
  expect_part(error_of(write), "linear map 'layers.0.mixer.out' is kept as \"low_rank\"; expected dense");
}

// A file says by its tensors whether a pooler belongs to an encoder; its config does not.
TEST_F(Export, PoolersAreReadWhereTheyWereWritten) {
  for (const char* head : {R"("hidden")", R"("pooler")"}) {
    const auto model = fmt::format(
        R"({{"type": "encoder", "vocab": 13, "width": 8, "segments": 2, "norm": null, "tie": false,
            "position": {{"type": "learned", "context": 16}}, "stem_norm": "layer_norm", "head": {},
            "layers": [{{"type": "post", "norm": "layer_norm", "channel": {{"type": "mlp", "hidden": 12}},
                         "mixer": {{"type": "attention", "heads": 2, "bias": true, "out_bias": true}}}}]}})",
        head);
    EXPECT_EQ(expect_the_same_again(model)["architectures"], Json::array({"BertModel"})) << head;
  }
}

std::string image_encoder(const std::string& stem, const std::string& layers, const std::string& head) {
  return R"({"type": "image_encoder", "width": 8, "stem": {"type": "patch", )" + stem + R"(}, "layers": )" +
         layers + R"(, "head": )" + head + "}";
}

TEST_F(Export, ModelsOfImagesFindAFamily) {
  const auto block = [](const std::string& mixer, int64_t hidden = 12) {
    return fmt::format(R"({{"norm": "layer_norm", "mixer": {}, "channel": {{"type": "mlp", "hidden": {}}}}})",
                       mixer, hidden);
  };
  const std::string vit = R"({"repeat": 2, "pattern": [)" +
                          block(R"({"type": "attention", "heads": 2, "bias": true, "out_bias": true})") +
                          "]}";
  const auto architecture = [&](const std::string& stem, const std::string& layers, const std::string& head) {
    const auto config = expect_the_same_again(image_encoder(stem, layers, head));
    EXPECT_EQ(
        load_model((folder_.path() / "out").string())->spec().meta["hugging_face"]["config"]["model_type"],
        config["model_type"]);
    return config["architectures"][0].get<std::string>();
  };
  const std::string classes = R"({"type": "classifier", "pool": "first", "classes": 3})";
  EXPECT_EQ(architecture(R"("image": 8, "patch": 4)", vit, classes), "ViTForImageClassification");
  EXPECT_EQ(architecture(R"("image": 8, "image_width": 12, "patch": 4, "channels": 1)", vit, R"("pooler")"),
            "ViTModel");
  EXPECT_EQ(architecture(R"("image": 8, "patch": 4)", vit, R"("hidden")"), "ViTModel");
  const std::string distilled = R"("image": 8, "patch": 4, "distillation_token": true)";
  EXPECT_EQ(architecture(distilled, vit, classes), "DeiTForImageClassification");
  EXPECT_EQ(architecture(distilled, vit, R"({"type": "distilled", "classes": 3})"),
            "DeiTForImageClassificationWithTeacher");
  EXPECT_EQ(architecture(distilled, vit, R"({"type": "pooler", "width": 6, "activation": "gelu"})"),
            "DeiTModel");

  const auto window = [&](int64_t heads, int64_t shift, int64_t hidden) {
    return block(
        fmt::format(R"({{"type": "window_attention", "heads": {}, "window": 3, "shift": {}, "pad": true}})",
                    heads, shift),
        hidden);
  };
  const std::string merging = R"({"type": "patch_merging", "pad": true})",
                    swin = fmt::format("[{}, {}, {}, {}]", window(2, 0, 12), window(2, 1, 12), merging,
                                       window(4, 0, 24));
  const std::string stem =
      R"("image": 12, "patch": 2, "class_token": false, "positions": false, "pad": true, "norm": "layer_norm")";
  EXPECT_EQ(architecture(stem, swin, R"({"type": "classifier", "classes": 3})"),
            "SwinForImageClassification");
  EXPECT_EQ(architecture(stem, swin, R"({"type": "pooler", "pool": "mean", "hidden": false})"), "SwinModel");
  expect_part(refusal(image_encoder(stem, fmt::format("[{}]", window(2, 1, 12)), classes)),
              "family 'swin' cannot express model.layers[0].mixer.shift: 1, not 0");
}

TEST_F(Export, ThePartThatStandsInTheWayIsNamed) {
  expect_part(
      refusal(decoder(R"({"type": "attention", "heads": 2, "position": "rotary", "score": "saturated"})")),
      "model.layers[0].mixer.score: \"saturated\", not \"softmax\"");
  HuggingFaceExport as_llama;
  as_llama.family = "llama";
  expect_part(
      refusal(decoder(R"({"type": "attention", "heads": 2, "position": "rotary", "window": 5})"), as_llama),
      "family 'llama' cannot express model.layers[0].mixer.window: 5, not 0");
  as_llama.family = "lama";
  expect_part(refusal(decoder(R"("mamba")"), as_llama), "did you mean 'llama'?");
}

TEST_F(Export, WeightsMayChangeTheirType) {
  HuggingFaceExport options;
  options.dtype = at::kBFloat16;
  const auto config =
      exported(decoder(R"({"type": "attention", "heads": 2, "position": "rotary"})"), options);
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  for (const auto& [name, tensor] : read_safetensors(folder_.path() / "out"))
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16) << name;
}

TEST(HuggingFaceFolders, BrokenOnesAreRefusedInOneLine) {
  const TemporaryFolder folder;
  const auto config = folder.path() / "config.json";
  const auto error = [&] { return error_of([&] { load_model(folder.path().string()); }); };
  write_atomically(config, "{\"model_type\": ");
  expect_part(error(), "config.json: not valid JSON");
  write_atomically(config, "[1]");
  expect_part(error(), "config.json: expected a JSON object, found array");
  write_atomically(config, llama_config_with({{"quantization_config", {{"bits", 4}}}}).dump());
  expect_part(error(), "'quantization_config': expected null");
  write_atomically(config, llama_config_with(Json::object()).dump());
  expect_part(error(), "found 0 .safetensors files");
  write_atomically(folder.path() / "pytorch_model.bin", "x");
  expect_part(error(), "expected model.safetensors, found pytorch_model.bin");
}

TEST(HuggingFaceFolders, SentenceModulesAreReadAndOthersRefused) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "1_Pooling");
  const auto write = [&](const std::string& name, const Json& json) {
    write_atomically(folder / name, json.dump());
  };
  const auto module = [](const char* type, const char* path) {
    return Json{{"path", path}, {"type", fmt::format("sentence_transformers.models.{}", type)}};
  };
  write("config.json", Json::parse(R"({"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 11,
      "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12})"));
  write("modules.json",
        {module("Transformer", ""), module("Pooling", "1_Pooling"), module("Normalize", "2_N")});
  write("1_Pooling/config.json", {{"pooling_mode_cls_token", true}, {"pooling_mode_mean_tokens", false}});
  const auto head = read_spec(folder.path().string()).model.options.at("head");
  EXPECT_EQ(head, Json::parse(R"({"type": "embedder", "pool": "first", "normalize": true})"));

  const auto error = [&] { return error_of([&] { read_spec(folder.path().string()); }); };
  write("1_Pooling/config.json", {{"pooling_mode_max_tokens", true}});
  expect_part(error(), "expected one pooling of mean, cls and lasttoken, found 'max_tokens'");
  write("modules.json", {module("Transformer", ""), module("Pooling", "../1_Pooling")});
  expect_part(error(), "is not a folder below");
  write("modules.json",
        {module("Transformer", ""), module("Pooling", "1_Pooling"), module("Dense", "2_Dense")});
  write("1_Pooling/config.json", {{"pooling_mode", "mean"}});
  expect_part(error(), "module 'Dense' is not known");
}

}  // namespace
TEST(FirstDifference, TellsAPartThatIsLeftOut) {
  const Json cut = {{"parts", {{"layers.1.mixer", nullptr}}}}, whole = {{"parts", Json::object()}};
  EXPECT_EQ(first_difference(cut, whole), "parts.layers.1.mixer: null, not nothing");
  EXPECT_EQ(first_difference(whole, cut), "parts.layers.1.mixer: nothing, not null");
  EXPECT_EQ(first_difference(cut, cut), "");
}

}  // namespace formwork
