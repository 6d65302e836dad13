// Models in several safetensors files, joined by an index: {"weight_map": {tensor name: file name}}. No
// LibTorch.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formwork/interop/safetensors_file.h"

namespace formwork {

// Every shard is opened and checked at once (mappings cost no memory), so a missing or damaged shard is
// reported before anything is used.
class SafetensorsShards {
 public:
  // `path`: a .safetensors file, an index (.json), or a folder with model.safetensors.index.json,
  // model.safetensors, or else exactly one other .safetensors file.
  explicit SafetensorsShards(const std::filesystem::path& path);

  std::vector<std::string> names() const;  // sorted
  bool contains(const std::string& name) const { return homes_.contains(name); }
  Raw tensor(const std::string& name) const { return shard(name).tensor(name); }  // see SafetensorsFile
  RawMap tensors() const;
  // Of all shards together; where they differ, the first file by name holds.
  std::map<std::string, std::string> metadata() const;

 private:
  void open_file(const std::filesystem::path& path);
  void open_index(const std::filesystem::path& path);
  const SafetensorsFile& shard(const std::string& name) const;

  std::string path_;
  std::map<std::string, SafetensorsFile> shards_;  // by file name
  std::map<std::string, std::string> homes_;       // tensor name -> file name
};

}  // namespace formwork
