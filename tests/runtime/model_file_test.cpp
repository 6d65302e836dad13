// Files of others in the runtime: the logits of the model that was written, weights that stay in the file,
// and what does not fit named in one line.
#include "formwork/runtime/model_file.h"

#include "formwork/interop/families/family.h"
#include "formwork/interop/gguf_export.h"
#include "formwork/interop/gguf_file.h"
#include "formwork/interop/gguf_writer.h"
#include "formwork/interop/hugging_face.h"
#include "formwork/interop/safetensors.h"
#include "interop/gguf_models.h"
#include "runtime/fixtures.h"

namespace formwork {
namespace {

using runtime::ModelFile;

Tensor logits_of_file(const std::filesystem::path& path, const std::vector<int64_t>& ids) {
  const ModelFile file(path);
  runtime::SessionOptions options;
  runtime::Session session(file.model(), options);
  const auto values = all_logits(session, 0, ids);
  return at::tensor(values).view({static_cast<int64_t>(ids.size()), -1});
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

std::string error_at(const std::filesystem::path& path) {
  return error_of([&] { ModelFile{path}; });
}

TEST(GgufInTheRuntime, EveryArchitectureComputesWhatWasWritten) {
  const TemporaryFolder folder;
  const auto ids = some_ids(13, 0, 48);
  for (const auto& [name, spec] : gguf_specs()) {
    SCOPED_TRACE(name);
    const auto model = random_model(spec);
    export_gguf(model, folder / "model.gguf");
    const auto wanted = plain_logits(*model, ids);
    EXPECT_LT(gap(logits_of_file(folder / "model.gguf", ids), wanted), 2e-5);
    EXPECT_GT(wanted.abs().max().item<double>(), 0.05);
  }
}

TEST(GgufInTheRuntime, BlocksAreThoseOfTheFullProgram) {
  const TemporaryFolder folder;
  const auto ids = some_ids(13, 0, 48);
  const auto path = folder / "model.gguf";
  for (const char* type : {"f16", "bf16", "q8_0", "q4_1", "q6_k"}) {
    export_gguf(random_model(gguf_specs().at("llama/tied")), path, type);
    const auto model = load_model(path.string());
    EXPECT_LT(gap(logits_of_file(path, ids), plain_logits(*model, ids)), 2e-2) << type;
  }
}

// The tensors of a GGUF file of f32, written anew: `edit` may change a shape, or leave a tensor out by saying
// no.
void rewrite(const std::filesystem::path& from, const std::filesystem::path& to,
             const std::function<bool(const std::string& name, std::vector<int64_t>& shape)>& edit,
             const std::string& architecture = "") {
  const GgufFile file(from);
  GgufWriter writer;
  for (const auto& [key, value] : file.header().metadata)
    if (key == "general.architecture" && !architecture.empty())
      writer.add_text(key, architecture);
    else
      writer.add(key, value);
  for (const auto& [name, tensor] : file.header().tensors) {
    auto shape = tensor.shape;
    if (!edit(name, shape)) continue;
    const Raw raw = file.floats(name);
    writer.add_tensor(name, *tensor.type, shape, [raw](const GgufSink& sink) {
      sink({static_cast<const char*>(raw.data), static_cast<size_t>(raw.bytes())});
    });
  }
  writer.write(to);
}

class BrokenGguf : public testing::Test {
 protected:
  BrokenGguf() { export_gguf(random_model(gguf_specs().at("llama")), good_); }
  TemporaryFolder folder_;
  std::filesystem::path good_ = folder_ / "good.gguf", bad_ = folder_ / "bad.gguf";
};

TEST_F(BrokenGguf, WhatIsMissingOrDoesNotFitIsNamed) {
  const auto bad = bad_.string();
  rewrite(good_, bad_, [](const auto& name, auto&) { return name != "blk.1.attn_k.weight"; });
  EXPECT_EQ(error_at(bad_).find(bad + ": tensor 'blk.1.attn_k.weight' is missing; the nearest is 'blk."), 0u)
      << error_at(bad_);
  rewrite(good_, bad_, [](const auto& name, auto& shape) {
    if (name == "blk.0.ffn_down.weight") std::swap(shape[0], shape[1]);
    return true;
  });
  EXPECT_EQ(error_at(bad_),
            bad + ": tensor 'blk.0.ffn_down.weight': expected shape [64, 96], found [96, 64]");
  EXPECT_EQ(error_of([&] { load_model(bad); }), error_at(bad_)) << "the full program says the same";
  const auto all = [](const auto&, auto&) { return true; };
  rewrite(good_, bad_, all, "lama");
  EXPECT_NE(error_at(bad_).find("architecture 'lama'; did you mean 'llama'?"), std::string::npos)
      << error_at(bad_);
}

TEST_F(BrokenGguf, EveryShortenedFileIsRefused) {
  const auto bytes = read_file(good_);
  for (size_t part = 0; part < 16; ++part) {
    write_atomically(bad_, std::string_view(bytes).substr(0, bytes.size() * part / 16));
    EXPECT_NE(error_at(bad_).find(bad_.string()), std::string::npos) << part;
  }
}

// Models of families that are written for models of Formwork's own.
std::map<std::string, Json> family_specs() {
  const Json rotary = {{"type", "attention"}, {"heads", 4}, {"kv_heads", 2}, {"position", "rotary"}};
  Json windowed = rotary, biased = rotary;
  windowed["window"] = 5, biased["bias"] = true;
  const auto model = [](const Json& layer, const Json& more = Json::object()) {
    Json spec = gguf_decoder(layer, more);
    spec["model"]["tie"] = false;
    return spec;
  };
  const Json norm = "rms_norm",
             experts = {{"type", "experts"}, {"experts", 3}, {"active", 2}, {"hidden", 40}};
  Json gpt2 = gguf_specs().at("gpt2");
  return {{"llama", model(gated_layer(rotary, "silu", norm))},
          {"mistral", model(gated_layer(windowed, "silu", norm))},
          {"qwen2", model(gated_layer(biased, "silu", norm))},
          {"mixtral", model({{"norm", norm}, {"mixer", rotary}, {"channel", experts}})},
          {"mamba", model({{"norm", norm}, {"mixer", {{"type", "mamba"}, {"d_state", 5}}}})},
          {"gpt2", gpt2}};
}

TEST(HuggingFaceInTheRuntime, EveryFamilyComputesWhatWasWritten) {
  const auto ids = some_ids(13, 0, 48);
  for (const auto& [name, spec] : family_specs()) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    const auto model = random_model(spec);
    HuggingFaceExport options;
    options.family = name;
    export_hugging_face(model, "nowhere", folder.path(), options);
    const auto wanted = plain_logits(*model, ids);
    EXPECT_LT(gap(logits_of_file(folder.path(), ids), wanted), 2e-5);
    EXPECT_GT(wanted.abs().max().item<double>(), 0.05);
  }
}

// A folder of a Llama with fused maps.
class LlamaFolder : public testing::Test {
 protected:
  LlamaFolder() : model_(random_model(family_specs().at("llama"))) {
    export_hugging_face(model_, "nowhere", folder_.path());
    tensors_ = read_safetensors(weights());
  }
  std::filesystem::path weights() const { return folder_ / "model.safetensors"; }
  std::string error_with(const std::function<void(TensorMap&)>& edit) {
    auto tensors = tensors_;
    edit(tensors);
    write_safetensors(weights(), tensors);
    return error_at(folder_.path());
  }
  std::string error_with_config(const std::string& key, const Json& value) {
    Json config = Json::parse(read_file(folder_ / "config.json"));
    config[key] = value;
    const TemporaryFolder other;
    write_safetensors(other / "model.safetensors", tensors_);
    write_atomically(other / "config.json", config.dump());
    return error_at(other.path());
  }
  std::string in_folder(const std::string& rest) const { return folder_.path().string() + ": " + rest; }

