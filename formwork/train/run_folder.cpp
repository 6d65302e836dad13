#include "formwork/train/run_folder.h"

#include "formwork/core/file.h"
#include "formwork/interop/checkpoint_folder.h"
#include "formwork/models/model_io.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kRuleFile = "step_rule.safetensors";
constexpr const char* kAverageFile = "average.safetensors";
constexpr const char* kCourseFile = "training.json";

void check_course(const fs::path& checkpoint, const Json& asked) {
  const auto path = checkpoint / kCourseFile;
  const auto saved = Json::parse(read_file(path)).at("settings");
  for (const auto& [name, value] : asked.items())
    if (!saved.contains(name) || saved[name] != value)
      fail("{}: the run to resume had {} = {}, this one has {}; start another in a new folder", path.string(),
           name, saved.value(name, Json()).dump(), value.dump());
}

}  // namespace

RunFolder::RunFolder(const TrainOptions& options)
    : options_(options), checkpoints_(fs::path(options.folder) / "checkpoints") {
  if (options.folder.empty()) return;
  const auto newest = newest_checkpoint(checkpoints_);
  if (!newest) {
    if (options.resume && !fs::exists(options.folder))
      fail("train: there is no folder '{}' to resume from", options.folder);
    return;
  }
  if (!options.resume)
    fail("'{}' has a run that reached step {}; resume it, or choose another folder", options.folder,
         newest->step);
  check_course(newest->folder, options.course());
  start_ = saved_ = newest->step;
  newest_ = newest->folder;
}

void RunFolder::restore(Running& running) const {
  if (newest_.empty()) return;
  // The parameters are views into the optimizer's arrays, so values are copied in, not exchanged.
  const auto tensors = read_safetensors(newest_ / "model.safetensors");
  const at::NoGradGuard guard;
  for (auto& param : running.model.inventory().params) {
    if (!param.value.defined()) continue;
    const auto found = tensors.find(param.name);
    if (found == tensors.end() || found->second.sizes() != param.value.sizes() ||
        found->second.scalar_type() != param.value.scalar_type())
      fail("{}: its '{}' does not fit this model", newest_.string(), param.name);
    param.value.copy_(found->second);
  }
  running.optimizer.load_state(read_safetensors(newest_ / kOptimizerFile),
                               (newest_ / kOptimizerFile).string());
  if (!running.rule.state().empty())
    running.rule.load_state(read_safetensors(newest_ / kRuleFile), (newest_ / kRuleFile).string());
  if (running.average)
    running.average->load_state(read_safetensors(newest_ / kAverageFile), (newest_ / kAverageFile).string());
}

void RunFolder::save(int64_t step, const Running& running) {
  if (options_.folder.empty() || step == saved_) return;
  const auto checkpoint = save_checkpoint(
      checkpoints_, step,
      [&](const fs::path& folder) {
        save_model(running.model, folder.string());
        write_safetensors(folder / kOptimizerFile, running.optimizer.state());
        if (const auto state = running.rule.state(); !state.empty())
          write_safetensors(folder / kRuleFile, state);
        if (running.average) write_safetensors(folder / kAverageFile, running.average->state());
        const Json course = {{"step", step}, {"settings", options_.course()}};
        write_atomically(folder / kCourseFile, course.dump(2) + "\n");
      },
      static_cast<int>(options_.keep));
  saved_ = step;
  newest_ = checkpoint.folder;
}

std::string RunFolder::last_checkpoint() const {
  return newest_.empty() ? "there is no checkpoint"
                         : fmt::format("the last checkpoint is '{}'", newest_.string());
}

}  // namespace formwork
