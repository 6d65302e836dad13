// An open GGUF file: typed metadata, and tensors as views of the mapped pages. No LibTorch.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formwork/core/file.h"
#include "formwork/core/raw.h"
#include "formwork/interop/gguf_header.h"

namespace formwork {

class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  const std::string& path() const { return path_; }
  const GgufHeader& header() const { return header_; }
  int64_t bytes() const { return static_cast<int64_t>(file_->size()); }

  // Metadata. Without a fallback the key is required; a value of another kind is an Error.
  bool has(const std::string& key) const { return header_.metadata.contains(key); }
  int64_t integer(const std::string& key, std::optional<int64_t> fallback = {}) const;
  bool flag(const std::string& key, std::optional<bool> fallback = {}) const;
  std::string text(const std::string& key, std::optional<std::string> fallback = {}) const;
  std::vector<std::string_view> strings(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key) const;
  std::vector<float> floats_of(const std::string& key) const;

  bool contains(const std::string& tensor) const { return header_.tensors.contains(tensor); }
  const GgufTensor& info(const std::string& tensor) const;
  // float32 values of the tensor's shape: a view where the file holds them so.
  Raw floats(const std::string& tensor) const;
  // A matrix in blocks as the file holds it, [out, blocks, bytes] uint8, a view.
  Raw blocks(const std::string& tensor) const;

 private:
  const GgufValue* find(const std::string& key) const;
  const GgufValue& must(const std::string& key) const;
  Raw view(const GgufTensor& tensor, std::vector<int64_t> shape, Dtype dtype) const;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  GgufHeader header_;
};

}  // namespace formwork
