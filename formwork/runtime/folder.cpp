#include "formwork/runtime/folder.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "formwork/core/json_text.h"
#include "formwork/interop/safetensors_header.h"
#include "formwork/text/byte_tokenizer.h"

namespace formwork::runtime {
namespace {

// Null for the types that no part stores.
const Dtype* dtype_of(const std::string& name) {
  static const std::map<std::string, Dtype> table = {
      {"F64", Dtype::float64}, {"F32", Dtype::float32}, {"F16", Dtype::float16}, {"BF16", Dtype::bfloat16},
      {"I64", Dtype::int64},   {"I32", Dtype::int32},   {"I16", Dtype::int16},   {"I8", Dtype::int8},
      {"U8", Dtype::uint8},    {"BOOL", Dtype::boolean}};
  const auto found = table.find(name);
  return found == table.end() ? nullptr : &found->second;
}

// The files of a model: those of its index, or the one.
std::vector<std::filesystem::path> weight_files(const std::filesystem::path& folder) {
  const auto index = folder / "model.safetensors.index.json";
  if (!std::filesystem::exists(index)) return {folder / "model.safetensors"};
  const auto json = read_json<Json>(index);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    fail("{}: expected an index of shards with a \"weight_map\"", index.string());
  std::set<std::string> names;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    const auto name = file.is_string() ? file.get<std::string>() : std::string();
    if (name.empty() || std::filesystem::path(name).filename() != name)
      fail("{}: '{}': expected the name of a file in this folder, found {}", index.string(), tensor,
           file.dump());
    names.insert(name);
  }
  std::vector<std::filesystem::path> files;
  for (const auto& name : names) files.push_back(folder / name);
  return files;
}

std::unique_ptr<Tokenizer> tokenizer_of(const std::filesystem::path& folder, const Spec& spec,
                                        int64_t vocab) {
  if (has_tokenizer(folder)) return load_tokenizer(folder);
  if (const auto found = spec.meta.find("tokenizer"); found != spec.meta.end())
    return tokenizer_from_json(nlohmann::json::parse(found->dump()), "the model's tokenizer");
  return vocab == 256 && !spec.meta.contains("symbols") ? byte_tokenizer() : nullptr;
}

}  // namespace

Folder::Folder(const std::filesystem::path& path)
    : spec_(Spec::from_file((path / "formwork.json").string())) {
  for (const auto& file : weight_files(path)) map(file);
  model_ = std::make_unique<Model>(spec_, tensors_);
  tokenizer_ = tokenizer_of(path, spec_, model_->vocab());
}

void Folder::map(const std::filesystem::path& path) {
  const auto& file = *files_.emplace_back(std::make_unique<MappedFile>(path));
  const auto header =
      parse_safetensors_header({reinterpret_cast<const char*>(file.data()), file.size()}, path.string());
  for (const auto& [name, entry] : header.entries) {
    const Dtype* dtype = dtype_of(entry.dtype);
    if (!dtype) continue;
    const auto* data = file.data() + header.data_start + entry.begin;
    const auto bytes = static_cast<size_t>(entry.end - entry.begin);
    if (reinterpret_cast<uintptr_t>(data) % static_cast<size_t>(dtype_bytes(*dtype)) != 0) {
      auto& copy = moved_.emplace_back(std::make_unique<std::byte[]>(bytes));
      std::memcpy(copy.get(), data, bytes);
      data = copy.get();
    }
    if (!tensors_.emplace(name, Raw{*dtype, entry.shape, data}).second)
      fail("{}: tensor '{}' is in two files", path.string(), name);
  }
}

}  // namespace formwork::runtime
