// Whole files in and out of memory.
#pragma once
#include <filesystem>
#include <string>

namespace formwork {

// Throws Error naming the path when it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace formwork
