#include "formwork/report/event_log.h"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>

#include "formwork/core/error.h"

namespace formwork {
namespace {

using Json = nlohmann::ordered_json;

Json json_number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double unix_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) / 1e3;
}

std::string whole_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Bytes of `log` up to the first torn line or line of a step after `last_step`.
size_t bytes_to_keep(const std::string& log, int64_t last_step) {
  size_t kept = 0;
  for (size_t end; (end = log.find('\n', kept)) != std::string::npos; kept = end + 1) {
    const Json row = Json::parse(log.begin() + static_cast<ptrdiff_t>(kept),
                                 log.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    if (row.is_object() && row.value("step", int64_t{0}) > last_step) break;
  }
  return kept;
}

std::FILE* open_for_appending(const std::filesystem::path& path, int64_t last_step) {
  if (std::filesystem::exists(path)) {
    const std::string log = whole_file(path);
    const size_t kept = bytes_to_keep(log, last_step);
    if (kept < log.size()) std::filesystem::resize_file(path, kept);
  }
  std::FILE* file = std::fopen(path.c_str(), "ab");
  if (file == nullptr) fail("cannot open metrics log '{}': {}", path.string(), std::strerror(errno));
  return file;
}

}  // namespace

EventLog::EventLog(const std::filesystem::path& folder, int64_t resume_step)
    : path_(folder / "metrics.jsonl"),
      events_(folder),
      file_(open_for_appending(path_, resume_step), &std::fclose) {}

void EventLog::add(int64_t step, const Scalars& scalars) {
  const double now = unix_seconds();
  Json row{{"step", step}, {"time", now}};
  for (const auto& [name, value] : scalars) {
    if (row.contains(name)) fail("metric '{}' at step {}: the name is taken; expected another", name, step);
    row[name] = json_number(value);
  }
  const std::string line = row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fflush(file_.get()) != 0) {
    fail("cannot write metrics log '{}': {}", path_.string(), std::strerror(errno));
  }
  events_.add(now, step, scalars);
}

std::vector<Json> read_metrics(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) fail("no metrics log at '{}'", path.string());
  const std::string log = whole_file(path);
  std::vector<Json> rows;
  size_t begin = 0;
  for (size_t end; (end = log.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const Json row = Json::parse(log.begin() + static_cast<ptrdiff_t>(begin),
                                 log.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    if (!row.is_object()) {
      fail("metrics log '{}' line {}: expected a JSON object", path.string(), rows.size() + 1);
    }
    rows.push_back(row);
  }
  return rows;
}

}  // namespace formwork
