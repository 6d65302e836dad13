// A folder for one test's files, and the message of the Error that an action throws.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>

#include "error_of.h"
#include "formwork/core/error.h"

namespace formwork {

class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& parent = std::filesystem::temp_directory_path())
      : path_(parent / fmt::format("formwork-interop-{}-{}", ::getpid(), next_++)) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  static inline int next_ = 0;
  std::filesystem::path path_;
};

}  // namespace formwork
