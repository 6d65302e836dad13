#include "formwork/studies/source_commit.h"

#include <set>
#include <sstream>

#include "formwork/core/child_process.h"
#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/data/embedded_text.h"

namespace formwork {
namespace {

std::string git(const std::filesystem::path& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"git", "-C", folder.string()});
  auto result = run_child(arguments);
  if (result.exit_code != 0)
    fail("expected a Git checkout at '{}': {}", folder.string(),
         result.error.substr(0, result.error.find('\n')));
  return std::move(result.output);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

std::string source_commit(const std::filesystem::path& folder) {
  const auto commit = lines_of(git(folder, {"rev-parse", "HEAD"})).at(0);
  const std::filesystem::path root = lines_of(git(folder, {"rev-parse", "--show-toplevel"})).at(0);
  const auto changed = lines_of(git(root, {"diff", "--name-only", "HEAD", "--", "formwork", "cli"}));
  if (!changed.empty())
    fail("'{}' differs from commit {}: commit it first", changed[0], commit.substr(0, 12));
  const auto refuse = [&](const std::string& path) {
    fail("this program was not built from commit {}: '{}' differs; build again", commit.substr(0, 12), path);
  };
  const auto tracked = lines_of(git(root, {"ls-files", "--", "formwork/*.h", "formwork/*.cpp"}));
  std::set<std::string> missing(tracked.begin(), tracked.end());
  for (const auto& source : embedded_sources())
    if (!missing.erase(source.path) || read_file(root / source.path) != source.text) refuse(source.path);
  if (!missing.empty()) refuse(*missing.begin());
  return commit;
}

}  // namespace formwork
