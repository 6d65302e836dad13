// Tensors in safetensors files: memory-mapped reading without a copy, deterministic atomic writing.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/file.h"
#include "formwork/interop/safetensors_header.h"

namespace formwork {

using TensorMap = std::map<std::string, at::Tensor>;

// One open file. A malformed file, or a name it lacks, is one Error that names the file.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  std::vector<std::string> names() const;  // sorted
  bool contains(const std::string& name) const { return header_.entries.contains(name); }
  at::ScalarType dtype(const std::string& name) const;
  const std::vector<int64_t>& shape(const std::string& name) const { return entry(name).shape; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

  // A view of the mapped pages that keeps the mapping alive, also when this object is gone. In-place changes
  // stay in this process. Data that the file does not align to its element size is copied instead.
  at::Tensor tensor(const std::string& name) const;
  at::Tensor copy(const std::string& name) const { return tensor(name).clone(); }

 private:
  const SafetensorsEntry& entry(const std::string& name) const;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  SafetensorsHeader header_;
};

// Every tensor as a view, from a .safetensors file, an .index.json of shards, or a folder that holds either.
TensorMap read_safetensors(const std::filesystem::path& path);

// Equal tensors and metadata give equal bytes, the same that the Python package writes. Tensors may be
// strided and on any device; sparse, quantized, meta and undefined ones are Errors. The file appears whole or
// not at all.
void write_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The element type's name in the format; an Error when it has none.
std::string safetensors_dtype_name(at::ScalarType dtype);

}  // namespace formwork
