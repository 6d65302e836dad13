#include "formwork/interop/gguf_file.h"

#include <cstring>

#include "formwork/core/error.h"
#include "formwork/interop/raw_layout.h"
#include "formwork/kernels/cpu/ggml_block.h"

namespace formwork {
namespace {

[[noreturn]] void wrong_kind(const std::string& path, const std::string& key, const char* expected) {
  fail("{}: metadata '{}': expected {}, found another kind of value", path, key, expected);
}

std::optional<int64_t> as_integer(const GgufValue& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value); number && *number <= INT64_MAX)
    return static_cast<int64_t>(*number);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
  return std::nullopt;
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path)
    : path_(path.string()),
      file_(std::make_shared<const MappedFile>(path)),
      header_(parse_gguf_header(file_->bytes(), path_)) {}

const GgufValue* GgufFile::find(const std::string& key) const {
  const auto found = header_.metadata.find(key);
  return found == header_.metadata.end() ? nullptr : &found->second;
}

const GgufValue& GgufFile::must(const std::string& key) const {
  if (const auto* value = find(key)) return *value;
  fail("{}: metadata '{}' is missing", path_, key);
}

int64_t GgufFile::integer(const std::string& key, std::optional<int64_t> fallback) const {
  if (fallback && !has(key)) return *fallback;
  if (const auto number = as_integer(must(key))) return *number;
  wrong_kind(path_, key, "an integer");
}

bool GgufFile::flag(const std::string& key, std::optional<bool> fallback) const {
  if (fallback && !has(key)) return *fallback;
  if (const auto* flag = std::get_if<bool>(&must(key))) return *flag;
  wrong_kind(path_, key, "a bool");
}

std::string GgufFile::text(const std::string& key, std::optional<std::string> fallback) const {
  if (fallback && !has(key)) return *fallback;
  if (const auto* text = std::get_if<std::string_view>(&must(key))) return std::string(*text);
  wrong_kind(path_, key, "a string");
}

std::vector<std::string_view> GgufFile::strings(const std::string& key) const {
  const auto* array = std::get_if<GgufArray>(&must(key));
  if (!array || array->kind() != GgufKind::string) wrong_kind(path_, key, "an array of strings");
  return array->strings();
}

std::vector<int64_t> GgufFile::integers(const std::string& key) const {
  const auto* array = std::get_if<GgufArray>(&must(key));
  if (!array) wrong_kind(path_, key, "an array of integers");
  std::vector<int64_t> all;
  for (const auto& value : array->values()) {
    const auto number = as_integer(value);
    if (!number) wrong_kind(path_, key, "an array of integers");
    all.push_back(*number);
  }
  return all;
}

std::vector<float> GgufFile::floats_of(const std::string& key) const {
  const auto* array = std::get_if<GgufArray>(&must(key));
  if (!array || array->kind() != GgufKind::f32) wrong_kind(path_, key, "an array of f32");
  std::vector<float> all(array->size());
  std::memcpy(all.data(), array->bytes().data(), array->bytes().size());
  return all;
}

const GgufTensor& GgufFile::info(const std::string& tensor) const {
  const auto found = header_.tensors.find(tensor);
  if (found != header_.tensors.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, entry] : header_.tensors) names.push_back(name);
  const auto near = nearest(tensor, names);
  fail("{}: tensor '{}' is missing{}", path_, tensor,
       near.empty() ? "" : fmt::format("; the nearest is '{}'", escaped(near)));
}

Raw GgufFile::view(const GgufTensor& tensor, std::vector<int64_t> shape, Dtype dtype) const {
  // A smaller alignment than the element's is possible.
  return mapped_raw({dtype, std::move(shape), file_->data() + header_.data_start + tensor.offset, file_});
}

Raw GgufFile::floats(const std::string& name) const {
  const auto& tensor = info(name);
  if (tensor.type->name == std::string_view("f32")) return view(tensor, tensor.shape, Dtype::float32);
  const auto* layout = find_ggml_layout(tensor.type->name);
  if (!layout) fail("{}: tensor '{}': type {} is not read", path_, name, tensor.type->name);
  const int64_t width = tensor.shape.empty() ? 1 : tensor.shape.back();
  auto values = new_raw(Dtype::float32, tensor.shape);
  const auto raw = view(tensor, {static_cast<int64_t>(tensor.bytes)}, Dtype::uint8);
  const int64_t rows = width == 0 ? 0 : values.raw.count() / width;
  ggml_decode({layout->type, rows, width, static_cast<const uint8_t*>(raw.data)}, 0, rows,
              reinterpret_cast<float*>(values.data));
  return values.raw;
}

Raw GgufFile::blocks(const std::string& name) const {
  const auto& tensor = info(name);
  if (tensor.shape.size() != 2)
    fail("{}: tensor '{}': expected a matrix, found [{}]", path_, name, fmt::join(tensor.shape, ", "));
  return view(tensor, {tensor.shape[0], tensor.shape[1] / tensor.type->values, tensor.type->bytes},
              Dtype::uint8);
}

}  // namespace formwork