  TemporaryFolder folder_;
  std::shared_ptr<Model> model_;
  TensorMap tensors_;
};

TEST_F(LlamaFolder, WeightsStayInTheFile) {
  const auto stored = open_model(folder_.path());
  const auto tensors = stored->tensors([&] { return runtime::Model::parameters(stored->spec()); });
  const auto& file = tensors.at("embed.weight").owner;
  ASSERT_TRUE(file);
  for (const auto& [name, raw] : tensors) {
    if (name.ends_with("inverse_frequency")) continue;
    const bool fused = name.ends_with("qkv.weight") || name.ends_with("gate_up.weight");
    EXPECT_EQ(raw.pieces.size(), !fused ? 0u : name.ends_with("qkv.weight") ? 3u : 2u) << name;
    if (raw.pieces.empty()) EXPECT_EQ(raw.owner, file) << name;
    for (const auto& piece : raw.pieces) EXPECT_EQ(piece.owner, file) << name;
  }
}

TEST_F(LlamaFolder, TheRuntimeAsksForTheTensorsOfTheFullProgram) {
  for (const auto& [name, spec] : family_specs()) {
    const auto model = random_model(spec);
    const auto asked = runtime::Model::parameters(model->spec()), known = parameters_of(model->inventory());
    ASSERT_EQ(asked.size(), known.size()) << name;
    for (const auto& [param, entry] : known) {
      EXPECT_EQ(asked.at(param).shape(), entry.shape()) << name << " " << param;
      ASSERT_EQ(!asked.at(param).fixed, !entry.fixed) << name << " " << param;
      if (entry.fixed)
        EXPECT_EQ(to_floats(asked.at(param).fixed(), param), to_floats(entry.fixed(), param)) << param;
    }
  }
}

TEST_F(LlamaFolder, ShardsAreOneModel) {
  TensorMap first, second;
  Json map;
  for (const auto& [name, tensor] : tensors_) {
    const bool even = map.size() % 2 == 0;
    (even ? first : second)[name] = tensor;
    map[name] = even ? "a.safetensors" : "b.safetensors";
  }
  const auto ids = some_ids(13, 0, 48);
  const auto whole = logits_of_file(folder_.path(), ids);
  write_safetensors(folder_ / "a.safetensors", first);
  write_safetensors(folder_ / "b.safetensors", second);
  write_atomically(folder_ / "model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  std::filesystem::remove(weights());
  EXPECT_TRUE(at::equal(logits_of_file(folder_.path(), ids), whole));
}

TEST_F(LlamaFolder, WhatIsMissingOrDoesNotFitIsNamed) {
  const std::string key = "model.layers.1.self_attn.k_proj.weight";
  EXPECT_EQ(error_with([&](TensorMap& t) {
              t.erase(key);
            }).find(in_folder("tensor '" + key + "' is missing; the nearest is 'model.layers.")),
            0u);
  EXPECT_EQ(error_with([&](TensorMap& t) {
              t[key] = at::zeros({31, 64});
            }),
            in_folder("tensor '" + key + "': expected shape [32, 64], found [31, 64]"));
  EXPECT_EQ(error_with([&](TensorMap& t) { t[key] = t.at(key).to(at::kHalf); }),
            in_folder("tensor '" + key +
                      "': expected float32, which 'model.layers.1.self_attn.q_proj.weight' "
                      "is, found float16"));
  EXPECT_EQ(error_with([&](TensorMap& t) { t["stranger"] = at::zeros({2}); }),
            in_folder("tensor 'stranger' [2] has no place in the model that the config describes"));
  EXPECT_NE(error_with([&](TensorMap& t) {
              for (auto& [name, tensor] : t) tensor = tensor.to(at::kInt);
            }).find("expected floating numbers, found int32"),
            std::string::npos);
}

TEST_F(LlamaFolder, ConfigsWithoutARuntimeFormAreRefusedByThePart) {
  EXPECT_NE(error_with_config("model_type", "lama")
                .find("model_type 'lama' is not known; the nearest is 'llama', which knows every key"),
            std::string::npos);
  EXPECT_EQ(error_with_config("architectures", {"LlamaModel"}),
            "head: head 'hidden' has no runtime form; those that have: lm");
  EXPECT_NE(
      error_with_config("vocab_size", int64_t{1} << 31).find("option 'vocab' must be an integer in [1, "),
      std::string::npos);
  EXPECT_NE(error_with_config("vocab_size", 1 << 30).find("expected shape [1073741824, 64], found [48, 64]"),
            std::string::npos);
  EXPECT_NE(error_with_config("num_hidden_layers", 1000).find("'model.layers.2.input_layernorm.weight' is"),
            std::string::npos);
  const TemporaryFolder encoder;
  write_atomically(
      encoder / "config.json",
      R"({"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 11, "hidden_size": 8,
                       "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12})");
  EXPECT_EQ(error_at(encoder.path()), "model 'encoder' has no runtime form; those that have: decoder");
}

TEST_F(LlamaFolder, EveryShortenedFileIsRefused) {
  const auto bytes = read_file(weights());
  for (size_t part = 0; part < 16; ++part) {
    write_atomically(weights(), std::string_view(bytes).substr(0, bytes.size() * part / 16));
    EXPECT_NE(error_at(folder_.path()).find(weights().string()), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace formwork
