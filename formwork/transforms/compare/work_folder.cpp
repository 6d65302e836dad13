#include "formwork/transforms/compare/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "formwork/core/content_hash.h"
#include "formwork/core/error.h"
#include "formwork/core/file.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

std::string entry_name(const std::string& name, const Json& identity) {
  return name + "-" + hash_text(content_hash(identity.dump()));
}

// Files that a killed process was writing.
void remove_torn_files(const fs::path& folder) {
  std::vector<fs::path> torn;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename().string().find(".tmp-") != std::string::npos) torn.push_back(entry.path());
  for (const auto& path : torn) fs::remove_all(path);
}

}  // namespace

WorkFolder::WorkFolder(fs::path folder) : path_(std::move(folder)) {
  for (const char* room : {"values", "models"}) {
    std::error_code error;
    fs::create_directories(path_ / room, error);
    if (error) fail("cannot create the work folder '{}': {}", (path_ / room).string(), error.message());
  }
  const auto file = path_ / "lock";
  lock_ = Descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock_.is_open()) fail_file("write", file);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) fail_file("lock", file);
    fail("another run is using the work folder '{}'; wait for it, or choose another with --work",
         path_.string());
  }
  remove_torn_files(path_);
}

fs::path WorkFolder::value(const std::string& name, const Json& identity) const {
  return path_ / "values" / (entry_name(name, identity) + ".json");
}

fs::path WorkFolder::model(const std::string& name, const Json& identity) const {
  return path_ / "models" / entry_name(name, identity);
}

std::optional<Json> WorkFolder::find(const std::string& name, const Json& identity) const {
  const auto path = value(name, identity);
  if (!fs::exists(path)) return std::nullopt;
  const auto kept = Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!kept.is_object() || !kept.contains("value") || kept.value("identity", Json()) != identity)
    return std::nullopt;
  return kept["value"];
}

void WorkFolder::keep(const std::string& name, const Json& identity, const Json& value) const {
  write_atomically(this->value(name, identity),
                   Json{{"identity", identity}, {"value", value}}.dump(1) + "\n");
}

}  // namespace formwork
