#include "formwork/interop/safetensors_file.h"

#include <algorithm>

#include "formwork/core/error.h"
#include "formwork/interop/raw_layout.h"

namespace formwork {
namespace {

Dtype dtype_of(const std::string& name) {
  const auto& all = safetensors_dtypes();
  return std::find_if(all.begin(), all.end(), [&](const auto& known) { return name == known.name; })->dtype;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path.string()),
      file_(std::make_shared<const MappedFile>(path)),
      header_(parse_safetensors_header(file_->bytes(), path_)) {}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& item : header_.entries) names.push_back(item.first);
  return names;
}

const SafetensorsEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = header_.entries.find(name);
  if (found != header_.entries.end()) return found->second;
  const std::string near = nearest(name, names());
  if (near.empty()) fail("{}: no tensor '{}' among its {}", path_, name, header_.entries.size());
  fail("{}: no tensor '{}'; did you mean '{}'?", path_, name, near);
}

Raw SafetensorsFile::tensor(const std::string& name) const {
  const auto& found = entry(name);
  return mapped_raw(
      {dtype_of(found.dtype), found.shape, file_->data() + header_.data_start + found.begin, file_});
}

}  // namespace formwork
