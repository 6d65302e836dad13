// GGUF files of every architecture: what is written is what is read.
#include <gtest/gtest.h>

#include "formwork/interop/gguf_export.h"
#include "formwork/interop/gguf_file.h"
#include "formwork/interop/hugging_face.h"
#include "formwork/interop/raw_tensor.h"
#include "formwork/models/model_io.h"
#include "formwork/transforms/transform.h"
#include "interop/gguf_models.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

Tensor logits(Model& model) {
  const at::NoGradGuard guard;
  at::manual_seed(6);
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_ids", at::randint(48, {2, 11}, at::kLong)}}).at("logits");
}

double relative_gap(const Tensor& a, const Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }

TEST(Gguf, ReadsBackEveryArchitecture) {
  const TemporaryFolder folder;
  for (const auto& [name, spec] : gguf_specs()) {
    SCOPED_TRACE(name);
    const auto model = random_model(spec);
    const auto path = folder / "model.gguf";
    EXPECT_TRUE(export_gguf(model, path).empty());
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
  const auto model = random_model(gguf_specs().at("llama"));
  const auto wanted = logits(*model);
  const std::map<std::string, double> most = {{"f32", 1e-5}, {"f16", 2e-3}, {"bf16", 2e-2}, {"q8_0", 5e-2},
                                              {"q4_0", 0.6}, {"q4_1", 0.6}, {"q6_k", 0.1}};
  for (const auto& [type, bound] : most) {
    export_gguf(model, folder / "model.gguf", type);
    EXPECT_LT(relative_gap(logits(*load_model((folder / "model.gguf").string())), wanted), bound) << type;
  }
}

TEST(Gguf, SaysWhatStandsInForAType) {
  const TemporaryFolder folder;
  const auto model = random_model(gguf_specs().at("llama"));
  const auto path = folder / "model.gguf";
  const auto notes = export_gguf(model, path, "q4_k");
  ASSERT_FALSE(notes.empty());
  const GgufFile file(path);
  EXPECT_EQ(std::string(file.info("blk.0.attn_q.weight").type->name), "q4_1");
  EXPECT_EQ(std::string(file.info("output.weight").type->name), "q8_0");
  EXPECT_EQ(std::string(file.info("blk.1.ffn_norm.weight").type->name), "f32");
}

TEST(Gguf, WritesBlocksAsItReadThem) {
  const TemporaryFolder folder;
  for (const char* type : {"f16", "q8_0", "q4_1"}) {
    export_gguf(random_model(gguf_specs().at("llama/tied")), folder / "a.gguf", type);
    const auto model = load_model((folder / "a.gguf").string());
    export_gguf(model, folder / "b.gguf");
    const GgufFile a(folder / "a.gguf"), b(folder / "b.gguf");
    ASSERT_EQ(a.header().tensors.size(), b.header().tensors.size());
    for (const auto& [name, tensor] : a.header().tensors) {
      ASSERT_EQ(std::string(tensor.type->name), b.info(name).type->name) << name;
      if (tensor.shape.size() == 2)
        EXPECT_TRUE(at::equal(tensor_of(a.blocks(name)), tensor_of(b.blocks(name)))) << name;
      else
        EXPECT_TRUE(at::equal(tensor_of(a.floats(name)), tensor_of(b.floats(name)))) << name;
    }
  }
}

TEST(Gguf, ReadsBlocksWhereTheFileHasThem) {
  const TemporaryFolder folder;
  export_gguf(random_model(gguf_specs().at("llama")), folder / "a.gguf", "q4_1");
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

std::shared_ptr<Model> dense_model(const std::filesystem::path& path) {
  const Calibration none;
  return Registry<Transform>::make(PartSpec("to_dense"))->apply(load_model(path.string()), none).model;
}

// A file's rotary pairs are neighbours, those of every family of transformers half a head apart.
TEST(Gguf, BecomesAFolderOfTransformers) {
  const TemporaryFolder folder;
  for (const char* name : {"llama", "llama/tied", "qwen2"}) {
    SCOPED_TRACE(name);
    export_gguf(random_model(gguf_specs().at(name)), folder / "model.gguf");
    const auto model = dense_model(folder / "model.gguf");
    export_hugging_face(model, folder / "model.gguf", folder / "folder");
    const auto again = load_model((folder / "folder").string());
    EXPECT_LT((logits(*again) - logits(*model)).abs().max().item<double>(), 2e-5);
  }
}

TEST(Gguf, WithFrequenciesOfItsOwnBecomesNoFolder) {
  const TemporaryFolder folder;
  export_gguf(random_model(gguf_specs().at("llama/scaled")), folder / "model.gguf");
  const auto model = dense_model(folder / "model.gguf");
  try {
    export_hugging_face(model, folder / "model.gguf", folder / "folder");
    FAIL() << "was exported";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("inverse_frequency' has values that no config can say"),
              std::string::npos)
        << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "folder"));
}

TEST(Gguf, RefusesWhatNoArchitectureExpresses) {
  const TemporaryFolder folder;
  Json spec = gguf_specs().at("llama");
  spec["model"]["layers"]["pattern"][0]["mixer"]["position"] = "alibi";
  const auto refused = [&](const Json& spec) {
    try {
      export_gguf(random_model(spec), folder / "x.gguf");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(refused(spec).find("no architecture"), std::string::npos) << refused(spec);
  spec = gguf_specs().at("llama");
  spec["model"]["layers"]["pattern"][0]["channel"]["activation"] = "relu";
  EXPECT_NE(refused(spec).find("activation"), std::string::npos) << refused(spec);
  EXPECT_FALSE(std::filesystem::exists(folder / "x.gguf"));
}

}  // namespace
}  // namespace formwork
