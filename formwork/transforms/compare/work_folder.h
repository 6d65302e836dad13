// What a comparison has finished, kept so that one that was stopped goes on from there:
//
//   FOLDER/values/NAME-KEY.json    {"identity": ..., "value": ...}, written whole or not at all
//   FOLDER/models/NAME-KEY/        models, and trainings that are under way
//
// KEY is a hash of the identity: everything that decides the value. Another identity finds nothing.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "formwork/core/descriptor.h"
#include "formwork/core/tensor.h"

namespace formwork {

class WorkFolder {
 public:
  // Creates the folder where there is none, and holds it until destruction: an Error when another process
  // does, or when it cannot be written.
  explicit WorkFolder(std::filesystem::path folder);

  const std::filesystem::path& path() const { return path_; }
  // The value kept under this name and identity; a file that cannot be read counts as none.
  std::optional<Json> find(const std::string& name, const Json& identity) const;
  void keep(const std::string& name, const Json& identity, const Json& value) const;
  std::filesystem::path model(const std::string& name, const Json& identity) const;

 private:
  std::filesystem::path value(const std::string& name, const Json& identity) const;
  std::filesystem::path path_;
  Descriptor lock_;
};

}  // namespace formwork
