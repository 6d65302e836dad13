#include "formwork/interop/model_format.h"

#include "formwork/core/error.h"
#include "formwork/interop/safetensors_shards.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

FORMWORK_KIND(ModelFormat);

namespace {

namespace fs = std::filesystem;

bool is_ours(const fs::path& path) { return fs::exists(path / "formwork.json"); }

// formwork.json (the Spec) beside model.safetensors (each tensor once).
class OwnFolder final : public StoredModel {
 public:
  explicit OwnFolder(fs::path folder) : folder_(std::move(folder)) {}
  Spec spec() const override {
    if (!fs::exists(folder_)) fail("cannot read '{}': no such file or folder", folder_.string());
    if (!is_ours(folder_))
      fail("{}: expected a model: a folder with formwork.json or config.json, or a .gguf file",
           folder_.string());
    return Spec::from_file((folder_ / "formwork.json").string());
  }
  RawMap tensors(const std::function<Parameters()>&) const override {
    return SafetensorsShards(folder_).tensors();
  }
  int64_t bytes() const override {
    return static_cast<int64_t>(fs::file_size(folder_ / "model.safetensors") +
                                fs::file_size(folder_ / "formwork.json"));
  }

 private:
  fs::path folder_;
};

// The format that accepts a path that is not ours; null: none.
std::unique_ptr<ModelFormat> format_of(const fs::path& path) {
  for (const auto& name : Registry<ModelFormat>::names())
    if (auto format = Registry<ModelFormat>::make(name); format->accepts(path)) return format;
  return nullptr;
}

}  // namespace

std::unique_ptr<StoredModel> open_model(const fs::path& path) {
  if (!is_ours(path))
    if (const auto format = format_of(path)) return format->open(path);
  return std::make_unique<OwnFolder>(path);
}

bool holds_model(const fs::path& path) {
  return is_ours(path) ? fs::exists(path / "model.safetensors") : format_of(path) != nullptr;
}

Spec spec_of_model(const StoredModel& model, const fs::path& path) {
  auto spec = model.spec();
  if (spec.meta.contains("tokenizer") || !has_tokenizer(path)) return spec;
  const auto file = path / "tokenizer.json";
  spec.meta["tokenizer"] = fs::exists(file) ? file.string() : path.string();
  return spec;
}

}  // namespace formwork
