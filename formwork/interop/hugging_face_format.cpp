// Folders of Hugging Face transformers (config.json beside safetensors, sharded or not) and of
// sentence-transformers (modules.json) as models. The families are in interop/families. No LibTorch.
#include "formwork/interop/hugging_face_format.h"

#include <algorithm>
#include <optional>

#include "formwork/core/json_text.h"
#include "formwork/core/wildcard.h"
#include "formwork/interop/families/family.h"
#include "formwork/interop/model_format.h"
#include "formwork/interop/safetensors_shards.h"
#include "formwork/interop/sentence_transformers.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

class HuggingFaceModel final : public StoredModel {
 public:
  explicit HuggingFaceModel(const fs::path& folder)
      : sentence_(SentenceModules::read(folder)),
        folder_(sentence_ ? folder / sentence_->transformer : folder),
        config_(read_json<Json>(folder_ / "config.json"), (folder_ / "config.json").string()) {
    config_.require("quantization_config", nullptr, "quantized checkpoints of others are not read");
  }

  Spec spec() const override {
    auto spec = spec_of(config_);
    if (sentence_) sentence_->apply(spec, folder_.string());
    family_of(config_).family->fit(spec, [this](const std::string& pattern) { return stores(pattern); });
    spec.meta[kHuggingFaceMeta] = {{"config", config_.json()}};
    if (sentence_) spec.meta[kHuggingFaceMeta]["modules"] = sentence_->to_json();
    return spec;
  }

  RawMap tensors(const std::function<Parameters()>& parameters) const override {
    const auto family = Registry<Family>::make(family_of(config_).name);
    const auto all = parameters();
    WeightRules rules(all);
    family->rules(rules);
    return import_weights(rules, SafetensorsShards(weights()).tensors(), family->names(), folder_.string());
  }

  int64_t bytes() const override {
    int64_t total = static_cast<int64_t>(fs::file_size(folder_ / "config.json"));
    for (const auto& item : fs::directory_iterator(folder_))
      if (item.path().extension() == ".safetensors") total += static_cast<int64_t>(item.file_size());
    return total;
  }

 private:
  // A folder without weights holds whatever its config says.
  bool stores(const std::string& pattern) const {
    const auto file = safetensors();
    if (!file) return true;
    const auto names = SafetensorsShards(*file).names();
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return matches(pattern, name); });
  }

  std::optional<fs::path> safetensors() const {
    for (const char* name : {"model.safetensors.index.json", "model.safetensors"})
      if (fs::exists(folder_ / name)) return folder_ / name;
    return std::nullopt;
  }

  fs::path weights() const {
    if (const auto file = safetensors()) return *file;
    if (fs::exists(folder_ / "pytorch_model.bin") || fs::exists(folder_ / "pytorch_model.bin.index.json"))
      fail("{}: expected model.safetensors, found pytorch_model.bin; save it again with save_pretrained",
           folder_.string());
    return folder_;
  }

  std::optional<SentenceModules> sentence_;
  fs::path folder_;
  Config config_;
};

class HuggingFaceFormat final : public ModelFormat {
 public:
  using Options = NoFamilyOptions;
  explicit HuggingFaceFormat(const Options&) {}
  bool accepts(const fs::path& path) const override {
    return fs::is_directory(path) && (fs::exists(path / "config.json") || fs::exists(path / "modules.json"));
  }
  std::unique_ptr<StoredModel> open(const fs::path& path) const override {
    return std::make_unique<HuggingFaceModel>(path);
  }
};

FORMWORK_PART(ModelFormat, HuggingFaceFormat, "hugging_face",
              "a folder with config.json and safetensors, of transformers or sentence-transformers");

}  // namespace
}  // namespace formwork
