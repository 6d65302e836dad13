// Which commit a program was built from, so that a recorded result can be measured again.
#pragma once
#include <filesystem>
#include <string>

namespace formwork {

// The commit that is checked out around `folder` (Git). Throws where there is no checkout, and where the
// sources that the library carries (formwork/) are not those of that commit, naming the first that differs:
// the result would bear the name of another program.
std::string source_commit(const std::filesystem::path& folder);

}  // namespace formwork
