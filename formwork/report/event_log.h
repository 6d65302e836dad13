// The metrics of a run, kept twice: a JSON line a step (for programs and the report page) and TensorBoard
// events.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "formwork/report/tensorboard.h"

namespace formwork {

// Appends to FOLDER/metrics.jsonl, one {"step": S, "time": UNIX SECONDS, NAME: VALUE, ...} a line, each
// flushed, and to a TensorBoard event file in the same folder. JSON has no word for them, so values that are
// not finite are written as the strings "nan", "inf" and "-inf". A last line torn by a crash is removed when
// the log is opened again, and with `resume_step` so are the lines of later steps, which the resumed run
// writes anew.
class EventLog {
 public:
  // Creates the folder if need be. Throws when it cannot be written.
  explicit EventLog(const std::filesystem::path& folder, int64_t resume_step = INT64_MAX);

  // Throws when a value is named "step" or "time", and when the disk refuses the line.
  void add(int64_t step, const Scalars& scalars);

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& tensorboard_path() const { return events_.path(); }

 private:
  std::filesystem::path path_;
  EventFile events_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

// The rows of a metrics.jsonl, a torn last line left out. Throws with the line number for any other bad line.
std::vector<nlohmann::ordered_json> read_metrics(const std::filesystem::path& path);

}  // namespace formwork
