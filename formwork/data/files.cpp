#include "formwork/data/files.h"

#include <fstream>
#include <iterator>

#include "formwork/core/error.h"

namespace formwork {

std::string read_file(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::exists(path, code)) fail("{}: no such file", path.string());
  if (std::filesystem::is_directory(path, code)) fail("{}: expected a file, found a folder", path.string());
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: could not be opened for reading", path.string());
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) fail("{}: reading failed", path.string());
  return content;
}

}  // namespace formwork
