#include "formwork/interop/safetensors_shards.h"

#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/core/json_text.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

fs::path only_safetensors_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& item : fs::directory_iterator(folder)) {
    if (item.path().extension() == ".safetensors") found.push_back(item.path());
  }
  if (found.size() == 1) return found.front();
  fail("{}: expected model.safetensors or model.safetensors.index.json, found {} .safetensors files",
       folder.string(), found.size());
}

// The file of a model: itself, or what its folder holds.
fs::path locate(const fs::path& path) {
  if (!fs::is_directory(path)) return path;
  for (const char* name : {"model.safetensors.index.json", "model.safetensors"}) {
    if (fs::exists(path / name)) return path / name;
  }
  return only_safetensors_in(path);
}

nlohmann::json parse_index(const fs::path& path) { return read_json<nlohmann::json>(path); }

// An index comes from elsewhere: it may name files in its own folder only.
void check_shard_name(const std::string& name, const std::string& index) {
  const fs::path path(name);
  if (name.empty() || path != path.filename() || name == "..") {
    fail("{}: shard '{}' is not a file name in the same folder", index, escaped(name));
  }
}

}  // namespace

SafetensorsShards::SafetensorsShards(const fs::path& path) {
  const auto located = locate(path);
  path_ = located.string();
  if (located.extension() == ".json") {
    open_index(located);
  } else {
    open_file(located);
  }
}

void SafetensorsShards::open_file(const fs::path& path) {
  const std::string key = path.filename().string();
  const auto& file = shards_.emplace(key, SafetensorsFile(path)).first->second;
  for (const auto& name : file.names()) homes_.emplace(name, key);
}

void SafetensorsShards::open_index(const fs::path& path) {
  const auto index = parse_index(path);
  const auto weights = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || weights == index.end() || !weights->is_object()) {
    fail("{}: expected an object with a \"weight_map\" object", path_);
  }
  for (const auto& [name, value] : weights->items()) {
    if (!value.is_string()) fail("{}: weight_map of '{}' must be a file name", path_, escaped(name));
    const auto file_name = value.get<std::string>();
    check_shard_name(file_name, path_);
    if (!shards_.contains(file_name)) {
      shards_.emplace(file_name, SafetensorsFile(path.parent_path() / file_name));
    }
    if (!shards_.at(file_name).contains(name)) {
      fail("{}: shard '{}' does not hold tensor '{}'", path_, file_name, escaped(name));
    }
    homes_.emplace(name, file_name);
  }
}

std::vector<std::string> SafetensorsShards::names() const {
  std::vector<std::string> names;
  for (const auto& item : homes_) names.push_back(item.first);
  return names;
}

RawMap SafetensorsShards::tensors() const {
  RawMap tensors;
  for (const auto& [name, file] : homes_) tensors.emplace(name, shards_.at(file).tensor(name));
  return tensors;
}

const SafetensorsFile& SafetensorsShards::shard(const std::string& name) const {
  const auto found = homes_.find(name);
  if (found != homes_.end()) return shards_.at(found->second);
  const std::string near = nearest(name, names());
  if (near.empty()) fail("{}: no tensor '{}' among its {}", path_, name, homes_.size());
  fail("{}: no tensor '{}'; did you mean '{}'?", path_, name, near);
}

std::map<std::string, std::string> SafetensorsShards::metadata() const {
  std::map<std::string, std::string> all;
  for (const auto& item : shards_) all.insert(item.second.metadata().begin(), item.second.metadata().end());
  return all;
}

}  // namespace formwork
