// GGUF files as models: metadata become a Spec whose maps keep their matrices in the file's own blocks, and
// parameters are views of the mapped file. No LibTorch.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "formwork/core/error.h"
#include "formwork/interop/gguf_architectures.h"
#include "formwork/interop/gguf_file.h"
#include "formwork/interop/model_format.h"
#include "formwork/kernels/cpu/ggml_block.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

// The file's scalars of the architecture, and what the tensors say.
Json metadata_of(const GgufFile& file, const std::string& architecture) {
  const std::string prefix = architecture + ".";
  Json metadata = Json::object();
  for (const auto& [key, value] : file.header().metadata) {
    if (!key.starts_with(prefix)) continue;
    std::visit(
        [&, name = key.substr(prefix.size())](const auto& v) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(v)>, GgufArray>) metadata[name] = v;
        },
        value);
  }
  const auto& shape = file.info("token_embd.weight").shape;
  if (shape.size() != 2)
    fail("{}: tensor 'token_embd.weight': expected a matrix, found [{}]", file.path(),
         fmt::join(shape, ", "));
  metadata["vocab"] = shape[0];
  metadata["tied"] = !file.contains("output.weight");
  return metadata;
}

// How the maps are kept: one entry for a kind of map where all layers agree, otherwise one each.
class MapTable {
 public:
  void add(const std::string& path, const Json& entry) {
    const bool nested = std::isdigit(static_cast<unsigned char>(path.back()));
    if (nested) {
      table_[path.substr(0, path.rfind('.'))] = "stacked";
      if (!entry.is_null()) table_[path] = entry;
      return;
    }
    if (!entry.is_null()) table_[path] = entry;
  }
  Json table() const {
    Json result = Json::object();
    for (const auto& [path, entry] : table_) result[path] = entry;
    return result;
  }

 private:
  std::map<std::string, Json> table_;
};

bool is_map(const std::string& path) {
  return !path.ends_with("norm") && !path.ends_with("norm_after") && path != "position";
}

Json maps_of(const GgufFile& file, const std::string& architecture) {
  MapTable maps;
  for (const auto& [name, tensor] : file.header().tensors) {
    if (!name.ends_with(".weight")) continue;
    const auto path = path_of_gguf(architecture, name.substr(0, name.size() - std::strlen(".weight")));
    if (path.empty() || !is_map(path)) continue;
    const std::string type = tensor.type->name;
    if (type != "f32" && !find_ggml_layout(type)) {
      std::vector<std::string> known = {"f32"};
      for (const auto& layout : ggml_layouts()) known.emplace_back(layout.name);
      fail("{}: tensor '{}': type {} is not read; read are {}", file.path(), escaped(name), type,
           fmt::join(known, ", "));
    }
    maps.add(path, type == "f32" ? Json() : Json{{"type", "ggml_block"}, {"format", type}});
  }
  return maps.table();
}

class GgufModel final : public StoredModel {
 public:
  explicit GgufModel(const fs::path& path) : file_(path), architecture_(file_.text("general.architecture")) {}

  Spec spec() const override {
    const auto& known = gguf_architectures();
    if (std::find(known.begin(), known.end(), architecture_) == known.end())
      fail_unknown(file_.path() + ": architecture", escaped(architecture_), known);
    const Json metadata = metadata_of(file_, architecture_);
    Spec spec;
    spec.model = PartSpec::from_json(gguf_model(architecture_, metadata, file_.path()), file_.path());
    spec.linear = maps_of(file_, architecture_);
    spec.meta["gguf"] = {{"architecture", architecture_}, {"metadata", metadata}};
    if (file_.has("tokenizer.ggml.model")) spec.meta["tokenizer"] = file_.path();
    return spec;
  }

  RawMap tensors(const std::function<Parameters()>& parameters) const override {
    RawMap tensors;
    std::set<std::string> read = {"rope_freqs.weight"};
    for (const auto& [ours, param] : parameters()) {
      if (param.shared) continue;
      const auto dot = ours.rfind('.');
      const std::string path = ours.substr(0, dot), suffix = ours.substr(dot);
      if (suffix == ".inverse_frequency") {
        tensors[ours] = frequencies(param);
        continue;
      }
      const auto theirs = gguf_name(path) + (suffix == ".bias" ? ".bias" : ".weight");
      tensors[ours] = suffix == ".blocks" ? file_.blocks(theirs) : file_.floats(theirs);
      check_shape(theirs, tensors[ours].shape, param.shape());
      read.insert(theirs);
    }
    for (const auto& [name, tensor] : file_.header().tensors)
      if (!read.contains(name))
        fail("{}: tensor '{}' [{}] has no place in a model of architecture {}", file_.path(), escaped(name),
             fmt::join(tensor.shape, ", "), architecture_);
    return tensors;
  }

  int64_t bytes() const override { return file_.bytes(); }

 private:
  void check_shape(const std::string& theirs, const std::vector<int64_t>& found,
                   const std::vector<int64_t>& expected) const {
    if (found != expected)
      fail("{}: tensor '{}': expected shape [{}], found [{}]", file_.path(), theirs,
           fmt::join(expected, ", "), fmt::join(found, ", "));
  }

  // Those of the Spec, divided by the factors that the file may hold.
  Raw frequencies(const Parameter& param) const {
    const Raw value = param.fixed();
    if (!file_.contains("rope_freqs.weight")) return value;
    const auto factors = to_floats(file_.floats("rope_freqs.weight"), "rope_freqs.weight");
    const auto count = static_cast<size_t>(value.count()), pairs = factors.size();
    if (2 * pairs != count)
      fail("{}: tensor 'rope_freqs.weight': expected {} factors, found {}", file_.path(), count / 2, pairs);
    auto made = new_raw(value.dtype, value.shape);
    const auto divide = [&]<class T>(const T* from) {
      auto* to = reinterpret_cast<T*>(made.data);
      const bool interleaved = gguf_interleaved(architecture_);
      for (size_t i = 0; i < count; ++i) to[i] = from[i] / factors[interleaved ? i / 2 : i % pairs];
    };
    // Exactness tests build in double.
    if (value.dtype == Dtype::float64)
      divide(static_cast<const double*>(value.data));
    else
      divide(static_cast<const float*>(value.data));
    return made.raw;
  }

  GgufFile file_;
  std::string architecture_;
};

class GgufFormat final : public ModelFormat {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  explicit GgufFormat(const Options&) {}
  bool accepts(const fs::path& path) const override {
    return fs::is_regular_file(path) && path.extension() == ".gguf";
  }
  std::unique_ptr<StoredModel> open(const fs::path& path) const override {
    return std::make_unique<GgufModel>(path);
  }
};

FORMWORK_PART(ModelFormat, GgufFormat, "gguf", "a .gguf file of llama, qwen2, gpt2, gemma or gemma2");

}  // namespace
}  // namespace formwork
