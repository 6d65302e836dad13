#include "formwork/interop/checkpoint_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>

#include "formwork/core/descriptor.h"
#include "formwork/core/error.h"
#include "formwork/core/file.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kTemporaryPrefix = ".unfinished-";
constexpr const char* kManifest = "checkpoint.json";

// Holds the folder for one saver. The kernel lets go when the process dies, so a crash leaves no lock behind.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder)
      : folder_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (!folder_.is_open()) fail_file("open", folder);
    while (::flock(folder_.get(), LOCK_EX) != 0) {
      if (errno != EINTR) fail_file("lock", folder);
    }
  }
  // Closing alone would leave the lock with children that inherited the descriptor.
  ~FolderLock() { ::flock(folder_.get(), LOCK_UN); }
  FolderLock(const FolderLock&) = delete;

 private:
  Descriptor folder_;
};

std::string step_name(int64_t step) { return fmt::format("{}{:012}", kPrefix, step); }

std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const char* begin = name.data() + kPrefix.size();
  const char* end = name.data() + name.size();
  int64_t step = 0;
  const auto [stop, error] = std::from_chars(begin, end, step);
  if (error != std::errc() || stop != end || step < 0 || name != step_name(step)) return std::nullopt;
  return step;
}

// File name below `folder` -> bytes, for all its files but the manifest.
std::map<std::string, uintmax_t> sizes_below(const fs::path& folder) {
  std::map<std::string, uintmax_t> sizes;
  for (const auto& item : fs::recursive_directory_iterator(folder)) {
    if (item.is_directory()) continue;
    const auto name = item.path().lexically_relative(folder).string();
    if (name != kManifest) sizes.emplace(name, item.file_size());
  }
  return sizes;
}

void write_manifest(const fs::path& folder, int64_t step) {
  const nlohmann::json manifest{{"version", 1}, {"step", step}, {"files", sizes_below(folder)}};
  write_atomically(folder / kManifest, manifest.dump(1) + "\n");
}

bool is_complete(const fs::path& folder, int64_t step) {
  try {
    const auto manifest = nlohmann::json::parse(read_file(folder / kManifest));
    if (manifest.at("step").get<int64_t>() != step) return false;
    const auto files = manifest.at("files").get<std::map<std::string, uintmax_t>>();
    return std::all_of(files.begin(), files.end(), [&](const auto& file) {
      std::error_code error;
      return fs::file_size(folder / file.first, error) == file.second && !error;
    });
  } catch (const std::exception&) {
    return false;  // no manifest, or a damaged one: not complete
  }
}

void sync_below(const fs::path& folder) {
  for (const auto& item : fs::recursive_directory_iterator(folder)) {
    if (item.is_regular_file() || item.is_directory()) sync_path(item.path());
  }
  sync_path(folder);
}

// The rename comes first: a removal cut short must not leave half a checkpoint under its name.
void remove_checkpoint(const fs::path& folder, const std::string& name) {
  const auto hidden = folder / (std::string(kTemporaryPrefix) + "removed-" + name);
  fs::remove_all(hidden);
  fs::rename(folder / name, hidden);
  fs::remove_all(hidden);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(folder)) names.push_back(item.path().filename().string());
  return names;
}

// Under the lock nobody is writing, so everything unfinished is left over from a crash.
void remove_unfinished(const fs::path& folder) {
  for (const auto& name : names_in(folder)) {
    if (name.starts_with(kTemporaryPrefix)) fs::remove_all(folder / name);
  }
}

void keep_newest(const fs::path& folder, int keep) {
  const auto all = list_checkpoints(folder);
  const auto excess = static_cast<int64_t>(all.size()) - keep;
  for (int64_t i = 0; i < excess; ++i) {
    remove_checkpoint(folder, all[static_cast<size_t>(i)].folder.filename().string());
  }
}

void check_step(const fs::path& folder, int64_t step) {
  if (step < 0) fail("{}: step {} of a checkpoint must be >= 0", folder.string(), step);
  const auto newest = newest_checkpoint(folder);
  if (newest && newest->step >= step) {
    fail(
        "{}: step {} is not above the newest checkpoint, step {}; discard later checkpoints first to go back",
        folder.string(), step, newest->step);
  }
}

// An incomplete folder of the same step (damaged, or copied in part) would be in the way.
void publish(const fs::path& folder, const fs::path& temporary, int64_t step) {
  const auto name = step_name(step);
  if (fs::exists(folder / name)) remove_checkpoint(folder, name);
  fs::rename(temporary, folder / name);
  sync_path(folder);
}

}  // namespace

Checkpoint save_checkpoint(const fs::path& folder, int64_t step, const CheckpointWriter& write, int keep) {
  if (keep < 1) fail("{}: {} checkpoints to keep, expected at least 1", folder.string(), keep);
  fs::create_directories(folder);
  const FolderLock lock(folder);
  check_step(folder, step);
  remove_unfinished(folder);
  const auto temporary = folder / (std::string(kTemporaryPrefix) + step_name(step));
  fs::create_directory(temporary);
  try {
    write(temporary);
    write_manifest(temporary, step);
    sync_below(temporary);
    publish(folder, temporary, step);
  } catch (...) {
    std::error_code ignored;  // the first error is the one to tell
    fs::remove_all(temporary, ignored);
    throw;
  }
  keep_newest(folder, keep);
  return {step, folder / step_name(step)};
}

Checkpoint save_checkpoint(const fs::path& folder, int64_t step,
                           const std::map<std::string, std::string>& files, int keep) {
  const auto write = [&](const fs::path& target) {
    for (const auto& [name, bytes] : files) {
      OutputFile file(target / name);
      file.write(bytes);
      file.sync();
    }
  };
  return save_checkpoint(folder, step, write, keep);
}

std::vector<Checkpoint> list_checkpoints(const fs::path& folder) {
  std::vector<Checkpoint> found;
  if (!fs::exists(folder)) return found;
  for (const auto& name : names_in(folder)) {
    const auto step = step_of(name);
    if (step && is_complete(folder / name, *step)) found.push_back({*step, folder / name});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return found;
}

std::optional<Checkpoint> newest_checkpoint(const fs::path& folder) {
  const auto all = list_checkpoints(folder);
  if (all.empty()) return std::nullopt;
  return all.back();
}

void discard_checkpoints_after(const fs::path& folder, int64_t step) {
  if (!fs::exists(folder)) return;
  const FolderLock lock(folder);
  auto all = list_checkpoints(folder);
  // Newest first: a crash half-way leaves the older ones, as if less had been discarded.
  for (auto item = all.rbegin(); item != all.rend() && item->step > step; ++item) {
    remove_checkpoint(folder, item->folder.filename().string());
  }
  sync_path(folder);
}

}  // namespace formwork
