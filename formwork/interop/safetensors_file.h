// An open safetensors file: tensors as views of the mapped pages. No LibTorch.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/file.h"
#include "formwork/interop/safetensors_header.h"

namespace formwork {

// A malformed file, or a name it lacks, is one Error that names the file.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  std::vector<std::string> names() const;  // sorted
  bool contains(const std::string& name) const { return header_.entries.contains(name); }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

  // A view of the mapped pages that keeps the mapping alive, also when this object is gone. Data that the
  // file does not align to its element size is copied instead.
  Raw tensor(const std::string& name) const;

 private:
  const SafetensorsEntry& entry(const std::string& name) const;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  SafetensorsHeader header_;
};

}  // namespace formwork
